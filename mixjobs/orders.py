"""Orders: the spectral orders, half-open windows of wavelength with a number each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput, MissingFile, OrderError, UnreadableFile
from mixjobs.typing import Floats, Ints


@dataclass(frozen=True, eq=False)
class Orders:
    """Spectral orders: windows ``wave_min <= wavelength < wave_max``, in Å.

    Orders may overlap. `number` is the file's own, or the row from 0 where there is none.

    Parameters
    ----------
    number : (M,) int array
    wave_min, wave_max : (M,) float arrays
        Å, in the library's medium (vacuum or air).

    Raises
    ------
    OrderError
        No order, a reversed or empty window, a repeated number, or a value that is not finite.

    Examples
    --------
    >>> orders = Orders.from_edges([5000, 5500, 6000])
    >>> orders.number.tolist(), orders.wave_max.tolist()
    ([0, 1], [5500.0, 6000.0])
    >>> orders.select([1]).wave_min.tolist()
    [5500.0]
    """

    number: Ints
    wave_min: Floats
    wave_max: Floats

    def __post_init__(self) -> None:
        number = np.array(self.number, dtype=np.int64, ndmin=1)
        low = np.array(self.wave_min, dtype=np.float64, ndmin=1)
        high = np.array(self.wave_max, dtype=np.float64, ndmin=1)
        if not number.shape == low.shape == high.shape or number.ndim != 1:
            raise OrderError("orders need as many numbers as lower and upper wavelengths")
        if not len(number):
            raise OrderError("no orders were given; at least one is needed")
        for m, lo, hi in zip(number, low, high, strict=True):
            if not (np.isfinite(lo) and np.isfinite(hi) and 0 < lo < hi):
                raise OrderError(
                    f"order {m} goes from {lo:g} to {hi:g} Å; "
                    "expected two positive wavelengths, the smaller first"
                )
        unique, counts = np.unique(number, return_counts=True)
        if (counts > 1).any():
            raise OrderError(f"order {unique[counts > 1][0]} is there twice; number each once")
        for name, array in (("number", number), ("wave_min", low), ("wave_max", high)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def log_spaced(cls, n: int, wave_min: float, wave_max: float) -> Orders:
        """Return `n` adjacent orders, equal in log wavelength, between two wavelengths in Å."""
        if n < 1:
            raise OrderError(f"{n} orders were asked for; at least one is needed")
        if not 0 < wave_min < wave_max < np.inf:
            raise OrderError(
                f"orders from {wave_min:g} to {wave_max:g} Å: "
                "expected two positive wavelengths, the smaller first"
            )
        return cls.from_edges(np.geomspace(wave_min, wave_max, n + 1))

    @classmethod
    def from_edges(cls, edges: ArrayLike) -> Orders:
        """Return orders from edges in Å.

        `edges` is (M + 1,), the edges of M adjacent orders, or (M, 2), a pair for each.
        """
        try:
            array = np.asarray(edges, dtype=np.float64)
        except (TypeError, ValueError):
            raise OrderError(f"order edges {edges!r} are not numbers") from None
        if array.ndim == 1 and len(array) >= 2:
            array = np.stack([array[:-1], array[1:]], axis=1)
        if array.ndim != 2 or array.shape[1] != 2:
            raise OrderError(
                f"order edges have shape {array.shape}; expected (M + 1,) with M >= 1, or (M, 2)"
            )
        return cls(np.arange(len(array)), array[:, 0], array[:, 1])

    @classmethod
    def from_table(cls, path: str | Path) -> Orders:
        """Read orders from a text table: ``number wave_min wave_max`` or ``wave_min wave_max``.

        Columns are separated by blanks or commas, wavelengths are in Å, ``#`` starts a comment.

        Raises
        ------
        MissingFile, UnreadableFile
            The table is not there, or is not such a table.
        OrderError
            An order is empty or reversed.
        """
        if not Path(path).is_file():
            raise MissingFile(f"{path}: no such order table")
        try:
            text = Path(path).read_text(encoding="utf-8").replace(",", " ").splitlines()
            rows = [line.split("#")[0].split() for line in text]
            table = np.array([row for row in rows if row], dtype=np.float64)
        except (UnicodeDecodeError, ValueError) as error:
            raise UnreadableFile(f"{path}: not an order table: {error}") from None
        if table.ndim != 2 or table.shape[1] not in (2, 3):
            raise UnreadableFile(
                f"{path}: expected rows of 'number wave_min wave_max' or 'wave_min wave_max'"
            )
        if table.shape[1] == 2:
            return cls.from_edges(table)
        if (table[:, 0] % 1).any():
            raise UnreadableFile(f"{path}: the first of three columns must be a whole number")
        return cls(table[:, 0].astype(np.int64), table[:, 1], table[:, 2])

    def select(self, numbers: Sequence[int]) -> Orders:
        """Return the orders with these numbers, in the order in which they are named."""
        rows = {int(m): row for row, m in enumerate(self.number)}
        unknown = [m for m in numbers if m not in rows]
        if unknown:
            raise InvalidInput(
                f"there is no order {', '.join(map(str, unknown))}; "
                f"there are {', '.join(map(str, self.number))}"
            )
        return self.take([rows[m] for m in numbers])

    def take(self, rows: Sequence[int] | Ints) -> Orders:
        """Return the orders at these rows."""
        index = np.asarray(rows, dtype=np.int64)
        return Orders(self.number[index], self.wave_min[index], self.wave_max[index])

    def uncovered(self, wavelength: Floats) -> list[int]:
        """Rows of the orders that a library's wavelengths (n_pixels,) do not cover wholly."""
        low, high = wavelength[0], np.nextafter(wavelength[-1], np.inf)
        return [int(m) for m in np.flatnonzero((self.wave_min < low) | (self.wave_max > high))]

    def pixel_ranges(self, wavelength: Floats) -> tuple[Ints, Ints]:
        """Pixels of each order: ``wavelength[lo[m]:hi[m]]``; `wavelength` (n_pixels,) ascends.

        Returns
        -------
        lo, hi : (M,) int arrays

        Raises
        ------
        OrderError
            An order that the wavelengths do not cover wholly, or one without a pixel.
        """
        uncovered = self.uncovered(wavelength)
        if uncovered:
            m = uncovered[0]
            more = f" (and {len(uncovered) - 1} more)" if len(uncovered) > 1 else ""
            raise OrderError(
                f"order {self.number[m]} ({self.wave_min[m]:.6g} to {self.wave_max[m]:.6g} Å)"
                f"{more} is not covered by the library, "
                f"{wavelength[0]:.6g} to {wavelength[-1]:.6g} Å; "
                "choose other orders, or leave such orders out with --skip-uncovered"
            )
        lo = np.searchsorted(wavelength, self.wave_min, side="left").astype(np.int64)
        hi = np.searchsorted(wavelength, self.wave_max, side="left").astype(np.int64)
        empty = np.flatnonzero(lo == hi)
        if len(empty):
            m = empty[0]
            raise OrderError(
                f"order {self.number[m]} ({self.wave_min[m]:.6g} to {self.wave_max[m]:.6g} Å) "
                "has no pixel of the library; widen it"
            )
        return lo, hi
