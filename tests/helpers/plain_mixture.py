"""The mixture of two stars of a demo library, from its equation: slow, plain, in real space.

True raw spectra on a grid finer than the library's, over the plain mean of the library's own
pixels, broadened by quadrature, and mixed by hand.
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
        near = (wave > at[0] * (1 - REACH)) & (wave < at[-1] * (1 + REACH))
        shapes.append(
            broadened(wave[near], flux[near] / bar, at, rv, vsini, sigma, limb_darkening, edges)
        )
    return (1 - c) * shapes[0] + c * q * shapes[1]


REACH = 400 / C  # light from farther away is not looked at


def own_pixels(library, order):
    """Wavelengths of the library's pixels in an order."""
    return library.wavelength[_inside(library, order)]


def mean_flux(library, order, theta):
    """The plain mean over them."""
    return library.spectrum(theta)[_inside(library, order)].mean()


def normalised(library, order, theta):
    """The spectrum on them, unbroadened, over its mean."""
    flux = library.spectrum(theta)[_inside(library, order)]
    return flux / flux.mean()


def edges_between(wavelength):
    """Edges of pixels midway between their centres, all in ln(wavelength)."""
    x = np.log(wavelength)
    inner = (x[1:] + x[:-1]) / 2
    return np.concatenate([[2 * x[0] - inner[0]], inner, [2 * x[-1] - inner[-1]]])


def sigma_of(resolution):
    """Of the Gaussian whose FWHM is wavelength / resolution, in ln(wavelength)."""
    return 0.0 if resolution is None else 1 / resolution / np.sqrt(8 * np.log(2))


def _inside(library, order):
    return (library.wavelength >= order[0]) & (library.wavelength < order[1])


@lru_cache(maxsize=32)
def fine_spectrum(library, theta):
    """Wavelengths, and the true raw flux."""
    fine = replace(library, n_pixels=FINER * (library.n_pixels - 1) + 1)
    return fine.wavelength, fine.spectrum(theta)
