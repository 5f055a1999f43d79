"""Held-out accuracy on a real grid: every method of mixjobs, and those of peers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, RegularGridInterpolator, make_interp_spline

import mixjobs
from benchmarks.libraries import real_data
from benchmarks.measure import Row
from mixjobs.grid import Grid
from mixjobs.interpolation import Method
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.typing import Floats

ORDERS = mixjobs.Orders.log_spaced(20, 7000, 50000)
AXES = {"teff": "every other Teff", "logg": "log g 4.0 and 5.0", "feh": "every other [M/H]"}
JUDGED = ("teff", "logg")
DEFAULT = "cubic"
Predict = Callable[[Grid, Floats, Floats], Floats]  # kept grid, its ln mean (N, M), theta (n, D)


def run(small: bool) -> list[Row]:
    """Predict held-out nodes with every method."""
    grid, mean_flux = means(real_data("btsettl_prism.hdf5"), (3000, 3800) if small else None)
    methods = dict(METHODS)
    scores = {
        name: {axis: score(grid, mean_flux, axis, predict) for axis in AXES}
        for name, predict in methods.items()
    }
    rows = [
        Row(f"{name}: median / 95 % of abs(predicted/true - 1)", described(scores[name]))
        for name in scores
    ]
    return [*rows, *(verdict(scores, rival) for rival in RIVALS)]


def described(errors: dict[str, tuple[float, float]]) -> str:
    """Write one method's errors on every split."""
    return "; ".join(f"{AXES[axis]} {m:.2e} / {p:.2e}" for axis, (m, p) in errors.items())


def verdict(scores: dict[str, dict[str, tuple[float, float]]], rival: str) -> Row:
    """Row that says whether the default is at least as good as a rival."""
    worst, where = max(
        (ours / theirs, f"{AXES[axis]}, {what}")
        for axis in JUDGED
        for ours, theirs, what in zip(
            scores[DEFAULT][axis], scores[rival][axis], ("median", "95 %"), strict=True
        )
    )
    return Row(
        f"largest error of {DEFAULT} / {rival} on the Teff and log g splits",
        f"{worst:.3f} ({where})",
        "<= 1",
        worst <= 1,
    )


def means(path: Path, teff: tuple[float, float] | None) -> tuple[Grid, Floats]:
    """Mean fluxes (M, N) of the real library with [M/H] >= -2, where its grid has no hole."""
    select = {"feh": (-2.0, 1.0)} | ({"teff": teff} if teff else {})
    with TemporaryDirectory(prefix="mixjobs-benchmark-") as folder:
        store = mixjobs.build(path, ORDERS, Path(folder) / "s.zarr", table=False, select=select)
        return store.grid, store.mean_flux


def held_out(grid: Grid, axis: str) -> NDArray[np.bool_]:
    """Which points a split leaves out: inner values of one axis, every other one."""
    d = grid.names.index(axis)
    values = np.array([4.0, 5.0]) if axis == "logg" else grid.axes[d][1:-1:2]
    return np.isin(grid.points[:, d], values)


def score(grid: Grid, mean_flux: Floats, axis: str, predict: Predict) -> tuple[float, float]:
    """Median and 95th percentile of the relative error over all orders and held-out points."""
    out = held_out(grid, axis)
    kept = grid.take(np.flatnonzero(~out))
    predicted = predict(kept, np.log(mean_flux[:, ~out]).T, grid.points[out])
    error = np.abs(predicted / mean_flux[:, out].T - 1)
    return float(np.median(error)), float(np.percentile(error, 95))


def ours(method: Method, kept: Grid, log_mean: Floats, theta: Floats) -> Floats:
    """Mean flux (n, M) by a method of mixjobs: q from a kept point, times the mean there."""
    ratio = flux_ratio(kept, ORDERS, np.exp(log_mean).T, method)
    nearest = np.abs(kept.points - theta[:, None])  # the one that differs along one axis alone
    start = (nearest / np.ptp(kept.points, axis=0)).sum(axis=2).argmin(axis=1)
    predicted: Floats = np.exp(log_mean[start]) * ratio(kept.points[start], theta)
    return predicted


def simplex_on_mean(kept: Grid, log_mean: Floats, theta: Floats) -> Floats:
    """Starfish's `norm_factor`: Delaunay simplices of the scaled points, on the mean itself."""
    predicted: Floats = LinearNDInterpolator(kept.points, np.exp(log_mean), rescale=True)(theta)
    return predicted


def pchip(kept: Grid, log_mean: Floats, theta: Floats) -> Floats:
    """Monotone cubic (Fritsch & Carlson 1980) along each axis in turn, on the logarithm."""
    peer = RegularGridInterpolator(kept.axes, channels(kept, log_mean), method="pchip")
    predicted: Floats = np.exp(peer(theta))
    return predicted


def spline(kept: Grid, log_mean: Floats, theta: Floats) -> Floats:
    """Global C2 tensor cubic spline, not-a-knot, on the logarithm."""
    values = channels(kept, log_mean)
    for d, axis in enumerate(kept.axes):  # to every value asked for along each axis in turn
        wanted = np.unique(theta[:, d])
        along = make_interp_spline(axis, values, k=3, axis=d)
        values = along(wanted)
    places = [np.searchsorted(np.unique(column), column) for column in theta.T]
    predicted: Floats = np.exp(values[tuple(places)])
    return predicted


def channels(kept: Grid, log_mean: Floats) -> Floats:
    """The logarithms on the product of the axes: (n_1, ..., n_D, M)."""
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
