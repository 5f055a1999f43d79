"""The stages of a build: mean fluxes, emulator, ratio table, interpolators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from mixjobs.builder.emulator import EmulatorPlan
from mixjobs.builder.plan import BuildPlan, blocks
from mixjobs.builder.probe import with_wavelengths
from mixjobs.builder.tasks import (
    EmulatorTask,
    InterpolatorTask,
    JointErrorTask,
    MeanTask,
    RatioTask,
    SpectraTask,
    check_interpolators,
    compute_means,
    compute_spectra,
    decompose_errors,
    decompose_order,
    write_table,
)
from mixjobs.cluster.executor import check_memory, execute, n_slots
from mixjobs.errors import JobFailed, LibraryError
from mixjobs.model.outliers import suspects
from mixjobs.progress_bar import Report
from mixjobs.store.emulator import GROUP, create_emulator, create_scratch, scratch_step
from mixjobs.store.filling import write_filling
from mixjobs.store.format import (
    Store,
    create_group,
    open_array,
    open_store,
    write_attributes,
    write_whole,
)
from mixjobs.store.partial import PartialStore, partial_store
from mixjobs.store.progress import recorded_means
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from distributed import Client

SCRATCH = "scratch"  # next to the store's group in the partial store; deleted at the end


@dataclass(frozen=True, eq=False)
class Stage:
    """Tasks of one kind.

    Attributes
    ----------
    name : str
    function : callable
        Computes a task, in this process or on a worker.
    tasks : iterable
        The tasks that an earlier run of the job has not finished.
    n_tasks, n_finished : int
        Number of all tasks, and of those finished by an earlier run.
    finish : callable
        Called with each task and its result.
    """

    name: str
    function: Callable[[Any], Any]
    tasks: Iterable[Any]
    n_tasks: int
    n_finished: int
    finish: Callable[[Any, Any], None]


def run_plan(
    plan: BuildPlan, path: str | Path, client: Client | None, overwrite: bool, report: Report
) -> Store:
    """Build the store of a plan.

    Parameters
    ----------
    plan : BuildPlan
    path : str or Path
        The store.
    client : Client or None
        None for this process.
    overwrite : bool
        Replace a finished store, or another job's partial store.
    report : callable
        Called with the name of a stage, its number of finished tasks, and its number of tasks.

    Raises
    ------
    MixjobsError
        See `mixjobs.build`.
    """
    if client is not None:
        check_memory(client, plan.worker_bytes)
    with partial_store(
        Path(path), plan.identity, lambda group: create(group, plan), overwrite
    ) as partial:
        shape = len(plan.orders), plan.n_points
        means = recorded_means(partial.finished(), shape)
        try:
            run_stage(client, mean_stage(plan, partial, means), report)
        except LibraryError as error:
            raise with_wavelengths(error, plan.library) from None
        write_whole(open_array(partial.group, "mean_flux"), (0, 0), means)
        flux_level = plan.check(means, np.arange(plan.n_points))
        facts = {"flux_level": flux_level.how, "suspects": suspects(plan.library.grid, means)}
        write_attributes(partial.group, facts)
        if plan.holes == "interpolate":
            write_filling(partial.group, plan.library.grid, means)
        if plan.emulator:
            run_stage(client, emulator_stage(plan, plan.emulator, partial), report)
            run_stage(client, joint_error_stage(partial), report)
        run_stage(client, ratio_stage(plan, partial), report)
        run_stage(client, interpolator_stage(plan, partial, n_slots(client)), report)
    return open_store(path)


def create(group: Path, plan: BuildPlan) -> None:
    """Create an empty store, and the emulator's scratch arrays."""
    create_group(
        group, plan.library.grid, plan.orders, plan.hi - plan.lo, plan.attributes, plan.table_dtype
    )
    if plan.emulator is None:
        return
    create_emulator(group / GROUP, plan.emulator.attributes)
    n_pixels = {
        int(m): segment.grid.n_pixels
        for m, segment in zip(plan.orders.number, plan.emulator.segments, strict=True)
        if segment
    }
    create_scratch(group.parent / SCRATCH, n_pixels, plan.n_points, plan.block[1])


def run_stage(client: Client | None, stage: Stage, report: Report) -> None:
    """Compute the unfinished tasks of a stage."""
    n_finished = stage.n_finished
    report(stage.name, n_finished, stage.n_tasks)
    for task, result in execute(client, stage.function, stage.tasks, stage.name):
        stage.finish(task, result)
        n_finished += 1
        report(stage.name, n_finished, stage.n_tasks)


