"""Flux calibration: a test of whether mean fluxes are those of raw spectra.

Flux ratios of normalised spectra are wrong but look plausible, so every build runs this test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import LibraryError, NotRaw
from mixjobs.grid import Grid, describe
from mixjobs.model.blackbody import planck_mean
from mixjobs.orders import Orders
from mixjobs.typing import Floats
from mixjobs.units import UNITS

# The median ratio to the Planck function, over orders and points, may deviate by this factor.
MAX_FACTOR = 30.0
# Standard deviations of raw mean fluxes from the Planck function: of the exponent of Teff in their
# ratio, and of ln(ratio). Spectra scaled to one luminosity are off by -4 in the exponent and by
# ln(F_sun / (sigma Teff^4)) in ln(ratio). In 3,600 draws of orders and sub-grids of BT-Settl, no
# raw library was refused as scaled, and 1 % of the scaled ones passed as raw. With only the five
# probe spectra, 2 raw libraries were refused, and 2 % of the scaled ones passed.
_DEVIATIONS = (2.0, 0.6)
_F_SUN = 6.3156e10  # erg/s/cm², at the surface of the Sun
_STEFAN_BOLTZMANN = 5.670374e-5  # erg/s/cm²/K⁴
_MIN_SCATTER = 1e-3  # relative range of the mean fluxes of an order; less if normalised
_ENDINGS = {
    "erg/s/cm2/AA": re.compile(r"(/\s*|\b)(a|aa|å|angstroms?)(\^?-1)?$"),
    "erg/s/cm2/cm": re.compile(r"(/\s*|\b)cm(\^?-1|\^?-?3)?$"),
}
ADVICE = "use the raw library, or declare the spectra raw if you know that they are"


@dataclass(frozen=True)
class FluxLevel:
    """The flux unit that agrees with the level of the mean fluxes.

    Attributes
    ----------
    flux_unit : str
    how : str
        The evidence, in one sentence.
    level : float or None
        Median ratio of the mean fluxes to those of blackbodies; None if it was not measured.
    contradicts : bool
        Whether the library declares another unit.
    """

    flux_unit: str
    how: str
    level: float | None = None
    contradicts: bool = False


def check_raw(grid: Grid, orders: Orders, mean_flux: Floats, declared_unit: str) -> FluxLevel:
    """Check mean fluxes against the Planck function.

    The median over orders and points of ``mean / (pi B_lambda(Teff))`` must lie within a factor of
    30 of 1, per Å or per cm. Single orders of cool dwarfs deviate far more, so no order is checked
    alone. The level and the trend with Teff together reveal spectra scaled to one luminosity.

    Parameters
    ----------
    grid : Grid
        N points.
    orders : Orders
        M orders.
    mean_flux : (M, N) array
    declared_unit : str
        The flux unit that the library declares.

    Raises
    ------
    NotRaw
        The spectra appear to be normalised or scaled.
    LibraryError
        A mean flux is not finite and positive.
    """
    _check_positive(grid, orders, mean_flux)
    scatter = np.ptp(mean_flux, axis=1) / mean_flux.mean(axis=1)
    if (scatter < _MIN_SCATTER).all():
        raise NotRaw(
            f"the mean fluxes of all {len(grid)} points agree to {scatter.max():.1g}: "
            f"the spectra are normalised; {ADVICE}",
            name="flux",
            value=float(scatter.max()),
        )
    if "teff" not in grid.names:
        return FluxLevel(declared_unit, "not checked: the grid has no Teff")
    teff = grid.points[:, grid.names.index("teff")]
    excess = np.log(mean_flux / planck_mean(orders.wave_min, orders.wave_max, teff).T)
    level = float(np.median(excess))
    unit = min(UNITS, key=lambda name: abs(level - log(UNITS[name])))
    median = exp(level - log(UNITS[unit]))
    if not 1 / MAX_FACTOR < median < MAX_FACTOR:
        raise NotRaw(
            f"the mean flux is {exp(level):.2g} times that of a blackbody (median), not about 1 "
            "(in erg/s/cm2/AA) or 1e8 (in erg/s/cm2/cm), so the spectra are normalised or in "
            f"another unit; {ADVICE}",
            name="flux",
            value=exp(level),
        )
    _check_not_scaled(excess - log(UNITS[unit]), grid)
    how = f"the mean flux is {median:.2g} times that of a blackbody (median) in {unit}"
    contradicts = any(_ENDINGS[u].search(declared_unit.lower()) for u in UNITS if u != unit)
    if contradicts:
        how += f", although the library declares {declared_unit!r}"
    return FluxLevel(unit, how, median, contradicts)


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


def _check_not_scaled(excess: Floats, grid: Grid) -> None:
    """Refuse ln(mean/Planck), (M, N), that suggests one luminosity rather than raw spectra."""
    exponent = _teff_exponent(excess, grid)
    if exponent is None:
        return
    teff = grid.points[:, grid.names.index("teff")]
    scaling = np.log(_F_SUN / (_STEFAN_BOLTZMANN * teff**4))
    raw, scaled = (exponent, np.median(excess)), (exponent + 4, np.median(excess - scaling))
    if np.hypot(*np.divide(scaled, _DEVIATIONS)) < np.hypot(*np.divide(raw, _DEVIATIONS)):
        raise NotRaw(
            f"the mean flux is {np.exp(raw[1]):.2g} times that of a blackbody (median), and the "
            f"factor scales as Teff^{exponent:.1f}, so the spectra are scaled to one luminosity; "
            f"{ADVICE}",
            name="flux",
            value=exponent,
        )


def _teff_exponent(excess: Floats, grid: Grid) -> float | None:
    """Return the median over orders of the slope of ln(mean/Planck), (M, N), with ln(Teff).

    It is measured between points that differ only in Teff, because gravity and composition also
    change the mean flux. None if there are no such points.
    """
    column = grid.names.index("teff")
    x = np.log(grid.points[:, column])
    line = lines_along(grid, column)
    x = x - (np.bincount(line, x) / np.bincount(line))[line]
    if x @ x < 1e-12:
        return None
    return float(np.median(excess @ x / (x @ x)))


def lines_along(grid: Grid, column: int) -> NDArray[np.int64]:
    """Number the lines of the grid: (N,). The points of a line differ only in `column`."""
    others = np.delete(grid.points, column, axis=1)
    _, line = np.unique(others, axis=0, return_inverse=True)
    return line.ravel().astype(np.int64)  # NumPy 2.0 adds a second axis
