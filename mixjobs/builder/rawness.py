"""Flux calibration: a test of whether mean fluxes are those of raw spectra.

Flux ratios of normalised spectra are wrong but look plausible, so every build runs this test, on
the orders and points that it uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np

from mixjobs.errors import LibraryError, NotRaw
from mixjobs.grid import Grid, describe
from mixjobs.library.base import FluxCalibration
from mixjobs.library.flux_scale import FluxSample, compare_scales
from mixjobs.orders import Orders
from mixjobs.typing import Floats, Ints

# The median ratio to typical stars, over orders and points, may deviate by this factor.
MAX_FACTOR = 30.0
_MIN_SCATTER = 1e-3  # relative range of the mean fluxes of an order; less if normalised
ADVICE = "if they are raw or scaled to one luminosity, say which with --flux-scale raw or scaled"


@dataclass(frozen=True)
class FluxLevel:
    """The level of mean fluxes.

    Attributes
    ----------
    how : str
        The level in words, or why it was not measured.
    level : float or None
        Median ratio of the mean fluxes to those of blackbodies; None if it was not measured.
    """

    how: str
    level: float | None = None


def check_raw(
    grid: Grid, orders: Orders, n_pixels: Ints, mean_flux: Floats, calibration: FluxCalibration
) -> FluxLevel:
    """Check mean fluxes against those of stars and blackbodies.

    The median over points must lie within a factor of 30 of that of typical stars. Single orders of
    cool dwarfs deviate far more, so no order is checked alone. If the library's numbers have not
    decided the flux scale already, those of the orders must not contradict it.

    Parameters
    ----------
    grid : Grid
        N points.
    orders : Orders
        M orders.
    n_pixels : (M,) int array
    mean_flux : (M, N) array
        erg/s/cm²/Å.
    calibration : FluxCalibration
        Of the library.

    Raises
    ------
    NotRaw
        The spectra appear to be normalised or scaled.
    LibraryError
        A mean flux is not finite and positive.
    """
    _check_positive(grid, orders, mean_flux)
    if calibration.status == "assumed":
        return FluxLevel("not checked: declared raw by the user")
    scatter = np.ptp(mean_flux, axis=1) / mean_flux.mean(axis=1)
    if (scatter < _MIN_SCATTER).all():
        raise NotRaw(
            f"the mean fluxes of all {len(grid)} points agree to {scatter.max():.1g}: "
            f"the spectra are normalised; {ADVICE}",
            name="flux",
            value=float(scatter.max()),
        )
    if "teff" not in grid.names:
        return FluxLevel("not checked: the grid has no Teff")
    sample = FluxSample.of(grid, orders.wave_min, orders.wave_max, n_pixels, mean_flux)
    test = compare_scales(sample, unit_is_known=True)
    assert test is not None  # every mean is positive
    if abs(log(test.level / test.typical)) > log(MAX_FACTOR):
        raise NotRaw(
            f"the mean flux is {test.level:.2g} times that of a blackbody (median), not about "
            f"{test.typical:.2g}, so the spectra are normalised or in another unit; {ADVICE}, and "
            "the unit with --flux-unit",
            name="flux",
            value=test.level,
        )
    if test.is_decisive and test.best != "raw" and not calibration.by_numbers:
        what = "scaled to one luminosity" if test.best == "scaled" else "normalised"
        raise NotRaw(
            f"{test.text('raw')}, so the spectra are {what}; {ADVICE}",
            name="flux",
            value=test.exponent,
        )
    return FluxLevel(
        f"the mean flux is {test.level:.2g} times that of a blackbody (median)", test.level
    )


def _check_positive(grid: Grid, orders: Orders, mean_flux: Floats) -> None:
    wrong = np.argwhere(~((mean_flux > 0) & (mean_flux < np.inf)))
    if len(wrong):
        m, i = wrong[0]
        raise LibraryError(
            f"the mean flux of order {orders.number[m]} at {describe(grid.points[i], grid.names)} "
            f"is {mean_flux[m, i]:g}; expected a positive number: check that spectrum",
            name="flux",
            value=float(mean_flux[m, i]),
            order=int(orders.number[m]),
        )