def mean_stage(plan: BuildPlan, partial: PartialStore, means: Floats) -> Stage:
    """Return the stage that computes the mean fluxes that are still NaN in `means` (M, N)."""
    shape = plan.block
    if plan.emulator:
        # a resumed job must write whole Zarr chunks of the existing scratch arrays
        shape = shape[0], scratch_step(partial.folder / SCRATCH)
    all_blocks = list(blocks(len(plan.orders), plan.n_points, shape))
    missing = [block for block in all_blocks if np.isnan(means[block]).any()]

    def finish(task: MeanTask, values: Floats) -> None:
        means[task.orders, task.points] = values
        partial.record("mean_flux", task.key, values)

    return Stage(
        name="mean_flux",
        function=compute_spectra if plan.emulator else compute_means,
        tasks=(mean_task(plan, partial.folder / SCRATCH, *block) for block in missing),
        n_tasks=len(all_blocks),
        n_finished=len(all_blocks) - len(missing),
        finish=finish,
    )


def mean_task(plan: BuildPlan, scratch: Path, orders: slice, points: slice) -> MeanTask:
    """Return the task of a block of mean fluxes; with an emulator, it also writes spectra."""
    task = MeanTask(
        plan.library.path, plan.library.reader(range(points.start, points.stop)),
        plan.orders.number[orders], plan.lo[orders], plan.hi[orders], orders, points,
    )  # fmt: skip
    if plan.emulator is None:
        return task
    return SpectraTask(**vars(task), scratch=scratch, segments=plan.emulator.segments[orders])


def emulator_stage(plan: BuildPlan, emulator: EmulatorPlan, partial: PartialStore) -> Stage:
    """Return the stage that decomposes the spectra, one task for each order."""
    tasks = emulator_tasks(plan, emulator, partial.group, partial.folder / SCRATCH)
    return _recorded_stage("emulator", decompose_order, tasks, partial)


def emulator_tasks(
    plan: BuildPlan, emulator: EmulatorPlan, group: Path, scratch: Path
) -> list[EmulatorTask]:
    """Return one task for each order that will have an emulator."""
    return [
        EmulatorTask(
            group, scratch, m, int(plan.orders.number[m]), segment.grid, plan.wavelength(m),
            emulator.settings,
        )
        for m, segment in enumerate(emulator.segments)
        if segment
    ]  # fmt: skip


def joint_error_stage(partial: PartialStore) -> Stage:
    """Return the stage that decomposes the errors of all emulators together, in one task."""
    return _recorded_stage(
        "joint_error", decompose_errors, [JointErrorTask(partial.group)], partial
    )


def ratio_stage(plan: BuildPlan, partial: PartialStore) -> Stage:
    """Return the stage that writes the ratio table, one task for each Zarr chunk, if any."""
    job = uuid4().hex
    rows = [(m, *rows) for m in range(len(plan.orders)) for rows in plan.table_rows]
    tasks = [RatioTask(partial.group, job, *row) for row in rows]
    return _recorded_stage("flux_ratio", write_table, tasks, partial)


def interpolator_stage(plan: BuildPlan, partial: PartialStore, n_tasks: int) -> Stage:
    """Return the stage that builds the interpolators and compares them with the ratio table."""
    allowed = 1e-5 if plan.table_dtype == "float32" else 1e-9
    groups = np.array_split(np.arange(len(plan.orders)), min(n_tasks, len(plan.orders)))

    def finish(task: InterpolatorTask, difference: float) -> None:
        if not difference < allowed:
            raise JobFailed(
                f"{task}: interpolated and stored flux ratios differ by {difference:.1g} at grid "
                "points: the store was damaged while it was written; delete it and build it again",
                path=partial.folder,
                name=str(task),
                value=difference,
            )

    tasks = [InterpolatorTask(partial.group, group) for group in groups]
    return Stage("interpolators", check_interpolators, tasks, len(tasks), 0, finish)


def _recorded_stage(
    name: str,
    function: Callable[[Any], None],
    tasks: Sequence[EmulatorTask] | Sequence[JointErrorTask] | Sequence[RatioTask],
    partial: PartialStore,
) -> Stage:
    """Return the stage of the tasks that are not on record, each recorded when it is finished."""
    recorded = {tuple(entry.block) for entry in partial.finished() if entry.stage == name}
    missing = [task for task in tasks if tuple(task.key) not in recorded]
    return Stage(
        name, function, missing, len(tasks), len(tasks) - len(missing),
        finish=lambda task, _: partial.record(name, list(task.key)),
    )  # fmt: skip
