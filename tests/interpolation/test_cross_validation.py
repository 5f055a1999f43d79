"""Folds of one axis value each, and the factor for the doubled step."""

import numpy as np
import pytest

from mixjobs.interpolation.cross_validation import axis_folds, doubled_step_factor, rms
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.orders import Orders
from tests.helpers.drawn import lattice


@pytest.mark.parametrize("method", ["cubic", "linear", "simplex"])
def test_held_out_values_are_predicted_by_the_rest_of_the_grid(method):
    """The reference is the flux ratio on the grid without the value."""
    grid = lattice([3000, 3200, 3500, 3600, 3700], [3, 4, 4.5, 5])
    grid = grid.take([i for i in range(len(grid)) if i != 19])  # a hole
    log_mean = np.random.default_rng(1).normal(size=len(grid))
    orders = Orders.from_edges([5000, 5100])
    for axis in axis_folds(grid, method):
        d = grid.names.index(axis.name)
        expected = {}
        for value in grid.axes[d][1:-1]:
            kept = np.flatnonzero(grid.points[:, d] != value)
            ratio = flux_ratio(
                grid.take(kept), orders, np.exp(log_mean[kept])[None], method, outside="nan"
            )
            for row in np.flatnonzero(grid.points[:, d] == value):
                log_q = np.log(ratio(grid.points[kept[0]], grid.points[row])[0])
                if np.isfinite(log_q):
                    expected[row] = log_q + log_mean[kept[0]] - log_mean[row]
        assert sorted(axis.predicted) == sorted(expected)
        errors = axis.errors(log_mean[:, None])[:, 0]
        np.testing.assert_allclose(errors, [expected[row] for row in axis.predicted], atol=1e-12)


def test_the_factor_is_measured_on_long_axes():
    def measured(function):
        grid = lattice(np.arange(3000.0, 5100.0, 100.0))
        values = function(grid.points / 1000)
        (axis,) = axis_folds(grid, "cubic")
        return axis.factor(values, axis.errors(values))

    assert measured(np.sin) < 0.64 / 8  # smooth: the edges are of third order, the rest of fourth
    rough = measured(lambda x: np.random.default_rng(0).normal(size=x.shape))
    assert 0.4 < rough < 0.64  # rough: a smaller step gains nothing
    assert doubled_step_factor("linear", 9, 0.25, 1.0) == pytest.approx(0.7303 / 4, rel=1e-3)


def test_an_axis_with_two_values_contributes_nothing():
    grid = lattice([3000, 3100], [4, 4.5, 5])
    axes = axis_folds(grid, "cubic")
    assert [axis.name for axis in axes] == ["logg"]
    assert rms(np.array([[3.0, 4.0]])) == 5
