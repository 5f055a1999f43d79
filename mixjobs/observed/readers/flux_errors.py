"""Flux and its standard error, from the quantities and the units of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mixjobs.declarations import (
    Declaration,
    FluxUnit,
    error_factor,
    is_unit,
    parse_flux_unit,
    per_wavelength,
)
from mixjobs.errors import InvalidInput, UnreadableFile
from mixjobs.observed.readers.fields import Field
from mixjobs.observed.readers.names import ERRORS
from mixjobs.typing import Floats

_POWERS = {"flux_error": 1, "variance": 2, "ivar": -2}  # of the unit of the flux
_MEANT = {
    "flux_error": "standard error", "variance": "variance", "ivar": "inverse variance",
    "snr": "S/N per pixel",
}  # fmt: skip
PERCENT = "in per cent of the flux"
_MAGNITUDES = ("mag", "dex", "db", "log")
# Luminosities and photons have the shape of a flux.
_SCALED = {
    "erg/s/AA": "wavelength", "erg/s/Hz": "frequency", "photon/s/cm2/AA": "relative",
}  # fmt: skip
_PER = {"frequency": ", per frequency; converted to flux per wavelength", "wavelength": ""}
_MAX_DISAGREEMENT = 1.1  # of two columns that both give the error
HOW_TO_GIVE_ERRORS = (
    "give its column, such as columns = { flux_error = NAME } (or variance, ivar, snr), or the S/N "
    "per pixel, snr = 100"
)


def flux_and_error(
    path: Path,
    fields: Mapping[str, Field],
    values: Mapping[str, list[Floats]],
    wavelength: Sequence[Floats],
    snr: float | None,
) -> tuple[list[Floats], list[Floats], list[Declaration]]:
    """Return flux, its standard error, and what was used for both.

    Flux per frequency is converted to flux per wavelength; other fluxes keep the unit of the file.

    Parameters
    ----------
    path : Path
    fields, values : mappings
        By quantity.
    wavelength : sequence of M (n_pixels,) arrays
        Å.
    snr : float or None
        S/N per pixel at the median flux of an order, where the file has no errors.

    Raises
    ------
    UnreadableFile
        There is no flux error, or a unit is not one of flux, or of this flux.
    InvalidInput
        The file has flux errors, and `snr` is given.
    """
    one, flux = fields["flux"], values["flux"]
    unit, flux_declaration = _flux_unit(path, one)
    error, declarations = _standard_error(path, fields, values, snr)
    if unit is not None and unit.kind == "frequency":
        flux = [per_wavelength(f * unit.factor, w) for f, w in zip(flux, wavelength, strict=True)]
        error = [per_wavelength(e * unit.factor, w) for e, w in zip(error, wavelength, strict=True)]
    return flux, error, [flux_declaration, *declarations]


def _flux_unit(path: Path, one: Field) -> tuple[FluxUnit | None, Declaration]:
    if one.unit is None or not one.unit.strip():
        return None, Declaration("flux", one.source, "in relative units")
    text = one.unit.strip()
    declared = f"{one.keyword} = {text!r}"
    try:
        unit = parse_flux_unit(text, path=path, name=one.keyword)
    except UnreadableFile:
        for scaled, kind in _SCALED.items():
            if error_factor(text, scaled) is not None:
                unit = FluxUnit(text, 1.0, kind)
                return unit, Declaration("flux", declared, f"{one.source}{_PER.get(kind, '')}")
        if is_unit(text) or any(word in text.lower() for word in _MAGNITUDES):
            raise
        return None, Declaration("flux", "", f"{one.source}, relative ({declared} is not known)")
    return unit, Declaration("flux", declared, f"{one.source}{_PER.get(unit.kind, '')}")


def _standard_error(
    path: Path, fields: Mapping[str, Field], values: Mapping[str, list[Floats]], snr: float | None
) -> tuple[list[Floats], list[Declaration]]:
    kinds = [kind for kind in ERRORS if kind in fields]
    if snr is not None:
        if kinds:
            raise InvalidInput(
                f"snr = {snr:g}: {path} has flux errors ({fields[kinds[0]].source}); leave snr out",
                path=path, name="snr", value=snr,
            )  # fmt: skip
        error = [_constant(flux, snr) for flux in values["flux"]]
        return error, [
            Declaration("flux error", f"snr = {snr:g}", "median flux of the order / snr")
        ]
    if not kinds:
        raise UnreadableFile(
            f"{path}: no flux error found; {HOW_TO_GIVE_ERRORS}", path=path, name="flux_error"
        )
    errors = [_converted(path, kind, fields, values) for kind in kinds]
    source, (error, how) = fields[kinds[0]].source, errors[0]
    numbers = _disagreement(kinds, fields, errors)
    understood = f"{_MEANT[kinds[0]]}, {how}" if how else _MEANT[kinds[0]]
    if "taken to be" in how:
        source, understood = "", f"{source}, {understood}"
    return error, [Declaration("flux error", source, understood, numbers)]


def _constant(flux: Floats, snr: float) -> Floats:
    finite = np.abs(flux[np.isfinite(flux)])
    return np.full(len(flux), float(np.median(finite)) / snr if finite.size else np.nan)


def _converted(
    path: Path, kind: str, fields: Mapping[str, Field], values: Mapping[str, list[Floats]]
) -> tuple[list[Floats], str]:
    """Return the standard error from one kind of error, in the flux's unit, and how."""
    factor, how = _factor(path, kind, fields)
    pairs = zip(values[kind], values["flux"], strict=True)
    with np.errstate(all="ignore"):
        if kind == "snr":
            return [np.abs(flux / snr) for snr, flux in pairs], "|flux| / S/N"
        if how == PERCENT:
            return [np.abs(flux) * (error * factor) for error, flux in pairs], how
        scaled = [error * factor for error in values[kind]]
        if kind == "variance":
            return [np.sqrt(one) for one in scaled], how
        if kind == "ivar":
            return [1 / np.sqrt(np.where(one > 0, one, np.nan)) for one in scaled], how
    return scaled, how


