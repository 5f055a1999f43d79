"""Coverage of the credible intervals: fits of simulated stars drawn from the prior of the fit.

``python -m validation.calibration [--small] [--processes N] [--out FOLDER] [--report]``: each star
is fitted twice, with and without the emulator's error in the covariance. If the posterior is
correct, the rank of the truth among the samples is uniform from 0 to 1 (Talts et al. 2018,
arXiv:1804.06788). An interrupted run continues where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from mixjobs.inference.optimum import find_optimum
from mixjobs.inference.priors import Normal, Uniform
from mixjobs.typing import Floats
from validation.sampling import posterior
from validation.simulated_stars import demo_library, make_fit, make_store, observe
from validation.trials import Options, Trial, read_options, read_results, run_trials

SETTINGS = {"on": True, "off": False}  # the emulator's error in the covariance
BINS = 10
COLOURS = {"on": "tab:blue", "off": "tab:red"}
LABELS = {"teff_1": "Teff 1", "teff_2": "Teff 2", "feh": "[Fe/H]", "ln_noise": "ln noise"}


@dataclass(frozen=True)
class Size:
    """Number of stars and steps, and the grid."""

    stars: int
    steps: int
    teff: tuple[int, ...] = tuple(range(3900, 6301, 300))
    feh: tuple[float, ...] = (-0.5, 0.0, 0.5)
    noise: float = 1 / 200
    orders: int = 2
    fixed: tuple[tuple[str, float], ...] = ()


FULL = Size(100, 500)
SMALL = Size(
    1, 15, teff=(5400, 5700, 6000), orders=1,
    fixed=(("feh", 0.0), ("vsini", 8.0), ("rv", 5.0), ("ln_noise", 0.0)),
)  # fmt: skip


def fit_star(size: Size, folder: Path, trial: Trial) -> Trial:
    """Draw a star, observe it, and fit it with and without the emulator's error."""
    seed = int(trial["name"])
    library = demo_library(size.teff, size.feh)
    store = make_store(folder, library)
    priors = {
        "teff_1": Uniform(size.teff[0], size.teff[-1]),
        "teff_2": Uniform(size.teff[0], size.teff[-1]),
        "feh": Uniform(size.feh[0], size.feh[-1]), "vsini": Uniform(0, 25),
        "rv": Uniform(-30, 30), "c": Uniform(0, 1), "ln_noise": Normal(0, 0.5),
    }  # fmt: skip
    rng = np.random.default_rng([seed, 20])
    prior = make_fit(store, [], priors, settings=dict(size.fixed)).parameters
    star = dict(zip(prior.names, prior.draw(rng, 1)[0], strict=True))
    truth = dict(size.fixed) | star
    orders = observe(library, truth, size.noise, rng, np.exp(truth["ln_noise"]))[: size.orders]
    fits = {}
    best = find_optimum(make_fit(store, orders, priors, False, dict(size.fixed)), seed)
    for name, emulator_error in SETTINGS.items():
        start_time = time.perf_counter()
        fit = make_fit(store, orders, priors, emulator_error, dict(size.fixed))
        sampled = posterior(fit, best, seed, 32, size.steps)
        samples = sampled.samples
        theta = np.array(list(star.values()))
        fits[name] = summary(samples, theta) | {
            "density": float((fit(samples[:: len(samples) // 300]) < fit(theta)).mean()),
            "effective": len(samples) / sampled.tau, "seconds": time.perf_counter() - start_time,
        }  # fmt: skip
    return trial | {"star": star, "fits": fits}


def summary(samples: Floats, truth: Floats) -> dict[str, Any]:
    """Rank of the truth among the samples (0 to 1), mean and standard deviation."""
    statistics = {
        "rank": (samples < truth).mean(axis=0), "mean": samples.mean(axis=0),
        "sd": samples.std(axis=0),
    }  # fmt: skip
    return {name: values.tolist() for name, values in statistics.items()}


def ranks(stars: Sequence[Trial], setting: str) -> Floats:
    """Ranks of all stars and parameters, (n_stars, P)."""
    return np.array([star["fits"][setting]["rank"] for star in stars])


def report(stars: Sequence[Trial]) -> str:
    """Write the coverage of the central intervals with its binomial error, and tests of the ranks.

    The last rows are for the joint region of highest density: the truth is inside the 68 % region
    when its density exceeds that of 32 % of the samples. Error / sd is 1.48 times the median of
    |mean - truth| / sd. It is 1 where errors are normal and correctly stated, and robust against a
    fit that lies in a different mode from the truth.
    """
    head = "| parameter | emulator term | in 68 % | in 95 % | KS p | chi² p | error / sd |"
    lines = [efforts(stars), "", head, "|---|---|---|---|---|---|---|"]
    for p, name in enumerate(stars[0]["star"]):
        for setting in SETTINGS:
            u = ranks(stars, setting)[:, p]
            fits = [(r["star"][name], r["fits"][setting]) for r in stars]
            z = np.array([(fit["mean"][p] - truth) / fit["sd"][p] for truth, fit in fits])
            lines += [
                row(name, setting, u, np.abs(2 * u - 1), f"{1.48 * np.median(np.abs(z)):.2f}")
            ]
    for setting in SETTINGS:
        u = np.array([result["fits"][setting]["density"] for result in stars])
        lines += [row("all together", setting, u, 1 - u, "")]
    return "\n".join(lines)


def row(name: str, setting: str, u: Floats, level_of_truth: Floats, last: str) -> str:
    """Write one row; `level_of_truth` is the smallest level whose interval contains the truth."""
    chi2 = stats.chisquare(np.histogram(u, BINS, (0, 1))[0]).pvalue
    cells = [
        name, setting, *(covered(level_of_truth < level) for level in (0.68, 0.95)),
        f"{stats.kstest(u, 'uniform').pvalue:.2g}", f"{chi2:.2g}", last,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def covered(inside: NDArray[np.bool_]) -> str:
    """Write a fraction in per cent, with its binomial error."""
    p, n = inside.mean(), len(inside)
    return f"{100 * p:.0f} ± {100 * np.sqrt(max(p * (1 - p), 1 / n**2) / n):.0f}"


def efforts(stars: Sequence[Trial]) -> str:
    """Write one line on effective samples and time."""
    fits = [fit for result in stars for fit in result["fits"].values()]
    effective = [fit["effective"] for fit in fits]
    return (
        f"{len(stars)} stars; effective samples of the slowest parameter: median "
        f"{np.median(effective):.0f}, minimum {min(effective):.0f}; "
        f"{np.median([fit['seconds'] for fit in fits]):.0f} s per fit"
    )


def draw_ranks(stars: Sequence[Trial]) -> Figure:
    """Draw histograms of the rank of the truth: one row with the emulator's term, one without."""
    names = list(stars[0]["star"])
    figure = Figure(figsize=(1.7 * len(names), 4.2), layout="constrained")
    rows = figure.subplots(2, len(names), sharex=True, sharey=True)
    low, high = stats.binom.ppf([0.005, 0.995], len(stars), 1 / BINS)
    for row, setting in zip(rows, SETTINGS, strict=True):
        u = ranks(stars, setting)
        for p, (axes, name) in enumerate(zip(row, names, strict=True)):
            axes.axhspan(low, high, color="0.88")
            axes.axhline(len(stars) / BINS, color="0.5", lw=0.8)
            counts, edges = np.histogram(u[:, p], BINS, (0, 1))
            axes.stairs(counts, edges, color=COLOURS[setting], fill=True, alpha=0.8)
            axes.set_title(LABELS.get(name, name), fontsize=10)
        row[0].set_ylabel(f"stars, emulator term {setting}")
    figure.supxlabel("rank of the truth among the samples", fontsize=10)
    return figure


def main(options: Options) -> None:
    """Run the missing trials, print the table, and draw the figure."""
    size = SMALL if options.small else FULL
    path = options.folder / "results.jsonl"
    if not options.report:
        make_store(options.folder, demo_library(size.teff, size.feh))
        stars = [{"name": f"{seed:03d}"} for seed in range(size.stars)]
        run_trials(stars, partial(fit_star, size, options.folder), path, options.processes)
    results = read_results(path)
    print(report(results))
    draw_ranks(results).savefig(options.folder / "calibration_ranks.png", dpi=90)


if __name__ == "__main__":
    main(read_options("calibration", __doc__.split("\n")[0]))
