"""Likelihood of one order, against dense matrices; its part of a step; the growth of time.

One order of 2304 pixels, two photospheres, an emulator of 8 eigenspectra, a continuum of degree 4,
Matern-3/2 noise, 40 walkers, one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular

import mixjobs
from benchmarks.fits import NOISE, RESOLUTION, build_store, observe, pixels, plan, ranges
from benchmarks.measure import Row, cpu_seconds, in_turn, interval, ratio, same
from mixjobs.builder.emulator import EmulatorSettings
from mixjobs.inference.coupling import OrderTerms, couple
from mixjobs.inference.likelihood import Continuum, OrderData, OrderFit, fit_order
from mixjobs.inference.noise import NoiseParams
from mixjobs.inference.order_likelihoods import LikelihoodBatch, OrderLikelihoods
from mixjobs.model.mixture import MixtureModel
from mixjobs.typing import Floats

AIM_DENSE, AIM_GROWTH, AIM_COUPLED = 100, 1.1, 1.5
AXES = {"teff": (3600, 3800, 4000, 4200), "logg": (4.0, 4.5, 5.0), "feh": (-0.5, 0.0, 0.5)}
TRUTH = {
    "teff_1": 4100.0, "teff_2": 3700.0, "logg": 4.4, "feh": 0.1, "vsini": 12.0, "rv": 5.0, "c": 0.3,
    "ln_noise": 0.1, "log_amplitude": -2.0, "log_length": 1.5,
}  # fmt: skip
SCATTER = 0.02  # of the walkers around the truth, relative
SHARED = ("logg", "feh")  # by components that move differently


@dataclass(frozen=True)
class Size:
    """Size of the benchmark; growth is measured between the two numbers in `walkers`."""

    pixels: int
    rank: int
    n_walkers: int
    growth: Sequence[int]
    orders: int
    walkers: tuple[int, int]
    rounds: int


FULL = Size(2304, 8, 40, (500, 1000, 2000, 4000, 8000), 8, (8, 80), 8)
SMALL = Size(200, 4, 16, (100, 200), 2, (8, 16), 2)


class Star:
    """The orders of a star: some of equal length, then some of increasing length."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.store = folder / "store.zarr"
        alike, edge = {}, 5000.0
        for number in range(size.orders):
            alike[number] = pixels(edge, size.pixels)
            edge = alike[number][-1] + 1
        longer = {size.orders + i: pixels(5000, n) for i, n in enumerate(size.growth)}
        waves = alike | longer
        settings = EmulatorSettings(max_rv=100, max_vsini=60, min_resolution=20_000, rank=size.rank)
        build_store(AXES, ranges(waves), settings, self.store)
        mixture = {name: TRUTH[name] for name in TRUTH if name not in NOISE}
        self.orders = observe(self.store, waves, mixture, Continuum(4))

    def fits(self, partition: Sequence[int], **options: Any) -> OrderLikelihoods:
        """Load the likelihoods of some orders."""
        return plan(self.store, self.orders, **options).load(partition)

    def mixture(self) -> MixtureModel:
        """Load the mixture of the first order."""
        return mixjobs.load_mixture(
            self.store, orders=[0], wavelengths=[self.orders[0].wavelength], medium="vacuum",
            resolution=RESOLUTION, outside="nan",
        )  # fmt: skip


def table(names: Sequence[str], n: int) -> Floats:
    """Draw n walkers around the truth: (n, len(names)); `vsini_1` has the truth of `vsini`."""
    truth = np.array([TRUTH.get(name, TRUTH.get(name.partition("_")[0])) for name in names])
    scatter = np.random.default_rng(1).uniform(-SCATTER, SCATTER, (n, len(names)))
    params: Floats = truth * (1 + scatter)
    return params


def run(small: bool) -> Iterator[Row]:
    """Measure one order, then the growth with pixels, orders and walkers."""
    size = SMALL if small else FULL
    with TemporaryDirectory(prefix="mixjobs-benchmark-") as folder:
        star = Star(Path(folder), size)
        yield from one_order(star, size)
        yield from growth(star, size)


