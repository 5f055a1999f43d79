"""The build of a store, from Python objects or from a job file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mixjobs.builder.orders import ChosenOrders, OrdersLike, choose_orders
from mixjobs.builder.plan import BlockShape, BuildPlan, plan_build
from mixjobs.builder.stages import run_plan
from mixjobs.cluster.checks import check_cluster
from mixjobs.cluster.client import job_client, n_workers
from mixjobs.cluster.executor import n_slots
from mixjobs.config.build import BuildConfig, EmulatorConfig, read_build_job
from mixjobs.display import counted
from mixjobs.files import refuse_inside
from mixjobs.interpolation import Holes
from mixjobs.library import FluxScale, Library, LibraryLike, as_library, open_library
from mixjobs.progress_bar import Report, chosen_reporter, is_watched
from mixjobs.store.filling import filling_lines, store_filling
from mixjobs.store.format import Store, is_group, open_store
from mixjobs.store.joint_error import joint_error_notes
from mixjobs.store.partial import check_not_in_use, check_output

if TYPE_CHECKING:
    from distributed import Client

Note = Callable[[str], None]


def build(
    library: LibraryLike,
    orders: OrdersLike,
    path: str | Path,
    client: Client | None = None,
    *,
    select: Mapping[str, tuple[float, float]] | None = None,
    medium: Literal["air", "vacuum"] | None = None,
    margin: float = 0.0,
    skip_uncovered: bool = False,
    emulator: EmulatorConfig | bool | None = None,
    holes: Holes = "refuse",
    table: bool = True,
    dtype: str = "float64",
    flux_unit: str | None = None,
    wavelength_unit: str | None = None,
    names: Mapping[str, str] | None = None,
    flux_scale: FluxScale | None = None,
    block: BlockShape | None = None,
    overwrite: bool = False,
    report: Report | Literal[False] | None = None,
    note: Note | None = None,
) -> Store:
    """Build a store of mean fluxes and flux ratios from a library of raw spectra.

    An interrupted build resumes when it is called again with the same arguments; a finished store
    is opened. The values do not depend on the block shape, the number of workers or the kind of
    client, to the last bit.

    Parameters
    ----------
    library : Library, str, Path or sequence of them
        The raw spectra: an open library, its path, a pattern, or a list of files (see
        `open_library`).
    orders : Orders, ObservedSpectrum, str, Path, sequence or mapping
        The spectral orders: their ranges; an observed spectrum, its path or a pattern (see
        `open_spectrum`), or a list with one for each epoch; or a mapping from order numbers to
        wavelengths. Ranges of pixels extend from the first to just past the last; those of epochs
        are joined order by order. They are converted to the library's medium, air or vacuum.
    path : str or Path
        The store, which is built as ``path.partial`` and renamed when it is complete.
    client : distributed.Client, optional
        Where to compute; by default in this process.
    select : mapping from parameter name to (low, high), optional
        Use only the grid points inside these closed ranges.
    medium : {"air", "vacuum"}, optional
        Medium of the orders' wavelengths, where a spectrum does not declare it; by default the
        library's.
    margin : float or quantity
        Widens every order on both sides, km/s. Later epochs, whose orders are shifted by the motion
        of the Earth, then fit into the store.
    skip_uncovered : bool
        Leave out the orders that the library does not cover.
    emulator : bool or EmulatorSettings, optional
        Whether to make an emulator of the spectra, with default or other settings. A model of an
        observed spectrum needs it.
    holes : {"refuse", "interpolate"}
        Whether models loaded from the store refuse a theta that needs a missing grid point, or fill
        such points from their neighbours where they can. The filled points are marked in the store.
    table : bool
        Whether to store the N x N ratio table. The model does not need it.
    dtype : {"float64", "float32"}
        Data type of the ratio table.
    flux_unit, wavelength_unit, names, flux_scale
        See `open_library`, which has one more, the medium of the library's wavelengths. They apply
        if the library is given by its path.
    block : (int, int), optional
        Number of orders and of grid points that one task computes.
    overwrite : bool
        Replace a finished store, or the partial store of another job.
    report : callable, False or None
        Called with the name of a stage, its number of finished tasks, and its number of tasks. By
        default a progress bar appears in a terminal or a notebook; False suppresses it.
    note : callable, optional
        Called with each line about what was assumed, converted or left out. By default the lines
        are printed to standard error where the progress bar appears.

    Returns
    -------
    Store

    Raises
    ------
    MissingFile, UnreadableFile
        The library or the spectrum cannot be read.
    NotRaw, LibraryError
        The spectra are normalised, or cannot be used.
    OrderError
        The library does not cover an order, or an order's buffer for the emulator.
    InvalidInput
        Another argument cannot be used.
    OutputExists, StoreLocked, StoreError
        The store exists, another job is building it, or the partial store is another job's.
    JobFailed
        The disk is full, or the workers died.
    """
    note = _note(note, report)
    path = Path(path)
    _check_path(path, overwrite)
    library = as_library(
        library, flux_unit=flux_unit, wavelength_unit=wavelength_unit, names=names,
        flux_scale=flux_scale,
    )  # fmt: skip
    chosen = choose_orders(orders, library, medium, skip_uncovered, margin)
    plan = _plan(
        library, chosen, note, n_workers=n_slots(client), select=select, block=block,
        table_dtype=dtype if table else None, emulator=emulator,
        holes=holes,
    )  # fmt: skip
    finished = finished_store(plan, path, overwrite, note)
    if finished is not None:
        return finished
    with chosen_reporter(report) as reporter:
        store = run_plan(plan, path, client, overwrite, reporter)
    return _noting(store, note)


def build_job(
    job: str | Path | BuildConfig,
    client: Client | None = None,
    *,
    overwrite: bool = False,
    report: Report | Literal[False] | None = None,
    note: Note | None = None,
) -> Store:
    """Build the store that a job file describes.

    Parameters
    ----------
    job : str, Path or BuildConfig
        The job file (TOML), or its contents.
    client : distributed.Client, optional
        Where to compute; by default on the cluster that the job names, which is started and shut
        down again, or on all cores of this machine.
    overwrite : bool
        Replace a finished store, even if the job does not say so.
    report, note
        See `build`.

    Returns
    -------
    Store

    Raises
    ------
    MixjobsError
        The job file cannot be used; otherwise see `build`.
    """
    config = job if isinstance(job, BuildConfig) else read_build_job(job)
    note = _note(note, report)
    path, overwrite = Path(config.output), overwrite or config.overwrite
    _check_path(path, overwrite)
    if client is None:
        check_cluster(config.where)
    plan = plan_job(config, note)
    finished = finished_store(plan, path, overwrite, note)
    if finished is not None:
        return finished
    cluster = job_client(config.where, path, note) if client is None else nullcontext(client)
    with cluster as connected, chosen_reporter(report) as reporter:
        store = run_plan(plan, path, connected, overwrite, reporter)
    return _noting(store, note)


def _noting(store: Store, note: Note) -> Store:
    """Pass on the lines about filled holes, short axes, and spectra that neighbours contradict."""
    filling = store_filling(store)
    lines = filling_lines(filling) if filling is not None else []
    for line in (*lines, *joint_error_notes(store), *store.attributes.get("suspects", ())):
        note(line)
    return store


def plan_job(job: str | Path | BuildConfig, note: Note | None = None) -> BuildPlan:
    """Check and plan the build that a job file describes, without starting it.

    Parameters
    ----------
    job : str, Path or BuildConfig
    note : callable, optional
        Called with each line about the library and about what was assumed, converted or left out.

    Returns
    -------
    BuildPlan
        Its `repr` shows what the build will do and need.

    Raises
    ------
    MixjobsError
        See `build`.
    """
    config = job if isinstance(job, BuildConfig) else read_build_job(job)
    note = note or _silent
    library = open_library(config.library, **config.library_options)
    for line in _library_notes(library):
        note(line)
    return _plan(
        library, choose_orders(config.orders, library), note, n_workers=n_workers(config.where),
        select=config.select, block=config.block,
        table_dtype=config.dtype if config.table else None, emulator=config.emulator,
        holes=config.holes,
    )  # fmt: skip


def _plan(library: Library, chosen: ChosenOrders, note: Note, **options: Any) -> BuildPlan:
    for line in chosen.notes:
        note(line)
    plan = plan_build(
        library, chosen.orders, orders_from=chosen.source, orders_notes=chosen.notes, **options
    )
    for line in plan.emulator.notes if plan.emulator else ():
        note(f"emulator: {line}")
    return plan


def finished_store(plan: BuildPlan, path: Path, overwrite: bool, note: Note) -> Store | None:
    """Return the store that the same job has finished, if any; refuse a path that is taken.

    Raises
    ------
    OutputExists, InvalidInput
    """
    if is_group(path) and not overwrite:
        store = open_store(path)
        if store.attributes.get("identity") == plan.identity:
            note(f"{path}: already complete, so there is nothing to do")
            return store
    check_output(path, overwrite)
    return None


def _check_path(path: Path, overwrite: bool) -> None:
    """Refuse a path that is taken, before anything is read; a finished store is compared later."""
    refuse_inside(path)
    if not is_group(path) or overwrite:
        check_output(path, overwrite)
        check_not_in_use(path)


def _library_notes(library: Library) -> list[str]:
    grid = library.grid
    holes = "" if grid.is_product else ", irregular"
    if len(grid.holes):
        named = "; ".join(", ".join(f"{v:g}" for v in hole) for hole in grid.holes[:3])
        more = ", ..." if len(grid.holes) > 3 else ""
        holes = f", {counted(len(grid.holes), 'hole')}: ({named}){more}"
    names = ", ".join(grid.names)
    return [
        f"{library.path}: {len(grid)} points in {names}{holes}; {library.medium}",
        f"flux calibration: {library.flux_calibration.evidence}",
        *(str(d) for d in library.declarations if d.notable),
        *library.notes,
    ]


def _note(note: Note | None, report: Report | Literal[False] | None) -> Note:
    if note is not None:
        return note
    return _print if report is None and is_watched() else _silent


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(_line: str) -> None:
    """Drop a line."""
