"""Which pixels of an observed spectrum belong to which of a store's orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mixjobs.errors import InvalidInput, OrderError
from mixjobs.orders import Orders
from mixjobs.typing import Bools, Floats
from mixjobs.wavelengths import Medium

Convert = Callable[[Floats], Floats]

FEWEST = 5  # pixels to use that an order needs to say anything beside a continuum


class Piece(NamedTuple):
    """One order of the result: pixels of one row of the spectrum."""

    number: int
    row: int
    pixels: slice


def settle_medium(
    path: Path, says: Medium | None, asked: str | None, library: str
) -> tuple[Medium | None, str]:
    """Return the medium of a spectrum: the file's, else the one asked for, else the library's.

    It is None where none of the three is known. Beside it there is a note of whose it is.

    Raises
    ------
    InvalidInput
        The file says otherwise, or what is asked for is no medium.
    """
    if asked not in (None, "air", "vacuum"):
        raise InvalidInput(f"medium {asked!r}: expected air or vacuum")
    if says and asked not in (None, says):
        raise InvalidInput(f"medium {asked!r}: {path} says {says}; leave it out")
    media: tuple[Medium, ...] = ("air", "vacuum")
    for medium in media:
        if medium == (says or asked or library):
            by = "as the file says" if says else "as was asked" if asked else "as the library's"
            unknown = "" if library in media else "; not converted: the library's is not known"
            return medium, f"wavelengths in {medium}, {by}{unknown}"
    return None, "wavelengths as the library's: neither says whether they are in air or vacuum"


def by_number(
    path: Path, numbers: Sequence[int], waves: Sequence[Floats], masks: Sequence[Bools],
    orders: Orders, convert: Convert,
) -> list[Piece]:  # fmt: skip
    """Match orders by number; masked pixels at the ends that a window leaves out are cut off.

    Parameters
    ----------
    path : Path
    numbers : M order numbers of the spectrum
    waves : M (n_pixels,) arrays
        Å.
    masks : M (n_pixels,) bool arrays
    orders : Orders
        The store's.
    convert : callable
        From such wavelengths to the library's medium.

    Raises
    ------
    OrderError
        A pixel that is used lies outside its order's window.
    """
    pieces = []
    for number, low, high in _each(orders):
        if number not in numbers:
            continue
        row = numbers.index(number)
        # a pixel at the very end is accepted, as it is by a mixture model
        pixels = _cut(waves[row], low, np.nextafter(high, np.inf), convert)
        if masks[row][: pixels.start].any() or masks[row][pixels.stop :].any():
            used = convert(waves[row][masks[row]])
            raise OrderError(
                f"{path}: order {number} is not covered by the store: its pixels to use go from "
                f"{used[0]:.10g} to {used[-1]:.10g} Å, the store's order from {low:.10g} to "
                f"{high:.10g} Å (in the library's medium); mask those outside, or widen the order"
            )
        pieces.append(Piece(number, row, pixels))
    return pieces


def by_window(wave: Floats, orders: Orders, convert: Convert) -> list[Piece]:
    """Cut a spectrum of one order, (n_pixels,) Å, by the windows of a store's orders.

    A pixel in two windows goes to the bluer order alone, lest it count twice. `convert` goes to
    the library's medium.
    """
    pieces, end = [], 0
    for number, low, high in sorted(_each(orders), key=lambda one: one[1]):
        pixels = _cut(wave, low, high, convert)
        pixels = slice(max(pixels.start, end), max(pixels.stop, end))
        pieces.append(Piece(number, 0, pixels))
        end = pixels.stop
    return sorted(pieces, key=lambda piece: orders.number.tolist().index(piece.number))


def _each(orders: Orders) -> Iterable[tuple[int, float, float]]:
    edges = orders.wave_min.tolist(), orders.wave_max.tolist()
    return zip(orders.number.tolist(), *edges, strict=True)


def _cut(wave: Floats, low: float, high: float, convert: Convert) -> slice:
    """The pixels of ascending wavelengths with ``low <= convert(wave) < high``.

    Again until all are: the last bit of a conversion may depend on which pixels are converted.
    """
    start, stop = 0, len(wave)
    while True:
        part = convert(wave[start:stop])
        first, last = np.searchsorted(part, (low, high))
        if last - first == stop - start:
            return slice(start, stop)
        start, stop = start + int(first), start + int(last)


def enough(pieces: Iterable[Piece], masks: Sequence[Bools]) -> tuple[list[Piece], list[str]]:
    """Leave out pieces with fewer than `FEWEST` pixels to use; a note says which."""
    kept: list[Piece] = []
    left: list[Piece] = []
    for piece in pieces:
        fine = int(masks[piece.row][piece.pixels].sum()) >= FEWEST
        (kept if fine else left).append(piece)
    numbers = ", ".join(str(piece.number) for piece in left)
    return kept, [f"orders left out, fewer than {FEWEST} pixels to use: {numbers}"] if left else []


def not_in_both(numbers: Sequence[int], orders: Orders) -> list[str]:
    """Return notes of the orders that only the spectrum or only the store has."""
    store = orders.number.tolist()
    only = {
        "orders left out, the store has them not": [n for n in numbers if n not in store],
        "orders of the store that the spectrum has not": [n for n in store if n not in numbers],
    }
    return [f"{what}: {', '.join(map(str, which))}" for what, which in only.items() if which]


def cut_into(pieces: Sequence[Piece], mask: Bools) -> list[str]:
    """Return notes of how much of one spectrum's pixels to use, (n_pixels,), the pieces hold."""
    held = np.zeros(len(mask), dtype=bool)
    for piece in pieces:
        held[piece.pixels] = True
    numbers = ", ".join(str(piece.number) for piece in pieces)
    return [
        f"cut by the store's windows into the orders {numbers}: "
        f"{(held & mask).sum()} of {mask.sum()} pixels to use"
    ]


def extent(orders: Orders) -> str:
    """Say in a line what orders there are, and from where to where, Å."""
    numbers = ", ".join(map(str, orders.number))
    return f"orders {numbers} ({orders.wave_min.min():.8g} to {orders.wave_max.max():.8g} Å)"
