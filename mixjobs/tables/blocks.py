"""The blocks that tasks compute, and what a task does with one: in this process, or on a worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import LibraryError, MissingFile, UnreadableFile
from mixjobs.interpolation import default_method
from mixjobs.library import SpectrumReader
from mixjobs.model.flux_ratio import flux_ratio, flux_ratio_rows
from mixjobs.model.means import mean_flux
from mixjobs.store.format import open_array, read_group, write_whole
from mixjobs.typing import Floats

# Seconds between attempts to read: a file system over a network fails for a moment now and then.
_PAUSES = (0.2, 1.0)


@dataclass(frozen=True, eq=False)
class MeanBlock:
    """Some orders x some points: what one task of the means computes."""

    library: str
    reader: SpectrumReader
    number: NDArray[np.int64]
    lo: NDArray[np.int64]
    hi: NDArray[np.int64]
    orders: slice
    points: slice

    def __str__(self) -> str:
        first, last = self.points.start, self.points.stop - 1
        return (
            f"mean flux of points {first} to {last}, orders {self.number[0]} to {self.number[-1]}"
        )


Block = TypeVar("Block", bound=MeanBlock)
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class TableBlock:
    """Some rows of one order's ratio table.

    The means, which all rows need, are read from the store, by each worker once a job.
    """

    group: Path
    job: str
    order: int
    start: int
    stop: int

    def __str__(self) -> str:
        return f"ratio table of order row {self.order}, rows {self.start} to {self.stop - 1}"


def compute_means(block: MeanBlock) -> Floats:
    """Means of a block, (orders, points); each of its spectra is opened and read once.

    Raises
    ------
    MissingFile, UnreadableFile
        It could not be read in three attempts.
    LibraryError
    """
    return in_three_attempts(_read_means, block)


def in_three_attempts(read: Callable[[Block], Result], block: Block) -> Result:
    """Read a block.

    A block that cannot be read is tried again, from the opening of its file on; one whose content
    cannot be used is not.

    Raises
    ------
    MissingFile, UnreadableFile
        It could not be read in three attempts.
    LibraryError
    """
    for pause in _PAUSES:
        try:
            return read(block)
        except OSError:
            pass
        time.sleep(pause)  # out here, the error no longer keeps anything open
    try:
        return read(block)
    except OSError as error:
        kind = MissingFile if isinstance(error, FileNotFoundError) else UnreadableFile
        raise kind(
            f"{block}, tried {len(_PAUSES) + 1} times: {error}; then start again: what is finished "
            "is kept, if the file has the size and time of change that it had"
        ) from None


def _read_means(block: MeanBlock) -> Floats:
    columns = []
    for spectrum in block.reader:
        try:
            columns.append(mean_flux(spectrum, block.number, block.lo, block.hi))
        except LibraryError as error:
            raise LibraryError(f"{block.library}: spectrum {spectrum.name}: {error}") from None
    return np.stack(columns, axis=1)


def write_table(block: TableBlock) -> None:
    """Compute rows of the table and write them, straight from the worker, as whole Zarr chunks."""
    means, table = _opened(block.group, block.job)
    rows = flux_ratio_rows(means[block.order], block.start, block.stop)
    rows = rows.astype(table.dtype, copy=False)
    write_whole(table, (block.order, block.start, 0), rows[None])


@lru_cache(maxsize=1)
def _opened(group: Path, job: str) -> tuple[Floats, Any]:  # noqa: ARG001
    """Means and table of the store that a job fills; another job may fill another of this path."""
    return open_array(group, "mean_flux")[...], open_array(group, "flux_ratio")


@dataclass(frozen=True, eq=False)
class InterpolatorBlock:
    """Some orders whose interpolators one worker builds from the store."""

    group: Path
    orders: NDArray[np.int64]

    def __str__(self) -> str:
        return f"interpolators of order rows {self.orders[0]} to {self.orders[-1]}"


def check_interpolators(block: InterpolatorBlock) -> float:
    """Build the interpolators of some orders from the store by path, and compare with the table.

    Returns the largest relative difference between the interpolated flux ratios from one grid
    point to all and those of the table.
    """
    store = read_group(block.group)
    means = store.mean_flux[block.orders]
    method = default_method(store.grid)
    ratio = flux_ratio(store.grid, store.orders.take(block.orders), means, method)
    start = len(store.grid) // 2
    interpolated = ratio(store.grid.points[start], store.grid.points).T
    if store.flux_ratio is None:
        direct = flux_ratio_rows(means, start, start + 1)[:, 0]
    else:
        direct = np.stack([store.flux_ratio[m, start] for m in block.orders])
    return float(np.max(np.abs(interpolated / direct - 1)))
