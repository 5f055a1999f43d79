"""Contents of a file with an observed spectrum, and the pixels that are usable."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mixjobs.typing import Bools, Floats, Ints
from mixjobs.wavelengths import Medium


class Content(NamedTuple):
    """Contents of a file, in M orders; only the shapes have been checked.

    A reader of a file format is a function from a path to such a tuple.

    Attributes
    ----------
    number : (M,) int array
    numbered : bool
        Whether the file gives the numbers of its orders; otherwise they count from 0.
    wavelength : tuple of M (n_pixels,) float64 arrays
        Å.
    flux, flux_error : tuples of M (n_pixels,) float64 arrays
    masks : tuple of M (n_pixels,) float64 arrays, or None
        1 for a pixel to use.
    medium : {"air", "vacuum"} or None
    barycentric_velocity : float or None
        km/s.
    notes : tuple of str
    """

    number: Ints
    numbered: bool
    wavelength: tuple[Floats, ...]
    flux: tuple[Floats, ...]
    flux_error: tuple[Floats, ...]
    masks: tuple[Floats, ...] | None
    medium: Medium | None
    barycentric_velocity: float | None
    notes: tuple[str, ...]


def usable(content: Content) -> tuple[tuple[Bools, ...], tuple[str, ...]]:
    """Return the usable pixels of each order, (n_pixels,) bool arrays, and the notes."""
    notes = list(content.notes)
    finite = [
        np.isfinite(flux) & np.isfinite(flux_error) & (flux_error > 0)
        for flux, flux_error in zip(content.flux, content.flux_error, strict=True)
    ]
    mask = finite
    if content.masks is not None:
        values = np.concatenate(content.masks)
        invalid = values[~np.isin(values, (0, 1))]
        if len(invalid):
            notes.append(
                f"the masks dataset is ignored because it contains {invalid[0]:g}; "
                "a mask contains only 0 and 1"
            )
        else:
            mask = [ok & (use == 1) for ok, use in zip(finite, content.masks, strict=True)]
    n_invalid = sum(int((~ok).sum()) for ok in finite)
    if n_invalid:
        notes.append(f"pixels masked because the flux or its error is not usable: {n_invalid}")
    return tuple(mask), (*notes, *orders_without_pixels(content.number, mask))


def orders_without_pixels(number: Ints, mask: tuple[Bools, ...] | list[Bools]) -> list[str]:
    """Return a note that lists the orders without a usable pixel; no note if there are none."""
    empty = [str(n) for n, use in zip(number, mask, strict=True) if not use.any()]
    return [f"orders without a usable pixel: {', '.join(empty)}"] if empty else []
