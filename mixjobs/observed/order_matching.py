"""Matching of an observed spectrum's pixels to the orders of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mixjobs.errors import OrderError
from mixjobs.orders import Orders, number_list
from mixjobs.typing import Bools, Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT

Convert = Callable[[Floats], Floats]

MIN_PIXELS = 5  # with fewer, an order constrains little besides its continuum
_MAX_OUTSIDE = 0.5  # fraction of an order's pixels: with more, its wavelengths are wrong
_AIR_TO_VACUUM, _NEARLY = 82.0, 6.0  # km/s; 81.7 in the infrared, 87 at 3000 Å


class Piece(NamedTuple):
    """Pixels of the spectrum that form one order of the result."""

    number: int
    row: int
    pixels: slice


def match_by_number(
    path: Path, numbers: Sequence[int], waves: Sequence[Floats], masks: Sequence[Bools],
    orders: Orders, convert: Convert,
) -> tuple[list[Piece], list[str]]:  # fmt: skip
    """Match orders by number, without the pixels outside the store's ranges.

    Parameters
    ----------
    path : Path
    numbers : sequence of M int
        Order numbers of the spectrum.
    waves : sequence of M (n_pixels,) arrays
        Å.
    masks : sequence of M (n_pixels,) bool arrays
        True for a pixel to use.
    orders : Orders
        The store's.
    convert : callable
        Converts wavelengths to the library's medium.

    Returns
    -------
    pieces : list of Piece
    notes : list of str
        How many pixels to use are outside, if there are any, and in which orders.

    Raises
    ------
    OrderError
        Most of the pixels to use lie outside the range of their order, or all orders are displaced
        as if they were in another medium.
    """
    pieces, cuts = [], []
    for number, low, high in _ranges(orders):
        if number not in numbers:
            continue
        row = numbers.index(number)
        # a pixel exactly at the upper end is accepted, as in a mixture model
        pixels = _cut(waves[row], low, np.nextafter(high, np.inf), convert)
        pieces.append(Piece(number, row, pixels))
        used = convert(waves[row][masks[row]])
        n_outside = len(used) - int(masks[row][pixels].sum())
        if n_outside > _MAX_OUTSIDE * len(used):
            raise OrderError(
                f"{path}: order {number} is not covered by the store: its pixels to use extend "
                f"from {used[0]:.10g} to {used[-1]:.10g} Å, the store's order from {low:.10g} to "
                f"{high:.10g} Å (in the library's medium), and {n_outside} of {len(used)} are "
                "outside; correct the unit, the medium or the number of the order, or rebuild the "
                "store",
                path=path,
                name="wavelengths",
                order=number,
                value=(float(used[0]), float(used[-1])),
            )
        if len(used):
            ends = SPEED_OF_LIGHT * np.log([used[0] / low, used[-1] / high])
            cuts.append(_Cut(number, n_outside, *ends.tolist()))
    return pieces, _cut_notes(path, cuts)


class _Cut(NamedTuple):
    """Pixels to use outside an order, and by how much its ends differ from the store's, km/s."""

    number: int
    n_outside: int
    first: float
    last: float


def _cut_notes(path: Path, cuts: Sequence[_Cut]) -> list[str]:
    outside = [cut for cut in cuts if cut.n_outside]
    if not outside:
        return []
    shift = medium_shift([cut.first for cut in cuts], [cut.last for cut in cuts])
    if shift is not None:
        raise OrderError(
            f"{path}: its orders are displaced by {shift:.0f} km/s from the store's, as if one "
            "were in air and the other in vacuum; state the medium of the spectrum (if it is "
            "right, mask the pixels outside the store's orders)",
            path=path,
            name="medium",
            value=shift,
        )
    beyond = max(max(-cut.first, cut.last) for cut in outside)
    return [
        "pixels masked because they lie outside the store's orders: "
        f"{sum(cut.n_outside for cut in outside)}, up to {beyond:.0f} km/s beyond, in "
        f"order {number_list(cut.number for cut in outside)}"
    ]


