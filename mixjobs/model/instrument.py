"""The data's pixels and instrument, order by order, as the library has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput, OrderError
from mixjobs.model.broadening import profile_sigma
from mixjobs.orders import Orders
from mixjobs.typing import Floats
from mixjobs.wavelengths import in_library_medium

Wavelengths = Sequence[ArrayLike] | Mapping[int, ArrayLike]


@dataclass(frozen=True, eq=False)
class DataPixels:
    """Wavelengths of the data, (n_pixels,) for each of M orders, Å.

    Attributes
    ----------
    shown : tuple of M arrays
        As they were given, or the library's own.
    pixels : tuple of M arrays
        The same in the library's medium.
    given : tuple of M arrays or None
        `pixels`, or None where the library's own serve.
    """

    shown: tuple[Floats, ...]
    pixels: tuple[Floats, ...]
    given: tuple[Floats, ...] | None


def data_pixels(
    wavelengths: Wavelengths | None,
    orders: Orders,
    medium: str | None,
    own: Sequence[Floats],
    library_medium: str,
) -> DataPixels:
    """Check the data's wavelengths, and bring them to the library's medium.

    Parameters
    ----------
    wavelengths : one (n_pixels,) array an order, or a mapping from order numbers to them, or None
    orders : Orders
    medium : {"air", "vacuum"} or None
        Of the wavelengths; None for the library's.
    own : sequence of (n_pixels,) arrays
        The library's pixels in the orders.
    library_medium : str

    Raises
    ------
    InvalidInput
        Another medium, an order that is missing, or wavelengths that are no numbers.
    OrderError
        Wavelengths outside their order.
    """
    if medium not in (None, "air", "vacuum"):
        raise InvalidInput(f"medium {medium!r}: expected air or vacuum")
    if wavelengths is None:
        return DataPixels(tuple(own), tuple(own), None)
    shown = tuple(_wavelength(w) for w in in_order(wavelengths, [int(n) for n in orders.number]))
    pixels = tuple(in_library_medium(wave, medium, library_medium) for wave in shown)
    for number, low, high, wave in zip(
        orders.number, orders.wave_min, orders.wave_max, pixels, strict=True
    ):
        if wave.ndim == 1 and len(wave) and not (wave.min() >= low and wave.max() <= high):
            raise OrderError(
                f"order {number} goes from {low:.8g} to {high:.8g} Å, its wavelengths from "
                f"{wave.min():.8g} to {wave.max():.8g} Å ({library_medium}); cut them to the order"
            )
    return DataPixels(shown, pixels, pixels)


def in_order(wavelengths: Wavelengths, numbers: Sequence[int]) -> Sequence[ArrayLike]:
    """Return one array of wavelengths an order, in the order of the numbers.

    Raises
    ------
    InvalidInput
        An order is missing, or they are no such arrays.
    """
    if isinstance(wavelengths, Mapping):
        missing = [n for n in numbers if n not in wavelengths]
        if missing:
            raise InvalidInput(f"wavelengths lack order {missing[0]}; give one array an order")
        return [wavelengths[number] for number in numbers]
    if not isinstance(wavelengths, Sequence | np.ndarray) or isinstance(wavelengths, str):
        raise InvalidInput(f"wavelengths {wavelengths!r}: expected one array an order")
    if len(wavelengths) != len(numbers):
        raise InvalidInput(
            f"{len(wavelengths)} arrays of wavelengths for {len(numbers)} orders; give one an order"
        )
    return wavelengths


def _wavelength(given: ArrayLike) -> Floats:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(f"wavelengths {given!r}: expected arrays of numbers, in Å") from None


def profile_sigmas(
    resolution: ArrayLike | None,
    fwhm: ArrayLike | None,
    library_resolution: float | None,
    numbers: Sequence[int],
) -> Floats:
    """Width of the instrumental profile in every order, in ln(wavelength): (M,).

    Parameters and errors are those of `mixjobs.model.broadening.profile_sigma`, with one
    resolution or FWHM for all orders or one for each.
    """
    resolutions, fwhms = (of_orders(width, len(numbers)) for width in (resolution, fwhm))
    sigmas = [
        profile_sigma(*widths, library_resolution)
        for widths in zip(resolutions, fwhms, strict=True)
    ]
    return np.array(sigmas)


def of_orders(width: ArrayLike | None, n_orders: int) -> list[float] | list[None]:
    """Return one width an order, for one of all orders or one of each, or None.

    Raises
    ------
    InvalidInput
        Another number of widths, or they are no numbers.
    """
    if width is None:
        return [None] * n_orders
    try:
        values = np.broadcast_to(np.asarray(width, dtype=np.float64), (n_orders,))
    except (TypeError, ValueError):
        raise InvalidInput(
            f"resolution {width!r}: expected one number, or one for each of {n_orders} orders"
        ) from None
    return [float(value) for value in values]
