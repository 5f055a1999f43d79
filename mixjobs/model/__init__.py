"""The model: flux ratios and spectra of mixtures, from arrays to arrays."""
