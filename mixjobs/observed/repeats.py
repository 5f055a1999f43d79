"""Pixels that two spectra have in common, which would count twice."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mixjobs.observed.sanity import MIN_PIXELS, scatter
from mixjobs.typing import Bools, Floats

_NEARBY = 1.001  # ratio of wavelengths; more than between air and vacuum
_SAME_WAVELENGTH = 1e-6  # relative
_MIN_REPEATED = 5  # pixels
_MAX_DEVIATION = 0.05  # between copies of a pixel, over the noise; rounding in a text table
_ROUNDING = 1e-9
_MIN_FRACTION_REPEATED = 0.95


class Pixels(NamedTuple):
    """The pixels of one order: four (n_pixels,) arrays, with the wavelengths ascending."""

    wavelength: Floats
    flux: Floats
    flux_error: Floats
    mask: Bools


def n_repeated(first: Pixels, second: Pixels) -> int:
    """Count the pixels that two orders have in common, with the same noise, up to a factor.

    Pixels are compared by their places if both orders are equally long, otherwise by wavelength.
    Independent observations on the same pixels differ by their noise.

    Returns
    -------
    int
        0 if the data are independent.
    """
    wave, flux, error, used = first
    other_wave, other_flux, _, other_used = second
    if wave[0] > other_wave[-1] * _NEARBY or other_wave[0] > wave[-1] * _NEARBY:
        return 0
    if len(wave) == len(other_wave):
        by_place = np.flatnonzero(used & other_used)
        if _is_copy(flux[by_place], error[by_place], other_flux[by_place]):
            return len(by_place)
    right = np.searchsorted(wave, other_wave).clip(1, max(len(wave) - 1, 1))
    rows = np.where(other_wave - wave[right - 1] < wave[right] - other_wave, right - 1, right)
    matched = np.abs(wave[rows] / other_wave - 1) < _SAME_WAVELENGTH
    pixels = np.flatnonzero(matched & other_used & used[rows])
    rows = rows[pixels]
    return len(pixels) if _is_copy(flux[rows], error[rows], other_flux[pixels]) else 0


def _is_copy(flux: Floats, flux_error: Floats, other: Floats) -> bool:
    """Whether fluxes (n,) are others times a constant, much more closely than their noise."""
    if len(flux) < _MIN_REPEATED:
        return False
    with np.errstate(all="ignore"):
        level, other_level = np.median(np.abs(flux)), np.median(np.abs(other))
        noise = flux_error / level
        if len(flux) >= MIN_PIXELS:
            noise = np.minimum(noise, scatter(flux / level))
        deviation = np.abs(flux / level - other / other_level)
        close = deviation <= np.maximum(_MAX_DEVIATION * noise, _ROUNDING)
    return bool(close.mean() >= _MIN_FRACTION_REPEATED)
