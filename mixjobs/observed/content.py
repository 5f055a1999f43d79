"""What the file of an observed spectrum holds, whatever its format, and whether it can be used."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mixjobs.errors import OrderError
from mixjobs.typing import Bools, Floats, Ints
from mixjobs.wavelengths import Medium


class Content(NamedTuple):
    """What a file holds, unchecked but for shape; a format is one function from a path to it.

    The arrays of M orders are float64, (n_pixels,) each; `wavelength` is in Å.
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


def check_wavelength(path: Path, number: int, wave: Floats) -> None:
    """Refuse wavelengths of an order that are not finite, positive and strictly ascending."""
    bad = np.flatnonzero(~(np.isfinite(wave) & (wave > 0)))
    if len(bad):
        raise OrderError(
            f"{path}: order {number} has the wavelength {wave[bad[0]]:g} at pixel {bad[0]}; "
            "expected finite, positive values in Å; cut such pixels out of the file"
        )
    back = np.flatnonzero(np.diff(wave) <= 0)
    if len(back):
        first, second = wave[back[0]], wave[back[0] + 1]
        fault = "repeats the wavelength" if first == second else "does not ascend: it goes from"
        values = f"{first:.10g}" if first == second else f"{first:.10g} to {second:.10g}"
        raise OrderError(
            f"{path}: order {number} {fault} {values} Å at pixel {back[0] + 1}; "
            "expected strictly ascending wavelengths; sort each order's pixels"
        )


def usable(content: Content) -> tuple[tuple[Bools, ...], tuple[str, ...]]:
    """Return the pixels to use, order by order, and notes of what was noticed on the way."""
    notes = list(content.notes)
    sound = [
        np.isfinite(flux) & np.isfinite(flux_error) & (flux_error > 0)
        for flux, flux_error in zip(content.flux, content.flux_error, strict=True)
    ]
    mask = sound
    if content.masks is not None:
        held = np.concatenate(content.masks)
        stray = held[~np.isin(held, (0, 1))]
        if len(stray):
            notes.append(
                f"the masks dataset is not a mask and is ignored: it holds {stray[0]:g}; "
                "a mask holds only 0 and 1"
            )
        else:
            mask = [one & (use == 1) for one, use in zip(sound, content.masks, strict=True)]
    unsound = sum(int((~one).sum()) for one in sound)
    if unsound:
        notes.append(f"pixels masked because the flux or its error is not usable: {unsound}")
    return tuple(mask), (*notes, *unused(content.number, mask))


def unused(number: Ints, mask: tuple[Bools, ...] | list[Bools]) -> list[str]:
    """Return a note of the orders that have no pixel to use, if there are any."""
    empty = [str(n) for n, use in zip(number, mask, strict=True) if not use.any()]
    return [f"orders without a pixel to use: {', '.join(empty)}"] if empty else []
