"""The flux ratio: invariants of every method, and invalid input."""

import pickle
from itertools import product

import h5py
import numpy as np
import pytest
from hypothesis import given

from mixjobs.errors import InvalidInput, OutsideGrid
from mixjobs.grid import Grid, describe
from mixjobs.interpolation import METHODS
from mixjobs.interpolation.cells import Cells, Linear
from mixjobs.interpolation.filling import fill_holes
from mixjobs.model import flux_ratio as module
from mixjobs.model.flux_ratio import MAX_PAIRS_PER_BATCH, flux_ratio
from mixjobs.orders import Orders
from tests.helpers import reference
from tests.helpers.drawn import anywhere, grids, lattice, make_q, nodes_of, seeds

EXACT = ("cubic", "linear", "simplex")
SMALL = lattice([5000.0, 5200, 5300], [4.0, 4.5, 5.0], [-0.5, 0.0])
CUBE = lattice([5000.0, 5300], [4.0, 5.0], [-0.5, 0.0])  # small enough to test pairwise often
SCATTERED = Grid(
    np.random.default_rng(8).random((25, 3)) * [1000, 2, 1] + [5000, 3, -1],
    ("teff", "logg", "feh"),
)


def drawn_q(grid, seed, method):
    """q with NaN where theta is invalid, the mean fluxes (M, N), and theta anywhere in range."""
    rng = np.random.default_rng(seed)
    q, mean_flux = make_q(grid, rng, method, outside="nan")
    return q, mean_flux, anywhere(grid, rng, 30)


# --- invariants -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", EXACT)
@given(grid=grids(), seed=seeds)
def test_exact_at_grid_points(method, grid, seed):
    q, mean_flux, _ = drawn_q(grid, seed, method)
    got = q(grid.points[:, None], grid.points[None, :])  # (N, N, M)
    table = mean_flux[:, None, :] / mean_flux[:, :, None]  # (M, N, N), [m, i, j] = j over i
    np.testing.assert_allclose(got, np.moveaxis(table, 0, -1), rtol=1e-12)


@pytest.mark.parametrize("method", EXACT)
@given(grid=grids(), seed=seeds)
def test_one_reciprocal_and_transitive_off_the_grid(method, grid, seed):
    q, _, theta = drawn_q(grid, seed, method)
    a, b, c = theta.reshape(3, 10, -1)
    np.testing.assert_array_equal(q(a, a)[np.isfinite(q(a, a))], 1.0)
    ab, ba, bc, ac = q(a, b), q(b, a), q(b, c), q(a, c)
    finite = np.isfinite(ab) & np.isfinite(bc)
    assert (ab[finite] > 0).all()
    np.testing.assert_allclose((ab * ba)[finite], 1.0, rtol=1e-12)
    np.testing.assert_allclose((ab * bc)[finite], ac[finite], rtol=1e-12)


@pytest.mark.parametrize("points", [SCATTERED, SMALL])
def test_simplex_satisfies_the_invariants_between_scattered_points(points):
    rng = np.random.default_rng(4)
    q, mean_flux = make_q(points, rng, "simplex", outside="nan")
    exact = np.moveaxis(mean_flux[:, None, :] / mean_flux[:, :, None], 0, -1)
    np.testing.assert_allclose(q(points.points[:, None], points.points), exact, rtol=1e-12)
    a, b, c = rng.dirichlet(np.ones(len(points)), (3, 50)) @ points.points
    np.testing.assert_array_equal(q(a, a), 1.0)
    np.testing.assert_allclose(q(a, b) * q(b, c), q(a, c), rtol=1e-12)


