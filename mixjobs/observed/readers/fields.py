"""The arrays of a file, by quantity, as the readers of formats return them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixjobs.declarations import Declaration
from mixjobs.observed.content import Frame


@dataclass(frozen=True)
class Field:
    """One quantity of a spectrum, as a file holds it.

    Parameters
    ----------
    source : str
        Such as "column FLUX" or "extension ERR".
    values : sequence of M (n_pixels,) arrays
        One per order, of any type; masked arrays where values are missing.
    unit : str or None
        As declared; None if it is not.
    keyword : str
        Keyword that declares the unit.
    """

    source: str
    values: Sequence[Any]
    unit: str | None = None
    keyword: str = "its unit"


@dataclass(frozen=True)
class Arrays:
    """The arrays of a file in M orders, by quantity, and what it declares about them.

    Parameters
    ----------
    path : Path
    fields : mapping
        From quantities (`mixjobs.observed.readers.names.QUANTITIES`) to `Field`.
    numbers : sequence of M int or None
        None if the file does not number its orders.
    header : sequence of (keyword, value)
        What may declare the medium, the unit of the wavelengths and the velocity of the Earth.
    velocity, frame
        As in `Content`.
    notes : sequence of str
    any_mask : bool
        Ignore a mask that is none, instead of refusing it.
    """

    path: Path
    fields: Mapping[str, Field]
    numbers: Sequence[int] | None = None
    header: Sequence[tuple[str, Any]] = ()
    velocity: float | None = None
    frame: Frame | None = None
    notes: Sequence[str] = ()
    declarations: Sequence[Declaration] = ()
    ignore_invalid_mask: bool = False
