"""Observed spectra: readers, masks, and how their pixels fit the orders of a store."""
