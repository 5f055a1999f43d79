"""Observed spectra in tables, ECSV and FITS, a row a pixel."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import UnreadableFile
from mixjobs.observed.content import Content
from mixjobs.typing import Floats, Ints
from mixjobs.wavelengths import Medium

if TYPE_CHECKING:
    from astropy.table import Column, Table


ECSV = (".ecsv",)
FITS = (".fits", ".fit", ".fits.gz", ".fit.gz")

_SPELLINGS = {
    "wavelength": ("wavelength", "wave", "wl", "lambda"),
    "flux": ("flux",),
    "flux_error": ("sigma", "error", "err", "uncertainty", "flux_error", "flux_err"),
    "mask": ("mask",),
    "order": ("order",),
}
_NEEDED = ("wavelength", "flux", "flux_error")


def is_table(path: Path) -> bool:
    """Whether a file's ending is that of a table."""
    return path.name.lower().endswith((*ECSV, *FITS))


def read_table(path: Path) -> Content:
    """Read a table; what is taken from it is in `mixjobs.observed.open_spectrum`."""
    table, header, notes = _read(path)
    if not len(table):
        raise UnreadableFile(f"{path}: the table has no rows; expected a row a pixel")
    columns = _columns(path, table)
    values = {name: _values(path, column) for name, column in columns.items() if name != "order"}
    _check_units(path, columns["flux"], columns["flux_error"])
    wavelength, said = _in_angstrom(path, columns["wavelength"], values["wavelength"])
    number, rows = _rows(path, columns.get("order"), len(table))
    masks = _mask(path, columns["mask"].name, values["mask"]) if "mask" in columns else None
    return Content(
        number=number,
        numbered="order" in columns,
        wavelength=tuple(wavelength[at] for at in rows),
        flux=tuple(values["flux"][at] for at in rows),
        flux_error=tuple(values["flux_error"][at] for at in rows),
        masks=None if masks is None else tuple(masks[at] for at in rows),
        medium=_medium(path, header),
        barycentric_velocity=_barycentric_velocity(path, header),
        notes=(*notes, *said, *_mask_note(columns.get("mask"), masks)),
    )


def _read(path: Path) -> tuple[Table, list[tuple[str, Any]], list[str]]:
    """Read the table, what is said of it, and what astropy warned of."""
    from astropy.io import fits
    from astropy.table import Table

    ecsv = path.name.lower().endswith(ECSV)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if ecsv:
                table = Table.read(path, format="ascii.ecsv")
            else:
                table = Table.read(path, format="fits", memmap=False)
            header = list(table.meta.items())
            if not ecsv:
                header += list(fits.getheader(path, 0).items())
        except Exception as error:  # on damage: whatever YAML, zlib and FITS have
            reason = " ".join(f"{error or type(error).__name__}".split())
            raise UnreadableFile(
                f"{path}: cannot be read as {'ECSV' if ecsv else 'a FITS table'} ({reason}); "
                "expected a table with a row a pixel, get it again or check its format"
            ) from None
    said = [" ".join(str(warning.message).split()) for warning in caught]
    return table, header, [f"astropy: {text}" for text in dict.fromkeys(said)]


def _columns(path: Path, table: Table) -> dict[str, Column]:
    """The columns by what they are, whichever way their names are spelled."""
    columns: dict[str, Column] = {}
    for name, spellings in _SPELLINGS.items():
        found = [column for column in table.colnames if column.lower() in spellings]
        if len(found) > 1:
            raise UnreadableFile(
                f"{path}: the columns {' and '.join(found)} could each be the {name.replace('_', ' ')}; "
                "expected one of them, rename the others"
            )
        if not found and name in _NEEDED:
            raise UnreadableFile(
                f"{path}: no column of {name.replace('_', ' ')}: it has {', '.join(table.colnames)}; "
                f"expected one named {' or '.join(spellings)}"
            )
        if found:
            columns[name] = table[found[0]]
    return columns


