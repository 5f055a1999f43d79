"""Joint coverage of full posteriors, of several orders and of several epochs.

``python -m validation.joint_posteriors [--small] [--processes N] [--out FOLDER] [--report]``: stars
of the demo library, whose true spectra do not come from the emulator, with two to sixteen orders,
or with two orders in three epochs. The joint 68 % region contains the truth if its density exceeds
that of 32 % of the samples. An interrupted run continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mixjobs.inference.preparation import compressed_near
from mixjobs.inference.priors import Normal, Prior, Uniform
from validation.calibration import covered
from validation.sampling import posterior
from validation.simulated_stars import PARAMETERS, demo_library, make_fit, make_store, observe
from validation.trials import Options, Trial, read_options, read_results, run_trials, table

RANGES = {m: (6002.0 + 14 * (m - 1), 6002.0 + 14 * m) for m in range(1, 17)}
N_LIBRARY = 15_600
SNR = 200
KINDS = {  # numbers of orders and epochs
    "16 orders": (16, 1), "4 orders": (4, 1), "2 orders": (2, 1), "2 orders x 3 epochs": (2, 3),
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """Number of stars and steps, and the grid."""

    stars: int
    steps: int
    teff: tuple[int, ...] = tuple(range(3900, 6301, 300))
    feh: tuple[float, ...] = (-0.5, -0.25, 0.0, 0.25, 0.5)


FULL, SMALL = Size(250, 600), Size(1, 15, teff=(5100, 5400, 5700, 6000), feh=(-0.5, 0.0, 0.5))


def trials(size: Size) -> Iterator[Trial]:
    """Yield the stars of every kind, in turn."""
    for seed in range(size.stars):
        for kind in KINDS:
            yield {"seed": seed, "kind": kind}


def fit_star(size: Size, folder: Path, trial: Trial) -> Trial:
    """Draw a star, observe it, and sample its posterior from the truth."""
    n_orders, n_epochs = KINDS[trial["kind"]]
    library = demo_library(size.teff, size.feh, N_LIBRARY)
    store = make_store(folder, library, RANGES)
    rng = np.random.default_rng([trial["seed"], n_epochs])
    teff_2, teff_1 = np.sort(rng.uniform(size.teff[1], size.teff[-2], 2))
    values = teff_1, teff_2, rng.uniform(-0.25, 0.25), rng.uniform(4, 15)
    star = dict(
        zip(PARAMETERS, (*values, rng.uniform(-20, 20), rng.uniform(0.1, 0.5)), strict=True)
    )
    ranges = {number: RANGES[number] for number in range(1, n_orders + 1)}
    orders = [
        order
        for epoch in range(n_epochs)
        for order in observe(library, star, 1 / SNR, rng, ranges=ranges, epoch=epoch)
    ]
    teff = Uniform(size.teff[0], size.teff[-1])
    priors: dict[str, Prior] = {
        "teff_1": teff, "teff_2": teff, "feh": Uniform(-0.5, 0.5), "vsini": Uniform(0, 25),
        "rv": Uniform(-30, 30), "c": Uniform(0, 1), "ln_noise": Normal(0, 0.5),
    }  # fmt: skip
    exact = make_fit(store, orders, priors)
    truth = np.array([star.get(name, 0.0) for name in exact.names])
    fit = compressed_near(exact, truth)
    sampled = posterior(fit, truth, trial["seed"], 32, size.steps)
    some = sampled.samples[:: max(1, len(sampled.samples) // 400)]
    return trial | {
        "star": star,
        "density": float((fit(some) < fit(truth)).mean()),
        "rank": dict(zip(fit.names, (sampled.samples < truth).mean(axis=0).tolist(), strict=True)),
        "effective": len(sampled.samples) / sampled.tau,
    }


def report(results: Sequence[Trial]) -> str:
    """Write a row for each kind: all parameters together, and each of them."""
    rows = []
    for kind in KINDS:
        stars = [result for result in results if result["kind"] == kind]
        if not stars:
            continue
        inside = {"together": np.array([1 - star["density"] for star in stars])}
        for name in PARAMETERS:
            inside[name] = np.abs(2 * np.array([star["rank"][name] for star in stars]) - 1)
        cells = [
            ", ".join(covered(values < level) for level in (0.68, 0.95))
            for values in inside.values()
        ]
        effective = f"{np.median([star['effective'] for star in stars]):.0f}"
        rows.append([kind, f"{len(stars)}", effective, *cells])
    return table(["", "stars", "effective samples", "together", *PARAMETERS], rows)


def main(options: Options) -> None:
    """Run the missing stars, and print the table."""
    size, path = SMALL if options.small else FULL, options.folder / "results.jsonl"
    if not options.report:
        library = demo_library(size.teff, size.feh, N_LIBRARY)
        make_store(options.folder, library, RANGES)
        run_one = partial(fit_star, size, options.folder)
        run_trials(list(trials(size)), run_one, path, options.processes)
    print(report(read_results(path)))


if __name__ == "__main__":
    main(read_options("joint_posteriors", __doc__.split("\n")[0]))
