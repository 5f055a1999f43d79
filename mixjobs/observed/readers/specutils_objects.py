"""Spectra of specutils: objects given in Python, and files that its loaders read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.declarations import Declaration
from mixjobs.errors import InvalidInput, UnreadableFile
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.assembly import assemble
from mixjobs.observed.readers.fields import Arrays, Field
from mixjobs.observed.readers.headers import (
    Header,
    barycentric_velocity,
    distinct,
    entries,
    reference_frame,
    whole_numbers,
)

_UNCERTAINTIES = {"std": "flux_error", "var": "variance", "ivar": "ivar"}
_NUMBERS = ("order", "order_number", "sporder", "m", "echelle_order")


def is_spectrum_object(value: Any) -> bool:
    """Whether a value is a spectrum of specutils, a collection, or a list of spectra."""
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(_has_axis(one) for one in value)
    return _has_axis(value)


def _has_axis(value: Any) -> bool:
    return hasattr(value, "spectral_axis") and hasattr(value, "flux")


def read_spectrum_object(
    spectra: Any, options: ReaderOptions, path: Path | None = None, notes: Sequence[str] = ()
) -> Content:
    """Read a Spectrum, SpectrumList or SpectrumCollection of specutils; each element is an order.

    Parameters
    ----------
    spectra : object
    options : ReaderOptions
    path : Path, optional
        The file that they were read from.
    notes : sequence of str

    Raises
    ------
    InvalidInput
        A spectrum has several rows on one axis, or an uncertainty of unknown kind.
    UnreadableFile
        As for a file.
    """
    where = path or Path(type(spectra).__name__)
    parts = _parts(spectra)
    headers = [_header(part) for part in parts]
    header = [entry for one in headers for entry in one]
    numbers = distinct([_number(where, one) for one in headers])
    frame, declarations = reference_frame(header)
    if numbers:
        declarations.append(Declaration("orders", "meta", f"{len(parts)} orders"))
    return assemble(
        Arrays(
            path=where,
            fields=_fields(where, parts),
            numbers=numbers,
            header=header,
            velocity=barycentric_velocity(where, header),
            frame=frame,
            notes=[*notes, *_velocity_notes(parts)],
            declarations=declarations,
        ),
        options,
    )


def _parts(spectra: Any) -> list[Any]:
    """Return one object for each order."""
    if isinstance(spectra, list | tuple):
        return [part for one in spectra for part in _parts(one)]
    if np.ndim(spectra.spectral_axis) == 2:  # a collection
        return [spectra[k] for k in range(len(spectra.spectral_axis))]
    shape = np.shape(spectra.flux)
    if len(shape) == 1:
        return [spectra]
    if len(shape) == 2 and shape[0] == 1:
        return [spectra[0]]
    raise InvalidInput(
        f"a {type(spectra).__name__} with flux of shape {shape} on one spectral axis; expected "
        "(pixels,), a SpectrumList with one spectrum per order, or one row of it",
        name="path",
        value=shape,
    )


def _fields(path: Path, parts: Sequence[Any]) -> dict[str, Field]:
    axis, flux = parts[0].spectral_axis.unit, parts[0].flux.unit
    fields = {
        "wavelength": _quantity("spectral_axis", [part.spectral_axis for part in parts], axis),
        "flux": _quantity("flux", [part.flux for part in parts], flux),
    }
    kinds = {getattr(part.uncertainty, "uncertainty_type", None) for part in parts}
    if kinds != {None}:
        fields |= _errors(path, parts, kinds)
    if any(part.mask is not None for part in parts):
        masks = [np.broadcast_to(_bad(part.mask), np.shape(part.flux)) for part in parts]
        fields["flags"] = Field("mask of specutils (True = bad)", masks)
    return fields


def _quantity(name: str, quantities: Sequence[Any], unit: Any) -> Field:
    values = [np.asarray(one.to_value(unit)) for one in quantities]
    return Field(name, values, unit.to_string() or None, f"unit of {name}")


def _bad(mask: Any) -> Any:
    return np.zeros((), dtype=np.int64) if mask is None else np.asarray(mask).astype(np.int64)


def _errors(path: Path, parts: Sequence[Any], kinds: set[Any]) -> dict[str, Field]:
    kind = _UNCERTAINTIES.get(next(iter(kinds))) if len(kinds) == 1 else None
    if kind is None:
        listed = ", ".join(sorted(str(one) for one in kinds))
        raise InvalidInput(
            f"{path}: uncertainties of kind {listed}; expected StdDevUncertainty, "
            "VarianceUncertainty or InverseVariance in every spectrum",
            name="uncertainty",
            value=sorted(str(one) for one in kinds),
        )
    unit = parts[0].uncertainty.unit
    values = [np.asarray(part.uncertainty.quantity.to_value(unit)) for part in parts]
    text = None if unit is None else unit.to_string() or None
    return {kind: Field(f"uncertainty ({kind.replace('_', ' ')})", values, text, "its unit")}


def _header(part: Any) -> Header:
    """Return the metadata of a spectrum, and the header in it, as entries."""
    meta = getattr(part, "meta", None)
    meta = meta if isinstance(meta, Mapping) else {}
    header = meta.get("header", {})
    found = [*meta.items(), *(header.items() if hasattr(header, "items") else ())]
    return [(str(key), value) for key, value in found if not hasattr(value, "items")]


def _number(path: Path, header: Header) -> int | None:
    for _, value in entries(header, *_NUMBERS):
        if np.ndim(value) == 0:
            return whole_numbers(path, "the order in meta", np.atleast_1d(value))[0]
    return None


def _velocity_notes(parts: Sequence[Any]) -> list[str]:
    velocities = {str(getattr(part, "radial_velocity", None)) for part in parts}
    moving = sorted(v for v in velocities if v != "None" and not v.startswith(("0.0 ", "0 ")))
    return [f"the radial velocity of the object, {v}, is not applied" for v in moving]


def read_with_specutils(path: Path, options: ReaderOptions) -> Content:
    """Read a file with the loaders of specutils.

    Raises
    ------
    InvalidInput
        specutils is not installed.
    UnreadableFile
        None of its loaders reads the file.
    """
    try:
        import specutils
    except ImportError:
        raise InvalidInput(
            'format = "specutils" needs the package specutils; install it, for example with '
            "pip install specutils",
            name="format",
            value="specutils",
        ) from None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            spectra = specutils.SpectrumList.read(path)
        except Exception as error:  # loaders raise errors of many types
            reason = " ".join(f"{error or type(error).__name__}".split())[:200]
            raise UnreadableFile(
                f"{path}: specutils cannot read this file ({reason}); leave format out, or convert "
                "the file to a table",
                path=path, name="format",
            ) from None  # fmt: skip
    messages = dict.fromkeys(" ".join(str(one.message).split()) for one in caught)
    notes = [f"read by specutils {specutils.__version__}"]
    notes += [f"specutils: {message}" for message in messages]
    return read_spectrum_object(spectra, options, path, notes)
