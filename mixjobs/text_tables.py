"""Text tables of wavelength ranges, such as orders or telluric bands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixjobs.errors import UnreadableFile
from mixjobs.files import read_text
from mixjobs.typing import Floats

_ANGSTROMS = {  # in one unit
    "nm": 10.0, "nanometer": 10.0, "nanometers": 10.0, "um": 1e4, "µm": 1e4, "micron": 1e4,
    "microns": 1e4, "mm": 1e7, "cm": 1e8,
} | dict.fromkeys(("å", "a", "aa", "angstrom", "angstroms", "ang"), 1.0)  # fmt: skip
# What the name of a column means; tried in this sequence, because "order_min" is a wavelength.
_MEANINGS = {
    "low": re.compile(r"min|low|(^|_)lo$|start|beg|from|first|left|blue"),
    "high": re.compile(r"max|upp|high|(^|_)hi$|stop|end|(^|_)to$|last|right|red"),
    "number": re.compile(r"ord|num|(^|_)(no|nr|m|n|id|index)$"),
}
_LAYOUTS = {2: ("low", "high"), 3: ("number", "low", "high")}  # without names


@dataclass(frozen=True)
class _Row:
    line: int
    words: list[str]

    def __str__(self) -> str:
        return f"line {self.line} is {' '.join(self.words)!r}"


def read_ranges(path: str | Path, *, numbered: bool) -> tuple[Floats | None, Floats]:
    """Read wavelength ranges from a text table.

    Columns are separated by blanks, commas or semicolons, and ``#`` starts a comment. They are the
    lower and the upper wavelength in Å, after a number if there are three. A header line may name
    them in another sequence, or with another unit, as in ``wave_min(nm)``.

    Parameters
    ----------
    path : str or Path
    numbered : bool
        Whether there may be a column of numbers.

    Returns
    -------
    number : (n,) array or None
        None if there is no such column.
    ranges : (n, 2) array
        Å; not checked.

    Raises
    ------
    UnreadableFile
        The file is not such a table.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "orders.csv")
    ...     _ = path.write_text("wave_min (nm), wave_max (nm), order\\n500, 510, 92\\n")
    ...     number, ranges = read_ranges(path, numbered=True)
    >>> number.tolist(), ranges.tolist()
    ([92.0], [[5000.0, 5100.0]])
    """
    rows = [_Row(k, _words(line)) for k, line in enumerate(read_text(path).splitlines(), 1)]
    rows = [row for row in rows if row.words]
    header = None if not rows or _is_number(rows[0].words[0]) else rows.pop(0)
    _check_rows(path, header, rows, numbered)
    table = np.array([row.words for row in rows], dtype=np.float64)
    columns = dict(zip(_meanings(path, header, table.shape[1]), table.T, strict=True))
    if header:
        for name, word in zip(columns, header.words, strict=True):
            columns[name] = columns[name] * _angstroms(path, word)
    return columns.get("number"), np.stack([columns["low"], columns["high"]], axis=1)


def _words(line: str) -> list[str]:
    content = line.partition("#")[0]
    words = [word for word in re.split(r"[\s,;]+", content) if word]
    if not all(map(_is_number, words)):  # names of columns, which may contain blanks
        joined = re.sub(r"\s*[\[(]\s*([^\])]*?)\s*[\])]", r"(\1)", content)  # units to their names
        words = [word.strip() for word in re.split(_delimiter(joined), joined)]
    return [word for word in words if word]


def _delimiter(line: str) -> str:
    return next((mark for mark in (",", ";", r"\t") if re.search(mark, line)), r"\s+")


def _check_rows(path: str | Path, header: _Row | None, rows: list[_Row], numbered: bool) -> None:
    layouts = "rows of 'number low high' or 'low high'" if numbered else "rows of 'low high'"
    expected = f"expected {layouts}: wavelengths in Å, the smaller one first"
    if not rows:
        raise UnreadableFile(f"{path}: has no rows; {expected}", path=path)
    n_columns = len(rows[0].words)
    for row in [header, *rows] if header else rows:
        numeric = row is header or all(map(_is_number, row.words))
        if not numeric or len(row.words) != n_columns or n_columns not in (2, 2 + numbered):
            words = " ".join(row.words)
            raise UnreadableFile(f"{path}: {row}; {expected}", path=path, value=words)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _meanings(path: str | Path, header: _Row | None, n_columns: int) -> tuple[str, ...]:
    """Return what each column is, from the names that are understood and the usual sequence."""
    layout = _LAYOUTS[n_columns]
    if header is None:
        return layout
    found = [_meaning(name) for name in header.words]
    left = [name for name in layout if name not in found]
    meanings = tuple(name or left.pop(0) for name in found if name or left)
    if sorted(meanings) != sorted(layout):
        raise UnreadableFile(
            f"{path}: {header}; expected the names {' '.join(layout)} in any sequence",
            path=path, value=" ".join(header.words),
        )  # fmt: skip
    return meanings


def _meaning(name: str) -> str | None:
    plain = name.lower().partition("(")[0]
    return next((key for key, words in _MEANINGS.items() if words.search(plain)), None)


def _angstroms(path: str | Path, name: str) -> float:
    """Return the number of Å in the unit that the name of a column ends with; 1 without a unit."""
    plain = name.lower()
    in_brackets, at_end = plain.partition("(")[2].rstrip(")"), plain.rpartition("_")[2]
    if in_brackets and in_brackets not in _ANGSTROMS:
        raise UnreadableFile(
            f"{path}: the unit of column {name!r} is not known; use Å, nm or um",
            path=path, name=name, value=in_brackets,
        )  # fmt: skip
    return _ANGSTROMS.get(in_brackets or at_end, 1.0)
