"""Scaling of a very large job, from a library that costs only its reading time.

It takes about ten minutes, and runs only if named. docs/scaling.md discusses the results.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from distributed import Client

import mixjobs
from benchmarks.cluster import WORKERS, scheduler_apart
from benchmarks.jobs import Built, built, needs_linux
from benchmarks.measure import Row, counted, in_turn, interval, ratio, seconds
from benchmarks.virtual import PHOENIX_SECONDS, VirtualLibrary, spin, wavelengths
from mixjobs.builder.plan import BlockShape
from mixjobs.typing import Floats

FIRST, PEAK, IDLE, FRACTION = 1.0, 200.0, 5.0, 3.0  # goals: s, MB, s, % of the wall time


@dataclass(frozen=True)
class Size:
    """Size of the benchmark.

    A spectrum costs `seconds`, and a process spins for `spinning` seconds. `settling` is the pause
    after a build, in which the workers release its results.
    """

    shape: tuple[int, int, int]
    n_orders: int
    seconds: float
    n_strong: int
    n_single: int
    spinning: float
    settling: float
    rounds: int


FULL = Size((75, 10, 10), 54, PHOENIX_SECONDS, 600, 12, 8.0, 1.0, 3)
SMALL = Size((3, 3, 3), 2, 0.001, 20, 2, 0.05, 0.0, 1)


@dataclass(frozen=True, eq=False)
class Case:
    """The libraries with and without cost, the orders, and the cluster."""

    size: Size
    client: Client
    folder: Path
    orders: mixjobs.Orders
    costly: VirtualLibrary
    free: VirtualLibrary

    def built(
        self, library: VirtualLibrary, block: BlockShape | None = None, client: Client | None = None
    ) -> Built:
        """Build the means of a library."""
        time.sleep(self.size.settling)
        return built(client or self.client, library, self.orders, self.folder / "store.zarr", block)


def run(small: bool) -> Iterator[Row]:
    """Measure the job with and without cost, its table, more workers, and one task per pair."""
    needs_linux()
    size = SMALL if small else FULL
    orders = mixjobs.Orders.log_spaced(size.n_orders, *wavelengths()[[0, -1]])
    costly, free = (VirtualLibrary.of_shape(size.shape, cost) for cost in (size.seconds, 0.0))
    with (
        TemporaryDirectory(prefix="mixjobs-benchmark-") as folder,
        scheduler_apart(WORKERS) as client,
    ):
        case = Case(size, client, Path(folder), orders, costly, free)
        case.built(free)  # a first run is slower
        yield from whole(case, free, "no cost", size.rounds)
        yield from whole(case, costly, f"{1e3 * size.seconds:g} ms a spectrum", 1)
        yield from rate(case)
        yield from strong(case)
        yield from single_pairs(case)
        yield from table(case)


def whole(case: Case, library: VirtualLibrary, cost: str, builds: int) -> list[Row]:
    """Return the rows about the means of all points, from several builds."""
    results = [case.built(library) for _ in range(builds)]
    size = f"{len(library.grid)} points x {len(case.orders)} orders, {results[0].n_tasks} tasks"
    rows = [
        Row(f"wall time of the reading stage; {size}", each([b.reading for b in results])),
        aimed("until the first task can be submitted", [b.ready for b in results], FIRST),
        Row("until the first task runs", each([b.first for b in results])),
        Row(
            "CPU time of the job's process / of the scheduler",
            f"{each([b.job_cpu for b in results])} / {each([b.scheduler_cpu for b in results])}",
        ),
        aimed("peak memory of the scheduler", [results[-1].scheduler_peak], PEAK, "MB"),
        *idle_rows(results, bool(library.seconds)),
        Row("from the last mean to the finished store", each([b.after for b in results])),
    ]
    return [replace(row, what=f"{cost}: {row.what}") for row in rows]


def idle_rows(builds: list[Built], costly: bool) -> list[Row]:
    """Return the rows about the part of the reading stage in which nothing is read."""
    idle = [build.idle for build in builds]
    charged = [build.idle + build.overhead_cpu / build.n_workers for build in builds]
    fraction = [100 * build.idle / build.reading for build in builds]
    return [
        aimed("idle: wall time - wall time inside tasks / workers", idle, IDLE),
        *(
            [aimed("the same, fraction of the wall time", fraction, FRACTION, "%")]
            if costly
            else []
        ),
        Row("the same, with the CPU time of job and scheduler / workers", each(charged)),
        Row("tasks waited for other processes, per worker", each([b.waiting for b in builds])),
    ]


def rate(case: Case) -> list[Row]:
    """Return the rows about the cost of a minimal task: one point, all orders."""
    few = case.free.take(range(0, len(case.free.grid), 2))
    builds = [case.built(few, (len(case.orders), 1)) for _ in range(case.size.rounds)]
    n = builds[0].n_tasks
    what = f"{n} tasks of one point, no cost:"
    return [
        Row(f"{what} tasks per second", each([n / b.reading for b in builds], "")),
        Row(
            f"{what} CPU time per task, job's process / scheduler",
            f"{each([1e3 * b.job_cpu / n for b in builds], 'ms')} / "
            f"{each([1e3 * b.scheduler_cpu / n for b in builds], 'ms')}",
        ),
    ]


def strong(case: Case) -> list[Row]:
    """Return the rows about one and two workers, and one and two processes that only spin."""
    some = case.costly.take(range(case.size.n_strong))
    with scheduler_apart(1) as single, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        spin_in(pool, [0.01, 0.01])
        case.built(some.take(range(20)), client=single)
        times = in_turn(
            case.size.rounds,
            one=lambda: case.built(some, client=single).reading,
            two=lambda: case.built(some).reading,
            after=lambda: sum(spin_in(pool, [case.size.spinning]) for _ in range(2)),
            at_once=lambda: spin_in(pool, [case.size.spinning] * 2),
        )
    return [
        Row(
            f"1 worker / {WORKERS} workers, reading stage; {len(some.grid)} points",
            f"{ratio(times['one'], times['two']):.2f} ({interval(times['one'], times['two'])})",
        ),
        Row(
            "two processes that spin, one after the other / together: the machine's limit",
            f"{ratio(times['after'], times['at_once']):.2f} "
            f"({interval(times['after'], times['at_once'])})",
        ),
    ]


def spin_in(pool: ProcessPoolExecutor, costs: Sequence[float]) -> float:
    """Return the seconds until every process has spun for its time."""
    return seconds(lambda: wait([pool.submit(spin, cost) for cost in costs]))


def single_pairs(case: Case) -> list[Row]:
    """Return the rows about one task per pair, on a few points, scaled to all."""
    rows = []
    for library, cost, n in (
        (case.costly, f"{1e3 * case.size.seconds:g} ms", case.size.n_single),
        (case.free, "no cost", 8 * case.size.n_single),
    ):
        some = library.take(range(n))
        build = case.built(some, (1, 1))
        scaled = build.reading * len(library.grid) / n
        rows.append(
            Row(
                f"{cost}: one task per pair; run on {n} points ({build.n_tasks} tasks), "
                f"scaled to {len(library.grid) * len(case.orders)} pairs",
                f"{scaled:,.0f} s",
            )
        )
    return rows


def table(case: Case) -> list[Row]:
    """Return the rows about the table of two orders, compared with np.save in one process."""
    orders = case.orders.take([0, len(case.orders) // 2])
    path, saved = case.folder / "table.zarr", case.folder / "table.npy"
    results: list[Built] = []
    saves: list[float] = []
    for _ in range(case.size.rounds):
        time.sleep(case.size.settling)
        shutil.rmtree(path, ignore_errors=True)
        saved.unlink(missing_ok=True)
        os.sync()
        results.append(built(case.client, case.free, orders, path, table=True))
        saves.append(save(saved, mixjobs.open_store(path).flux_ratio[...]))
    files = [file for file in (path / "flux_ratio" / "c").rglob("*") if file.is_file()]
    n, stage = len(case.free.grid), counted([result.table for result in results])
    size = sum(file.stat().st_size for file in files)
    return [
        Row(f"table stage, 2 orders x {n} x {n}, check of the means included", each(stage)),
        Row("np.save of the same number of bytes by one process", each(counted(saves))),
        Row("files and bytes of these tables", f"{len(files)} files, {size / 1e6:,.0f} MB"),
        Row("peak memory of a worker", f"{results[-1].worker_peak:.0f} MB"),
        aimed("peak memory of the scheduler, at the end", [results[-1].scheduler_peak], PEAK, "MB"),
    ]


def save(path: Path, values: Floats) -> float:
    """Return the seconds of np.save in one process."""
    os.sync()
    return seconds(lambda: np.save(path, values))


def aimed(what: str, values: list[float], aim: float, unit: str = "s") -> Row:
    """Return a row of values whose median has an upper goal."""
    return Row(what, each(values, unit), f"< {aim:g} {unit}", float(np.median(values)) < aim)


def each(values: Sequence[float] | Floats, unit: str = "s") -> str:
    """Write the median of values, and in brackets the smallest and the largest."""
    limits = f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else ""
    return f"{np.median(values):.3g}{limits} {unit}".strip()
