"""The tasks of a build, and the functions that compute them on a worker or in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from mixjobs.builder.probe import in_spectrum
from mixjobs.builder.segments import Segment
from mixjobs.errors import LibraryError, MissingFile, UnreadableFile
from mixjobs.interpolation import default_method
from mixjobs.library import Spectrum, SpectrumReader
from mixjobs.model.emulator import decompose
from mixjobs.model.flux_ratio import flux_ratio, flux_ratio_rows
from mixjobs.model.means import DARK, check_no_zeros, mean_flux, spans, unusable
from mixjobs.store.emulator import read_scratch, write_order, write_scratch
from mixjobs.store.format import open_array, read_group, write_whole
from mixjobs.store.joint_error import estimate_joint_error, write_joint_error
from mixjobs.store.zarr_settings import default_settings
from mixjobs.typing import Floats, Ints
from mixjobs.wavelengths import LogGrid

if TYPE_CHECKING:
    from mixjobs.builder.emulator import EmulatorSettings

# Seconds between attempts to read, because network file systems sometimes fail for a moment.
_PAUSES = (0.2, 1.0)


@dataclass(frozen=True, eq=False)
class MeanTask:
    """The mean fluxes of some orders and points.

    Attributes
    ----------
    library : str
        Path of the library, for error messages.
    reader : SpectrumReader
        Reader of the points' spectra.
    number, lo, hi : (n_orders,) int arrays
        Numbers and pixel ranges of the orders.
    orders, points : slice
        Ranges of the block in the store's arrays.
    """

    library: str
    reader: SpectrumReader
    number: Ints
    lo: Ints
    hi: Ints
    orders: slice
    points: slice

    @property
    def key(self) -> list[int]:
        """Key of the task in its stage's record: the first order and the first point."""
        return [self.orders.start, self.points.start]

    def __str__(self) -> str:
        points = _interval("point", "points", self.points.start, self.points.stop - 1)
        orders = _interval("order", "orders", int(self.number[0]), int(self.number[-1]))
        return f"mean flux of {points}, {orders}"


@dataclass(frozen=True, eq=False)
class SpectraTask(MeanTask):
    """Mean fluxes, and the spectra from which the emulator is made.

    Attributes
    ----------
    scratch : Path
        Zarr group of the spectra, which are divided by their means.
    segments : list of Segment or None
        One for each order of the block; None for an order that has no emulator.
    """

    scratch: Path
    segments: Sequence[Segment | None]

    def __str__(self) -> str:
        return super().__str__().replace("mean flux", "spectra", 1)


@dataclass(frozen=True, eq=False)
class EmulatorTask:
    """The decomposition of the spectra of one order."""

    store: Path
    scratch: Path
    order_index: int
    number: int
    grid: LogGrid
    wavelength: Floats
    settings: EmulatorSettings

    @property
    def key(self) -> list[int]:
        """Key of the task in its stage's record."""
        return [self.order_index]

    def __str__(self) -> str:
        return f"emulator of order index {self.order_index}"


@dataclass(frozen=True)
class JointErrorTask:
    """The joint interpolation error of all emulators in a store."""

    store: Path
    key: tuple[int, ...] = ()

    def __str__(self) -> str:
        return "joint interpolation error"


@dataclass(frozen=True, eq=False)
class RatioTask:
    """Rows `start` to `stop` of one order's ratio table, from the mean fluxes in the store."""

    group: Path
    job: str
    order_index: int
    start: int
    stop: int

    @property
    def key(self) -> list[int]:
        """Key of the task in its stage's record: the order and the first row."""
        return [self.order_index, self.start]

    def __str__(self) -> str:
        rows = _interval("row", "rows", self.start, self.stop - 1)
        return f"ratio table of order index {self.order_index}, {rows}"


@dataclass(frozen=True, eq=False)
class InterpolatorTask:
    """The interpolators of some orders, built from the store and compared with the ratio table."""

    group: Path
    order_index: Ints

    def __str__(self) -> str:
        first, last = int(self.order_index[0]), int(self.order_index[-1])
        return f"interpolators of {_interval('order index', 'order indices', first, last)}"


ReadingTask = TypeVar("ReadingTask", bound=MeanTask)
Result = TypeVar("Result")


def compute_means(task: MeanTask) -> Floats:
    """Return the mean fluxes of a block, (orders, points); each spectrum is read once.

    Raises
    ------
    MissingFile, UnreadableFile
        A file could not be read in three attempts.
    LibraryError
        A spectrum cannot be used.
    """
    return in_three_attempts(_read_means, task)


def in_three_attempts(read: Callable[[ReadingTask], Result], task: ReadingTask) -> Result:
    """Read the spectra of a task.

    After an error of the file system, the file is opened again. Spectra that cannot be used are not
    read again.

    Raises
    ------
    MissingFile, UnreadableFile
        A file could not be read in three attempts.
    LibraryError
        A spectrum cannot be used.
    """
    for pause in _PAUSES:
        try:
            return read(task)
        except OSError:
            pass
        time.sleep(pause)  # outside the handler, where the error no longer keeps files open
    try:
        return read(task)
    except OSError as error:
        kind = MissingFile if isinstance(error, FileNotFoundError) else UnreadableFile
        raise kind(
            f"{task}: {error} ({len(_PAUSES) + 1} attempts); start again when the file can be "
            "read (finished work is kept, unless the library changes)",
            path=getattr(error, "path", None) or task.library,
            name=str(task),
        ) from None


