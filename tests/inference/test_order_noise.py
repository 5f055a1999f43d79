"""The noise of each order, held at its own optimum."""

from dataclasses import replace

import numpy as np
import pytest

import mixjobs
from mixjobs.config.sample import make_sample_job
from mixjobs.errors import InvalidInput
from mixjobs.inference.job import load_free_log_probability
from mixjobs.inference.model_comparison import single_component
from mixjobs.inference.order_noise import OrderNoise, noise_rules
from mixjobs.inference.run_folder import NOISE
from tests.helpers import plain_likelihood as plain
from tests.helpers.small_fits import (
    TRUTH,
    log_probability,
    observed,
    plan_of,
    true_x,
    write_star,
)

FIXED = {"ln_noise": 0.0, "log_amplitude": -2.0, "log_length": 1.0}
TRUE_NOISE = {4: (0.0, 0.004, 8.0), 5: (1.4, 0.03, 25.0)}  # ln_noise, amplitude, length


def noisy_orders(store, seed=3):
    """Two orders with different noise; the continuum falls by half along each."""
    rng = np.random.default_rng(seed)
    orders = []
    for order in observed(store, signal_to_noise=1e5, tilt=0.5):
        sigma = np.full(len(order.flux), order.flux.mean() / 150)
        velocity = 299792.458 * np.log(order.wavelength)
        covariance = plain.covariance(velocity, sigma, *TRUE_NOISE[order.number], order.flux)
        noise = np.linalg.cholesky(covariance) @ rng.normal(size=len(sigma))
        orders.append(replace(order, flux=order.flux + noise, flux_error=sigma))
    return orders


def own_density(logp, order, noise, x):
    """ln of the posterior density of the noise of one order, from dense matrices."""
    (likelihoods,) = (logp.plan.load([order]),)
    (epoch,) = likelihoods.epochs
    (batch,) = likelihoods.stream(logp.parameters.params(np.atleast_2d(x)))
    data = epoch.data[0]
    wave = logp.plan.orders[order].wavelength
    t = 2 * (wave - wave[0]) / (wave[-1] - wave[0]) - 1
    level = plain.polynomials(t[data.used], 2) @ noise.continuum
    cov = plain.covariance(
        data.velocity, data.flux_error, noise.ln_noise, 10**noise.log_amplitude,
        10**noise.log_length, level,
    )  # fmt: skip
    inputs = data.flux, batch.spectra[0], t[data.used], 2, 1.0, cov
    error = batch.errors[0]
    continuum = plain.fitted_continuum(*inputs)
    continuum = plain.fitted_continuum(*inputs, continuum[:, None] * error)
    prior = sum(
        logp.parameters.prior(name).log_density(np.array([value]))[0]
        for name, value in zip(FIXED, noise.values(1)[0], strict=True)
    )
    return plain.marginal(*inputs, error, continuum) + prior


@pytest.fixture(scope="module")
def logp(fit_store):
    """A fit of two orders whose noise differs, without noise held."""
    return log_probability(plan_of(fit_store, noisy_orders(fit_store)))


@pytest.fixture(scope="module")
def held(logp):
    """The same fit with the noise held."""
    fixed = logp
    for name, value in FIXED.items():
        fixed = fixed.fix(name, value)
    return fixed.hold_noise(true_x(fixed), noise_rules(logp.parameters))


def test_each_order_has_the_noise_at_which_its_own_density_is_largest(logp, held):
    x = true_x(logp)
    rng = np.random.default_rng(1)
    for m, noise in enumerate(held.noise):
        best = own_density(logp, m, noise, x)
        for _ in range(30):
            shift = rng.normal(0, 0.1, 3)
            other = replace(
                noise, ln_noise=noise.ln_noise + shift[0],
                log_amplitude=np.clip(noise.log_amplitude + shift[1], -4, -0.5),
                log_length=noise.log_length + shift[2],
            )  # fmt: skip
            if np.isfinite(own_density(logp, m, other, x)):
                assert own_density(logp, m, other, x) < best + 0.05


def test_the_true_noise_is_found(held):
    quiet, loud = held.noise
    assert 0.4 < loud.ln_noise - quiet.ln_noise < 2.4  # 80 pixels say no more
    assert 10**loud.log_amplitude == pytest.approx(0.03, rel=0.6)
    assert loud.continuum[1] / loud.continuum[0] == pytest.approx(0.5, abs=0.1)


def test_the_noise_held_is_that_of_the_likelihood(logp, held):
    """With one noise for both orders, held or as parameters, the values agree."""
    noise = OrderNoise(0.3, -2.2, 1.1, (1.0, 0.0, 0.0))
    both = replace(held, noise=(noise, noise))
    x = true_x(logp, ln_noise=0.3, log_amplitude=-2.2, log_length=1.1)
    assert both.by_order(true_x(both))[1:] == pytest.approx(logp.by_order(x)[1:], rel=1e-12)
    assert held(true_x(held)) > both(true_x(both)) + 5