def test_pairwise_is_exact_at_grid_points_and_violates_the_invariants_between_them():
    rng = np.random.default_rng(0)
    mean_flux = SMALL.points[:, 0] ** 4 * np.exp(0.1 * rng.normal(size=(2, len(SMALL))))
    q = flux_ratio(SMALL, Orders.log_spaced(2, 7000, 9000), mean_flux, "pairwise", "nan")
    exact = np.moveaxis(mean_flux[:, None, :] / mean_flux[:, :, None], 0, -1)
    np.testing.assert_allclose(q(SMALL.points[:, None], SMALL.points), exact, rtol=1e-12)
    low, high = SMALL.points.min(axis=0), SMALL.points.max(axis=0)
    a, b = low + (high - low) * rng.random((2, 200, 3))
    assert 0.005 < np.abs(q(a, a) - 1).max() < 0.3
    assert 0.005 < np.abs(q(a, b) * q(b, a) - 1).max() < 0.5


def test_the_table_of_pairs_has_rank_one():
    """Multilinear interpolation of pairs is that of mean times that of 1/mean."""
    grid, rng = lattice([0.0, 1, 3], [0.0, 0.5]), np.random.default_rng(1)
    mean = np.exp(rng.normal(size=len(grid)))
    pairs = {
        (*p1, *p2): m2 / m1
        for (p1, m1), (p2, m2) in product(nodes_of(grid, mean).items(), repeat=2)
    }
    theta1, theta2 = anywhere(grid, rng, 20), anywhere(grid, rng, 20)
    six_d = [reference.multilinear(pairs, (*a, *b)) for a, b in zip(theta1, theta2, strict=True)]
    linear = Linear(Cells(grid))
    product_of_two = (linear.weights(theta2)[0] @ mean) * (linear.weights(theta1)[0] @ (1 / mean))
    np.testing.assert_allclose(product_of_two, six_d, rtol=1e-13)


def test_q_is_component_2_over_component_1():
    grid = lattice([4000.0, 5000.0], [4.0, 5.0])
    orders = Orders.log_spaced(1, 5000, 6000)
    q = flux_ratio(grid, orders, np.array([[1.0, 1.0, 3.0, 3.0]]))
    assert q([4000, 4], [5000, 4]).tolist() == pytest.approx([3.0])
    assert q([5000, 4], [4000, 5]).tolist() == pytest.approx([1 / 3])


# --- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_the_loop_and_leading_shapes_broadcast(method):
    grid = CUBE if method == "pairwise" else SMALL
    rng = np.random.default_rng(2)
    q, _ = make_q(grid, rng, method, n_orders=2)
    low, high = grid.points.min(axis=0), grid.points.max(axis=0)
    first, second = (low + (high - low) * rng.random((*n, 3)) for n in ((4, 1), (5,)))
    got = q(first, second)
    assert got.shape == (4, 5, 2)
    for i, j in product(range(4), range(5)):
        alone = q(first[i, 0], second[j])
        assert alone.shape == (2,)
        np.testing.assert_allclose(got[i, j], alone, rtol=1e-13)
    np.testing.assert_allclose(q(first[0, 0], second), got[0], rtol=1e-13)
    np.testing.assert_allclose(q(first, second[2])[:, 0], got[:, 2], rtol=1e-13)
    assert q(np.empty((0, 3)), first[0, 0]).shape == (0, 2)
    assert q(np.empty((3, 0, 3)), np.empty((3, 1, 3))).shape == (3, 0, 2)


