"""The fit of every order and its parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixjobs.errors import OutsideGrid
from mixjobs.inference.noise import NoiseParams, correlated_part
from mixjobs.inference.residuals import fitted_orders
from tests.helpers.finished_runs import FIXED, NOISE, TRUTH, finished
from tests.helpers.plain_likelihood import covariance, polynomials


@pytest.fixture(scope="module")
def logp():
    return finished().log_probability


def x_of(logp, **at):
    return [(TRUTH | NOISE | at)[name] for name in logp.names]


@given(
    c=st.floats(0, 1), teff_2=st.floats(4400, 5600), ln_noise=st.floats(-1, 1), rv=st.floats(0, 9)
)
@settings(max_examples=10, deadline=None)
def test_the_parts_add_up(c, teff_2, ln_noise, rv):
    logp = finished().log_probability
    for order in fitted_orders(logp, x_of(logp, c=c, teff_2=teff_2, ln_noise=ln_noise, rv=rv)):
        np.testing.assert_allclose(order.parts.sum(axis=0) + order.emulator, order.fit, rtol=1e-10)
        left = order.residual * order.flux_error
        np.testing.assert_allclose(
            (order.fit + order.correlated + left)[order.used], order.flux[order.used], rtol=1e-12
        )
        assert (np.isnan(order.residual) == ~order.used).all()
        assert order.noise_factor == pytest.approx(np.exp(ln_noise / 2))


def test_the_truth_fits(logp):
    first, second = fitted_orders(logp, x_of(logp))
    assert (first.number, second.number) == (21, 22)
    assert first.used.sum() == len(first.used) - 1
    for order in (first, second):
        assert 0.6 < order.chi2_per_pixel < 1.5
        assert order.chi2_per_pixel == np.mean(
            ((order.flux - order.fit) / order.flux_error)[order.used] ** 2
        )
        assert order.chi2_per_pixel_white < order.chi2_per_pixel
        assert np.abs(order.fit / order.flux - 1)[order.used].max() < 0.06
    assert first.flux[30] / first.fit[30] == pytest.approx(3, rel=0.05)  # masked, and fitted over


def test_the_continuum_is_the_most_probable_one(logp):
    """Against least squares with dense matrices; the spectrum is the sum of the parts."""
    order = fitted_orders(logp, x_of(logp))[1]
    wave, scale = order.wavelength, np.median(np.abs(order.flux))
    spectrum = order.parts.sum(axis=0) / order.continuum
    x = 2 * (wave - wave[0]) / (wave[-1] - wave[0]) - 1
    noise = covariance(
        299792.458 * np.log(wave), order.flux_error / scale, 0.0, 10 ** FIXED["log_amplitude"], 10.0
    )
    basis = polynomials(np.clip(x, -1, 1), 1)
    data = (order.flux - order.emulator) / scale
    design = spectrum[:, None] * basis
    precision = design.T @ np.linalg.solve(noise, design) + np.eye(2)
    coefficients = np.linalg.solve(precision, design.T @ np.linalg.solve(noise, data) + [1, 0])
    np.testing.assert_allclose(basis @ coefficients * scale, order.continuum, rtol=1e-4)


@pytest.mark.parametrize("tilt", [None, 0.6])
@pytest.mark.parametrize("amplitude", [0.0, 0.003, 0.5])
def test_correlated_noise(amplitude, tilt):
    """Against the conditional mean with dense matrices."""
    rng = np.random.default_rng(1)
    velocity, sigma = np.sort(rng.random(50)) * 100, 0.01 + 0.02 * rng.random(50)
    residual = 0.02 * rng.normal(size=50) + 0.02 * np.sin(velocity / 10)
    level = None if tilt is None else 1 + tilt * np.linspace(-1, 1, 50)
    noise = NoiseParams(np.array([0.3]), np.array([amplitude]), np.array([12.0]), level)
    whole = covariance(velocity, sigma, 0.3, amplitude, 12.0, 1.0 if tilt is None else level)
    matern = whole - np.diag(np.exp(0.3) * sigma**2)
    expected = matern @ np.linalg.solve(whole, residual)
    absorbed = correlated_part(noise, velocity, sigma, residual)
    np.testing.assert_allclose(absorbed, expected, atol=1e-8)


def test_no_fit_outside_the_grid(logp):
    with pytest.raises(OutsideGrid):
        fitted_orders(logp, x_of(logp, teff_1=9000.0))
