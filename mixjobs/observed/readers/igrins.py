"""Spectra of IGRINS, as its pipeline writes them.

``*.spec_a0v.fits`` contains the spectrum divided by that of an A0V star and multiplied by a model
of Vega, the wavelengths, and the spectra themselves. The errors are in files next to it:
``*.variance.fits``, the variance of the extracted spectrum, or ``*.sn.fits``, the S/N per
resolution element. ``*.spec.fits`` contains the extracted spectrum, and the wavelengths are in
``*.wvlsol_v1.fits`` of the night. Wavelengths are in vacuum, as observed (IGRINS at Gemini, "After
observing", section "PLP Outputs"; igrins/plp on GitHub, igrins/libs and igrins/igrins_recipes).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mixjobs.declarations import Declaration, attribute_text
from mixjobs.errors import UnreadableFile
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.assembly import assemble
from mixjobs.observed.readers.fields import Arrays, Field
from mixjobs.observed.readers.headers import distinct
from mixjobs.observed.readers.opening import image, opened
from mixjobs.typing import Floats

_PIPELINE = "the IGRINS pipeline"
_ENDING = re.compile(r"\.?(spec_a0v|spec_flattened|spec)\.fits(\.gz)?$", re.IGNORECASE)
_RESOLUTION = 40000.0  # of the resolution element in *.sn.fits, in the pipeline's recipe_extract
_ORDER = re.compile(r'spec(\d+)\s*=\s*"\s*\d+\s+(\d+)\s')
NOT_CORRECTED = (
    "wavelengths are not corrected for the motion of the Earth; give barycentric_velocity for rv "
    "relative to the barycentre"
)


class _Errors(NamedTuple):
    """An error of the flux, and what it is."""

    quantity: str
    field: Field
    how: str


def is_igrins(hdus: Sequence[Any]) -> bool:
    """Whether a FITS file is of the IGRINS pipeline."""
    names = [hdu.name.upper() for hdu in hdus]
    if "SPEC_DIVIDE_A0V" in names and "WAVELENGTH" in names:
        return True
    instrument = attribute_text(hdus[0].header.get("INSTRUME", "")).strip().upper()
    return instrument == "IGRINS" and len(hdus) == 1 and image(hdus[0]).ndim == 2


def read_igrins(path: Path, hdus: Sequence[Any], options: ReaderOptions) -> Content:
    """Read a spectrum of IGRINS, with the files next to it.

    Raises
    ------
    UnreadableFile
        The file of wavelengths or of errors is missing or has another shape.
    """
    _check_kind(path)
    named = {hdu.name.upper(): hdu for hdu in hdus}
    flux_name = "SPEC_DIVIDE_A0V" if "SPEC_DIVIDE_A0V" in named else hdus[0].name
    flux = image(named[flux_name])
    wavelength = _wavelength(path, named)
    fields = {
        "wavelength": wavelength,
        "flux": Field(f"extension {flux_name}", list(flux)),
    }
    notes = [NOT_CORRECTED]
    declarations = [
        Declaration("medium", _PIPELINE, "vacuum"),
        Declaration("frame", _PIPELINE, "topocentric"),
    ]
    if options.snr is None:
        errors = _errors(path, named, flux, np.array(wavelength.values))
        if errors is None and options.errors_needed:
            raise UnreadableFile(
                f"{path}: no flux error found; put {_sibling(path, 'variance').name} or "
                f"{_sibling(path, 'sn').name} of the pipeline next to it, or give the S/N per "
                "pixel, snr = 100",
                path=path, name="flux_error",
            )  # fmt: skip
        if errors is not None:
            fields[errors.quantity] = errors.field
            declarations.append(Declaration("flux error", errors.field.source, errors.how))
    return assemble(
        Arrays(
            path=path,
            fields=fields,
            numbers=_numbers(named[flux_name].header, len(flux)),
            header=[("medium", "vacuum")],
            frame="topocentric",
            notes=notes,
            declarations=declarations,
        ),
        options,
    )


def _check_kind(path: Path) -> None:
    other = re.search(r"\.(sn|variance|wvlsol_v1)\.fits(\.gz)?$", path.name, re.IGNORECASE)
    if other:
        raise UnreadableFile(
            f"{path}: this belongs to a spectrum of IGRINS; open the spectrum itself, "
            f"{path.name[: other.start()]}.spec_a0v.fits",
            path=path, name=other[1],
        )  # fmt: skip


def _wavelength(path: Path, named: dict[str, Any]) -> Field:
    if "WAVELENGTH" in named:
        wave = image(named["WAVELENGTH"])
        return Field("extension WAVELENGTH", list(wave), _unit_of(wave), _PIPELINE)
    band = re.search(r"SDC[HK]", path.name, re.IGNORECASE)
    pattern = f"*{band[0] if band else ''}*wvlsol_v1.fits"
    solutions = sorted(path.parent.glob(pattern))
    if len(solutions) != 1:
        found = f"{len(solutions)} files" if solutions else "no file"
        raise UnreadableFile(
            f"{path}: a spectrum of IGRINS without wavelengths; expected one file {pattern} of the "
            f"pipeline next to it (calib/primary/DATE), but there is {found}",
            path=path, name="wavelength", value=[str(one) for one in solutions],
        )  # fmt: skip
    wave = _read_image(solutions[0])
    return Field(solutions[0].name, list(wave), _unit_of(wave), _PIPELINE)


def _unit_of(wave: Floats) -> str:
    """Return the unit of wavelengths from 1.4 to 2.6 µm: older versions wrote nm."""
    return "um" if float(np.nanmedian(wave)) < 100 else "nm"


def _errors(path: Path, named: dict[str, Any], flux: Floats, wave: Floats) -> _Errors | None:
    """Return the error of the flux, from this file or those next to it."""
    own = named.get("SPEC_DIVIDE_A0V_VARIANCE")
    if own is not None:
        field = Field("extension SPEC_DIVIDE_A0V_VARIANCE", list(image(own)))
        return _Errors("variance", field, "variance, of the star and the A0V star")
    variance, sn = _sibling(path, "variance"), _sibling(path, "sn")
    with np.errstate(all="ignore"):
        if variance.is_file():
            error = np.sqrt(_same_shape(variance, flux))
            if "TGT_SPEC" in named:
                error = error * np.abs(flux / image(named["TGT_SPEC"]))
            how = "square root, scaled like the flux; without the error of the A0V star"
            return _Errors("flux_error", Field(variance.name, list(error)), how)
        if sn.is_file():
            n_pixels = (wave / _RESOLUTION) / np.abs(np.gradient(wave, axis=1))
            ratio = _same_shape(sn, flux) / np.sqrt(n_pixels)
            how = "S/N per resolution element, divided by the root of its number of pixels"
            return _Errors("snr", Field(sn.name, list(ratio)), how)
    return None


def _sibling(path: Path, kind: str) -> Path:
    """Return the path of another file of the same spectrum."""
    return path.with_name(_ENDING.sub("", path.name) + f".{kind}.fits")


def _same_shape(path: Path, flux: Floats) -> Floats:
    values = _read_image(path)
    if values.shape != flux.shape:
        raise UnreadableFile(
            f"{path}: has shape {values.shape}; expected {flux.shape}, as the spectrum",
            path=path, value=values.shape,
        )  # fmt: skip
    return values


def _read_image(path: Path) -> Floats:
    with opened(path) as (hdus, _):
        return image(hdus[0])


def _numbers(header: Any, n_orders: int) -> list[int] | None:
    """Return the orders from the header of IRAF's multispec format: ``spec1 = "1 98 2 ..."``."""
    keys = sorted(key for key in header if key.startswith("WAT2_"))
    text = "".join(str(header[key]).ljust(68) for key in keys)
    beams = {int(row): int(order) for row, order in _ORDER.findall(text)}
    return distinct([beams.get(row) for row in range(1, n_orders + 1)])
