"""Masks and flags of pixels: which are to be used, by the conventions of the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mixjobs.declarations import Declaration
from mixjobs.errors import UnreadableFile
from mixjobs.observed.readers.fields import Field
from mixjobs.typing import Bools, Floats


def usable_pixels(
    path: Path,
    fields: Mapping[str, Field],
    values: Mapping[str, list[Floats]],
    extents: Sequence[slice],
    *,
    ignore_invalid: bool,
) -> tuple[list[Bools], list[Declaration], list[str]]:
    """Return the pixels to use, the declarations, and notes.

    A mask contains 1 for a pixel to use and 0 for one to ignore. Whole numbers of which some are
    neither are flags (bits), in which 0 is a good pixel; so are columns with the name of a data
    quality.

    Parameters
    ----------
    path : Path
    fields, values : mappings
        By quantity; only ``mask`` and ``flags`` are read.
    extents : sequence of M slice
        Pixels with a wavelength; the others are padding.
    ignore_invalid : bool
        Whether a mask that is none is ignored, with a note, or an error.

    Raises
    ------
    UnreadableFile
        A mask contains other numbers.
    """
    masks = [np.ones(len(one), dtype=np.bool_) for one in values["wavelength"]]
    declarations, notes = [], []
    for quantity in ("mask", "flags"):
        if quantity not in values:
            continue
        source, arrays = fields[quantity].source, values[quantity]
        inside = np.concatenate([a[part] for a, part in zip(arrays, extents, strict=True)])
        invalid = inside[~np.isin(inside, (0, 1))]
        flags = quantity == "flags" or (len(invalid) and _are_flags(inside))
        if len(invalid) and not flags:
            notes.append(_invalid(path, source, invalid[0], ignore_invalid))
            continue
        good = 0 if flags else 1
        masks = [mask & (a == good) for mask, a in zip(masks, arrays, strict=True)]
        n_used = int((inside == good).sum())
        used = f"{good} = use: {n_used} of {len(inside)} pixels are used"
        how = "read as flags, " if flags and quantity == "mask" else ""
        declarations.append(Declaration("mask", source, f"{how}{used}"))
        notes.append(f"{source}, {how}{used}")
    return masks, declarations, notes


def _are_flags(values: Floats) -> bool:
    whole = bool(np.isfinite(values).all() and (values == np.round(values)).all())
    return whole and bool((values >= 0).all()) and bool((values == 0).any())


def _invalid(path: Path, source: str, value: float, ignore: bool) -> str:
    """Return the note on a mask that is none; raise an error unless it is to be ignored."""
    if ignore:
        return (
            f"{source} is ignored because it contains {value:g}; a mask contains only 0 and 1, or "
            "flags with 0 for good pixels"
        )
    raise UnreadableFile(
        f"{path}: {source} contains {value:g}; expected 1 for pixels to use and 0 for pixels to "
        "ignore, or flags (whole numbers) with 0 for good pixels",
        path=path, name=source, value=float(value),
    )  # fmt: skip
