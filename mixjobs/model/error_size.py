"""The size of the interpolation error between the grid points, from the grid points alone.

What matters is by how much the error shifts the parameters of a fit. Along each axis, the library
is interpolated across two and across three of its steps, by leaving out grid points. The two sizes
of the shifts are extrapolated to a single step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import chi2

from mixjobs.grid import Grid
from mixjobs.interpolation import interpolation
from mixjobs.interpolation.cross_validation import AxisFolds, stride_fold
from mixjobs.model.reference import ReferenceFit, ReferenceOrder, node_slopes, reference_fit
from mixjobs.typing import Floats, Ints

MIN_VALUES = 9  # of an axis along which the size can be measured
_SNRS = (100.0, 300.0)
_STRIDES = (2, 3)
_MAX_POINTS = 64  # at which shifts are computed, per axis and stride
_NEGLIGIBLE = 0.1  # a shift of this many sd of the noise does not matter


def measured_factors(
    grid: Grid, axes: Sequence[AxisFolds], orders: Sequence[ReferenceOrder]
) -> dict[str, float]:
    """Measure the factors from held-out errors to errors between the grid points.

    A factor is the root of the ratio of two variances of the parameters in a linear fit (see
    `mixjobs.model.reference`): the one that interpolation causes between the grid points, over the
    one that the held-out errors of the axis would cause. It is the larger of those at S/N 100 and
    300. It takes the place of `AxisFolds.factor`.

    Parameters
    ----------
    grid : Grid
        N points.
    axes : sequence of AxisFolds
        Of the cubic interpolation.
    orders : sequence of ReferenceOrder

    Returns
    -------
    dict
        By the name of the axis, for axes with at least nine values and enough points without holes.
    """
    values = np.concatenate([order.weights for order in orders], axis=1)
    factors = {}
    for axis in axes:
        if axis.method != "cubic" or axis.n_values < MIN_VALUES:
            continue
        stated = axis.errors(values)
        stated = stated * len(stated) ** -0.5
        at_two, at_three = (
            shift_ratios(grid, orders, stated, *_errors(grid, axis, values, stride))
            for stride in _STRIDES
        )
        between = [ratio_between_nodes(*pair) for pair in zip(at_two, at_three, strict=True)]
        if np.isfinite(between).all():
            factors[axis.name] = max(between) ** 0.5
    return factors


def _errors(grid: Grid, axis: AxisFolds, values: Floats, stride: int) -> tuple[Ints, Floats]:
    """Return some grid points (n,), and the errors there of interpolation across several steps."""
    fold = stride_fold(grid, grid.names.index(axis.name), axis.method, stride)
    n = len(fold.predicted)
    chosen = np.unique(np.linspace(0, n - 1, min(n, _MAX_POINTS)).astype(int))
    return fold.predicted[chosen], fold.errors(values)[chosen]


def shift_ratios(
    grid: Grid, orders: Sequence[ReferenceOrder], stated: Floats, points: Ints, errors: Floats
) -> list[float]:
    """Compare the shifts that errors cause with their stated covariance, at each S/N.

    With the shifts d of the P parameters at a point, and their stated covariance C, the ratio is
    the median over the points of ``dᵀ C⁻¹ d``, over the median of the chi² distribution with P
    degrees of freedom. C includes a hundredth of the covariance due to noise: smaller shifts do not
    matter.

    Parameters
    ----------
    grid : Grid
    orders : sequence of ReferenceOrder
    stated : (J, K_all) array
        Columns of the stated error of the weights of all orders.
    points : (n,) int array
        Rows of grid points.
    errors : (n, K_all) array
        Errors of the weights there.

    Returns
    -------
    list of float
        NaN if there is a hole next to every point.
    """
    values = np.concatenate([order.weights for order in orders], axis=1)
    slopes = node_slopes(grid, interpolation(grid, "cubic"), values, points)
    usable = np.isfinite(slopes).all(axis=(1, 2))
    if not usable.any():
        return [np.nan] * len(_SNRS)
    rows = list(zip(points[usable].tolist(), slopes[usable], errors[usable], strict=True))
    ratios = []
    for snr in _SNRS:
        fits = [reference_fit(orders, slope, point, snr) for point, slope, _ in rows]
        distances = [
            _squared_distance(fit, stated, error)
            for fit, (*_, error) in zip(fits, rows, strict=True)
        ]
        ratios.append(float(np.median(distances) / chi2.median(slopes.shape[1] + 1)))
    return ratios


def _squared_distance(fit: ReferenceFit, stated: Floats, error: Floats) -> float:
    """``dᵀ C⁻¹ d``, with both sides multiplied by the information matrix."""
    columns, shift = fit.projection @ stated.T, fit.projection @ error
    covariance = columns @ columns.T + _NEGLIGIBLE**2 * fit.information
    return float(shift @ np.linalg.solve(covariance, shift))


def ratio_between_nodes(at_two: float, at_three: float) -> float:
    """Extrapolate the size of an error from two and three steps of the grid to one.

    Over h steps, the mean square error is ``s² h⁶ + g² h² + n²``, without negative terms. The first
    is the error of a cubic, which is of third order over a cell. The others describe a library that
    is rough from point to point: an error that grows with the distance, and one that does not. The
    two sizes determine the two terms of highest order that they allow, so that the error at one
    step is at least 1/8, and at most all, of that at two.

    Parameters
    ----------
    at_two, at_three : float
        Mean square errors.

    Examples
    --------
    >>> [round(ratio_between_nodes(64.0, r), 3) for r in (729.0, 144.0, 64.0, 400.0)]
    [1.0, 16.0, 64.0, 9.436]
    """
    if at_two == 0:
        return 0.0
    at_one = np.interp(at_three / at_two, [1, 9 / 4, 729 / 64], [1, 1 / 4, 1 / 64])
    return float(at_two * at_one)
