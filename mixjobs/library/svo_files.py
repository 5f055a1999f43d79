"""Spectra as the SVO's theoretical services write them: text with header lines, or VOTables.

A text file has two columns, wavelength and flux, below lines such as
``# teff = 3000 K (value for the effective temperature ...)`` and
``# column 1: WAVELENGTH (ANGSTROM), Wavelength in Angstrom``. In a VOTable (Ochsenbein et al. 2019,
VOTable 1.4), the parameters are elements PARAM, and the columns are elements FIELD.
"""

from __future__ import annotations

import gzip
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

import numpy as np

from mixjobs.errors import UnreadableFile
from mixjobs.parameter_names import parameter_name
from mixjobs.typing import Floats

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?"
# teff = 3000 K (value for ...); logg = 4.5 log(cm/s2) (value for ...)
_PARAMETER = re.compile(
    rf"#\s*(?P<name>[^\s=]+)\s*=\s*(?P<value>{_NUMBER})(?=\s|$)\s*(?P<unit>[^\s(]+(?:\([^)]*\))?)?"
)
_COLUMN = re.compile(
    r"#\s*column\s*(?P<number>\d+)\s*:\s*(?P<name>[^(,]*)(?:\((?P<unit>.*?)\))?\s*(?:,(?P<text>.*))?$",
    re.IGNORECASE,
)
_KEYWORD = re.compile(r"#\s*(?P<name>[^\s=]+)\s*=\s*(?P<value>\S+)")
_IN_MEDIUM = re.compile(r"\b(?:wave|lambda).*\b(?P<medium>air|vacuum)\b", re.IGNORECASE)
_WAVE_NAMES = re.compile(r"wave|lambda|^wl$|spectral", re.IGNORECASE)
_FLUX_NAMES = re.compile(r"flux|sed\b|^f_?lam", re.IGNORECASE)
_GZIP = b"\x1f\x8b"
_N_BYTES = 4096  # of a file, enough to recognise it
_HTML = re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column of a file.

    Attributes
    ----------
    name, unit, meaning : str
        As in the file; the meaning is its UCD and utype, or its description.
    """

    name: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class SvoHeader:
    """What a file states about its spectrum.

    Attributes
    ----------
    parameters : dict
        Value by name, as in the file.
    columns : tuple of two Column
        Wavelength and flux.
    indices : (int, int)
        Their positions in the table.
    keywords : tuple of (str, str)
        Keywords that may declare the medium.
    table : int or None
        Index of the table in a VOTable; None for a text file.
    """

    parameters: dict[str, float]
    columns: tuple[Column, Column]
    indices: tuple[int, int]
    keywords: tuple[tuple[str, str], ...]
    table: int | None


def is_spectrum(path: Path) -> bool:
    """Return whether a file is text or XML that begins like one of these spectra."""
    try:
        with _open(path) as stream:
            start = stream.read(_N_BYTES)
    except (OSError, EOFError):
        return False
    if b"<VOTABLE" in start:
        return True
    lines = start.decode("utf-8", "replace").splitlines()
    named = (_PARAMETER.match(line.strip()) for line in lines)
    return any(match and parameter_name(match["name"]) for match in named)


def read_header(path: Path) -> SvoHeader:
    """Read what a file states, without its spectrum.

    Raises
    ------
    UnreadableFile
        It is not such a file.
    """
    with _faults_named(path), _open(path) as stream:
        start = stream.read(_N_BYTES)
        stream.seek(0)
        if b"<VOTABLE" in start:
            return _votable_header(stream, path)
        if _HTML.match(start):
            raise ValueError("this is a page of HTML; download the spectrum again")
        return _text_header(stream, path)


def read_spectrum(path: Path) -> tuple[Floats, Floats]:
    """Read the wavelengths and fluxes of a file, in its own units: two (n_pixels,) arrays.

    The spectrum that was read last is kept, because several tasks may need it.

    Raises
    ------
    UnreadableFile
        It is not such a file, or is damaged.
    """
    with _faults_named(path):
        status = path.stat()
        return _read_spectrum(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2)
def _read_spectrum(path: Path, _size: int, _modified: int) -> tuple[Floats, Floats]:
    header = read_header(path)
    with _open(path) as stream:
        if header.table is None:
            wavelength, flux = _text_columns(stream, header.indices)
        else:
            wavelength, flux = _votable_columns(stream, header)
    for array in (wavelength, flux):
        array.setflags(write=False)
    return wavelength, flux


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    """Open a file, which may be compressed."""
    with path.open("rb") as file:
        compressed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if not compressed:
            yield file
            return
        with gzip.open(file) as stream:
            yield stream  # type: ignore[misc]


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    """Turn errors of a file's content into an error that names it."""
    try:
        yield
    except UnreadableFile:
        raise
    except Exception as error:  # astropy and the parsers raise many kinds
        reason = " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        raise UnreadableFile(
            f"{path}: not a spectrum of the SVO's services ({reason}); expected text with header "
            "lines such as '# teff = 3000 K' and two columns, or a VOTable",
            path=path,
        ) from None


