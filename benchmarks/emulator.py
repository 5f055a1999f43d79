"""Stages of the emulator in one process: spectra in addition to means, then eigenspectra.

The pixels of the library are uniform in log wavelength, so no spline is needed. Its lines differ
from point to point, which is the slowest case: all eigenspectra are needed.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import mixjobs
from benchmarks.libraries import write_library
from benchmarks.measure import Row, cpu_seconds, in_turn, interval, ratio, same
from mixjobs.builder.emulator import EmulatorPlan
from mixjobs.builder.plan import BuildPlan, blocks, plan_build
from mixjobs.builder.stages import SCRATCH, create, emulator_tasks, mean_task
from mixjobs.builder.tasks import (
    EmulatorTask,
    MeanTask,
    compute_means,
    compute_spectra,
    decompose_order,
)
from mixjobs.model.emulator import decompose
from mixjobs.model.means import spans
from mixjobs.store.emulator import read_scratch
from mixjobs.store.format import open_array, write_whole
from mixjobs.typing import Floats

AIM_MEMORY = 3.0
ORDERS, WAVE_RANGE = 4, (7100.0, 8900.0)  # Å; the library extends further, for the margins
POINTS = 32  # per block


@dataclass(frozen=True, eq=False)
class Case:
    """A planned build, whose tasks are called one by one, and its store."""

    plan: BuildPlan
    emulator: EmulatorPlan
    group: Path

    @property
    def scratch(self) -> Path:
        """Path of the scratch array."""
        return self.group.parent / SCRATCH

    def tasks(self, plan: BuildPlan) -> list[Any]:
        """Return the tasks of the mean fluxes."""
        shape = len(plan.orders), plan.n_points, plan.block
        return [mean_task(plan, self.scratch, *block) for block in blocks(*shape)]

    @property
    def mean_tasks(self) -> list[MeanTask]:
        """The tasks that compute only the means."""
        return self.tasks(replace(self.plan, emulator=None))

    @property
    def order_tasks(self) -> list[EmulatorTask]:
        """The tasks that decompose the orders."""
        return emulator_tasks(self.plan, self.emulator, self.group, self.scratch)

    def read(self) -> None:
        """Read what the segments need once, as the pass over the spectra does."""
        segments = [segment for segment in self.emulator.segments if segment]
        pieces = spans([s.lo for s in segments], [s.hi for s in segments])
        for task in self.mean_tasks:
            for spectrum in task.reader:
                for start, stop, _ in pieces:
                    spectrum(start, stop)

    def means(self) -> Floats:
        """Compute the means: (orders, points)."""
        return np.hstack([compute_means(task) for task in self.mean_tasks])

    def spectra(self) -> Floats:
        """Compute the means, and write the spectra."""
        return np.hstack([compute_spectra(task) for task in self.tasks(self.plan)])

    def eigenspectra(self) -> None:
        """Decompose all orders."""
        for task in self.order_tasks:
            decompose_order(task)


def run(small: bool) -> list[Row]:
    """Measure the two passes over the library, the decompositions, and their memory."""
    shape, n_pixels, rounds = ((4, 3, 3), 2048, 1) if small else ((16, 8, 4), 32_768, 4)
    with TemporaryDirectory(prefix="mixjobs-benchmark-") as folder:
        case = prepared(Path(folder), shape, n_pixels)
        means = case.means()
        same("emulator, means", case.spectra(), means, rtol=0)
        write_whole(open_array(case.group, "mean_flux"), (0, 0), means)
        times = in_turn(
            rounds,
            read=lambda: cpu_seconds(case.read),
            means=lambda: cpu_seconds(case.means),
            spectra=lambda: cpu_seconds(case.spectra),
            components=lambda: cpu_seconds(case.eigenspectra),
        )
        size = f"{len(case.plan.library.grid)} points x {n_pixels} px, {ORDERS} orders"
        return [*table(times, size), memory(case)]


def prepared(folder: Path, shape: tuple[int, int, int], n_pixels: int) -> Case:
    """Write the library, and create the store and the scratch array."""
    path = folder / "library.hdf5"
    write_library(path, shape, n_pixels)
    orders = mixjobs.Orders.log_spaced(ORDERS, *WAVE_RANGE)
    plan = plan_build(path, orders, block=(ORDERS, POINTS), table_dtype=None, emulator=True)
    if plan.emulator is None:
        raise RuntimeError("emulator: the build has none")
    case = Case(plan, plan.emulator, folder / "store")
    create(case.group, plan)
    return case


def table(times: dict[str, Floats], size: str) -> list[Row]:
    """Return the rows about time."""
    read, means, spectra, components = (
        times[name] for name in ("read", "means", "spectra", "components")
    )
    whole = spectra + components
    return [
        Row(
            f"pass that also writes the spectra / pass of the means only; {size}",
            f"{ratio(spectra, means):.2f} ({interval(spectra, means)})",
        ),
        Row(
            "decomposing an order, from scratch array to store / reading its part of the library",
            f"{ratio(components, read):.1f} ({interval(components, read)}; "
            f"{float(np.median(components)) / ORDERS:.2g} s here)",
        ),
        Row(
            "reading the library: fraction of the pass with the spectra and all decompositions",
            f"{100 * ratio(read, whole):.1f} % ({interval(100 * read, whole)})",
        ),
    ]


def memory(case: Case) -> Row:
    """Return the row about the memory that decomposing an order needs."""
    task = case.order_tasks[0]
    number = int(case.plan.orders.number[task.order_index])
    tracemalloc.start()
    spectra = read_scratch(case.scratch, number)
    decompose(spectra, task.grid, task.wavelength, task.settings)
    peak = tracemalloc.get_traced_memory()[1] / spectra.nbytes
    tracemalloc.stop()
    return Row(
        "peak memory of reading and decomposing an order / its matrix, float64",
        f"{peak:.2f} ({spectra.nbytes / 1e6:.3g} MB)",
        f"<= {AIM_MEMORY:g}",
        peak <= AIM_MEMORY,
    )
