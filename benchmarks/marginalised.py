"""Effective samples per CPU second: continuum marginalised, against coefficients sampled.

A small recovery problem: 2 orders of 300 pixels, two components, a continuum of degree 2, diagonal
noise, without the emulator's error, so that both sides have exactly the same posterior.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.fits import build_store, observe, pixels, plan, ranges
from benchmarks.measure import Row, cpu_seconds, interval, ratio
from mixjobs.builder.emulator import EmulatorSettings
from mixjobs.inference.convergence import autocorrelation_time
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.log_probability import LogProbability, make_log_probability
from mixjobs.inference.optimum import start_walkers
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import Uniform
from mixjobs.inference.sampler import Ensembles, Step, random_states, segment
from mixjobs.typing import Floats

AXES = {"teff": tuple(range(3900, 6301, 300)), "logg": (4.5,), "feh": (-0.5, 0.0, 0.5)}
TRUTH = {"teff_1": 5750.0, "teff_2": 4400.0, "feh": 0.1, "vsini": 8.0, "rv": 12.0, "c": 0.35}
PRIORS = {
    "teff_1": Uniform(3900, 6300), "teff_2": Uniform(3900, 6300), "feh": Uniform(-0.5, 0.5),
    "vsini": Uniform(0, 30), "rv": Uniform(-40, 40), "c": Uniform(0, 1),
}  # fmt: skip
WAVES = (6002.0, 6016.0)
MIN_WALKERS, PER_PARAMETER = 32, 4  # the defaults of `mixjobs sample`
MAX_DIFFERENCE = 5.0  # between the two sides, in Monte-Carlo errors


@dataclass(frozen=True)
class Size:
    """Size of the benchmark; a fifth of the `steps` of each side is burn-in."""

    pixels: int
    steps: dict[str, int]
    rounds: int


FULL = Size(300, {"ours": 3000, "theirs": 5000}, 3)
SMALL = Size(60, {"ours": 40, "theirs": 40}, 1)


def run(small: bool) -> Iterator[Row]:
    """Sample both sides, one ensemble of each in turn."""
    size = SMALL if small else FULL
    with TemporaryDirectory(prefix="mixjobs-benchmark-") as folder:
        target = problem(Path(folder) / "store.zarr", size.pixels)
        both = WithCoefficients(target)
        chains: dict[str, list[Chain]] = {"ours": [], "theirs": []}
        for seed in range(size.rounds):
            for name in chains:
                start = both.start(name, seed)
                bounds = np.tile([-np.inf, np.inf], (start.shape[1], 1))
                bounds[: len(target.names)] = target.parameters.bounds
                evaluate = target.by_order if name == "ours" else both
                chains[name].append(sampled(evaluate, bounds, start, size.steps[name], seed))
        yield from rows(target.names, chains, size)


def problem(store: Path, n_pixels: int) -> LogProbability:
    """Simulate a star, and return its log-probability."""
    waves = {i: pixels(first, n_pixels) for i, first in enumerate(WAVES)}
    settings = EmulatorSettings(max_rv=60, max_vsini=30, min_resolution=20_000, rank=8)
    build_store(AXES, ranges(waves), settings, store)
    fit = plan(store, observe(store, waves, TRUTH, Continuum(2)), emulator_error=False)
    names = fit.load([0]).epochs[0].model.parameters
    parameters = make_parameters(names, PRIORS, constraints=["teff_2 < teff_1"])
    return make_log_probability(parameters, fit)


class WithCoefficients:
    """The same posterior, with the coefficients of the continuum among the parameters.

    A sample has the parameters of the problem, then the coefficients, order by order, over the
    order's scale. Mixture, scale and priors are those of the problem.
    """

    def __init__(self, target: LogProbability) -> None:
        self.target, self.fits = target, target.plan.load(range(len(target.plan.orders)))
        (epoch,) = self.fits.epochs
        self.model, self.data = epoch.model, epoch.data
        self.k = self.data[0].polynomials.shape[1]

    def __call__(self, x: Floats) -> Floats:
        """Return ln of prior times likelihood, and ln of the likelihood by order: (n, 1 + M)."""
        n_shared, k = len(self.target.names), self.k
        by_order = np.full((len(x), 1 + len(self.data)), -np.inf)
        shared = x[:, :n_shared]
        total = self.target.parameters.log_prior(shared)
        inside = np.isfinite(total)
        if not inside.any():
            return by_order
        filled = np.where(inside[:, None], shared, shared[inside][0])
        (values,) = self.target.parameters.params(filled)
        for block in self.model.stream(values):
            data, rows = self.data[block.order_index], block.samples
            first = n_shared + k * block.order_index
            coefficients = x[rows, first : first + k]
            spectra = block.flux[:, data.used] / block.level[:, None]
            residual = (data.flux - spectra * (coefficients @ data.polynomials.T)) / data.flux_error
            log_det = np.log(2 * np.pi * (data.flux_error * data.scale) ** 2).sum()
            by_order[rows, 1 + block.order_index] = -0.5 * ((residual**2).sum(axis=1) + log_det)
            unit = (coefficients - np.eye(k)[0]) / data.prior_sd
            norm = k * np.log(2 * np.pi * data.prior_sd**2)
            total[rows] -= 0.5 * ((unit**2).sum(axis=1) + norm)
        valid = inside & np.isfinite(by_order[:, 1:]).all(axis=1)
        by_order[~valid] = -np.inf
        by_order[valid, 0] = total[valid] + by_order[valid, 1:].sum(axis=1)
        return by_order

    def start(self, name: str, seed: int) -> Floats:
        """Scatter walkers around the truth, and coefficients around their most probable values."""
        truth = np.array([TRUTH[name] for name in self.target.names])
        n = len(truth) + (len(self.data) * self.k if name == "theirs" else 0)
        walkers = max(MIN_WALKERS, PER_PARAMETER * n)
        shared: Floats = start_walkers(self.target, truth[None], walkers, seed)[0]
        if name == "ours":
            return shared
        params = self.target.parameters.params(shared)
        coefficients = np.empty((walkers, len(self.data), self.k))
        for block in self.fits.stream(params):
            coefficients[block.samples, block.order_index] = block.fit.coefficients
        coefficients += 1e-3 * np.random.default_rng(seed).normal(size=coefficients.shape)
        return np.hstack([shared, coefficients.reshape(walkers, -1)])


@dataclass(frozen=True)
class Chain:
    """Positions (n_steps, walkers, P) after the burn-in, and CPU seconds of these steps."""

    positions: Floats
    cpu: float

    @property
    def tau(self) -> Floats:
        """Autocorrelation times in steps, (P,)."""
        return autocorrelation_time(self.positions)

    def effective(self, n_shared: int) -> float:
        """Return the number of effective samples of the slowest shared parameter."""
        n_steps, walkers, _ = self.positions.shape
        return float(n_steps * walkers / self.tau[:n_shared].max())


def sampled(
    evaluate: Callable[[Floats], Floats], bounds: Floats, start: Floats, n_steps: int, seed: int
) -> Chain:
    """Advance an ensemble with the moves of `mixjobs sample`."""
    values = np.concatenate([evaluate(half) for half in np.split(start, 2)])[None]
    moved = np.zeros(1, dtype=np.int64)
    first = Step(start[None], values[..., 0], values[..., 1:], moved, random_states(seed, 1))
    ensembles = Ensembles(evaluate, bounds, segment([first]))
    for _ in range(n_steps // 5):
        ensembles.step()
    positions: list[Floats] = []
    cpu = cpu_seconds(
        lambda: positions.extend(
            ensembles.step().positions[0] for _ in range(n_steps - n_steps // 5)
        )
    )
    return Chain(np.stack(positions), cpu)


def check(names: tuple[str, ...], chains: dict[str, list[Chain]]) -> str:
    """Stop if the posteriors of c differ by more than chance; write both."""
    c, statistics = names.index("c"), {}
    for name, each in chains.items():
        values = np.concatenate([chain.positions[:, :, c].ravel() for chain in each])
        n = sum(chain.positions[..., c].size / chain.tau[c] for chain in each)
        low, median, high = np.quantile(values, [0.16, 0.5, 0.84])
        statistics[name] = median, (high - low) / 2, n
    (median, width, n), (other, other_width, other_n) = statistics["ours"], statistics["theirs"]
    # standard errors of a normal distribution's median, and of its half 68 % interval
    relative_error = np.sqrt(1 / n + 1 / other_n)
    of_median, of_width = 1.2533 * width * relative_error, 1.07 * width * relative_error
    if (
        abs(median - other) > MAX_DIFFERENCE * of_median
        or abs(width - other_width) > MAX_DIFFERENCE * of_width
    ):
        raise RuntimeError("marginalised: the two sides of the benchmark disagree")
    return (
        f"{median:.4f} ± {width:.4f} and {other:.4f} ± {other_width:.4f} "
        f"(Monte-Carlo error: {of_median:.4f} and {of_width:.4f})"
    )


def rows(names: tuple[str, ...], chains: dict[str, list[Chain]], size: Size) -> list[Row]:
    """Return the rows of the table."""
    medians, n_shared = check(names, chains), len(names)
    speed = {
        name: np.array([chain.effective(n_shared) / chain.cpu for chain in each])
        for name, each in chains.items()
    }
    tau, walkers, cost = {}, {}, {}
    for name, each in chains.items():
        tau[name] = np.mean([chain.tau for chain in each], axis=0)[:n_shared]
        n_steps, walkers[name], _ = each[0].positions.shape
        cost[name] = np.median([chain.cpu for chain in each]) / (n_steps * walkers[name])
    slowest = {name: names[int(np.argmax(each))] for name, each in tau.items()}
    length = min(size.steps[name] * 0.8 / tau[name].max() for name in tau)
    return [
        Row(
            "effective samples per CPU second, marginalised / sampled; 2 orders of "
            f"{size.pixels} px, continuum of degree 2, slowest shared parameter",
            f"{ratio(speed['ours'], speed['theirs']):.1f} "
            f"({interval(speed['ours'], speed['theirs'])})",
        ),
        Row(
            "slowest parameter, its autocorrelation time in steps, walkers",
            "; ".join(
                f"{side} {slowest[name]}, {tau[name].max():.0f}, {walkers[name]}"
                for name, side in (("ours", "marginalised"), ("theirs", "sampled"))
            )
            + f"; chains at least {length:.0f} times as long",
        ),
        Row(
            "CPU time of a likelihood, marginalised / sampled",
            f"{cost['ours'] / cost['theirs']:.2f} ({1e3 * cost['ours']:.2f} ms here)",
        ),
        Row("median and half the 68 % interval of c, for both", medians),
    ]
