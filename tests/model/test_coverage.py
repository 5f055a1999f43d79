"""The linear estimate of coverage, against dense matrices and draws."""

import numpy as np
import pytest
from scipy.stats import chi2, norm

from mixjobs.errors import InvalidInput
from mixjobs.model.coverage import LinearOrder, coverage, linear_fit

SNR = 20.0
N_FREE, N_COMMON, N_OWN, N_ERRORS = 3, 4, 2, 5


def an_order(number, seed, n_pixels=60):
    rng = np.random.default_rng(seed)
    return LinearOrder(
        number,
        *(rng.normal(size=(n_pixels, n)) for n in (N_FREE,)),
        0.1 * rng.normal(size=(n_pixels, N_COMMON)),
        0.1 * rng.normal(size=(n_pixels, N_OWN)),
        0.1 * rng.normal(size=(n_pixels, N_ERRORS)),
        rng.normal(size=(n_pixels, 3)),
    )


def stacked(orders, name):
    return np.concatenate([getattr(order, name) for order in orders])


def dense_covariance(orders):
    """Of all pixels: noise and continua, and with the stated errors."""
    numbers = np.repeat([o.number for o in orders], [len(o.slopes) for o in orders])
    spectrum = np.repeat(np.arange(len(orders)), [len(o.slopes) for o in orders])
    design, own = stacked(orders, "design"), stacked(orders, "own")
    noise = np.eye(len(numbers)) / SNR**2
    noise += (spectrum[:, None] == spectrum) * (design @ design.T)
    common = stacked(orders, "common")
    return noise, noise + common @ common.T + (numbers[:, None] == numbers) * (own @ own.T)


@pytest.mark.parametrize("numbers", [[7], [7, 8], [7, 8, 7, 8, 9]])
def test_the_fit_is_that_of_dense_matrices(numbers):
    """Orders that appear twice are two epochs, which share their own errors."""
    orders = [an_order(number, seed) for seed, number in enumerate(numbers)]
    fit = linear_fit(orders, SNR)
    noise, total = dense_covariance(orders)
    slopes = stacked(orders, "slopes")
    inverse = np.linalg.inv(total)
    covariance = np.linalg.inv(slopes.T @ inverse @ slopes)
    gain = covariance @ slopes.T @ inverse
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-8)
    np.testing.assert_allclose(fit.noise, gain @ noise @ gain.T, rtol=1e-7)
    np.testing.assert_allclose(fit.shifts, (gain @ stacked(orders, "errors")).T, rtol=1e-7)


def test_without_errors_the_coverage_is_the_level():
    fit = linear_fit([an_order(1, 3)], SNR)
    plain = type(fit)(fit.noise, fit.noise, np.zeros((20, N_FREE)))
    result = coverage(plain)
    np.testing.assert_allclose(result.single, np.tile([0.68, 0.95], (N_FREE, 1)), atol=1e-12)
    np.testing.assert_allclose(result.joint, [0.68, 0.95], atol=0.003)
    np.testing.assert_array_equal(result.bias, 0)
    np.testing.assert_allclose(result.sd, np.sqrt(np.diag(fit.noise)))


def test_shifts_reduce_the_coverage_as_draws_do():
    fit = linear_fit([an_order(1, 4)], SNR)
    rng = np.random.default_rng(0)
    shifts = rng.normal(size=(50, N_FREE)) @ np.linalg.cholesky(fit.covariance).T
    biased = type(fit)(fit.covariance, fit.noise, shifts)
    result = coverage(biased)
    draws = rng.multivariate_normal(np.zeros(N_FREE), fit.noise, size=(4000, 50)) + shifts
    distance = np.einsum("dep,pq,deq->de", draws, np.linalg.inv(fit.covariance), draws)
    sd = np.sqrt(np.diag(fit.covariance))
    for level, joint, single in zip((0.68, 0.95), result.joint, result.single.T, strict=True):
        assert joint == pytest.approx(np.mean(distance < chi2.ppf(level, N_FREE)), abs=0.02)
        inside = np.mean(np.abs(draws) < norm.ppf((1 + level) / 2) * sd, axis=(0, 1))
        np.testing.assert_allclose(single, inside, atol=0.01)
    assert result.joint[1] < 0.93
    np.testing.assert_allclose(result.bias, np.sqrt((shifts**2).mean(axis=0)))


def test_parameters_that_the_data_do_not_determine_are_refused():
    order = an_order(1, 5)
    order.slopes[:, 2] = order.slopes[:, 1]
    with pytest.raises(InvalidInput) as refused:
        linear_fit([order], SNR)
    assert refused.value.name == "parameters"
    order.slopes[:, 2] = 0
    with pytest.raises(InvalidInput):
        linear_fit([order], SNR)