def _factor(path: Path, kind: str, fields: Mapping[str, Field]) -> tuple[float, str]:
    """Return the factor to the flux's unit, and a remark."""
    one, flux = fields[kind], fields["flux"]
    unit = (one.unit or "").strip()
    flux_unit = (flux.unit or "").strip()
    if not unit or kind == "snr":
        return 1.0, ""
    if kind == "flux_error" and unit.lower() in ("%", "percent", "per cent", "pct"):
        return 0.01, PERCENT
    if not flux_unit:
        return 1.0, f"in {unit}, taken to be the unit of the flux, which has none"
    factor = error_factor(unit, flux_unit, _POWERS[kind])
    if factor is not None:
        return factor, "" if factor == 1 else "converted to the unit of the flux"
    if not is_unit(unit) or not is_unit(flux_unit) or unit.lower() == flux_unit.lower():
        return 1.0, f"its unit {unit!r} taken to be that of the flux, {flux_unit!r}"
    raise UnreadableFile(
        f"{path}: {flux.source} is in {flux_unit!r} and {one.source} in {unit!r}; expected the "
        f"same unit{'' if kind == 'flux_error' else f' to the power {_POWERS[kind]}'}: convert one "
        "of them",
        path=path, name=one.source, value=unit,
    )  # fmt: skip


def _disagreement(
    kinds: list[str], fields: Mapping[str, Field], errors: list[tuple[list[Floats], str]]
) -> str:
    """Say by how much two columns that both give the error differ; empty if they agree."""
    first = np.concatenate(errors[0][0])
    for kind, (arrays, _) in zip(kinds[1:], errors[1:], strict=True):
        with np.errstate(all="ignore"):
            ratio = np.concatenate(arrays) / first
        ratio = ratio[np.isfinite(ratio)]
        median = float(np.median(ratio)) if ratio.size else 1.0
        if not 1 / _MAX_DISAGREEMENT < median < _MAX_DISAGREEMENT:
            return f"{fields[kind].source} gives errors {median:.3g} times as large"
    return ""
