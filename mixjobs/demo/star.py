"""A star of the demo library as a spectrograph sees it: two photospheres, rotation, noise.

In real space, and without the model's emulator: what a fit of it finds can be held against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from mixjobs.demo.library import DemoLibrary
from mixjobs.typing import Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT

_FINER = 4  # than the library's pixels: the rotation profile has steep ends


def star_spectrum(
    library: DemoLibrary,
    thetas: Sequence[ArrayLike],
    fractions: Sequence[float],
    wavelength: Floats,
    rv: float,
    vsini: float,
    resolution: float,
    limb_darkening: float = 0.6,
) -> Floats:
    """Flux of a star, averaged over the data's pixels, in the library's unit times its solid angle.

    The photospheres are added by their solid-angle fractions, rotated (Gray 2005, equation 18.14),
    blurred by a Gaussian of FWHM ``1 / resolution`` in ln(wavelength), and shifted (relativistic,
    along the line of sight).

    Parameters
    ----------
    library : DemoLibrary
    thetas : sequence of K arrays (n_params,)
        Of the photospheres.
    fractions : sequence of K floats
        Solid-angle fractions; they add up to 1.
    wavelength : (n_pixels,) array
        Å, vacuum; the library must reach further by what the light is moved.
    rv, vsini : float
        km/s.
    resolution : float
        Resolving power.
    limb_darkening : float
        Linear coefficient.

    Returns
    -------
    (n_pixels,) array
    """
    n_pixels = _FINER * (len(library.wavelength) - 1) + 1
    fine = replace(library, n_pixels=n_pixels)
    x = np.log(fine.wavelength)
    step = (x[-1] - x[0]) / (n_pixels - 1)
    flux: Floats = np.sum([c * fine.spectrum(t) for c, t in zip(fractions, thetas, strict=True)], 0)
    sigma = 1 / resolution / np.sqrt(8 * np.log(2))
    reach = np.arange(np.ceil((vsini / SPEED_OF_LIGHT + 6 * sigma) / step) + 1) * step
    offset = np.concatenate([-reach[:0:-1], reach])
    kernel = np.exp(-0.5 * (offset / sigma) ** 2)
    if vsini > 0:
        y = np.maximum(1 - (offset * SPEED_OF_LIGHT / vsini) ** 2, 0)
        e = limb_darkening
        rotation = 2 * (1 - e) * np.sqrt(y) + np.pi * e / 2 * y
        kernel = np.convolve(kernel, rotation, mode="same")
    seen = np.convolve(flux, kernel / kernel.sum(), mode="same")
    light = CubicSpline(x, seen).antiderivative()
    middle = np.log(wavelength)
    inner = (middle[1:] + middle[:-1]) / 2
    edges = np.concatenate([[2 * middle[0] - inner[0]], inner, [2 * middle[-1] - inner[-1]]])
    collected = light(edges - np.arctanh(rv / SPEED_OF_LIGHT))
    return np.asarray(np.diff(collected) / np.diff(edges))
