"""Broadening in real space: slow, plain, and sharing no code with the package.

Each step is the integral that defines it, done by quadrature on a fine grid of wavelengths.
"""

import numpy as np
from scipy import constants
from scipy.interpolate import make_interp_spline

C = constants.c / 1e3  # km/s
POINTS = 16  # a data pixel


def broadened(wavelength, spectrum, at, rv, vsini, sigma, limb_darkening=0.6, edges=None):
    """The spectrum of a rotating, receding star through an instrument.

    wavelength (n,): uniform in the logarithm, several times finer than the spectrum's features.
    spectrum: a function of wavelength, or its values (n,) there.
    at (m,): wavelengths at which the result is wanted, where edges is None.
    rv, vsini in km/s; sigma of the Gaussian in ln(wavelength).
    edges (m + 1,): of pixels that the result is averaged over, in ln(wavelength).

    NaN where light from beyond `wavelength` would be needed.
    """
    return receding(seen(wavelength, spectrum, vsini, sigma, limb_darkening), at, rv, edges)


def seen(wavelength, spectrum, vsini, sigma, limb_darkening=0.6):
    """The function of wavelength that a rotating star at rest is, through an instrument."""
    x = np.log(wavelength)
    emitted = spectrum if callable(spectrum) else through(x, spectrum)
    rotating = rotated(wavelength, emitted, vsini, limb_darkening)
    return through(x, blurred(x, rotating, sigma))


def receding(function, at, rv, edges=None):
    """The function, Doppler-shifted, at wavelengths (m,) or averaged over the m pixels of edges."""

    def observed(wave):
        return function(wave * np.sqrt((1 - rv / C) / (1 + rv / C)))

    return observed(np.asarray(at)) if edges is None else averaged(observed, edges)


def through(x, values):
    """The function of wavelength through values at x = ln(wavelength); NaN where they end."""
    known = np.isfinite(values)
    spline = make_interp_spline(x[known], values[known], k=5)
    first, last = x[known][[0, -1]]

    def function(wave):
        place = np.log(wave)
        place = np.where(np.abs(place - first) < 1e-13, first, place)  # rounding of log
        place = np.where(np.abs(place - last) < 1e-13, last, place)
        inside = (place >= first) & (place <= last)
        return np.where(inside, spline(np.clip(place, first, last)), np.nan)

    return function


def gray(v, vsini, e):
    """Gray's rotation profile, of area 1 (Gray 2005, equation 18.14, divided by its integral)."""
    y2 = (v / vsini) ** 2
    profile = 2 * (1 - e) * np.sqrt(1 - y2) + np.pi * e / 2 * (1 - y2)
    return profile / (np.pi * vsini * (1 - e / 3))


def rotated(wavelength, spectrum, vsini, e):
    """Sum over strips of the disc, each seen at its own velocity."""
    if vsini == 0:
        return spectrum(wavelength)
    dv = C * np.log(wavelength[1] / wavelength[0])
    angle, weight = np.polynomial.legendre.leggauss(24 + int(0.75 * vsini / dv))
    angle, weight = np.pi / 2 * angle, np.pi / 2 * weight
    total = np.zeros(len(wavelength))
    # v = vsini sin(angle), so the root at the limb is smooth in angle
    for v, dv_dangle, w in zip(vsini * np.sin(angle), vsini * np.cos(angle), weight, strict=True):
        strip = spectrum(wavelength * np.sqrt((1 - v / C) / (1 + v / C)))
        total += w * dv_dangle * gray(v, vsini, e) * strip
    return total


def blurred(x, values, sigma):
    """Sum over the Gaussian's weight on the fine grid, out to 7 sigma."""
    if sigma == 0:
        return values
    step = (x[-1] - x[0]) / (len(x) - 1)
    if sigma < step:
        raise ValueError("a finer grid is needed: sigma is below its step")
    reach = int(7 * sigma / step)
    if len(values) <= 2 * reach:
        raise ValueError("a wider window is needed: the Gaussian is wider")
    away = step * np.arange(-reach, reach + 1)
    weight = step * np.exp(-0.5 * (away / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    result = np.full(len(x), np.nan)
    result[reach : len(x) - reach] = np.convolve(values, weight, mode="valid")
    return result


def averaged(function, edges):
    """Mean over pixels in ln(wavelength), by Gauss-Legendre points in each."""
    node, weight = np.polynomial.legendre.leggauss(POINTS)
    low, high = np.asarray(edges[:-1]), np.asarray(edges[1:])
    places = (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * node
    return function(np.exp(places)) @ weight / 2
