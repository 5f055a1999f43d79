"""The Bayes factor of one component over two: three limits, and a longer chain.

``python -m validation.bayes_factor [--small] [--processes N] [--out FOLDER] [--report]``: stars of
the demo library, single or with a filling factor of 0.2. The factor comes from Savage-Dickey ratios
in three limits: from a chain of two ensembles, and from another of four times its length.
An interrupted run continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from mixjobs.inference.bayes_factor import BayesFactor
from mixjobs.inference.model_comparison import posterior_bayes_factor
from mixjobs.inference.preparation import compressed_near
from mixjobs.inference.priors import Prior, Uniform
from mixjobs.inference.segments import Chain
from validation.sampling import ensemble
from validation.simulated_stars import demo_library, make_fit, make_store, observe
from validation.trials import Options, Trial, read_options, read_results, run_trials, table

TEFF, FEH = tuple(range(3900, 6301, 300)), (-0.5, -0.25, 0.0, 0.25, 0.5)
SNR, N_STARS = 100, 3  # of each kind
FRACTIONS = {"single": 0.0, "double": 0.2}
PRIORS: dict[str, Prior] = {
    "teff_1": Uniform(3900, 6300), "teff_2": Uniform(3900, 6300), "feh": Uniform(-0.5, 0.5),
    "vsini": Uniform(2, 20), "rv": Uniform(-30, 30), "c": Uniform(0, 1),
}  # fmt: skip
LIMITS = ("c -> 0", "c -> 1", "equal teff")
WALKERS, STEPS, LONGER = 32, 1500, 4


def trials(small: bool) -> Iterator[Trial]:
    """Yield the stars of each kind."""
    for seed in range(1 if small else N_STARS):
        for kind in FRACTIONS:
            yield {"seed": seed, "kind": kind}


def run_star(folder: Path, small: bool, trial: Trial) -> Trial:
    """Simulate a star, and estimate the Bayes factor from two chains."""
    library = demo_library(TEFF[::2] if small else TEFF, FEH[::2] if small else FEH)
    rng = np.random.default_rng([trial["seed"], len(trial["kind"])])
    teff_1 = rng.uniform(5000, 5900)
    star = {
        "teff_1": teff_1, "teff_2": teff_1 - 900, "feh": rng.uniform(-0.2, 0.2),
        "vsini": rng.uniform(4, 10), "rv": rng.uniform(-10, 10), "c": FRACTIONS[trial["kind"]],
        "ln_noise": 0.0,
    }  # fmt: skip
    orders = observe(library, star, 1 / SNR, rng)
    exact = make_fit(make_store(folder, library), orders, PRIORS, settings={"ln_noise": 0.0})
    start = np.array([star[name] + 0.02 * (name == "c") for name in exact.names])
    target = compressed_near(exact, start)
    results = []
    for longer in (1, LONGER):
        steps = 40 if small else STEPS * longer
        samplers = [
            ensemble(target, target.parameters.bounds, start, seed, WALKERS, steps)
            for seed in (longer, 100 + longer)
        ]
        positions = np.stack([sampler.get_chain() for sampler in samplers])
        heights = np.stack([sampler.get_log_prob() for sampler in samplers])
        chain = Chain(positions, heights, heights[..., None], np.ones(heights.shape[:2], int))
        factor = posterior_bayes_factor(target, chain)
        results.append({"factor": factor if isinstance(factor, str) else asdict(factor)})
    return trial | {"star": star, "results": results}


def report(results: Sequence[Trial]) -> str:
    """Write a row for each star and chain."""
    rows = []
    for star in sorted(results, key=lambda result: (result["kind"], result["seed"])):
        for name, result in zip(("chain", "longer chain"), star["results"], strict=True):
            kind = f"{star['kind']}, teff_1 {star['star']['teff_1']:.0f}"
            if isinstance(result["factor"], str):
                rows.append([kind, name, *[""] * len(LIMITS), result["factor"]])
                continue
            factor = BayesFactor.from_dict(result["factor"])
            of_limit = {e.limit: _value(e.ln, e.error) for e in factor.estimates}
            cells = [of_limit.get(limit, "") for limit in LIMITS]
            rows.append([kind, name, *cells, _value(factor.ln, factor.error)])
    return table(["star", "", *LIMITS, "ln B"], rows)


def _value(ln: float, error: float | None) -> str:
    return f"< {ln:.2f}" if error is None else f"{ln:.2f} ± {error:.2f}"


def main(options: Options) -> None:
    """Run the missing stars, and print the table."""
    path = options.folder / "results.jsonl"
    if not options.report:
        run_one = partial(run_star, options.folder, options.small)
        run_trials(list(trials(options.small)), run_one, path, options.processes)
    print(report(read_results(path)))


if __name__ == "__main__":
    main(read_options("bayes_factor", __doc__.split("\n")[0]))
