"""Invariants of the mixture model at any parameters, and the forms of its arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import block_diag

import mixjobs
from mixjobs.model.mixture import MAX_SPECTRA_PER_BATCH
from tests.helpers.drawn import seeds
from tests.helpers.mixture_stores import demo_library, store_of

LIBRARY = demo_library()
LOW, HIGH = LIBRARY.points.min(axis=0), LIBRARY.points.max(axis=0)

fractions = st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_of(LIBRARY, tmp_path_factory.mktemp("laws"), accuracy={"rank": 12})


@pytest.fixture(scope="module")
def one(store):
    return mixjobs.load_mixture(store, 1, resolution=50_000)


@pytest.fixture(scope="module")
def two(store):
    return mixjobs.load_mixture(store, shared=(), resolution=50_000)


@pytest.fixture(scope="module")
def three(store):
    return mixjobs.load_mixture(store, 3, shared=(), resolution=50_000)


@pytest.fixture(scope="module")
def unbroadened(store):
    """Without broadening, at the library's own pixels."""
    return mixjobs.load_mixture(store, shared=())


@pytest.fixture(scope="module")
def spot(store):
    return mixjobs.load_mixture(store, resolution=50_000)


@pytest.fixture(scope="module")
def ratio(store):
    return mixjobs.load_flux_ratio(store)


def stars(rng, n, moving=True):
    """Parameters (n, 5) of stars: theta inside the grid, vsini, rv."""
    theta = LOW + (HIGH - LOW) * rng.random((n, 3))
    for row in theta:  # sometimes on an axis value
        row[:] = np.where(rng.random(3) < 0.2, rng.choice(LIBRARY.points), row)
    vsini = rng.choice([0.0, 1.0], n) * rng.uniform(0, 30, n)
    motion = np.column_stack([vsini, rng.uniform(-60, 60, n)])
    return np.hstack([theta, motion * moving])


def row(*components):
    """Parameters of stars (5,), none shared: teff_1, teff_2, ..., logg_1, ..."""
    return np.stack(components, axis=-1).ravel()


def close(got, expected, within=1e-11):
    for f, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(f, e, rtol=0, atol=within)


def test_the_order_of_the_parameters(two, three, spot):
    assert two.parameters == (
        "teff_1", "teff_2", "logg_1", "logg_2", "feh_1", "feh_2",
        "vsini_1", "vsini_2", "rv_1", "rv_2", "c",
    )  # fmt: skip
    assert three.parameters[-2:] == ("c_2", "c_3")
    assert spot.parameters == ("teff_1", "teff_2", "logg", "feh", "vsini", "rv", "c")
    assert len(repr(spot).splitlines()) < 8


@given(seed=seeds)
def test_without_one_component_the_mixture_is_the_other(one, two, seed):
    star1, star2 = stars(np.random.default_rng(seed), 2)
    q = two.light([*row(star1, star2), 1.0])[1]
    close(two([*row(star1, star2), 0.0]), one(star1))
    close(two([*row(star1, star2), 1.0]), [q[m] * f for m, f in enumerate(one(star2))])


@given(seed=seeds, c=fractions)
def test_identical_components_are_one_star(one, two, seed, c):
    (star,) = stars(np.random.default_rng(seed), 1)
    values = [*row(star, star), c]
    close(two(values), one(star))
    np.testing.assert_allclose(two.light(values), [[1 - c] * 2, [c] * 2], rtol=1e-13, atol=1e-13)


@given(seed=seeds, c=fractions)
def test_the_mean_is_one_minus_c_plus_c_q(unbroadened, ratio, seed, c):
    star1, star2 = stars(np.random.default_rng(seed), 2, moving=False)
    q = ratio(star1[:3], star2[:3])
    for block in unbroadened.stream([*row(star1, star2), c]):
        expected = 1 - c + c * q[block.order_index]
        assert block.flux[0].mean() == pytest.approx(expected, rel=1e-6)
        assert block.level[0] == pytest.approx(expected, rel=1e-12)


