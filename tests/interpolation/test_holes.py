"""Theta that need holes or lie near them, against a slow reference."""

from itertools import product

import numpy as np
from hypothesis import given

from mixjobs.interpolation import interpolation
from mixjobs.interpolation.cells import Cells
from mixjobs.interpolation.holes import Nodes, near, theta_at
from tests.helpers.drawn import anywhere, grids, lattice, seeds


def hole_positions(grid):
    return grid.lattice.ravel() < 0


@given(grid=grids(max_axes=3, holes=("random", "ragged")), seed=seeds)
def test_theta_within_the_range_are_invalid_exactly_where_they_need_a_hole(grid, seed):
    theta = anywhere(grid, np.random.default_rng(seed), 40)
    _, valid = interpolation(grid, "cubic").weights(theta)
    nodes = Nodes.of(Cells(grid), theta)
    assert nodes.among(hole_positions(grid)).tolist() == (~valid).tolist()


def test_theta_outside_the_range_need_no_node():
    grid = lattice([3000, 3100, 3200], [4, 4.5, 5]).take([0, 1, 2, 3, 4, 5, 6, 7])
    nodes = Nodes.of(Cells(grid), np.array([[3150, 5.5], [3500, 5.0], [3150, 4.9]]))
    assert nodes.among(hole_positions(grid)).tolist() == [False, False, True]


@given(grid=grids(max_axes=3, holes=("random",)), seed=seeds)
def test_the_holes_that_theta_need_are_counted_and_named(grid, seed):
    theta = anywhere(grid, np.random.default_rng(seed), 10)
    counts = Nodes.of(Cells(grid), theta).counts(hole_positions(grid))
    expected = {tuple(hole): 0 for hole in grid.holes}
    for x in theta:
        for corner in product(*map(enclosing, grid.axes, x)):
            if corner in expected:
                expected[corner] += 1
    named = theta_at(grid, np.arange(len(counts)))
    assert {tuple(named[i]): counts[i] for i in np.flatnonzero(hole_positions(grid))} == expected
    assert counts.sum() == sum(expected.values())


def enclosing(axis, x):
    return {axis[axis <= x][-1], axis[axis >= x][0]}


@given(grid=grids(max_axes=3, holes=("random",)), seed=seeds)
def test_theta_are_near_a_hole_within_one_grid_step_of_a_cell_that_needs_it(grid, seed):
    rng = np.random.default_rng(seed)
    low, high = grid.points.min(axis=0), grid.points.max(axis=0)
    theta = low + (high - low) * rng.uniform(0.001, 0.999, (20, len(low)))
    steps = np.stack(
        [
            np.interp(x, axis, np.arange(len(axis)))
            for axis, x in zip(grid.axes, theta.T, strict=True)
        ],
        axis=1,
    )
    holes = [tuple(map(float, place)) for place in np.argwhere(grid.lattice < 0)]
    # a cell with a corner at the hole extends one step from it, along every axis
    expected = [any(np.abs(x - hole).max() < 2 for hole in holes) for x in steps]
    assert near(Cells(grid), theta, hole_positions(grid)).tolist() == expected
