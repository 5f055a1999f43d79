"""Flux scale of Starfish files: what they declare, and the factors that undo a scaling.

Starfish multiplies spectra by ``F_sun / F_bol``, where F_bol is its integral of the flux up to
5.5 µm. With the headers of PHOENIX-ACES (Husser et al. 2013, A&A 553, A6),
``F_bol = PHXLUM / (4 pi PHXREFF²)``; without them, ``F_bol = sigma Teff⁴``. Either includes the
flux beyond 5.5 µm, which a blackbody of the same Teff gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import pi
from typing import Any

import numpy as np

from mixjobs.declarations import read_flag
from mixjobs.library.calibration import DeclaredScale
from mixjobs.library.flux_scale import F_SUN, STEFAN_BOLTZMANN
from mixjobs.model.blackbody import planck_fraction
from mixjobs.typing import Floats

SCALE_ATTRIBUTES = ("norm", "PHXLUM", "PHXREFF", "PHXTEFF")  # of each spectrum
_END_OF_INTEGRAL = 55_000.0  # Å


def declared_scale(
    root: Mapping[str, Any], attributes: Sequence[Mapping[str, Any]]
) -> DeclaredScale:
    """Return what a file declares about its flux scale.

    Parameters
    ----------
    root : mapping
        Attributes of the file.
    attributes : sequence of N mappings
        Attributes of each spectrum.
    """
    has_headers = bool(np.isfinite(bolometric_flux(attributes)).all())
    flags = {read_flag(each["norm"]) for each in (root, *attributes) if "norm" in each}
    if not flags:
        return DeclaredScale(None, "", has_headers)
    if len(flags) > 1 or None in flags:
        return DeclaredScale(None, "norm, which is not the same for all spectra", has_headers)
    flag = flags.pop()
    return DeclaredScale(flag, f"norm = {flag}", has_headers)


def log_undoing_factors(
    attributes: Sequence[Mapping[str, Any]], teff: Floats | None
) -> Floats | None:
    """Return ln(factor) that undoes a scaling of each spectrum, (N,); None if it is unknown.

    Parameters
    ----------
    attributes : sequence of N mappings
        Attributes of each spectrum.
    teff : (N,) array or None
        K; None if the grid has no Teff.
    """
    of_headers = bolometric_flux(attributes)
    if np.isfinite(of_headers).all():
        header_teff = np.array([_number(each, "PHXTEFF") for each in attributes])
        teff = header_teff if np.isfinite(header_teff).all() else teff
        total = of_headers
    elif teff is None:
        return None
    else:
        total = STEFAN_BOLTZMANN * teff**4
    if teff is None:
        teff = (total / STEFAN_BOLTZMANN) ** 0.25
    log_factor: Floats = np.log(total / F_SUN * planck_fraction(_END_OF_INTEGRAL, teff))
    return log_factor


def bolometric_flux(attributes: Sequence[Mapping[str, Any]]) -> Floats:
    """Return the bolometric flux of each spectrum from its PHX headers, (N,); NaN without them."""
    luminosity, radius = (
        np.array([_number(each, name) for each in attributes]) for name in ("PHXLUM", "PHXREFF")
    )
    return luminosity / (4 * pi * radius**2)


def _number(attributes: Mapping[str, Any], name: str) -> float:
    """Return a positive, finite number; NaN for anything else."""
    try:
        number = float(attributes[name])
    except (KeyError, TypeError, ValueError):
        return float("nan")
    return number if 0 < number < np.inf else float("nan")
