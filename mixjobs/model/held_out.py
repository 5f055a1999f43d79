"""Held-out errors: one axis value is dropped and predicted along that axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.interpolation import Method
from mixjobs.interpolation.cross_validation import inner_values
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.orders import Orders
from mixjobs.typing import Floats

RANKED: tuple[Method, ...] = ("cubic", "linear", "simplex")


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Errors of a method along one axis.

    Attributes
    ----------
    axis : str
    method : str
    error : (M, n) float array
        ``|q_predicted / q_true - 1|`` of each dropped point, from the nearest point that was
        kept; NaN where the remaining grid gives no answer.
    """

    axis: str
    method: Method
    error: Floats

    @property
    def median(self) -> Floats:
        """Median over the points, per order: (M,)."""
        return np.nanmedian(self.error, axis=1)

    @property
    def percentile95(self) -> Floats:
        """95th percentile over the points, per order: (M,)."""
        return np.nanpercentile(self.error, 95, axis=1)


def held_out(
    grid: Grid, orders: Orders, mean_flux: Floats, methods: Sequence[Method]
) -> list[HeldOut]:
    """Drop each inner value of each axis in turn, and predict its points along that axis.

    The step across a dropped value is twice the grid's own, so these errors are larger than
    those between the nodes of the whole grid.

    Parameters
    ----------
    grid : Grid
        N points.
    orders : Orders
        M orders.
    mean_flux : (M, N) array
    methods : sequence of str
        Those that the grid cannot have are left out.

    Returns
    -------
    list of HeldOut
        One an axis and method that has an answer there, for axes of at least three values.
    """
    results = []
    for d in grid.free:
        drops = list(inner_values(grid, d))
        for method in methods if drops else ():
            errors = [_errors(grid, orders, mean_flux, dropped, method) for dropped in drops]
            result = HeldOut(grid.names[d], method, np.concatenate(errors, axis=1))
            if np.isfinite(result.error).any():
                results.append(result)
    return results


def best_method(results: Sequence[HeldOut]) -> Method | None:
    """Return the method with the smallest median error, as a geometric mean over the axes.

    On each axis, of the points that all methods answer there; a method that has no answer along
    an axis is not the best. Of equals the first is taken. Only methods that interpolate the
    library and keep q(theta, theta) = 1 are ranked: not `pairwise`, and not `blackbody`.
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


def _errors(
    grid: Grid, orders: Orders, mean_flux: Floats, dropped: NDArray[np.bool_], method: Method
) -> Floats:
    """Errors (M, n) at the dropped points, NaN where the method cannot have the kept ones."""
    from scipy.spatial import cKDTree  # a third of a second that a command's start spares

    kept = grid.take(np.flatnonzero(~dropped))
    try:
        ratio = flux_ratio(kept, orders, mean_flux[:, ~dropped], method, outside="nan")
    except InvalidInput:
        return np.full((len(orders), dropped.sum()), np.nan)
    spacing = np.array([np.median(np.diff(axis)) if len(axis) > 1 else 1.0 for axis in grid.axes])
    _, near = cKDTree(kept.points / spacing).query(grid.points[dropped] / spacing)
    predicted = ratio(kept.points[near], grid.points[dropped]).T
    true = mean_flux[:, dropped] / mean_flux[:, ~dropped][:, near]
    error: Floats = np.abs(predicted / true - 1)
    return error