@pytest.mark.parametrize("method", EXACT)
@pytest.mark.parametrize("n", [MAX_PAIRS_PER_BATCH + k for k in (-1, 0, 1, 607)])
def test_large_batches_are_split(method, n):
    rng = np.random.default_rng(n)
    q, _ = make_q(SMALL, rng, method, outside="nan")
    theta1, theta2 = anywhere(SMALL, rng, n), anywhere(SMALL, rng, n)
    theta1[n // 2, 0] = 9999.0
    pieces = [q(theta1[i : i + 100], theta2[i : i + 100]) for i in range(0, n, 100)]
    together = q(theta1, theta2)
    np.testing.assert_allclose(together, np.concatenate(pieces), rtol=1e-13)
    assert np.flatnonzero(np.isnan(together).any(axis=1)).tolist() == [n // 2]


def test_the_size_of_a_batch_does_not_matter(monkeypatch):
    rng = np.random.default_rng(6)
    q, _ = make_q(SMALL, rng, "cubic")
    theta1, theta2 = anywhere(SMALL, rng, 20), anywhere(SMALL, rng, 20)
    whole = q(theta1, theta2)
    monkeypatch.setattr(module, "MAX_PAIRS_PER_BATCH", 3)
    np.testing.assert_allclose(q(theta1, theta2), whole, rtol=1e-13)


def test_shapes_that_do_not_broadcast_are_refused():
    q, _ = make_q(SMALL, np.random.default_rng(0), "linear")
    with pytest.raises(InvalidInput, match=r"\(2, 3\).*\(4, 3\)") as error:
        q(SMALL.points[:2], SMALL.points[:4])
    assert (error.value.name, error.value.value) == ("theta2", (4, 3))


def test_theta_by_name():
    grid = lattice([5000.0, 5200], [4.5], [-0.5, 0.0])
    q, _ = make_q(grid, np.random.default_rng(0), "cubic")
    by_place = q([5100, 4.5, -0.2], [[5050, 4.5, 0.0], [5150, 4.5, 0.0]])
    by_name = q({"feh": -0.2, "teff": 5100}, {"teff": [5050, 5150], "feh": 0, "logg": 4.5})
    np.testing.assert_array_equal(by_name, by_place)


# --- invalid input ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", EXACT)
@given(grid=grids(), seed=seeds)
def test_nan_marks_exactly_the_theta_that_need_a_missing_point(method, grid, seed):
    q, mean_flux, theta = drawn_q(grid, seed, method)
    nodes = nodes_of(grid, mean_flux[0])
    valid = [reference.is_valid(nodes, tuple(x)) for x in theta]
    for got in (q(theta, grid.points[0]), q(grid.points[0], theta)):
        np.testing.assert_array_equal(np.isfinite(got), np.transpose([valid] * 3))


@pytest.mark.parametrize("method", EXACT)
@given(grid=grids(holes=("random", "ragged")), seed=seeds)
def test_the_missing_point_is_named(method, grid, seed):
    rng = np.random.default_rng(seed)
    q, mean_flux = make_q(grid, rng, method)
    nodes = nodes_of(grid, mean_flux[0])
    for x in anywhere(grid, rng, 20):
        missing = [p for p in reference.needed(nodes, tuple(x)) if p not in nodes]
        if not missing:
            q(x, grid.points[0])
            continue
        with pytest.raises(OutsideGrid, match=r"^theta2: .*no spectrum") as error:
            q(grid.points[0], x)
        assert error.value.name is None
        np.testing.assert_array_equal(error.value.value, x)
        assert any(describe(p, grid.names) in str(error.value) for p in missing)


@pytest.mark.parametrize("method", ["cubic", "linear", "simplex", "pairwise"])
@pytest.mark.parametrize(
    ("theta", "name", "value"),
    [
        ([5301, 4, 0], "teff", 5301),
        ([5100, 3.9, 0], "logg", 3.9),
        ([5100, 4.2, np.inf], "feh", np.inf),
        ([5100, 4.2, -np.inf], "feh", -np.inf),
    ],
)
def test_outside_is_refused_by_name_or_nan(method, theta, name, value):
    rng = np.random.default_rng(0)
    q, mean_flux = make_q(CUBE, rng, method)
    with pytest.raises(OutsideGrid, match=r"^theta1: ") as error:
        q(theta, [5100, 4.2, -0.1])
    assert (error.value.name, error.value.value) == (name, value)
    with pytest.raises(OutsideGrid, match=r"^theta2: ") as error:
        q([5100, 4.2, -0.1], [[5100, 4.2, 0], theta])
    assert (error.value.name, error.value.value) == (name, value)
    quiet = flux_ratio(CUBE, q.orders, mean_flux, method, outside="nan")
    got = quiet([[5100, 4.2, 0], theta], [5100, 4.2, -0.1])
    assert np.isnan(got).all(axis=1).tolist() == [False, True]


def test_another_value_of_a_fixed_parameter_is_refused_by_name():
    grid = lattice([5000.0, 5200], [4.5], [-0.5, 0.0])
    q, _ = make_q(grid, np.random.default_rng(0), "cubic")
    with pytest.raises(OutsideGrid, match=r"only logg = 4.5") as error:
        q([5100, 4.0, 0], [5100, 4.5, 0])
    assert (error.value.name, error.value.value) == ("logg", 4.0)


def test_outside_the_hull_of_scattered_points_is_refused():
    rng = np.random.default_rng(0)
    q, _ = make_q(SCATTERED, rng, "simplex")
    corner = SCATTERED.points.min(axis=0)
    with pytest.raises(OutsideGrid, match=r"^theta1: .* convex hull") as error:
        q(corner, SCATTERED.points[0])
    np.testing.assert_array_equal(error.value.value, corner)


@pytest.mark.parametrize("method", ["cubic", "linear", "pairwise", "simplex"])
def test_degenerate_points_are_refused(method):
    grid = Grid(np.array([[t, 0.4 * t] for t in range(5)]), ("teff", "logg"))
    with pytest.raises(InvalidInput) as error:
        make_q(grid, np.random.default_rng(0), method)
    assert "\n" not in str(error.value)


def test_pairwise_is_refused_above_48_points_with_its_cost():
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInput, match=r"2401 pairs in 4 dimensions.* hours") as error:
        make_q(lattice(range(7), range(7)), rng, "pairwise")
    assert (error.value.name, error.value.value) == ("method", "pairwise")


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_means_must_be_positive_and_finite(bad):
    mean_flux = np.ones((2, len(SMALL)))
    mean_flux[1, 3] = bad
    with pytest.raises(InvalidInput) as error:
        flux_ratio(SMALL, Orders.log_spaced(2, 5000, 6000), mean_flux)
    assert error.value.name == "mean_flux"
    np.testing.assert_array_equal(error.value.value, bad)


@pytest.mark.parametrize("shape", [(len(SMALL), 2), (2, 3), (1, len(SMALL)), (2,)])
def test_means_must_fit_orders_and_points(shape):
    with pytest.raises(InvalidInput, match="2 orders x 18 grid points") as error:
        flux_ratio(SMALL, Orders.log_spaced(2, 5000, 6000), np.ones(shape))
    assert (error.value.name, error.value.value) == ("mean_flux", shape)


def test_unknown_choices_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInput, match="choose from cubic") as error:
        make_q(SMALL, rng, "nearest")
    assert (error.value.name, error.value.value) == ("method", "nearest")
    with pytest.raises(InvalidInput, match="choose 'raise' or 'nan'") as error:
        make_q(SMALL, rng, "cubic", outside="extrapolate")
    assert (error.value.name, error.value.value) == ("outside", "extrapolate")


