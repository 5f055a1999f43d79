"""The wavelength scale in the header of a one-dimensional FITS image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mixjobs.declarations import attribute_text
from mixjobs.errors import UnreadableFile
from mixjobs.observed.readers.fields import Field
from mixjobs.observed.readers.headers import Header
from mixjobs.typing import Floats

_WAVELENGTHS = (
    "wave", "awav", "lambda", "wavelength", "linear", "angstrom", "angstroms", "wavelen", "lam",
    "freq", "ener", "wavn", "spectral", "",
)  # fmt: skip
_MEDIA = {"air": "air", "vacuum": "vacuum", "vac": "vacuum"}  # as in "Air wavelength"
_LOG10 = ("log10lam", "log10(wave)", "log(wavelength)", "log-linear", "loglam", "log10", "log")
_WAT_UNIT = re.compile(r"units=\s*\"?([\w./ ]+?)\"?(?:\s+\w+=|$)")


class Scale(NamedTuple):
    """Wavelengths, what the header says of their medium, and notes."""

    field: Field
    axis: Header
    notes: list[str]


def wavelength_scale(path: Path, hdu: Any, source: str) -> Scale:
    """Return the wavelengths of the pixels of an image.

    The scale is linear, ``CRVAL1 + (pixel - CRPIX1) CDELT1`` (or CD1_1), pixels counted from 1; or
    logarithmic: ``10 ** ...`` with DC-FLAG = 1 (IRAF), or ``CRVAL1 exp((pixel - CRPIX1) CDELT1 /
    CRVAL1)`` with a CTYPE1 such as WAVE-LOG (Greisen et al. 2006, A&A 446, 747, equation 5).

    Parameters
    ----------
    path : Path
    hdu : astropy's HDU of an image
    source : str
        The image, for the error.

    Raises
    ------
    UnreadableFile
        The header has no wavelength scale, or one that is not of wavelength.
    """
    header, notes = hdu.header, []
    kind = attribute_text(header.get("CTYPE1", "")).strip().lower()
    data = np.asarray(hdu.data)
    _check_one_dimensional(path, header, data, kind, source)
    start, step = header.get("CRVAL1"), header.get("CD1_1", header.get("CDELT1"))
    numbers = (start, step, header.get("CRPIX1", 1.0))
    if start is None or step is None or not all(isinstance(one, int | float) for one in numbers):
        raise UnreadableFile(
            f"{path}: {source} has no wavelengths: neither an extension of wavelengths nor CRVAL1 "
            "and CDELT1 (or CD1_1) in its header; give the extension, as in "
            'columns = { wavelength = "WAVE" }',
            path=path, name="CRVAL1",
        )  # fmt: skip
    if "CRPIX1" not in header:
        notes.append("CRPIX1 is missing; CRVAL1 is assumed to belong to the first pixel")
    wave, unit, keyword = _wavelengths(path, header, kind, data.shape[-1])
    axis: Header = [("CTYPE1", header["CTYPE1"])] if kind else []
    axis += [("medium", medium) for word, medium in _MEDIA.items() if word in kind.split()]
    field = Field(f"CRVAL1 and CDELT1 of {source}", [wave], unit, keyword)
    return Scale(field, axis, notes)


def _check_one_dimensional(path: Path, header: Any, data: Any, kind: str, source: str) -> None:
    multispec = "multispe" in kind or "multispec" in str(header.get("WAT0_001", "")).lower()
    bands = "BANDID1" in header and data.ndim == 3 and data.shape[1] == 1
    if bands and not multispec:
        return
    if multispec and data.size > data.shape[-1]:
        raise UnreadableFile(
            f"{path}: {source} has its wavelengths in a multispec header of IRAF (WAT2_001), which "
            "is not supported; convert it to a table with wavelengths, for example with "
            'specutils: format = "specutils"',
            path=path, name="WAT2_001",
        )  # fmt: skip
    if data.size > data.shape[-1]:
        raise UnreadableFile(
            f"{path}: {source} has shape {data.shape} and no wavelengths of each row; expected an "
            'extension of wavelengths, as in columns = { wavelength = "WAVE" }',
            path=path, name="wavelength", value=data.shape,
        )  # fmt: skip


def _wavelengths(
    path: Path, header: Any, kind: str, n_pixels: int
) -> tuple[Floats, str | None, str]:
    """Return the wavelengths, their unit and the keyword that declares it."""
    start, reference = float(header["CRVAL1"]), float(header.get("CRPIX1", 1.0))
    step = float(header.get("CD1_1", header.get("CDELT1")))
    offset: Floats = np.asarray((np.arange(1.0, n_pixels + 1) - reference) * step, dtype=np.float64)
    flag = header.get("DC-FLAG", 0)
    algorithm = kind.split("-", 1)[1] if "-" in kind else ""
    words = [word for word in kind.split("-")[0].split() if word not in _MEDIA]
    base = words[0] if words else ""
    if flag == -1 or base in ("pixel", "pixels", "velo", "vrad", "vopt", "zopt"):
        raise UnreadableFile(
            f"{path}: its axis is not one of wavelength (CTYPE1 = {header.get('CTYPE1')!r}, "
            f"DC-FLAG = {flag}); expected wavelengths: calibrate it first",
            path=path, name="CTYPE1", value=header.get("CTYPE1"),
        )  # fmt: skip
    unit, keyword = _unit(header)
    if algorithm.strip("-") == "log":
        return np.asarray(start * np.exp(offset / start)), unit, keyword
    if flag == 1 or kind in _LOG10:
        if unit is None:
            return 10.0 ** (start + offset), None, keyword
        plain = unit if unit.lower().startswith("log") else f"log10({unit})"
        return start + offset, plain, keyword
    if base not in _WAVELENGTHS or algorithm:
        raise UnreadableFile(
            f"{path}: CTYPE1 = {header.get('CTYPE1')!r} is not a supported scale of wavelengths; "
            "expected a linear or a logarithmic one",
            path=path, name="CTYPE1", value=header.get("CTYPE1"),
        )  # fmt: skip
    return start + offset, unit, keyword


def _unit(header: Any) -> tuple[str | None, str]:
    unit = attribute_text(header.get("CUNIT1", "")).strip()
    if unit:
        return unit, "CUNIT1"
    match = _WAT_UNIT.search(attribute_text(header.get("WAT1_001", "")))
    return (match[1].strip(), "WAT1_001") if match else (None, "CUNIT1")
