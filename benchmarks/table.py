"""Writing of the ratio table from two workers, against one process that saves the same bytes."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import zarr
from distributed import Client

import mixjobs
from benchmarks.cluster import WORKERS, workers
from benchmarks.libraries import write_library
from benchmarks.measure import Row, StageClock, counted, in_turn, interval, ratio, same, seconds
from mixjobs.library import Library
from mixjobs.store.checksums import CODECS
from mixjobs.store.format import WRITE_ALL, rows_per_zarr_chunk
from mixjobs.typing import Floats

AIM = 1.0


@dataclass(eq=False)
class Case:
    """A library, its orders, the cluster, and the seconds until the bytes are on disk."""

    library: Library
    orders: mixjobs.Orders
    client: Client
    folder: Path
    on_disk: dict[str, list[float]] = field(default_factory=lambda: {"save": [], "stage": []})

    @property
    def store(self) -> Path:
        """Path of the store."""
        return self.folder / "store.zarr"


def run(small: bool) -> list[Row]:
    """Measure writing, with and without waiting for the disk, and reading."""
    shape, n_orders, rounds = ((4, 3, 3), 3, 1) if small else ((10, 10, 10), 20, 8)
    with TemporaryDirectory(prefix="mixjobs-benchmark-") as folder:
        write_library(Path(folder) / "library.hdf5", shape, 512)
        library = mixjobs.open_library(Path(folder) / "library.hdf5")
        orders = mixjobs.Orders.log_spaced(n_orders, *library.wavelength[[0, -1]])
        case = Case(library, orders, workers(), Path(folder))
        build(case, StageClock())
        values = mixjobs.open_store(case.store).flux_ratio[...]
        times = in_turn(rounds, save=lambda: save(case, values), stage=lambda: stage(case))
        on_disk = {name: counted(each) for name, each in case.on_disk.items()}
        rows = [*writing(times, on_disk, case, values), *reading_back(case, values, rounds)]
        return [*rows, checksums(case, values, rounds)]


def writing(
    times: dict[str, Floats], on_disk: dict[str, Floats], case: Case, values: Floats
) -> list[Row]:
    """Return the rows about writing."""
    speed = ratio(times["save"], times["stage"])
    on_disk_speed = ratio(on_disk["save"], on_disk["stage"])
    files = [file for file in (case.store / "flux_ratio" / "c").rglob("*") if file.is_file()]
    size = " x ".join(map(str, values.shape))
    return [
        Row(
            f"speed of the table stage ({WORKERS} workers) / np.save, to the page cache; {size}",
            f"{speed:.2f} ({interval(times['save'], times['stage'])})",
            f">= {AIM:g}",
            speed >= AIM,
        ),
        Row(
            "the same, both synced to the disk (fsync of every file)",
            f"{on_disk_speed:.2f} ({interval(on_disk['save'], on_disk['stage'])})",
            f">= {AIM:g}",
            on_disk_speed >= AIM,
        ),
        Row("files of the table", f"{len(files)}", "few"),
    ]


def save(case: Case, values: Floats) -> float:
    """Return the seconds of np.save in one process."""
    path = case.folder / "table.npy"
    path.unlink(missing_ok=True)
    os.sync()
    elapsed = seconds(lambda: np.save(path, values))
    case.on_disk["save"].append(elapsed + seconds(lambda: to_disk(path)))
    return elapsed


def stage(case: Case) -> float:
    """Return the seconds of the table stage within a build: last mean to last block."""
    shutil.rmtree(case.store, ignore_errors=True)
    synced: list[float] = []

    def after(name: str) -> None:
        if name == "mean_flux":
            os.sync()
            clock.last[name] = time.perf_counter()
        elif name == "flux_ratio":
            table = case.folder / "store.zarr.partial" / "store" / "flux_ratio" / "c"
            synced.append(seconds(lambda: to_disk(*table.rglob("*"))))

    clock = StageClock(after)
    build(case, clock)
    elapsed = clock.last["flux_ratio"] - clock.last["mean_flux"]
    case.on_disk["stage"].append(elapsed + synced[0])
    return elapsed


def build(case: Case, clock: StageClock) -> None:
    """Build the store with its table."""
    mixjobs.build(case.library, case.orders, case.store, case.client, overwrite=True, report=clock)


def to_disk(*paths: Path) -> None:
    """Wait until files and folders are on disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def reading_back(case: Case, values: Floats, rounds: int) -> list[Row]:
    """Return the rows about reading one order and one row, against a memory-mapped file."""
    m, i = values.shape[0] // 2, values.shape[1] // 3
    table = mixjobs.open_store(case.store).flux_ratio
    saved = np.load(case.folder / "table.npy", mmap_mode="r")
    same("table", table[m], values[m], rtol=0)
    same("table", table[m, i], values[m, i], rtol=0)
    times = in_turn(
        3 * rounds,
        order=lambda: seconds(lambda: table[m], 5),
        order_saved=lambda: seconds(lambda: np.array(saved[m]), 5),
        row=lambda: seconds(lambda: table[m, i], 5),
        row_saved=lambda: seconds(lambda: np.array(saved[m, i]), 5),
    )
    return [
        Row(
            f"reading back one {name} / the same from the .npy file, mapped into memory",
            f"{ratio(times[name], times[f'{name}_saved']):.1f} "
            f"({1e3 * float(np.median(times[name])):.1f} ms here)",
        )
        for name in ("order", "row")
    ]


def checksums(case: Case, values: Floats, rounds: int) -> Row:
    """Return the row about writing and reading the table's array with and without CRC-32C."""
    chunks = (1, rows_per_zarr_chunk(values.shape[1], "float64"), values.shape[2])

    def write_and_read(name: str, compressors: object) -> float:
        path = case.folder / name
        shutil.rmtree(path, ignore_errors=True)
        array = zarr.create_array(
            path, shape=values.shape, chunks=chunks, dtype="float64", config=WRITE_ALL,
            compressors=compressors, fill_value=np.nan,
        )  # fmt: skip
        elapsed = seconds(lambda: array.__setitem__(..., values))
        start = time.perf_counter()
        read = array[...]
        elapsed += time.perf_counter() - start
        same("checksums", read, values, rtol=0)
        return elapsed

    times = in_turn(
        rounds,
        checked=lambda: write_and_read("checked", CODECS),
        plain=lambda: write_and_read("plain", None),
    )
    sides = times["checked"], times["plain"]
    measured = f"{ratio(*sides):.2f} ({interval(*sides)})"
    return Row("time to write and read the table with CRC-32C / without", measured)