# --- blackbodies ---------------------------------------------------------------------------------


def test_blackbody_is_the_ratio_of_planck_integrals():
    q, _ = make_q(SMALL, np.random.default_rng(0), "blackbody", n_orders=2)
    got = q([[3000, 4, 0], [6000, 1, 1]], [5000, 9, 9])  # no limits but Teff > 0
    for m in range(2):
        limits = q.orders.wave_min[m], q.orders.wave_max[m]
        means = [reference.planck_integral_mean(*limits, t) for t in (3000, 6000, 5000)]
        expected = [means[2] / means[0], means[2] / means[1]]
        np.testing.assert_allclose(got[:, m], expected, rtol=1e-8)


@pytest.mark.parametrize("bad", [0.0, -5.0, np.inf])
def test_blackbody_without_a_temperature_is_refused_or_nan(bad):
    rng = np.random.default_rng(0)
    q, mean_flux = make_q(SMALL, rng, "blackbody")
    with pytest.raises(OutsideGrid, match=r"^theta2: ") as error:
        q([5000, 4, 0], [bad, 4, 0])
    assert (error.value.name, error.value.value) == ("teff", bad)
    quiet = flux_ratio(SMALL, q.orders, mean_flux, "blackbody", outside="nan")
    assert np.isnan(quiet([5000, 4, 0], [[bad, 4, 0], [5000, 4, 0]])).all(axis=1).tolist() == [
        True,
        False,
    ]


