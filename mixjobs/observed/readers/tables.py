"""Tables of any format: a row per pixel, a row per order, a row of arrays, or a table per order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mixjobs.declarations import Declaration, error_factor
from mixjobs.display import counted
from mixjobs.errors import UnreadableFile
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.assembly import assemble
from mixjobs.observed.readers.fields import Arrays, Field
from mixjobs.observed.readers.headers import (
    Header,
    barycentric_velocity,
    distinct,
    number_in_name,
    reference_frame,
    whole_numbers,
)
from mixjobs.observed.readers.names import check_columns, find_quantities, meaning

MAX_OVERLAP = 0.9  # of the shorter of two orders; more is the same spectrum twice

# Data models of the IVOA under TUTYP (Spectrum 1.1, section 3), without their prefix.
_UTYPES = {
    "spectralaxis.value": "wavelength", "fluxaxis.value": "flux",
    "fluxaxis.accuracy.staterror": "flux_error", "fluxaxis.accuracy.qualitystatus": "flags",
}  # fmt: skip
_UTYPE = re.compile(r"^(?:spec|spectrum)[:.](?:spectrum\.)?(?:data\.)?(.*)$")


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    name : str
    values : (n_rows, ...) array
        Of any type; objects are arrays of different length.
    unit : str or None
        As declared.
    keyword : str
        What declares it.
    axis : tuple of (keyword, value)
        What else the file declares about it, such as TCTYP or TUCD.
    quantity : str or None
        What the file declares it to be, as TUTYP does.
    """

    name: str
    values: Any
    unit: str | None = None
    keyword: str = "its unit"
    axis: tuple[tuple[str, Any], ...] = ()
    quantity: str | None = None


@dataclass(frozen=True)
class TableContent:
    """A table, and what its own header declares.

    Attributes
    ----------
    name : str
        Of its extension; its number if it has none.
    columns : sequence of Column
    header : list of (keyword, value)
    """

    name: str
    columns: Sequence[Column]
    header: Header

    @property
    def label(self) -> str:
        """The table, for a message."""
        return f"table {self.name}".strip()

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [column.name for column in self.columns]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.columns[0].values) if self.columns else 0


def quantity_of_utype(utype: str) -> str | None:
    """Return the quantity that a data model of the virtual observatory names.

    Examples
    --------
    >>> quantity_of_utype("spec:Data.FluxAxis.Value"), quantity_of_utype("eso:Data.FluxAxis.Value")
    ('flux', None)
    """
    match = _UTYPE.match(utype.strip().lower())
    return _UTYPES.get(match[1]) if match else None


class _Orders(NamedTuple):
    """The orders of one table."""

    fields: Mapping[str, Field]
    numbers: list[int] | None
    source: str


def read_tables(
    path: Path,
    tables: Sequence[TableContent],
    header: Header,
    options: ReaderOptions,
    notes: Sequence[str] = (),
) -> Content:
    """Read a spectrum from one table, or from several with one order each.

    Parameters
    ----------
    path : Path
    tables : sequence of TableContent
    header : list of (keyword, value)
        Of the whole file.
    options : ReaderOptions
    notes : sequence of str

    Raises
    ------
    UnreadableFile
        A column is missing, or cannot be read.
    """
    parts = [_orders(path, table, options) for table in tables]
    numbers, source = _numbers(tables, parts)
    first = parts[0].fields
    _check_distinct(path, tables, parts)
    for table, part in zip(tables, parts, strict=True):
        if list(part.fields) != list(first) or _units(part) != _units(parts[0]):
            raise UnreadableFile(
                f"{path}: {table.label} has other columns or units than {tables[0].label}; "
                "expected the same in the table of each order, or give the table, as in "
                "columns = { extension = 1 }",
                path=path, name=table.label,
            )  # fmt: skip
    fields = {
        name: Field(
            one.source,
            [v for part in parts for v in part.fields[name].values],
            one.unit,
            one.keyword,
        )
        for name, one in first.items()
    }
    wavelength = _wavelength_column(path, tables[0], options)
    whole = [*header, *(entry for table in tables for entry in table.header)]
    frame, frame_declarations = reference_frame(whole)
    orders = [Declaration("orders", source, counted(len(numbers), "order"))] if numbers else []
    return assemble(
        Arrays(
            path=path,
            fields=fields,
            numbers=numbers,
            header=[*whole, *wavelength.axis, *_medium_of_name(wavelength)],
            velocity=barycentric_velocity(path, whole),
            frame=frame,
            notes=notes,
            declarations=[*orders, *frame_declarations],
        ),
        options,
    )


