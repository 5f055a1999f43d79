"""FITS files: tables and images, opened in one place."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.declarations import attribute_text
from mixjobs.errors import InvalidInput
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.fits_images import read_images
from mixjobs.observed.readers.headers import Header, card_entries
from mixjobs.observed.readers.hpf import is_hpf, read_hpf
from mixjobs.observed.readers.igrins import is_igrins, read_igrins
from mixjobs.observed.readers.names import meaning
from mixjobs.observed.readers.opening import opened
from mixjobs.observed.readers.tables import (
    Column,
    TableContent,
    quantity_of_utype,
    read_tables,
)

# Tables of a whole spectrum, before others of the same file: SDSS, and ESO's phase 3.
_PIPELINES = ((is_igrins, read_igrins), (is_hpf, read_hpf))
_MAIN = ("coadd", "spectrum", "1d_spectrum")


def read_fits(path: Path, options: ReaderOptions) -> Content:
    """Read a FITS file; `mixjobs.open_spectrum` describes the layouts."""
    with opened(path) as (hdus, notes):
        for recognised, read in _PIPELINES:
            if not options.columns and recognised(hdus):
                return read(path, hdus, options)
        columns = options.columns
        if "extension" in columns:
            hdus = [_extension(path, hdus, columns["extension"])]
        tables = [table_content(hdu, k) for k, hdu in enumerate(hdus) if _is_table(hdu)]
        header = header_entries(hdus[0]) if not _is_table(hdus[0]) else []
        chosen = [table for table in tables if _is_spectrum(table, options)]
        if any(table.n_rows for table in chosen):
            empty = [table.label for table in chosen if not table.n_rows]
            notes += [f"{label} has no rows and is not read" for label in empty]
            chosen = [table for table in chosen if table.n_rows]
        if len(chosen) > 1:
            main = [table for table in chosen if table.name.strip().lower() in _MAIN]
            if len(main) == 1:
                others = ", ".join(table.name for table in chosen if table is not main[0])
                notes.append(f"only the table {main[0].name} is read, not {others}")
                chosen = main
        if chosen:
            return read_tables(path, chosen, header, options, notes)
        images = [hdu for hdu in hdus if not _is_table(hdu) and hdu.data is not None]
        if not images and tables:
            return read_tables(path, tables[:1], header, options, notes)
        return read_images(path, hdus, header, options, notes)


def header_entries(hdu: Any) -> Header:
    """Return the keywords and values of an extension's header."""
    return card_entries(hdu.header)


def _is_table(hdu: Any) -> bool:
    return hasattr(hdu, "columns")


def _extension(path: Path, hdus: Sequence[Any], wanted: str | int) -> Any:
    """Return the extension that a user asks for, by name or number."""
    names = [hdu.name for hdu in hdus]
    if isinstance(wanted, int) and 0 <= wanted < len(hdus):
        return hdus[wanted]
    matches = [hdu for hdu in hdus if hdu.name.lower() == str(wanted).strip().lower()]
    if len(matches) == 1:
        return matches[0]
    raise InvalidInput(
        f"{path}: columns: extension = {wanted!r} is not an extension of the file; choose from "
        f"{', '.join(f'{k} {name}'.strip() for k, name in enumerate(names))}",
        path=path, name="columns", value=wanted,
    )  # fmt: skip


def table_content(hdu: Any, index: int) -> TableContent:
    """Return a table of a FITS file with what its header declares about each column."""
    from astropy.table import Table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about units, which are read from the header
        table = Table.read(hdu)
    columns = []
    for k, name in enumerate(table.colnames, start=1):
        axis = [(f"{key}{k}", hdu.header.get(f"{key}{k}")) for key in ("TCTYP", "TUCD")]
        unit = hdu.header.get(f"TUNIT{k}")
        text = "" if unit is None else attribute_text(unit).strip()
        columns.append(
            Column(
                name=name,
                values=np.ma.asarray(table[name]),
                unit=text or None,
                keyword=f"TUNIT{k}",
                axis=tuple((key, value) for key, value in axis if value is not None),
                quantity=quantity_of_utype(str(hdu.header.get(f"TUTYP{k}", ""))),
            )
        )
    return TableContent(hdu.name or str(index), columns, header_entries(hdu))


def _is_spectrum(table: TableContent, options: ReaderOptions) -> bool:
    """Whether a table has a wavelength and a flux, by the names of its columns."""
    given = [name for name in options.columns if name != "extension"]
    if given:
        names = [name.lower() for name in table.names]
        return all(
            isinstance(options.columns[name], int) or str(options.columns[name]).lower() in names
            for name in given
        )
    quantities = {meaning(name).quantity for name in table.names}
    quantities |= {column.quantity for column in table.columns}
    needed = {"wavelength", "flux"} if options.errors_needed else {"wavelength"}
    return needed <= quantities
