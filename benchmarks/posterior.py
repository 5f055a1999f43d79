"""From a job file to 4000 effective samples: statistics, and pixels, on two workers.

A simulated star in the orders and pixels of LkCa 15's TRES spectrum, an emulator of ten
eigenspectra, two photospheres that share rotation and velocity, correlated noise of each order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import mixjobs
from benchmarks.cluster import workers
from benchmarks.fits import NOISE, observe
from benchmarks.measure import Row
from benchmarks.mixture_orders import Size, build_store
from benchmarks.sampling_step import TRUTH
from mixjobs.inference.job import load_free_log_probability
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.run import Run, fixed_at_optimum, stored_preparation
from mixjobs.inference.sampler import Ensembles
from mixjobs.observed.writer import write_spectrum
from validation.real_data import real_data

AIM, N_EFFECTIVE = 30.0, 4000.0
FULL, MAX_STEPS = Size(51, 1, 32, 4), 3000
SMALL, FEW_STEPS = Size(2, 16, 20, 2), 60
JOB = """
output = "{folder}/run"
store = "{folder}/store.zarr"
[[spectra]]
file = "{folder}/star.ecsv"
medium = "vacuum"
resolution = 44000
[sampling]
walkers = {walkers}
max_steps = {steps}
"""


def run(small: bool) -> Iterator[Row]:
    """Sample the star, and time some steps of the same chain from pixels."""
    size, steps = (SMALL, FEW_STEPS) if small else (FULL, MAX_STEPS)
    client = workers()
    with TemporaryDirectory(prefix="mixjobs-benchmark-") as name:
        folder = Path(name)
        write_star(folder, size)
        job = folder / "job.toml"
        job.write_text(JOB.format(folder=folder, walkers=size.walkers, steps=steps))
        start = time.perf_counter()
        sampled = mixjobs.sample(job, client, report=False)
        yield from rows(sampled, time.perf_counter() - start, size)


def write_star(folder: Path, size: Size) -> None:
    """Build the store, and simulate the star."""
    observed = mixjobs.open_spectrum(real_data("LkCa15-2013-10-12.hdf5"))
    build_store(observed, folder / "store.zarr", size.n_orders)
    numbers = observed.orders.number.tolist()[: size.n_orders]
    waves = {
        number: wave[:: size.thinning]
        for number, wave in zip(numbers, observed.wavelength, strict=False)
    }
    mixture = {name: value for name, value in TRUTH.items() if name not in NOISE}
    orders = observe(folder / "store.zarr", waves, mixture, Continuum(4))
    arrays = [(o.number, o.wavelength, o.flux, o.flux_error) for o in orders]
    write_spectrum(folder / "star.ecsv", arrays, {"medium": "vacuum"})


def rows(sampled: Run, elapsed: float, size: Size) -> Iterator[Row]:
    """Return the rows; the chain from pixels has the same autocorrelation times."""
    summary = sampled.summary()
    smallest = min(summary.effective_size.values())
    needed = summary.burn_in + (summary.n_steps - summary.burn_in) * N_EFFECTIVE / smallest
    step, exact = seconds_per_step(sampled, size)
    before = elapsed - step * summary.n_steps
    fast, slow = before + step * needed, before + exact * needed
    state = "converged" if summary.converged else f"not converged ({summary.shortfall})"
    yield Row(
        f"{len(summary.orders)} orders: job file to summary, {summary.n_steps} steps, {state}; "
        f"effective size {smallest:.0f} or more",
        f"{elapsed:.0f} s here",
    )
    gain = exact / step
    yield Row("a step of two ensembles: pixels / statistics", f"{gain:.3g}; {1e3 * step:.0f} ms")
    yield Row(
        f"time to {N_EFFECTIVE:.0f} effective samples, search included: pixels / statistics",
        f"{slow / fast:.3g}; {fast:.0f} s here",
        f">= {AIM:g}",
        slow >= AIM * fast,
    )


def seconds_per_step(sampled: Run, size: Size) -> tuple[float, float]:
    """Time steps of the chain from statistics and from pixels, in turn, on the same workers."""
    client = workers()
    free = load_free_log_probability(sampled.job, client)
    preparation = stored_preparation(sampled.folder, fixed_at_optimum(sampled.folder, free))
    assert preparation is not None
    last, bounds = sampled.folder.last_segment(), preparation.log_probability.parameters.bounds
    fast = Ensembles(preparation.target().total, bounds, last, client)
    slow = Ensembles(preparation.log_probability.total, bounds, last)
    times: dict[str, list[float]] = {"fast": [], "slow": []}
    for _ in range(size.rounds):
        for name, ensembles, n in (("fast", fast, 10), ("slow", slow, 1)):
            start = time.perf_counter()
            for _ in range(n):
                ensembles.step()
            times[name].append((time.perf_counter() - start) / n)
    return float(np.median(times["fast"][1:])), float(np.median(times["slow"][1:]))
