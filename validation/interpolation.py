"""Accuracy of interpolated mean fluxes on a real grid, for our methods and those of others.

``python -m validation.interpolation [--small] [--processes N] [--out FOLDER] [--report]``: values
of one axis of BT-Settl are left out and predicted from the rest. An interrupted run continues
where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, RegularGridInterpolator, make_interp_spline

import mixjobs
from mixjobs.grid import Grid
from mixjobs.interpolation import Method
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.typing import Floats
from validation.real_data import Skipped, real_data
from validation.trials import Options, Trial, read_options, read_results, run_trials, table

ORDERS = mixjobs.Orders.log_spaced(20, 7000, 50000)
AXES = {"teff": "every other Teff", "logg": "log g 4.0 and 5.0", "feh": "every other [M/H]"}
COMPARED = ("teff", "logg")
DEFAULT = "cubic"
Predict = Callable[[Grid, Floats, Floats], Floats]  # kept grid, ln(mean) (N, M), theta (n, D)


def run_one(small: bool, trial: Trial) -> Trial:
    """Predict the held-out values of every axis with one method."""
    grid, mean_flux = means(real_data("btsettl_prism.hdf5"), (3000, 3800) if small else None)
    predict = METHODS[trial["method"]]
    return trial | {axis: score(grid, mean_flux, axis, predict) for axis in AXES}


def report(results: Sequence[Trial]) -> str:
    """Write the errors of every method, and the default's relative to its rivals'."""
    scores = {result["method"]: result for result in results}
    errors = [
        [name, *(f"{result[axis][0]:.2e} / {result[axis][1]:.2e}" for axis in AXES)]
        for name, result in scores.items()
    ]
    header = ("method: median / 95 % of abs(predicted/true - 1)", *AXES.values())
    comparison = [verdict(scores, rival) for rival in RIVALS if {rival, DEFAULT} <= scores.keys()]
    rivals = (f"{DEFAULT} / rival", "largest ratio of errors, Teff and log g", "goal: <= 1")
    return f"{table(header, errors)}\n\n{table(rivals, comparison)}"


def verdict(scores: dict[str, Trial], rival: str) -> list[str]:
    """Write one row: whether the default is at least as good as a rival."""
    worst, where = max(
        (ours / theirs, f"{AXES[axis]}, {quantile}")
        for axis in COMPARED
        for ours, theirs, quantile in zip(
            scores[DEFAULT][axis], scores[rival][axis], ("median", "95 %"), strict=True
        )
    )
    return [rival, f"{worst:.3f} ({where})", "met" if worst <= 1 else "missed"]


def means(path: Path, teff: tuple[float, float] | None) -> tuple[Grid, Floats]:
    """Return mean fluxes (M, N) of the library with [M/H] >= -2, where its grid has no hole."""
    select = {"feh": (-2.0, 1.0)} | ({"teff": teff} if teff else {})
    with TemporaryDirectory(prefix="mixjobs-validation-") as folder:
        store = mixjobs.build(path, ORDERS, Path(folder) / "s.zarr", table=False, select=select)
        return store.grid, store.mean_flux


def held_out(grid: Grid, axis: str) -> NDArray[np.bool_]:
    """Return which points to leave out: every other inner value of one axis."""
    d = grid.names.index(axis)
    values = np.array([4.0, 5.0]) if axis == "logg" else grid.axes[d][1:-1:2]
    return np.isin(grid.points[:, d], values)


def score(grid: Grid, mean_flux: Floats, axis: str, predict: Predict) -> tuple[float, float]:
    """Return median and 95th percentile of the relative error, over orders and held-out points."""
    out = held_out(grid, axis)
    kept = grid.take(np.flatnonzero(~out))
    predicted = predict(kept, np.log(mean_flux[:, ~out]).T, grid.points[out])
    error = np.abs(predicted / mean_flux[:, out].T - 1)
    return float(np.median(error)), float(np.percentile(error, 95))


def ours(method: Method, kept: Grid, log_mean: Floats, theta: Floats) -> Floats:
    """Predict mean flux (n, M) with a method of mixjobs: q from a kept point times its mean."""
    ratio = flux_ratio(kept, ORDERS, np.exp(log_mean).T, method)
    distance = np.abs(kept.points - theta[:, None])
    start = (distance / np.ptp(kept.points, axis=0)).sum(axis=2).argmin(axis=1)
    predicted: Floats = np.exp(log_mean[start]) * ratio(kept.points[start], theta)
    return predicted


def simplex_on_mean(kept: Grid, log_mean: Floats, theta: Floats) -> Floats:
    """Interpolate the mean itself on Delaunay simplices, as Starfish's `norm_factor` does."""
    predicted: Floats = LinearNDInterpolator(kept.points, np.exp(log_mean), rescale=True)(theta)
    return predicted


def pchip(kept: Grid, log_mean: Floats, theta: Floats) -> Floats:
    """Interpolate the logarithm by monotone cubics along each axis (Fritsch & Carlson 1980)."""
    peer = RegularGridInterpolator(kept.axes, channels(kept, log_mean), method="pchip")
    predicted: Floats = np.exp(peer(theta))
    return predicted


def spline(kept: Grid, log_mean: Floats, theta: Floats) -> Floats:
    """Interpolate the logarithm by a global C2 tensor cubic spline, not-a-knot."""
    values = channels(kept, log_mean)
    for d, axis in enumerate(kept.axes):  # one axis after the other
        spline_along = make_interp_spline(axis, values, k=3, axis=d)
        values = spline_along(np.unique(theta[:, d]))
    index = [np.searchsorted(np.unique(column), column) for column in theta.T]
    predicted: Floats = np.exp(values[tuple(index)])
    return predicted


def channels(kept: Grid, log_mean: Floats) -> Floats:
    """Return the logarithms on the product of the axes: (n_1, ..., n_D, M)."""
    values: Floats = log_mean[kept.lattice]
    return values


METHODS: dict[str, Predict] = {
    "cubic": partial(ours, "cubic"),
    "linear": partial(ours, "linear"),
    "simplex": partial(ours, "simplex"),
    "blackbody": partial(ours, "blackbody"),
    "simplex on the mean itself (scipy)": simplex_on_mean,
    "PCHIP on ln mean (scipy)": pchip,
    "global C2 cubic spline on ln mean (scipy)": spline,
}
RIVALS = ("linear", "simplex", "simplex on the mean itself (scipy)", list(METHODS)[-1])


def main(options: Options) -> None:
    """Run the missing methods, and print the tables."""
    path = options.folder / "results.jsonl"
    if not options.report:
        trials: list[Trial] = [{"method": name} for name in METHODS]
        run_trials(trials, partial(run_one, options.small), path, options.processes)
    print(report(read_results(path)))


if __name__ == "__main__":
    try:
        main(read_options("interpolation", __doc__.split("\n")[0]))
    except Skipped as reason:
        print(f"skipped: {reason}")
