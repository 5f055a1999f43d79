"""Held-out errors of q against a slow reference and next to holes, and the best method."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings

from mixjobs.grid import Grid
from mixjobs.interpolation import METHODS
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.model.ratio_errors import RANKED, HeldOutErrors, best_method, held_out_errors
from mixjobs.orders import Orders
from tests.helpers import reference
from tests.helpers.drawn import lattice, seeds

ORDERS = Orders.from_edges([5000, 5500, 6100])
TEFF, LOGG, FEH = [5000, 5100, 5300, 5700, 6000], [3.5, 4.0, 5.0], [-1.0, 0.0]
GRID = lattice(TEFF, LOGG, FEH)
SLOW = {"linear": reference.multilinear, "cubic": reference.hermite, "simplex": reference.kuhn}


def means_on(grid, seed):
    """Mean fluxes of two orders: a power of the first parameter, with noise."""
    noise = np.random.default_rng(seed).normal(0, 0.1, (2, len(grid)))
    return np.exp(np.array([[4.0], [3.0]]) * np.log(grid.points[:, 0] / 5000) + noise)


def slow_errors(grid, means, d, method):
    """|exp(L_predicted - L) - 1| at every point with an inner value, in the sequence of the values.

    q from any point that remains has this error, because that point itself is exact.
    """
    nodes = [dict(zip(map(tuple, grid.points), row, strict=True)) for row in np.log(means)]
    errors = []
    for value in sorted({point[d] for point in nodes[0]})[1:-1]:
        kept = [{p: v for p, v in node.items() if p[d] != value} for node in nodes]
        for point in grid.points[grid.points[:, d] == value]:
            theta = tuple(point)
            if reference.is_valid(kept[0], theta):
                wrong = [
                    SLOW[method](k, theta) - n[theta] for k, n in zip(kept, nodes, strict=True)
                ]
                errors.append(np.abs(np.expm1(wrong)))
            else:
                errors.append([np.nan, np.nan])
    return np.array(errors).T


@pytest.mark.parametrize("method", SLOW)
@settings(max_examples=4)
@given(seed=seeds)
def test_it_agrees_with_the_slow_reference(method, seed):
    means = means_on(GRID, seed)
    results = held_out_errors(GRID, ORDERS, means, [method])
    assert [(r.axis, r.error.shape) for r in results] == [("teff", (2, 18)), ("logg", (2, 10))]
    for d, result in enumerate(results):
        np.testing.assert_allclose(result.error, slow_errors(GRID, means, d, method), rtol=1e-9)


@settings(max_examples=15)
@given(seed=seeds)
def test_the_neighbours_of_a_hole_are_not_predicted(seed):
    hole = np.random.default_rng(seed).integers(len(GRID))
    grid = GRID.take(np.delete(np.arange(len(GRID)), hole))
    means = means_on(grid, seed)
    for result in held_out_errors(grid, ORDERS, means, ["linear"]):
        d = grid.names.index(result.axis)
        np.testing.assert_allclose(
            result.error, slow_errors(grid, means, d, "linear"), rtol=1e-9, equal_nan=True
        )
    if GRID.points[hole, 1] != 4.0:  # then it is a neighbour along log g
        assert np.isnan(result.error).any()


def test_blackbodies_are_compared_with_the_nearest_point_that_remains():
    grid = lattice([5000, 5100, 5300])  # the nearest to 5100 is 5000
    means = means_on(grid, 1)
    (result,) = held_out_errors(grid, ORDERS, means, ["blackbody"])
    for m in range(2):
        low, high = ORDERS.wave_min[m], ORDERS.wave_max[m]
        planck = [reference.planck_integral_mean(low, high, teff) for teff in (5000, 5100)]
        true = means[m, 1] / means[m, 0]
        assert result.error[m, 0] == pytest.approx(abs(planck[1] / planck[0] / true - 1), rel=1e-8)


def test_a_linear_logarithm_is_predicted_exactly():
    means = np.exp(np.array([[1.0], [2.0]]) * (GRID.points @ [1e-3, 0.3, -0.2]))
    for result in held_out_errors(GRID, ORDERS, means, ["cubic", "linear", "simplex"]):
        assert result.error.max() < 1e-12


def test_short_and_fixed_axes_are_left_out():
    grid = lattice([5000, 5100, 5200], [4.0, 4.5], [0.0])
    results = held_out_errors(grid, ORDERS, means_on(grid, 3), METHODS)
    assert [(r.axis, r.method) for r in results] == [("teff", method) for method in METHODS]
    assert held_out_errors(lattice([5000, 5100]), ORDERS, np.ones((2, 2)), METHODS) == []


def test_only_simplex_and_blackbody_work_on_an_irregular_grid():
    rng = np.random.default_rng(5)
    grid = Grid(rng.uniform([5000, 3], [6000, 5], (14, 2)), ("teff", "logg"))
    means = means_on(grid, 6)
    results = held_out_errors(grid, ORDERS, means, ["cubic", "linear", "simplex", "blackbody"])
    assert [(r.axis, r.method) for r in results] == list(
        product(("teff", "logg"), ("simplex", "blackbody"))
    )
    assert np.isfinite(results[0].error).all(axis=0).sum() > 3


def test_a_method_that_needs_complete_cells_is_undefined_without_them():
    """Without x = 2 no cell is complete; a simplex still reaches one of its two points."""
    grid = Grid(np.array([*product([1, 2], [1, 2]), (3, 1), (4, 1)], dtype=float), ("x", "y"))
    linear, simplex = held_out_errors(grid, ORDERS, means_on(grid, 7), ["linear", "simplex"])
    assert np.isfinite(linear.error).tolist() == [[False, False, True]] * 2
    assert np.isfinite(simplex.error).tolist() == [[True, False, True]] * 2


def test_median_and_percentile_are_by_order():
    error = np.array([[1.0, 2.0, 30.0, np.nan], [0.0, 0.0, 0.0, np.nan]])
    result = HeldOutErrors("teff", "cubic", error)
    assert result.median.tolist() == [2, 0]
    assert result.percentile95.tolist() == pytest.approx([27.2, 0])


def errors(axis, method, values):
    return HeldOutErrors(axis, method, np.array([values], dtype=float))


def test_best_method():
    one = [errors("teff", "cubic", [2, 2, 2]), errors("teff", "linear", [1, 1, 9])]
    assert best_method(one) == "linear"
    two = [*one, errors("logg", "cubic", [1, 1, 1]), errors("logg", "linear", [3, 3, 3])]
    assert best_method(two) == "cubic"  # 2 x 1 against 1 x 3
    assert best_method([]) is None


def test_pairwise_and_blackbody_are_never_the_best():
    results = [errors("teff", m, [0.1 * (k + 1)]) for k, m in enumerate(METHODS[::-1])]
    assert [r.method for r in results[:2]] == ["blackbody", "pairwise"]
    assert best_method(results) == "simplex"
    assert best_method(results[:2]) is None


def test_the_first_of_equal_methods_is_the_best():
    for methods in (RANKED, RANKED[::-1]):
        results = [errors("teff", m, [0.1 * (1 - k * 1e-12)]) for k, m in enumerate(methods)]
        assert best_method(results) == methods[0]


def test_the_best_method_is_defined_along_every_axis():
    results = [errors("teff", "cubic", [5]), errors("teff", "linear", [9])]
    results += [errors("logg", "cubic", [5]), errors("logg", "linear", [9])]
    results += [errors("teff", "simplex", [1])]
    assert best_method(results) == "cubic"


def test_methods_are_compared_at_the_same_points():
    simplex = errors("teff", "simplex", [4, 4, np.nan, np.nan, np.nan])
    assert best_method([simplex, errors("teff", "cubic", [3, 3, 90, 90, 90])]) == "cubic"


def test_the_default_is_at_least_as_good_as_linear_on_a_smooth_grid():
    teff = np.arange(4000, 7001, 250.0)
    grid = lattice(teff, [3.5, 4.0, 4.5, 5.0])
    t, g = grid.points.T
    means = np.exp(np.stack([-14000 / t + 0.05 * g**2, -9000 / t + 0.02 * g**3]))
    results = {
        (r.axis, r.method): r for r in held_out_errors(grid, ORDERS, means, ["cubic", "linear"])
    }
    for axis in ("teff", "logg"):
        assert (results[axis, "cubic"].median < results[axis, "linear"].median).all()
    assert best_method(list(results.values())) == "cubic"
    assert flux_ratio(grid, ORDERS, means).method == "cubic"
