"""Whether mean fluxes can be those of raw spectra.

A ratio from normalised spectra is silently wrong, so this is checked and never assumed.
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

# How far the median over orders and points may stray from the Planck function.
FACTOR = 30.0
# How raw means stray from the Planck function, as one standard deviation: in the power of Teff
# with which they go over it, and in ln of their level. Spectra scaled to one luminosity are off by
# -4 in the power and by ln(F_sun / (sigma Teff^4)) in the level. In 3,600 draws of orders and
# sub-grids of BT-Settl the two together took no raw one for scaled and 1 scaled in 100 for raw
# (on the five probe spectra alone, 2 raw ones in all and 2 scaled in 100).
_STRAY = (2.0, 0.6)
_F_SUN = 6.3156e10  # erg/s/cm², of the Sun's surface
_STEFAN_BOLTZMANN = 5.670374e-5  # erg/s/cm²/K⁴
_ALIKE = 1e-3
_ENDINGS = {
    "erg/s/cm2/AA": re.compile(r"(/\s*|\b)(a|aa|å|angstroms?)(\^?-1)?$"),
    "erg/s/cm2/cm": re.compile(r"(/\s*|\b)cm(\^?-1|\^?-?3)?$"),
}
_ADVICE = "give the raw library, or --assume-raw if you know that it is raw"


@dataclass(frozen=True)
class Plausibility:
    """What the numbers say: the flux unit they fit, and one sentence."""

    flux_unit: str
    how: str


def check_raw(grid: Grid, orders: Orders, mean_flux: Floats, declared_unit: str) -> Plausibility:
    """Check mean fluxes against the Planck function.

    The median over orders and points of ``mean / (pi B_lambda(Teff))`` must lie within a factor
    of 30 of 1, in a unit per Å or per cm; single orders of cool dwarfs stray far from Planck, so
    no order is judged alone. The trend with Teff and the level together betray spectra that
    were scaled to one luminosity.

    Parameters
    ----------
    grid : Grid
        N points.
    orders : Orders
        M orders.
    mean_flux : (M, N) array
    declared_unit : str
        The flux unit as the library declares it.

    Raises
    ------
    NotRaw
        The spectra look normalised.
    LibraryError
        A mean that is not finite and positive.
    """
    _check_positive(grid, orders, mean_flux)
    spread = np.ptp(mean_flux, axis=1) / mean_flux.mean(axis=1)
    if (spread < _ALIKE).all():
        raise NotRaw(
            f"the mean fluxes of all {len(grid)} points agree to {spread.max():.1g}: "
            f"the spectra are normalised; {_ADVICE}"
        )
    if "teff" not in grid.names:
        return Plausibility(declared_unit, "no Teff on the grid to check the numbers with")
    teff = grid.points[:, grid.names.index("teff")]
    excess = np.log(mean_flux / planck_mean(orders.wave_min, orders.wave_max, teff).T)
    level = float(np.median(excess))
    unit = min(UNITS, key=lambda name: abs(level - log(UNITS[name])))
    median = exp(level - log(UNITS[unit]))
    if not 1 / FACTOR < median < FACTOR:
        raise NotRaw(
            f"mean flux over black body is {exp(level):.2g} (median); expected about 1 in "
            "erg/s/cm2/AA or 1e8 in erg/s/cm2/cm: the spectra are normalised or in another unit; "
            f"{_ADVICE}"
        )
    _check_not_scaled(excess - log(UNITS[unit]), grid)
    how = f"mean flux over black body is {median:.2g} (median) in {unit}"
    if any(_ENDINGS[u].search(declared_unit.lower()) for u in UNITS if u != unit):
        how += f", though the library declares {declared_unit!r}"
    return Plausibility(unit, how)


def _check_positive(grid: Grid, orders: Orders, mean_flux: Floats) -> None:
    wrong = np.argwhere(~((mean_flux > 0) & (mean_flux < np.inf)))
    if len(wrong):
        m, i = wrong[0]
        raise LibraryError(
            f"the mean flux of order {orders.number[m]} at {describe(grid.points[i], grid.names)} "
            f"is {mean_flux[m, i]:g}; expected a positive number: start again"
        )


def _check_not_scaled(excess: Floats, grid: Grid) -> None:
    """Refuse ln(mean/Planck) (M, N) that look scaled to one luminosity rather than raw."""
    power = _power_of_teff(excess, grid)
    if power is None:
        return
    teff = grid.points[:, grid.names.index("teff")]
    scaling = np.log(_F_SUN / (_STEFAN_BOLTZMANN * teff**4))
    raw, scaled = (power, np.median(excess)), (power + 4, np.median(excess - scaling))
    if np.hypot(*np.divide(scaled, _STRAY)) < np.hypot(*np.divide(raw, _STRAY)):
        raise NotRaw(
            f"mean flux over black body is {np.exp(raw[1]):.2g} (median) and goes as Teff to the "
            f"power {power:.1f}: the spectra are scaled to one luminosity; {_ADVICE}"
        )


def _power_of_teff(excess: Floats, grid: Grid) -> float | None:
    """Median over orders of the slope of ln(mean/Planck) (M, N) on ln(Teff).

    It is taken between points that differ in Teff alone, as chemistry and gravity change the
    means too; it is None where there are no such points.
    """
    column = grid.names.index("teff")
    x = np.log(grid.points[:, column])
    line = lines_along(grid, column)
    x = x - (np.bincount(line, x) / np.bincount(line))[line]
    if x @ x < 1e-12:
        return None
    return float(np.median(excess @ x / (x @ x)))


def lines_along(grid: Grid, column: int) -> NDArray[np.int64]:
    """Number of the line that each point lies on: (N,); one line differs in `column` alone."""
    others = np.delete(grid.points, column, axis=1)
    _, line = np.unique(others, axis=0, return_inverse=True)
    return line.ravel().astype(np.int64)  # NumPy 2.0 gives it a second axis