def numbers_by_range(waves: Sequence[Floats], orders: Orders, convert: Convert) -> list[int] | None:
    """Return the number of the store's order that contains the middle of each order.

    None if an order lies in none or in several of the store's, or two lie in the same.
    """
    numbers: list[int | None] = []
    for wave in waves:
        middle = convert(wave[len(wave) // 2 : len(wave) // 2 + 1])[0]
        inside = [number for number, low, high in _ranges(orders) if low <= middle < high]
        numbers += inside if len(inside) == 1 else [None]
    known = [number for number in numbers if number is not None]
    return known if len(set(known)) == len(waves) else None


def medium_shift(first: Sequence[float], last: Sequence[float]) -> float | None:
    """Return the shift of orders if it is that between air and vacuum; otherwise None.

    The motion of the Earth shifts two epochs by at most 60 km/s. Orders that are trimmed otherwise
    are not shifted by the same velocity at both ends.

    Parameters
    ----------
    first, last : sequences of M floats
        Shifts of the first and the last wavelength of each order, km/s.

    Examples
    --------
    >>> medium_shift([-83.0, -82.8], [-83.1, -82.7]), medium_shift([41.0], [41.2])
    (-82.9, None)
    """
    shifts = float(np.median(first)), float(np.median(last))
    near = all(abs(abs(shift) - _AIR_TO_VACUUM) < _NEARLY for shift in shifts)
    return shifts[0] if near and shifts[0] * shifts[1] > 0 else None


def cut_by_range(wave: Floats, orders: Orders, convert: Convert) -> list[Piece]:
    """Cut a spectrum of one order, (n_pixels,) Å, by the ranges of a store's orders.

    A pixel in two ranges belongs to the bluer order only, so that it does not count twice.
    `convert` converts wavelengths to the library's medium.
    """
    pieces, end = [], 0
    for number, low, high in sorted(_ranges(orders), key=lambda order: order[1]):
        pixels = _cut(wave, low, high, convert)
        pixels = slice(max(pixels.start, end), max(pixels.stop, end))
        pieces.append(Piece(number, 0, pixels))
        end = pixels.stop
    return sorted(pieces, key=lambda piece: orders.number.tolist().index(piece.number))


def _ranges(orders: Orders) -> Iterable[tuple[int, float, float]]:
    edges = orders.wave_min.tolist(), orders.wave_max.tolist()
    return zip(orders.number.tolist(), *edges, strict=True)


def _cut(wave: Floats, low: float, high: float, convert: Convert) -> slice:
    """Return the pixels of ascending wavelengths with ``low <= convert(wave) < high``.

    The cut is repeated until nothing changes, because the last bit of a converted wavelength can
    depend on which pixels are converted together.
    """
    start, stop = 0, len(wave)
    while True:
        part = convert(wave[start:stop])
        first, last = np.searchsorted(part, (low, high))
        if last - first == stop - start:
            return slice(start, stop)
        start, stop = start + int(first), start + int(last)


def drop_short_pieces(
    pieces: Iterable[Piece], masks: Sequence[Bools]
) -> tuple[list[Piece], list[str]]:
    """Drop pieces with fewer than `MIN_PIXELS` pixels to use; a note lists their orders."""
    kept: list[Piece] = []
    dropped: list[Piece] = []
    for piece in pieces:
        long_enough = int(masks[piece.row][piece.pixels].sum()) >= MIN_PIXELS
        (kept if long_enough else dropped).append(piece)
    numbers = ", ".join(str(piece.number) for piece in dropped)
    note = f"orders left out, fewer than {MIN_PIXELS} pixels to use: {numbers}"
    return kept, [note] if dropped else []


def unmatched_orders(numbers: Sequence[int], orders: Orders) -> list[str]:
    """Return notes that list the orders found only in the spectrum or only in the store."""
    store = orders.number.tolist()
    only = {
        "orders left out, not in the store": [n for n in numbers if n not in store],
        "orders of the store without data": [n for n in store if n not in numbers],
    }
    return [f"{note}: {', '.join(map(str, listed))}" for note, listed in only.items() if listed]


def coverage_note(pieces: Sequence[Piece], mask: Bools) -> str:
    """Return a note on how many of a spectrum's pixels to use, (n_pixels,), are in the pieces."""
    covered = np.zeros(len(mask), dtype=bool)
    for piece in pieces:
        covered[piece.pixels] = True
    numbers = ", ".join(str(piece.number) for piece in pieces)
    return (
        f"cut into the store's orders {numbers}: "
        f"{(covered & mask).sum()} of the {mask.sum()} pixels to use"
    )
