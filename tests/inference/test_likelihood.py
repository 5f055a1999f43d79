from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput
from mixjobs.inference.coupling import OrderTerms, couple, most_probable_weights
from mixjobs.inference.likelihood import Continuum, fit_order, order_data
from mixjobs.inference.noise import NoiseParams
from tests.helpers import plain_likelihood as plain

N = 60
DRAWN = settings(max_examples=25, deadline=None)


def terms(fit):
    """The terms of an order by itself, with a variable for each error column."""
    n, n_columns = fit.projection.shape
    own = np.broadcast_to(np.eye(n_columns), (n, n_columns, n_columns))
    nothing = np.empty((n, 0, 0))
    return [OrderTerms(1, fit.own, fit.projection, fit.precision, own, nothing)]


def log_likelihood_of(fit):
    return couple(terms(fit)).total


def some_order(seed, continuum, n=N):
    """Simulate an order, with spectra and errors of three samples on its pixels."""
    rng = np.random.default_rng(seed)
    wave = np.sort(5000 + 10 * rng.random(n))
    spectra = 1 + 0.3 * np.sin(wave * np.array([[2.0], [2.1], [3.0]])) * rng.random((3, n))
    flux = 7e-15 * spectra[0] * (1 + 0.2 * np.linspace(-1, 1, n)) * (1 + 0.02 * rng.normal(size=n))
    sigma = 7e-15 * (0.01 + 0.02 * rng.random(n))
    used = rng.random(n) > 0.1
    errors = 0.02 * np.sin(wave[:, None] * np.array([1.0, 4.0])) * np.ones((3, 1, 1))
    data = order_data(wave, flux, sigma, used, continuum)
    return wave, data, spectra[:, used], errors[:, used]


def reference(wave, data, spectrum, error, noise, row, degree, prior_sd):
    x = 2 * (wave[data.used] - wave[0]) / (wave[-1] - wave[0]) - 1
    cov = plain.covariance(
        299792.458 * np.log(wave[data.used]), data.flux_error, noise.ln_noise[row],
        noise.amplitude[row], noise.length[row],
        1.0 if noise.continuum is None else noise.continuum,
    )  # fmt: skip
    inputs = data.flux, spectrum, x, degree, prior_sd, cov
    continuum = plain.fitted_continuum(*inputs)
    continuum = plain.fitted_continuum(*inputs, continuum[:, None] * error)
    return plain.marginal(*inputs, error, continuum) - len(data.flux) * np.log(data.scale)


@given(
    seed=st.integers(0, 1000),
    degree=st.integers(0, 5),
    prior_sd=st.floats(0.01, 3.0),
    kind=st.sampled_from(["diagonal", "one", "each its own"]),
    emulator=st.booleans(),
    tilt=st.sampled_from([None, 0.0, 0.7]),
)
@DRAWN
def test_dense_matrices_give_the_same_likelihood(seed, degree, prior_sd, kind, emulator, tilt):
    wave, data, spectra, errors = some_order(seed, Continuum(degree, prior_sd))
    if not emulator:
        errors = errors[:, :, :0]
    noise = NoiseParams(
        np.zeros(3) + (np.array([0.3, -0.2, 0.0]) if kind == "each its own" else 0.3),
        np.zeros(3) + {"diagonal": 0.0, "one": 0.02, "each its own": [0.01, 0.03, 0.0]}[kind],
        np.zeros(3) + (np.array([5.0, 20.0, 10.0]) if kind == "each its own" else 12.0),
        None if tilt is None else 1 + tilt * np.linspace(-1, 1, len(data.flux)),
    )
    log_likelihood = log_likelihood_of(fit_order(data, spectra, errors, noise))
    for row in range(3):
        expected = reference(wave, data, spectra[row], errors[row], noise, row, degree, prior_sd)
        # A value near 0 is a difference of terms of some hundred.
        assert log_likelihood[row] == pytest.approx(expected, rel=1e-8, abs=5e-6)


@pytest.mark.parametrize("amplitude", [0.0, 0.03])
def test_the_continuum_is_integrated(amplitude):
    """The reference is a sum over both coefficients of a straight line."""
    wave, data, spectra, _ = some_order(3, Continuum(1, 0.7))
    noise = NoiseParams(np.array([0.1]), np.array([amplitude]), np.array([15.0]))
    no_errors = np.empty((1, len(data.flux), 0))
    log_likelihood = log_likelihood_of(fit_order(data, spectra[:1], no_errors, noise))[0]
    x = 2 * (wave[data.used] - wave[0]) / (wave[-1] - wave[0]) - 1
    cov = plain.covariance(data.velocity, data.flux_error, 0.1, amplitude, 15.0)
    expected = plain.integrated(data.flux, spectra[0], x, 0.7, cov)
    assert log_likelihood + len(data.flux) * np.log(data.scale) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("off", [(1.0, -1.0), (2.0, 1.0), (-2.0, 2.0)])
