"""The build job: means, their check, the ratio table and the interpolators, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from distributed import Client

from mixjobs.builder import emulator as emulate
from mixjobs.builder.job import Job, prepare
from mixjobs.builder.plan import Block, Plan
from mixjobs.builder.segments import EmulatorSettings
from mixjobs.builder.tasks import (
    InterpolatorTask,
    MeanTask,
    RatioTask,
    check_interpolators,
    compute_means,
    compute_spectra,
    write_table,
)
from mixjobs.cluster.executor import check_memory, execute, n_slots
from mixjobs.errors import JobFailed
from mixjobs.library import Library
from mixjobs.orders import Orders
from mixjobs.store.format import (
    Store,
    create_group,
    open_array,
    open_store,
    write_attributes,
    write_whole,
)
from mixjobs.store.partial import Partial, partial_store
from mixjobs.store.progress import recorded_means
from mixjobs.typing import Floats

Report = Callable[[str, int, int], None]  # stage, blocks done, blocks in all


def build(
    library: Library | str | Path,
    orders: Orders,
    path: str | Path,
    client: Client | None = None,
    *,
    select: Mapping[str, tuple[float, float]] | None = None,
    block: Block | None = None,
    dtype: str = "float64",
    table: bool = True,
    assume_raw: bool = False,
    emulator: EmulatorSettings | None = None,
    overwrite: bool = False,
    report: Report | None = None,
) -> Store:
    """Build a store of mean fluxes and flux ratios from a library.

    An interrupted build is resumed when it is asked for again in the same words. Any block,
    number of workers or kind of client gives the same values, to the last bit.

    Parameters
    ----------
    library : Library, str or Path
        The raw spectra.
    orders : Orders
        The spectral orders, in the library's medium.
    path : str or Path
        The store to make; it is built beside it, as ``path.partial``, and renamed when complete.
    client : distributed.Client, optional
        Where to compute; None computes in this process.
    select : mapping from parameter name to (low, high), optional
        Use only the points inside these closed ranges.
    block : (int, int), optional
        Orders x points that one task computes.
    dtype : {"float64", "float32"}
        Of the ratio table.
    table : bool
        Whether to write the ratio table; everything that a model needs is in the means.
    assume_raw : bool
        Take the spectra as raw, just as they are in the file, whatever it says.
    emulator : EmulatorSettings, optional
        Make an emulator of the spectra too, for `mixjobs.load_mixture`.
    overwrite : bool
        Replace a store, or another job's partial store, of this name.
    report : callable, optional
        Called with (stage, blocks done, blocks in all).

    Returns
    -------
    Store

    Raises
    ------
    NotRaw
        The spectra are normalised, or look so.
    MissingFile, UnreadableFile, LibraryError, OrderError, InvalidInput
        The library, the orders or an option cannot be used.
    OutputExists, StoreError, StoreLocked, JobFailed
        Each says what was given, what was expected and what to do.
    """
    job = prepare(
        library, orders, n_slots(client), select, block, dtype if table else None, assume_raw,
        emulator,
    )  # fmt: skip
    return run(job, path, client, overwrite=overwrite, report=report)


def run(
    job: Job,
    path: str | Path,
    client: Client | None = None,
    *,
    overwrite: bool = False,
    notes: Mapping[str, str] | None = None,
    report: Report | None = None,
) -> Store:
    """Run a job that was prepared.

    Parameters
    ----------
    job : Job
    notes : mapping, optional
        Further attributes of the store, such as ``orders_from``.

    The other parameters, the result and the errors are those of `build`.
    """
    tell = report or _silent
    plan, grid = job.plan, job.library.grid
    attributes = {**job.attributes, **(notes or {})}

    def create(group: Path) -> None:
        create_group(group, grid, job.orders, plan.hi - plan.lo, attributes, plan.table_dtype)
        if job.emulator:
            emulate.create(group, job, job.emulator)

    if client is not None:
        check_memory(client, job.worker_bytes)
    with partial_store(Path(path), job.attributes["identity"], create, overwrite) as partial:
        means = _compute_all_means(client, job, partial, tell)
        looks = job.check(means, np.arange(len(grid)))
        write_attributes(partial.group, {"flux_unit": looks.flux_unit, "raw_numbers": looks.how})
        if job.emulator:
            emulate.write_all_orders(client, job, job.emulator, partial, tell)
        _write_all_tables(client, plan, partial, tell)
        _check_all_interpolators(client, plan, partial, tell)
    return open_store(path)


def _compute_all_means(client: Client | None, job: Job, partial: Partial, report: Report) -> Floats:
    """Compute the means that are not on record yet, and write them all."""
    plan, emulator = job.plan, job.emulator
    if emulator:
        plan = emulate.whole_zarr_chunks(plan, partial)
    means = recorded_means(partial.finished(), (len(plan.orders), plan.n_points))
    missing = [block for block in plan.blocks if np.isnan(means[block]).any()]
    n_done = plan.n_tasks - len(missing)
    report("mean_flux", n_done, plan.n_tasks)
    tasks: Iterable[MeanTask] = (
        MeanTask(
            job.library.path,
            job.library.reader(range(points.start, points.stop)),
            plan.orders.number[rows], plan.lo[rows], plan.hi[rows], rows, points,
        )
        for rows, points in missing
    )  # fmt: skip
    compute: Callable[[Any], Floats] = compute_means
    if emulator:
        tasks = (emulate.with_spectra(task, partial, emulator) for task in tasks)
        compute = compute_spectra
    for task, values in execute(client, compute, tasks, "mean_flux"):
        means[task.orders, task.points] = values
        partial.record("mean_flux", [task.orders.start, task.points.start], values)
        n_done += 1
        report("mean_flux", n_done, plan.n_tasks)
    write_whole(open_array(partial.group, "mean_flux"), (0, 0), means)
    return means


def _write_all_tables(client: Client | None, plan: Plan, partial: Partial, report: Report) -> None:
    done = {tuple(block.block) for block in partial.finished() if block.stage == "flux_ratio"}
    blocks = [(m, rows) for m in range(len(plan.orders)) for rows in plan.table_rows]
    missing = [(m, rows) for m, rows in blocks if (m, rows[0]) not in done]
    n_done = len(blocks) - len(missing)
    job = uuid4().hex
    tasks = (RatioTask(partial.group, job, m, *rows) for m, rows in missing)
    for task, _ in execute(client, write_table, tasks, "flux_ratio"):
        partial.record("flux_ratio", [task.order, task.start])
        n_done += 1
        report("flux_ratio", n_done, len(blocks))


def _check_all_interpolators(
    client: Client | None, plan: Plan, partial: Partial, report: Report
) -> None:
    n_groups = min(n_slots(client), len(plan.orders))
    groups = np.array_split(np.arange(len(plan.orders)), n_groups)
    allowed = 1e-5 if plan.table_dtype == "float32" else 1e-9
    tasks = (InterpolatorTask(partial.group, rows) for rows in groups)
    for n_done, (task, difference) in enumerate(
        execute(client, check_interpolators, tasks, "interpolators"), start=1
    ):
        if not difference < allowed:
            raise JobFailed(
                f"{task}: they differ from the stored table by {difference:.1g} at grid points; "
                "the store was damaged while it was written: remove it and build again"
            )
        report("interpolators", n_done, len(groups))


def _silent(stage: str, done: int, total: int) -> None:
    """Report nothing."""
