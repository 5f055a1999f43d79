"""The stages of a build that make the emulator: spectra by order, then components of each order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from mixjobs.builder.job import Job
from mixjobs.builder.plan import EmulatorPlan, Plan
from mixjobs.builder.tasks import EmulatorTask, MeanTask, SpectraTask, decompose_order
from mixjobs.cluster.executor import execute
from mixjobs.store.emulator import GROUP, create_emulator, create_scratch, scratch_step
from mixjobs.store.partial import Partial

if TYPE_CHECKING:
    from distributed import Client

Report = Callable[[str, int, int], None]

SCRATCH = "scratch"  # beside the store that is being filled; it goes when the store is complete


def create(group: Path, job: Job, emulator: EmulatorPlan) -> None:
    """Create the emulator's empty group, and the scratch array beside the store."""
    create_emulator(group / GROUP, emulator.attributes)
    n_pixels = {
        int(m): segment.grid.n_pixels
        for m, segment in zip(job.orders.number, emulator.segments, strict=True)
        if segment
    }
    create_scratch(group.parent / SCRATCH, n_pixels, job.plan.n_points, job.plan.block[1])


def whole_zarr_chunks(plan: Plan, partial: Partial) -> Plan:
    """Return the plan with blocks that cover whole Zarr chunks of the scratch array.

    These were fixed when it was created; a job that goes on may have planned other blocks.
    """
    return replace(plan, block=(plan.block[0], scratch_step(partial.folder / SCRATCH)))


def with_spectra(block: MeanTask, partial: Partial, emulator: EmulatorPlan) -> SpectraTask:
    """Return the block that computes the same means and writes its spectra too."""
    return SpectraTask(
        **vars(block),
        scratch=partial.folder / SCRATCH,
        segments=emulator.segments[block.orders],
    )


def write_all_orders(
    client: Client | None, job: Job, emulator: EmulatorPlan, partial: Partial, report: Report
) -> None:
    """Decompose the orders that are not on record yet, one task an order."""
    n_orders = emulator.n_orders
    done = {block.block[0] for block in partial.finished() if block.stage == "emulator"}
    n_done, token = len(done), uuid4().hex
    report("emulator", n_done, n_orders)
    tasks = (
        EmulatorTask(
            job=token,
            store=partial.group,
            scratch=partial.folder / SCRATCH,
            row=m,
            grid=segment.grid,
            wavelength=job.library.wavelength[job.plan.lo[m] : job.plan.hi[m]],
            accuracy=emulator.settings.accuracy,
        )
        for m, segment in enumerate(emulator.segments)
        if segment and m not in done
    )
    for task, _ in execute(client, decompose_order, tasks, "emulator"):
        partial.record("emulator", [task.row])
        n_done += 1
        report("emulator", n_done, n_orders)
