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
    total = headers["PHXLUM"] / (4 * math.pi * headers["PHXREFF"] ** 2)
    return total * fraction_below(5.5e-4, headers["PHXTEFF"]) / 6.3156e10


def fraction_below(wavelength, teff):
    """Return the fraction of a blackbody's flux at shorter wavelengths (cm), as a series."""
    x = 1.438776877 / (wavelength * teff)
    terms = (
        math.exp(-n * x) * (x**3 / n + 3 * x**2 / n**2 + 6 * x / n**3 + 6 / n**4)
        for n in range(1, 400)
    )
    return 15 / math.pi**4 * sum(terms)


def means(path, points, orders):
    """Return the mean of each spectrum over the pixels of each order, (M, N)."""
    wavelength, spectra = raw_spectra(path, set(map(tuple, points)))
    result = np.empty((len(orders), len(points)))
    for i, theta in enumerate(points):
        flux = spectra[tuple(theta)]
        for m, (low, high) in enumerate(zip(orders.wave_min, orders.wave_max, strict=True)):
            result[m, i] = np.mean(flux[(low <= wavelength) & (wavelength < high)])
    return result