def _read_means(task: MeanTask) -> Floats:
    columns = []
    for spectrum in task.reader:
        try:
            columns.append(mean_flux(spectrum, task.number, task.lo, task.hi))
        except LibraryError as error:
            raise in_spectrum(error, task.library, spectrum.name) from None
    return np.stack(columns, axis=1)


def compute_spectra(task: SpectraTask) -> Floats:
    """Write the normalised spectra of a block; return its mean fluxes, (orders, points).

    The mean fluxes and the errors are those of `compute_means`, to the last bit.
    """
    means, spectra = in_three_attempts(_read_spectra, task)
    for number, order_spectra in zip(task.number, spectra, strict=True):
        if order_spectra is not None:
            write_scratch(task.scratch, int(number), task.points.start, order_spectra)
    return means


def _read_spectra(task: SpectraTask) -> tuple[Floats, list[Floats | None]]:
    """Mean fluxes (orders, points), and each order's normalised spectra (points, n_pixels)."""
    n_points = task.points.stop - task.points.start
    means = np.empty((len(task.number), n_points))
    spectra: list[Floats | None] = [
        np.empty((n_points, segment.grid.n_pixels)) if segment else None
        for segment in task.segments
    ]
    lo = [s.lo if s else int(low) for s, low in zip(task.segments, task.lo, strict=True)]
    hi = [s.hi if s else int(high) for s, high in zip(task.segments, task.hi, strict=True)]
    for i, spectrum in enumerate(task.reader):
        try:
            flux = _Pieces(spectrum, lo, hi)
            means[:, i] = mean_flux(flux, task.number, task.lo, task.hi)
            for m, segment in enumerate(task.segments):
                if segment:
                    raw = flux(segment.lo, segment.hi)
                    _check_buffer(raw, int(task.number[m]), segment.lo)
                    spectra[m][i] = segment.resample(raw) / means[m, i]  # type: ignore[index]
        except LibraryError as error:
            raise in_spectrum(error, task.library, spectrum.name) from None
    return means, spectra


class _Pieces:
    """A spectrum of which every pixel is read once, although segments overlap."""

    def __init__(self, spectrum: Spectrum, lo: Sequence[int], hi: Sequence[int]) -> None:
        self.pieces = [(start, spectrum(start, stop)) for start, stop, _ in spans(lo, hi)]

    def __call__(self, lo: int, hi: int) -> Floats:
        start, flux = next(p for p in reversed(self.pieces) if p[0] <= lo)
        return flux[lo - start : hi - start]


def _check_buffer(flux: Floats, number: int, first: int) -> None:
    low, mean = flux.min(), flux.mean()
    if not (low >= 0 and np.isfinite(mean)):
        raise LibraryError(
            f"order {number} has {unusable(low, mean)} in its buffer; fix the file, or choose a "
            "smaller max_rv or max_vsini",
            order=number,
        )
    if low <= DARK * mean:
        check_no_zeros(flux, number, first)


def decompose_order(task: EmulatorTask) -> None:
    """Decompose the spectra of one order, and write its emulator into the store.

    BLAS uses one thread: how a sum is divided among threads changes its last bits.
    """
    spectra = read_scratch(task.scratch, task.number)
    with threadpool_limits(1):
        emulator = decompose(spectra, task.grid, task.wavelength, task.settings)
    temporary = task.scratch.parent / f"{task.number}.writing"  # outside the store's Zarr group
    write_order(temporary, task.store, task.number, emulator)


def decompose_errors(task: JointErrorTask) -> None:
    """Decompose the interpolation errors of all orders together, and write them into the store."""
    store = read_group(task.store)
    method = default_method(store.grid)
    with threadpool_limits(1):
        numbers, error = estimate_joint_error(store, method)
    write_joint_error(task.store.parent / "joint.writing", task.store, numbers, error, method)


def write_table(task: RatioTask) -> None:
    """Compute rows of the ratio table, and write them to the store as whole Zarr chunks."""
    means, table = _means_and_table(task.group, task.job)
    rows = flux_ratio_rows(means[task.order_index], task.start, task.stop)
    rows = rows.astype(table.dtype, copy=False)
    write_whole(table, (task.order_index, task.start, 0), rows[None])


@lru_cache(maxsize=1)
@default_settings()
def _means_and_table(group: Path, job: str) -> tuple[Floats, Any]:  # noqa: ARG001
    """Means and table of a store, read once in each process.

    The job is a key of the cache, because another job may fill another store at the same path.
    """
    return open_array(group, "mean_flux")[...], open_array(group, "flux_ratio")


@default_settings()
def check_interpolators(task: InterpolatorTask) -> float:
    """Return the largest relative difference between interpolated and stored flux ratios.

    The interpolators of some orders are built from the store. They are compared with the table
    from one grid point to all others.
    """
    store = read_group(task.group)
    means = store.mean_flux[task.order_index]
    method = default_method(store.grid)
    ratio = flux_ratio(store.grid, store.orders.take(task.order_index), means, method)
    start = len(store.grid) // 2
    interpolated = ratio(store.grid.points[start], store.grid.points).T
    if store.flux_ratio is None:
        direct = flux_ratio_rows(means, start, start + 1)[:, 0]
    else:
        direct = np.stack([store.flux_ratio[m, start] for m in task.order_index])
    return float(np.max(np.abs(interpolated / direct - 1)))


def _interval(noun: str, plural: str, first: int, last: int) -> str:
    """Name one item or a range of items.

    Examples
    --------
    >>> _interval("point", "points", 3, 3), _interval("point", "points", 3, 5)
    ('point 3', 'points 3 to 5')
    """
    return f"{noun} {first}" if first == last else f"{plural} {first} to {last}"
