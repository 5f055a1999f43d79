"""Whether the spectra of a Starfish file are raw, and what undoes their scaling if they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import pi
from typing import Any

from mixjobs.library.protocol import Rawness

# Starfish's flux of one solar luminosity at one solar radius, erg/s/cm² (its constants).
F_SUN = 6.3156e10

_UNDONE = (
    "scaled to one solar luminosity in the file; undone with its PHX headers, "
    "F_bol = PHXLUM / (4 pi PHXREFF^2), which keeps flux ratios between neighbours to a few "
    "tenths of a per cent"
)


def find_scale(
    root: Mapping[str, Any], attributes: Sequence[Mapping[str, Any]]
) -> tuple[Rawness, tuple[float, ...]]:
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
    flags = {str(a["norm"]).lower() in ("true", "1") for a in (root, *attributes) if "norm" in a}
    if not flags:
        return Rawness("unknown", "the file does not say whether its spectra are raw"), unity
    if flags == {False}:
        return Rawness("raw", "the file says so (norm = False)"), unity
    if not all("PHXLUM" in a and "PHXREFF" in a for a in attributes):
        how = "the file says that its spectra are normalised (norm = True), without PHX headers"
        return Rawness("normalised", how), unity
    f_bol = [float(a["PHXLUM"]) / (4 * pi * float(a["PHXREFF"]) ** 2) for a in attributes]
    return Rawness("rescaled", _UNDONE), tuple(f / F_SUN for f in f_bol)
