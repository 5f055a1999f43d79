"""Time and memory of one build of a virtual library."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from distributed import Client

from benchmarks.measure import StageClock, same
from benchmarks.virtual import VirtualLibrary, spent
from mixjobs.builder.plan import BlockShape, plan_build
from mixjobs.builder.stages import run_plan
from mixjobs.orders import Orders
from validation.real_data import Skipped

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Built:
    """Cost of one build, in seconds unless stated otherwise.

    Attributes
    ----------
    n_tasks, n_workers : int
    ready : float
        From the call until the first task can be submitted: checks, probe, plan, partial store.
    first : float
        From the call until a worker starts the first task.
    reading : float
        Wall time of the reading stage, including the creation and submission of its tasks.
    inside : float
        Wall time inside its tasks, measured by the tasks themselves and summed.
    inside_cpu : float
        The same in CPU time of their threads.
    after : float
        From the end of the reading stage until `build` returns, without the table stage.
    table : float
        Wall time of the table stage, from the last mean, including the check of the means.
    job_cpu, scheduler_cpu : float
        CPU time of the whole build, of the calling process and of the scheduler.
    scheduler_peak, worker_peak : float
        Peak memory so far, in MB: of the scheduler, and of the worker that used most.
    """

    n_tasks: int
    n_workers: int
    ready: float
    first: float
    reading: float
    inside: float
    inside_cpu: float
    after: float
    table: float
    job_cpu: float
    scheduler_cpu: float
    scheduler_peak: float
    worker_peak: float

    @property
    def idle(self) -> float:
        """Seconds of the reading stage that a worker spends outside its tasks, on average."""
        return self.reading - self.inside / self.n_workers

    @property
    def waiting(self) -> float:
        """Seconds that the tasks of a worker waited because other processes had the core."""
        return (self.inside - self.inside_cpu) / self.n_workers

    @property
    def overhead_cpu(self) -> float:
        """CPU time of the scheduler and of the job's process together."""
        return self.job_cpu + self.scheduler_cpu


def built(
    client: Client,
    library: VirtualLibrary,
    orders: Orders,
    path: Path,
    block: BlockShape | None = None,
    table: bool = False,
) -> Built:
    """Build a store, check its means, and return the cost."""
    client.run(spent)
    clock, scheduler = StageClock(), scheduler_cpu(client)
    start, start_cpu, start_time = time.perf_counter(), time.process_time(), time.time()
    n_workers = len(client.ncores())
    dtype = "float64" if table else None
    plan = plan_build(library, orders, n_workers, block=block, table_dtype=dtype)
    store = run_plan(plan, path, client, overwrite=True, report=clock)
    end, end_cpu = time.perf_counter(), time.process_time()
    tasks = client.run(spent).values()
    same("scaling", store.mean_flux, library.means(orders), rtol=1e-12)
    writing = clock.last["flux_ratio"] - clock.last["mean_flux"] if table else 0.0
    return Built(
        n_tasks=plan.n_tasks,
        n_workers=n_workers,
        ready=clock.first["mean_flux"] - start,
        first=min(task.first for task in tasks) - start_time,
        reading=clock.last["mean_flux"] - clock.first["mean_flux"],
        inside=sum(task.wall for task in tasks),
        inside_cpu=sum(task.cpu for task in tasks),
        after=end - clock.last["mean_flux"] - writing,
        table=writing,
        job_cpu=end_cpu - start_cpu,
        scheduler_cpu=scheduler_cpu(client) - scheduler,
        scheduler_peak=_on_scheduler(client, peak_memory),
        worker_peak=max(client.run(peak_memory).values()),
    )


def peak_memory() -> float:
    """Return the peak memory of this process so far, in MB (10⁶ bytes)."""
    match = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
    return 1.024e-3 * float(match[1]) if match else float("nan")


def needs_linux() -> None:
    """Skip a benchmark if the system does not report the peak memory of a process."""
    if not _STATUS.exists():
        raise Skipped(f"no {_STATUS}, which reports peak memory")


def scheduler_cpu(client: Client) -> float:
    """Return the CPU time of the scheduler's process so far."""
    return _on_scheduler(client, time.process_time)


def _on_scheduler(client: Client, function: Callable[[], float]) -> float:
    return float(client.run_on_scheduler(function))
