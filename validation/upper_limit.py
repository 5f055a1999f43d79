"""Coverage and depth of the 95 % upper limit on c.

``python -m validation.upper_limit [--small] [--processes N] [--out FOLDER] [--report]``: stars of
the demo library with a small filling factor of a 4400 K component, or none. The limit is the 95th
percentile of the marginal posterior of c, with a uniform prior from 0 to 1. An interrupted run
continues where it stopped.
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

from mixjobs.demo.library import DemoLibrary
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.priors import Normal, Prior, Uniform
from mixjobs.typing import Floats
from validation.importance import weighted_samples
from validation.sampling import posterior
from validation.simulated_stars import demo_library, make_fit, make_store, observe
from validation.trials import Options, Trial, read_options, read_results, run_trials, select, table

TEFF, FEH = tuple(range(3900, 6301, 300)), (-0.5, 0.0, 0.5)
TEFF_2 = 4400.0  # K; between the grid's 4200 and 4500 K
PRIORS: dict[str, Prior] = {
    "teff_1": Uniform(5000, 6200), "feh": Uniform(-0.5, 0.5), "vsini": Uniform(2, 20),
    "rv": Uniform(-30, 30), "c": Uniform(0, 1), "ln_noise": Normal(0, 1),
}  # fmt: skip
# Prior on the temperature of component 2, by its label in the tables
FIXED, COOL, ANY = "fixed at 4400 K", "3900 to 4900 K", "below Teff_1"
TEFF_2_PRIORS = {FIXED: TEFF_2, COOL: Uniform(3900, 4900), ANY: Uniform(3900, 6200)}
FRACTIONS, RATIOS = (0.01, 0.03, 0.1), (30, 100, 300)
N_STARS, FREE = 50, 8  # stars of each kind; every 8th is also fitted with Teff_2 free
WALKERS, STEPS = 32, 400
LABELLED = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # on the figure's axes
MIN_EFFECTIVE = 200  # below this many independent samples, run a chain instead
KIND = ("c", "teff_2", "ratio", "error")
Kind = tuple[float, int, str, bool]  # true c, S/N, prior on Teff_2, emulator's error


def kinds(seed: int) -> list[Kind]:
    """Return the kinds of trials of one seed."""
    all_kinds: list[Kind] = [(c, 100, FIXED, True) for c in FRACTIONS]
    if seed % 2:
        all_kinds += [
            (0.03, 300, FIXED, True),
            (0.03, 300, FIXED, False),
            (0.0, 300, FIXED, False),
        ]
    else:
        all_kinds += [(0.0, ratio, FIXED, True) for ratio in RATIOS]
    if seed % FREE == 1:
        all_kinds += [(0.0, 100, COOL, True), (0.0, 100, ANY, True)]
    return all_kinds


def trials(small: bool) -> Iterator[Trial]:
    """Yield all trials; any number of them is balanced between the kinds."""
    for seed in range(1 if small else N_STARS):
        for c, ratio, teff_2, error in kinds(seed)[2:4] if small else kinds(seed):
            yield {"seed": seed, "c": c, "ratio": ratio, "teff_2": teff_2, "error": error}


def star_of(trial: Trial) -> tuple[dict[str, float], np.random.Generator]:
    """Draw a star from the priors; component 2 is fixed."""
    rng = np.random.default_rng([trial["seed"], round(1000 * trial["c"]), trial["ratio"]])
    star = {
        name: float(PRIORS[name].quantile(rng.random(1))[0])
        for name in ("teff_1", "feh", "vsini", "rv")
    }
    return star | {"teff_2": TEFF_2, "c": trial["c"], "ln_noise": 0.0}, rng


def library_of(small: bool) -> DemoLibrary:
    """Return the demo library: nine temperatures and three metallicities."""
    return demo_library(TEFF[::4] if small else TEFF, FEH)


def simulate(folder: Path, small: bool, trial: Trial) -> tuple[LogProbability, Floats]:
    """Simulate a star; return its log-probability and the truth (P,)."""
    library = library_of(small)
    store = make_store(folder, library)
    star, rng = star_of(trial)
    orders = observe(library, star, 1 / trial["ratio"], rng)
    settings: dict[str, Any] = {"teff_2": TEFF_2_PRIORS[trial["teff_2"]]}
    orders = orders[: 1 if small else None]
    target = make_fit(store, orders, PRIORS, trial["error"], settings=settings)
    return target, np.array([star[name] for name in target.names])


def sample(
    target: LogProbability, truth: Floats, trial: Trial, small: bool
) -> tuple[Floats, float]:
    """Return samples (n, P), and the number of independent samples that they are worth.

    Both methods start at the truth: the posterior has one mode, so no search is needed. Where
    Teff_2 is free the posterior is far from normal, and a chain is run.
    """
    start = truth
    if trial["teff_2"] == FIXED:
        inside = truth + 0.02 * (np.array(target.names) == "c")
        samples, effective = weighted_samples(target, inside, trial["seed"], 60 if small else 1200)
        if small or effective > MIN_EFFECTIVE:
            return samples, effective
        start = samples[0]
    chain = posterior(target, start, trial["seed"], WALKERS, STEPS)
    return chain.samples, len(chain.samples) / chain.tau


def limit(folder: Path, small: bool, trial: Trial) -> Trial:
    """Run one trial: the limit, and the position of the truth in the posterior."""
    start_time = time.perf_counter()
    target, truth = simulate(folder, small, trial)
    samples, effective = sample(target, truth, trial, small)
    c = samples[:, target.names.index("c")]
    noise = samples[:, target.names.index("ln_noise")]
    return trial | {
        "limit": float(np.quantile(c, 0.95)), "median": float(np.median(c)), "sd": float(c.std()),
        "below": float((c <= trial["c"]).mean()), "ln_noise": float(noise.mean()),
        "effective": effective, "seconds": time.perf_counter() - start_time,
    }  # fmt: skip


def report(results: Sequence[Trial]) -> str:
    """Write two tables: coverage, and limits for stars without a component 2."""
    coverage, single = [], []
    for kind in sorted({tuple(t[name] for name in KIND) for t in results}, key=str):
        named = dict(zip(KIND, kind, strict=True))
        group = select(results, **named)
        c, limits = named["c"], np.array([t["limit"] for t in group])
        low, middle, high = np.quantile(limits, [0.16, 0.5, 0.84])
        cells = [str(named["ratio"]), "on" if named["error"] else "off"]
        quantiles = [f"{middle:.4f}", f"{low:.4f} to {high:.4f}"]
        if not c:
            single.append([named["teff_2"], *cells, str(len(group)), *quantiles])
            continue
        inside = int((limits >= c).sum())
        least, most = binomial(inside, len(group))
        rate = f"{inside} of {len(group)}: {inside / len(group):.2f} ({least:.2f} to {most:.2f})"
        sd = float(np.median([t["sd"] for t in group]))
        coverage.append([f"{c:g}", *cells, rate, f"{expected(c, sd):.3f}", *quantiles, f"{sd:.4f}"])
    names = ("S/N", "emulator term")
    limits_of = ("median limit", "68 % of limits")
    first = (
        "true c", *names, "limit above the truth (68 %)", "expected", *limits_of, "median σ of c"
    )  # fmt: skip
    second = ("Teff_2 in the fit", *names, "trials", *limits_of)
    return f"{table(first, coverage)}\n\n{table(second, single)}"


def expected(c: float, sd: float) -> float:
    """Return the coverage of this limit if c >= 0 is measured with normal errors."""
    normal = np.linspace(-8, 8, 20001)
    measured = c / sd + normal
    limits = measured + ndtri(1 - 0.05 * ndtr(measured))
    density = np.exp(-0.5 * normal**2)
    return float(density[limits >= c / sd].sum() / density.sum())


def binomial(inside: int, n: int) -> tuple[float, float]:
    """Return the 68 % interval of a rate, from `inside` successes in n (Jeffreys' prior)."""
    low, high = beta.ppf([0.16, 0.84], inside + 0.5, n - inside + 0.5)
    return float(low), float(high)


def figure(results: Sequence[Trial], path: Path) -> None:
    """Draw the limits against the truth, and against S/N for stars without a component 2."""
    mpl.use("agg")
    from matplotlib import pyplot as plt

    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    draw_coverage(left, [t for t in results if t["c"] and t["ratio"] == 100])
    draw_limits(right, [t for t in results if not t["c"] and t["error"]])
    fig.savefig(path, dpi=130)
    plt.close(fig)


def draw_coverage(axis: Any, results: Sequence[Trial]) -> None:
    """Draw the limits of stars with two components."""
    x = [t["c"] * 1.006 ** (t["seed"] - N_STARS / 2) for t in results]
    colours = ["C0" if t["limit"] >= t["c"] else "C3" for t in results]
    axis.scatter(x, [t["limit"] for t in results], s=8, c=colours)
    axis.plot([0.006, 0.15], [0.006, 0.15], "k-", lw=0.8, label="the truth")
    axis.set(xscale="log", yscale="log", xlabel="true c", ylabel="95 % upper limit on c")
    axis.set_xticks(FRACTIONS, [f"{c:g}" for c in FRACTIONS])
    axis.set_yticks(LABELLED, [f"{c:g}" for c in LABELLED])
    axis.minorticks_off()
    axis.set_title("S/N = 100; red: the limit is below the truth", fontsize=8)
    axis.legend(fontsize=8)


def draw_limits(axis: Any, results: Sequence[Trial]) -> None:
    """Draw the limits of stars without a component 2."""
    for k, teff_2 in enumerate(TEFF_2_PRIORS):
        group = select(results, teff_2=teff_2)
        if not group:
            continue
        ratios = sorted({t["ratio"] for t in group})
        middle = [np.median([t["limit"] for t in select(group, ratio=r)]) for r in ratios]
        x = [t["ratio"] * 1.06**k for t in group]
        axis.scatter(x, [t["limit"] for t in group], s=8, color=f"C{k}", label=f"Teff_2 {teff_2}")
        axis.plot(np.array(ratios) * 1.06**k, middle, color=f"C{k}", lw=1, marker="_", ms=14)
        axis.set(xscale="log", yscale="log", xlabel="S/N per pixel")
        axis.legend(fontsize=7)
    axis.set_xticks(RATIOS, [str(ratio) for ratio in RATIOS])
    axis.set_yticks(LABELLED, [f"{c:g}" for c in LABELLED])
    axis.minorticks_off()
    axis.set_title("one component: the limits and their median", fontsize=8)


def main(options: Options) -> None:
    """Run the missing trials, print the tables, and draw the figure."""
    path = options.folder / "trials.jsonl"
    if not options.report:
        make_store(options.folder, library_of(options.small))
        run_one = partial(limit, options.folder, options.small)
        run_trials(list(trials(options.small)), run_one, path, options.processes)
    results = read_results(path)
    print(report(results))
    figure(results, options.folder / "upper_limit.png")


if __name__ == "__main__":
    main(read_options("upper_limit", __doc__.split("\n")[0]))
