"""Effective samples per CPU second, the continuum marginalised against its coefficients sampled.

A small recovery problem: 2 orders of 300 pixels, two components, a continuum of degree 2, diagonal
noise, without the emulator's error, so that both sides have exactly the same posterior.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.fits import build_store, observe, pixels, plan, windows
from benchmarks.measure import Row, cpu_seconds, interval, ratio
from mixjobs.builder.segments import EmulatorSettings
from mixjobs.inference.convergence import autocorrelation_time
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.log_probability import LogProbability, make_log_probability
from mixjobs.inference.optimum import start_walkers
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import Uniform
from mixjobs.inference.sampler import Ensembles, Step, random_states, segment
from mixjobs.model.emulator import Accuracy
from mixjobs.typing import Floats

AXES = {"teff": tuple(range(3900, 6301, 300)), "logg": (4.5,), "feh": (-0.5, 0.0, 0.5)}
TRUTH = {"teff_1": 5750.0, "teff_2": 4400.0, "feh": 0.1, "vsini": 8.0, "rv": 12.0, "c": 0.35}
PRIORS = {
    "teff_1": Uniform(3900, 6300), "teff_2": Uniform(3900, 6300), "feh": Uniform(-0.5, 0.5),
    "vsini": Uniform(0, 30), "rv": Uniform(-40, 40), "c": Uniform(0, 1),
}  # fmt: skip
WAVES = (6002.0, 6016.0)
LEAST_WALKERS, PER_PARAMETER = 32, 4  # as `mixjobs sample` has them
WITHIN = 5.0  # Monte-Carlo errors in which both sides have to agree


@dataclass(frozen=True)
class Size:
    """How much is measured; `steps` of each side, of which the first fifth is burn-in."""

    pixels: int
    steps: dict[str, int]
    rounds: int


FULL = Size(300, {"ours": 3000, "theirs": 5000}, 3)
SMALL = Size(60, {"ours": 40, "theirs": 40}, 1)


def run(small: bool) -> Iterator[Row]:
    """Sample both ways, an ensemble of each in turn."""
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
    """Simulate a star, and return what is to be sampled."""
    waves = {i: pixels(first, n_pixels) for i, first in enumerate(WAVES)}
    settings = EmulatorSettings(
        max_rv=60, max_vsini=30, min_resolution=20_000, accuracy=Accuracy(rank=8)
    )
    build_store(AXES, windows(waves), settings, store)
    fit = plan(store, observe(store, waves, TRUTH, Continuum(2)), emulator_error=False)
    names = fit.load([0]).epochs[0].model.parameters
    parameters = make_parameters(names, PRIORS, constraints=["teff_2 < teff_1"])
    return make_log_probability(parameters, fit)


class WithCoefficients:
    """The same posterior with the continuum's coefficients among the parameters.

    The rows of theta are those of the problem, then the coefficients, order by order, over the
    order's scale. Mixture, scale and priors are the problem's own.
    """

    def __init__(self, target: LogProbability) -> None:
        self.target, self.fits = target, target.plan.load(range(len(target.plan.orders)))
        (epoch,) = self.fits.epochs
        self.model, self.data = epoch.model, epoch.data
        self.k = self.data[0].polynomials.shape[1]

    def __call__(self, theta: Floats) -> Floats:
        """ln of prior times likelihood, then ln of the likelihood in each order: (n, 1 + M)."""
        n_shared, k = len(self.target.names), self.k
        found = np.full((len(theta), 1 + len(self.data)), -np.inf)
        shared = theta[:, :n_shared]
        total = self.target.parameters.log_prior(shared)
        inside = np.isfinite(total)
        if not inside.any():
            return found
        filled = np.where(inside[:, None], shared, shared[inside][0])
        (values,) = self.target.parameters.table(filled)
        for block in self.model.stream(values):
            data, here = self.data[block.order], block.rows
            first = n_shared + k * block.order
            coefficients = theta[here, first : first + k]
            spectra = block.flux[:, data.used] / block.level[:, None]
            away = (data.flux - spectra * (coefficients @ data.polynomials.T)) / data.sigma
            log_det = np.log(2 * np.pi * (data.sigma * data.scale) ** 2).sum()
            found[here, 1 + block.order] = -0.5 * ((away**2).sum(axis=1) + log_det)
            unit = (coefficients - np.eye(k)[0]) / data.continuum_sigma
            norm = k * np.log(2 * np.pi * data.continuum_sigma**2)
            total[here] -= 0.5 * ((unit**2).sum(axis=1) + norm)
        valid = inside & np.isfinite(found[:, 1:]).all(axis=1)
        found[~valid] = -np.inf
        found[valid, 0] = total[valid] + found[valid, 1:].sum(axis=1)
        return found

    def start(self, name: str, seed: int) -> Floats:
        """Scatter walkers about the truth, coefficients about their most probable values."""
        truth = np.array([TRUTH[name] for name in self.target.names])
        n = len(truth) + (len(self.data) * self.k if name == "theirs" else 0)
        walkers = max(LEAST_WALKERS, PER_PARAMETER * n)
        shared: Floats = start_walkers(self.target, truth[None], walkers, seed)[0]
        if name == "ours":
            return shared
        tables = self.target.parameters.table(shared)
        found = np.empty((walkers, len(self.data), self.k))
        for block in self.fits.stream(tables):
            found[block.rows, block.order] = block.fit.coefficients
        found += 1e-3 * np.random.default_rng(seed).normal(size=found.shape)
        return np.hstack([shared, found.reshape(walkers, -1)])


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
        """Effective samples of the shared parameter that has fewest."""
        n_steps, walkers, _ = self.positions.shape
        return float(n_steps * walkers / self.tau[:n_shared].max())


def sampled(
    evaluate: Callable[[Floats], Floats], bounds: Floats, start: Floats, n_steps: int, seed: int
) -> Chain:
    """Advance an ensemble, with the moves of `mixjobs sample`."""
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
    """Stop where the posteriors of c differ by more than chance; say how far they agree."""
    c, told = names.index("c"), {}
    for name, each in chains.items():
        values = np.concatenate([chain.positions[:, :, c].ravel() for chain in each])
        n = sum(chain.positions[..., c].size / chain.tau[c] for chain in each)
        low, median, high = np.quantile(values, [0.16, 0.5, 0.84])
        told[name] = median, (high - low) / 2, n
    (median, width, n), (other, other_width, other_n) = told["ours"], told["theirs"]
    # standard errors of a normal distribution's median, and of its half 68 % interval
    chance = np.sqrt(1 / n + 1 / other_n)
    of_median, of_width = 1.2533 * width * chance, 1.07 * width * chance
    if abs(median - other) > WITHIN * of_median or abs(width - other_width) > WITHIN * of_width:
        raise RuntimeError("marginalised: the two sides of the benchmark disagree")
    return (
        f"{median:.4f} ± {width:.4f} and {other:.4f} ± {other_width:.4f} "
        f"(chance: {of_median:.4f} and {of_width:.4f})"
    )


def rows(names: tuple[str, ...], chains: dict[str, list[Chain]], size: Size) -> list[Row]:
    """Rows of the table."""
    agreed, n_shared = check(names, chains), len(names)
    speed = {
        name: np.array([chain.effective(n_shared) / chain.cpu for chain in each])
        for name, each in chains.items()
    }
    tau, walkers, cost = {}, {}, {}
    for name, each in chains.items():
        tau[name] = np.mean([chain.tau for chain in each], axis=0)[:n_shared]
        n_steps, walkers[name], _ = each[0].positions.shape
        cost[name] = np.median([chain.cpu for chain in each]) / (n_steps * walkers[name])
    worst = {name: names[int(np.argmax(each))] for name, each in tau.items()}
    enough = min(size.steps[name] * 0.8 / tau[name].max() for name in tau)
    return [
        Row(
            "effective samples per CPU second, marginalised / sampled; 2 orders of "
            f"{size.pixels} px, continuum of degree 2, worst shared parameter",
            f"{ratio(speed['ours'], speed['theirs']):.1f} "
            f"({interval(speed['ours'], speed['theirs'])})",
        ),
        Row(
            "the worst parameter, its autocorrelation time in steps, walkers",
            "; ".join(
                f"{side} {worst[name]}, {tau[name].max():.0f}, {walkers[name]}"
                for name, side in (("ours", "marginalised"), ("theirs", "sampled"))
            )
            + f"; chains of {enough:.0f} times that, or more",
        ),
        Row(
            "CPU time of a likelihood, marginalised / sampled",
            f"{cost['ours'] / cost['theirs']:.2f} ({1e3 * cost['ours']:.2f} ms here)",
        ),
        Row("median and half the 68 % interval of c, both ways", agreed),
    ]
