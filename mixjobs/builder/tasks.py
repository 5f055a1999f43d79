"""The blocks that tasks compute, and what a task does with one: in this process, or on a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mixjobs.builder.segments import Segment
from mixjobs.errors import LibraryError, MissingFile, UnreadableFile
from mixjobs.interpolation import default_method
from mixjobs.interpolation.cross_validation import AxisFolds, axis_folds
from mixjobs.library import Spectrum, SpectrumReader
from mixjobs.model.emulator import Accuracy, decompose, emulator_error
from mixjobs.model.flux_ratio import flux_ratio, flux_ratio_rows
from mixjobs.model.means import mean_flux, spans, unusable
from mixjobs.store.emulator import read_scratch, write_order, write_scratch
from mixjobs.store.format import Store, open_array, read_group, write_whole
from mixjobs.typing import Floats
from mixjobs.wavelengths import LogGrid

# Seconds between attempts to read: a file system over a network fails for a moment now and then.
_PAUSES = (0.2, 1.0)


@dataclass(frozen=True, eq=False)
class MeanTask:
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


Block = TypeVar("Block", bound=MeanTask)
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class RatioTask:
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


def compute_means(block: MeanTask) -> Floats:
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


def _read_means(block: MeanTask) -> Floats:
    columns = []
    for spectrum in block.reader:
        try:
            columns.append(mean_flux(spectrum, block.number, block.lo, block.hi))
        except LibraryError as error:
            raise LibraryError(f"{block.library}: spectrum {spectrum.name}: {error}") from None
    return np.stack(columns, axis=1)


def write_table(block: RatioTask) -> None:
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
class InterpolatorTask:
    """Some orders whose interpolators one worker builds from the store."""

    group: Path
    orders: NDArray[np.int64]

    def __str__(self) -> str:
        return f"interpolators of order rows {self.orders[0]} to {self.orders[-1]}"


def check_interpolators(block: InterpolatorTask) -> float:
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


@dataclass(frozen=True, eq=False)
class SpectraTask(MeanTask):
    """Some orders x some points, of which the spectra are wanted beside the means.

    Attributes
    ----------
    scratch : Path
        Where they go, normalised.
    segments : list
        One an order of the block; None for those that have no emulator.
    """

    scratch: Path
    segments: Sequence[Segment | None]

    def __str__(self) -> str:
        return super().__str__().replace("mean flux", "spectra", 1)


@dataclass(frozen=True, eq=False)
class EmulatorTask:
    """One order whose spectra are decomposed."""

    job: str
    store: Path
    scratch: Path
    row: int
    grid: LogGrid
    wavelength: Floats
    accuracy: Accuracy

    def __str__(self) -> str:
        return f"components of order row {self.row}"


class _InPieces:
    """A spectrum of which every piece that the segments need is read once."""

    def __init__(self, spectrum: Spectrum, lo: Sequence[int], hi: Sequence[int]) -> None:
        self.pieces = [(start, spectrum(start, stop)) for start, stop, _ in spans(lo, hi)]

    def __call__(self, lo: int, hi: int) -> Floats:
        start, flux = next(p for p in reversed(self.pieces) if p[0] <= lo)
        return flux[lo - start : hi - start]


def compute_spectra(block: SpectraTask) -> Floats:
    """Write a block's normalised spectra to the scratch array; return its means (orders, points).

    The means are those of `compute_means`, bit for bit; the same errors are raised.
    """
    means, spectra = in_three_attempts(_read_spectra, block)
    for number, of_order in zip(block.number, spectra, strict=True):
        if of_order is not None:
            write_scratch(block.scratch, int(number), block.points.start, of_order)
    return means


def _read_spectra(block: SpectraTask) -> tuple[Floats, list[Floats | None]]:
    """Means (orders, points), and each order's spectra over their means, (points, n_pixels)."""
    n_points = block.points.stop - block.points.start
    means = np.empty((len(block.number), n_points))
    held: list[Floats | None] = [
        np.empty((n_points, segment.grid.n_pixels)) if segment else None
        for segment in block.segments
    ]
    lo = [w.lo if w else int(low) for w, low in zip(block.segments, block.lo, strict=True)]
    hi = [w.hi if w else int(high) for w, high in zip(block.segments, block.hi, strict=True)]
    for i, spectrum in enumerate(block.reader):
        try:
            flux = _InPieces(spectrum, lo, hi)
            means[:, i] = mean_flux(flux, block.number, block.lo, block.hi)
            for m, segment in enumerate(block.segments):
                if segment:
                    stretch = flux(segment.lo, segment.hi)
                    _check(stretch, block.number[m])
                    held[m][i] = segment.resample(stretch) / means[m, i]  # type: ignore[index]
        except LibraryError as error:
            raise LibraryError(f"{block.library}: spectrum {spectrum.name}: {error}") from None
    return means, held


def _check(stretch: Floats, number: int) -> None:
    low, mean = stretch.min(), stretch.mean()
    if not (low >= 0 and np.isfinite(mean)):
        raise LibraryError(f"order {number} has, in its buffer, {unusable(low, mean)}")


def decompose_order(block: EmulatorTask) -> None:
    """Decompose one order and write its emulator into the store.

    In one BLAS thread: how a sum is cut into threads changes its last bits.
    """
    found, axes = _prepared(block.store, block.job)
    number = int(found.orders.number[block.row])
    spectra = read_scratch(block.scratch, number)
    with threadpool_limits(1):
        emulator = decompose(spectra, block.grid, block.wavelength, block.accuracy)
        error = emulator_error(axes, emulator.weights, np.log(found.mean_flux[block.row]))
    facts = {
        "error_method": default_method(found.grid),
        "error_covariance": error.covariance.tolist(),
        "error_log_mean": error.log_mean,
        "error_factors": error.factors,
    }
    aside = block.scratch.parent / f"{number}.writing"  # no part of a Zarr group, if it is left
    write_order(aside, block.store, number, emulator, facts)


@lru_cache(maxsize=1)
def _prepared(store: Path, job: str) -> tuple[Store, list[AxisFolds]]:  # noqa: ARG001
    """What serves all orders, once a process: the means, and the held-out predictions."""
    found = read_group(store)
    return found, axis_folds(found.grid, default_method(found.grid))