@pytest.mark.parametrize("strength", [0.3, 1.6])
def test_the_emulator_error_against_quadrature(off, strength):
    """A strong continuum also multiplies the error; the true weights are 1 and 2 sigma away."""
    wave = np.linspace(5000, 5010, N)
    spectrum, x = 1 + 0.3 * np.sin(3 * wave), np.linspace(-1, 1, N)
    errors = 0.01 * np.sin(wave[:, None] * np.array([1.0, 4.0]))
    continuum, sigma = strength * (1 + 0.3 * x), np.full(N, 0.01)
    noise = sigma * np.random.default_rng(5).normal(size=N)
    flux = continuum * (spectrum + errors @ off) + noise
    data = order_data(wave, flux, sigma, np.ones(N, bool), Continuum(2, 1.0))
    data = replace(data, scale=1.0, flux=flux, flux_error=sigma)  # P is then the continuum above
    one = NoiseParams(np.zeros(1), np.zeros(1), np.ones(1))
    log_likelihood = log_likelihood_of(fit_order(data, spectrum[None], errors[None], one))[0]
    arguments = flux, spectrum, x, 2, 1.0, np.diag(sigma**2)
    around, width = (off, 1.2) if strength > 1 else ((0, 0), 5.0)
    exact = plain.over_weights(flux, spectrum, errors, *arguments[2:], around, width)
    unscaled = plain.marginal(*arguments, errors, np.ones(N))
    assert abs(log_likelihood - exact) < 0.01
    assert abs(plain.marginal(*arguments) - exact) > 1
    assert abs(unscaled - exact) > 10 * abs(log_likelihood - exact)


def test_a_sample_does_not_depend_on_the_others():
    _, data, spectra, errors = some_order(11, Continuum())
    noise = NoiseParams(np.array([0.1, 0.4, 0.2]), np.array([0.01, 0.02, 0.0]), np.full(3, 9.0))
    together = log_likelihood_of(fit_order(data, spectra, errors, noise))
    for row in range(3):
        rows = slice(row, row + 1)
        fit = fit_order(data, spectra[rows], errors[rows], noise.select(rows))
        alone = log_likelihood_of(fit)[0]
        assert together[row] == pytest.approx(alone, rel=1e-10)


def test_coefficients_and_weights_are_those_of_the_joint_fit():
    wave, data, spectra, errors = some_order(4, Continuum(2, 0.8))
    x = 2 * (wave - wave[0]) / (wave[-1] - wave[0]) - 1
    noise = NoiseParams(np.full(3, 0.2), np.full(3, 0.01), np.full(3, 9.0))
    fit = fit_order(data, spectra, errors, noise)
    cov = plain.covariance(data.velocity, data.flux_error, 0.2, 0.01, 9.0)
    for row in range(3):
        arguments = data.flux, spectra[row], x[data.used], 2, 0.8, cov
        continuum = plain.fitted_continuum(*arguments)
        continuum = plain.fitted_continuum(*arguments, continuum[:, None] * errors[row])
        basis = spectra[row][:, None] * data.polynomials
        design = np.hstack([basis, continuum[:, None] * errors[row]])
        prior = np.diag([0.8**-2] * 3 + [1.0] * 2)
        precision = design.T @ np.linalg.solve(cov, design) + prior
        right = design.T @ np.linalg.solve(cov, data.flux) + prior @ [1, 0, 0, 0, 0]
        expected = np.linalg.solve(precision, right)
        weights = most_probable_weights(terms(fit))[0][row]
        coefficients = fit.coefficients[row] + fit.response[row] @ weights
        both = np.concatenate([coefficients, weights])
        np.testing.assert_allclose(both, expected, rtol=1e-6, atol=1e-8)


def test_invalid_data_are_refused():
    wave, flux, used = np.linspace(5000, 5010, 20), np.ones(20), np.ones(20, bool)
    error = np.full(20, 0.1)
    order_data(wave, flux, np.where(wave > 5009, -1, error), wave <= 5009, Continuum())
    refusals = [
        ((wave, np.where(wave == 5000, np.nan, flux), error, used), "flux", 5000.0),
        ((wave, flux, np.where(wave == 5000, 0, error), used), "flux_error", 5000.0),
        ((wave[::-1], flux, error, used), "wavelength", None),
        ((wave, flux, error, np.arange(20) < 5), "degree", 4),
        ((wave, 0 * flux, error, used), "flux", None),
    ]
    for arguments, name, value in refusals:
        with pytest.raises(InvalidInput) as refused:
            order_data(*arguments, Continuum())
        assert (refused.value.name, refused.value.value) == (name, value)
