"""Reading stage of a build, against the minimum that two processes need for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
from distributed import Client

import mixjobs
from benchmarks.cluster import workers
from benchmarks.libraries import write_library
from benchmarks.measure import Row, StageClock, counted, in_turn, interval, ratio, same, seconds
from mixjobs.library import Library
from mixjobs.store.format import Store
from mixjobs.typing import Floats, Ints

AIM = 1.1


@dataclass(frozen=True, eq=False)
class Case:
    """A library, its orders, the cluster, and the number of points of the job with single pairs."""

    library: Library
    orders: mixjobs.Orders
    client: Client
    folder: Path
    keys: Sequence[str]
    n_single: int


def run(small: bool) -> list[Row]:
    """Measure the stage, the whole build, one process, and one task per pair."""
    shape, n_pixels, n_single, rounds = (
        ((3, 2, 2), 1024, 2, 1) if small else ((15, 5, 4), 65536, 12, 8)
    )
    with TemporaryDirectory(prefix="mixjobs-benchmark-") as folder:
        keys = write_library(Path(folder) / "library.hdf5", shape, n_pixels)
        library = mixjobs.open_library(Path(folder) / "library.hdf5")
        ends = library.wavelength[[0, -1]]
        orders = mixjobs.Orders.log_spaced(50, *ends)
        case = Case(library, orders, workers(), Path(folder), keys, n_single)
        whole: list[float] = []
        times = in_turn(
            rounds,
            limit=lambda: limit(case),
            stage=lambda: stage(case, whole),
            single=lambda: seconds(lambda: read_means(*task(case, slice(None)))),
            single_pairs=lambda: single_pairs(case),
        )
    return table(times, counted(whole), case)


def table(times: dict[str, Floats], whole: Floats, case: Case) -> list[Row]:
    """Return the rows of the table, from the seconds of every round."""
    n, m = len(case.library.grid), len(case.orders)
    size = f"{n} points x {len(case.library.wavelength)} px x {m} orders"
    stage_ratio = ratio(times["stage"], times["limit"])
    return [
        Row(
            f"reading stage / limit (two tasks, half of the library each); {size}",
            f"{stage_ratio:.2f} ({interval(times['stage'], times['limit'])})",
            f"<= {AIM}",
            stage_ratio <= AIM,
        ),
        Row("whole build without table / limit", f"{ratio(whole, times['limit']):.2f}"),
        Row("one plain h5py process / limit", f"{ratio(times['single'], times['limit']):.2f}"),
        Row(
            f"one task per pair (--block 1,1) / limit; run on {case.n_single} of the points, "
            f"scaled to {n * m} pairs",
            f"{ratio(times['single_pairs'] * n / case.n_single, times['limit']):.1f}",
        ),
    ]


def task(case: Case, rows: slice) -> tuple[str, Sequence[str], Ints, Ints]:
    """Return the arguments of `read_means` for some of the points."""
    lo, hi = case.orders.pixel_ranges(case.library.wavelength)
    return case.library.path, case.keys[rows], lo, hi


def read_means(path: str, keys: Sequence[str], lo: Ints, hi: Ints) -> Floats:
    """Open the file once, read every spectrum once and take all its means: (M, n)."""
    means = np.empty((len(lo), len(keys)))
    with h5py.File(path, "r", locking=False) as file:
        for i, key in enumerate(keys):
            flux = file["flux"][key][:].astype(np.float64)
            means[:, i] = [flux[a:b].mean() for a, b in zip(lo, hi, strict=True)]
    return means


def limit(case: Case) -> float:
    """Return the seconds of two tasks on the same cluster, each with half of the library."""
    half = len(case.keys) // 2
    start = time.perf_counter()
    futures = [
        case.client.submit(read_means, *task(case, rows), pure=False)
        for rows in (slice(half), slice(half, None))
    ]
    case.client.gather(futures)
    return time.perf_counter() - start


def stage(case: Case, whole: list[float]) -> float:
    """Return the seconds of the stage within a build; append those of the build to `whole`."""
    start = time.perf_counter()
    elapsed, store = build_means(case, case.library, None)
    whole.append(time.perf_counter() - start)
    same("reading", store.mean_flux, read_means(*task(case, slice(None))), rtol=0)
    return elapsed


def single_pairs(case: Case) -> float:
    """Return the seconds of the stage with one task per pair, on the first points."""
    elapsed, _ = build_means(case, case.library.take(range(case.n_single)), (1, 1))
    return elapsed


def build_means(case: Case, library: Library, block: tuple[int, int] | None) -> tuple[float, Store]:
    """Build only the means; return the seconds of the reading stage, and the store."""
    clock = StageClock()
    store = mixjobs.build(
        library, case.orders, case.folder / "store.zarr", case.client,
        table=False, block=block, overwrite=True, report=clock,
    )  # fmt: skip
    return clock.last["mean_flux"] - clock.first["mean_flux"], store