def one_order(star: Star, size: Size) -> list[Row]:
    """Return the rows about the likelihood of one order, and its part of a whole step."""
    model = star.mixture()
    values = table((*model.parameters, *NOISE), size.n_walkers)
    fits, mixtures = star.fits([0]), values[:, : -len(NOISE)]
    blocks = list(fits.stream([values]))
    apart = star.fits([0], shared=SHARED)
    names = apart.epochs[0].model.parameters
    moving = list(apart.stream([table((*names, *NOISE), size.n_walkers)]))
    dense = {errors: [Dense(block, errors) for block in blocks[:2]] for errors in (True, False)}
    for errors, few in dense.items():
        expected = np.array([side() for side in few])
        same("likelihood", likelihoods(blocks[:2], free, errors)[[0, -1]], expected, rtol=1e-8)
    together = couple(fits.terms([values])).total
    same("likelihood, a step", together, likelihoods(blocks, free), rtol=1e-10)
    times = in_turn(
        size.rounds,
        dense=each(lambda: [side() for side in dense[True]], 2),
        dense_alone=each(lambda: [side() for side in dense[False]], 2),
        free=each(lambda: likelihoods(blocks, free), size.n_walkers),
        alone=each(lambda: likelihoods(blocks, free, errors=False), size.n_walkers),
        moving=each(lambda: likelihoods(moving, free), size.n_walkers),
        fixed=each(lambda: likelihoods(blocks, fixed), size.n_walkers),
        diagonal=each(lambda: likelihoods(blocks, diagonal), size.n_walkers),
        mixture=each(lambda: list(model.stream(mixtures, errors=True)), size.n_walkers),
        step=each(lambda: fits.terms([values]), size.n_walkers),
    )
    n_columns = {block.errors.shape[2] for block in (blocks[0], moving[0])}
    return rows_of_one(times, size, sorted(n_columns))


def each(function: Callable[[], object], n: int) -> Callable[[], float]:
    """Return a function that measures the CPU seconds per walker of a call with n walkers."""
    return lambda: cpu_seconds(function) / n


def free(noise: NoiseParams) -> NoiseParams:
    """Return the noise of each walker."""
    return noise


def fixed(noise: NoiseParams) -> NoiseParams:
    """Return the noise of the first walker for all."""
    first = (noise.ln_noise, noise.amplitude, noise.length)
    return NoiseParams(*(np.full_like(values, values[0]) for values in first))


def diagonal(noise: NoiseParams) -> NoiseParams:
    """Return the noise without its correlated part."""
    return NoiseParams(noise.ln_noise, np.zeros_like(noise.amplitude), noise.length)


def likelihoods(
    blocks: Sequence[LikelihoodBatch],
    kind: Callable[[NoiseParams], NoiseParams],
    errors: bool = True,
) -> Floats:
    """Evaluate only the likelihood, of given spectra: (n,)."""
    fits = []
    for block in blocks:
        columns = block.errors if errors else block.errors[:, :, :0]
        fits.append(fit_order(block.data, block.spectra, columns, kind(block.noise)))
    return np.concatenate([by_itself(fit) for fit in fits])


def by_itself(fit: OrderFit) -> Floats:
    """Return ln of the likelihood of one order, whose error columns no other order shares."""
    n, n_columns = fit.projection.shape
    own = np.broadcast_to(np.eye(n_columns), (n, n_columns, n_columns))
    nothing = np.empty((n, 0, 0))
    return couple([OrderTerms(0, fit.own, fit.projection, fit.precision, own, nothing)]).total


class Dense:
    """The same for one sample of a batch (the first of the first, the last of another), n x n.

    The fitted continuum that scales the error of the spectrum is found once, before any timing.
    """

    def __init__(self, block: LikelihoodBatch, errors: bool) -> None:
        row = 0 if block.samples.start == 0 else -1
        self.data, self.noise, self.row = block.data, block.noise, row
        self.spectrum = block.spectra[row]
        self.design = self.spectrum[:, None] * self.data.polynomials * self.data.prior_sd
        self.scaled = np.empty((len(self.spectrum), 0))
        for _ in range(2 if errors else 0):
            self.scaled = fitted_continuum(self)[:, None] * block.errors[row]

    def covariance(self) -> Floats:
        """Return the covariance of the noise, (n_pixels, n_pixels)."""
        noise, row, velocity = self.noise, self.row, self.data.velocity
        x = np.sqrt(3) / noise.length[row] * np.abs(velocity[:, None] - velocity)
        covariance: Floats = noise.amplitude[row] ** 2 * (1 + x) * np.exp(-x)
        covariance[np.diag_indices_from(covariance)] += (
            np.exp(noise.ln_noise[row]) * self.data.flux_error**2
        )
        return covariance

    def __call__(self) -> float:
        """Return ln of the likelihood, with one Cholesky decomposition."""
        columns = np.hstack([self.design, self.scaled])
        covariance = self.covariance() + columns @ columns.T
        root = cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
        half = solve_triangular(root, self.data.flux - self.spectrum, lower=True)
        log_det = 2 * np.log(np.diagonal(root)).sum() + len(half) * np.log(2 * np.pi)
        return float(-0.5 * (half @ half + log_det) - len(half) * np.log(self.data.scale))


def fitted_continuum(dense: Dense) -> Floats:
    """Return the most probable continuum (n_pixels,), next to the error columns."""
    data: OrderData = dense.data
    columns = np.hstack([dense.design, dense.scaled])
    weighted = cho_solve(cho_factor(dense.covariance()), columns)
    inner = columns.T @ weighted + np.eye(columns.shape[1])
    coefficients = np.linalg.solve(inner, weighted.T @ (data.flux - dense.spectrum))
    k = data.polynomials.shape[1]
    continuum: Floats = data.polynomials @ (np.eye(k)[0] + data.prior_sd * coefficients[:k])
    return continuum


