"""Whether mean fluxes can be those of raw spectra.

A ratio from normalised spectra is silently wrong, so this is checked and never assumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import NotRaw
from mixjobs.grid import Grid
from mixjobs.model.blackbody import planck_mean
from mixjobs.orders import Orders

Floats = NDArray[np.float64]

# How far the median over orders and points may stray from the Planck function.
FACTOR = 30.0
# Raw means over Planck means go with Teff to a power near 0 (-0.3 to 3 on PHOENIX and BT-Settl);
# of spectra scaled to one luminosity, whatever the Teff, near -4.
_SCALED_POWER = -2.5
_ALIKE = 1e-3

_UNITS = {"erg/s/cm2/AA": 1.0, "erg/s/cm2/cm": 1e8}  # in erg/s/cm²/Å
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
    no order is judged alone. A trend with Teff near the power -4 betrays spectra that were
    scaled to one luminosity.

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
    """
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
    median = float(np.exp(np.median(excess)))
    power = _power_of_teff(excess, teff)
    if power < _SCALED_POWER:
        raise NotRaw(
            f"mean flux over black body goes as Teff to the power {power:.1f}: the spectra are "
            f"scaled to one luminosity; {_ADVICE}"
        )
    for unit, size in _UNITS.items():
        if 1 / FACTOR < median / size < FACTOR:
            how = f"mean flux over black body is {median / size:.2g} (median) in {unit}"
            if not _same_unit(declared_unit, unit):
                how += f", though the library declares {declared_unit!r}"
            return Plausibility(unit, how)
    raise NotRaw(
        f"mean flux over black body is {median:.2g} (median); expected about 1 in erg/s/cm2/AA "
        f"or 1e8 in erg/s/cm2/cm: the spectra are normalised or in another unit; {_ADVICE}"
    )


def _power_of_teff(excess: Floats, teff: Floats) -> float:
    """Median over orders of the slope of ln(mean/Planck) on ln(Teff), 0 where Teff is one."""
    x = np.log(teff) - np.log(teff).mean()
    if np.ptp(x) < 1e-6:
        return 0.0
    return float(np.median(excess @ x / (x @ x)))


def _same_unit(declared: str, unit: str) -> bool:
    """Whether a declared unit such as ``erg/cm^2/s/A`` is the same as one of ours."""
    per_length = {"/a", "/aa", "/angstrom"} if unit.endswith("/AA") else {"/cm"}
    text = declared.lower().replace("^", "").replace("cm2", "")
    return any(text.endswith(end) for end in per_length)
