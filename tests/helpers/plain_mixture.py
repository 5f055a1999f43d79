"""A slow reference for the mixture of two stars of a demo library, in real space.

True raw spectra on a grid finer than the library's are divided by their mean over the library's own
pixels, broadened by quadrature, and mixed according to the equation.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from tests.helpers.real_space import C, broadened

FINER = 4  # than the library's pixels


def plain_mixture(library, order, star1, star2, c, at, sigma=0.0, edges=None, limb_darkening=0.6):
    """``(1 - c) f1/f1bar + c q f2/f2bar`` with ``q = f2bar/f1bar``.

    order: (wave_min, wave_max), half open. star: (theta, vsini, rv). at, edges: see `broadened`.
    """
    theta1, theta2 = star1[0], star2[0]
    f1bar, f2bar = mean_flux(library, order, theta1), mean_flux(library, order, theta2)
    q = f2bar / f1bar
    shapes = []
    for (theta, vsini, rv), bar in ((star1, f1bar), (star2, f2bar)):
        wave, flux = fine_spectrum(library, tuple(theta))
        near = (wave > at[0] * (1 - HALF_WIDTH)) & (wave < at[-1] * (1 + HALF_WIDTH))
        shapes.append(
            broadened(wave[near], flux[near] / bar, at, rv, vsini, sigma, limb_darkening, edges)
        )
    return (1 - c) * shapes[0] + c * q * shapes[1]


HALF_WIDTH = 400 / C  # in ln(wavelength); light from farther away is ignored


def own_pixels(library, order):
    """Wavelengths of the library's pixels in an order."""
    return library.wavelength[_inside(library, order)]


def mean_flux(library, order, theta):
    """The plain mean over the library's pixels in an order."""
    return library.spectrum(theta)[_inside(library, order)].mean()


def normalised(library, order, theta):
    """The spectrum on the library's pixels in an order, before broadening, over its mean."""
    flux = library.spectrum(theta)[_inside(library, order)]
    return flux / flux.mean()


def edges_between(wavelength):
    """Edges of pixels in ln(wavelength), midway between their centres."""
    x = np.log(wavelength)
    inner = (x[1:] + x[:-1]) / 2
    return np.concatenate([[2 * x[0] - inner[0]], inner, [2 * x[-1] - inner[-1]]])


def sigma_of(resolution):
    """Standard deviation in ln(wavelength) of the Gaussian with FWHM wavelength / resolution."""
    return 0.0 if resolution is None else 1 / resolution / np.sqrt(8 * np.log(2))


def _inside(library, order):
    return (library.wavelength >= order[0]) & (library.wavelength < order[1])


@lru_cache(maxsize=32)
def fine_spectrum(library, theta):
    """Fine wavelengths, and the true raw flux there."""
    fine = replace(library, n_pixels=FINER * (library.n_pixels - 1) + 1)
    return fine.wavelength, fine.spectrum(theta)
