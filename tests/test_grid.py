"""Grids: points, axes, holes, and theta by name or by position."""

import pickle
from itertools import product

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, LibraryError
from mixjobs.grid import Grid, describe

NAMES = ("teff", "logg", "feh", "alpha")


def grid_of(*axes, keep=lambda *point: True):
    points = np.array([point for point in product(*axes) if keep(*point)], dtype=float)
    return Grid(points, NAMES[: points.shape[1]])


def phoenix(hottest_alpha):
    """The pattern of PHOENIX-ACES: alpha in part of the grid, and no hot giants."""

    def has(teff, logg, feh, alpha):
        enhanced = 3500 <= teff <= hottest_alpha and -3 <= feh <= 0
        return (alpha == 0 or enhanced) and (teff <= 7000 or logg >= (teff - 6000) / 2000)

    return grid_of(*PHOENIX_AXES, keep=has)


PHOENIX_AXES = (
    [*range(2300, 7001, 100), *range(7200, 12001, 200)],
    np.arange(0, 6.1, 0.5),
    [-4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1],
    np.round(np.arange(-0.2, 1.21, 0.2), 1),
)

axis = st.lists(st.integers(-40, 40).map(lambda n: n / 8), min_size=1, max_size=5, unique=True)


@st.composite
def grid_with_holes(draw):
    """Draw axes, missing points of their product, and the other points in random sequence."""
    axes = draw(st.lists(axis, min_size=1, max_size=3))
    points = list(product(*axes))
    missing = draw(st.sets(st.sampled_from(points), max_size=len(points) // 12))
    kept = draw(st.permutations([p for p in points if p not in missing]))
    return axes, missing, kept


# --- axes and holes -------------------------------------------------------------------------------


@given(drawn=grid_with_holes())
def test_axes_index_and_lattice_agree_with_the_points(drawn):
    _, _, kept = drawn
    if len(kept) < 2:
        return
    grid = Grid(np.array(kept), NAMES[: len(kept[0])])
    assert [a.tolist() for a in grid.axes] == [
        sorted({*column}) for column in zip(*kept, strict=True)
    ]
    assert grid.free == tuple(d for d, a in enumerate(grid.axes) if len(a) > 1)
    for row, (point, indices) in enumerate(zip(kept, grid.index, strict=True)):
        assert tuple(a[i] for a, i in zip(grid.axes, indices, strict=True)) == point
        assert grid.lattice[tuple(indices)] == row == grid.row(point)
    assert (grid.lattice >= 0).sum() == len(grid) == len(kept)


@given(drawn=grid_with_holes())
def test_holes_are_the_missing_points_of_the_product(drawn):
    _, _, kept = drawn
    if len(kept) < 2:
        return
    grid = Grid(np.array(kept), NAMES[: len(kept[0])])
    expected = set(product(*(a.tolist() for a in grid.axes))) - set(kept)
    holes = [tuple(hole) for hole in grid.holes]
    assert len(set(holes)) == len(holes)
    assert set(holes) == (expected if grid.is_product else set())
    assert all(grid.row(hole) is None for hole in holes)


@pytest.mark.parametrize(
    "axes",
    [
        ([1, 2],),
        ([1, 2, 5], [0.5]),
        ([1, 2, 5], [0.1, 0.2], [3], [4, 5, 7]),
    ],
)
def test_a_complete_product_has_no_holes(axes):
    grid = grid_of(*axes)
    assert grid.is_product
    assert grid.holes.shape == (0, len(axes))


@pytest.mark.parametrize("hottest_alpha", [8000, 4000])  # the whole library, and part of it
def test_phoenix_with_alpha_is_a_product_although_less_than_half_full(hottest_alpha):
    grid = phoenix(hottest_alpha)
    assert len(grid) < 0.5 * np.prod([len(a) for a in grid.axes])
    assert grid.is_product
    assert len(grid) + len(grid.holes) == np.prod([len(a) for a in grid.axes])


@pytest.mark.parametrize("missing_fraction", [0.02, 0.05, 0.1])
def test_a_product_with_random_holes_is_recognised(missing_fraction):
    rng = np.random.default_rng(0)
    for axes in (
        [range(20), range(9)],
        [range(12), range(6), range(5)],
        [*map(range, (8, 6, 5, 4))],
    ):
        grid = grid_of(*axes, keep=lambda *point: rng.random() > missing_fraction)
        assert grid.is_product
        assert len(grid.holes) == np.prod([len(axis) for axis in axes]) - len(grid) > 0


@pytest.mark.parametrize("hole", [(0, 0), (0, 1), (1, 1), (2, 3), (3, 3)])
def test_a_small_product_with_one_hole_is_recognised(hole):
    grid = grid_of(range(4), range(4), keep=lambda *point: point != hole)
    assert grid.is_product
    assert [tuple(h) for h in grid.holes] == [hole]


@pytest.mark.parametrize("n_axes", [2, 3, 4])
def test_scattered_points_are_irregular(n_axes):
    rng = np.random.default_rng(n_axes)
    for points in (rng.random((300, n_axes)), rng.integers(0, 30, (400, n_axes)).astype(float)):
        grid = Grid(np.unique(points, axis=0), NAMES[:n_axes])
        assert not grid.is_product
        assert grid.holes.shape == (0, n_axes)


@pytest.mark.parametrize(
    "points",
    [
        # a finer step in teff for dwarfs only: most cells of the product are incomplete
        [p for p in product(range(0, 21), range(11), range(3)) if p[1] > 8 or p[0] % 2 == 0],
        # log g depends on teff, at three metallicities
        [(t, t + 0.1 * g, z) for t in range(9) for g in range(2) for z in range(3)],
        [(t, 0.4 * t, z, a) for t in range(9) for z in range(3) for a in range(3)],
        [(t, 0.4 * t) for t in range(9)],
        [(0, 0), (1, 1)],
    ],
)
def test_nearly_regular_points_are_irregular(points):
    assert not Grid(np.array(points, dtype=float), NAMES[: len(points[0])]).is_product


# --- invalid grids --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "names", "name", "value"),
    [
        ([[1, 2], [3, 4]], ("teff",), "names", ("teff",)),
        ([[1, 2]], ("teff", "logg"), "points", 1),
        ([[1, 2], [np.inf, 4]], ("teff", "logg"), "points", [np.inf, 4]),
        ([[3, 4], [3, 4], [1, 2], [1, 2], [1, 2]], ("teff", "logg"), "points", [1, 2]),
        ([[0.0, 1], [-0.0, 1], [1, 1]], ("feh", "logg"), "points", [0, 1]),
    ],
)
def test_invalid_points_are_refused(points, names, name, value):
    with pytest.raises(LibraryError) as error:
        Grid(np.array(points, dtype=float), names)
    assert (error.value.name, error.value.value) == (name, value)


def test_nan_in_a_point_is_refused():
    with pytest.raises(LibraryError, match=r"grid point 1, \(teff=nan, logg=4\), is not finite"):
        Grid(np.array([[1, 2], [np.nan, 4]]), ("teff", "logg"))


def test_points_are_copied_and_read_only():
    points = np.array([[1.0, 2.0], [3.0, 4.0]])
    grid = Grid(points, ("teff", "logg"))
    points[0, 0] = 9.0
    assert grid.points[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        grid.points[0, 0] = 5.0


# --- theta ----------------------------------------------------------------------------------------

GRID = grid_of([5000, 5200], [4.0, 4.5], [0.1])


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_theta_by_name_equals_theta_by_position(shape):
    teff = np.random.default_rng(0).random(shape)
    by_name = GRID.theta({"logg": 4.2, "teff": teff})  # feh has a single value, and is left out
    assert by_name.shape == (*shape, 3)
    np.testing.assert_array_equal(by_name[..., 0], teff)
    assert (by_name[..., 1:] == [4.2, 0.1]).all()
    np.testing.assert_array_equal(GRID.theta(by_name), by_name)
    assert (GRID.theta({"teff": teff, "logg": 4.2, "feh": 0.3})[..., 2] == 0.3).all()


@pytest.mark.parametrize(
    ("theta", "name"),
    [
        (5000, "theta"),
        ([5000, 4], "theta"),
        (np.zeros((3, 4)), "theta"),
        ([5000, np.nan, 0], "logg"),
        (np.full((5000, 3), np.nan), "teff"),
        ([5000, "cool", 0], "theta"),
        ([[5000, 4, 0], [5000, 4]], "theta"),
        ({"teff": 5000, "logg": 4, "Z": 0}, "Z"),
        ({"logg": 4}, "teff"),
        ({"teff": 5000, "logg": np.nan}, "logg"),
        ({"teff": [5000, 5100], "logg": [4, 4.1, 4.2]}, "theta"),
        ({"teff": 5000 * u.AA, "logg": 4}, "teff"),
        ({"teff": 5000, "logg": 4 * u.K}, "logg"),
        ([5000 * u.s, 4, 0], "teff"),
        ([5000, 4, 0] * u.K, "theta"),
    ],
)
def test_an_invalid_theta_is_refused_in_one_line(theta, name):
    with pytest.raises(InvalidInput) as error:
        GRID.theta(theta)
    assert error.value.name == name
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_row_takes_a_point_by_position_or_name():
    assert GRID.row([5200, 4.5, 0.1]) == 3
    assert GRID.row({"teff": 5000, "logg": 4.5}) == 1
    assert GRID.row([5100, 4.5, 0.1]) is None


# --- selections -----------------------------------------------------------------------------------


def test_select_includes_both_ends():
    grid = grid_of([1, 2, 3, 4], [0.0, 0.5])
    rows = grid.select({"teff": (2, 3), "logg": (0.5, 9)})
    assert grid.points[rows].tolist() == [[2, 0.5], [3, 0.5]]
    assert grid.take(rows).points.tolist() == [[2, 0.5], [3, 0.5]]
    assert grid.take([5, 0]).points.tolist() == [[3, 0.5], [1, 0.0]]
    assert grid.select({}).tolist() == list(range(8))


@pytest.mark.parametrize(
    ("ranges", "name", "value"),
    [
        ({"Z": (0, 1)}, "Z", (0, 1)),
        ({"teff": (3, 2)}, "teff", (3, 2)),
        ({"teff": (2, 2), "logg": (0, 0)}, "select", 1),
        ({"teff": (2.1, 2.9)}, "select", 0),
        ({"teff": (1 * u.m, 2 * u.m)}, "teff", 1 * u.m),
    ],
)
def test_an_invalid_selection_is_refused(ranges, name, value):
    with pytest.raises(InvalidInput) as error:
        grid_of([1, 2, 3, 4], [0.0, 0.5]).select(ranges)
    assert (error.value.name, error.value.value) == (name, value)


def test_quantities_are_converted():
    grid = grid_of([5000, 5200], [4.0, 4.5])
    expected = [5100.0, 4.2]
    assert grid.theta({"teff": 5.1 * u.kK, "logg": 4.2}).tolist() == expected
    assert grid.theta([5.1 * u.kK, 4.2 * u.dimensionless_unscaled]).tolist() == expected
    assert grid.theta({"teff": [5, 5.1] * u.kK, "logg": 4}).tolist() == [[5000, 4], [5100, 4]]
    assert grid.select({"teff": [5.1, 5.3] * u.kK}).tolist() == [2, 3]
    assert grid.select({"teff": (5.1 * u.kK, 5300)}).tolist() == [2, 3]
    one_parameter = Grid(np.array([[5000.0], [5200.0]]), ("teff",))
    assert one_parameter.theta([5.1] * u.kK).tolist() == [5100]


def test_repr_is_a_few_lines():
    text = repr(grid_of(*PHOENIX_AXES))
    assert text.splitlines()[:3] == [
        "<Grid>",
        "  points  68328",
        "  layout  product of the axes",
    ]
    assert len(text.splitlines()) == 7


def test_describe():
    assert describe([6000.0, 4.5], ("teff", "logg")) == "(teff=6000, logg=4.5)"


@pytest.mark.parametrize("used", [False, True])
def test_pickling_keeps_the_grid(used):
    grid = grid_of([1, 2, 3], [0.0, 0.5], [4])
    if used:
        assert grid.is_product
        assert grid.lattice.size == 6
    copy = pickle.loads(pickle.dumps(grid))
    np.testing.assert_array_equal(copy.points, grid.points)
    assert (copy.names, copy.is_product, len(copy)) == (grid.names, True, 6)


def test_values_that_differ_by_rounding_are_refused():
    points = [[t, g] for t in (4000, 4200, 4400, 4600) for g in (4.0, 4.5, 5.0)]
    with pytest.raises(LibraryError) as error:
        Grid(np.array([*points, [4400.001, 4.5]]), ("teff", "logg"))
    assert (error.value.name, error.value.value) == ("teff", (4400.0, 4400.001))
    assert len(Grid(np.array([*points, [4401.0, 4.5]]), ("teff", "logg"))) == 13
