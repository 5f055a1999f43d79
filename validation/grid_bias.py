"""Bias of fits towards grid nodes: stars with temperatures spread evenly between the nodes.

``python -m validation.grid_bias [--small] [--processes N] [--out FOLDER] [--report]``: each star
is fitted with `linear` and with `cubic` interpolation, with and without the emulator's error, from
the same data. An interrupted run continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import minimize

from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.optimum import find_optimum
from mixjobs.inference.priors import Uniform
from mixjobs.typing import Bools, Floats
from validation.sampling import posterior
from validation.simulated_stars import demo_library, make_fit, make_store, observe
from validation.trials import Options, Trial, read_options, read_results, run_trials

SETTINGS = [(method, error) for method, error in product(("linear", "cubic"), (False, True))]
GRID_STEP = 300  # K
NEAR = 1 / 8  # of a cell: a quarter of a cell is this close to a node
BINS = 12
SIMPLEX = {"teff_1": 20.0, "teff_2": 30.0, "feh": 0.01, "c": 0.02}  # of the optimiser
COLOURS = {True: "tab:blue", False: "tab:red"}  # with the emulator's term, and without
FIXED = {"vsini": 8.0, "rv": 5.0, "ln_noise": 0.0}


@dataclass(frozen=True)
class Size:
    """Number of stars and steps, and the grid."""

    stars: int
    steps: int
    teff: tuple[int, ...] = tuple(range(3900, 6301, GRID_STEP))
    feh: tuple[float, ...] = (-0.5, 0.0, 0.5)
    orders: int = 2
    fixed: tuple[str, ...] = ()


FULL = Size(24, 240)
SMALL = Size(1, 12, feh=(-0.5, 0.0), orders=1, fixed=("teff_1", "feh"))


def star(size: Size, number: int) -> dict[str, float]:
    """Return one star: teff_2 spread over three cells, teff_1 over two, in a different order."""
    second, first = (np.array([number, 7 * number % size.stars]) + 0.5) / size.stars
    teff_1, teff_2 = 5400 + 2 * GRID_STEP * first, 4200 + 3 * GRID_STEP * second
    return {"teff_1": teff_1, "teff_2": teff_2, "feh": 0.0, "c": 0.4, **FIXED}


def make_fits(
    size: Size, folder: Path, number: int, noise: bool
) -> Iterator[tuple[str, bool, LogProbability]]:
    """Observe a star, with or without noise, and yield each setting and its fit."""
    library = demo_library(size.teff, size.feh)
    store, truth = make_store(folder, library), star(size, number)
    rng = np.random.default_rng([number, 30])
    orders = observe(library, truth, 1 / 200, rng, factor=float(noise))[: size.orders]
    priors = {
        "teff_1": Uniform(size.teff[0], size.teff[-1]),
        "teff_2": Uniform(size.teff[0], size.teff[-1]),
        "feh": Uniform(size.feh[0], size.feh[-1]), "c": Uniform(0, 1),
    }  # fmt: skip
    fixed = FIXED | {name: truth[name] for name in size.fixed}
    for method, error in SETTINGS:
        yield method, error, make_fit(store, orders, priors, error, fixed, method=method)


def fit_exact(size: Size, folder: Path, trial: Trial) -> Trial:
    """Find the most probable parameters from noise-free data, in every setting."""
    number = int(trial["name"])
    truth, fits = star(size, number), {}
    for method, error, fit in make_fits(size, folder, number, noise=False):
        start = np.array([truth[name] for name in fit.names])
        simplex = start + np.vstack([0 * start, np.diag([SIMPLEX[name] for name in fit.names])])
        optimum = minimize(
            lambda theta, fit=fit: -float(fit(theta)), start, method="Nelder-Mead",
            options={"initial_simplex": simplex, "xatol": 1.0, "fatol": 1e-3, "maxfev": 600},
        )  # fmt: skip
        fits[key(method, error)] = {"mean": optimum.x.tolist(), "sd": [0.0] * len(start)}
    return trial | {"star": {name: truth[name] for name in fit.names}, "fits": fits}


def fit_star(size: Size, folder: Path, trial: Trial) -> Trial:
    """Sample a star with noise in every setting."""
    number = int(trial["name"])
    truth = star(size, number)
    fits: dict[str, Any] = {}
    for method, error, fit in make_fits(size, folder, number, noise=True):
        if not error:  # the search is the same for both
            best = find_optimum(fit, number)
        sampled = posterior(fit, best, number, 24, size.steps)
        samples = sampled.samples
        fits[key(method, error)] = {
            "mean": samples.mean(axis=0).tolist(), "sd": samples.std(axis=0).tolist(),
            "folded": folded(samples[:, fit.names.index("teff_2")]),
            "near": float(near(samples[:, fit.names.index("teff_2")]).mean()),
            "effective": len(samples) / sampled.tau,
        }  # fmt: skip
    return trial | {"star": {name: truth[name] for name in fit.names}, "fits": fits}


def key(method: str, error: bool) -> str:
    """Name of a setting."""
    return f"{method}, {'with' if error else 'without'} the term"


def position_in_cell(teff: Floats) -> Floats:
    """Return the position of temperatures in their cell, 0 to 1; both ends are nodes."""
    return np.mod(teff, GRID_STEP) / GRID_STEP


def near(teff: Floats) -> Bools:
    """Return whether temperatures are near a node."""
    return np.abs(position_in_cell(teff) - 0.5) > 0.5 - NEAR


def folded(teff: Floats) -> list[float]:
    """Return the fraction of the samples in each of the `BINS` bins of a cell."""
    return (np.histogram(position_in_cell(teff), BINS, (0, 1))[0] / len(teff)).tolist()


def estimates(stars: Sequence[Trial], setting: str, name: str) -> tuple[Floats, ...]:
    """Return truth, posterior mean and standard deviation of one parameter, each (n_stars,)."""
    column = list(stars[0]["star"]).index(name)
    rows = [
        (result["star"][name], *(result["fits"][setting][key][column] for key in ("mean", "sd")))
        for result in stars
    ]
    return tuple(np.array(rows).T)


def pull(stars: Sequence[Trial], setting: str, name: str) -> Floats:
    """Return how far the posterior mean moves from the truth towards the nearest node, K."""
    truth, mean, _ = estimates(stars, setting, name)
    node = GRID_STEP * np.round(truth / GRID_STEP)
    return (mean - truth) * np.sign(node - truth)


def report(stars: Sequence[Trial], exact: Sequence[Trial]) -> str:
    """Write two tables, one row per setting: posteriors, and optima of noise-free data.

    Without bias, a quarter of the posterior mass and of the means is near a node, and the pull
    is 0.
    """
    fits = [fit for result in stars for fit in result["fits"].values()]
    effective = np.median([fit["effective"] for fit in fits])
    pulled = "pull of teff_2, of teff_1, K"
    lines = [
        f"{len(stars)} stars; effective samples: median {effective:.0f}", "",
        f"| fit | teff_2 near a node: posteriors (means) | {pulled} | error of teff_2, K | "
        "error of c | r.m.s. error / sd: teff_2, c |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for setting in (key(*setting) for setting in SETTINGS):
        near_node = np.mean([result["fits"][setting]["near"] for result in stars])
        means = near(estimates(stars, setting, "teff_2")[1]).mean()
        z = [(mean - truth) / sd for truth, mean, sd in each(stars, setting, "teff_2", "c")]
        errors_in_sd = ", ".join(f"{np.sqrt(np.mean(values**2)):.2f}" for values in z)
        fractions = f"{near_node:.0%} ({means:.0%})"
        lines += [f"| {setting} | {fractions} | {errors(stars, setting)} | {errors_in_sd} |"]
    head = f"| fit | {pulled} | error of teff_2, K | error of c |"
    lines += ["", f"{len(exact)} stars without noise, optimum", "", head, "|---|---|---|---|"]
    lines += [f"| {key(*setting)} | {errors(exact, key(*setting))} |" for setting in SETTINGS]
    return "\n".join(lines)


def each(stars: Sequence[Trial], setting: str, *names: str) -> list[tuple[Floats, ...]]:
    """Return the estimates of several parameters."""
    return [estimates(stars, setting, name) for name in names]


def errors(stars: Sequence[Trial], setting: str) -> str:
    """Write the cells with the pull towards nodes and the errors of teff_2 and c."""
    free = [name for name in ("teff_2", "teff_1") if name in stars[0]["star"]]
    pulls = ", ".join(with_error(pull(stars, setting, name), 1) for name in free)
    teff, c = (mean - truth for truth, mean, _ in each(stars, setting, "teff_2", "c"))
    return f"{pulls} | {with_error(teff, 1)} | {with_error(c, 4)}"


def with_error(values: Floats, digits: int) -> str:
    """Write a mean and its standard error."""
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.{digits}f} ± {error:.{digits}f}"


def draw_grid_bias(stars: Sequence[Trial], exact: Sequence[Trial]) -> Figure:
    """Draw the posterior of teff_2 folded into one cell, and the errors of teff_2 and c."""
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    rows = figure.subplots(2, 3, sharex=True, sharey="col")
    for row, method in zip(rows, ("linear", "cubic"), strict=True):
        row[0].set_ylabel(f"{method}: posterior density of teff_2")
        row[0].axhline(1, color="0.5", lw=0.8)
        for error in (False, True):
            setting = key(method, error)
            density = np.mean([r["fits"][setting]["folded"] for r in stars], axis=0)
            edges = np.linspace(0, 1, BINS + 1)
            row[0].stairs(density * BINS, edges, color=COLOURS[error], label=setting)
            for axes, name, unit in ((row[1], "teff_2", " (K)"), (row[2], "c", "")):
                errors_by_place(axes, stars, setting, name, "o", COLOURS[error])
                errors_by_place(axes, exact, setting, name, "x", COLOURS[error])
                axes.set_ylabel(f"{method}: error of {name}{unit}")
        row[0].legend(fontsize=8, loc="lower center")
    for axes in rows[-1]:
        axes.set_xlabel("position of teff_2 in its cell (0, 1: nodes)")
    return figure


def errors_by_place(
    axes: Axes, stars: Sequence[Trial], setting: str, name: str, marker: str, colour: str
) -> None:
    """Draw posterior mean (or optimum) minus truth against the position in the cell."""
    position = position_in_cell(estimates(stars, setting, "teff_2")[0])
    truth, mean, sd = estimates(stars, setting, name)
    axes.axhline(0, color="0.5", lw=0.8)
    x = position + (0.008 if "without" in setting else -0.008)
    axes.errorbar(x, mean - truth, sd if sd.any() else None, fmt=marker, ms=4, lw=0.6, color=colour)


def main(options: Options) -> None:
    """Run the missing trials, print the tables, and draw the figure."""
    size, folder = SMALL if options.small else FULL, options.folder
    if not options.report:
        make_store(folder, demo_library(size.teff, size.feh))
        numbers = [5 * k % size.stars for k in range(size.stars)]  # evenly spread if interrupted
        stars = [{"name": f"{number:03d}"} for number in numbers]
        for run_one, name in ((fit_exact, "exact"), (fit_star, "results")):
            run_trials(stars, partial(run_one, size, folder), folder / f"{name}.jsonl",
                       options.processes)  # fmt: skip
    noisy = read_results(folder / "results.jsonl")
    exact = read_results(folder / "exact.jsonl")
    print(report(noisy, exact))
    draw_grid_bias(noisy, exact).savefig(folder / "grid_bias.png", dpi=90)


if __name__ == "__main__":
    main(read_options("grid_bias", __doc__.split("\n")[0]))
