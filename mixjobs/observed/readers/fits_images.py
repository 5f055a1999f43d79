"""FITS images: one extension per quantity, or a flux with a wavelength scale in its header."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.declarations import attribute_text
from mixjobs.errors import UnreadableFile
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.assembly import assemble
from mixjobs.observed.readers.fields import Arrays, Field
from mixjobs.observed.readers.headers import (
    Header,
    barycentric_velocity,
    card_entries,
    reference_frame,
)
from mixjobs.observed.readers.names import check_columns, find_quantities, meaning
from mixjobs.observed.readers.stacked import stacked_rows
from mixjobs.observed.readers.wavelength_scale import wavelength_scale


def read_images(
    path: Path,
    hdus: Sequence[Any],
    header: Header,
    options: ReaderOptions,
    notes: Sequence[str] = (),
) -> Content:
    """Read a spectrum from images: (pixels,), or (orders, pixels).

    Parameters
    ----------
    path : Path
    hdus : sequence of astropy's HDUs
    header : list of (keyword, value)
        Of the whole file.
    options : ReaderOptions
    notes : sequence of str

    Raises
    ------
    UnreadableFile
        There is no flux, or no wavelength for it.
    """
    names = [_name(k, hdu) for k, hdu in enumerate(hdus)]
    index = find_quantities(path, names, check_columns(options.columns), "extension", first=0)
    images = [k for k, hdu in enumerate(hdus) if _is_image(hdu)]
    notes = list(notes)
    if "flux" not in index:
        unnamed = [k for k in images if k not in index.values() and names[k] in ("", "PRIMARY")]
        if len(unnamed) == 1 and (len(images) == 1 or "wavelength" in index or unnamed == [0]):
            index["flux"] = unnamed[0]
    if "flux" not in index:
        raise UnreadableFile(
            f"{path}: no spectrum found; {_contents(hdus)}; give the columns or extensions by name "
            'or number, as in columns = { wavelength = "WAVE", flux = "FLUX", flux_error = "ERR" }',
            path=path, name="flux",
        )  # fmt: skip
    fields = {name: _field(path, hdus[k], names[k], k) for name, k in index.items()}
    if "wavelength" not in fields and not options.columns:
        stacked = stacked_rows(hdus[index["flux"]], fields["flux"])
        fields, notes = {**fields, **stacked.fields}, [*notes, *stacked.notes]
    own = [entry for k in dict.fromkeys(index.values()) for entry in card_entries(hdus[k].header)]
    media = [entry for entry in own if entry[0] != "CTYPE1"]
    if "wavelength" in index:
        media += _told_by_name(names[index["wavelength"]])
    if "wavelength" not in fields:
        scale = wavelength_scale(path, hdus[index["flux"]], fields["flux"].source)
        fields["wavelength"], notes = scale.field, [*notes, *scale.notes]
        media += scale.axis
    whole = [*header, *media]
    frame, declarations = reference_frame(whole)
    return assemble(
        Arrays(
            path=path,
            fields=fields,
            header=whole,
            velocity=barycentric_velocity(path, whole),
            frame=frame,
            notes=notes,
            declarations=declarations,
        ),
        options,
    )


def _name(index: int, hdu: Any) -> str:
    return str(hdu.name or ("PRIMARY" if index == 0 else "")).strip()


def _is_image(hdu: Any) -> bool:
    return not hasattr(hdu, "columns") and hdu.data is not None


def _field(path: Path, hdu: Any, name: str, index: int) -> Field:
    label = f"extension {name or index}"
    if not _is_image(hdu):
        raise UnreadableFile(
            f"{path}: {label} has no image; expected an image of (pixels,) or (orders, pixels)",
            path=path, name=name,
        )  # fmt: skip
    data = np.asarray(hdu.data)
    if data.ndim == 3 and data.shape[1] == 1:  # bands of IRAF, of one spectrum
        data = data[:, 0]
    data = data.reshape(data.shape[data.ndim - 2 :]) if data.ndim > 2 and _is_flat(data) else data
    if data.ndim not in (1, 2) or 0 in data.shape:
        raise UnreadableFile(
            f"{path}: {label} has shape {data.shape}; expected (pixels,) or (orders, pixels)",
            path=path, name=name, value=data.shape,
        )  # fmt: skip
    unit = attribute_text(hdu.header.get("BUNIT", "")).strip()
    return Field(label, list(np.atleast_2d(data)), unit or None, "BUNIT")


def _told_by_name(name: str) -> Header:
    """Return what the name of an extension, such as WAVEDATA_VAC_BARY, declares."""
    medium = meaning(name).medium
    header: Header = [("medium", medium)] if medium else []
    return [*header, ("SPECSYS", "BARYCENT")] if name.lower().endswith("_bary") else header


def _is_flat(data: Any) -> bool:
    """Whether all but the last two axes have length 1."""
    return all(n == 1 for n in data.shape[:-2])


def _contents(hdus: Sequence[Any]) -> str:
    parts = []
    for k, hdu in enumerate(hdus):
        if hasattr(hdu, "columns"):
            what = f"table of {', '.join(hdu.columns.names[:6])}"
        else:
            what = "no data" if hdu.data is None else f"image {hdu.data.shape}"
        parts.append(f"{k} {_name(k, hdu) or '(no name)'}: {what}")
    return "the file contains " + "; ".join(parts[:8])
