"""Spectra given in Python as arrays, with or without units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.declarations import Declaration
from mixjobs.errors import InvalidInput
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.assembly import assemble
from mixjobs.observed.readers.fields import Arrays, Field
from mixjobs.observed.readers.headers import distinct
from mixjobs.units import to_integers


def read_arrays(
    arrays: dict[str, Any],
    numbers: Sequence[int] | None,
    options: ReaderOptions,
    velocity: float | None = None,
) -> Content:
    """Read a spectrum from arrays.

    Parameters
    ----------
    arrays : dict
        By quantity: (pixels,) or (orders, pixels) arrays, or lists of arrays of different length.
    numbers : sequence of M int, optional
    options : ReaderOptions
    velocity : float, optional
        Of the Earth, km/s.

    Raises
    ------
    InvalidInput
        An array is not of numbers, or has another number of orders than the wavelengths.
    """
    fields = {name: _field(name, values) for name, values in arrays.items() if values is not None}
    n_orders = len(fields["wavelength"].values)
    own = None if numbers is None else to_integers(numbers, "numbers")
    wrong = [name for name, one in fields.items() if len(one.values) != n_orders]
    if wrong or (own is not None and distinct(own) is None) or (own and len(own) != n_orders):
        name = wrong[0] if wrong else "numbers"
        found = len(fields[wrong[0]].values) if wrong else own
        raise InvalidInput(
            f"{name}: {found} for {n_orders} orders of wavelengths; expected one for each",
            name=name,
            value=found,
        )
    orders = [Declaration("orders", "numbers", f"{n_orders}")] if own else []
    return assemble(
        Arrays(Path("arrays"), fields, own, velocity=velocity, declarations=orders), options
    )


def _field(name: str, values: Any) -> Field:
    unit = getattr(values, "unit", None)
    if isinstance(values, list | tuple) and values and hasattr(values[0], "unit"):
        unit = values[0].unit
        values = [one.to(unit) if hasattr(one, "to") else one for one in values]
    ragged = isinstance(values, list | tuple) and values and np.ndim(values[0]) == 1
    rows = [_plain(name, one) for one in values] if ragged else _rows(name, values)
    text = None if unit is None else _text(unit)
    return Field(f"the array {name}", rows, text or None, f"unit of {name}")


def _rows(name: str, values: Any) -> list[Any]:
    array = _plain(name, values)
    if array.ndim not in (1, 2) or array.size == 0:
        raise InvalidInput(
            f"{name} has shape {array.shape}; expected (pixels,), (orders, pixels) or a list of "
            "arrays",
            name=name,
            value=array.shape,
        )
    return list(np.atleast_2d(array))


def _plain(name: str, values: Any) -> Any:
    """Return values without their unit; masked ones stay masked."""
    plain = getattr(values, "value", values)
    try:
        array = np.ma.asarray(plain)
    except (TypeError, ValueError):
        raise InvalidInput(
            f"{name} is not an array of numbers", name=name, value=type(values).__name__
        ) from None
    return array


def _text(unit: Any) -> str:
    return str(unit.to_string() if hasattr(unit, "to_string") else unit).strip()
