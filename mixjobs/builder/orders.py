"""The orders of a build: from a spectrum, wavelengths, edges, a table, or log spacing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixjobs.config.build import OrdersConfig
from mixjobs.display import counted
from mixjobs.errors import InvalidInput, OrderError
from mixjobs.library import Library
from mixjobs.observed.spectrum import ObservedSpectrum, open_spectrum
from mixjobs.orders import Orders, number_list
from mixjobs.typing import Floats
from mixjobs.units import to_value
from mixjobs.wavelengths import in_library_medium, ranges_of_pixels, settle_medium

# What `mixjobs.build` accepts.
OrdersLike = Orders | ObservedSpectrum | str | os.PathLike[str] | Mapping[int, Any]


@dataclass(frozen=True, eq=False)
class ChosenOrders:
    """Orders in the medium of a library, and how they were chosen.

    Attributes
    ----------
    orders : Orders
    source : str
        Origin of the orders, for the store's attribute ``orders_from``; may be empty.
    notes : tuple of str
        What was assumed, converted or left out, one line each.
    """

    orders: Orders
    source: str
    notes: tuple[str, ...] = ()


def choose_orders(
    orders: OrdersLike | OrdersConfig,
    library: Library,
    medium: str | None = None,
    skip_uncovered: bool = False,
) -> ChosenOrders:
    """Return the orders of a build, in the medium of its library.

    Parameters
    ----------
    orders : Orders, ObservedSpectrum, str, Path, mapping or OrdersConfig
        Ranges, an observed spectrum or its path, wavelengths by order number, or the table
        ``[orders]`` of a job file.
    library : Library
    medium : {"air", "vacuum"}, optional
        Medium of the wavelengths, if `orders` does not declare it; by default the library's.
    skip_uncovered : bool
        Leave out orders that the library does not cover, instead of refusing them later.

    Raises
    ------
    InvalidInput, OrderError, MissingFile, UnreadableFile
        The orders cannot be used or read, or the library covers none of them.
    """
    if medium not in (None, "air", "vacuum"):
        raise InvalidInput(
            f"medium = {medium!r}; expected 'air' or 'vacuum'", name="medium", value=medium
        )
    if isinstance(orders, OrdersConfig):
        skip_uncovered = skip_uncovered or orders.skip_uncovered
        chosen = _configured(orders, library, medium)
    elif isinstance(orders, Orders):
        chosen = _given(orders, library, medium)
    elif isinstance(orders, Mapping):
        chosen = _of_wavelengths(orders, library, medium)
    elif isinstance(orders, ObservedSpectrum):
        chosen = _of_spectrum(orders, None, library, medium)
    elif isinstance(orders, str | os.PathLike):
        chosen = _of_spectrum(open_spectrum(orders), None, library, medium)
    else:
        raise InvalidInput(
            f"orders of type {type(orders).__name__}: expected Orders, an observed spectrum or its "
            "path, or a mapping from order numbers to wavelengths",
            name="orders",
            value=orders,
        )
    return _covered(chosen, library) if skip_uncovered else chosen


def _configured(config: OrdersConfig, library: Library, medium: str | None) -> ChosenOrders:
    if config.from_file is not None:
        spectrum = open_spectrum(config.from_file)
        return _of_spectrum(spectrum, config.numbers, library, medium)
    if config.n is not None:
        whole = library.wavelength[0], float(np.nextafter(library.wavelength[-1], np.inf))
        low, high = config.range or whole
        source = f"{config.n} equal in log wavelength, {low:.6g} to {high:.6g} Å"
        return ChosenOrders(Orders.log_spaced(config.n, low, high), source)
    if config.edges is not None:
        return ChosenOrders(Orders.from_edges(config.edges), "edges")
    assert config.table is not None  # the job file was validated
    return ChosenOrders(Orders.from_table(config.table), config.table)


def _given(orders: Orders, library: Library, medium: str | None) -> ChosenOrders:
    if not _differ(medium, library):
        return ChosenOrders(orders, "")
    both = np.stack([orders.wave_min, orders.wave_max])  # so that shared edges stay equal
    low, high = in_library_medium(both, medium, library.medium)
    return ChosenOrders(Orders(orders.number, low, high), f"ranges ({_converted(medium, library)})")


def _of_wavelengths(
    wavelengths: Mapping[int, Any], library: Library, medium: str | None
) -> ChosenOrders:
    if not wavelengths:
        raise OrderError("no orders: the mapping from numbers to wavelengths is empty")
    arrays = [_checked(number, wavelengths[number]) for number in wavelengths]
    low, high = ranges_of_pixels(arrays, medium, library.medium)
    source = "wavelengths of each order"
    if _differ(medium, library):
        source += f" ({_converted(medium, library)})"
    return ChosenOrders(Orders(np.array(list(wavelengths)), low, high), source)


def _checked(number: Any, wavelength: Any) -> Floats:
    """Return the wavelengths of an order in Å, (n_pixels,), ascending."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise InvalidInput(
            f"order number {number!r}: expected a whole number", name="orders", value=number
        )
    try:
        wave = np.asarray(to_value(wavelength, "Angstrom", f"order {number}"), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"wavelengths of order {number} are not numbers in a unit of length ({error})",
            name="orders",
            order=int(number),
        ) from None
    if wave.ndim == 1 and len(wave) > 1 and wave[0] > wave[-1]:
        wave = wave[::-1]
    good = wave.ndim == 1 and len(wave) > 1 and np.isfinite(wave).all() and wave[0] > 0
    if not good or (np.diff(wave) <= 0).any():
        raise OrderError(
            f"wavelengths of order {number}: expected two or more, finite, positive and strictly "
            "ascending or descending",
            name="orders",
            order=int(number),
        )
    return wave


def _of_spectrum(
    spectrum: ObservedSpectrum, numbers: list[int] | None, library: Library, medium: str | None
) -> ChosenOrders:
    path = spectrum.path
    settled, how = settle_medium(path, spectrum.medium, medium, library.medium)
    if _differ(settled, library):
        how += f"; converted to {library.medium}, the library's"
    low, high = ranges_of_pixels(spectrum.wavelength, settled, library.medium)
    orders = Orders(spectrum.orders.number, low, high)
    notes = [f"{path}: {counted(len(orders), 'order')}; {how}"]
    notes += [f"{path}: {note}" for note in spectrum.notes]
    chosen = orders.select(numbers) if numbers else orders
    return ChosenOrders(chosen, f"{path} ({how})", tuple(notes))


def _differ(medium: str | None, library: Library) -> bool:
    return {medium, library.medium} == {"air", "vacuum"}


def _converted(medium: str | None, library: Library) -> str:
    return f"{medium}, converted to {library.medium}, the library's"


def _covered(chosen: ChosenOrders, library: Library) -> ChosenOrders:
    """Leave out the orders that the library does not cover."""
    orders = chosen.orders
    uncovered = orders.uncovered(library.wavelength)
    if not uncovered:
        return chosen
    if len(uncovered) == len(orders):
        raise InvalidInput(
            f"the library, {library.wavelength[0]:.6g} to {library.wavelength[-1]:.6g} Å, covers "
            f"none of the orders; {orders.remedy(library.wavelength)}",
            path=library.path,
            name="orders",
            value=orders.number.tolist(),
        )
    numbers = number_list(orders.number[uncovered])
    note = f"left out {counted(len(uncovered), 'order')} that the library does not cover: {numbers}"
    covered = orders.take(np.delete(np.arange(len(orders)), uncovered))
    return replace(chosen, orders=covered, notes=(*chosen.notes, note))
