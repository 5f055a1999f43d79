"""The plan of a job: what is computed in which blocks, and what it will need."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.builder.rawness import lines_along
from mixjobs.builder.segments import EmulatorSettings, Segment, make_segments
from mixjobs.errors import InvalidInput, LibraryError
from mixjobs.grid import Grid
from mixjobs.library import Library
from mixjobs.model.means import mean_flux, spans
from mixjobs.orders import Orders
from mixjobs.store.format import rows_per_zarr_chunk
from mixjobs.typing import Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT

Block = tuple[int, int]  # orders, points

LITERAL_PAIRS = 2000  # up to so many units the job runs one task a unit
_TASK_SECONDS = 0.2
_N_PROBES = 5


@dataclass(frozen=True, eq=False)
class Probe:
    """A few spectra, read before anything else is done.

    Attributes
    ----------
    rows : (n,) int array
        Which: spread over Teff, or over the first parameter, with the others alike where the
        grid allows it.
    mean_flux : (M, n) array
    seconds : float
        Time a spectrum, the quickest of them.
    """

    rows: NDArray[np.int64]
    mean_flux: Floats
    seconds: float


@dataclass(frozen=True, eq=False)
class Plan:
    """What a job does. `lo` and `hi` are the orders' pixel segments, (M,) each."""

    n_points: int
    orders: Orders
    lo: NDArray[np.int64]
    hi: NDArray[np.int64]
    block: Block
    table_dtype: str | None

    @property
    def n_tasks(self) -> int:
        """Tasks of the means."""
        return ceil(len(self.orders) / self.block[0]) * ceil(self.n_points / self.block[1])

    @property
    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Blocks (orders, points) of the means, one a task."""
        n_orders, n_points = self.block
        for i in range(0, self.n_points, n_points):
            for m in range(0, len(self.orders), n_orders):
                yield (
                    slice(m, min(m + n_orders, len(self.orders))),
                    slice(i, min(i + n_points, self.n_points)),
                )

    @property
    def table_rows(self) -> list[tuple[int, int]]:
        """Rows (start, stop) of one order's table in each Zarr chunk."""
        if self.table_dtype is None:
            return []
        step = rows_per_zarr_chunk(self.n_points, self.table_dtype)
        return [(s, min(s + step, self.n_points)) for s in range(0, self.n_points, step)]

    @property
    def table_bytes(self) -> int:
        """Size of the ratio table."""
        if self.table_dtype is None:
            return 0
        return len(self.orders) * self.n_points**2 * int(np.dtype(self.table_dtype).itemsize)

    @property
    def n_files(self) -> int:
        """Files of the finished store, about."""
        return 17 + len(self.orders) * len(self.table_rows)

    @property
    def worker_bytes(self) -> int:
        """Memory that a task needs beyond the program itself, about."""
        widest = max(stop - start for start, stop, _ in spans(self.lo, self.hi))
        rows = max((stop - start for start, stop in self.table_rows), default=0)
        return max(3 * 8 * widest, 3 * 8 * rows * self.n_points)


