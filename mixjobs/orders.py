"""Spectral orders: half-open wavelength ranges with an order number each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.display import Summarised, counted
from mixjobs.errors import InvalidInput, MissingFile, OrderError, UnreadableFile
from mixjobs.sections import Section, choose_section, gap_in, shortage
from mixjobs.text_tables import read_ranges
from mixjobs.typing import Floats, Ints
from mixjobs.units import to_integer, to_integers, to_value
from mixjobs.wavelengths import check_wavelength

_MAX_LISTED = 8  # order numbers in a summary


@dataclass(frozen=True, eq=False, repr=False)
class Orders(Summarised):
    """Spectral orders: wavelength ranges ``wave_min <= wavelength < wave_max``.

    Orders may overlap.

    Parameters
    ----------
    number : (M,) int array
        Order numbers, such as those of the spectrograph. They must be unique.
    wave_min, wave_max : (M,) float arrays or quantities
        Å, in the library's medium (air or vacuum).

    Raises
    ------
    OrderError
        There are no orders, a range is empty or reversed, a number is repeated, or a wavelength is
        not finite.
    InvalidInput
        A quantity is not a length.

    Examples
    --------
    >>> orders = Orders.from_edges([5000, 5500, 6000])
    >>> orders
    <Orders>
      orders      2 (0, 1)
      wavelength  5000 to 6000 Å
    >>> orders.select([1]).wave_min.tolist()
    [5500.0]
    """

    number: Ints
    wave_min: Floats
    wave_max: Floats

    def __post_init__(self) -> None:
        given = np.array(to_value(self.number, "", "number"), ndmin=1)
        number = given.astype(np.int64)
        if (number != given).any():
            raise OrderError(
                f"order number {given[number != given][0]}: expected a whole number", name="number"
            )
        low = np.array(to_value(self.wave_min, "Angstrom", "wave_min"), dtype=np.float64, ndmin=1)
        high = np.array(to_value(self.wave_max, "Angstrom", "wave_max"), dtype=np.float64, ndmin=1)
        if not number.shape == low.shape == high.shape or number.ndim != 1:
            raise OrderError(
                f"{number.shape} order numbers, {low.shape} lower and {high.shape} upper "
                "wavelengths; expected three arrays of the same length",
                name="number",
                value=number.shape,
            )
        if not len(number):
            raise OrderError("no orders; at least one is needed", name="number")
        for m, lo, hi in zip(number.tolist(), low.tolist(), high.tolist(), strict=True):
            if not (np.isfinite(lo) and np.isfinite(hi) and 0 < lo < hi):
                raise OrderError(
                    f"order {m} extends from {lo:g} to {hi:g} Å; "
                    "expected two positive wavelengths, the smaller one first",
                    order=m,
                    value=(lo, hi),
                )
        unique, counts = np.unique(number, return_counts=True)
        if (counts > 1).any():
            repeated = int(unique[counts > 1][0])
            raise OrderError(
                f"order {repeated} is given twice; give each order number once",
                order=repeated,
            )
        for name, array in (("number", number), ("wave_min", low), ("wave_max", high)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def log_spaced(cls, n: int, wave_min: float, wave_max: float) -> Orders:
        """Return adjacent orders of equal width in ln(wavelength), numbered from 0.

        Parameters
        ----------
        n : int
            Number of orders.
        wave_min, wave_max : float or quantity
            Lower end of the first order and upper end of the last, Å.

        Raises
        ------
        OrderError
            `n` is less than 1, or the wavelengths are not positive, finite and ascending.
        """
        low = float(to_value(wave_min, "Angstrom", "wave_min"))
        high = float(to_value(wave_max, "Angstrom", "wave_max"))
        n = to_integer(n, "n")
        if n < 1:
            raise OrderError(f"{n} orders; at least one is needed", name="n", value=n)
        if not 0 < low < high < np.inf:
            raise OrderError(
                f"orders from {low:g} to {high:g} Å; "
                "expected two positive wavelengths, the smaller one first",
                name="wave_min",
                value=(low, high),
            )
        return cls.from_edges(np.geomspace(low, high, n + 1))

    @classmethod
    def from_edges(cls, edges: ArrayLike) -> Orders:
        """Return orders with the given edges, numbered from 0.

        Parameters
        ----------
        edges : (M + 1,) or (M, 2) array or quantity
            Edges of M adjacent orders, or the two edges of each order. Å.

        Raises
        ------
        OrderError
            The edges have another shape, or an order is empty or reversed.
        InvalidInput
            The edges are a quantity that is not a length.

        Examples
        --------
        >>> from astropy import units as u
        >>> Orders.from_edges([500, 510] * u.nm).wave_max.tolist()
        [5100.0]
        """
        values = to_value(edges, "Angstrom", "edges")
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise OrderError(
                f"order edges {edges!r}: expected wavelengths in Å", name="edges", value=edges
            ) from None
        if array.ndim == 1 and len(array) >= 2:
            array = np.stack([array[:-1], array[1:]], axis=1)
        if array.ndim != 2 or array.shape[1] != 2:
            raise OrderError(
                f"order edges of shape {array.shape}; expected two or more edges, or (M, 2) for "
                "the ends of M orders",
                name="edges",
                value=array.shape,
            )
        return cls(np.arange(len(array)), array[:, 0], array[:, 1])

    @classmethod
    def from_wavelengths(cls, wavelengths: Mapping[int, ArrayLike]) -> Orders:
        """Return the orders that the pixels of a spectrum span.

        Each range extends from the first pixel to just past the last, so that it contains all
        pixels.

        Parameters
        ----------
        wavelengths : mapping
            From order numbers to (n_pixels,) arrays or quantities, Å, ascending.

        Raises
        ------
        OrderError
            An order has no pixels, or its wavelengths are not finite, positive and ascending.

        Examples
        --------
        >>> orders = Orders.from_wavelengths({21: [5000.0, 5001.0], 22: [4900.0, 4902.0]})
        >>> orders.number.tolist(), orders.wave_min.tolist()
        ([21, 22], [5000.0, 4900.0])
        >>> orders.pixel_ranges(np.array([4900.0, 4902.0, 5000.0, 5001.0]))[1].tolist()
        [4, 2]
        """
        ends = [_ends(number, wave) for number, wave in wavelengths.items()]
        low = np.array([first for first, _ in ends])
        # ranges are half-open: extend them to include the last pixel
        high = np.nextafter(np.array([last for _, last in ends]), np.inf)
        return cls(np.array(list(wavelengths)), low, high)

    @classmethod
    def from_table(cls, path: str | Path) -> Orders:
        """Read orders from a text table: ``number wave_min wave_max`` or ``wave_min wave_max``.

        Columns are separated by blanks, commas or semicolons, wavelengths are in Å, and ``#``
        starts a comment. A header line may name the columns in another sequence, or give another
        unit, as in ``wave_min(nm)``.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        MissingFile, UnreadableFile
            The file does not exist, or is not such a table.
        OrderError
            An order is empty or reversed.
        """
        if not Path(path).is_file():
            raise MissingFile(f"{path}: no such order table; check the path", path=path)
        number, ranges = read_ranges(path, numbered=True)
        if number is None:
            return cls.from_edges(ranges)
        wrong = number[~(number % 1 == 0)]
        if len(wrong):
            raise UnreadableFile(
                f"{path}: order number {wrong[0]:g}; the first of three columns is the order "
                "number, unless a header line names them: expected whole numbers",
                path=path,
                value=float(wrong[0]),
            )
        return cls(number.astype(np.int64), ranges[:, 0], ranges[:, 1])

    def _facts(self) -> Mapping[str, object]:
        return {"orders": f"{len(self)} ({self._listed()})", "wavelength": self._extent()}

    def _listed(self) -> str:
        numbers = [str(number) for number in self.number]
        if len(numbers) > _MAX_LISTED:
            numbers = [*numbers[:3], "...", numbers[-1]]
        return ", ".join(numbers)

    def _range(self, m: int) -> str:
        return f"{self.wave_min[m]:.8g} to {self.wave_max[m]:.8g} Å"

    def _extent(self) -> str:
        return f"{self.wave_min.min():.8g} to {self.wave_max.max():.8g} Å"

    def summary(self) -> str:
        """Return the numbers of the orders and their total wavelength range, in a few words.

        Examples
        --------
        >>> Orders.log_spaced(20, 7000, 50000).summary()
        '20 orders (0, 1, 2, ..., 19), 7000 to 50000 Å'
        """
        return f"{counted(len(self), 'order')} ({self._listed()}), {self._extent()}"

    def select(self, numbers: Sequence[int]) -> Orders:
        """Return the orders with these numbers, in the sequence given.

        Raises
        ------
        InvalidInput
            There is no order of that number.
        """
        rows = {int(m): row for row, m in enumerate(self.number)}
        numbers = to_value(numbers, "", "orders")
        unknown = [m for m in numbers if m not in rows]
        if unknown:
            raise InvalidInput(
                f"there is no order {number_list(unknown)}; choose from {number_list(self.number)}",
                name="orders",
                value=list(unknown),
                order=unknown[0],
            )
        return self.take([rows[m] for m in numbers])

    def take(self, rows: Sequence[int] | Ints) -> Orders:
        """Return the orders at these positions."""
        index = np.array(to_integers(rows, "rows"), dtype=np.int64)
        return Orders(self.number[index], self.wave_min[index], self.wave_max[index])

    def uncovered(self, wavelength: ArrayLike | Sequence[Section]) -> list[int]:
        """Return the positions of orders that a library does not cover.

        Parameters
        ----------
        wavelength
            As for `pixel_ranges`.
        """
        sections = _sections(wavelength)
        ranges = enumerate(zip(self.wave_min, self.wave_max, strict=True))
        return [m for m, ends in ranges if choose_section(sections, *ends).headroom(*ends) < 0]

    def remedy(self, wavelength: Floats, otherwise: str = "choose other orders") -> str:
        """Return what to do if a library (n_pixels,) does not cover the orders, for an error."""
        low, high = 10 * self.wave_min.min(), 10 * self.wave_max.max()
        if wavelength[0] <= low < high <= np.nextafter(wavelength[-1], np.inf):
            return "these look like nm: give wavelengths in Å, ten times as large"
        return otherwise

    def pixel_ranges(
        self, wavelength: ArrayLike | Sequence[Section], buffer: float = 0.0
    ) -> tuple[Ints, Ints]:
        """Return the pixels of each order.

        Parameters
        ----------
        wavelength : (n_pixels,) array or quantity, or sequence of Section
            Å, ascending, in the same medium as the orders; or a library's `sections`.
        buffer : float
            Width of the emulator's buffer in ln(wavelength), for the choice of a section.

        Returns
        -------
        lo, hi : (M,) int arrays
            The pixels of order m are ``wavelength[lo[m]:hi[m]]``.

        Raises
        ------
        OrderError
            An order extends beyond the wavelengths, falls in a gap, or contains no pixel.
        """
        sections = _sections(wavelength)
        uncovered = self.uncovered(sections)
        if uncovered:
            raise self._not_covered(uncovered, sections)
        ranges = list(zip(self.wave_min, self.wave_max, strict=True))
        pixels = [choose_section(sections, *ends, buffer).pixels(*ends) for ends in ranges]
        lo, hi = np.array(pixels, dtype=np.int64).T
        empty = np.flatnonzero(lo == hi)
        if len(empty):
            m = empty[0]
            raise OrderError(
                f"order {self.number[m]} ({self._range(m)}) contains no pixel of the library; "
                "widen the order",
                order=int(self.number[m]),
                value=(float(self.wave_min[m]), float(self.wave_max[m])),
            )
        return lo, hi

    def _not_covered(self, uncovered: list[int], sections: Sequence[Section]) -> OrderError:
        m = uncovered[0]
        low, high = float(self.wave_min[m]), float(self.wave_max[m])
        gap = gap_in(sections, low, high)
        more = f" and {len(uncovered) - 1} more are" if len(uncovered) > 1 else " is"
        first = min(section.wavelength[0] for section in sections)
        last = max(section.wavelength[-1] for section in sections)
        otherwise = "choose other orders, or skip those that are not covered"
        return OrderError(
            f"order {self.number[m]} ({self._range(m)}){more} not covered by the library, which "
            f"{shortage(sections, low, high)}; "
            f"{self.remedy(np.array([first, last]), otherwise)}",
            order=int(self.number[m]),
            name="gap" if gap else None,
            value=gap or (low, high),
        )


def _sections(wavelength: ArrayLike | Sequence[Section]) -> Sequence[Section]:
    """Return sections; an array of wavelengths is one."""
    if isinstance(wavelength, list | tuple):
        sections = [item for item in wavelength if isinstance(item, Section)]
        if sections:
            return sections
    return [Section(0, _wavelengths(wavelength))]


def _wavelengths(values: Any) -> Floats:
    return np.asarray(to_value(values, "Angstrom", "wavelengths"), dtype=np.float64)


def number_list(numbers: Iterable[int]) -> str:
    """Return order numbers as text, runs of consecutive numbers in short.

    Examples
    --------
    >>> number_list([0, 1, 2, 3, 21, 22, 30])
    '0 to 3, 21, 22, 30'
    """
    runs: list[list[int]] = []
    for number in map(int, numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(texts)


def _ends(number: int, wavelength: ArrayLike) -> tuple[float, float]:
    """Return the first and the last wavelength of an order."""
    wave = _wavelengths(wavelength)
    if wave.ndim != 1 or not len(wave):
        raise OrderError(
            f"order {number}: wavelengths of shape {wave.shape}; "
            "expected (n_pixels,) with at least one pixel",
            order=number,
            name="wavelengths",
            value=wave.shape,
        )
    check_wavelength(wave, OrderError, order=number)
    return float(wave[0]), float(wave[-1])
