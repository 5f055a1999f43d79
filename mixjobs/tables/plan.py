"""The plan of a job: what is computed in which blocks, and what it will need."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import InvalidInput, LibraryError
from mixjobs.grid import Grid
from mixjobs.library import Library
from mixjobs.model.means import mean_flux, spans
from mixjobs.orders import Orders
from mixjobs.store.format import rows_per_zarr_chunk
from mixjobs.tables.plausibility import lines_along
from mixjobs.typing import Floats

Block = tuple[int, int]  # orders, points

LITERAL_UNITS = 2000  # up to so many units the job runs one task a unit
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
    """What a job does. `lo` and `hi` are the orders' pixel windows, (M,) each."""

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
    lo, hi = orders.windows(library.wavelength)
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
    lo, hi = orders.windows(library.wavelength)
    n_points, n_orders = len(library.grid), len(orders)
    automatic = points_per_block(n_points, seconds, n_workers)
    if block is None:
        small = literal and n_orders * n_points <= LITERAL_UNITS
        block = (1, 1) if small else (n_orders, automatic)
    if min(block) < 1:
        raise InvalidInput(f"block {block[0]},{block[1]} is empty; give ORDERS,POINTS from 1,1 up")
    block = (min(block[0], n_orders), min(block[1], n_points))
    return Plan(n_points, orders, lo, hi, block, table_dtype)
