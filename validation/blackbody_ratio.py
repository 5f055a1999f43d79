"""Bias of c and Teff_2 when q is taken from blackbodies.

``python -m validation.blackbody_ratio [--small] [--processes N] [--out FOLDER] [--report]``: a warm
photosphere with a cool spot, both real spectra of a library, is fitted in several orders with one
c. One fit takes q from the library's means, the other from Planck means; all else is equal,
including pixels and noise. An interrupted run continues where it stopped.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import zarr
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize

import mixjobs
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.log_probability import LogProbability, make_log_probability
from mixjobs.inference.order_likelihoods import (
    Epoch,
    EpochOrder,
    LikelihoodPlan,
    ModelOptions,
)
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import Normal, Uniform
from mixjobs.library import Library
from mixjobs.model.blackbody import planck_mean
from mixjobs.store.checksums import write_checksums
from mixjobs.typing import Floats
from validation.blackbody_ratio_report import figure, report
from validation.real_data import Skipped, real_data
from validation.sampling import posterior
from validation.trials import Options, Trial, read_options, read_results, run_trials

ORDERS = mixjobs.Orders.log_spaced(20, 7000, 50000)
SPREAD = "5 orders, 0.77-4.1 µm"
TWELVE = "12 orders, 0.77-4.1 µm"
SETS = {
    SPREAD: (1, 5, 9, 13, 17),
    "4 orders, 0.85-1.26 µm": (2, 3, 4, 5),
    "5 orders, 1.5-2.5 µm": (8, 9, 10, 11, 12),
    TWELVE: (1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, 17),
}
SMALL = {"1 order, 1.7-1.9 µm": (9,)}
LOGG, FEH, TEFF_1, C, SNR = 4.5, 0.0, 3900.0, 0.3, 200.0
CONTRASTS = (2800.0, 3100.0, 3400.0)
REALISATIONS, FEWER = 10, 6
WALKERS, STEPS = 24, 300
KINDS = ("tables", "blackbody")
ON_GRID, HELD_OUT = "on the grid", "held out"


def trials(small: bool) -> Iterator[Trial]:
    """Yield all sets of orders without noise, and some with noise."""
    if small:
        for seed, name in product((None, 0), SMALL):
            yield from pair(seed, CONTRASTS[0], 0, name, HELD_OUT)
        return
    for orders, teff_2, degree in product(SETS, CONTRASTS, (0, 2)):
        yield from pair(None, teff_2, degree, orders, ON_GRID)
    for seed in range(REALISATIONS):
        yield from pair(seed, CONTRASTS[0], 0, SPREAD, ON_GRID)
        yield from pair(seed, CONTRASTS[1], 0, SPREAD, ON_GRID)
        yield from pair(seed, CONTRASTS[0], 0, TWELVE, ON_GRID)
        if seed < FEWER:
            yield from pair(seed, CONTRASTS[2], 0, SPREAD, ON_GRID)
            yield from pair(seed, CONTRASTS[0], 2, SPREAD, ON_GRID)
            yield from pair(seed, CONTRASTS[0], 0, "5 orders, 1.5-2.5 µm", ON_GRID)
            yield from pair(seed, CONTRASTS[0], 0, SPREAD, HELD_OUT)


def pair(seed: int | None, teff_2: float, degree: int, orders: str, truth: str) -> Iterator[Trial]:
    """Yield the two fits of one simulated star; without a seed it has no noise."""
    for q in KINDS:
        yield {
            "seed": seed, "teff_2": teff_2, "degree": degree, "orders": orders, "truth": truth,
            "q": q,
        }  # fmt: skip


@cache
def open_real() -> Library:
    """Return the real library, opened once."""
    return mixjobs.open_library(real_data("btsettl_prism.hdf5"))


def build_stores(folder: Path, small: bool) -> None:
    """Build stores with and without the spectra of the star, and their copies with blackbody q."""
    library = open_real()
    teff, logg, feh = library.grid.points.T
    near = (logg == LOGG) & (feh == FEH)
    numbers = sorted({n for some in (SMALL if small else SETS).values() for n in some})
    settings = mixjobs.EmulatorSettings(min_resolution=50, explained_variance=0.9999)
    kept = {HELD_OUT: near & ~np.isin(teff, [TEFF_1, *CONTRASTS]), ON_GRID: near}
    for truth in [HELD_OUT] if small else kept:
        path = store_path(folder, truth, "tables")
        blackbody_path = store_path(folder, truth, "blackbody")
        if blackbody_path.is_dir():
            continue
        mixjobs.build(
            library.take(np.flatnonzero(kept[truth])), ORDERS.select(numbers), path,
            emulator=settings, table=False, overwrite=True,
        )  # fmt: skip
        replace_means(path, blackbody_path)


def store_path(folder: Path, truth: str, q: str) -> Path:
    """Return the path of a store."""
    return folder / f"{truth.replace(' ', '-')}-{q}.zarr"


def replace_means(path: Path, blackbody_path: Path) -> None:
    """Copy a store, with Planck means instead of the library's.

    A mixture takes only q from the means: shapes come from the emulator, and so do their errors.
    """
    copy = blackbody_path.with_suffix(".copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    store = mixjobs.open_store(path)
    teff = store.grid.points[:, store.grid.names.index("teff")]
    means = planck_mean(store.orders.wave_min, store.orders.wave_max, teff).T
    zarr.open_array(copy / "mean_flux", mode="r+")[...] = means
    write_checksums(copy)
    copy.rename(blackbody_path)


def observe(trial: Trial) -> list[EpochOrder]:
    """Simulate the star: two raw spectra, averaged over the library's pixels, with noise."""
    library = open_real()
    rows = [point_index(library.grid.points, teff) for teff in (TEFF_1, trial["teff_2"])]
    mixed = (1 - C) * library.flux(rows[0]) + C * library.flux(rows[1])
    star = CubicSpline(np.log(library.wavelength), mixed)
    orders = ORDERS.select((SETS | SMALL)[trial["orders"]])
    rng = np.random.default_rng([trial["seed"] or 0, int(trial["teff_2"])])
    observed = []
    for number, low, high in zip(
        orders.number, *orders.pixel_ranges(library.wavelength), strict=True
    ):
        wavelength = library.wavelength[low:high]
        flux = pixel_means(star, wavelength)
        flux_error = np.full(len(flux), np.median(flux) / SNR)
        noise = 0.0 if trial["seed"] is None else flux_error * rng.normal(size=len(flux))
        used, continuum = np.ones(len(flux), dtype=bool), Continuum(trial["degree"])
        observed.append(
            EpochOrder(0, int(number), wavelength, flux + noise, flux_error, used, continuum)
        )
    return observed