def test_blackbody_needs_teff():
    grid = Grid(np.array([[0.0], [1.0]]), ("feh",))
    with pytest.raises(InvalidInput, match="the library has feh") as error:
        make_q(grid, np.random.default_rng(0), "blackbody")
    assert error.value.name == "method"


# --- pickling ---------------------------------------------------------------------------


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize(("method", "grid"), [*product(METHODS, [CUBE]), ("simplex", SCATTERED)])
def test_pickling_keeps_every_bit(method, grid, used):
    q, _ = make_q(grid, np.random.default_rng(0), method)
    theta = grid.points[:4].mean(axis=0), grid.points[4:].mean(axis=0)
    if used:
        q(*theta)  # fill the cached properties
    again = pickle.loads(pickle.dumps(q))
    np.testing.assert_array_equal(again(*theta), q(*theta))
    assert (again.method, again.outside, again.grid.names) == (method, "raise", grid.names)


# --- a real library -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bt_settl(data):
    """Grid, orders and mean fluxes (M, N) of the real library, by plain h5py."""
    with h5py.File(data / "btsettl_prism.hdf5") as file:
        points = file["grid_points"][:]
        key = file["flux"].attrs["key_name"]
        fluxes = np.array([file["flux"][key.format(*point)][:] for point in points])
        wavelength = file["wl"][:]
    orders = Orders.log_spaced(20, 7000, 50000)
    means = [
        fluxes[:, (lo <= wavelength) & (wavelength < hi)].mean(axis=1, dtype=np.float64)
        for lo, hi in zip(orders.wave_min, orders.wave_max, strict=True)
    ]
    return Grid(points, ("teff", "logg", "feh")), orders, np.array(means)


def test_the_real_grid_is_a_product_with_one_hole(bt_settl):
    grid, _, _ = bt_settl
    assert (len(grid), grid.is_product) == (1319, True)
    assert [len(axis) for axis in grid.axes] == [20, 6, 11]
    assert grid.holes.tolist() == [[4400.0, 3.0, -3.0]]


@pytest.mark.parametrize("method", EXACT)
def test_the_real_library_is_exact_at_its_points(bt_settl, method):
    grid, orders, mean_flux = bt_settl
    q = flux_ratio(grid, orders, mean_flux, method)
    np.testing.assert_allclose(
        q(grid.points[7], grid.points), (mean_flux / mean_flux[:, [7]]).T, rtol=1e-12
    )


def test_pairwise_is_for_three_parameters():
    grid = Grid(np.array(list(product([0.0, 1], repeat=4))), ("a", "b", "c", "d"))
    with pytest.raises(InvalidInput, match=r"pairs in 8 dimensions.*3 parameters"):
        flux_ratio(grid, Orders.log_spaced(1, 5000, 6000), np.ones((1, 16)), "pairwise")


@pytest.mark.parametrize("method", EXACT)
def test_next_to_the_hole_of_the_real_library(bt_settl, method):
    q = flux_ratio(*bt_settl, method)
    sun_like = [4000, 4.5, 0.0]
    with pytest.raises(OutsideGrid, match=r"\(teff=4400, logg=3, feh=-3\) is a hole"):
        q(sun_like, [4400, 3.0, -3.0])
    hole = r"needs \(teff=4400, logg=3, feh=-3\), where the library has no spectrum"
    for theta in ([4350, 3.2, -2.8], [4400, 3.1, -3.0]):
        with pytest.raises(OutsideGrid, match=hole):
            q(sun_like, theta)
    for theta in ([4400, 3.5, -3.0], [4350, 3.5, -2.8], [4300, 3.2, -3.2], [4400, 3.0, -2.5]):
        assert (q(sun_like, theta) > 0).all()


