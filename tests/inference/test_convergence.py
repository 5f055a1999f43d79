"""Convergence of a chain, against known autocorrelation times and against emcee."""

import emcee
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.inference.convergence import Convergence, assess, autocorrelation_time, r_hat


def autoregressive(a, shape, seed=0, axis=0):
    """Stationary x[t] = a x[t-1] + noise; its autocorrelation time is (1 + a) / (1 - a)."""
    noise = np.random.default_rng(seed).normal(size=shape)
    x = np.moveaxis(noise, axis, 0)
    x[0] /= np.sqrt(1 - a**2)
    for t in range(1, len(x)):
        x[t] += a * x[t - 1]
    return noise


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9, 0.98])
def test_autocorrelation_time(a):
    expected = (1 + a) / (1 - a)
    time = autocorrelation_time(autoregressive(a, (int(400 * expected), 20, 3)))
    np.testing.assert_allclose(time, expected, rtol=0.15)


def test_it_equals_emcee_s_if_walkers_mix():
    x = autoregressive(0.9, (20000, 6, 2))
    expected = emcee.autocorr.integrated_time(x)
    np.testing.assert_allclose(autocorrelation_time(x), expected, rtol=0.02)


def test_a_stuck_walker_is_detected():
    """emcee does not detect it, because it takes deviations from the mean of each walker."""
    x = autoregressive(0.5, (3000, 10, 1))
    x[:, 3] = 3 + autoregressive(0.5, (3000, 1)) * 1e-3
    assert autocorrelation_time(x)[0] > 100
    assert emcee.autocorr.integrated_time(x)[0] < 4


def test_a_parameter_that_does_not_change():
    x = autoregressive(0.5, (100, 10, 2))
    x[..., 1] = 7
    assert np.isfinite(autocorrelation_time(x)).tolist() == [True, False]
    convergence = assess(np.stack([x, x]))
    assert (convergence.converged, convergence.burn_in) == (False, 50)


@given(
    scale=st.floats(1e-6, 1e6), shift=st.floats(-1e3, 1e3), order=st.permutations(range(6)),
    a=st.floats(0, 0.95),
)  # fmt: skip
def test_units_and_the_order_of_walkers_have_no_effect(scale, shift, order, a):
    x = autoregressive(a, (2, 200, 6, 1), axis=1)
    y = (scale * (x + shift))[:, :, list(order)]
    np.testing.assert_allclose(r_hat(y), r_hat(x), rtol=1e-6)
    np.testing.assert_allclose(
        autocorrelation_time(y[0]), autocorrelation_time(x[0]), rtol=1e-6, atol=1e-6
    )


class TestRHat:
    @given(seed=st.integers(0, 1000), n=st.integers(2, 4))
    def test_ensembles_that_agree(self, seed, n):
        x = autoregressive(0.5, (n, 400, 20, 2), seed, axis=1)
        np.testing.assert_array_less(r_hat(x), 1.01)

    @given(seed=st.integers(0, 1000), offset=st.floats(0.5, 10))
    def test_ensembles_that_differ(self, seed, offset):
        """Two ensembles, d standard deviations apart: the variance of the four means is d² / 3."""
        x = autoregressive(0.5, (2, 400, 20, 2), seed, axis=1)
        x[1, ..., 1] += offset * x[..., 1].std()
        same, different = r_hat(x)
        assert same < 1.01
        assert different == pytest.approx(np.sqrt(1 + offset**2 / 3), rel=0.1)

    def test_a_common_drift(self):
        """The halves of each ensemble reveal a drift that both ensembles share."""
        x = autoregressive(0.5, (2, 400, 20, 1), axis=1)
        x += np.linspace(0, 2, 400)[:, None, None] * x.std()
        assert r_hat(x)[0] > 1.1

    def test_too_few_steps_or_no_variance(self):
        assert r_hat(np.zeros((2, 1, 6, 2))).tolist() == [np.inf, np.inf]
        assert r_hat(np.zeros((2, 8, 6, 1))).tolist() == [np.inf]


class TestCriteria:
    """Chains with an autocorrelation time of 19 steps (a = 0.9)."""

    def test_a_long_chain(self):
        convergence = assess(autoregressive(0.9, (2, 1900, 30, 2), axis=1))
        assert convergence.converged
        assert convergence.burn_in == pytest.approx(190, rel=0.2)
        assert convergence.required_steps == pytest.approx(60 * 19, rel=0.2)
        assert convergence.thinning in (8, 9, 10)

    def test_a_short_chain(self):
        convergence = assess(autoregressive(0.9, (2, 760, 30, 2), axis=1))
        assert "autocorrelation times after the burn-in (50 required)" in convergence.shortfall

    def test_one_slow_ensemble(self):
        x = autoregressive(0.9, (2, 1900, 30, 2), axis=1)
        x[1, ..., 1] = autoregressive(0.97, (1900, 30))
        assert "50 required" in assess(x).shortfall

    def test_the_drift_from_the_start_is_burn_in(self):
        x = autoregressive(0.9, (2, 2400, 30, 1), axis=1)
        x += 100 * np.exp(-np.arange(2400) / 19)[:, None, None]
        convergence = assess(x)
        assert convergence.burn_in == pytest.approx(190, rel=0.2)
        assert convergence.max_tau == pytest.approx(19, rel=0.2)

    @pytest.mark.parametrize(
        ("tau", "shorter", "r_hat", "text"),
        [
            (10.0, 9.6, 1.009, ""),
            (18.1, 18.1, 1.0, "49.7 autocorrelation times after the burn-in (50 required)"),
            (10.0, 9.4, 1.0, "still changes by 6% (5% allowed)"),
            (10.0, 10.6, 1.0, "still changes by 6% (5% allowed)"),
            (10.0, 10.0, 1.02, "the ensembles differ: R-hat 1.020 (1.01 allowed)"),
            (np.inf, np.inf, np.inf, "0 autocorrelation times after the burn-in"),
        ],
    )
    def test_each_criterion(self, tau, shorter, r_hat, text):
        tau, shorter = np.full((2, 3), tau), np.full((2, 3), shorter)
        shortfall = Convergence(1000, 100, tau, shorter, np.array([1.0, 1.0, r_hat])).shortfall
        assert text in shortfall
        assert bool(shortfall) == bool(text)

    @given(n=st.integers(1, 30), seed=st.integers(0, 9))
    def test_few_steps_are_never_enough(self, n, seed):
        convergence = assess(np.random.default_rng(seed).normal(size=(2, n, 6, 2)))
        assert not convergence.converged
        assert 0 <= convergence.burn_in <= n // 2
        assert 1 <= convergence.thinning <= n