def rows_of_one(times: dict[str, Floats], size: Size, n_columns: Sequence[int]) -> list[Row]:
    """Return the rows about one order."""
    ours, step = times["free"], times["step"]
    own_time = f"{1e3 * float(np.median(ours)):.2f} ms here"
    rest = step - ours - times["mixture"]

    def cell(above: Floats, below: Floats, digits: str = ".2f") -> str:
        return f"{ratio(above, below):{digits}} ({interval(above, below)})"

    def against_dense(quantity: str, above: Floats, below: Floats, more: str = "") -> Row:
        gain = ratio(above, below)
        return Row(
            quantity, f"{cell(above, below, '.0f')}{more}", f">= {AIM_DENSE}", gain >= AIM_DENSE
        )

    return [
        against_dense(
            f"dense evaluation (one n x n Cholesky) / ours; {size.pixels} px, {n_columns[0]} "
            "columns of error, continuum of degree 4, Matern-3/2",
            times["dense"], ours, f"; {own_time}",
        ),
        against_dense(
            "the same without the emulator's error", times["dense_alone"], times["alone"]
        ),
        Row("the emulator's error: with / without", cell(ours, times["alone"])),
        Row(
            f"components that move differently ({n_columns[-1]} columns) / "
            f"together ({n_columns[0]})",
            cell(times["moving"], ours),
        ),
        Row("Matern-3/2 / diagonal noise alone", cell(ours, times["diagonal"])),
        Row("different noise for each walker / the same for all", cell(ours, times["fixed"])),
        Row(
            "whole step of one order (mixture, its level, likelihood) / likelihood",
            f"{cell(step, ours)}; mixture {ratio(times['mixture'], step):.0%}, likelihood "
            f"{ratio(ours, step):.0%}, the rest {ratio(rest, step):.0%} of the step",
        ),
    ]  # fmt: skip


def growth(star: Star, size: Size) -> list[Row]:
    """Return the rows about the growth of the time of a whole step, over linear growth."""
    one, many = star.fits([0]), star.fits(range(size.orders))
    by_pixels = {n: star.fits([size.orders + i]) for i, n in enumerate(size.growth)}
    names = (*one.epochs[0].model.parameters, *NOISE)
    few, most = size.walkers
    values, short, long = (table(names, n) for n in (size.n_walkers, few, most))
    terms = many.terms([values])
    same("likelihood, orders", terms[0].likelihood, one.terms([values])[0].likelihood, rtol=1e-12)
    alone = one.terms([long])[0].likelihood, one.terms([short])[0].likelihood
    same("likelihood, walkers", alone[0][:few], alone[1], rtol=1e-10)
    sides = {f"{n}": linear(fits, values, n) for n, fits in by_pixels.items()}
    sides |= {
        "one order": linear(one, values, 1),
        "orders": linear(many, values, size.orders),
        "few": linear(one, short, few),
        "most": linear(one, long, most),
        "together": lambda: cpu_seconds(lambda: couple(many.terms([values]))),
        "apart": lambda: cpu_seconds(lambda: [couple([term]) for term in many.terms([values])]),
    }
    times = in_turn(size.rounds, **sides)
    first, *others = map(str, size.growth)
    between = ", ".join(f"{n}: {ratio(times[n], times[first]):.2f}" for n in others[:-1])
    return [
        grown(f"pixels {first} to {others[-1]}", times[others[-1]], times[first], between),
        grown(f"orders 1 to {size.orders}", times["orders"], times["one order"]),
        grown(f"walkers {few} to {most}", times["most"], times["few"]),
        coupled(times["together"], times["apart"], size.orders),
    ]


def coupled(together: Floats, apart: Floats, n_orders: int) -> Row:
    """Return the row about orders that share the interpolation error."""
    value = ratio(together, apart)
    return Row(
        f"a step of {n_orders} orders that share the interpolation error / each by itself",
        f"{value:.2f} ({interval(together, apart)})",
        f"<= {AIM_COUPLED:g}",
        value <= AIM_COUPLED,
    )


def linear(fits: OrderLikelihoods, values: Floats, factor: float) -> Callable[[], float]:
    """Return a function that measures the CPU seconds of a step, over a factor."""
    return lambda: cpu_seconds(lambda: fits.terms([values])) / factor


def grown(quantity: str, above: Floats, below: Floats, between: str = "") -> Row:
    """Return a row about growth."""
    value = ratio(above, below)
    return Row(
        f"growth of a step's time with {quantity}, over linear growth",
        f"{value:.2f} ({interval(above, below)}){'; ' * bool(between)}{between}",
        f"<= {AIM_GROWTH:g}",
        value <= AIM_GROWTH,
    )
