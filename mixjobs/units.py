"""Units of measurement: of fluxes in files, and of quantities given from Python."""

from __future__ import annotations

from typing import Any

from mixjobs.errors import InvalidInput

# Flux units, in erg/s/cm²/Å.
UNITS = {"erg/s/cm2/AA": 1.0, "erg/s/cm2/cm": 1e8}


def to_value(value: Any, unit: str, name: str) -> Any:
    """Convert an astropy quantity to plain numbers in `unit`; return anything else unchanged.

    Astropy need not be installed or imported: a quantity brings its own conversion.

    Parameters
    ----------
    value : object
        A number, an array, or an `astropy.units.Quantity`.
    unit : str
        A unit that `astropy.units` can parse, such as ``"Angstrom"``, ``"km/s"`` or ``"K"``.
    name : str
        What the value is called, for the error.

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
    if not hasattr(value, "to_value"):
        return value
    try:
        return value.to_value(unit)
    except Exception as error:  # astropy raises UnitConversionError, a TypeError or a ValueError
        raise InvalidInput(
            f"{name} in {value.unit}: expected {unit} or a unit that converts to it ({error})",
            name=name,
            value=value,
        ) from None
