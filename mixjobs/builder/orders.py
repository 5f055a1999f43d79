"""The orders of a build: from spectra, wavelengths, edges, a table, or log spacing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import exp
from typing import Any

import numpy as np

from mixjobs.builder.epochs import EpochOrders, join_epochs
from mixjobs.config.build import MAX_VELOCITY, OrdersConfig
from mixjobs.display import counted
from mixjobs.errors import InvalidInput, MixjobsError, OrderError
from mixjobs.library import Library
from mixjobs.observed.opening import open_spectrum
from mixjobs.observed.readers.specutils_objects import is_spectrum_object
from mixjobs.observed.spectrum import ObservedSpectrum
from mixjobs.orders import Orders, number_list
from mixjobs.typing import Floats
from mixjobs.units import to_value
from mixjobs.wavelengths import (
    SPEED_OF_LIGHT,
    Medium,
    check_common_medium,
    in_library_medium,
    ranges_of_pixels,
    settle_medium,
)

SpectrumLike = ObservedSpectrum | str | os.PathLike[str]
# What `mixjobs.build` accepts.
OrdersLike = Orders | SpectrumLike | Sequence[SpectrumLike] | Mapping[int, Any]


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
    margin: float = 0.0,
) -> ChosenOrders:
    """Return the orders of a build, in the medium of its library.

    Parameters
    ----------
    orders : Orders, ObservedSpectrum, str, Path, sequence, mapping or OrdersConfig
        Ranges; an observed spectrum or its path, or a sequence with one for each epoch; wavelengths
        by order number; or the table ``[orders]`` of a job file, whose keys replace the arguments
        below.
    library : Library
    medium : {"air", "vacuum"}, optional
        Medium of the wavelengths, if `orders` does not declare it; by default the library's.
    skip_uncovered : bool
        Leave out orders that the library does not cover, instead of refusing them later.
    margin : float or quantity
        By how much every range is widened on both sides, km/s.

    Raises
    ------
    InvalidInput, OrderError, MissingFile, UnreadableFile
        The orders cannot be used or read, orders of several epochs do not match, or the library
        covers none of them.
    """
    if medium not in (None, "air", "vacuum"):
        raise InvalidInput(
            f"medium = {medium!r}; expected 'air' or 'vacuum'", name="medium", value=medium
        )
    if isinstance(orders, OrdersConfig):
        with _keys_of_the_table():
            chosen = _configured(orders, library)
        margin, skip_uncovered = orders.margin, orders.skip_uncovered
    elif isinstance(orders, Orders):
        chosen = _given(orders, "", library, medium)
    elif isinstance(orders, Mapping):
        chosen = _of_wavelengths(orders, library, medium)
    else:
        chosen = _of_spectra(_opened(orders), library, medium)
    chosen = _widened(chosen, margin)
    return _covered(chosen, library) if skip_uncovered else chosen


@contextmanager
def _keys_of_the_table() -> Iterator[None]:
    """Name the keys of ``[orders]`` in errors: the library has some of the same names."""
    try:
        yield
    except MixjobsError as error:
        if error.name in ("medium", "wavelength_unit", "columns"):
            error.name = f"orders.{error.name}"
        raise


def _configured(config: OrdersConfig, library: Library) -> ChosenOrders:
    if config.from_file is not None:
        spectra = _opened(config.from_file, config.columns, config.wavelength_unit)
        chosen = _of_spectra(spectra, library, config.medium)
        orders = chosen.orders.select(config.numbers) if config.numbers else chosen.orders
        return replace(chosen, orders=orders)
    if config.n is not None:
        whole = library.wavelength[0], float(np.nextafter(library.wavelength[-1], np.inf))
        low, high = config.range or whole
        source = f"{config.n} equal in log wavelength, {low:.6g} to {high:.6g} Å"
        return _given(Orders.log_spaced(config.n, low, high), source, library, config.medium)
    if config.edges is not None:
        return _given(Orders.from_edges(config.edges), "edges", library, config.medium)
    assert config.table is not None  # the job file was validated
    return _given(Orders.from_table(config.table), config.table, library, config.medium)


def _opened(
    orders: Any,
    columns: Mapping[Any, str | int] | None = None,
    wavelength_unit: str | None = None,
) -> list[ObservedSpectrum]:
    """Return the spectra of one or several epochs; they need not have flux errors."""
    several = isinstance(orders, list | tuple) and not is_spectrum_object(orders)
    epochs = orders if several else [orders]
    for epoch in epochs:
        known = isinstance(epoch, ObservedSpectrum | str | os.PathLike)
        if not known and not is_spectrum_object(epoch):
            raise InvalidInput(
                f"orders of type {type(orders).__name__}: expected Orders, an observed spectrum or "
                "its path, a list of them, or a mapping from order numbers to wavelengths",
                name="orders",
                value=orders,
            )
    if not epochs:
        raise InvalidInput(
            "no orders: the list of spectra is empty; give at least one",
            name="orders",
            value=orders,
        )
    return [
        open_spectrum(epoch, columns=columns, wavelength_unit=wavelength_unit, errors_needed=False)
        for epoch in epochs
    ]


def _given(orders: Orders, source: str, library: Library, medium: str | None) -> ChosenOrders:
    if not _differ(medium, library):
        return ChosenOrders(orders, source)
    both = np.stack([orders.wave_min, orders.wave_max])  # so that shared edges stay equal
    low, high = in_library_medium(both, medium, library.medium)
    source = f"{source or 'ranges'} ({_converted(medium, library)})"
    return ChosenOrders(Orders(orders.number, low, high), source)


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


def _of_spectra(
    spectra: Sequence[ObservedSpectrum], library: Library, medium: str | None
) -> ChosenOrders:
    """Return the orders that contain those of every epoch."""
    settled = _settle_media(spectra, library, medium)
    epochs, sources, notes = [], [], []
    for spectrum, (own, how) in zip(spectra, settled, strict=True):
        path = spectrum.path
        if _differ(own, library):
            how += f"; converted to {library.medium}, the library's"
        low, high = ranges_of_pixels(spectrum.wavelength, own, library.medium)
        orders = Orders(spectrum.orders.number, low, high)
        _check_within_reach(spectrum, orders, library)
        epochs.append(EpochOrders(path, orders, spectrum.numbered))
        sources.append(f"{path} ({how})")
        notes += [f"{path}: {counted(len(orders), 'order')}; {how}"]
        notes += [f"{path}: {note}" for note in spectrum.notes]
    joined, note = join_epochs(epochs)
    return ChosenOrders(joined, "; ".join(sources), (*notes, *([note] if note else [])))


def _settle_media(
    spectra: Sequence[ObservedSpectrum], library: Library, medium: str | None
) -> list[tuple[Medium | None, str]]:
    """Return the medium of each epoch and how it is known.

    A medium that is requested is that of the epochs that do not declare theirs, if there are any.
    """
    all_declare = all(spectrum.medium for spectrum in spectra)
    settled = [
        settle_medium(
            spectrum.path,
            spectrum.medium,
            None if spectrum.medium and not all_declare else medium,
            library.medium,
        )
        for spectrum in spectra
    ]
    paths = [spectrum.path for spectrum in spectra]
    check_common_medium(paths, [own for own, _ in settled], library.medium)
    return settled


def _check_within_reach(spectrum: ObservedSpectrum, orders: Orders, library: Library) -> None:
    """Refuse a spectrum that lies entirely outside the library."""
    low, high = orders.wave_min.min(), orders.wave_max.max()
    first, last = library.wavelength[0], library.wavelength[-1]
    if low > last or high < first:
        raise OrderError(
            f"{spectrum.path}: the spectrum extends from {low:.6g} to {high:.6g} Å and the library "
            f"from {first:.6g} to {last:.6g} Å; "
            + orders.remedy(library.wavelength, "choose another library, or correct the unit"),
            path=spectrum.path,
            name="orders",
            value=(float(low), float(high)),
        )


def _widened(chosen: ChosenOrders, margin: Any) -> ChosenOrders:
    """Widen every range by a margin on both sides, km/s."""
    try:
        velocity = float(to_value(margin, "km/s", "margin"))
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        velocity = -1.0
    if not 0 <= velocity < MAX_VELOCITY:
        raise InvalidInput(
            f"margin = {margin!r}: expected a number in km/s, from 0 to less than a tenth of the "
            "speed of light",
            name="margin",
            value=margin,
        )
    if not velocity:
        return chosen
    orders, factor = chosen.orders, exp(velocity / SPEED_OF_LIGHT)
    wider = Orders(orders.number, orders.wave_min / factor, orders.wave_max * factor)
    note = f"widened by {velocity:g} km/s on both sides"
    source = f"{chosen.source or 'ranges'}; {note}"
    return ChosenOrders(wider, source, (*chosen.notes, f"orders {note}"))


def _differ(medium: str | None, library: Library) -> bool:
    return {medium, library.medium} == {"air", "vacuum"}


def _converted(medium: str | None, library: Library) -> str:
    return f"{medium}, converted to {library.medium}, the library's"


def _covered(chosen: ChosenOrders, library: Library) -> ChosenOrders:
    """Leave out the orders that the library does not cover."""
    orders = chosen.orders
    uncovered = orders.uncovered(library.sections)
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
