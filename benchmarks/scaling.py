"""A job as large as the largest, from a library that costs nothing but its reading time.

By hand: it takes about ten minutes. docs/scaling.md has the measurements and what follows.
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
from mixjobs.builder.plan import Block
from mixjobs.typing import Floats

FIRST, PEAK, IDLE, SHARE = 1.0, 200.0, 5.0, 3.0  # the aims: s, MB, s, % of the wall time


@dataclass(frozen=True)
class Size:
    """How much is measured.

    `seconds` is what a spectrum costs, `spinning` what a process spins, and `settling` what is
    waited after a build, whose results the workers are still giving up.
    """

    shape: tuple[int, int, int]
    n_orders: int
    seconds: float
    n_strong: int
    n_literal: int
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
        self, library: VirtualLibrary, block: Block | None = None, client: Client | None = None
    ) -> Built:
        """Build the means of a library."""
        time.sleep(self.size.settling)
        return built(client or self.client, library, self.orders, self.folder / "store.zarr", block)


def run(small: bool) -> Iterator[Row]:
    """Measure the whole job with and without cost, its table, more workers, and literal tasks."""
    needs_linux()
    size = SMALL if small else FULL
    orders = mixjobs.Orders.log_spaced(size.n_orders, *wavelengths()[[0, -1]])
    costly, free = (VirtualLibrary.of_shape(size.shape, cost) for cost in (size.seconds, 0.0))
    with (
        TemporaryDirectory(prefix="mixjobs-benchmark-") as folder,
        scheduler_apart(WORKERS) as client,
    ):
        case = Case(size, client, Path(folder), orders, costly, free)
        case.built(free)  # what runs for the first time is slower
        yield from whole(case, free, "no cost", size.rounds)
        yield from whole(case, costly, f"{1e3 * size.seconds:g} ms a spectrum", 1)
        yield from rate(case)
        yield from strong(case)
        yield from literal(case)
        yield from table(case)


def whole(case: Case, library: VirtualLibrary, cost: str, builds: int) -> list[Row]:
    """Rows about the means of all points, from so many builds."""
    found = [case.built(library) for _ in range(builds)]
    size = f"{len(library.grid)} points x {len(case.orders)} orders, {found[0].n_tasks} tasks"
    rows = [
        Row(f"wall time of the reading stage; {size}", each([b.reading for b in found])),
        aimed("until the first task can be submitted", [b.ready for b in found], FIRST),
        Row("until the first task runs", each([b.first for b in found])),
        Row(
            "CPU time of the job's process / of the scheduler",
            f"{each([b.job_cpu for b in found])} / {each([b.scheduler_cpu for b in found])}",
        ),
        aimed("peak memory of the scheduler", [found[-1].scheduler_peak], PEAK, "MB"),
        *not_computing(found, bool(library.seconds)),
        Row("from the last mean to the finished store", each([b.after for b in found])),
    ]
    return [replace(row, what=f"{cost}: {row.what}") for row in rows]


def not_computing(builds: list[Built], costly: bool) -> list[Row]:
    """Rows about the part of the reading stage in which nothing is read."""
    idle = [build.idle for build in builds]
    charged = [build.idle + build.overhead_cpu / build.n_workers for build in builds]
    share = [100 * build.idle / build.reading for build in builds]
    return [
        aimed("not computing: wall time - wall time inside tasks / workers", idle, IDLE),
        *([aimed("the same, share of the wall time", share, SHARE, "%")] if costly else []),
        Row("the same, with the CPU time of job and scheduler / workers", each(charged)),
        Row("tasks stood still for others, a worker", each([b.stood_still for b in builds])),
    ]


def rate(case: Case) -> list[Row]:
    """Rows about what a task costs that does next to nothing: one point, all orders."""
    few = case.free.take(range(0, len(case.free.grid), 2))
    builds = [case.built(few, (len(case.orders), 1)) for _ in range(case.size.rounds)]
    n = builds[0].n_tasks
    what = f"{n} tasks of one point, no cost:"
    return [
        Row(f"{what} tasks a second", each([n / b.reading for b in builds], "")),
        Row(
            f"{what} CPU time a task, job's process / scheduler",
            f"{each([1e3 * b.job_cpu / n for b in builds], 'ms')} / "
            f"{each([1e3 * b.scheduler_cpu / n for b in builds], 'ms')}",
        ),
    ]


def strong(case: Case) -> list[Row]:
    """Rows about one and two workers, and one and two processes that only spin, in turn."""
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
            "two processes that spin, one after the other / at once: the machine's limit",
            f"{ratio(times['after'], times['at_once']):.2f} "
            f"({interval(times['after'], times['at_once'])})",
        ),
    ]


def spin_in(pool: ProcessPoolExecutor, costs: Sequence[float]) -> float:
    """Seconds until processes have spun for so long each."""
    return seconds(lambda: wait([pool.submit(spin, cost) for cost in costs]))


def literal(case: Case) -> list[Row]:
    """Rows about one task a unit, on a few of the points, scaled to all."""
    rows = []
    for library, cost, n in (
        (case.costly, f"{1e3 * case.size.seconds:g} ms", case.size.n_literal),
        (case.free, "no cost", 8 * case.size.n_literal),
    ):
        some = library.take(range(n))
        build = case.built(some, (1, 1))
        scaled = build.reading * len(library.grid) / n
        rows.append(
            Row(
                f"{cost}: one task a unit; run on {n} points ({build.n_tasks} tasks), "
                f"scaled to {len(library.grid) * len(case.orders)} units",
                f"{scaled:,.0f} s",
            )
        )
    return rows


def table(case: Case) -> list[Row]:
    """Rows about the table of two of the orders, all points, beside one process's np.save."""
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
        Row("np.save of as many bytes by one process", each(counted(saves))),
        Row("files and bytes of these tables", f"{len(files)} files, {size / 1e6:,.0f} MB"),
        Row("peak memory of a worker", f"{results[-1].worker_peak:.0f} MB"),
        aimed("peak memory of the scheduler, at the end", [results[-1].scheduler_peak], PEAK, "MB"),
    ]


def save(path: Path, values: Floats) -> float:
    """Seconds of one process's np.save."""
    os.sync()
    return seconds(lambda: np.save(path, values))


def aimed(what: str, values: list[float], aim: float, unit: str = "s") -> Row:
    """A row of values whose median must be below an aim."""
    return Row(what, each(values, unit), f"< {aim:g} {unit}", float(np.median(values)) < aim)


def each(values: Sequence[float] | Floats, unit: str = "s") -> str:
    """The median of some values, and in brackets the smallest and the largest."""
    spread = f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else ""
    return f"{np.median(values):.3g}{spread} {unit}".strip()
