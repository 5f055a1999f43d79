"""Matching of an observed spectrum's pixels to the orders of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mixjobs.errors import OrderError
from mixjobs.orders import Orders
from mixjobs.typing import Bools, Floats

Convert = Callable[[Floats], Floats]

MIN_PIXELS = 5  # with fewer, an order constrains little besides its continuum


class Piece(NamedTuple):
    """Pixels of the spectrum that form one order of the result."""

    number: int
    row: int
    pixels: slice


def match_by_number(
    path: Path, numbers: Sequence[int], waves: Sequence[Floats], masks: Sequence[Bools],
    orders: Orders, convert: Convert,
) -> list[Piece]:  # fmt: skip
    """Match orders by number, without the masked pixels outside the store's ranges.

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

    Raises
    ------
    OrderError
        A pixel to use lies outside the range of its order.
    """
    pieces = []
    for number, low, high in _ranges(orders):
        if number not in numbers:
            continue
        row = numbers.index(number)
        # a pixel exactly at the upper end is accepted, as in a mixture model
        pixels = _cut(waves[row], low, np.nextafter(high, np.inf), convert)
        if masks[row][: pixels.start].any() or masks[row][pixels.stop :].any():
            used = convert(waves[row][masks[row]])
            raise OrderError(
                f"{path}: order {number} is not covered by the store: its pixels to use extend "
                f"from {used[0]:.10g} to {used[-1]:.10g} Å, the store's order from {low:.10g} to "
                f"{high:.10g} Å (in the library's medium); mask the pixels outside, or rebuild the "
                "store with a wider order",
                path=path,
                order=number,
                value=(float(used[0]), float(used[-1])),
            )
        pieces.append(Piece(number, row, pixels))
    return pieces


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
