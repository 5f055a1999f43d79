"""Evidence 4: is the 95 % upper limit on c one, and how low does it get?

Stars of the demo generator with a small fraction c, or none, of 4400 K. The limit is the 95th
percentile of the posterior of c with the prior uniform from 0 to 1, all else marginalised.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import beta

from benchmarks.importance import weighted_samples
from benchmarks.simulated import demo_library, make_fit, make_store, observe
from benchmarks.trials import (
    Options,
    Trial,
    chosen,
    posterior,
    read_options,
    results,
    run_trials,
    table,
)
from mixjobs.demo.library import DemoLibrary
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.priors import Normal, Prior, Uniform
from mixjobs.typing import Floats

TEFF, FEH = tuple(range(3900, 6301, 300)), (-0.5, 0.0, 0.5)
TEFF_2 = 4400.0  # of the companion, between the grid's 4200 and 4500 K
PRIORS: dict[str, Prior] = {
    "teff_1": Uniform(5000, 6200), "feh": Uniform(-0.5, 0.5), "vsini": Uniform(2, 20),
    "rv": Uniform(-30, 30), "c": Uniform(0, 1), "ln_noise": Normal(0, 1),
}  # fmt: skip
# What the fit knows of the companion's temperature.
FIXED, COOL, ANY = "fixed at 4400 K", "3900 to 4900 K", "below Teff_1"
TEFF_2_PRIORS = {FIXED: TEFF_2, COOL: Uniform(3900, 4900), ANY: Uniform(3900, 6200)}
FRACTIONS, RATIOS = (0.01, 0.03, 0.1), (30, 100, 300)
TRIALS, FREE = 50, 8  # stars of each kind; every 8th is fitted with Teff_2 unknown too
WALKERS, STEPS = 32, 400
LABELLED = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # on the figure's axes
LEAST = 200  # independent samples that weights must be worth; else a chain
KIND = ("c", "teff_2", "ratio", "error")
Kind = tuple[float, int, str, bool]  # true c, signal to noise, Teff_2 in the fit, emulator's error


def kinds(seed: int) -> list[Kind]:
    """What is done with the stars of one seed."""
    found: list[Kind] = [(c, 100, FIXED, True) for c in FRACTIONS]
    if seed % 2:
        found += [(0.03, 300, FIXED, True), (0.03, 300, FIXED, False), (0.0, 300, FIXED, False)]
    else:
        found += [(0.0, ratio, FIXED, True) for ratio in RATIOS]
    if seed % FREE == 1:
        found += [(0.0, 100, COOL, True), (0.0, 100, ANY, True)]
    return found


def trials(small: bool) -> Iterator[Trial]:
    """All trials, in turn, so that any number of them is balanced."""
    for seed in range(1 if small else TRIALS):
        for c, ratio, known, error in kinds(seed)[2:4] if small else kinds(seed):
            yield {"seed": seed, "c": c, "ratio": ratio, "teff_2": known, "error": error}


def star_of(trial: Trial) -> tuple[dict[str, float], np.random.Generator]:
    """Draw a star from the priors, all but its companion."""
    rng = np.random.default_rng([trial["seed"], round(1000 * trial["c"]), trial["ratio"]])
    star = {
        name: float(PRIORS[name].quantile(rng.random(1))[0])
        for name in ("teff_1", "feh", "vsini", "rv")
    }
    return star | {"teff_2": TEFF_2, "c": trial["c"], "ln_noise": 0.0}, rng


def library_of(small: bool) -> DemoLibrary:
    """The demo library: nine temperatures and three metallicities."""
    return demo_library(TEFF[::4] if small else TEFF, FEH)


def simulate(folder: Path, small: bool, trial: Trial) -> tuple[LogProbability, Floats]:
    """Simulate a star; return what is to be sampled, and the truth, (P,)."""
    library = library_of(small)
    store = make_store(folder, library, {})
    star, rng = star_of(trial)
    orders = observe(library, star, 1 / trial["ratio"], rng)
    known = TEFF_2_PRIORS[trial["teff_2"]]
    fixed: dict[str, Any] = {"teff_2": known}
    target = make_fit(store, orders[: 1 if small else None], PRIORS, trial["error"], settings=fixed)
    return target, np.array([star[name] for name in target.names])


def sample(
    target: LogProbability, truth: Floats, trial: Trial, small: bool
) -> tuple[Floats, float]:
    """Samples (n, P), and how many independent ones they are worth.

    From where the star is: no search is needed to find the one region of probability. By a chain
    where Teff_2 is free, for that posterior is far from normal.
    """
    start = truth
    if trial["teff_2"] == FIXED:
        inside = truth + 0.02 * (np.array(target.names) == "c")
        found = weighted_samples(target, inside, trial["seed"], 60 if small else 1200)
        if small or found[1] > LEAST:
            return found
        start = found[0][0]
    chain = posterior(target, start, trial["seed"], WALKERS, STEPS)
    return chain.samples, len(chain.samples) / chain.tau


def limit(folder: Path, small: bool, trial: Trial) -> Trial:
    """Run one trial: the limit, and where the truth lies in the posterior."""
    begun = time.perf_counter()
    target, truth = simulate(folder, small, trial)
    samples, effective = sample(target, truth, trial, small)
    c = samples[:, target.names.index("c")]
    noise = samples[:, target.names.index("ln_noise")]
    return trial | {
        "limit": float(np.quantile(c, 0.95)), "median": float(np.median(c)), "sd": float(c.std()),
        "below": float((c <= trial["c"]).mean()), "ln_noise": float(noise.mean()),
        "effective": effective, "seconds": time.perf_counter() - begun,
    }  # fmt: skip


def report(found: Sequence[Trial]) -> str:
    """Write the tables: coverage, and limits without a companion."""
    coverage, without = [], []
    for kind in sorted({tuple(t[name] for name in KIND) for t in found}, key=str):
        named = dict(zip(KIND, kind, strict=True))
        some = chosen(found, **named)
        c, limits = named["c"], np.array([t["limit"] for t in some])
        low, middle, high = np.quantile(limits, [0.16, 0.5, 0.84])
        cells = [str(named["ratio"]), "on" if named["error"] else "off"]
        spread = [f"{middle:.4f}", f"{low:.4f} to {high:.4f}"]
        if not c:
            without.append([named["teff_2"], *cells, str(len(some)), *spread])
            continue
        inside = int((limits >= c).sum())
        least, most = binomial(inside, len(some))
        rate = f"{inside} of {len(some)}: {inside / len(some):.2f} ({least:.2f} to {most:.2f})"
        sd = float(np.median([t["sd"] for t in some]))
        coverage.append([f"{c:g}", *cells, rate, f"{expected(c, sd):.3f}", *spread, f"{sd:.4f}"])
    names = ("S/N", "emulator term")
    limits_of = ("median limit", "68 % of limits")
    first = (
        "true c",
        *names,
        "limit above the truth (68 %)",
        "expected",
        *limits_of,
        "median σ of c",
    )
    second = ("Teff_2 in the fit", *names, "trials", *limits_of)
    return f"{table(first, coverage)}\n\n{table(second, without)}"


def expected(c: float, sd: float) -> float:
    """Coverage that this limit has where c is measured with normal errors, and is not below 0."""
    normal = np.linspace(-8, 8, 20001)
    measured = c / sd + normal
    limits = measured + ndtri(1 - 0.05 * ndtr(measured))
    density = np.exp(-0.5 * normal**2)
    return float(density[limits >= c / sd].sum() / density.sum())


def binomial(inside: int, n: int) -> tuple[float, float]:
    """Interval of 68 % of a rate of which `inside` of n were seen (Jeffreys' prior)."""
    low, high = beta.ppf([0.16, 0.84], inside + 0.5, n - inside + 0.5)
    return float(low), float(high)


def figure(found: Sequence[Trial], path: Path) -> None:
    """Draw the limits against the truth, and against signal to noise without a companion."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    draw_coverage(left, [t for t in found if t["c"] and t["ratio"] == 100])
    draw_limits(right, [t for t in found if not t["c"] and t["error"]])
    fig.savefig(path, dpi=130)
    plt.close(fig)


def draw_coverage(axis: Any, found: Sequence[Trial]) -> None:
    """Draw the limits of stars with a companion."""
    x = [t["c"] * 1.006 ** (t["seed"] - TRIALS / 2) for t in found]
    colours = ["C0" if t["limit"] >= t["c"] else "C3" for t in found]
    axis.scatter(x, [t["limit"] for t in found], s=8, c=colours)
    axis.plot([0.006, 0.15], [0.006, 0.15], "k-", lw=0.8, label="the truth")
    axis.set(xscale="log", yscale="log", xlabel="true c", ylabel="95 % upper limit on c")
    axis.set_xticks(FRACTIONS, [f"{c:g}" for c in FRACTIONS])
    axis.set_yticks(LABELLED, [f"{c:g}" for c in LABELLED])
    axis.minorticks_off()
    axis.set_title("signal to noise 100; red: the limit is below the truth", fontsize=8)
    axis.legend(fontsize=8)


def draw_limits(axis: Any, found: Sequence[Trial]) -> None:
    """Draw the limits of stars without one."""
    for k, known in enumerate(TEFF_2_PRIORS):
        some = chosen(found, teff_2=known)
        if not some:
            continue
        ratios = sorted({t["ratio"] for t in some})
        middle = [np.median([t["limit"] for t in chosen(some, ratio=r)]) for r in ratios]
        x = [t["ratio"] * 1.06**k for t in some]
        axis.scatter(x, [t["limit"] for t in some], s=8, color=f"C{k}", label=f"Teff_2 {known}")
        axis.plot(np.array(ratios) * 1.06**k, middle, color=f"C{k}", lw=1, marker="_", ms=14)
        axis.set(xscale="log", yscale="log", xlabel="signal to noise of a pixel")
        axis.legend(fontsize=7)
    axis.set_xticks(RATIOS, [str(ratio) for ratio in RATIOS])
    axis.set_yticks(LABELLED, [f"{c:g}" for c in LABELLED])
    axis.minorticks_off()
    axis.set_title("no companion: the limits, and their median", fontsize=8)


def main(options: Options) -> None:
    """Run the trials, and print the tables."""
    path = options.out / "trials.jsonl"
    if not options.report:
        make_store(options.out, library_of(options.small), {})
        one = partial(limit, options.out, options.small)
        run_trials(list(trials(options.small)), one, path, options.processes)
    found = results(path)
    print(report(found))
    figure(found, options.out / "upper_limit.png")


if __name__ == "__main__":
    main(read_options("upper_limit", __doc__.split("\n")[0]))