@given(seed=seeds, c=fractions)
def test_the_light_is_that_of_load_flux_ratio(two, ratio, seed, c):
    star1, star2 = stars(np.random.default_rng(seed), 2)
    q = ratio(star1[:3], star2[:3])
    light = two.light([*row(star1, star2), c])
    np.testing.assert_allclose(light, [[1 - c] * 2, c * q], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("method", ["linear", "simplex"])
def test_the_light_of_other_methods(store, method):
    model = mixjobs.load_mixture(store, method=method)
    theta1, theta2 = [5650, 4.3, -0.7], [5930, 4.3, -0.7]
    q = mixjobs.load_flux_ratio(store, method)(theta1, theta2)
    light = model.light([5650, 5930, 4.3, -0.7, 0, 0, 0.25])
    np.testing.assert_allclose(light[1], 0.25 * q, rtol=1e-12)


@given(seed=seeds, c=st.floats(0.001, 0.999))
def test_components_can_be_swapped(two, seed, c):
    """The result is in units of the other mean flux, a factor of 1/q."""
    star1, star2 = stars(np.random.default_rng(seed), 2)
    values = [*row(star1, star2), c]
    q = two.light(values)[1] / c
    swapped = two([*row(star2, star1), 1 - c])
    close(two(values), [q[m] * f for m, f in enumerate(swapped)])


@given(seed=seeds, c=fractions, place=st.integers(1, 2))
def test_a_third_component_without_light_changes_nothing(two, three, seed, c, place):
    star1, star2, dark = stars(np.random.default_rng(seed), 3)
    rows = [star1, star2]
    rows.insert(place, dark)
    weights = [c, 0.0] if place == 2 else [0.0, c]
    close(three([*row(*rows), *weights]), two([*row(star1, star2), c]))


@given(seed=seeds)
def test_the_parts_add_up(one, three, seed):
    rng = np.random.default_rng(seed)
    several = stars(rng, 3)
    values = [*row(*several), *rng.dirichlet([1, 1, 1])[1:]]
    parts, light = three.parts(values), three.light(values)
    close([p.sum(axis=0) for p in parts], three(values))
    for k, star in enumerate(several):
        close([p[k] for p in parts], [light[k, m] * f for m, f in enumerate(one(star))])
    for block in three.stream(values):
        np.testing.assert_allclose(block.level, light[:, block.order_index].sum(), rtol=1e-13)


@given(seed=seeds)
def test_shared_parameters_act_as_equal_parameters(spot, two, seed):
    star1, star2 = stars(np.random.default_rng(seed), 2)
    star2[1:] = star1[1:]
    close(spot([star1[0], star2[0], *star1[1:], 0.3]), two([*row(star1, star2), 0.3]))


def test_fixed_parameters_act_as_given_parameters(store, two):
    star1, star2 = stars(np.random.default_rng(1), 2)
    values = dict(zip(two.parameters, [*row(star1, star2), 0.3], strict=True))
    for names in (["c"], ["vsini_1", "rv_2"], ["teff_2", "logg_1", "c"]):
        fixed = {name: values[name] for name in names}
        model = mixjobs.load_mixture(store, shared=(), resolution=50_000, fixed=fixed)
        rest = {name: value for name, value in values.items() if name not in fixed}
        assert model.parameters == tuple(rest)
        close(model(rest), two(values), within=0)


def test_names_and_arrays_give_the_same(two):
    rng = np.random.default_rng(2)
    table = np.array([[*row(*stars(rng, 2)), rng.random()] for _ in range(6)]).reshape(2, 3, -1)
    by_name = {name: table[..., i] for i, name in enumerate(two.parameters)}
    turned = dict(reversed(by_name.items()))
    close(two(turned), two(table), within=0)
    constant = table.copy()
    constant[..., 0], constant[..., -1] = 5700, [0.1, 0.2, 0.3]
    broadcast = by_name | {"teff_1": 5700, "c": [0.1, 0.2, 0.3]}
    close(two(broadcast), two(constant), within=0)


@pytest.mark.parametrize("leading", [(), (1,), (3,), (2, 1, 4), (0,), (2, 0)])
def test_leading_shapes_are_kept(two, leading):
    rng = np.random.default_rng(4)
    table = np.empty((*leading, 11))
    for at in np.ndindex(leading):
        table[at] = [*row(*stars(rng, 2)), rng.random()]
    fluxes, parts, light = two(table), two.parts(table), two.light(table)
    assert light.shape == (*leading, 2, 2)
    for m, wave in enumerate(two.wavelength):
        assert fluxes[m].shape == (*leading, len(wave))
        assert parts[m].shape == (*leading, 2, len(wave))
    for at in np.ndindex(leading):
        close([f[at] for f in fluxes], two(table[at]), within=1e-12)
        close([p[at] for p in parts], two.parts(table[at]), within=1e-12)
        np.testing.assert_allclose(light[at], two.light(table[at]), rtol=1e-12)


@pytest.mark.parametrize(
    "n",
    [
        1,
        MAX_SPECTRA_PER_BATCH - 1,
        MAX_SPECTRA_PER_BATCH,
        MAX_SPECTRA_PER_BATCH + 1,
        2 * MAX_SPECTRA_PER_BATCH + 1,
    ],
)
def test_a_batch_is_the_loop(two, n):
    """No sample is lost, repeated or misplaced, whatever the number of batches."""
    rng = np.random.default_rng(n)
    table = np.array([[*row(*stars(rng, 2)), rng.random()] for _ in range(n)])
    batch, seen = two(table), np.zeros((2, n), dtype=int)
    for i, values in enumerate(table):
        close([f[i] for f in batch], two(values), within=1e-12)
    for block in two.stream(table, errors=True):
        seen[block.order_index, block.samples] += 1
        np.testing.assert_array_equal(block.flux, batch[block.order_index][block.samples])
        for i in range(*block.samples.indices(n)):
            lone = next(
                b for b in two.stream(table[i], errors=True) if b.order_index == block.order_index
            )
            here, rows = i - block.samples.start, []
            for one, k in ((block.error, here), (lone.error, 0)):
                rows.append(one.columns[k] @ block_diag(one.common[k], one.own[k]).T)
            np.testing.assert_allclose(*rows, rtol=0, atol=1e-12)
    assert (seen == 1).all()


def one_sided(model, values, column, h):
    """Derivatives of the first order's spectrum with respect to one parameter, from both sides."""
    sides = []
    for step in (-h, h):
        rows = np.repeat(values[None], 3, axis=0)
        rows[:, column] += step * np.arange(3)
        f = model(rows)[0]
        sides.append((-3 * f[0] + 4 * f[1] - f[2]) / (2 * step))
    return sides


STEPS = {"teff": 0.02, "logg": 1e-4, "feh": 1e-4, "vsini": 0.01, "rv": 0.01, "c": 1e-4}


@pytest.mark.parametrize("method", ["cubic", "linear"])
def test_derivatives_across_a_grid_node(store, method):
    """Derivatives are continuous with `cubic`; with `linear`, those along theta jump at a node."""
    model = mixjobs.load_mixture(store, shared=(), method=method, resolution=50_000)
    middle = np.array([5800.0, 4.5, -0.5, 12.0, 7.0])
    other = np.array([5693.0, 4.5, -0.5, 3.0, -7.0])  # at nodes of all axes but one
    values = np.array([*row(middle, other), 0.4])
    for column, name in enumerate(model.parameters):
        word = name.split("_")[0]
        below, above = one_sided(model, values, column, STEPS[word])
        jump = np.abs(above - below).max() / np.abs(above).max()
        on_node = word in ("teff", "logg", "feh") and name != "teff_2"
        if method == "linear" and on_node:
            assert jump > 0.01, name
        else:
            assert jump < 1e-4, name
