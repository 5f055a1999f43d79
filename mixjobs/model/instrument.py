"""The pixels and the instrumental profile of the data, order by order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.display import counted
from mixjobs.errors import InvalidInput, OrderError
from mixjobs.model.broadening import profile_sigma
from mixjobs.orders import Orders
from mixjobs.typing import Floats
from mixjobs.units import to_value
from mixjobs.wavelengths import SPEED_OF_LIGHT, in_library_medium

Wavelengths = Sequence[ArrayLike] | Mapping[int, ArrayLike]

MIN_PIXELS_PER_FWHM = 1.5  # with fewer, a warning
_UNITS = {"resolution": "", "fwhm": "km/s"}


@dataclass(frozen=True, eq=False)
class DataPixels:
    """Wavelengths of the pixels in each of M orders, Å.

    Attributes
    ----------
    observed : tuple of M (n_pixels,) arrays
        In the medium of the data.
    in_library_medium : tuple of M (n_pixels,) arrays
        The same, in the medium of the library.
    are_own : bool
        Whether these are the library's own pixels, which need no resampling.
    """

    observed: tuple[Floats, ...]
    in_library_medium: tuple[Floats, ...]
    are_own: bool


def data_pixels(
    wavelengths: Wavelengths | None,
    orders: Orders,
    medium: str | None,
    library_pixels: Sequence[Floats],
    library_medium: str,
) -> DataPixels:
    """Check the wavelengths of the data, and convert them to the library's medium.

    Parameters
    ----------
    wavelengths : sequence of M arrays, a mapping from order numbers to arrays, or None
        Å, or quantities. None for the library's own pixels.
    orders : Orders
        M orders.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths; None for the library's.
    library_pixels : sequence of M (n_pixels,) arrays
        The library's own pixels in the orders.
    library_medium : {"air", "vacuum"}

    Raises
    ------
    InvalidInput
        An unknown medium, a missing order, or wavelengths that are not numbers.
    OrderError
        Wavelengths outside their order.
    """
    if medium not in (None, "air", "vacuum"):
        raise InvalidInput(
            f"unknown medium {medium!r}; choose air or vacuum", name="medium", value=medium
        )
    if wavelengths is None:
        return DataPixels(tuple(library_pixels), tuple(library_pixels), True)
    arrays = in_order(wavelengths, [int(n) for n in orders.number])
    observed = tuple(_wavelength(array) for array in arrays)
    converted = tuple(in_library_medium(wave, medium, library_medium) for wave in observed)
    for m, wave in enumerate(converted):
        _check_within_order(wave, orders.take([m]), library_medium)
    return DataPixels(observed, converted, False)


def _check_within_order(wave: Floats, order: Orders, medium: str) -> None:
    """Refuse wavelengths outside their order."""
    number, low, high = int(order.number[0]), order.wave_min[0], order.wave_max[0]
    if wave.ndim == 1 and len(wave) and not (wave.min() >= low and wave.max() <= high):
        raise OrderError(
            f"order {number} covers {low:.8g} to {high:.8g} Å, but its wavelengths extend from "
            f"{wave.min():.8g} to {wave.max():.8g} Å ({medium}); trim them to the order, "
            "or correct their medium",
            name="wavelengths",
            value=(float(wave.min()), float(wave.max())),
            order=number,
        )


def in_order(wavelengths: Wavelengths, numbers: Sequence[int]) -> Sequence[ArrayLike]:
    """Return one array of wavelengths per order, in the sequence of the numbers.

    Raises
    ------
    InvalidInput
        A missing order, or something other than one array per order.
    """
    if isinstance(wavelengths, Mapping):
        missing = [n for n in numbers if n not in wavelengths]
        if missing:
            raise InvalidInput(
                f"no wavelengths for order {missing[0]}; give one array per order",
                name="wavelengths",
                order=missing[0],
            )
        return [wavelengths[number] for number in numbers]
    if not isinstance(wavelengths, Sequence | np.ndarray) or isinstance(wavelengths, str):
        raise InvalidInput(
            f"wavelengths = {wavelengths!r}: expected one array per order",
            name="wavelengths",
            value=wavelengths,
        )
    if len(wavelengths) != len(numbers):
        raise InvalidInput(
            f"{counted(len(wavelengths), 'array')} of wavelengths for "
            f"{counted(len(numbers), 'order')}; "
            "give one array per order",
            name="wavelengths",
            value=len(wavelengths),
        )
    return wavelengths


def _wavelength(values: ArrayLike) -> Floats:
    try:
        return np.asarray(to_value(values, "Angstrom", "wavelengths"), dtype=np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(
            f"wavelengths = {values!r}: expected arrays of numbers, in Å",
            name="wavelengths",
            value=values,
        ) from None


def profile_sigmas(
    resolution: ArrayLike | None,
    fwhm: ArrayLike | None,
    library_resolution: float | None,
    n_orders: int,
) -> Floats:
    """Width of the instrumental profile in every order, in ln(wavelength): (M,).

    Parameters and errors are those of `mixjobs.model.broadening.profile_sigma`. The resolution or
    FWHM is one number, or one number per order.
    """
    resolutions = of_orders(resolution, n_orders, "resolution")
    fwhms = of_orders(fwhm, n_orders, "fwhm")
    sigmas = [
        profile_sigma(*widths, library_resolution)
        for widths in zip(resolutions, fwhms, strict=True)
    ]
    return np.array(sigmas)


def pixels_per_fwhm(
    wavelength: Floats, resolution: float | None = None, fwhm: float | None = None
) -> float | None:
    """Return the number of pixels in the FWHM of the instrumental profile; None without a profile.

    Parameters
    ----------
    wavelength : (n_pixels,) array
        Å, ascending.
    resolution : float, optional
        Resolving power.
    fwhm : float, optional
        km/s.

    Examples
    --------
    >>> f"{pixels_per_fwhm(np.array([5000.0, 5000.05, 5000.1]), resolution=50_000):.2f}"
    '2.00'
    """
    if resolution is None and fwhm is None:
        return None
    width = 1 / resolution if resolution is not None else (fwhm or 0.0) / SPEED_OF_LIGHT
    return float(width / np.median(np.diff(np.log(wavelength))))


def undersampling_note(pixels: Mapping[int, float]) -> str:
    """Return the warning about orders, given by number with their pixels per FWHM."""
    numbers = ", ".join(map(str, pixels))
    return (
        f"order{'s' * (len(pixels) > 1)} {numbers}: the FWHM of the instrument has only "
        f"{min(pixels.values()):.2g} pixels, which cannot resolve it; expected about 2 to 5: check "
        "the resolution, or the unit of the wavelengths"
    )


def of_orders(width: ArrayLike | None, n_orders: int, name: str) -> list[float] | list[None]:
    """Repeat a single width, or None, for every order; return one width per order unchanged.

    Parameters
    ----------
    width : float, (M,) array, quantity or None
    n_orders : int
    name : {"resolution", "fwhm"}

    Raises
    ------
    InvalidInput
        The wrong number of widths, or widths that are not numbers.
    """
    if width is None:
        return [None] * n_orders
    plain = to_value(width, _UNITS[name], name)
    try:
        values = np.broadcast_to(np.asarray(plain, dtype=np.float64), (n_orders,))
    except (TypeError, ValueError):
        raise InvalidInput(
            f"{name} = {width!r}: expected one number, or one for each "
            f"of {counted(n_orders, 'order')}",
            name=name,
            value=width,
        ) from None
    return [float(value) for value in values]
