"""Contents of a file with an observed spectrum, and the pixels that are usable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from mixjobs.declarations import Declaration
from mixjobs.errors import InvalidInput
from mixjobs.typing import Bools, Floats, Ints
from mixjobs.wavelengths import MEDIA, Medium

Frame = Literal["barycentric", "topocentric"]


@dataclass(frozen=True)
class ReaderOptions:
    """What a user says about a file, beyond what the file declares.

    Attributes
    ----------
    columns : mapping
        Names or numbers of the columns, extensions or datasets of each quantity, such as
        ``{"wavelength": "LAM", "flux": "F1", "flux_error": "E1"}``; `mixjobs.open_spectrum` lists
        the quantities.
    wavelength_unit : str or None
        Unit of the wavelengths.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths.
    snr : float or None
        Signal-to-noise ratio per pixel at the median flux of each order, for a file without flux
        errors.
    format : str or None
        ``"specutils"`` reads the file with the loaders of specutils.
    errors_needed : bool
        Whether a file without flux errors is refused; without them, they are NaN.
    """

    columns: Mapping[str, str | int] = field(default_factory=dict)
    wavelength_unit: str | None = None
    medium: Medium | None = None
    snr: float | None = None
    format: str | None = None
    errors_needed: bool = True

    def __post_init__(self) -> None:
        if self.medium not in (None, *MEDIA):
            raise _invalid("medium", self.medium, "'air' or 'vacuum'")
        if self.format not in (None, "specutils"):
            raise _invalid("format", self.format, "'specutils', or none to find the format")
        if self.snr is not None and not (_is_number(self.snr) and 0 < self.snr < np.inf):
            raise _invalid("snr", self.snr, "a positive number")
        if not isinstance(self.columns, Mapping):
            example = '{"wavelength": "LAM", "flux": "F1", "flux_error": "E1"}'
            raise _invalid("columns", self.columns, f"a mapping such as {example}")
        if self.wavelength_unit is not None and not isinstance(self.wavelength_unit, str):
            raise _invalid("wavelength_unit", self.wavelength_unit, "a unit such as 'nm'")


def _invalid(name: str, value: object, expected: str) -> InvalidInput:
    return InvalidInput(f"{name} = {value!r}; expected {expected}", name=name, value=value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


class Content(NamedTuple):
    """Contents of a file, in M orders; only the shapes have been checked.

    A reader of a file format is a function from a path and options to such a tuple.

    Attributes
    ----------
    number : (M,) int array
    numbered : bool
        Whether the file gives the numbers of its orders; otherwise they count from 0.
    wavelength : tuple of M (n_pixels,) float64 arrays
        Å.
    flux, flux_error : tuples of M (n_pixels,) float64 arrays
    masks : tuple of M (n_pixels,) bool arrays, or None
        True for a pixel to use.
    medium : {"air", "vacuum"} or None
    barycentric_velocity : float or None
        km/s.
    notes : tuple of str
    declarations : tuple of Declaration
        What was used for each quantity.
    frame : {"barycentric", "topocentric"} or None
        Whether the wavelengths are corrected for the motion of the Earth; None if unknown.
    """

    number: Ints
    numbered: bool
    wavelength: tuple[Floats, ...]
    flux: tuple[Floats, ...]
    flux_error: tuple[Floats, ...]
    masks: tuple[Bools, ...] | None
    medium: Medium | None
    barycentric_velocity: float | None
    notes: tuple[str, ...]
    declarations: tuple[Declaration, ...] = ()
    frame: Frame | None = None


def usable(content: Content) -> tuple[tuple[Bools, ...], tuple[str, ...]]:
    """Return the usable pixels of each order, (n_pixels,) bool arrays, and the notes."""
    notes = list(content.notes)
    mask = finite = [
        np.isfinite(flux) & np.isfinite(flux_error) & (flux_error > 0)
        for flux, flux_error in zip(content.flux, content.flux_error, strict=True)
    ]
    if content.masks is not None:
        mask = [ok & use for ok, use in zip(finite, content.masks, strict=True)]
    n_invalid = sum(int((~ok).sum()) for ok in finite)
    if n_invalid:
        notes.append(f"pixels masked because the flux or its error is not usable: {n_invalid}")
    return tuple(mask), (*notes, *orders_without_pixels(content.number, mask))


def orders_without_pixels(number: Ints, mask: Sequence[Bools]) -> list[str]:
    """Return a note that lists the orders without a usable pixel; no note if there are none."""
    empty = [str(n) for n, use in zip(number, mask, strict=True) if not use.any()]
    return [f"orders without a usable pixel: {', '.join(empty)}"] if empty else []
