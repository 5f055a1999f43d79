"""One build of a virtual library, measured: where its time goes, and what memory it needs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from distributed import Client

from benchmarks.measure import StageClock, same
from benchmarks.virtual import VirtualLibrary, spent
from mixjobs.builder.job import prepare
from mixjobs.builder.plan import Block
from mixjobs.builder.stages import run
from mixjobs.orders import Orders
from validation.real_data import Skipped

_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Built:
    """What one build took, in seconds unless said otherwise.

    Attributes
    ----------
    n_tasks, n_workers : int
    ready : float
        From the call until the first task can be submitted: checks, probe, plan, partial store.
    first : float
        From the call until a worker has begun the first task.
    reading : float
        Wall time of the reading stage, the making and submission of its tasks included.
    inside : float
        Wall time inside its tasks, as they measured it themselves, summed.
    inside_cpu : float
        The same, CPU time of their threads.
    after : float
        From the end of the reading stage until `build` returns, without the table stage.
    table : float
        Wall time of the table stage, from the last mean: it contains their check.
    job_cpu, scheduler_cpu : float
        CPU time, over the whole build, of the process that calls it, and of the scheduler.
    scheduler_peak, worker_peak : float
        The most memory so far, in MB: of the scheduler, and of the worker with most.
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
        """Seconds of the reading stage that a worker, on average, spends outside its tasks."""
        return self.reading - self.inside / self.n_workers

    @property
    def stood_still(self) -> float:
        """Seconds that a worker's tasks stood still because others had the core."""
        return (self.inside - self.inside_cpu) / self.n_workers

    @property
    def overhead_cpu(self) -> float:
        """CPU time of scheduler and job process together."""
        return self.job_cpu + self.scheduler_cpu


def built(
    client: Client,
    library: VirtualLibrary,
    orders: Orders,
    path: Path,
    block: Block | None = None,
    table: bool = False,
) -> Built:
    """Build a store, check its means, and return what that took."""
    client.run(spent)
    clock, scheduler = StageClock(), scheduler_cpu(client)
    begun, begun_cpu, begun_at = time.perf_counter(), time.process_time(), time.time()
    n_workers = len(client.ncores())
    job = prepare(library, orders, n_workers, block=block, table_dtype="float64" if table else None)
    store = run(job, path, client, overwrite=True, report=clock)
    ended, ended_cpu = time.perf_counter(), time.process_time()
    tasks = client.run(spent).values()
    same("scaling", store.mean_flux, library.means(orders), rtol=1e-12)
    writing = clock.last["flux_ratio"] - clock.last["mean_flux"] if table else 0.0
    return Built(
        n_tasks=job.plan.n_tasks,
        n_workers=n_workers,
        ready=clock.first["mean_flux"] - begun,
        first=min(task.first for task in tasks) - begun_at,
        reading=clock.last["mean_flux"] - clock.first["mean_flux"],
        inside=sum(task.wall for task in tasks),
        inside_cpu=sum(task.cpu for task in tasks),
        after=ended - clock.last["mean_flux"] - writing,
        table=writing,
        job_cpu=ended_cpu - begun_cpu,
        scheduler_cpu=scheduler_cpu(client) - scheduler,
        scheduler_peak=_on_scheduler(client, peak_memory),
        worker_peak=max(client.run(peak_memory).values()),
    )


def peak_memory() -> float:
    """The most memory that this process has held so far, in MB (10⁶ bytes)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
    return 1.024e-3 * float(found[1]) if found else float("nan")


def needs_linux() -> None:
    """Skip a benchmark where the system does not tell the most memory a process has held."""
    if not _STATUS.exists():
        raise Skipped(f"no {_STATUS}, which tells memory")


def scheduler_cpu(client: Client) -> float:
    """CPU time of the scheduler's process so far."""
    return _on_scheduler(client, time.process_time)


def _on_scheduler(client: Client, function: Callable[[], float]) -> float:
    return float(client.run_on_scheduler(function))
