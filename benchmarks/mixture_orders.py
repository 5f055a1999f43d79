"""Mixtures in 51 orders for 40 walkers, distributed over worker processes as for a sampler.

Orders and pixels of LkCa 15's TRES spectrum, an emulator of ten eigenspectra, two photospheres that
share rotation and velocity. Every process uses one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import mixjobs
from benchmarks import fits
from benchmarks.cluster import WORKERS, workers
from benchmarks.measure import Row, cpu_seconds, in_turn, interval, ratio, same, seconds
from mixjobs.builder.emulator import EmulatorSettings
from mixjobs.cluster import connect
from mixjobs.config.cluster import ClusterConfig
from mixjobs.inference.distributed import Build, distribute
from mixjobs.model.mixture import MixtureModel
from mixjobs.observed.spectrum import ObservedSpectrum
from mixjobs.typing import Floats
from validation.real_data import real_data

AIM_WORKERS, AIM_GROWTH = 1.7, 1.15
AXES = {"teff": (3600.0, 4200.0, 4800.0), "logg": (4.0, 5.0), "feh": (-0.5, 0.5)}
SETTINGS = EmulatorSettings(max_rv=100, max_vsini=60, min_resolution=20_000, rank=10)
RESOLUTION = 44_000.0  # of TRES
GROWTH = 3  # factor in the number of orders, for the growth

Evaluator = Callable[[Floats], Sequence[Floats]]
Evaluate = Callable[[Floats], list[Floats]]
Partitions = Sequence[Sequence[int]]
Processes = Callable[[Build[Floats], Partitions, Floats], list[Floats]]


@dataclass(frozen=True)
class Size:
    """Size of the benchmark; every `thinning`-th pixel of the data is used."""

    n_orders: int
    thinning: int
    walkers: int
    rounds: int


FULL = Size(51, 1, 40, 12)
SMALL = Size(6, 8, 20, 1)


@dataclass(frozen=True)
class Paths:
    """Files that every process reads: the store with the emulator, and the data."""

    store: Path
    data: Path
    thinning: int


@cache
def model(paths: Paths, partition: tuple[int, ...]) -> MixtureModel:
    """Load the mixture of some orders, once per process."""
    pixels = mixjobs.open_spectrum(paths.data).wavelength
    wavelengths = {m: pixels[m][:: paths.thinning] for m in partition}
    return mixjobs.load_mixture(
        paths.store, orders=partition, wavelengths=wavelengths, medium="vacuum",
        resolution=RESOLUTION,
    )  # fmt: skip


def whole(paths: Paths, partition: Sequence[int]) -> Evaluator:
    """Return an evaluator of spectra: (walkers, n_pixels) per order."""
    return model(paths, tuple(partition))


def reduced(paths: Paths, partition: Sequence[int]) -> Evaluator:
    """Return an evaluator of one number per walker, as a likelihood: (walkers,)."""
    mixture = model(paths, tuple(partition))

    def evaluate(values: Floats) -> list[Floats]:
        results = [np.empty(len(values)) for _ in partition]
        for block in mixture.stream(values):
            results[block.order_index][block.samples] = np.square(block.flux - 1).sum(axis=1)
        return results

    return evaluate


def evaluate_in(build: Build[Floats], partition: Sequence[int], values: Floats) -> Sequence[Floats]:
    """Evaluate some orders, in a process that does not belong to Dask."""
    return build(partition)(values)


def run(small: bool) -> Iterator[Row]:
    """Measure one process, then workers and independent processes in turn."""
    size = SMALL if small else FULL
    data = real_data("LkCa15-2013-10-12.hdf5")
    with TemporaryDirectory(prefix="mixjobs-benchmark-") as folder:
        paths = Paths(Path(folder) / "store.zarr", data, size.thinning)
        build_store(mixjobs.open_spectrum(data), paths.store, size.n_orders)
        values = parameters(size.walkers)
        yield from alone(paths, values, size)
        yield from together(paths, values, size)


def build_store(observed: ObservedSpectrum, path: Path, n_orders: int) -> None:
    """Build the emulator of the first orders from a demo library that covers their margins."""
    fits.build_store(AXES, observed.orders.take(range(n_orders)), SETTINGS, path)


def parameters(n: int) -> Floats:
    """Draw n walkers: teff_1, teff_2, logg, feh, vsini, rv, c."""
    low = np.array([3600, 3600, 4.0, -0.5, 5.0, -50.0, 0.0])
    high = np.array([4800, 4800, 5.0, 0.5, 50.0, 50.0, 0.6])
    params: Floats = low + (high - low) * np.random.default_rng(1).random((n, 7))
    return params


def alone(paths: Paths, values: Floats, size: Size) -> list[Row]:
    """Return the rows about one process: time per spectrum, and growth with the orders."""
    every, few = range(size.n_orders), range(0, size.n_orders, GROWTH)
    large, small = whole(paths, every), whole(paths, few)
    for ours, theirs in zip(large(values)[::GROWTH], small(values), strict=True):
        same("mixture_orders", ours, theirs, rtol=0)
    times = in_turn(
        size.rounds,
        large=lambda: cpu_seconds(lambda: large(values)),
        small=lambda: cpu_seconds(lambda: small(values), GROWTH),
    )
    per_order = len(few) / size.n_orders
    growth = per_order * ratio(times["large"], times["small"])
    each = 1e3 * float(np.median(times["large"])) / (size.n_orders * size.walkers)
    n_pixels = len(model(paths, tuple(every)).wavelength[0])
    return [
        Row(
            f"one process, time per spectrum; {size.n_orders} orders x {n_pixels} px, "
            f"{size.walkers} walkers, 2 components",
            f"{each:.3f} ms",
        ),
        Row(
            f"growth with the orders, {len(few)} to {size.n_orders}: "
            "ratio of CPU times / ratio of orders",
            f"{growth:.3f} ({interval(per_order * times['large'], times['small'])})",
            f"<= {AIM_GROWTH:g}",
            growth <= AIM_GROWTH,
        ),
    ]


def together(paths: Paths, values: Floats, size: Size) -> list[Row]:
    """Return the rows about one and two workers, and one and two processes without Dask."""
    every = range(size.n_orders)
    halves = every[: len(every) // 2], every[len(every) // 2 :]
    numbers, spectra = partial(reduced, paths), partial(whole, paths)
    double = workers()  # entered first, because they end last
    with connect(ClusterConfig(workers=1)) as single, independent(WORKERS) as processes:
        sides: dict[str, Evaluate] = {
            "one": distribute(single, numbers, every),
            "two": distribute(double, numbers, every),
            "one_whole": distribute(single, spectra, every),
            "two_whole": distribute(double, spectra, every),
            "two_processes": partial(processes, numbers, halves),
            "one_process": partial(processes, numbers, [every]),
        }
        check(sides, paths, values, every)
        times = in_turn(size.rounds, **{name: timed(sides[name], values) for name in sides})
    n_bytes = sum(spectra.nbytes for spectra in whole(paths, every)(values))
    return gains(times, f"{n_bytes / 1e6:.2g} MB per call")


@contextmanager
def independent(n: int) -> Iterator[Processes]:
    """Yield a function that evaluates up to n partitions at once, each in its own process."""
    with ExitStack() as stack:
        pools = [
            stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for _ in range(n)
        ]

        def evaluate(build: Build[Floats], partitions: Partitions, values: Floats) -> list[Floats]:
            calls = [
                pool.submit(evaluate_in, build, partition, values)
                for pool, partition in zip(pools, partitions, strict=False)
            ]
            return [result for call in calls for result in call.result()]

        yield evaluate


def check(
    sides: Mapping[str, Evaluate], paths: Paths, values: Floats, every: Sequence[int]
) -> None:
    """Stop if another process gives other values than this one, to the last bit."""
    expected = {True: whole(paths, every)(values), False: reduced(paths, every)(values)}
    for name, evaluate in sides.items():
        for ours, theirs in zip(evaluate(values), expected["whole" in name], strict=True):
            same(f"mixture_orders, {name}", ours, theirs, rtol=0)


def timed(evaluate: Evaluate, values: Floats) -> Callable[[], float]:
    """Return a function that measures the wall time of one side."""
    return lambda: seconds(lambda: evaluate(values))


def gains(times: Mapping[str, Floats], amount: str) -> list[Row]:
    """Return the rows about the gain of two over one."""
    gain = ratio(times["one"], times["two"])
    return [
        Row(
            f"1 worker / {WORKERS} workers, each spectrum reduced to a number in the worker",
            f"{gain:.2f} ({interval(times['one'], times['two'])})",
            f">= {AIM_WORKERS:g}",
            gain >= AIM_WORKERS,
        ),
        Row(
            f"the same, spectra returned whole: {amount}",
            f"{ratio(times['one_whole'], times['two_whole']):.2f} "
            f"({interval(times['one_whole'], times['two_whole'])})",
        ),
        Row(
            "one process / two that take half the orders each, without Dask: the machine's limit",
            f"{ratio(times['one_process'], times['two_processes']):.2f} "
            f"({interval(times['one_process'], times['two_processes'])})",
        ),
    ]
