"""Units of measurement, and what files declare: units, flags and the medium of wavelengths."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from mixjobs.errors import InvalidInput, UnreadableFile
from mixjobs.wavelengths import Medium

# Flux units, in erg/s/cm²/Å.
UNITS = {"erg/s/cm2/AA": 1.0, "erg/s/cm2/cm": 1e8}

_FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
_MEDIA: dict[str, Medium] = {"air": "air", "vacuum": "vacuum"}


def to_value(value: Any, unit: str, name: str) -> Any:
    """Convert an astropy quantity to plain numbers in `unit`; return anything else unchanged.

    A list or tuple of quantities is converted item by item. Astropy need not be installed or
    imported: a quantity brings its own conversion.

    Parameters
    ----------
    value : object
        A number, an array, an `astropy.units.Quantity`, or a list or tuple of them.
    unit : str
        A unit that `astropy.units` can parse, such as ``"Angstrom"``, ``"km/s"`` or ``"K"``; the
        empty string for a dimensionless number.
    name : str
        Name of the argument, for the error.

    Raises
    ------
    InvalidInput
        The quantity cannot be converted to the unit.

    Examples
    --------
    >>> from astropy import units as u
    >>> float(to_value(500 * u.nm, "Angstrom", "edges")), to_value(5000.0, "Angstrom", "edges")
    (5000.0, 5000.0)
    """
    if isinstance(value, list | tuple) and any(_has_unit(item) for item in value):
        return [to_value(item, unit, name) for item in value]
    if not _has_unit(value):
        return value
    try:
        converted = value.to_value(unit)
        return converted if value.unit == unit else _rounded(converted)
    except Exception as error:  # astropy raises UnitConversionError, a TypeError or a ValueError
        expected = unit or "a number without a unit"
        raise InvalidInput(
            f"{name} in {getattr(value, 'unit', value)}: expected {expected}, "
            f"or a unit that converts to it ({error})",
            name=name,
            value=value,
        ) from None


def _rounded(values: Any) -> Any:
    """Round to 15 significant digits, so that 500 nm is 5000 Å and not 4999.999999999999."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (14 - np.floor(np.log10(np.abs(values))))
        return np.where(
            np.isfinite(values) & np.isfinite(scale), np.round(values * scale) / scale, values
        )[()]


def _has_unit(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_has_unit(item) for item in value)
    return hasattr(value, "to_value")


def attribute_text(value: Any) -> str:
    """Return an attribute as text; h5py reads strings of fixed length as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def read_flag(value: Any) -> bool | None:
    """Read a flag stored as a bool, a number or a string; None if it is not a flag.

    Examples
    --------
    >>> read_flag(np.True_), read_flag("False"), read_flag(b"true"), read_flag([0]), read_flag("?")
    (True, False, True, False, None)
    """
    values = np.atleast_1d(value)
    return _FLAGS.get(attribute_text(values[0]).lower()) if values.size == 1 else None


def declared_medium(
    declarations: Iterable[tuple[str, Any]], path: str | os.PathLike[str]
) -> Medium | None:
    """Return the medium that a file declares; None if it declares none.

    Parameters
    ----------
    declarations : pairs of (keyword, value)
        A flag `air`, or the word "air" or "vacuum" under `medium`. Keywords and words are read in
        any case; other keywords are ignored.
    path : str or path
        The file, for the error.

    Raises
    ------
    UnreadableFile
        A value is neither air nor vacuum, or two of them contradict each other.

    Examples
    --------
    >>> declared_medium([("air", False), ("MEDIUM", "Vacuum")], "star.fits")
    'vacuum'
    """
    media: dict[Medium, str] = {}
    for keyword, value in declarations:
        key = str(keyword).lower()
        if key not in ("air", "medium"):
            continue
        medium = (
            _from_air(value) if key == "air" else _MEDIA.get(attribute_text(value).strip().lower())
        )
        if medium is None:
            expected = "True or False" if key == "air" else "air or vacuum"
            raise UnreadableFile(
                f"{path}: {keyword} is {value!r}; expected {expected}: correct the file",
                path=path, name=str(keyword), value=value,
            )  # fmt: skip
        media[medium] = str(keyword)
    if len(media) > 1:
        raise UnreadableFile(
            f"{path}: declares both air ({media['air']}) and vacuum ({media['vacuum']}); "
            "expected one medium: correct the file",
            path=path, name=media["vacuum"], value="air and vacuum",
        )  # fmt: skip
    return next(iter(media), None)


def _from_air(value: Any) -> Medium | None:
    flag = read_flag(value)
    return None if flag is None else "air" if flag else "vacuum"
