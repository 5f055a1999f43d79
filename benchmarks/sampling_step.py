"""Whole step of an ensemble: 40 walkers x 51 orders, in this process and on workers.

Orders and pixels of LkCa 15's TRES spectrum, a simulated star, an emulator of ten eigenspectra, two
photospheres that share rotation and velocity, and free noise parameters. One thread per process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from distributed import Client

import mixjobs
from benchmarks.cluster import WORKERS, workers
from benchmarks.fits import NOISE, observe, plan
from benchmarks.measure import Row, counted, in_turn, interval, ratio, same, seconds
from benchmarks.mixture_orders import Size, build_store
from mixjobs.cluster import connect
from mixjobs.config.cluster import ClusterConfig
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.log_probability import LogProbability, make_log_probability
from mixjobs.inference.order_likelihoods import LikelihoodPlan
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import Normal, Uniform
from mixjobs.inference.sampler import Ensembles, Step, random_states, segment
from mixjobs.inference.segments import Segment
from mixjobs.typing import Floats
from validation.real_data import real_data

AIM_WORKERS, AIM_OUTSIDE = 1.7, 0.1
TRUTH = {
    "teff_1": 4500.0, "teff_2": 3800.0, "logg": 4.4, "feh": 0.1, "vsini": 20.0, "rv": 5.0, "c": 0.3,
    "ln_noise": 0.0, "log_amplitude": -2.5, "log_length": 1.3,
}  # fmt: skip
PRIORS = {
    "teff_1": Uniform(3600, 4800), "teff_2": Uniform(3600, 4800), "logg": Uniform(4, 5),
    "feh": Uniform(-0.5, 0.5), "vsini": Uniform(0, 50), "rv": Uniform(-50, 50), "c": Uniform(0, 1),
    "ln_noise": Normal(0, 1), "log_amplitude": Uniform(-4, -0.5), "log_length": Uniform(0.5, 3),
}  # fmt: skip


FULL = Size(51, 1, 40, 6)
SMALL = Size(4, 16, 20, 2)

_busy: list[tuple[float, float]] = []  # seconds and CPU seconds in likelihoods, in this process


class TimedPlan(LikelihoodPlan):
    """A plan whose likelihoods record how long they take."""

    def load(self, partition: Sequence[int]) -> Any:
        """Load the models of some orders."""
        likelihoods = super().load(partition)

        def timed(params: Sequence[Floats]) -> list[Floats]:
            start, cpu = time.perf_counter(), time.thread_time()
            values = likelihoods(params)
            _busy.append((time.perf_counter() - start, time.thread_time() - cpu))
            return values

        return timed


def time_in_likelihoods() -> tuple[float, float]:
    """Return the seconds and CPU seconds in likelihoods since the last call, in this process."""
    wall, cpu = np.sum(_busy, axis=0) if _busy else (0.0, 0.0)
    _busy.clear()
    return float(wall), float(cpu)


def run(small: bool) -> Iterator[Row]:
    """Measure a step in this process, on one worker and on two, in turn."""
    size = SMALL if small else FULL
    data = real_data("LkCa15-2013-10-12.hdf5")
    with TemporaryDirectory(prefix="mixjobs-benchmark-") as folder:
        fit = simulated(data, Path(folder) / "store.zarr", size)
        double = workers()  # entered first, because they end last
        with connect(ClusterConfig(workers=1)) as single:
            yield from measured(fit, {"local": None, "one": single, "two": double}, size)


def simulated(data: Path, store: Path, size: Size) -> LikelihoodPlan:
    """Simulate a star in the orders and pixels of a real spectrum, and plan its fit."""
    observed = mixjobs.open_spectrum(data)
    build_store(observed, store, size.n_orders)
    numbers = observed.orders.number.tolist()[: size.n_orders]
    waves = {
        number: wave[:: size.thinning]
        for number, wave in zip(numbers, observed.wavelength, strict=False)
    }
    mixture = {name: TRUTH[name] for name in TRUTH if name not in NOISE}
    fit = plan(store, observe(store, waves, mixture, Continuum(4)))
    return TimedPlan(**vars(fit))


def measured(fit: LikelihoodPlan, clients: dict[str, Client | None], size: Size) -> list[Row]:
    """Advance one ensemble per side, in step, and time them."""
    names = mixjobs.load_mixture(fit.store).parameters
    parameters = make_parameters((*names, *NOISE), PRIORS, constraints=["teff_2 < teff_1"])
    targets = {
        name: make_log_probability(parameters, fit, client) for name, client in clients.items()
    }
    first = start(targets["local"], size.walkers)
    ensembles = {
        name: Ensembles(target.by_order, parameters.bounds, first)
        for name, target in targets.items()
    }
    steps = {name: each.step() for name, each in ensembles.items()}
    for name, step in steps.items():
        for ours, theirs in zip(step[:3], steps["local"][:3], strict=True):
            same(f"sampling_step, {name}", ours, theirs, rtol=0)
    timed_steps = {name: TimedStep(each, clients[name]) for name, each in ensembles.items()}
    times = in_turn(size.rounds, **timed_steps)
    return rows(times, timed_steps, size)


def start(target: LogProbability, n: int) -> Segment:
    """Scatter walkers around the truth, as a step to continue from."""
    truth = np.array([TRUTH[name] for name in target.names])
    scatter = np.random.default_rng(1).normal(size=(n, len(truth)))
    positions = truth + scatter * np.maximum(1e-3 * np.abs(truth), 1e-3)
    values = np.concatenate([target.by_order(half) for half in np.split(positions, 2)])[None]
    moved = np.zeros(1, dtype=np.int64)
    step = Step(positions[None], values[..., 0], values[..., 1:], moved, random_states(1, 1))
    return segment([step])


class TimedStep:
    """Measure a step, and the part of it in likelihoods, in the process that took longest."""

    def __init__(self, ensembles: Ensembles, client: Client | None) -> None:
        self.ensembles, self.client = ensembles, client
        self._outside: list[float] = []
        self._cpu: list[float] = []

    def __call__(self) -> float:
        """Run a step, and return its seconds."""
        self.time_in_likelihoods()
        whole = seconds(self.ensembles.step)
        wall, cpu = self.time_in_likelihoods()
        self._outside.append(1 - wall / whole)
        self._cpu.append(cpu)
        return whole

    def time_in_likelihoods(self) -> tuple[float, float]:
        """Return the seconds and CPU seconds in likelihoods since the last call."""
        if self.client is None:
            return time_in_likelihoods()
        wall, cpu = zip(*self.client.run(time_in_likelihoods).values(), strict=True)
        return max(wall), max(cpu)

    @property
    def outside(self) -> Floats:
        """The fraction of each step outside the likelihoods."""
        return counted(self._outside)

    @property
    def cpu(self) -> Floats:
        """CPU seconds of the likelihoods of each step."""
        return counted(self._cpu)


def rows(times: dict[str, Floats], timed_steps: dict[str, TimedStep], size: Size) -> list[Row]:
    """Return the rows of the table."""
    gain = ratio(times["one"], times["two"])
    local = float(np.median(times["local"]))
    each = 1e3 * local / (size.walkers * size.n_orders)
    return [
        Row(
            f"a step of {size.walkers} walkers x {size.n_orders} orders in this process",
            f"{local:.2f} s, {each:.2f} ms per walker and order",
        ),
        Row(
            f"1 worker / {WORKERS} workers, a whole step",
            f"{gain:.2f} ({interval(times['one'], times['two'])})",
            f">= {AIM_WORKERS:g}",
            gain >= AIM_WORKERS,
        ),
        Row(
            f"the same by CPU time of the likelihoods, for the busier of {WORKERS}: on idle cores",
            f"{ratio(timed_steps['one'].cpu, timed_steps['two'].cpu):.2f} "
            f"({interval(timed_steps['one'].cpu, timed_steps['two'].cpu)})",
        ),
        Row(
            "this process / 1 worker",
            f"{ratio(times['local'], times['one']):.2f} ({interval(times['local'], times['one'])})",
        ),
        *(
            Row(
                f"fraction of a step outside the likelihoods, {where}",
                f"{np.median(outside):.1%} ({outside.min():.1%} to {outside.max():.1%})",
                f"<= {AIM_OUTSIDE:.0%}",
                bool(np.median(outside) <= AIM_OUTSIDE),
            )
            for outside, where in (
                (timed_steps["local"].outside, "in this process"),
                (timed_steps["one"].outside, "1 worker"),
                (timed_steps["two"].outside, f"{WORKERS} workers, by the slower one"),
            )
        ),
    ]