def point_index(points: Floats, teff: float) -> int:
    """Return the point of the library with this Teff and the star's log g and [M/H]."""
    return int(np.flatnonzero((points == [teff, LOGG, FEH]).all(axis=1))[0])


def log_probability(folder: Path, trial: Trial) -> LogProbability:
    """Return the log-probability of both Teff, c, and the noise scale where there is noise."""
    priors = {
        "teff_1": Normal(3900, 100, low=3500, high=4400), "teff_2": Uniform(2600, 3900),
        "c": Uniform(0, 1), "ln_noise": Normal(0, 1),
    }  # fmt: skip
    fixed = {"vsini": 0.0, "rv": 0.0} | ({"ln_noise": 0.0} if trial["seed"] is None else {})
    names = ("teff_1", "teff_2", "vsini", "rv", "c", "ln_noise")
    parameters = make_parameters(names, priors, fixed, constraints=["teff_2 < teff_1"])
    store = str(store_path(folder, trial["truth"], trial["q"]))
    # The emulator is exact at its grid points, so its error is included only for held-out spectra.
    emulator_error = trial["truth"] == HELD_OUT
    plan = LikelihoodPlan(
        store, 2, ModelOptions(), [Epoch("vacuum")], observe(trial), emulator_error
    )
    return make_log_probability(parameters, plan)


