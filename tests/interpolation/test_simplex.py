"""Simplex interpolation between irregular points and in the cells of a product grid."""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.interpolation import interpolation
from mixjobs.interpolation.simplex import CellSimplex, DelaunaySimplex
from tests.helpers.drawn import lattice, seeds

NAMES = ("teff", "logg", "feh", "alpha")


@st.composite
def irregular(draw):
    """Points in two to four dimensions: scattered, or boxes with scattered points inside."""
    n_axes = draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(seeds))
    points = rng.integers(0, 2**10, (draw(st.integers(12, 30)), n_axes)) / 2**8
    if draw(st.booleans()):
        corners = np.array(list(product(range(0, 5, 2 if n_axes > 3 else 1), repeat=n_axes)))
        points = np.concatenate([corners, points])
    points = np.unique(points * draw(st.sampled_from([1.0, 100.0])), axis=0)
    return Grid(rng.permutation(points), NAMES[:n_axes])


def within(grid, rng, n):
    """Theta (n, D) inside the hull: averages of the points with random weights."""
    shares = rng.dirichlet(np.full(len(grid), 0.2), n)
    return shares @ grid.points


def evaluate(simplex, values, theta):
    weights, valid = simplex.weights(np.asarray(theta, dtype=float))
    return (weights @ simplex.prepare(np.reshape(values, (-1, 1))))[:, 0], valid


@given(grid=irregular(), seed=seeds)
def test_exact_at_the_points(grid, seed):
    values = np.random.default_rng(seed).normal(size=len(grid))
    got, valid = evaluate(DelaunaySimplex(grid), values, grid.points)
    assert valid.all()
    np.testing.assert_allclose(got, values, rtol=0, atol=1e-10)


@given(grid=irregular(), seed=seeds)
def test_a_linear_function_is_reproduced_everywhere_in_the_hull(grid, seed):
    rng = np.random.default_rng(seed)
    slope = rng.normal(size=len(grid.names))
    theta = within(grid, rng, 50)
    got, valid = evaluate(DelaunaySimplex(grid), grid.points @ slope, theta)
    assert valid.all()
    np.testing.assert_allclose(got, theta @ slope, rtol=0, atol=1e-9 * np.abs(grid.points).max())


@given(grid=irregular(), seed=seeds)
def test_no_value_leaves_the_range_of_the_points(grid, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=len(grid))
    got, _ = evaluate(DelaunaySimplex(grid), values, within(grid, rng, 50))
    assert got.min() > values.min() - 1e-9
    assert got.max() < values.max() + 1e-9


BOXES = np.array(list(product(range(4), range(4), range(4))), dtype=float)
EXTRA = np.random.default_rng(3).integers(0, 3 * 2**8, (20, 3)) / 2**8
BOXED = Grid(np.concatenate([BOXES, EXTRA]), NAMES[:3])


@pytest.mark.parametrize("d", [0, 1, 2])
def test_continuous_across_the_faces_of_boxes(d):
    """The corners of a box lie on a sphere, so neighbours could be divided differently."""
    assert not BOXED.is_product
    rng = np.random.default_rng(d)
    values, simplex = rng.normal(size=len(BOXED)), DelaunaySimplex(BOXED)
    below, above = np.repeat(3 * rng.random((1, 500, 3)), 2, axis=0)
    face = rng.integers(1, 3, 500)
    below[:, d], above[:, d] = face - 1e-9, face + 1e-9
    (low, ok1), (high, ok2) = (evaluate(simplex, values, x) for x in (below, above))
    assert ok1.all()
    assert ok2.all()
    np.testing.assert_allclose(low, high, rtol=0, atol=1e-6)


@given(grid=irregular(), seed=seeds)
@example(grid=BOXED, seed=2)
@example(grid=BOXED, seed=3)
def test_continuous_along_lines(grid, seed):
    """However finely the steepest part of a line is sampled, a jump would remain."""
    rng = np.random.default_rng(seed)
    values, simplex = rng.normal(size=len(grid)), DelaunaySimplex(grid)
    first, last = within(grid, rng, 20).reshape(2, 10, 1, -1)
    low, high = np.zeros((10, 1)), np.ones((10, 1))
    for _ in range(4):
        at = low + (high - low) * np.linspace(0, 1, 301)  # (10 lines, 301 places)
        theta = first + at[..., None] * (last - first)
        got, valid = evaluate(simplex, values, theta.reshape(-1, theta.shape[-1]))
        assert valid.all()
        got = got.reshape(at.shape)
        steepest = np.abs(np.diff(got)).argmax(axis=1)[:, None]
        low, high = (np.take_along_axis(at, steepest + i, axis=1) for i in (0, 1))
    assert np.ptp(got, axis=1).max() < 1e-3