def _text_header(stream: BinaryIO, path: Path) -> SvoHeader:
    parameters: dict[str, float] = {}
    columns: dict[int, Column] = {}
    keywords: list[tuple[str, str]] = []
    has_data = False
    for line in (raw.decode("utf-8", "replace").strip() for raw in stream):
        if not line:
            continue
        if not line.startswith("#"):
            has_data = True
            break
        column, parameter = _COLUMN.match(line), _PARAMETER.match(line)
        if column:
            columns[int(column["number"]) - 1] = Column(
                column["name"].strip(), column["unit"] or "", (column["text"] or "").strip()
            )
        elif parameter:
            name, unit = parameter["name"], parameter["unit"] or ""
            parameters[name] = _value(name, parameter["value"], unit, path)
        keyword, medium = _KEYWORD.match(line), _IN_MEDIUM.search(line)
        if keyword:
            keywords.append((keyword["name"], keyword["value"]))
        if medium:
            keywords.append(("medium", medium["medium"]))
    if not has_data:
        raise ValueError("it has no rows of numbers")
    indices = _find_columns([columns.get(k) for k in range(max([1, *columns]) + 1)])
    wave, flux = (columns.get(k, Column("", "", "")) for k in indices)
    return SvoHeader(_known(parameters), (wave, flux), indices, tuple(keywords), None)


def _known(parameters: dict[str, float]) -> dict[str, float]:
    if not parameters:
        raise ValueError("its header states no parameters")
    return parameters


def _value(name: str, text: str, unit: str, path: Path) -> float:
    """Return a parameter's value; Teff is converted to K, and log g to cgs."""
    value = float(text.replace("d", "e").replace("D", "e"))
    known = parameter_name(name)
    if known == "teff" and unit not in ("", "K", "Kelvin", "kelvin"):
        from astropy import units

        try:
            return float((value * units.Unit(unit)).to_value("K"))
        except (ValueError, TypeError):
            raise UnreadableFile(
                f"{path}: {name} is in {unit!r}; expected K: correct the file",
                path=path, name=name, value=unit,
            ) from None  # fmt: skip
    if known == "logg" and re.search(r"\(m[ /]", unit):
        return value + 2.0  # m/s² to cm/s²
    return value


def _find_columns(columns: Sequence[Column | None]) -> tuple[int, int]:
    """Return the positions of wavelength and flux; without names, the first two columns."""
    found = []
    for pattern, ucd, default in ((_WAVE_NAMES, "em.", 0), (_FLUX_NAMES, "phot.flu", 1)):
        matches = [
            k
            for k, column in enumerate(columns)
            if column and (column.meaning.startswith(ucd) or pattern.search(column.name))
        ]
        found.append(matches[0] if matches else default)
    if found[0] == found[1]:
        raise ValueError("it has no columns of wavelength and flux")
    return found[0], found[1]


def _text_columns(stream: BinaryIO, indices: tuple[int, int]) -> tuple[Floats, Floats]:
    text = stream.read().decode("utf-8", "replace")
    body = [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    try:
        table = np.loadtxt(body, usecols=indices, ndmin=2)
    except ValueError:  # with commas, or with Fortran's exponents
        plain = [re.sub(r"[,;]", " ", line).replace("D", "E").replace("d", "e") for line in body]
        table = np.loadtxt(plain, usecols=indices, ndmin=2)
    return np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])


def _votable_header(stream: BinaryIO, path: Path) -> SvoHeader:
    parameters: dict[str, float] = {}
    keywords: list[tuple[str, str]] = []
    fields: list[Column] = []
    table = -1
    for _, element in ElementTree.iterparse(stream, events=("start",)):
        tag, given = element.tag.rpartition("}")[2], element.attrib
        if tag == "INFO" and given.get("value") == "ERROR":
            raise ValueError("the service answered with an error; download the spectrum again")
        if tag == "TABLE":
            table, fields = table + 1, []
        elif tag == "PARAM":
            name, value = given.get("name", ""), given.get("value", "")
            keywords.append((name, value))
            is_own = not given.get("utype") or parameter_name(name)
            if is_own and re.fullmatch(_NUMBER, value.strip()):
                parameters[name] = _value(name, value.strip(), given.get("unit", ""), path)
        elif tag == "FIELD":
            meaning = given.get("ucd") or _meaning(given.get("utype", ""))
            fields.append(Column(given.get("name", ""), given.get("unit", ""), meaning))
        elif tag == "DATA" and len(fields) > 1:
            break
    else:
        raise ValueError("it has no table of wavelength and flux")
    indices = _find_columns(fields)
    if not all(_is_named(fields[k], n) for n, k in enumerate(indices)):
        names = ", ".join(field.name for field in fields)
        raise ValueError(f"its columns are {names}, not wavelength and flux")
    keywords.append(("tucd1", fields[indices[0]].meaning))
    wave, flux = (fields[k] for k in indices)
    return SvoHeader(_known(parameters), (wave, flux), indices, tuple(keywords), table)


def _meaning(utype: str) -> str:
    """Return the UCD that corresponds to the utype of IVOA's spectral data model."""
    if "SpectralAxis.Value" in utype:
        return "em.wl"
    return "phot.flux" if "FluxAxis.Value" in utype else ""


def _is_named(column: Column, position: int) -> bool:
    pattern, ucd = ((_WAVE_NAMES, "em."), (_FLUX_NAMES, "phot.flu"))[position]
    return column.meaning.startswith(ucd) or bool(pattern.search(column.name))


def _votable_columns(stream: BinaryIO, header: SvoHeader) -> tuple[Floats, Floats]:
    from astropy.io import votable

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about units and versions; what matters is checked
        tables = list(votable.parse(stream, verify="ignore").iter_tables())
    assert header.table is not None
    rows: Any = tables[header.table].array
    names = rows.dtype.names
    wavelength, flux = (
        np.ma.filled(rows[names[k]].astype(np.float64), np.nan) for k in header.indices
    )
    return np.atleast_1d(wavelength), np.atleast_1d(flux)
