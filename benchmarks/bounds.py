"""Gain of moves that know the bounds of the priors.

Two simulated stars: an ordinary one, and one just outside its grid, whose posterior lies in corners
of the prior. The same ensembles run with moves that know the bounds, and with moves that ignore
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.measure import Row, interval, ratio
from mixjobs.inference.convergence import autocorrelation_time
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.optimum import find_optimum
from mixjobs.inference.priors import Normal, Uniform
from mixjobs.typing import Floats
from validation.calibration import FULL as STARS
from validation.sampling import ensemble
from validation.simulated_stars import demo_library, make_fit, make_store, observe

ORDINARY = {"teff_1": 5650, "teff_2": 4550, "feh": 0.1, "vsini": 9.0, "rv": 5.0, "c": 0.4}
OUTSIDE = ORDINARY | {"teff_1": 3800, "teff_2": 3800}
COOLEST, HOTTEST = 3900, 6300  # K, of the grid
WALKERS, BURN = 32, 4  # a fourth of the steps is burn-in


@dataclass(frozen=True)
class Size:
    """Steps for each star, and rounds."""

    ordinary: int
    outside: int
    rounds: int


FULL = Size(3000, 2400, 3)
SMALL = Size(8, 8, 1)


def run(small: bool) -> Iterator[Row]:
    """Sample both stars with both kinds of moves, in turn."""
    size = SMALL if small else FULL
    with TemporaryDirectory(prefix="mixjobs-benchmark-") as folder:
        make_store(Path(folder), demo_library(STARS.teff, STARS.feh))
        for label, star, steps in (
            ("an ordinary star", ORDINARY, size.ordinary),
            ("a star just outside the grid", OUTSIDE, size.outside),
        ):
            fit = simulated(Path(folder) / "store.zarr", star)
            yield compared(label, fit, steps, size.rounds)


def simulated(store: Path, star: dict[str, float]) -> LogProbability:
    """Simulate a star, and return its log-probability."""
    orders = observe(demo_library((3600, *STARS.teff), STARS.feh), star, STARS.noise,
                     np.random.default_rng(3))  # fmt: skip
    priors = {
        "teff_1": Uniform(COOLEST, HOTTEST), "teff_2": Uniform(COOLEST, HOTTEST),
        "feh": Uniform(-0.5, 0.5), "vsini": Uniform(0, 25), "rv": Uniform(-30, 30),
        "c": Uniform(0, 1), "ln_noise": Normal(0, 0.5),
    }  # fmt: skip
    return make_fit(str(store), orders, priors)


def compared(label: str, fit: LogProbability, steps: int, rounds: int) -> Row:
    """Sample in turn, and compare autocorrelation times and the range that was reached."""
    best = find_optimum(fit, 1)
    bounds = fit.parameters.bounds
    sides = {"ignored": np.full_like(bounds, np.inf) * [-1, 1], "known": bounds}
    tau: dict[str, list[float]] = {name: [] for name in sides}
    reached: dict[str, list[float]] = {name: [] for name in sides}
    for seed in range(rounds):
        for name, move_bounds in sides.items():
            sampler = ensemble(fit, move_bounds, best, seed, WALKERS, steps)
            positions: Floats = sampler.get_chain(discard=steps // BURN)
            tau[name].append(float(autocorrelation_time(positions).max()))
            reached[name].append(float(np.quantile(positions[..., 0], 0.975)))
    before, after = np.array(tau["ignored"]), np.array(tau["known"])
    ends = ", ".join(f"{np.median(reached[name]):.0f} K" for name in sides)
    return Row(
        f"autocorrelation time of {label}, moves that ignore the bounds / that know them",
        f"{ratio(before, after):.2f} ({interval(before, after)}); {np.median(after):.0f} steps; "
        f"97.5 % of teff_1 below {ends}",
    )
