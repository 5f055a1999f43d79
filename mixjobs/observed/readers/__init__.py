"""Readers of observed spectra, one file per format."""