def _values(path: Path, column: Column) -> Floats:
    """A column as float64, NaN where the table has no value."""
    held: NDArray[Any] = np.ma.asarray(column)
    if held.ndim != 1 or held.dtype.kind not in "biuf":
        raise UnreadableFile(
            f"{path}: column {column.name} holds {held.dtype.name} of shape {held.shape}; "
            "expected one real number a row"
        )
    filled: Floats = np.asarray(np.ma.filled(held.astype(np.float64), np.nan))  # not a Column
    return filled


def _in_angstrom(path: Path, column: Column, values: Floats) -> tuple[Floats, list[str]]:
    from astropy import units

    if column.unit is None:
        return values, ["the wavelengths have no unit and are taken as Å"]
    try:
        converted: Floats = np.asarray(units.Quantity(values, column.unit).to_value(units.AA))
    except (units.UnitsError, TypeError, ValueError):
        raise UnreadableFile(
            f"{path}: column {column.name} is in {str(column.unit)!r}; "
            "expected a unit of length, such as Angstrom or nm: correct the file"
        ) from None
    return converted, []


def _check_units(path: Path, flux: Column, flux_error: Column) -> None:
    if flux.unit is not None and flux_error.unit is not None and flux.unit != flux_error.unit:
        raise UnreadableFile(
            f"{path}: {flux.name} is in {str(flux.unit)!r} and {flux_error.name} in "
            f"{str(flux_error.unit)!r}; expected the same unit: convert one of them"
        )


def _rows(path: Path, column: Column | None, n_rows: int) -> tuple[Ints, list[Ints]]:
    """Numbers of the orders, ascending, and the rows of each."""
    if column is None:
        return np.zeros(1, dtype=np.int64), [np.arange(n_rows)]
    held: NDArray[Any] = np.ma.asarray(column)
    missing = bool(np.ma.getmaskarray(held).any())
    if held.ndim != 1 or held.dtype.kind not in "iu" or missing:
        kind = "rows without a value" if missing else f"{held.dtype.name} of shape {held.shape}"
        raise UnreadableFile(
            f"{path}: column {column.name} holds {kind}; expected a whole number a row"
        )
    order = np.asarray(held).astype(np.int64)
    number = np.unique(order)
    return number, [np.flatnonzero(order == n) for n in number]


def _mask(path: Path, name: str, values: Floats) -> Floats:
    stray = values[~np.isin(values, (0, 1))]
    if len(stray):
        raise UnreadableFile(
            f"{path}: column {name} holds {stray[0]:g}; expected 1 for a pixel to use and 0 for "
            "one to leave out, in every row"
        )
    return values


def _mask_note(column: Column | None, masks: Floats | None) -> list[str]:
    if column is None or masks is None:
        return []
    used = int(masks.sum())
    return [f"column {column.name}, 1 = use: {used} of {len(masks)} pixels are used"]


def _said(header: list[tuple[str, Any]], *names: str) -> list[tuple[str, Any]]:
    """What the table says under any of the names, in any case."""
    return [(key, value) for key, value in header if str(key).lower() in names]


def _medium(path: Path, header: list[tuple[str, Any]]) -> Medium | None:
    media: dict[str, Medium] = {"air": "air", "vacuum": "vacuum"}
    found: set[Medium] = set()
    for key, value in _said(header, "medium"):
        medium = media.get(str(value).strip().lower())
        if medium is None:
            raise UnreadableFile(f"{path}: its {key} is {value!r}; expected air or vacuum")
        found.add(medium)
    if len(found) > 1:
        raise UnreadableFile(f"{path}: says both air and vacuum; expected one, correct the file")
    return found.pop() if found else None


def _barycentric_velocity(path: Path, header: list[tuple[str, Any]]) -> float | None:
    from astropy import units

    found: set[float] = set()
    for key, value in _said(header, "barycentric_velocity", "bcv"):
        try:
            velocity = float(units.Quantity(value, "km/s").value)
        except (units.UnitsError, TypeError, ValueError):
            velocity = np.nan
        if not np.isfinite(velocity):
            raise UnreadableFile(f"{path}: its {key} is {value!r}; expected a velocity in km/s")
        found.add(velocity)
    if len(found) > 1:
        both = " and ".join(f"{velocity:g}" for velocity in sorted(found))
        raise UnreadableFile(
            f"{path}: has the barycentric velocities {both} km/s; expected one, correct the file"
        )
    return found.pop() if found else None
