"""Wavelength ranges to mask, such as telluric bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from mixjobs import text_tables
from mixjobs.errors import InvalidInput, MissingFile, UnreadableFile
from mixjobs.typing import Bools, Floats
from mixjobs.units import to_value


def read_ranges(path: str | Path) -> Floats:
    """Read wavelength ranges from a text table with one row ``low high`` per range.

    Columns are separated by blanks, commas or semicolons, wavelengths are in Å, and ``#`` starts a
    comment. A header line may give another unit, as in ``low(nm)``.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    (n, 2) array
        Å.

    Raises
    ------
    MissingFile
        The file does not exist.
    UnreadableFile
        The table is empty, or a row is not two numbers, the smaller one first.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "tellurics.txt")
    ...     _ = path.write_text("# low high\\n6867 6944  # B band\\n7593 7688\\n")
    ...     read_ranges(path).tolist()
    [[6867.0, 6944.0], [7593.0, 7688.0]]
    """
    if not Path(path).is_file():
        raise MissingFile(f"{path}: no such table of wavelength ranges; check the path", path=path)
    _, ranges = text_tables.read_ranges(path, numbered=False)
    for low, high in ranges:
        try:
            check_ranges([(low, high)])
        except InvalidInput:
            raise UnreadableFile(
                f"{path}: range from {low:g} to {high:g} Å; "
                "expected two wavelengths, the smaller one first",
                path=path, value=(float(low), float(high)),
            ) from None  # fmt: skip
    return ranges


def check_ranges(ranges: ArrayLike) -> Floats:
    """Return wavelength ranges, in Å or as a quantity, as an (n, 2) array in Å.

    Raises
    ------
    InvalidInput
        They are not pairs of finite wavelengths, the smaller one first.
    """
    try:
        array = np.asarray(to_value(ranges, "Angstrom", "ranges"), dtype=np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"ranges {ranges!r}: expected pairs of wavelengths in Å", name="ranges", value=ranges
        ) from None
    if array.size == 0:
        return np.empty((0, 2))
    if array.ndim != 2 or array.shape[1] != 2:
        raise InvalidInput(
            f"ranges have shape {array.shape}; expected (n, 2): pairs (low, high)",
            name="ranges",
            value=array.shape,
        )
    for low, high in array:
        if not (0 <= low < high < np.inf):
            raise InvalidInput(
                f"range from {low:g} to {high:g} Å; "
                "expected two wavelengths, the smaller one first",
                name="ranges",
                value=(float(low), float(high)),
            )
    return array


def inside(wavelength: Floats, ranges: Floats) -> Bools:
    """Return which wavelengths (n_pixels,) lie in any of the ranges (n, 2), ends included."""
    mask: Bools = np.zeros(len(wavelength), dtype=np.bool_)
    for low, high in ranges:
        mask |= (wavelength >= low) & (wavelength <= high)
    return mask
