"""The slow reference for a build: h5py and loops, and no code of mixjobs."""

import math
import re

import h5py
import numpy as np

LETTERS = re.compile(r"([a-z]+)(-?[\d.]+)")


def raw_spectra(path, wanted):
    """Return wavelengths and the raw spectrum of each wanted theta, without scaling."""
    with h5py.File(path) as file:
        wavelength = file["wl"][:]
        spectra = {}
        for key, dataset in file["flux"].items():
            headers = dataset.attrs
            if "temp" in headers:
                theta = tuple(float(headers[n]) for n in ("temp", "logg", "Z", "alpha"))
            else:
                theta = tuple(float(value) + 0.0 for _, value in LETTERS.findall(key))
            if theta in wanted:
                spectra[theta] = dataset[:].astype(np.float64) * unscaling(headers, file.attrs)
    return wavelength, spectra


def unscaling(headers, root):
    """Return the factor that undoes the scaling to one luminosity, or 1."""
    if not headers.get("norm", root.get("norm")):
        return 1.0
    return headers["PHXLUM"] / (4 * math.pi * headers["PHXREFF"] ** 2) / 6.3156e10


def means(path, points, orders):
    """Return the mean of each spectrum over the pixels of each order, (M, N)."""
    wavelength, spectra = raw_spectra(path, set(map(tuple, points)))
    result = np.empty((len(orders), len(points)))
    for i, theta in enumerate(points):
        flux = spectra[tuple(theta)]
        for m, (low, high) in enumerate(zip(orders.wave_min, orders.wave_max, strict=True)):
            result[m, i] = np.mean(flux[(low <= wavelength) & (wavelength < high)])
    return result
