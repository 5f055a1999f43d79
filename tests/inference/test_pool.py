"""The pooled result of several orders, against direct numerical integration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from mixjobs.errors import InvalidInput
from mixjobs.inference.pool import NormalPrior, pool, response

seeds = st.integers(0, 10**6)


def orders(seed, n_orders, n_shared=3, scatter=0.0):
    """Estimates of a quantity that is 0, with their errors and the shared part of these."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.5, (n_orders, n_shared))
    own = rng.uniform(0.5, 2, n_orders)
    x = shared @ rng.normal(size=n_shared) + own * rng.normal(size=n_orders)
    sds = np.sqrt(own**2 + (shared**2).sum(axis=1))
    return x + scatter * rng.normal(size=n_orders), sds, shared


def integrated(x, sds, shared):
    """Mean and sd of the pooled value, and the mean scatter below a bound, by quadrature."""
    base = shared @ shared.T
    np.fill_diagonal(base, sds**2)
    prior = stats.halfcauchy(scale=np.median(sds))

    def density(tau):
        covariance = base + tau**2 * np.eye(len(x))
        mu = np.linspace(-50, 50, 1001)
        ln_p = stats.multivariate_normal(cov=covariance).logpdf(x - mu[:, None])
        p = np.exp(ln_p + 20) * prior.pdf(tau)
        return np.array([np.trapezoid(p * mu**k, mu) for k in range(3)])

    zeroth, first, second = integrate.quad_vec(density, 0, 200, epsrel=1e-4)[0]
    return first / zeroth, np.sqrt(second / zeroth - (first / zeroth) ** 2)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_direct_integration(seed):
    x, sds, shared = orders(seed, n_orders=5, scatter=2.0 * seed)
    pooled = pool(x, sds, shared)
    mean, sd = integrated(x, sds, shared)
    assert pooled.mean == pytest.approx(mean, abs=0.01 * sd)
    assert pooled.sd == pytest.approx(sd, rel=0.02)  # the tail of the scatter is cut at 1/400


@given(seeds, st.integers(2, 12), st.floats(-1e4, 1e4), st.floats(1e-3, 1e3))
@settings(max_examples=50)
def test_it_moves_and_scales_with_the_data(seed, n_orders, offset, scale):
    x, sds, shared = orders(seed, n_orders)
    one, other = pool(x, sds, shared), pool(offset + scale * x, scale * sds, scale * shared)
    assert other.mean == pytest.approx(offset + scale * one.mean, rel=1e-6, abs=1e-5 * scale)
    assert other.sd == pytest.approx(scale * one.sd, rel=1e-6)
    np.testing.assert_allclose(other.scatter, scale * np.array(one.scatter), rtol=1e-6)
    np.testing.assert_allclose(other.deviations, one.deviations, atol=1e-4)


@given(seeds, st.integers(2, 12))
@settings(max_examples=50)
def test_the_sequence_of_the_orders_does_not_matter(seed, n_orders):
    x, sds, shared = orders(seed, n_orders)
    backwards = pool(x[::-1], sds[::-1], shared[::-1])
    one = pool(x, sds, shared)
    assert backwards.mean == pytest.approx(one.mean, abs=1e-9)
    np.testing.assert_allclose(backwards.deviations[::-1], one.deviations, atol=1e-6)


@given(seeds, st.integers(3, 30))
@settings(max_examples=50)
def test_a_common_error_does_not_average_out(seed, n_orders):
    x, sds, _ = orders(seed, n_orders)
    common = 0.8 * sds.min()
    pooled = pool(x, sds, np.full((n_orders, 1), common))
    assert pooled.sd > common
    assert pool(x, sds, np.zeros((n_orders, 1))).sd < pooled.sd


@pytest.mark.parametrize(("scatter", "low", "high"), [(0.0, 0.62, 0.88), (2.0, 0.58, 0.78)])
def test_intervals_hold_and_few_orders_disagree_by_chance(scatter, low, high):
    """About 68 % of the intervals hold the truth; more without scatter, which is never excluded."""
    pooled = [pool(*orders(seed, 6, scatter=scatter)) for seed in range(120)]
    assert low < np.mean([abs(p.mean) < p.sd for p in pooled]) < high
    assert np.mean([len(p.disagreeing) for p in pooled]) < 0.05


