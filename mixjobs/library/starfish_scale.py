"""Whether the spectra of a Starfish file are raw, and what undoes their scaling if they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, nan, pi
from typing import Any

import numpy as np

from mixjobs.library.base import FluxCalibration
from mixjobs.library.starfish_layouts import text

# Starfish's flux of one solar luminosity at one solar radius, erg/s/cm² (its constants).
F_SUN = 6.3156e10

SCALE_ATTRIBUTES = ("norm", "PHXLUM", "PHXREFF")  # of each spectrum
_FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}

_UNDONE = (
    "scaled to one solar luminosity in the file; undone with its PHX headers, "
    "F_bol = PHXLUM / (4 pi PHXREFF^2), which keeps flux ratios between neighbours to a few "
    "tenths of a per cent"
)


def find_scale(
    root: Mapping[str, Any], attributes: Sequence[Mapping[str, Any]]
) -> tuple[FluxCalibration, tuple[float, ...]]:
    """Decide from a file's flags whether it is raw, and by what to multiply each spectrum.

    Starfish scales by ``F_sun / F_bol``; with the headers of PHOENIX-ACES (Husser et al. 2013,
    A&A 553, A6), ``F_bol = PHXLUM / (4 pi PHXREFF²)`` undoes it.

    Parameters
    ----------
    root : mapping
        Attributes of the file.
    attributes : sequence of mappings
        Attributes of each spectrum.
    """
    unity = (1.0,) * len(attributes)
    flags = {flag(a["norm"]) for a in (root, *attributes) if "norm" in a}
    if flags == {False}:
        return FluxCalibration("raw", "the file says so (norm = False)"), unity
    if flags == {True, False}:
        how = "the file says of some spectra that they are normalised and of some that they are not"
        return FluxCalibration("normalised", how), unity
    if flags != {True}:
        return FluxCalibration(
            "unknown", "the file does not say whether its spectra are raw"
        ), unity
    scales = tuple(_f_bol(a) / F_SUN for a in attributes)
    if not all(0 < scale < inf for scale in scales):
        how = "the file says that its spectra are normalised (norm = True), without PHX headers"
        return FluxCalibration("normalised", how), unity
    return FluxCalibration("rescaled", _UNDONE), scales


def flag(value: Any) -> bool | None:
    """Return what a flag says, written as a bool, a number or a string; None for another word.

    Examples
    --------
    >>> flag(np.True_), flag("False"), flag(b"true"), flag([0]), flag("perhaps")
    (True, False, True, False, None)
    """
    values = np.atleast_1d(value)
    return _FLAGS.get(text(values[0]).lower()) if values.size == 1 else None


def _f_bol(attributes: Mapping[str, Any]) -> float:
    """Bolometric flux by the PHX headers; NaN where there are none."""
    try:
        return float(attributes["PHXLUM"]) / (4 * pi * float(attributes["PHXREFF"]) ** 2)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return nan
