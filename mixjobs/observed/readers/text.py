"""Text files: columns of numbers, with or without a header line; and ECSV."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mixjobs.errors import UnreadableFile
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.headers import Header
from mixjobs.observed.readers.names import meaning
from mixjobs.observed.readers.packing import as_text, read_bytes
from mixjobs.observed.readers.tables import Column, TableContent, read_tables
from mixjobs.typing import Floats

_COMMENTS = ("#", "%", "!", "//", "\\")
_MISSING = {"", "nan", "--", "null", "none", "n/a", "na", "...", "inf", "+inf", "-inf", "-nan"}
_KEY_VALUE = re.compile(r"^\s*([A-Za-z_][\w -]{0,30}?)\s*[=:]\s*(\S.*?)\s*$")
_COMMA = re.compile(r"^[+-]?\d*,\d+([eEdD][+-]?\d+)?$")
_EXPONENT = re.compile(r"(?<=[\d.])[dD](?=[+-]?\d)")  # of Fortran
# Without names; a column more needs them.
_UNNAMED = ("wavelength", "flux", "flux_error")


class _Lines(NamedTuple):
    """A text file, divided into its parts; lines count from 1."""

    comments: list[str]
    names: list[str] | None
    rows: list[tuple[int, list[str]]]


def read_ecsv(path: Path, options: ReaderOptions) -> Content:
    """Read an ECSV table."""
    from astropy.table import Table

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            table = Table.read(as_text(read_bytes(path)).splitlines(), format="ascii.ecsv")
        except Exception as error:  # a damaged file can raise any error of YAML
            reason = " ".join(f"{error or type(error).__name__}".split())
            raise UnreadableFile(
                f"{path}: cannot be read as ECSV ({reason}); expected a table with one row per "
                "pixel: download it again or check its format",
                path=path,
            ) from None
    messages = dict.fromkeys(" ".join(str(one.message).split()) for one in caught)
    columns = [
        Column(
            name=name,
            values=np.ma.asarray(table[name]),
            unit=None if table[name].unit is None else str(table[name].unit),
            keyword=f"unit of {name}",
        )
        for name in table.colnames
    ]
    content = TableContent("", columns, list(table.meta.items()))
    return read_tables(path, [content], [], options, [f"astropy: {one}" for one in messages])


def read_text(path: Path, options: ReaderOptions) -> Content:
    """Read a text file with columns of numbers."""
    lines = _divided(path, as_text(read_bytes(path)))
    notes: list[str] = []
    table = _table(path, lines)
    if lines.names is None and not options.columns:
        names = _names_without_header(path, table.shape[1])
        notes = [f"columns without names; assumed to be {', '.join(names)}".replace("_", " ")]
    elif lines.names is None:
        names = [f"{k}" for k in range(1, table.shape[1] + 1)]
    else:
        names = lines.names
    columns = [
        Column(name=name, values=table[:, k], unit=None, keyword="the header line")
        for k, name in enumerate(names)
    ]
    content = TableContent("", columns, _header(lines.comments))
    return read_tables(path, [content], [], options, notes)


def _divided(path: Path, text: str) -> _Lines:
    """Return the comments, the names of the columns and the rows of a text file.

    Lines before the first row of numbers are comments; the last of them may name the columns.
    """
    comments: list[str] = []
    before: list[str] = []  # lines before the first row that are not marked as comments
    rows: list[tuple[int, list[str]]] = []
    for k, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith(_COMMENTS):
            comments.append(stripped.strip("".join(_COMMENTS) + " \t"))
            continue
        body = stripped.split("#")[0].strip()
        words = _words(body)
        if words and (rows or _is_row(words)):
            rows.append((k, words))
        elif words:
            before.append(body)
    rows = _without_count(rows)
    if not rows:
        raise UnreadableFile(
            f"{path}: a text file without rows of numbers; expected columns of wavelength, flux "
            "and flux error",
            path=path,
        )
    n_columns = len(rows[0][1])
    names = _names_of_ipac(before, n_columns) or _names_before(path, before, n_columns)
    return _Lines(comments, names or _names_in_comments(comments, n_columns), rows)


def _without_count(rows: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Drop a first row that counts the others, as in files of PolarBase: ``213542 5``."""
    first = rows[0][1] if rows else []
    if len(rows) > 2 and len(first) <= 2 and len(first) < len(rows[1][1]) and first[0].isdigit():
        return rows[1:] if int(first[0]) == len(rows) - 1 else rows
    return rows