def _numbers(
    tables: Sequence[TableContent], parts: Sequence[_Orders]
) -> tuple[list[int] | None, str]:
    """Return the numbers of the orders and what gives them; None if nothing does."""
    if len(parts) == 1:
        return parts[0].numbers, parts[0].source
    own = [part.numbers for part in parts]
    if all(numbers is not None for numbers in own):
        listed = distinct([n for numbers in own for n in numbers or []])
        if listed:
            return listed, parts[0].source
    named = distinct([number_in_name(table.name) for table in tables])
    single = all(len(part.fields["wavelength"].values) == 1 for part in parts)
    return (named, "names of the extensions") if named and single else (None, "")


def _check_distinct(path: Path, tables: Sequence[TableContent], parts: Sequence[_Orders]) -> None:
    """Refuse tables of the same wavelengths: they are not orders of one spectrum."""
    ranges = [_range(part) for part in parts] if len(parts) > 1 else []
    for k, (low, high) in enumerate(ranges):
        for n, (start, stop) in enumerate(ranges[:k]):
            shorter = min(high - low, stop - start)
            if min(high, stop) - max(low, start) > MAX_OVERLAP * shorter:
                listed = ", ".join(table.label for table in tables[:6])
                raise UnreadableFile(
                    f"{path}: {tables[n].label} and {tables[k].label} cover the same range; "
                    f'give the one to read, as in columns = {{ extension = "{tables[n].name}" }} '
                    f"(tables: {listed})",
                    path=path, name="extension", value=[table.label for table in tables],
                )  # fmt: skip


def _range(part: _Orders) -> tuple[float, float]:
    valid = [np.ma.filled(np.ma.asarray(one, dtype=np.float64), np.nan) for one in
             part.fields["wavelength"].values]  # fmt: skip
    flat = np.concatenate(valid)
    flat = flat[np.isfinite(flat) & (flat > 0)]
    return (float(flat.min()), float(flat.max())) if flat.size else (np.nan, np.nan)


def _units(part: _Orders) -> list[str | None]:
    return [one.unit for one in part.fields.values()]


def _wavelength_column(path: Path, table: TableContent, options: ReaderOptions) -> Column:
    return table.columns[_quantities(path, table, options)["wavelength"]]


def _medium_of_name(column: Column) -> Header:
    medium = meaning(column.name).medium
    return [("medium", medium)] if medium else []


def _quantities(path: Path, table: TableContent, options: ReaderOptions) -> dict[str, int]:
    known = {column.name: column.quantity for column in table.columns if column.quantity}
    return find_quantities(path, table.names, check_columns(options.columns), "column", known=known)


def _orders(path: Path, table: TableContent, options: ReaderOptions) -> _Orders:
    """Return the orders of a table, whatever its layout."""
    index = _quantities(path, table, options)
    _check_found(path, table, index, options)
    if not table.n_rows:
        raise UnreadableFile(
            f"{path}: the table has no rows; expected one row per pixel, or one per order",
            path=path,
        )
    columns = {name: table.columns[k] for name, k in index.items()}
    cells = {name: _cells(path, column) for name, column in columns.items()}
    n_cells = {name: None if one is None else len(one) for name, one in cells.items()}
    if n_cells["wavelength"] == 1:  # one row of arrays
        squeezed = {
            name: column._replace(values=_first(column)) for name, column in columns.items()
        }
        return _a_row_per_pixel(path, squeezed)
    if n_cells["wavelength"] is None:
        wrong = [name for name, n in n_cells.items() if n is not None]
    else:
        wrong = [name for name, n in n_cells.items() if n is None and name != "order"]
    if wrong:
        raise UnreadableFile(
            f"{path}: column {columns[wrong[0]].name} and column {columns['wavelength'].name} have "
            "different shapes; expected a number in every row (pixel), or an array in every row "
            "(order)",
            path=path, name=columns[wrong[0]].name,
        )  # fmt: skip
    return (
        _a_row_per_pixel(path, columns)
        if cells["wavelength"] is None
        else _a_row_per_order(path, columns, cells)
    )