def probe_rows(grid: Grid) -> NDArray[np.int64]:
    """Rows of a few points that differ in Teff alone, or else in the first parameter.

    Only between such points does the trend with Teff tell whether spectra are raw. Where no two
    points are such, the rows are spread over the whole grid.
    """
    along = grid.names.index("teff") if "teff" in grid.names else 0
    line = lines_along(grid, along)
    n_on = np.bincount(line)
    longest = np.flatnonzero(n_on == n_on.max())
    alike = line == longest[len(longest) // 2]
    rows = np.flatnonzero(alike | (n_on.max() == 1))
    rows = rows[np.argsort(grid.points[rows, along], kind="stable")]
    places = np.linspace(0, len(rows) - 1, min(_N_PROBES, len(rows))).round().astype(int)
    chosen: NDArray[np.int64] = rows[places]
    return chosen


def probe(library: Library, orders: Orders) -> Probe:
    """Read a few spectra: what they cost, and whether they look raw."""
    lo, hi = orders.pixel_ranges(library.wavelength)
    rows = probe_rows(library.grid)
    seconds, means = [], []
    for spectrum in library.reader([int(i) for i in rows]):
        begun = time.perf_counter()
        try:
            means.append(mean_flux(spectrum, orders.number, lo, hi))
        except LibraryError as error:
            raise LibraryError(f"{library.path}: spectrum {spectrum.name}: {error}") from None
        seconds.append(time.perf_counter() - begun)
    return Probe(rows, np.stack(means, axis=1), min(seconds))


def points_per_block(n_points: int, seconds: float, n_workers: int) -> int:
    """Points whose spectra make a good task: 0.2 s of work, 10 tasks a worker, 5000 in all.

    Tasks of 100 to 200 ms cost 2 to 4 % in scheduling.
    """
    wanted = ceil(_TASK_SECONDS / max(seconds, 1e-6))
    at_most = max(1, n_points // (10 * max(1, n_workers)))
    at_least = ceil(n_points / 5000)
    return max(at_least, min(wanted, at_most))


def make_plan(
    library: Library,
    orders: Orders,
    seconds: float,
    n_workers: int,
    block: Block | None,
    table_dtype: str | None,
    literal: bool = True,
) -> Plan:
    """Decide the blocks.

    Parameters
    ----------
    seconds : float
        What reading a spectrum costs.
    block : (orders, points), optional
        Units that one task computes; one where the job is small, else all orders of some points.
    literal : bool
        Whether a small job may run one task a unit.
    """
    lo, hi = orders.pixel_ranges(library.wavelength)
    n_points, n_orders = len(library.grid), len(orders)
    automatic = points_per_block(n_points, seconds, n_workers)
    if block is None:
        small = literal and n_orders * n_points <= LITERAL_PAIRS
        block = (1, 1) if small else (n_orders, automatic)
    if min(block) < 1:
        raise InvalidInput(f"block {block[0]},{block[1]} is empty; give ORDERS,POINTS from 1,1 up")
    block = (min(block[0], n_orders), min(block[1], n_points))
    return Plan(n_points, orders, lo, hi, block, table_dtype)


@dataclass(frozen=True, eq=False)
class EmulatorPlan:
    """The emulator of a job.

    Attributes
    ----------
    settings : EmulatorSettings
    segments : list
        One an order, None where it has no emulator.
    notes : tuple of str
        Orders that were left out or whose buffer was shortened, with the numbers.
    n_points : int
    """

    settings: EmulatorSettings
    segments: Sequence[Segment | None]
    notes: tuple[str, ...]
    n_points: int

    @property
    def n_orders(self) -> int:
        """Orders that will have an emulator."""
        return sum(segment is not None for segment in self.segments)

    @property
    def n_pixels(self) -> int:
        """Grid pixels of all orders."""
        return sum(segment.grid.n_pixels for segment in self.segments if segment)

    @property
    def scratch_bytes(self) -> int:
        """Size of the scratch array: all spectra in their segments, float32."""
        return 4 * self.n_points * self.n_pixels

    @property
    def stored_bytes(self) -> int:
        """Size of the emulator in the store, at most."""
        accuracy = self.settings.accuracy
        rank = min(accuracy.rank or accuracy.max_rank, self.n_points)
        return 8 * (rank + 2) * (self.n_pixels + self.n_orders * self.n_points)

    def worker_bytes(self, points: int) -> int:
        """Memory that a task needs: spectra of so many points, or one order of all points.

        An order's matrix, and beside it two more where it is decomposed fully.
        """
        widest = max(segment.grid.n_pixels for segment in self.segments if segment)
        few = min(self.n_points, widest) <= 2 * self.settings.accuracy.max_rank
        return 8 * max(2 * points * self.n_pixels, (3 if few else 2) * self.n_points * widest)

    @property
    def attributes(self) -> dict[str, Any]:
        """What the store says of how its emulator was made."""
        return {
            "n_orders": self.n_orders,
            **asdict(self.settings),
            "buffer": self.settings.buffer * SPEED_OF_LIGHT,
            "notes": list(self.notes),
        }

    @property
    def identity(self) -> str:
        """What makes this emulator this emulator, for a reader and for a resumed job."""
        said = asdict(self.settings)
        said |= said.pop("accuracy")
        return ", ".join(f"{name} {value}" for name, value in said.items() if value is not None)


def plan_emulator(
    wavelength: Floats, orders: Orders, settings: EmulatorSettings, n_points: int
) -> EmulatorPlan:
    """Lay out the segments of a library's orders.

    Raises
    ------
    OrderError
        The library does not cover an order's buffer, and that is not allowed.
    """
    segments, notes = make_segments(wavelength, orders, settings)
    return EmulatorPlan(settings, segments, tuple(notes), n_points)