def _names_before(path: Path, before: list[str], n_columns: int) -> list[str] | None:
    """Return the names in the last line before the numbers; None if it is only a title."""
    names = _header_words(before[-1]) if before else []
    known = any(meaning(name).quantity == "wavelength" for name in names)
    if known and len(names) != n_columns:
        raise UnreadableFile(
            f"{path}: {len(names)} names ({', '.join(names)}) for {n_columns} columns; "
            "expected one for each",
            path=path, name="header", value=names,
        )  # fmt: skip
    return names if len(names) == n_columns else None


def _names_of_ipac(before: list[str], n_columns: int) -> list[str] | None:
    """Return the names, with units, of an IPAC table: lines of names, types and units."""
    lines = [
        [word.strip() for word in line.strip("|").split("|")] for line in before if "|" in line
    ]
    if not lines or len(lines[0]) != n_columns:
        return None
    units = lines[2] if len(lines) > 2 and len(lines[2]) == n_columns else [""] * n_columns
    return [f"{n} ({unit})" if unit else n for n, unit in zip(lines[0], units, strict=True)]


def _words(line: str) -> list[str]:
    for delimiter in (";", "\t", ","):
        if delimiter in line:
            words = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
            return [_decimal(word.strip(), delimiter) for word in words]
    return line.split()


def _decimal(word: str, delimiter: str) -> str:
    """Return a number with a decimal point, where commas do not separate columns."""
    return word.replace(",", ".") if delimiter != "," and _COMMA.match(word) else word


def _header_words(line: str) -> list[str]:
    """Return the names in a header line, with units in brackets: ``wave (nm)  flux  err``."""
    if any(delimiter in line for delimiter in (",", ";", "\t")):
        return _words(line)
    return re.findall(r"[^\s(\[]+(?:\s*[(\[][^)\]]*[)\]])?", line)


def _number(word: str) -> float | None:
    if word.lower() in _MISSING:
        return np.nan
    try:
        return float(_EXPONENT.sub("e", word))
    except ValueError:
        return None


def _is_row(words: Sequence[str]) -> bool:
    return _number(words[0]) is not None and words[0].lower() not in _MISSING


def _names_in_comments(comments: Sequence[str], n_columns: int) -> list[str] | None:
    """Return the last comment with a name for each column, of which one is a wavelength."""
    for comment in reversed(comments):
        names = _header_words(comment)
        if len(names) == n_columns and any(
            meaning(name).quantity == "wavelength" for name in names
        ):
            return names
    return None


def _header(comments: Sequence[str]) -> Header:
    """Return what the comments declare, such as ``# medium = air``."""
    matches = [_KEY_VALUE.match(comment) for comment in comments]
    pairs = [(one[1].strip().replace(" ", "_"), one[2].strip("'\"")) for one in matches if one]
    return list(pairs)


def _table(path: Path, lines: _Lines) -> Floats:
    n_columns = len(lines.rows[0][1])
    table = np.empty((len(lines.rows), n_columns))
    for row, (line, words) in zip(table, lines.rows, strict=True):
        values = [_number(word) for word in words]
        if len(words) != n_columns or None in values:
            raise UnreadableFile(
                f"{path}: line {line} is {' '.join(words)[:60]!r}; expected {n_columns} "
                f"numbers, as in line {lines.rows[0][0]}",
                path=path, name=f"line {line}", value=words,
            )  # fmt: skip
        row[:] = [np.nan if value is None else value for value in values]
    return table


def _names_without_header(path: Path, n_columns: int) -> list[str]:
    if n_columns in (2, 3):
        return list(_UNNAMED[:n_columns])
    raise UnreadableFile(
        f"{path}: {n_columns} columns without names; expected wavelength, flux and flux error, a "
        "header line with names, or their numbers: columns = { wavelength = 1, flux = 2, "
        "flux_error = 3 }",
        path=path, name="columns", value=n_columns,
    )  # fmt: skip
