"""Observed spectra: file formats, masks, and matching to the orders of a store."""
