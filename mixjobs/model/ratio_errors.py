"""Held-out errors of the flux ratio, and the method with the smallest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.interpolation import Method
from mixjobs.interpolation.cross_validation import inner_values, make_folds
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.orders import Orders
from mixjobs.typing import Bools, Floats

# Methods that interpolate ln(mean flux), so that q(theta, theta) = 1 and q12 q21 = 1.
RANKED: tuple[Method, ...] = ("cubic", "linear", "simplex")


@dataclass(frozen=True, eq=False)
class HeldOutErrors:
    """Errors of q along one axis, by one method.

    Attributes
    ----------
    axis : str
        The parameter.
    method : str
    error : (M, n) float array
        ``|q_predicted / q_true - 1|`` at each point that was left out; NaN where the method is not
        defined on the remaining points.
    """

    axis: str
    method: Method
    error: Floats

    @property
    def median(self) -> Floats:
        """Median over the points, for each order: (M,)."""
        return np.nanmedian(self.error, axis=1)

    @property
    def percentile95(self) -> Floats:
        """95th percentile over the points, for each order: (M,)."""
        return np.nanpercentile(self.error, 95, axis=1)


def held_out_errors(
    grid: Grid, orders: Orders, mean_flux: Floats, methods: Sequence[Method]
) -> list[HeldOutErrors]:
    """Leave out each inner value of each axis in turn, and predict q at its points.

    The step across a missing value is twice the grid's own, so these errors exceed those between
    the nodes of the complete grid.

    Parameters
    ----------
    grid : Grid
        N points.
    orders : Orders
        M orders.
    mean_flux : (M, N) array
        Mean raw flux.
    methods : sequence of str
        Methods that cannot be used on the grid are skipped.

    Returns
    -------
    list of HeldOutErrors
        One for each axis of at least three values and each method defined there.
    """
    results = []
    for d in grid.free:
        for method in methods if len(grid.axes[d]) > 2 else ():
            error = (
                _log_mean_errors(grid, mean_flux, d, method)
                if method in RANKED
                else _reference_errors(grid, orders, mean_flux, d, method)
            )
            if np.isfinite(error).any():
                results.append(HeldOutErrors(grid.names[d], method, error))
    return results


def best_method(results: Sequence[HeldOutErrors]) -> Method | None:
    """Return the method with the smallest median error, as a geometric mean over the axes.

    On each axis the methods are compared at the points where all of them are defined. A method that
    is undefined along an axis is never the best. The first of several equal methods is returned.
    Only `cubic`, `linear` and `simplex` are ranked: `pairwise` violates q(theta, theta) = 1, and
    `blackbody` does not use the library.
    """
    score = dict.fromkeys((r.method for r in results if r.method in RANKED), 0.0)
    for axis in dict.fromkeys(r.axis for r in results):
        errors = {r.method: r.error for r in results if r.axis == axis}
        common = np.logical_and.reduce([np.isfinite(error) for error in errors.values()])
        for method in score:
            usable = method in errors and common.any()
            score[method] += np.log(np.median(errors[method][common])) if usable else np.inf
    ranked: list[Method] = sorted(score, key=lambda method: float(np.round(score[method], 6)))
    return ranked[0] if ranked else None


def _log_mean_errors(grid: Grid, mean_flux: Floats, d: int, method: Method) -> Floats:
    """Errors (M, n) of a method that interpolates L = ln(mean flux).

    Such a method is exact at the nodes. The error of q is therefore
    ``|exp(L_predicted - L_true) - 1|``, whichever of the remaining points is component 1.
    """
    log_mean = np.log(mean_flux).T
    error = np.full(mean_flux.shape, np.nan)
    for fold in make_folds(grid, d, method):
        error[:, fold.predicted] = np.abs(np.expm1(fold.errors(log_mean))).T
    left_out = np.concatenate([np.flatnonzero(points) for points in inner_values(grid, d)])
    return error[:, left_out]


def _reference_errors(
    grid: Grid, orders: Orders, mean_flux: Floats, d: int, method: Method
) -> Floats:
    """Errors (M, n) of any method, with component 1 at the nearest remaining point."""
    errors = [
        _nearest_point_errors(grid, orders, mean_flux, left_out, method)
        for left_out in inner_values(grid, d)
    ]
    return np.concatenate(errors, axis=1)


def _nearest_point_errors(
    grid: Grid, orders: Orders, mean_flux: Floats, left_out: Bools, method: Method
) -> Floats:
    from scipy.spatial import cKDTree  # takes a third of a second to import

    kept = grid.take(np.flatnonzero(~left_out))
    try:
        ratio = flux_ratio(kept, orders, mean_flux[:, ~left_out], method, outside="nan")
    except InvalidInput:  # the method cannot be used on the remaining points
        return np.full((len(orders), left_out.sum()), np.nan)
    spacing = np.array([np.median(np.diff(axis)) if len(axis) > 1 else 1.0 for axis in grid.axes])
    _, nearest = cKDTree(kept.points / spacing).query(grid.points[left_out] / spacing)
    predicted = ratio(kept.points[nearest], grid.points[left_out]).T
    true = mean_flux[:, left_out] / mean_flux[:, ~left_out][:, nearest]
    error: Floats = np.abs(predicted / true - 1)
    return error
