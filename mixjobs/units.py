"""Quantities with units from Python, converted to plain numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mixjobs.errors import InvalidInput

# Flux units, in erg/s/cm²/Å.
UNITS = {"erg/s/cm2/AA": 1.0, "erg/s/cm2/cm": 1e8}

# Units of parameters; all others are dimensionless.
PARAMETER_UNITS = {"teff": "K", "vsini": "km/s", "rv": "km/s"}
SUFFIXES = re.compile(r"(_\d+)?(_e\d+)?$")  # of a component and an epoch


def to_value(value: Any, unit: str, name: str) -> Any:
    """Convert an astropy quantity to plain numbers in `unit`; return plain numbers unchanged.

    A list, a tuple or an array of quantities is converted item by item, and so is a column of an
    astropy table that has a unit. Astropy need not be installed or imported: a quantity brings its
    own conversion.

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
        The quantity cannot be converted to the unit, or a value is masked.

    Examples
    --------
    >>> from astropy import units as u
    >>> float(to_value(500 * u.nm, "Angstrom", "edges")), to_value(5000.0, "Angstrom", "edges")
    (5000.0, 5000.0)
    """
    if isinstance(value, list | tuple):
        if any(_needs_conversion(item) for item in value):
            return [to_value(item, unit, name) for item in value]
        return value
    if not _needs_conversion(value):
        return value
    if _is_pint(value):
        raise InvalidInput(
            f"{name} = {value}: expected a number or an astropy quantity", name=name, value=value
        )
    value = _without_mask(value, name)
    if _is_column(value):
        value = value.quantity
    if isinstance(value, np.ndarray) and value.dtype == object:
        return to_value(value.tolist(), unit, name)
    return _converted(value, unit, name) if hasattr(value, "to_value") else value


def to_integer(value: Any, name: str) -> int:
    """Return a whole number; a quantity must be dimensionless.

    Raises
    ------
    InvalidInput
        The value is not a whole number, or it has a unit.
    """
    number = to_value(value, "", name)
    try:
        whole = int(number)
        if whole == number:
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidInput(f"{name} = {value!r}: expected a whole number", name=name, value=value)


def to_integers(values: Any, name: str) -> list[int]:
    """Return a list of whole numbers; quantities must be dimensionless.

    Raises
    ------
    InvalidInput
        The values are not a list of whole numbers, or have a unit.
    """
    plain = to_value(values, "", name)
    if isinstance(plain, Iterable) and getattr(plain, "dtype", None) != np.bool_:
        return [to_integer(value, name) for value in plain]
    raise InvalidInput(
        f"{name} = {values!r}: expected a list of whole numbers", name=name, value=values
    )


def without_unit(value: Any, name: str) -> Any:
    """Convert a parameter given as an astropy quantity; return plain numbers unchanged.

    Teff is converted to K and velocities to km/s. Other parameters must be dimensionless, or in
    dex; ``dex(cm / s2)`` is accepted for log g.

    Parameters
    ----------
    value : object
    name : str
        The parameter, such as ``teff``, ``teff_1`` or ``rv_2_e1``.

    Raises
    ------
    InvalidInput
        The quantity cannot be converted, or a value is masked.

    Examples
    --------
    >>> from astropy import units as u
    >>> float(without_unit(500 * u.m / u.s, "rv_1")), without_unit(4.5, "logg")
    (0.5, 4.5)
    """
    if isinstance(value, list | tuple) and any(_needs_conversion(item) for item in value):
        return [without_unit(item, name) for item in value]
    own = SUFFIXES.sub("", name)
    unit = str(getattr(value, "unit", ""))
    if own in PARAMETER_UNITS:
        unit = PARAMETER_UNITS[own]
    elif unit.startswith("dex") and own != "c":
        unit = "dex(cm / s2)" if own == "logg" and "(" in unit else "dex"
    else:
        unit = ""
    return to_value(value, unit, name)


def by_position(values: Any, names: Sequence[str], label: str) -> Any:
    """Convert the quantities in a list of one value per parameter; return plain numbers unchanged.

    Parameters
    ----------
    values : object
        A list such as ``[6.05 * u.kK, 4.5, -0.2]``; anything else must be dimensionless.
    names : sequence of str
        The parameters, in the sequence of the list.
    label : str
        Name of the argument, for the error.

    Raises
    ------
    InvalidInput
        A quantity cannot be converted, one item of the list is an array with a unit, or an array
        of several parameters has a unit.
    """
    if not _needs_conversion(values):
        return values
    if isinstance(values, list | tuple) and len(values) == len(names):
        if any(hasattr(item, "unit") and np.ndim(item) for item in values):
            raise InvalidInput(
                f"{label} is a list that contains arrays with a unit; give arrays by name, as in "
                f"{{{names[0]!r}: ...}}",
                name=label,
                value=values,
            )
        return [without_unit(item, name) for item, name in zip(values, names, strict=True)]
    if len(names) == 1:
        return without_unit(values, names[0])
    if str(getattr(values, "unit", None) or ""):
        raise InvalidInput(
            f"{label} in {values.unit}: an array of several parameters cannot have one unit; "
            "give quantities by name",
            name=label,
            value=values,
        )
    return to_value(values, "", label)


def by_name(values: Any) -> Mapping[str, Any] | None:
    """Return parameters that are given by name as a mapping; None for anything else.

    Besides mappings, these are the rows of astropy and numpy tables, tables themselves, and the
    series and frames of pandas with names.

    Examples
    --------
    >>> record = np.array([(5800.0, 4.5)], dtype=[("teff", float), ("logg", float)])[0]
    >>> {name: float(value) for name, value in by_name(record).items()}
    {'teff': 5800.0, 'logg': 4.5}
    """
    if isinstance(values, Mapping):
        return values
    if isinstance(values, list | tuple):
        return None
    if isinstance(values, np.ndarray | np.generic):
        record: Any = values
        names = values.dtype.names
        return {name: record[name] for name in names} if names else None
    keys = list(values.keys()) if hasattr(values, "keys") else []
    if not keys or not all(isinstance(key, str) for key in keys):
        return None
    columns = getattr(values, "columns", None) if hasattr(values, "colnames") else None
    return {key: _with_unit(values[key], None if columns is None else columns[key]) for key in keys}


def _with_unit(value: Any, column: Any) -> Any:
    """Return a cell of a table with the unit of its column."""
    unit = getattr(column, "unit", None)
    if unit is None or hasattr(value, "unit") or np.ma.is_masked(value):
        return value
    return value * unit


def _needs_conversion(value: Any) -> bool:
    """Whether a value has a unit or a mask, or may contain a value that has."""
    if isinstance(value, np.ndarray):
        return type(value) is not np.ndarray or value.dtype == object
    if isinstance(value, list | tuple):
        return any(_needs_conversion(item) for item in value)
    return hasattr(value, "to_value") or _is_pint(value)


def _is_column(value: Any) -> bool:
    """Whether a value is a column of an astropy table that has a unit."""
    return getattr(value, "unit", None) is not None and hasattr(value, "quantity")


def _is_pint(value: Any) -> bool:
    return hasattr(value, "magnitude") and hasattr(value, "units")


def _without_mask(value: Any, name: str) -> Any:
    """Return an array of numpy.ma or astropy's Masked without its mask; refuse masked values."""
    is_numpy = isinstance(value, np.ma.MaskedArray)
    if not (is_numpy or hasattr(value, "unmasked")):
        return value
    if np.any(value.mask):
        raise InvalidInput(
            f"{name} has masked values; expected numbers: remove or replace the masked values",
            name=name,
            value=value,
        )
    return value.filled() if is_numpy else value.unmasked


def _converted(value: Any, unit: str, name: str) -> Any:
    own = str(getattr(value, "unit", value))
    try:
        converted = value.to_value(unit)
        return converted if value.unit == unit else rounded(converted)
    except Exception as error:  # astropy raises UnitConversionError, a TypeError or a ValueError
        given = f"in {own}" if own else "is dimensionless"
        expected = unit or "a number without a unit"
        advice = f"or a unit that converts to it ({error})"
        if own == "deg_C" and unit == "K":
            advice = "not degrees Celsius; add 273.15 and give K"
        raise InvalidInput(
            f"{name} {given}: expected {expected}, {advice}", name=name, value=value
        ) from None


def rounded(values: Any) -> Any:
    """Round to 15 significant digits, so that 500 nm is 5000 Å and not 4999.999999999999."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (14 - np.floor(np.log10(np.abs(values))))
        return np.where(
            np.isfinite(values) & np.isfinite(scale), np.round(values * scale) / scale, values
        )[()]