def test_the_scatter_is_found():
    x, sds, shared = orders(1, 80, scatter=5.0)
    median, low, high = pool(x, sds, shared).scatter
    assert low < median < high < low + 1.5
    assert abs(median - 5.0) < 2 * (high - low)
    assert pool(*orders(1, 80)).scatter_limit < 1


def test_an_order_that_disagrees_is_found():
    x, sds, shared = orders(3, 10)
    x[4] += 30
    pooled = pool(x, sds, shared)
    assert pooled.disagreeing == [4]
    assert pooled.deviations[4] > 3


def test_two_orders_never_disagree():
    pooled = pool([0.0, 100.0], [1.0, 1.0], np.zeros((2, 1)))
    assert pooled.disagreeing == []
    assert pooled.sd > 20


def test_a_response_larger_than_the_error_is_shrunk():
    pooled = pool([0.0, 0.1, 0.2], [1.0, 1.0, 1.0], np.full((3, 1), 5.0))
    assert 0.9 < pooled.sd < 2


@pytest.mark.parametrize(
    ("means", "sds"), [([1.0], [1.0]), ([1.0, 2.0], [1.0, 0.0]), ([1.0, np.nan], [1.0, 1.0])]
)
def test_invalid_estimates(means, sds):
    with pytest.raises(InvalidInput):
        pool(means, sds, np.zeros((len(means), 1)))


@given(seeds)
@settings(max_examples=10)
def test_the_response_is_that_of_the_least_squares_estimate(seed):
    """The shift of the generalised least-squares estimate when the error of the data is E."""
    rng = np.random.default_rng(seed)
    jacobian, errors = rng.normal(size=(40, 2)), 0.5 * rng.normal(size=(40, 3))
    covariance = np.eye(40) + errors @ errors.T
    data = rng.normal(size=40)

    def estimate(d):
        weighted = np.linalg.solve(covariance, jacobian)
        return np.linalg.solve(jacobian.T @ weighted, weighted.T @ d)

    posterior = np.linalg.inv(jacobian.T @ np.linalg.solve(covariance, jacobian))
    x = rng.multivariate_normal(estimate(data), posterior, size=20_000)
    z = np.linalg.solve(covariance, (data - x @ jacobian.T).T).T @ errors
    shifts = np.stack([estimate(data + column) - estimate(data) for column in errors.T], axis=1)
    np.testing.assert_allclose(response(x, z), shifts, atol=0.05 * np.abs(shifts).max())


@given(seeds, st.integers(2, 8), st.floats(0.5, 20), st.floats(-5, 5))
@settings(max_examples=30)
def test_a_prior_of_every_order_counts_once(seed, n_orders, sd, mean):
    x, sds, shared = orders(seed, n_orders)
    sds = np.minimum(sds, 3 * sd)  # every order says something
    precision = sds**-2 + sd**-2
    posterior = (x / sds**2 + mean / sd**2) / precision, precision**-0.5
    once = pool(*posterior, shared / (sds**2 * precision)[:, None], NormalPrior(mean, sd))
    without = pool(x, sds, shared)
    combined = without.sd**-2 + sd**-2
    expected = (without.mean / without.sd**2 + mean / sd**2) / combined
    assert once.mean == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert once.sd == pytest.approx(combined**-0.5, rel=1e-6)
    np.testing.assert_allclose(once.scatter, without.scatter, rtol=1e-6)


def test_estimates_that_only_repeat_the_prior_are_refused():
    for sds in ([1.0, 2.0], [1.0, 2.5], [1.0, 0.0]):
        with pytest.raises(InvalidInput) as error:
            pool([1.0, 1.0], sds, np.zeros((2, 0)), NormalPrior(1.0, 2.0))
        assert error.value.name == "sds"


@pytest.mark.parametrize("distance", [20.0, 1e3, 1e5])
def test_one_order_that_is_very_far_off(distance):
    """The scatter and the error of the pooled result grow with the distance."""
    pooled = pool([0.0, 0.05, -0.05, distance], [0.1] * 4, np.zeros((4, 1)))
    assert pooled.disagreeing == [3]
    assert pooled.mean == pytest.approx(distance / 4, rel=0.2)
    assert 0.2 * distance < pooled.sd < 0.8 * distance
    assert 0.3 * distance < pooled.scatter[0] < distance
