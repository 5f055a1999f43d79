"""Wavelength ranges to mask, such as telluric bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput, MissingFile, UnreadableFile
from mixjobs.typing import Bools, Floats
from mixjobs.units import to_value


def read_ranges(path: str | Path) -> Floats:
    """Read wavelength ranges from a text table with one row ``low high`` per range.

    Columns are separated by blanks or commas, wavelengths are in Å, ``#`` starts a comment.

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
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, OSError) as error:
        raise UnreadableFile(
            f"{path}: not a table of wavelength ranges: {error}", path=path
        ) from None
    split = [(k, line.split("#")[0].replace(",", " ").split()) for k, line in enumerate(lines, 1)]
    rows = [_row(path, k, words) for k, words in split if words]
    if not rows:
        raise UnreadableFile(f"{path}: has no rows; expected rows of 'low high', in Å", path=path)
    return np.array(rows)


def _row(path: str | Path, line: int, words: list[str]) -> tuple[float, float]:
    try:
        low, high = map(float, words)
        check_ranges([(low, high)])
    except ValueError:
        raise UnreadableFile(
            f"{path}: line {line} is {' '.join(words)!r}; "
            "expected 'low high': two wavelengths in Å, the smaller one first",
            path=path,
            value=" ".join(words),
        ) from None
    return low, high


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