@pytest.mark.parametrize("method", EXACT)
def test_the_hole_of_the_real_library_can_be_filled(bt_settl, method):
    grid, orders, mean_flux = bt_settl
    filling = fill_holes(grid, np.log(mean_flux).T)
    assert filling.points.tolist() == [[4400.0, 3.0, -3.0]]
    median, percentile = filling.error[0]
    assert 0.001 < median < 0.004 < percentile < 0.03
    q = flux_ratio(grid, orders, mean_flux, method, "nan", filling)
    refused = flux_ratio(grid, orders, mean_flux, method, "nan")
    rng = np.random.default_rng(1)
    near = [4400, 3.0, -3.0] + rng.uniform(-1.5, 1.5, (400, 3)) * [100, 0.5, 0.5]
    near = near.clip([2600, 3, -4], [4500, 5.5, 0.5])
    filled, known = q(grid.points[9], near), refused(grid.points[9], near)
    valid = np.isfinite(known).all(axis=1)
    assert 0.1 < valid.mean() < 0.9
    assert np.isfinite(filled).all()
    assert (filled[valid] == known[valid]).all()
    # continuous where the cells with the hole begin
    step = np.array([1e-6, 0, 0])
    for theta in ([4300, 3.2, -2.8], [4400, 3.2, -2.8]):
        sides = q(grid.points[9], np.array([theta - step, theta + step]))
        np.testing.assert_allclose(sides[1], sides[0], rtol=1e-7)


def test_pairwise_takes_filled_points_too():
    grid = lattice([3000, 3100, 3200, 3300], [4, 4.5, 5])
    mean_flux = np.exp(np.sin(grid.points @ [[1e-3], [1.0]])).T
    kept = np.delete(np.arange(12), 4)
    holed, orders = grid.take(kept), Orders.log_spaced(1, 5000, 6000)
    filling = fill_holes(holed, np.log(mean_flux[:, kept]).T)
    q = flux_ratio(holed, orders, mean_flux[:, kept], "pairwise", "nan", filling)
    expected = filling.extend_flux(mean_flux[:, kept])[:, -1] / mean_flux[:, 0]
    np.testing.assert_allclose(q(grid.points[0], grid.points[4]), expected, rtol=1e-9)
    assert np.isnan(
        flux_ratio(holed, orders, mean_flux[:, kept], "pairwise", "nan")(
            grid.points[0], grid.points[4]
        )
    ).all()


def test_the_slope_of_the_real_q_jumps_with_linear_and_not_with_cubic(bt_settl):
    grid, _, _ = bt_settl
    at, h = np.array([3500.0, 4.2, -0.3]), np.array([1e-3, 0, 0])
    jumps = {}
    for method in ("linear", "cubic"):
        q = flux_ratio(*bt_settl, method)
        left, here, right = (q(at, at + step) for step in (-h, 0 * h, h))
        jumps[method] = np.abs((right - here) / (here - left) - 1)
    assert np.median(jumps["linear"]) > 0.01
    assert jumps["cubic"].max() < 1e-4
    assert grid.row(at) is None


# --- quantities and self-description --------------------------------------------------------------


def test_quantities_are_converted_never_stripped():
    units = pytest.importorskip("astropy.units")
    q, _ = make_q(SMALL, np.random.default_rng(0), "cubic")
    plain = q([5100, 4.2, -0.1], {"teff": [5050, 5250], "logg": 4.7, "feh": -0.2})
    by_name = {"teff": [5.05, 5.25] * units.kK, "logg": 4.7 * units.dex, "feh": -0.2}
    np.testing.assert_allclose(q([5100, 4.2, -0.1], by_name), plain, rtol=1e-12)
    with pytest.raises(InvalidInput) as error:
        q([5100, 4.2, -0.1], {"teff": 5050 * units.km, "logg": 4.7, "feh": -0.2})
    assert error.value.name == "teff"
    with pytest.raises(InvalidInput):
        q([5100, 4.2, -0.1] * units.K, plain[0])


def test_it_describes_itself_in_a_few_lines():
    q, _ = make_q(SMALL, np.random.default_rng(0), "cubic", n_orders=2)
    lines = repr(q).splitlines()
    assert lines[0] == "<FluxRatio>"
    assert len(lines) < 10
    assert "cubic" in repr(q)
    assert "5000 to 5300 (3 values)" in repr(q)
    assert "<table>" in q._repr_html_()