def test_fixed_values_stay_and_white_noise_has_one_parameter(fit_store):
    plan = plan_of(fit_store, noisy_orders(fit_store))
    free = log_probability(plan, {"log_length": 1.5})
    fixed = free.fix("ln_noise", 0.0).fix("log_amplitude", -2.0)
    for noise in fixed.hold_noise(true_x(fixed), noise_rules(free.parameters)).noise:
        assert noise.log_length == 1.5
        assert noise.ln_noise != 0.0
    white = log_probability(plan, correlated=False)
    fixed = white.fix("ln_noise", 0.0)
    for noise in fixed.hold_noise(true_x(fixed), noise_rules(white.parameters)).noise:
        assert noise.log_amplitude == -np.inf
        assert OrderNoise.from_dict(noise.to_dict()) == noise


def test_workers_find_the_same_noise(logp, held, client):
    remote = log_probability(logp.plan, dict(FIXED), client=client)
    found = remote.hold_noise(true_x(remote), noise_rules(logp.parameters))
    assert found.noise == held.noise
    assert found(true_x(remote)) == held(true_x(held))


def test_one_component_keeps_the_noise(held):
    assert single_component(held).noise == held.noise


def test_a_tied_noise_parameter_is_refused(fit_store):
    free = log_probability(plan_of(fit_store, observed(fit_store)), {"log_length": "ln_noise"})
    with pytest.raises(InvalidInput) as refused:
        noise_rules(free.parameters)
    assert refused.value.name == "log_length"


def job_of(tmp_path, store, **noise):
    tmp_path.mkdir(exist_ok=True)
    star = write_star(tmp_path / "star.ecsv", store)
    settings = {"teff_1": 5700.0, "feh": 0.1, "vsini": 6.0, "teff_2": {"uniform": [4600, 5000]}}
    return make_sample_job(
        {
            "output": str(tmp_path / "run"), "store": str(store), "noise": noise,
            "spectra": [{"file": str(star), "resolution": 30_000}],
            "continuum": {"degree": 2}, "parameters": settings | {"rv": {"normal": [5, 2]}},
            "sampling": {"walkers": 10, "max_steps": 10, "checkpoint": 5},
        },
        "job.toml",
    )  # fmt: skip


@pytest.fixture(scope="module")
def sampled(fit_store, tmp_path_factory):
    """A run with the default noise."""
    return mixjobs.sample(job_of(tmp_path_factory.mktemp("own"), fit_store), report=False)


def test_a_run_holds_the_noise_of_each_order(sampled):
    assert sampled.names == ("teff_2", "rv", "c")
    logp = mixjobs.load_log_probability(sampled.job)
    assert logp.noise == sampled.log_probability.noise
    assert len(logp.noise) == 2
    noise = sampled.posterior["noise"]
    assert noise["ln_noise"].values.tolist() == [n.ln_noise for n in logp.noise]
    assert noise["log_length"].dims == ("order",)
    x = sampled.chain.positions[0, -1]
    assert logp(x) == pytest.approx(sampled.chain.log_probability[0, -1], rel=1e-12)
    reopened = mixjobs.open_run(sampled.path)
    assert reopened.log_probability.noise == logp.noise


def test_a_damaged_noise_file_is_refused(sampled):
    path = sampled.path / NOISE
    content = path.read_text()
    try:
        path.write_text(content.replace('"ln_noise": ', '"ln_noise": 1'))
        with pytest.raises(mixjobs.UnreadableFile):
            mixjobs.open_run(sampled.path)
    finally:
        path.write_text(content)


@pytest.mark.parametrize("sample", [[4], [4, 5]])
def test_a_run_samples_the_noise_of_orders(fit_store, tmp_path, sample):
    job = job_of(tmp_path, fit_store, sample=sample)
    more = job.sampling.model_copy(update={"walkers": 20})
    sampled = mixjobs.sample(job.model_copy(update={"sampling": more}), report=False)
    names = {f"{name}_m{m}" for m in sample for name in FIXED}
    assert names == {name for name in sampled.names if "_m" in name}
    assert sampled.folder.last_step() > 0


def test_the_noise_of_some_orders_is_sampled(fit_store, tmp_path):
    job = job_of(tmp_path, fit_store, sample=[5])
    free = load_free_log_probability(job)
    own = ("ln_noise_m5", "log_amplitude_m5", "log_length_m5")
    assert free.parameters.optimum == tuple(FIXED)
    assert free.names[-3:] == own
    x = {name: TRUTH.get(name, 0.0) for name in free.names}
    x |= {"ln_noise": 0.3, "log_amplitude": -2.2, "log_length": 1.1}
    same = x | dict(zip(own, (0.3, -2.2, 1.1), strict=True))
    louder = same | {"ln_noise_m5": 0.9}
    shared = load_free_log_probability(job_of(tmp_path, fit_store, shared=True))
    values = shared.by_order({name: x[name] for name in shared.names})[1:]
    assert free.by_order(same)[1:] == pytest.approx(values, rel=1e-12)
    assert free.by_order(louder)[1] != free.by_order(louder)[2]
    with pytest.raises(InvalidInput) as refused:
        load_free_log_probability(job_of(tmp_path, fit_store, sample=[9]))
    assert (refused.value.name, refused.value.value) == ("noise.sample", 9)
    with pytest.raises(InvalidInput) as refused:
        job_of(tmp_path, fit_store, sample=[5], shared=True)