@pytest.mark.parametrize("n_axes", [2, 3, 4])
def test_boxes_are_divided_in_the_same_way_as_cells(n_axes):
    """On a product grid the two kinds of simplex coincide."""
    rng = np.random.default_rng(n_axes)
    grid = lattice(*[range(3)] * n_axes)
    values, theta = rng.normal(size=len(grid)), 2 * rng.random((200, n_axes))
    by_cell, _ = evaluate(interpolation(grid, "simplex"), values, theta)
    by_points, valid = evaluate(DelaunaySimplex(grid), values, theta)
    assert valid.all()
    np.testing.assert_allclose(by_points, by_cell, rtol=0, atol=1e-12)


def test_the_method_follows_the_grid():
    assert isinstance(interpolation(lattice(range(3), range(3)), "simplex"), CellSimplex)
    assert isinstance(interpolation(BOXED, "simplex"), DelaunaySimplex)


def test_the_edge_of_the_hull_is_valid_and_beyond_is_not():
    grid = Grid(BOXED.points * [100, 0.5, 0.3] + [2600, 3, -4], NAMES[:3])
    rng = np.random.default_rng(0)
    theta = grid.points.min(axis=0) + np.ptp(grid.points, axis=0) * rng.random((300, 3))
    rows, d = np.arange(300), rng.integers(0, 3, 300)
    theta[rows, d] = np.where(
        rng.random(300) < 0.5, grid.points.min(axis=0)[d], grid.points.max(axis=0)[d]
    )
    simplex = DelaunaySimplex(grid)
    assert simplex.weights(theta)[1].all()
    outwards = np.sign(theta - grid.points.mean(axis=0))
    theta[rows, d] += 1e-6 * outwards[rows, d]
    assert not simplex.weights(theta)[1].any()


def test_inside_the_box_and_outside_the_hull():
    grid = Grid(np.array([[0.0, 0.0], [1.0, 0.3], [0.4, 1.0], [0.6, 0.2]]), NAMES[:2])
    beside_edge = [[0.7 + shift, 0.65 + shift] for shift in (1e-7, 0.0, -1e-7)]
    theta = [[0.9, 0.9], *beside_edge, [0.5, 0.5]]
    _, valid = evaluate(DelaunaySimplex(grid), np.zeros(4), theta)
    assert valid.tolist() == [False, False, True, True, True]


@given(grid=irregular(), seed=seeds)
def test_units_do_not_matter(grid, seed):
    rng = np.random.default_rng(seed)
    values, theta = rng.normal(size=len(grid)), within(grid, rng, 50)
    unit = 10.0 ** rng.integers(-3, 4, len(grid.names))
    got, _ = evaluate(DelaunaySimplex(grid), values, theta)
    again, _ = evaluate(DelaunaySimplex(Grid(grid.points * unit, grid.names)), values, theta * unit)
    np.testing.assert_allclose(again, got, rtol=0, atol=1e-8)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1e300])
def test_far_outside_is_not_valid(bad):
    _, valid = evaluate(DelaunaySimplex(BOXED), np.zeros(len(BOXED)), [[1.0, bad, 1.0]])
    assert not valid.any()


def test_a_fixed_parameter_must_have_its_value():
    points = np.insert(BOXED.points, 1, 4.5, axis=1)
    simplex = DelaunaySimplex(Grid(points, NAMES))
    _, valid = evaluate(simplex, np.zeros(len(points)), [[1, 4.5, 1, 1], [1, 4.4, 1, 1]])
    assert valid.tolist() == [True, False]


@pytest.mark.parametrize(
    ("points", "rank"),
    [
        ([[0, 0], [1, 1]], 1),  # too few
        ([[t, 0.4 * t] for t in range(9)], 1),  # on a line
        ([[t, z, 0.1 * t - 0.4 * z] for t, z in product(range(4), range(3))], 2),  # in a plane
        ([[5e3 + 100 * t, 4 + 0.1 * z, 0.4 * z] for t, z in product(range(4), range(3))], 2),
    ],
)
def test_points_in_one_plane_are_refused(points, rank):
    names = NAMES[: len(points[0])]
    with pytest.raises(InvalidInput, match=f"span {rank} of the {len(names)} dimensions") as error:
        interpolation(Grid(np.array(points, dtype=float), names), "simplex")
    assert "\n" not in str(error.value)
    assert all(name in str(error.value) for name in names)


def test_an_empty_array_of_theta_gives_no_weights():
    got, valid = evaluate(DelaunaySimplex(BOXED), np.zeros(len(BOXED)), np.empty((0, 3)))
    assert got.shape == valid.shape == (0,)


@pytest.mark.parametrize("start", [0, 1])
def test_a_point_on_shared_faces_does_not_depend_on_its_batch(start):
    rng = np.random.default_rng(start)
    values, simplex = rng.normal(size=len(BOXED)), DelaunaySimplex(BOXED)
    theta = np.round(3 * rng.random((40, 3)))
    together, _ = evaluate(simplex, values, theta)
    alone = [evaluate(simplex, values, x[None])[0][0] for x in theta]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)
