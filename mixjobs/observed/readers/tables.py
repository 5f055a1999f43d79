"""Observed spectra in ECSV and FITS tables with one row per pixel."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import UnreadableFile
from mixjobs.observed.content import Content
from mixjobs.typing import Floats, Ints
from mixjobs.units import declared_medium

if TYPE_CHECKING:
    from astropy.table import Column, Table


_ECSV = ".ecsv"
ENDINGS = (_ECSV, ".fits", ".fit", ".fits.gz", ".fit.gz")

_SPELLINGS = {
    "wavelength": ("wavelength", "wave", "wl", "lambda"),
    "flux": ("flux",),
    "flux_error": ("sigma", "error", "err", "uncertainty", "flux_error", "flux_err"),
    "mask": ("mask",),
    "order": ("order",),
}
_REQUIRED = ("wavelength", "flux", "flux_error")

Header = list[tuple[str, Any]]


def read_table(path: Path) -> Content:
    """Read a table; `mixjobs.open_spectrum` describes its columns."""
    table, header, warning_notes = _read(path)
    if not len(table):
        raise UnreadableFile(
            f"{path}: the table has no rows; expected one row per pixel", path=path
        )
    columns = _columns(path, table)
    values = {name: _values(path, column) for name, column in columns.items() if name != "order"}
    _check_units(path, columns["flux"], columns["flux_error"])
    wavelength, unit_notes = _in_angstrom(path, columns["wavelength"], values["wavelength"])
    number, rows = _rows(path, columns.get("order"), len(table))
    masks = _mask(path, columns["mask"].name, values["mask"]) if "mask" in columns else None
    return Content(
        number=number,
        numbered="order" in columns,
        wavelength=tuple(wavelength[index] for index in rows),
        flux=tuple(values["flux"][index] for index in rows),
        flux_error=tuple(values["flux_error"][index] for index in rows),
        masks=None if masks is None else tuple(masks[index] for index in rows),
        medium=declared_medium(_entries(header, "medium"), path),
        barycentric_velocity=_barycentric_velocity(path, header),
        notes=(*warning_notes, *unit_notes, *_mask_note(columns.get("mask"), masks)),
    )


def _read(path: Path) -> tuple[Table, Header, list[str]]:
    """Return the table, the entries of its header, and a note for each warning of astropy."""
    from astropy.io import fits
    from astropy.table import Table

    ecsv = path.name.lower().endswith(_ECSV)
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
        except Exception as error:  # a damaged file can raise any error of YAML, zlib or FITS
            reason = " ".join(f"{error or type(error).__name__}".split())
            raise UnreadableFile(
                f"{path}: cannot be read as {'ECSV' if ecsv else 'a FITS table'} ({reason}); "
                "expected a table with one row per pixel: download it again or check its format",
                path=path,
            ) from None
    messages = [" ".join(str(warning.message).split()) for warning in caught]
    return table, header, [f"astropy: {message}" for message in dict.fromkeys(messages)]


def _columns(path: Path, table: Table) -> dict[str, Column]:
    """Return the columns by their meaning, whatever the spelling of their names."""
    columns: dict[str, Column] = {}
    for name, spellings in _SPELLINGS.items():
        meaning = name.replace("_", " ")
        matches = [column for column in table.colnames if column.lower() in spellings]
        if len(matches) > 1:
            raise UnreadableFile(
                f"{path}: the columns {' and '.join(matches)} could each be the {meaning}; "
                "expected only one of them: rename or remove the others",
                path=path, name=name, value=matches,
            )  # fmt: skip
        if not matches and name in _REQUIRED:
            raise UnreadableFile(
                f"{path}: no column for the {meaning} among {', '.join(table.colnames)}; "
                f"expected one named {' or '.join(spellings)}",
                path=path, name=name, value=list(table.colnames),
            )  # fmt: skip
        if matches:
            columns[name] = table[matches[0]]
    return columns


def _values(path: Path, column: Column) -> Floats:
    """Return a column as float64, with NaN for missing values."""
    masked: NDArray[Any] = np.ma.asarray(column)
    if masked.ndim != 1 or masked.dtype.kind not in "biuf":
        raise UnreadableFile(
            f"{path}: column {column.name} contains {masked.dtype.name} of shape {masked.shape}; "
            "expected one real number per row",
            path=path, name=column.name, value=masked.shape,
        )  # fmt: skip
    filled: Floats = np.asarray(np.ma.filled(masked.astype(np.float64), np.nan))  # not a Column
    return filled


def _in_angstrom(path: Path, column: Column, values: Floats) -> tuple[Floats, list[str]]:
    """Return wavelengths in Å, and a note if their unit is assumed."""
    from astropy import units

    if column.unit is None:
        return values, ["the wavelengths have no unit; assumed to be in Å"]
    try:
        converted: Floats = np.asarray(units.Quantity(values, column.unit).to_value(units.AA))
    except (units.UnitsError, TypeError, ValueError):
        raise UnreadableFile(
            f"{path}: column {column.name} has the unit {str(column.unit)!r}; "
            "expected a unit of length, such as Angstrom or nm: correct the file",
            path=path, name=column.name, value=str(column.unit),
        ) from None  # fmt: skip
    return converted, []


def _check_units(path: Path, flux: Column, flux_error: Column) -> None:
    if flux.unit is not None and flux_error.unit is not None and flux.unit != flux_error.unit:
        raise UnreadableFile(
            f"{path}: {flux.name} is in {str(flux.unit)!r} and {flux_error.name} in "
            f"{str(flux_error.unit)!r}; expected the same unit: convert one of them",
            path=path, name=flux_error.name, value=str(flux_error.unit),
        )  # fmt: skip


def _rows(path: Path, column: Column | None, n_rows: int) -> tuple[Ints, list[Ints]]:
    """Return the numbers of the orders, ascending, and the table rows of each."""
    if column is None:
        return np.zeros(1, dtype=np.int64), [np.arange(n_rows)]
    masked: NDArray[Any] = np.ma.asarray(column)
    missing = bool(np.ma.getmaskarray(masked).any())
    if masked.ndim != 1 or masked.dtype.kind not in "iu" or missing:
        typed = f"{masked.dtype.name} of shape {masked.shape}"
        raise UnreadableFile(
            f"{path}: column {column.name} contains {'missing values' if missing else typed}; "
            "expected one whole number per row",
            path=path, name=column.name,
        )  # fmt: skip
    order = np.asarray(masked).astype(np.int64)
    number = np.unique(order)
    return number, [np.flatnonzero(order == n) for n in number]


def _mask(path: Path, name: str, values: Floats) -> Floats:
    invalid = values[~np.isin(values, (0, 1))]
    if len(invalid):
        raise UnreadableFile(
            f"{path}: column {name} contains {invalid[0]:g}; expected 1 for pixels to use and 0 "
            "for pixels to ignore, in every row",
            path=path, name=name, value=float(invalid[0]),
        )  # fmt: skip
    return values


def _mask_note(column: Column | None, masks: Floats | None) -> list[str]:
    if column is None or masks is None:
        return []
    used = int(masks.sum())
    return [f"column {column.name}, 1 = use: {used} of {len(masks)} pixels are used"]


def _entries(header: Header, *names: str) -> Header:
    """Return the entries of a header with any of these names, in any case."""
    return [(key, value) for key, value in header if str(key).lower() in names]


def _barycentric_velocity(path: Path, header: Header) -> float | None:
    from astropy import units

    velocities: set[float] = set()
    for key, value in _entries(header, "barycentric_velocity", "bcv"):
        try:
            velocity = float(units.Quantity(value, "km/s").value)
        except (units.UnitsError, TypeError, ValueError):
            velocity = np.nan
        if not np.isfinite(velocity):
            raise UnreadableFile(
                f"{path}: {key} is {value!r}; expected a velocity in km/s",
                path=path, name=str(key), value=value,
            )  # fmt: skip
        velocities.add(velocity)
    if len(velocities) > 1:
        both = " and ".join(f"{velocity:g}" for velocity in sorted(velocities))
        raise UnreadableFile(
            f"{path}: declares two barycentric velocities, {both} km/s; "
            "expected one: correct the file",
            path=path, name="barycentric_velocity", value=sorted(velocities),
        )  # fmt: skip
    return velocities.pop() if velocities else None
