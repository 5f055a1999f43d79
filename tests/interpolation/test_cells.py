"""Interpolation on product grids: invariants, and agreement with a slow reference."""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.interpolation import interpolation
from tests.helpers import reference
from tests.helpers.drawn import anywhere, axes, grids, lattice, nodes_of, seeds

METHODS = ("linear", "cubic", "simplex")
SLOW = {"linear": reference.multilinear, "cubic": reference.hermite, "simplex": reference.kuhn}


class Surface:
    """Values at the grid points and their interpolant."""

    def __init__(self, grid, method, values):
        self.method = interpolation(grid, method)
        self.table = self.method.prepare(np.asarray(values, dtype=float).reshape(len(grid), -1))

    def __call__(self, theta):
        weights, valid = self.method.weights(np.asarray(theta, dtype=float))
        return (weights @ self.table)[:, 0], valid


def random_surface(grid, method, rng):
    values = rng.normal(size=len(grid))
    return Surface(grid, method, values), values


def scale(grid):
    """A length along each axis: the smallest step, or 1 for a fixed parameter."""
    return np.array([np.diff(axis).min() if len(axis) > 1 else 1.0 for axis in grid.axes])


# --- against the reference -----------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@given(grid=grids(), seed=seeds)
def test_it_agrees_with_the_slow_reference(method, grid, seed):
    rng = np.random.default_rng(seed)
    surface, values = random_surface(grid, method, rng)
    nodes, theta = nodes_of(grid, values), anywhere(grid, rng, 12)
    fast, valid = surface(theta)
    assert valid.tolist() == [reference.is_valid(nodes, tuple(x)) for x in theta]
    slow = [SLOW[method](nodes, tuple(x)) for x in theta[valid]]
    np.testing.assert_allclose(fast[valid], slow, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
@given(grid=grids(), seed=seeds)
def test_it_is_exact_at_grid_points_also_next_to_holes(method, grid, seed):
    surface, values = random_surface(grid, method, np.random.default_rng(seed))
    got, valid = surface(grid.points)
    assert valid.all()
    np.testing.assert_allclose(got, values, rtol=0, atol=1e-14)


# --- reproduced functions -------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@given(grid=grids(), seed=seeds)
def test_a_linear_function_is_reproduced_also_next_to_holes(method, grid, seed):
    rng = np.random.default_rng(seed)
    slope = rng.normal(size=len(grid.names)) / scale(grid)
    theta = anywhere(grid, rng, 40)
    got, valid = Surface(grid, method, grid.points @ slope)(theta)
    atol = 1e-13 * np.abs(grid.points * slope).sum(axis=1).max()
    np.testing.assert_allclose(got[valid], (theta @ slope)[valid], rtol=1e-12, atol=atol)


@pytest.mark.parametrize("method", ["linear", "cubic"])
@given(grid=grids(), seed=seeds)
def test_a_product_of_linear_functions_is_reproduced_also_next_to_holes(method, grid, seed):
    rng = np.random.default_rng(seed)
    low, width = grid.points.min(axis=0), np.maximum(np.ptp(grid.points, axis=0), 1e-3)
    a, b = rng.normal(size=(2, len(width)))

    def function(theta):
        return np.prod(a + b * (theta - low) / width, axis=1)

    theta = anywhere(grid, rng, 40)
    got, valid = Surface(grid, method, function(grid.points))(theta)
    np.testing.assert_allclose(got[valid], function(theta)[valid], rtol=0, atol=1e-10)


@given(values=axes(max_axes=3, min_length=4), seed=seeds)
def test_cubic_reproduces_products_of_parabolas_away_from_the_edges(values, seed):
    rng = np.random.default_rng(seed)
    grid = lattice(*values)
    low = np.array([axis[min(1, len(axis) - 1)] for axis in values])
    high = np.array([axis[max(-2, -len(axis))] for axis in values])
    a, b, c = rng.normal(size=(3, len(values)))

    def function(theta):
        x = (theta - low) / np.maximum(high - low, 1e-3)
        return np.prod(a + b * x + c * x**2, axis=1)

    theta = low + (high - low) * rng.random((50, len(low)))
    got, valid = Surface(grid, "cubic", function(grid.points))(theta)
    assert valid.all()
    size = np.abs(function(grid.points)).max()
    np.testing.assert_allclose(got, function(theta), rtol=0, atol=1e-11 * size)


# --- continuity -----------------------------------------------------------------------------------


def orthants(grid):
    """Directions (k, D) of the cells around a point: one sign per free axis."""
    signs = [(-1.0, 1.0) if len(axis) > 1 else (0.0,) for axis in grid.axes]
    return np.array(list(product(*signs)))


@pytest.mark.parametrize("method", METHODS)
@given(grid=grids(max_axes=3), seed=seeds)
def test_continuous_across_faces_edges_and_nodes(method, grid, seed):
    rng = np.random.default_rng(seed)
    surface, _ = random_surface(grid, method, rng)
    for x in anywhere(grid, rng, 15):
        (here,), (valid,) = surface(x[None])
        around, near = surface(x + 1e-9 * scale(grid) * orthants(grid))
        if valid:
            np.testing.assert_allclose(around[near], here, rtol=0, atol=1e-6)


FORWARD = np.array([-11.0, 18.0, -9.0, 2.0]) / 6  # one-sided slope, exact for a cubic


def gradient(grid, surface, x, signs):
    """Gradient (D,) per least step at x (D,), from inside the cell in the direction of the signs.

    None where the cell is not valid.
    """
    near = x + 1e-8 * scale(grid) * signs
    step = signs * [room(*each) / 4 for each in zip(grid.axes, near, signs, strict=True)]
    places = near + np.arange(4)[:, None, None] * np.diag(step)  # (4, D, D)
    values, valid = surface(places.reshape(-1, len(x)))
    if not valid.all():
        return None
    return FORWARD @ values.reshape(4, -1) * scale(grid) / np.where(signs, step, np.inf)


def room(axis, x, sign):
    """Distance from x to the next value of the axis in the direction of the sign."""
    beyond = sign * (axis - x)
    return beyond[beyond > 0].min(initial=np.ptp(axis))


def largest_kink(grid, surface, rng, n=15):
    """Largest difference between the gradients in the cells around a point."""
    worst = 0.0
    for x in anywhere(grid, rng, n):
        around = [gradient(grid, surface, x, signs) for signs in orthants(grid)]
        gradients = np.array([g for g in around if g is not None])
        if len(gradients) > 1:
            worst = max(worst, float(np.ptp(gradients, axis=0).max()))
    return worst


RAGGED = Grid(
    np.array(
        [p for p in product(range(4), range(4), range(3)) if p[2] == 1 or 0 < p[1] < 3], float
    ),
    ("teff", "feh", "alpha"),
)


@given(grid=grids(max_axes=3), seed=seeds)
@example(grid=RAGGED, seed=1)
def test_cubic_has_a_continuous_gradient_also_next_to_holes(grid, seed):
    rng = np.random.default_rng(seed)
    surface, _ = random_surface(grid, "cubic", rng)
    assert largest_kink(grid, surface, rng) < 1e-4


@pytest.mark.parametrize("method", ["linear", "simplex"])
def test_linear_and_simplex_have_kinks(method):
    rng = np.random.default_rng(5)
    surface, _ = random_surface(RAGGED, method, rng)
    assert largest_kink(RAGGED, surface, rng) > 0.1


@pytest.mark.parametrize("signs", [[1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]])
def test_the_gradient_of_the_test_is_right(signs):
    grid = lattice([0.0, 1.0, 3.0], [0.0, 2.0], [7.0])
    surface = Surface(grid, "linear", grid.points @ [2.0, -3.0, 0.0])
    got = gradient(grid, surface, np.array([1.0, 0.5, 7.0]), np.array(signs))
    np.testing.assert_allclose(got, [2.0, -6.0, 0.0], atol=1e-12)


# --- holes and edges ------------------------------------------------------------------------------

HOLED = Grid(
    np.array([p for p in product([0.0, 1, 3, 4, 6], [0.0, 2, 3, 5, 6]) if p != (3, 3)]),
    ("teff", "logg"),
)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("theta", "valid"),
    [
        ((3.0, 3.0), False),  # the hole itself
        ((2.0, 2.5), False),  # in a cell with a corner at the hole
        ((3.0, 2.5), False),  # on an edge that ends at the hole
        ((3.5, 3.0), False),
        ((2.0, 2.0), True),  # on an edge whose own ends exist, between two cells or next to them
        ((1.0, 2.5), True),
        ((4.0, 4.0), True),
        ((3.5, 5.0), True),
        ((3.0, 2.0), True),  # a grid point next to the hole
        ((1.0, 3.0), True),
        ((4.0, 5.0), True),
        ((6.0, 6.0), True),  # the last corner
        ((-1e-9, 0.0), False),  # outside
        ((0.0, 6.0 + 1e-9), False),
        ((np.inf, 0.0), False),
        ((0.0, -np.inf), False),
    ],
)
def test_next_to_a_hole(method, theta, valid):
    got, is_valid = Surface(HOLED, method, HOLED.points @ [1.0, 10.0])([theta])
    assert is_valid.tolist() == [valid]
    if valid:
        assert got[0] == pytest.approx(theta[0] + 10 * theta[1], abs=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_a_fixed_parameter_must_have_its_value(method):
    surface = Surface(lattice([0.0, 1.0], [4.5], [0.0, 1.0]), method, np.arange(4))
    _, valid = surface([[0.5, 4.5, 0.5], [0.5, 4.4, 0.5], [0.5, 4.6, 0.5]])
    assert valid.tolist() == [True, False, False]


@pytest.mark.parametrize("method", METHODS)
def test_an_empty_array_of_theta_gives_no_weights(method):
    got, valid = Surface(RAGGED, method, np.zeros(len(RAGGED)))(np.empty((0, 3)))
    assert got.shape == valid.shape == (0,)


@pytest.mark.parametrize(("method", "entries"), [("linear", 8), ("cubic", 64), ("simplex", 4)])
def test_weights_are_sparse_and_serve_every_column(method, entries):
    rng = np.random.default_rng(0)
    how = interpolation(RAGGED, method)
    table = how.prepare(rng.normal(size=(len(RAGGED), 5)))
    weights, _ = how.weights(anywhere(RAGGED, rng, 7))
    assert weights.nnz == 7 * entries
    assert (weights @ table).shape == (7, 5)


@pytest.mark.parametrize("method", ["cubic", "linear"])
def test_an_irregular_grid_is_refused(method):
    grid = Grid(np.random.default_rng(0).random((12, 3)), ("teff", "logg", "feh"))
    with pytest.raises(InvalidInput, match="use simplex") as error:
        interpolation(grid, method)
    assert (error.value.name, error.value.value) == ("method", method)
    assert "\n" not in str(error.value)


def test_an_unknown_method_is_refused():
    with pytest.raises(InvalidInput, match="choose from cubic, linear") as error:
        interpolation(RAGGED, "nearest")
    assert (error.value.name, error.value.value) == ("method", "nearest")


@given(data=st.data())
def test_a_drawn_ragged_grid_can_have_holes(data):
    grid = data.draw(grids(max_axes=3, holes=("ragged",)))
    assert len(grid) <= np.prod([len(axis) for axis in grid.axes])
