"""Flux calibration of Starfish files: raw spectra, or the factors that undo a scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, nan, pi
from typing import Any

from mixjobs.library.base import FluxCalibration
from mixjobs.units import read_flag

# Flux of one solar luminosity at one solar radius, erg/s/cm², with the constants of Starfish.
F_SUN = 6.3156e10

SCALE_ATTRIBUTES = ("norm", "PHXLUM", "PHXREFF")  # of each spectrum

_UNDONE = (
    "scaled to one solar luminosity in the file; undone with the PHX headers, "
    "F_bol = PHXLUM / (4 pi PHXREFF^2), which preserves the flux ratios of neighbouring grid "
    "points to a few tenths of a per cent"
)


def find_scale(
    root: Mapping[str, Any], attributes: Sequence[Mapping[str, Any]]
) -> tuple[FluxCalibration, tuple[float, ...]]:
    """Return the flux calibration that a file declares, and the factor to apply to each spectrum.

    Starfish multiplies spectra by ``F_sun / F_bol``. With the headers of PHOENIX-ACES (Husser et
    al. 2013, A&A 553, A6), ``F_bol = PHXLUM / (4 pi PHXREFF²)`` undoes the scaling.

    Parameters
    ----------
    root : mapping
        Attributes of the file.
    attributes : sequence of N mappings
        Attributes of each spectrum.

    Returns
    -------
    calibration : FluxCalibration
    factors : tuple of N floats
    """
    unity = (1.0,) * len(attributes)
    flags = {read_flag(a["norm"]) for a in (root, *attributes) if "norm" in a}
    if flags == {False}:
        return FluxCalibration("raw", "declared in the file (norm = False)"), unity
    if flags == {True, False}:
        evidence = "the file declares some spectra normalised and others not"
        return FluxCalibration("normalised", evidence), unity
    if flags != {True}:
        evidence = "the file does not declare whether its spectra are raw"
        return FluxCalibration("unknown", evidence), unity
    scales = tuple(_f_bol(a) / F_SUN for a in attributes)
    if not all(0 < scale < inf for scale in scales):
        evidence = "the file declares its spectra normalised (norm = True) and has no PHX headers"
        return FluxCalibration("normalised", evidence), unity
    return FluxCalibration("rescaled", _UNDONE), scales


def _f_bol(attributes: Mapping[str, Any]) -> float:
    """Return the bolometric flux from the PHX headers; NaN without them."""
    try:
        return float(attributes["PHXLUM"]) / (4 * pi * float(attributes["PHXREFF"]) ** 2)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return nan
