"""The mixture equation: limits, mean and exactness at grid points."""

import numpy as np
import pytest
from astropy import units
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.model.mixture import mix
from mixjobs.orders import Orders
from tests.helpers.drawn import lattice, seeds

fractions = st.floats(0, 1)
ratios = st.floats(1e-3, 1e3)


def spectra(rng, *shape):
    """Positive spectra, each with mean 1 along the last axis."""
    raw = np.exp(rng.normal(size=shape))
    return raw / raw.mean(axis=-1, keepdims=True)


@given(c=fractions, q=ratios, seed=seeds)
def test_the_mean_is_one_minus_c_plus_c_q(c, q, seed):
    s1, s2 = spectra(np.random.default_rng(seed), 2, 50)
    assert mix(s1, s2, c, q).mean() == pytest.approx(1 - c + c * q, rel=1e-12)


@given(q=ratios, seed=seeds)
def test_without_one_component_the_mixture_is_the_other(q, seed):
    s1, s2 = spectra(np.random.default_rng(seed), 2, 50)
    np.testing.assert_array_equal(mix(s1, s2, 0, q), s1)
    np.testing.assert_array_equal(mix(s1, s2, 1, q), q * s2)


@given(c=fractions, seed=seeds)
def test_exact_at_grid_points(c, seed):
    """``f1bar * f_mix = (1 - c) f1 + c f2``, with q from the raw spectra themselves."""
    rng = np.random.default_rng(seed)
    grid = lattice([4000.0, 4500, 5000], [4.0, 5.0])
    raw = np.exp(rng.normal(size=(2, len(grid), 40)) + rng.normal(size=(2, len(grid), 1)) * 3)
    mean_flux = raw.mean(axis=-1)  # (M, N)
    q = flux_ratio(grid, Orders.log_spaced(2, 5000, 6000), mean_flux)
    i, j = rng.integers(0, len(grid), 2)
    s1, s2 = (raw[:, k] / mean_flux[:, k, None] for k in (i, j))  # (M, n_pixels)
    mixed = mix(s1, s2, c, q(grid.points[i], grid.points[j]))
    expected = (1 - c) * raw[:, i] + c * raw[:, j]
    np.testing.assert_allclose(mean_flux[:, i, None] * mixed, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("shape1", "shape2", "shape_c", "shape_q", "expected"),
    [
        ((7,), (7,), (), (), (7,)),
        ((7,), (7,), (4,), (), (4, 7)),
        ((3, 7), (3, 7), (), (3,), (3, 7)),  # orders
        ((3, 7), (3, 7), (4, 1), (4, 3), (4, 3, 7)),  # walkers x orders
        ((4, 1, 7), (3, 7), (1,), (4, 3), (4, 3, 7)),
        ((0, 7), (7,), (1,), (), (0, 7)),
    ],
)
def test_leading_shapes_broadcast(shape1, shape2, shape_c, shape_q, expected):
    rng = np.random.default_rng(0)
    s1, s2, c, q = (rng.random(shape) for shape in (shape1, shape2, shape_c, shape_q))
    got = mix(s1, s2, c, q)
    assert got.shape == expected
    leading = expected[:-1]
    for at in np.ndindex(leading):
        one = [np.broadcast_to(s, expected)[at] for s in (s1, s2)]
        c1, q1 = (np.broadcast_to(x, leading)[at] for x in (c, q))
        np.testing.assert_allclose(got[at], (1 - c1) * one[0] + c1 * q1 * one[1], rtol=1e-13)


@pytest.mark.parametrize("bad", [-1e-9, 1 + 1e-9, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [0, 3000])
def test_c_must_be_a_fraction(bad, n):
    c = np.append(np.full(n, 0.5), bad) if n else bad
    with pytest.raises(InvalidInput) as error:
        mix(np.ones(5), np.ones(5), c, 1.0)
    assert error.value.name == "c"
    assert error.value.value == pytest.approx(bad, nan_ok=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("shape1", "shape2", "shape_c", "shape_q"),
    [((5,), (6,), (), ()), ((2, 5), (2, 5), (3,), ()), ((5,), (5,), (2,), (3,))],
)
def test_shapes_that_do_not_fit_are_refused(shape1, shape2, shape_c, shape_q):
    with pytest.raises(
        InvalidInput, match=r"do not broadcast; expected shapes \(\.\.\., n_pixels\)"
    ):
        mix(np.ones(shape1), np.ones(shape2), np.full(shape_c, 0.5), np.ones(shape_q))


def test_a_quantity_with_a_unit_is_refused():
    assert mix(np.ones(5), np.ones(5), 30 * units.percent, 2.0)[0] == pytest.approx(1.3)
    with pytest.raises(InvalidInput) as error:
        mix(np.ones(5) * units.Jy, np.ones(5), 0.3, 2.0)
    assert error.value.name == "s1"


def test_an_invalid_theta_remains_nan():
    assert np.isnan(mix(np.ones(5), np.ones(5), 0.5, np.nan)).all()
