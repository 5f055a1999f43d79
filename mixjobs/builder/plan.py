"""The plan of a build: its checks, its tasks, and the resources that it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.builder.emulator import EmulatorPlan, emulator_settings, plan_emulator
from mixjobs.builder.probe import probe
from mixjobs.builder.rawness import ADVICE, FluxLevel, check_raw
from mixjobs.config.build import EmulatorConfig
from mixjobs.display import Summarised, counted
from mixjobs.errors import InvalidInput, NotRaw
from mixjobs.interpolation import Holes
from mixjobs.interpolation.filling import fill_holes
from mixjobs.library import Library, LibraryLike, as_library
from mixjobs.library.files import FilesLibrary
from mixjobs.model.flux_ratio import summarise_orders
from mixjobs.model.means import spans
from mixjobs.orders import Orders
from mixjobs.store.filling import check_holes
from mixjobs.store.format import rows_per_zarr_chunk
from mixjobs.typing import Floats, Ints

BlockShape = tuple[int, int]  # orders, points

SMALL_JOB = 2000  # (order, point) pairs up to which a task computes one pair
_TASK_SECONDS = 0.2
_MAX_TASKS = 5000


@dataclass(frozen=True, eq=False, repr=False)
class BuildPlan(Summarised):
    """A build that has been checked and planned: what it computes, in which tasks.

    Attributes
    ----------
    library : Library
    orders : Orders
        M orders, which cover the pixels ``lo[m]:hi[m]`` of the library.
    lo, hi : (M,) int arrays
    block : (int, int)
        Orders and points that one task computes.
    table_dtype : str or None
        Data type of the ratio table; None leaves it out.
    flux_level : FluxLevel
        Flux level of the probe spectra.
    seconds : float
        Time to read a spectrum.
    n_workers : int
    attributes : dict
        Attributes of the store; ``identity`` decides whether an interrupted job is the same.
    emulator : EmulatorPlan or None
    """

    library: Library
    orders: Orders
    lo: Ints
    hi: Ints
    block: BlockShape
    table_dtype: str | None
    flux_level: FluxLevel
    seconds: float
    n_workers: int
    attributes: dict[str, Any]
    emulator: EmulatorPlan | None = None

    @property
    def n_points(self) -> int:
        """Number of grid points."""
        return len(self.library.grid)

    @property
    def identity(self) -> dict[str, str]:
        """Facts that must be the same in a resumed job and in the interrupted one."""
        identity: dict[str, str] = self.attributes["identity"]
        return identity

    @property
    def holes(self) -> Holes:
        """Whether holes of the grid are filled from their neighbours."""
        holes: Holes = self.attributes["holes"]
        return holes

    @property
    def _holes_text(self) -> str:
        grid = self.library.grid
        text = counted(len(grid.holes), "hole")
        if self.holes == "refuse":
            return text
        # which holes can be filled does not depend on the fluxes
        return f"{text}, {len(fill_holes(grid, np.zeros((len(grid), 1))))} to be filled"

    @property
    def n_tasks(self) -> int:
        """Number of tasks for the mean fluxes."""
        return ceil(len(self.orders) / self.block[0]) * ceil(self.n_points / self.block[1])

    @property
    def table_rows(self) -> list[tuple[int, int]]:
        """Rows (start, stop) of one order's ratio table in each Zarr chunk."""
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
        """Approximate number of files of the finished store."""
        return 17 + len(self.orders) * len(self.table_rows)

    @property
    def worker_bytes(self) -> int:
        """Approximate memory of a task, beyond the program itself."""
        widest = max(stop - start for start, stop, _ in spans(self.lo, self.hi))
        rows = max((stop - start for start, stop in self.table_rows), default=0)
        needed = max(3 * 8 * widest, 3 * 8 * rows * self.n_points)
        return max(needed, self.emulator.worker_bytes(self.block[1])) if self.emulator else needed

    def wavelength(self, m: int) -> Floats:
        """Return the wavelengths of the library's pixels in one order, (n_pixels,), Å."""
        lo, hi = self.lo[m], self.hi[m]
        section = next(
            s for s in self.library.sections if s.start <= lo and hi <= s.start + len(s.wavelength)
        )
        return section.wavelength[lo - section.start : hi - section.start]

    def check(self, mean_flux: Floats, rows: Ints) -> FluxLevel:
        """Check that mean fluxes (M, n) of the points in `rows` are consistent with raw spectra.

        Raises
        ------
        NotRaw
        """
        return _flux_level(self.library, self.orders, self.hi - self.lo, mean_flux, rows)

    def facts(self) -> dict[str, str]:
        """Return the work and the resources of the build, as text."""
        from dask.utils import format_bytes

        orders, emulator = self.orders, self.emulator
        n_bytes = self.table_bytes + 8 * self.n_points * len(orders)
        seconds = self.seconds * self.n_points / self.n_workers
        facts = {
            "orders": summarise_orders(orders),
            "points": f"{self.n_points} ({self._holes_text})",
            "flux calibration": f"{self.library.flux_calibration.evidence}; {self.flux_level.how}",
            "mean flux": f"{counted(self.n_tasks, 'task')}, each of up to "
            f"{counted(self.block[0], 'order')} x {counted(self.block[1], 'grid point')}",
            "ratio table": counted(len(orders) * len(self.table_rows), "task"),
            "memory per task": f"about {format_bytes(self.worker_bytes)} beyond the program itself",
            "disk space": f"{format_bytes(n_bytes)} in about {counted(self.n_files, 'file')}",
            "reading time": f"about {seconds:.2g} s with {counted(self.n_workers, 'worker')}, "
            f"{1000 * self.seconds:.3g} ms per spectrum",
        }
        if emulator:
            facts["emulator"] = (
                f"{counted(emulator.n_orders, 'order')}, {counted(emulator.n_pixels, 'pixel')} "
                f"with a buffer of {emulator.settings.buffer_velocity:.0f} km/s; "
                f"{format_bytes(emulator.scratch_bytes)} of temporary disk space, at most "
                f"{format_bytes(emulator.stored_bytes)} in the store"
            )
        return facts

    def _facts(self) -> Mapping[str, object]:
        return {"library": Path(self.library.path), **self.facts()}


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def plan_build(
    library: LibraryLike,
    orders: Orders,
    n_workers: int = 1,
    *,
    select: Mapping[str, tuple[float, float]] | None = None,
    block: BlockShape | None = None,
    table_dtype: str | None = "float64",
    emulator: EmulatorConfig | bool | None = None,
    holes: Holes = "refuse",
    orders_from: str = "",
    orders_notes: Sequence[str] = (),
) -> BuildPlan:
    """Check everything that can be checked before the work starts, and plan the work.

    Parameters
    ----------
    n_workers : int
        Number of workers to plan for.
    table_dtype : {"float64", "float32"} or None
        Data type of the ratio table; None leaves it out.
    orders_from : str
        Origin of the orders, for the store's attribute of this name.
    orders_notes : sequence of str
        What was assumed, converted or left out, for the store's attribute of this name.

    The other parameters and the errors are those of `mixjobs.build`.
    """
    if table_dtype not in (None, "float64", "float32"):
        raise InvalidInput(
            f"dtype {table_dtype!r}: expected float64 or float32", name="dtype", value=table_dtype
        )
    settings = emulator_settings(emulator)
    selected = _selected(as_library(library), select)
    check_holes(selected.grid, holes, selected.path)
    sections = selected.sections
    planned = None
    if settings is not None:
        planned = plan_emulator(sections, orders, settings, len(selected.grid))
    probed = probe(selected, orders)
    attributes = _attributes(selected, orders, table_dtype)
    if orders_from:
        attributes["orders_from"] = orders_from
    attributes["holes"] = attributes["identity"]["holes"] = holes
    attributes["orders_notes"] = list(orders_notes)
    attributes["identity"]["emulator"] = planned.identity if planned else "none"
    lo, hi = orders.pixel_ranges(sections, settings.buffer if settings else 0.0)
    return BuildPlan(
        selected, orders, lo, hi,
        choose_block(
            len(orders), len(selected.grid), probed.seconds, n_workers, block,
            # the emulator's scratch arrays would have one file for each pair
            one_pair_allowed=planned is None,
        ),
        table_dtype, _flux_level(selected, orders, hi - lo, probed.mean_flux, probed.rows),
        probed.seconds, n_workers, attributes, planned,
    )  # fmt: skip


