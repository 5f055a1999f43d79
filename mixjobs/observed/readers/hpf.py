"""Spectra of HPF, as the pipeline Goldilocks and the HPF team write them.

Goldilocks writes the flux (e-/s), its error and the wavelengths (vacuum, Å) of three fibres: on the
star, on the sky and on the calibration. Masked pixels are zero. Wavelengths are corrected neither
for the motion of the Earth (BRVCORR, m/s) nor for the drift of the instrument (LRVCORR, m/s); both
corrections are to be added to a velocity (grzeimann/Goldilocks_Documentation on GitHub, "Data
Products" and "Radial Velocity Corrections").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.declarations import Declaration
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.assembly import assemble
from mixjobs.observed.readers.fields import Arrays, Field
from mixjobs.observed.readers.opening import image

_PIPELINE = "the HPF pipeline"
_DECLARATIONS = (
    Declaration("medium", _PIPELINE, "vacuum"),
    Declaration("frame", _PIPELINE, "topocentric"),
)
_ERRORS = {"sci error": "flux_error", "sci variance": "variance"}
NO_SKY = "the sky is not subtracted; mask its emission lines with exclude"


def is_hpf(hdus: Sequence[Any]) -> bool:
    """Whether a FITS file is of Goldilocks or the HPF team."""
    names = {hdu.name.lower() for hdu in hdus}
    return {"sci flux", "sci wavl"} <= names and bool(names & set(_ERRORS))


def read_hpf(path: Path, hdus: Sequence[Any], options: ReaderOptions) -> Content:
    """Read the star's fibre of a spectrum of HPF."""
    named = {hdu.name.lower(): hdu for hdu in hdus}
    (error,) = [name for name in _ERRORS if name in named][:1]
    fields = {
        quantity: Field(f"extension {named[name].name}", list(image(named[name])))
        for name, quantity in (
            ("sci flux", "flux"), ("sci wavl", "wavelength"), (error, _ERRORS[error]),
        )
    }  # fmt: skip
    wave = fields["wavelength"].values
    fields["wavelength"] = Field(fields["wavelength"].source, wave, "Angstrom", _PIPELINE)
    velocity, declarations, notes = _velocity(hdus[0].header)
    return assemble(
        Arrays(
            path=path,
            fields=fields,
            header=[("medium", "vacuum")],
            velocity=velocity,
            frame="topocentric",
            notes=[NO_SKY, *notes],
            declarations=[*_DECLARATIONS, *declarations],
        ),
        options,
    )


def _velocity(header: Any) -> tuple[float | None, list[Declaration], list[str]]:
    """Return the velocity of the Earth and the instrument, km/s."""
    values = {key: header.get(key) for key in ("BRVCORR", "LRVCORR")}
    given = {key: v for key, v in values.items() if isinstance(v, int | float) and np.isfinite(v)}
    if "BRVCORR" not in given:
        return None, [], ["wavelengths are not corrected for the motion of the Earth"]
    velocity = sum(given.values()) / 1000
    declared = " and ".join(f"{key} = {value:.6g} m/s" for key, value in given.items())
    return velocity, [Declaration("velocity of the Earth", declared, f"{velocity:.6g} km/s")], []
