"""Spectra in VOTables, as the services of the virtual observatory send them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.errors import UnreadableFile
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.packing import read_bytes
from mixjobs.observed.readers.tables import Column, TableContent, quantity_of_utype, read_tables


def is_votable(start: bytes) -> bool:
    """Whether a file is a VOTable, by its first bytes."""
    return start.lstrip().startswith((b"<?xml", b"<VOTABLE")) and b"<VOTABLE" in start


def read_votable(path: Path, options: ReaderOptions) -> Content:
    """Read the first table of a VOTable."""
    from astropy.io.votable import parse

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the version of the format
        try:
            content = parse(io.BytesIO(read_bytes(path)))
            first = content.get_first_table()
            table = first.to_table(use_names_over_ids=True)
        except UnreadableFile:
            raise
        except Exception as error:  # a damaged file can raise any error of XML
            reason = " ".join(f"{error or type(error).__name__}".split())[:200]
            raise UnreadableFile(
                f"{path}: cannot be read as a VOTable ({reason}); download it again or check its "
                "format",
                path=path,
            ) from None
    columns = [
        _column(field, name, table[name])
        for field, name in zip(first.fields, table.colnames, strict=True)
    ]
    header = [(one.name or one.ID or "", one.value) for one in [*content.params, *first.params]]
    return read_tables(path, [TableContent("", columns, header)], [], options)


def _column(field: Any, name: str, values: Any) -> Column:
    unit = "" if field.unit is None else str(field.unit)
    return Column(
        name=name,
        values=np.ma.asarray(values),
        unit=unit.strip() or None,
        keyword=f"unit of {name}",
        axis=(("TUCD1", field.ucd),) if field.ucd else (),
        quantity=quantity_of_utype(field.utype or ""),
    )