def _cells(path: Path, column: Column) -> list[Any] | None:
    """Return the arrays in the cells of a column; None if its cells are numbers or text."""
    values = np.ma.asarray(column.values)
    if values.dtype == object:
        arrays = [np.ma.asarray(cell) for cell in values.ravel()]
        return arrays if arrays and all(cell.ndim == 1 for cell in arrays) else None
    if values.ndim == 1:
        return None
    if values.ndim == 3 and len(values) == 1:  # one row, with all orders
        values = values[0]
    if values.ndim != 2:
        raise UnreadableFile(
            f"{path}: column {column.name} has shape {values.shape}; expected a number per row "
            "(pixel), or an array of pixels per row (order)",
            path=path, name=column.name, value=values.shape,
        )  # fmt: skip
    return list(values)


def _first(column: Column) -> Any:
    """Return the array in the only cell of a column; an array of one number if it is a number."""
    values = np.ma.asarray(column.values)
    return np.ma.asarray(values.ravel()[0]) if values.dtype == object else values.reshape(-1)


def _a_row_per_pixel(path: Path, columns: Mapping[str, Column]) -> _Orders:
    columns = dict(columns)
    order = columns.pop("order", None)
    n_rows = len(columns["wavelength"].values)
    rows: list[Any] = [np.arange(n_rows)]
    numbers = None
    if order is not None:
        number = np.array(whole_numbers(path, f"column {order.name}", order.values))
        number = np.resize(number, n_rows) if len(number) == 1 else number
        numbers = np.unique(number).tolist()
        rows = [np.flatnonzero(number == n) for n in numbers]
    fields = {
        name: _field(path, column, [np.ma.asarray(column.values)[index] for index in rows])
        for name, column in columns.items()
    }
    return _Orders(fields, numbers, f"column {order.name}" if order else "")


def _a_row_per_order(
    path: Path, columns: Mapping[str, Column], cells: Mapping[str, list[Any] | None]
) -> _Orders:
    order, numbers = columns.get("order"), None
    if order is not None:
        values = np.ma.asarray(order.values).reshape(-1)
        numbers = distinct(whole_numbers(path, f"column {order.name}", values))
    fields = {
        name: _field(path, columns[name], arrays)
        for name, arrays in cells.items()
        if arrays is not None and name != "order"
    }
    if numbers is not None and len(numbers) != len(fields["wavelength"].values):
        numbers = None
    return _Orders(fields, numbers, f"column {order.name}" if order else "")


def _field(path: Path, column: Column, arrays: Sequence[Any]) -> Field:
    """Return a quantity, with the unit that its column or the name of its column declares."""
    unit, keyword, told = column.unit, column.keyword, meaning(column.name).unit
    if told and not (unit or "").strip():
        unit, keyword = told, f"the name {column.name}"
    elif told and unit and told.startswith("log"):
        unit = unit if unit.lower().startswith(("log", "dex", "ln")) else f"log10({unit})"
    elif told and unit and told.lower() != unit.lower() and error_factor(told, unit) != 1:
        raise UnreadableFile(
            f"{path}: column {column.name} has the unit {unit!r}; its name and its unit contradict "
            "each other: correct the file",
            path=path, name=column.name, value=unit,
        )  # fmt: skip
    return Field(f"column {column.name}", list(arrays), (unit or "").strip() or None, keyword)


def _check_found(
    path: Path, table: TableContent, index: Mapping[str, int], options: ReaderOptions
) -> None:
    needed = ("wavelength", "flux") if options.errors_needed else ("wavelength",)
    for quantity in needed:
        if quantity not in index:
            listed = ", ".join(table.names[:12]) + ("..." if len(table.names) > 12 else "")
            raise UnreadableFile(
                f"{path}: no column for the {quantity} among {listed}; give its name or number, as "
                f'in columns = {{ {quantity} = "NAME" }}',
                path=path, name=quantity, value=table.names,
            )  # fmt: skip
