"""Spectrum of a star made from the demo library: several photospheres, rotation, instrument.

Everything is computed in wavelength space, without the model's emulator, so that the results of a
fit can be compared with the true parameters.
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

_OVERSAMPLING = 4  # of the library's pixels, because the rotation profile has steep ends


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
    """Return the flux of a star, averaged over the data's pixels, in the library's unit.

    The photospheres are added with their filling factors, broadened by rotation (Gray 2005,
    equation 18.14), convolved with a Gaussian of FWHM ``1 / resolution`` in ln(wavelength), and
    shifted by the relativistic Doppler effect.

    Parameters
    ----------
    library : DemoLibrary
    thetas : sequence of K arrays (n_params,)
        Parameters of the photospheres.
    fractions : sequence of K floats
        Filling factors (solid-angle fractions), which sum to 1.
    wavelength : (n_pixels,) array
        Å, vacuum. The library must extend further, by the broadening and the Doppler shift.
    rv, vsini : float
        km/s.
    resolution : float
        Resolving power.
    limb_darkening : float
        Coefficient of the linear law.

    Returns
    -------
    (n_pixels,) array
    """
    n_pixels = _OVERSAMPLING * (len(library.wavelength) - 1) + 1
    fine = replace(library, n_pixels=n_pixels)
    x = np.log(fine.wavelength)
    step = (x[-1] - x[0]) / (n_pixels - 1)
    flux: Floats = np.sum([c * fine.spectrum(t) for c, t in zip(fractions, thetas, strict=True)], 0)
    profile_sigma = 1 / resolution / np.sqrt(8 * np.log(2))
    half = np.arange(np.ceil((vsini / SPEED_OF_LIGHT + 6 * profile_sigma) / step) + 1) * step
    offset = np.concatenate([-half[:0:-1], half])
    kernel = np.exp(-0.5 * (offset / profile_sigma) ** 2)
    if vsini > 0:
        y = np.maximum(1 - (offset * SPEED_OF_LIGHT / vsini) ** 2, 0)
        e = limb_darkening
        rotation = 2 * (1 - e) * np.sqrt(y) + np.pi * e / 2 * y
        kernel = np.convolve(kernel, rotation, mode="same")
    broadened = np.convolve(flux, kernel / kernel.sum(), mode="same")
    cumulative = CubicSpline(x, broadened).antiderivative()
    centre = np.log(wavelength)
    inner = (centre[1:] + centre[:-1]) / 2
    edges = np.concatenate([[2 * centre[0] - inner[0]], inner, [2 * centre[-1] - inner[-1]]])
    integral = cumulative(edges - np.arctanh(rv / SPEED_OF_LIGHT))
    return np.asarray(np.diff(integral) / np.diff(edges))
