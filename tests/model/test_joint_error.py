"""The joint interpolation error against sums over the held-out points."""

import numpy as np
import pytest

from mixjobs.interpolation.cross_validation import axis_folds
from mixjobs.model.joint_error import joint_error, n_leading, order_error
from tests.helpers.drawn import lattice

PIXELS = [100, 400]


def some_orders(grid, ranks=(3, 2), sizes=(1.0, 20.0)):
    """Weights and ln(mean flux) of orders at the grid points; the means vary much more."""
    rng = np.random.default_rng(2)
    weights = [rng.normal(size=(len(grid), k)) for k in ranks]
    means = [size * rng.normal(size=len(grid)) for size in sizes]
    return weights, means


def covariance(grid, weights, means, short):
    """Of all weights and means, scaled: of the long axes, and of the short ones."""
    pairs = list(zip(weights, means, strict=True))
    stacked = np.hstack([np.column_stack(pair) for pair in pairs]) * scale_of(weights)
    total = {True: 0.0, False: 0.0}
    for axis in axis_folds(grid, "cubic"):
        errors = axis.errors(stacked)
        factor = axis.factor(stacked, errors)
        total[axis.name in short] += factor**2 * np.mean([np.outer(e, e) for e in errors], axis=0)
    return total[False], total[True]


def scale_of(weights):
    """A weight counts as the r.m.s. of its spectrum."""
    sizes = zip(PIXELS[: len(weights)], weights, strict=True)
    return np.concatenate([[n**-0.5] * w.shape[1] + [1] for n, w in sizes])


def test_long_axes_keep_all_correlations():
    grid = lattice(np.arange(3000, 3800, 100), [3.5, 4, 4.5, 5, 5.5])
    weights, means = some_orders(grid)
    error = joint_error(axis_folds(grid, "cubic"), weights, means, PIXELS, {})
    assert error.short_axes == ()
    together = np.hstack(error.columns) * scale_of(weights)
    expected, _ = covariance(grid, weights, means, ())
    size = np.sqrt(np.diag(expected))
    assert (np.abs(together.T @ together - expected) < 0.03 * np.outer(size, size)).all()


def test_half_of_a_short_axis_is_independent_between_the_joint_components():
    grid = lattice([3000, 3200, 3400, 3600], [4, 4.5, 5])
    weights, means = some_orders(grid)
    error = joint_error(axis_folds(grid, "cubic"), weights, means, PIXELS, {})
    assert error.short_axes == ("teff", "logg")
    assert error.factors["logg"] == pytest.approx(0.6374 / 8, rel=1e-3)
    together = np.hstack(error.columns) * scale_of(weights)
    long, short = covariance(grid, weights, means, ("teff", "logg"))
    is_mean = np.zeros(7, dtype=bool)
    is_mean[[3, 6]] = True
    variances = np.diag(long + short)
    balance = np.where(is_mean, np.sqrt(variances[~is_mean].sum() / variances[is_mean].sum()), 1.0)
    pairs = zip(weights, means, strict=True)
    values = np.hstack([np.column_stack(pair) for pair in pairs]) * scale_of(weights) * balance
    _, components = np.linalg.eigh(np.cov(values.T))
    balanced = np.outer(balance, balance) * short
    diagonal = components @ np.diag(np.diag(components.T @ balanced @ components)) @ components.T
    expected = np.outer(balance, balance) * long + (balanced + diagonal) / 2
    got = np.outer(balance, balance) * (together.T @ together)
    np.testing.assert_allclose(got, expected, atol=1.1e-3 * np.trace(expected))  # 99.9 % are kept
    assert np.abs(got - np.outer(balance, balance) * (long + short)).max() > 0.02 * np.trace(got)


def test_one_error_in_two_orders_is_one_column():
    """Orders whose weights are the same at every point err in the same way."""
    grid = lattice(np.arange(3000, 3800, 100), [3.5, 4, 4.5, 5, 5.5])
    (weights, _), (mean, _) = some_orders(grid)
    error = joint_error(axis_folds(grid, "cubic"), [weights] * 2, [mean] * 2, [100, 100], {})
    np.testing.assert_allclose(*error.columns, atol=1e-12)
    assert len(error.columns[0]) <= 4


def test_an_axis_with_two_values_says_nothing():
    grid = lattice(np.arange(3000, 3800, 100), [4, 5])
    weights, means = some_orders(grid)
    assert joint_error(axis_folds(grid, "cubic"), weights, means, PIXELS, {}).factors.keys() == {
        "teff"
    }
    tiny = lattice([3000, 4000], [4, 5])
    weights, means = some_orders(tiny)
    nothing = joint_error(axis_folds(tiny, "cubic"), weights, means, PIXELS, {})
    assert [columns.shape for columns in nothing.columns] == [(0, 4), (0, 3)]
    assert order_error(nothing.columns[0]).weights.shape == (0, 3)


def test_an_order_keeps_the_variance_of_its_columns():
    columns = np.random.default_rng(4).normal(size=(9, 4)) * [1, 0.1, 1e-4, 2]
    error = order_error(columns)
    np.testing.assert_allclose(
        error.directions.T @ error.directions, np.eye(len(error.weights)), atol=1e-12
    )
    by_z = error.directions @ error.weights
    assert np.sum((by_z - columns[:, :-1]) ** 2) < 1e-3 * np.sum(columns[:, :-1] ** 2)
    np.testing.assert_array_equal(error.log_mean, columns[:, -1])
    assert len(error.weights) == 2


def test_the_number_of_leading_variances():
    assert n_leading(np.array([])) == 0
    assert n_leading(np.array([1.0])) == 1
    assert n_leading(np.array([998.9, 1.0, 0.1])) == 2
