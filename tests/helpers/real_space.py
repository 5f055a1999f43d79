"""A slow reference for broadening, in real space, that shares no code with the package.

Each step evaluates the integral that defines it, by quadrature on a fine grid of wavelengths.
"""

import numpy as np
from scipy import constants
from scipy.interpolate import make_interp_spline

C = constants.c / 1e3  # km/s
POINTS = 16  # per data pixel


def broadened(wavelength, spectrum, at, rv, vsini, sigma, limb_darkening=0.6, edges=None):
    """The spectrum of a rotating, receding star through an instrument.

    wavelength (n,): uniform in the logarithm, several times finer than the spectrum's features.
    spectrum: a function of wavelength, or its values (n,) there.
    at (m,): wavelengths of the result, if edges is None.
    rv, vsini in km/s; sigma of the Gaussian in ln(wavelength).
    edges (m + 1,): edges in ln(wavelength) of the pixels to average over.

    NaN where light from beyond `wavelength` is needed.
    """
    return receding(seen(wavelength, spectrum, vsini, sigma, limb_darkening), at, rv, edges)


def seen(wavelength, spectrum, vsini, sigma, limb_darkening=0.6):
    """The spectrum of a rotating star at rest through an instrument, as a function."""
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
    """The spline through values at x = ln(wavelength), as a function; NaN beyond them."""
    valid = np.isfinite(values)
    spline = make_interp_spline(x[valid], values[valid], k=5)
    first, last = x[valid][[0, -1]]

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
    """Sum over strips of the disc, each at its own velocity."""
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
    """Convolution with the Gaussian on the fine grid, to 7 sigma."""
    if sigma == 0:
        return values
    step = (x[-1] - x[0]) / (len(x) - 1)
    if sigma < step:
        raise ValueError("sigma is below the step: use a finer grid")
    half_width = int(7 * sigma / step)
    if len(values) <= 2 * half_width:
        raise ValueError("the Gaussian is wider than the grid: use a wider grid")
    away = step * np.arange(-half_width, half_width + 1)
    weight = step * np.exp(-0.5 * (away / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    result = np.full(len(x), np.nan)
    result[half_width : len(x) - half_width] = np.convolve(values, weight, mode="valid")
    return result


def averaged(function, edges):
    """Mean over pixels in ln(wavelength), by Gauss-Legendre quadrature."""
    node, weight = np.polynomial.legendre.leggauss(POINTS)
    low, high = np.asarray(edges[:-1]), np.asarray(edges[1:])
    places = (low + high)[:, None] / 2 + (high - low)[:, None] / 2 * node
    return function(np.exp(places)) @ weight / 2
