"""Common orders of several epochs: order by order, the union of their ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mixjobs.display import counted
from mixjobs.errors import InvalidInput, OrderError
from mixjobs.observed.order_matching import medium_shift
from mixjobs.orders import Orders
from mixjobs.wavelengths import SPEED_OF_LIGHT

# What two ranges must have in common. Orders that are counted from 0 must match closely, because
# one that is missing shifts all after it. Orders with the same number may be trimmed differently.
_OF_THE_LONGER = 0.75
_OF_THE_SHORTER = 0.5


class EpochOrders(NamedTuple):
    """Orders of one epoch, in the library's medium.

    Attributes
    ----------
    path : Path
    orders : Orders
    numbered : bool
        Whether the file numbers them; otherwise they count from 0.
    """

    path: Path
    orders: Orders
    numbered: bool


class _Range(NamedTuple):
    path: Path
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.path} ({self.low:.8g} to {self.high:.8g} Å)"


def join_epochs(epochs: Sequence[EpochOrders]) -> tuple[Orders, str]:
    """Return orders that contain those of every epoch, and a note.

    An order that only some epochs have is kept.

    Parameters
    ----------
    epochs : sequence of EpochOrders
        At least one.

    Returns
    -------
    orders : Orders
        Those of a single epoch unchanged; otherwise in the sequence of the numbers.
    note : str
        By how much the ranges differ; empty for a single epoch.

    Raises
    ------
    InvalidInput
        Only some of the files number their orders.
    OrderError
        Orders with the same number are elsewhere, or displaced as if in another medium.

    Examples
    --------
    >>> june = EpochOrders(Path("june.fits"), Orders([7], [5000.0], [5100.0]), True)
    >>> july = EpochOrders(Path("july.fits"), Orders([7], [5000.5], [5100.5]), True)
    >>> orders, note = join_epochs([june, july])
    >>> orders.wave_min.tolist(), orders.wave_max.tolist(), note
    ([5000.0], [5100.5], 'orders of 2 epochs joined; their ends differ by up to 30 km/s')
    """
    first = epochs[0]
    if len(epochs) == 1:
        return first.orders, ""
    other = next((epoch for epoch in epochs if epoch.numbered != first.numbered), None)
    if other is not None:
        with_numbers, without = (first, other) if first.numbered else (other, first)
        raise InvalidInput(
            f"{with_numbers.path} numbers its orders and {without.path} does not; expected the "
            "same in all epochs: give the orders their numbers with mixjobs.open_spectrum",
            path=without.path,
            name="orders",
        )
    for other in epochs[1:]:
        _check_medium(first, other)
    unions, spread = [], 0.0
    for number, ranges in sorted(_by_number(epochs).items()):
        _check_fit(number, ranges, first.numbered)
        low, high = (np.array([getattr(r, end) for r in ranges]) for end in ("low", "high"))
        unions.append((number, low.min(), high.max()))
        spread = max(spread, low.max() / low.min() - 1, high.max() / high.min() - 1)
    numbers, lows, highs = zip(*unions, strict=True)
    note = (
        f"orders of {counted(len(epochs), 'epoch')} joined; "
        f"their ends differ by up to {SPEED_OF_LIGHT * spread:.0f} km/s"
    )
    return Orders(np.array(numbers), np.array(lows), np.array(highs)), note


def _check_medium(one: EpochOrders, other: EpochOrders) -> None:
    """Refuse epochs that are displaced as if one of them were in another medium."""
    common = [n for n in one.orders.number.tolist() if n in other.orders.number]
    if not common:
        return
    here, there = one.orders.select(common), other.orders.select(common)
    first, last = (
        (SPEED_OF_LIGHT * np.log(getattr(there, end) / getattr(here, end))).tolist()
        for end in ("wave_min", "wave_max")
    )
    shift = medium_shift(first, last)
    if shift is not None:
        raise OrderError(
            f"{other.path}: its orders are displaced by {shift:.0f} km/s from those of {one.path}, "
            "as if one were in air and the other in vacuum; state the medium of each",
            path=other.path,
            name="medium",
            value=shift,
        )


def _by_number(epochs: Sequence[EpochOrders]) -> dict[int, list[_Range]]:
    ranges: dict[int, list[_Range]] = {}
    for epoch in epochs:
        for number, low, high in _ranges(epoch.orders):
            ranges.setdefault(number, []).append(_Range(epoch.path, low, high))
    return ranges


def _ranges(orders: Orders) -> Iterator[tuple[int, float, float]]:
    ends = orders.wave_min.tolist(), orders.wave_max.tolist()
    return zip(orders.number.tolist(), *ends, strict=True)


def _check_fit(number: int, ranges: Sequence[_Range], numbered: bool) -> None:
    """Refuse a range that has little in common with the first."""
    one = ranges[0]
    for other in ranges[1:]:
        common = min(one.high, other.high) - max(one.low, other.low)
        lengths = one.high - one.low, other.high - other.low
        wanted = _OF_THE_SHORTER * min(lengths) if numbered else _OF_THE_LONGER * max(lengths)
        if common < wanted:
            remedy = "correct the numbers, the unit or the medium"
            if not numbered:
                remedy = (
                    "orders without numbers must have about the same ranges in all epochs (for "
                    "several files with the orders of one epoch, give a pattern in quotes)"
                )
            raise OrderError(
                f"{other.path}: order {number} ({other.low:.8g} to {other.high:.8g} Å) does not "
                f"fit that of {one}; {remedy}",
                path=other.path,
                order=number,
                value=(other.low, other.high),
            )
