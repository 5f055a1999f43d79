"""Stages of the emulator in one process: spectra in addition to means, then eigenspectra.

The pixels of the library are uniform in log wavelength, so no spline is needed. Its lines differ
from point to point, which is the slowest case: all eigenspectra are needed.
"""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import mixjobs
from benchmarks.libraries import write_library
from benchmarks.measure import Row, cpu_seconds, in_turn, interval, ratio, same
from mixjobs.builder import emulator as emulate
from mixjobs.builder.job import Job, prepare
from mixjobs.builder.plan import EmulatorPlan
from mixjobs.builder.segments import EmulatorSettings
from mixjobs.builder.tasks import (
    EmulatorTask,
    MeanTask,
    SpectraTask,
    compute_means,
    compute_spectra,
    decompose_order,
)
from mixjobs.model.emulator import decompose
from mixjobs.model.means import spans
from mixjobs.store.emulator import read_scratch
from mixjobs.store.format import create_group, open_array, write_whole
from mixjobs.typing import Floats

AIM_MEMORY = 3.0
ORDERS, WAVE_RANGE = 4, (7100.0, 8900.0)  # Å; the library extends further, for the margins
POINTS = 32  # per block


@dataclass(frozen=True, eq=False)
class Case:
    """A prepared job, whose tasks are called one by one, and its store."""

    job: Job
    emulator: EmulatorPlan
    group: Path

    @property
    def scratch(self) -> Path:
        """Path of the scratch array."""
        return self.group.parent / emulate.SCRATCH

    @property
    def mean_blocks(self) -> list[MeanTask]:
        """The blocks of the means."""
        plan, library = self.job.plan, self.job.library
        return [
            MeanTask(
                library.path, library.reader(range(points.start, points.stop)),
                plan.orders.number[rows], plan.lo[rows], plan.hi[rows], rows, points,
            )
            for rows, points in plan.blocks
        ]  # fmt: skip

    @property
    def order_blocks(self) -> list[EmulatorTask]:
        """The orders to decompose."""
        plan, wavelength = self.job.plan, self.job.library.wavelength
        return [
            EmulatorTask(
                "benchmark", self.group, self.scratch, m, segment.grid,
                wavelength[plan.lo[m] : plan.hi[m]], self.emulator.settings.accuracy,
            )
            for m, segment in enumerate(self.emulator.segments)
            if segment
        ]  # fmt: skip

    def read(self) -> None:
        """Read what the segments need once, as the pass over the spectra does."""
        segments = [segment for segment in self.emulator.segments if segment]
        pieces = spans([segment.lo for segment in segments], [segment.hi for segment in segments])
        for block in self.mean_blocks:
            for spectrum in block.reader:
                for start, stop, _ in pieces:
                    spectrum(start, stop)

    def means(self) -> Floats:
        """Compute the means: (orders, points)."""
        return np.hstack([compute_means(block) for block in self.mean_blocks])

    def spectra(self) -> Floats:
        """Compute the means, and write the spectra."""
        blocks = [
            SpectraTask(**vars(block), scratch=self.scratch, segments=self.emulator.segments)
            for block in self.mean_blocks
        ]
        return np.hstack([compute_spectra(block) for block in blocks])

    def components(self) -> None:
        """Decompose all orders."""
        for block in self.order_blocks:
            decompose_order(block)


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
            components=lambda: cpu_seconds(case.components),
        )
        size = f"{len(case.job.library.grid)} points x {n_pixels} px, {ORDERS} orders"
        return [*table(times, size), memory(case)]


def prepared(folder: Path, shape: tuple[int, int, int], n_pixels: int) -> Case:
    """Write the library, and create the store and the scratch array."""
    path = folder / "library.hdf5"
    write_library(path, shape, n_pixels)
    orders = mixjobs.Orders.log_spaced(ORDERS, *WAVE_RANGE)
    block = (ORDERS, POINTS)
    job = prepare(path, orders, block=block, table_dtype=None, emulator=EmulatorSettings())
    if job.emulator is None:
        raise RuntimeError("emulator: the job has none")
    case = Case(job, job.emulator, folder / "store")
    n = job.plan.hi - job.plan.lo
    create_group(case.group, job.library.grid, orders, n, job.attributes, None)
    emulate.create(case.group, job, job.emulator)
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
    block = case.order_blocks[0]
    number = int(case.job.orders.number[block.row])
    tracemalloc.start()
    spectra = read_scratch(case.scratch, number)
    decompose(spectra, block.grid, block.wavelength, block.accuracy)
    peak = tracemalloc.get_traced_memory()[1] / spectra.nbytes
    tracemalloc.stop()
    return Row(
        "peak memory of reading and decomposing an order / its matrix, float64",
        f"{peak:.2f} ({spectra.nbytes / 1e6:.3g} MB)",
        f"<= {AIM_MEMORY:g}",
        peak <= AIM_MEMORY,
    )