def fit(folder: Path, steps: int, trial: Trial) -> Trial:
    """Run one fit: the optimum without noise, or the statistics of a posterior."""
    start_time = time.perf_counter()
    target = log_probability(folder, trial)
    truth = {"teff_1": TEFF_1, "teff_2": trial["teff_2"], "c": C, "ln_noise": 0.0}
    start = np.array([truth[name] for name in target.names])
    if trial["seed"] is None:
        best = optimum(target, start).tolist()
        result = {"best": best, "at_truth": float(target(start))}
    else:
        sampled = posterior(target, start, trial["seed"], WALKERS, steps)
        low, high = np.quantile(sampled.samples, [0.025, 0.975], axis=0)
        result = {
            "mean": sampled.samples.mean(axis=0).tolist(), "tau": sampled.tau,
            "sd": sampled.samples.std(axis=0).tolist(), "low": low.tolist(),
            "high": high.tolist(), "log_p": sampled.best,
        }  # fmt: skip
    seconds = time.perf_counter() - start_time
    return trial | {"names": target.names, "truth_at": start.tolist(), "seconds": seconds} | result


def optimum(target: LogProbability, start: Floats) -> Floats:
    """Return the maximum nearest to the truth, and how far ln P rises: (P + 1,)."""
    scale = np.array([{"teff_1": 30.0, "teff_2": 60.0, "c": 0.05}[name] for name in target.names])

    def minus(u: Floats) -> float:
        return min(-float(target(start + u * scale)), 1e9)

    simplex = np.vstack([np.zeros(len(start)), np.eye(len(start))])
    for _ in range(2):
        options = {"maxfev": 400, "fatol": 1e-4, "xatol": 1e-3, "initial_simplex": simplex}
        best = minimize(minus, simplex[0], method="Nelder-Mead", options=options)
        simplex = best.x + np.vstack([np.zeros(len(start)), -0.5 * np.eye(len(start))])
    maximum: Floats = np.append(start + best.x * scale, -best.fun - float(target(start)))
    return maximum


def main(options: Options) -> None:
    """Build the stores, run the missing trials, print the tables, and draw the figure."""
    path = options.folder / "fits.jsonl"
    if not options.report:
        build_stores(options.folder, options.small)
        run_one = partial(fit, options.folder, 30 if options.small else STEPS)
        run_trials(list(trials(options.small)), run_one, path, options.processes)
    results = read_results(path)
    print(report(results))
    figure(results, blackbody_over_true(), options.folder / "blackbody_ratio.png")


def pixel_means(function: Callable[[Floats], Floats], wavelength: Floats) -> Floats:
    """Average a function of ln(wavelength) over adjacent pixels, by quadrature."""
    centre = np.log(wavelength)
    middle = (centre[1:] + centre[:-1]) / 2
    edges = np.concatenate([[2 * centre[0] - middle[0]], middle, [2 * centre[-1] - middle[-1]]])
    node, weight = np.polynomial.legendre.leggauss(8)
    half = np.diff(edges)[:, None] / 2
    mean: Floats = function((edges[1:] + edges[:-1])[:, None] / 2 + half * node) @ weight / 2
    return mean


def blackbody_over_true() -> dict[float, Floats]:
    """Return the ratio of Planck means over the library's q in each order, for each contrast."""
    library = open_real()
    ranges = list(zip(*ORDERS.pixel_ranges(library.wavelength), strict=True))
    middle = np.sqrt(ORDERS.wave_min * ORDERS.wave_max) / 1e4
    ratios = {0.0: middle}
    for teff_2 in CONTRASTS:
        first, second = (point_index(library.grid.points, teff) for teff in (TEFF_1, teff_2))
        q = [library.flux(second, *w).mean() / library.flux(first, *w).mean() for w in ranges]
        planck = planck_mean(ORDERS.wave_min, ORDERS.wave_max, [TEFF_1, teff_2])
        ratios[teff_2] = planck[1] / planck[0] / np.array(q)
    return ratios


if __name__ == "__main__":
    try:
        main(read_options("blackbody_ratio", __doc__.split("\n")[0]))
    except Skipped as reason:
        print(f"skipped: {reason}")