def choose_block(
    n_orders: int,
    n_points: int,
    seconds: float,
    n_workers: int,
    block: BlockShape | None = None,
    one_pair_allowed: bool = True,
) -> BlockShape:
    """Choose the number of orders and points that one task computes.

    Parameters
    ----------
    seconds : float
        Time to read a spectrum.
    block : (int, int), optional
        The caller's choice. By default one (order, point) pair in a small job, otherwise all orders
        of some points.
    one_pair_allowed : bool
        Whether the tasks of a small job may compute one pair each.

    Raises
    ------
    InvalidInput
        The block is empty.
    """
    if block is None:
        small = one_pair_allowed and n_orders * n_points <= SMALL_JOB
        return (1, 1) if small else (n_orders, points_per_task(n_points, seconds, n_workers))
    if min(block) < 1:
        raise InvalidInput(
            f"block = {block[0]},{block[1]}: expected a number of orders and a number of points, "
            "1 or more each",
            name="block",
            value=block,
        )
    return min(block[0], n_orders), min(block[1], n_points)


def points_per_task(n_points: int, seconds: float, n_workers: int) -> int:
    """Return how many spectra a task should read.

    A task should take 0.2 s, since scheduling costs 2 to 4 % of tasks of 100 to 200 ms. There
    should be 10 tasks for each worker, and no more than 5000 in all.
    """
    wanted = ceil(_TASK_SECONDS / max(seconds, 1e-6))
    at_most = max(1, n_points // (10 * max(1, n_workers)))
    at_least = ceil(n_points / _MAX_TASKS)
    return max(at_least, min(wanted, at_most))


def blocks(n_orders: int, n_points: int, block: BlockShape) -> Iterator[tuple[slice, slice]]:
    """Divide the mean fluxes into blocks of orders and points, one for each task."""
    for i in range(0, n_points, block[1]):
        for m in range(0, n_orders, block[0]):
            yield (
                slice(m, min(m + block[0], n_orders)),
                slice(i, min(i + block[1], n_points)),
            )


def _selected(library: Library, select: Mapping[str, tuple[float, float]] | None) -> Library:
    """Return the library reduced to the selected points; refuse spectra that may not be raw."""
    if select:
        library = library.take(library.grid.select(select))
    status = library.flux_calibration.status
    if status in ("normalised", "undecided"):
        raise NotRaw(
            f"{library.path}: {library.flux_calibration.evidence}, but flux ratios need raw "
            f"spectra; {ADVICE}",
            path=library.path,
            name="flux_scale",
            value=status,
        )
    return library


def _flux_level(
    library: Library, orders: Orders, n_pixels: Ints, mean_flux: Floats, rows: Ints
) -> FluxLevel:
    grid = library.grid.take(rows)
    try:
        return check_raw(grid, orders, n_pixels, mean_flux, library.flux_calibration)
    except NotRaw as error:
        raise NotRaw(
            f"{library.path}: {error}", path=library.path, name=error.name, value=error.value
        ) from None


def _attributes(library: Library, orders: Orders, table_dtype: str | None) -> dict[str, Any]:
    grid = library.grid
    ranges = np.stack([orders.number, orders.wave_min, orders.wave_max])
    identity = {f"library {name}": value for name, value in library.fingerprint.items()}
    identity |= {
        "grid points": f"{len(grid)} ({_digest(grid.points)})",
        "orders": f"{len(orders)} ({_digest(ranges)})",
        "ratio table": table_dtype or "none",
        **{declared.quantity: declared.understood for declared in library.declarations},
    }
    return {
        "mixjobs_version": version("mixjobs"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "library": library.path,
        "library_format": library.format,
        "library_files": list(library.files) if isinstance(library, FilesLibrary) else [],
        "library_notes": list(library.notes),
        "library_parameters": list(library.original_names),
        "flux_unit_declared": library.flux_unit,
        "flux_calibration": library.flux_calibration.status,
        "flux_calibration_evidence": library.flux_calibration.evidence,
        "flux_unit": "erg/s/cm2/AA",
        "absolute_flux_doubt": library.flux_calibration.doubt,
        "medium": library.medium,
        "declarations": [asdict(declaration) for declaration in library.declarations],
        "identity": identity,
    }


def _digest(array: NDArray[Any]) -> str:
    return sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:8]
