import copy
import multiprocessing
import pickle
from dataclasses import replace

import emcee
import numpy as np
import pytest

import mixjobs
from mixjobs.config.sample import read_sample_job
from mixjobs.errors import InvalidInput
from mixjobs.inference.job import load_free_log_probability
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.optimum import find_optimum, find_starts, start_walkers, widths_around
from mixjobs.inference.order_likelihoods import LikelihoodPlan, normalise
from tests.helpers import plain_likelihood as plain
from tests.helpers.small_fits import (
    JOB,
    ORDERS,
    TRUTH,
    around,
    log_probability,
    observed,
    plan_of,
    true_x,
    write_star,
)


def test_the_sum_agrees_with_plain_likelihoods_and_the_prior(fit_store):
    """Without the emulator error, both are exact."""
    orders = observed(fit_store)
    logp = log_probability(plan_of(fit_store, orders, emulator_error=False))
    x = true_x(logp)
    waves = [order.wavelength for order in orders]
    model = mixjobs.load_mixture(fit_store, wavelengths=waves, resolution=30_000)
    expected = logp.parameters.log_prior(x[None])[0]
    levels = [batch.level[0] for batch in model.stream(TRUTH)]
    for order, flux, level in zip(orders, model(TRUTH), levels, strict=True):
        scale = np.median(np.abs(order.flux))
        velocity = 299792.458 * np.log(order.wavelength)
        cov = plain.covariance(velocity, order.flux_error / scale, 0.1, 1e-2, 10**1.2)
        t = np.linspace(-1, 1, len(velocity))
        likelihood = plain.marginal(order.flux / scale, flux / level, t, 2, 1.0, cov)
        expected += likelihood - len(velocity) * np.log(scale)
    assert logp(x) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("correlated", [False, True])
def test_samples_are_independent(fit_store, correlated):
    logp = log_probability(plan_of(fit_store, observed(fit_store)), correlated=correlated)
    x = around(logp, 19)
    x[3, 0] = 9000.0  # outside the grid
    together = logp(x)
    assert together[3] == -np.inf
    for row in (0, 4, 18):
        assert together[row] == pytest.approx(logp(x[row]), rel=1e-10)
    assert logp(x[:0]).shape == (0,)
    assert [type(logp(row)) for row in x[3:5]] == [float, float]


def test_samples_outside_the_prior_do_not_reach_the_model(fit_store):
    logp = log_probability(plan_of(fit_store, observed(fit_store)))
    x = around(logp, 4)
    expected = logp(x)
    column = {name: column for column, name in enumerate(logp.names)}
    x[0, [column["log_amplitude"], column["ln_noise"], column["vsini"]]] = 400.0, 1e308, -5.0
    values = logp(x)
    assert values[0] == -np.inf
    np.testing.assert_array_equal(values[1:], expected[1:])


def test_the_error_of_q_is_a_derivative_of_the_normalised_mixture(fit_store):
    """d(f/l)/d(ln q), where the mean level l also depends on q."""
    (order, _) = observed(fit_store)
    model = mixjobs.load_mixture(
        fit_store, orders=[4], wavelengths=[order.wavelength], resolution=30_000
    )
    (batch,) = model.stream(TRUTH, errors=True)
    first, second = model.parts(TRUTH)[0]
    light = model.light(TRUTH)[:, 0]
    step = 1e-5

    def fitted(q):
        return (first + q * second) / (light[0] + q * light[1])

    slope = (fitted(1 + step) - fitted(1 - step)) / (2 * step)
    # Without errors of the weights, those of ln q remain: this is one column for each z.
    error = replace(
        batch.error, columns=np.einsum("p,nr->npr", second, batch.error.level) / light[1]
    )
    _, _, of_q = normalise(replace(batch, error=error), np.ones(80, bool))
    sizes = batch.error.level[0] / light[1]  # the errors of ln q
    assert (sizes**2).sum() > 0
    np.testing.assert_allclose(of_q[0], np.outer(slope, sizes), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("prior_sd", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("emulator_error", [False, True])
def test_identical_components_do_not_constrain_c(fit_store, prior_sd, emulator_error):
    """This holds for any prior of the continuum and for any data."""
    orders = observed(fit_store, continuum=Continuum(3, prior_sd), tilt=0.6)
    orders[1] = replace(orders[1], flux=orders[1].flux[::-1] * np.linspace(0.2, 3, 80))
    logp = log_probability(plan_of(fit_store, orders, emulator_error=emulator_error))
    x = np.repeat(true_x(logp, teff_1=5300.0, teff_2=5300.0)[None], 6, axis=0)
    x[:, logp.names.index("c")] = [0.0, 0.01, 0.3, 0.5, 0.9, 1.0]
    values = logp(x)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values, values[0], rtol=0, atol=1e-5)


def test_the_level_of_each_order_is_divided_out(fit_store):
    """Another flux unit changes ln L only by a constant."""
    orders = observed(fit_store)
    scaled = [replace(o, flux=7 * o.flux, flux_error=7 * o.flux_error) for o in orders]
    logp, other = (log_probability(plan_of(fit_store, some)) for some in (orders, scaled))
    x = around(logp, 5)
    np.testing.assert_allclose(logp(x) - other(x), 160 * np.log(7), rtol=1e-9)


def test_masked_pixels_are_left_out(fit_store):
    orders = observed(fit_store)
    used = np.ones(80, bool)
    used[[3, 40, 41, 79]] = False
    spoilt = orders[0].flux.copy()
    spoilt[~used] = [np.nan, 1e9, -5, np.inf]
    masked = [replace(orders[0], used=used), orders[1]]
    spoilt = [replace(orders[0], used=used, flux=spoilt), orders[1]]
    values = [log_probability(plan_of(fit_store, some)) for some in (orders, masked, spoilt)]
    x = true_x(values[0])
    full, without, with_spoilt = (logp(x) for logp in values)
    assert without == with_spoilt
    assert without != full


def test_epochs_have_their_own_velocity_and_share_the_star(fit_store):
    """Two spectra with their own velocities, one not corrected to the barycentre."""
    first = observed(fit_store)
    second = observed(fit_store, TRUTH | {"rv": -9.0, "c": 0.1}, epoch=1)
    plan = plan_of(fit_store, [*first, *second], velocities=(0.0, 4.0))
    logp = log_probability(plan, per_epoch=["rv", "c"])
    assert {"rv_e1", "rv_e2", "c_e1", "c_e2", "teff_1"} <= set(logp.names)
    own = {"rv_e1": 5.0, "rv_e2": -5.0, "c_e1": 0.3, "c_e2": 0.1}
    both = logp.log_likelihood(true_x(logp, **own))
    alone = log_probability(plan_of(fit_store, first))
    other = log_probability(plan_of(fit_store, [replace(o, epoch=0) for o in second]))
    each = alone.log_likelihood(true_x(alone)), other.log_likelihood(true_x(other, rv=-9.0, c=0.1))
    # The epochs share their errors, which adds little here.
    assert both != pytest.approx(sum(each), rel=1e-9)
    assert both == pytest.approx(sum(each), abs=1)
    plan = replace(plan, emulator_error=False)
    by_order = log_probability(plan, per_epoch=["rv", "c"]).by_order(true_x(logp, **own))
    plans = [replace(fit.plan, emulator_error=False) for fit in (alone, other)]
    first_only, second_only = (log_probability(plan) for plan in plans)
    expected = [
        *first_only.by_order(true_x(alone))[1:],
        *second_only.by_order(true_x(other, rv=-9.0, c=0.1))[1:],
    ]
    np.testing.assert_allclose(by_order[1:], expected, rtol=1e-12)


def test_workers_give_bit_identical_results(fit_store, client):
    plan = plan_of(fit_store, observed(fit_store))
    local = log_probability(plan)
    x = around(local, 16)
    x[5, 0] = 9000.0
    remote = log_probability(plan, client=client)
    np.testing.assert_array_equal(remote.by_order(x), local.by_order(x))


def test_the_likelihood_and_the_prior_add_up(fit_store):
    """Also for a single vector; outside the prior each part is -inf."""
    plan = plan_of(fit_store, observed(fit_store))
    logp = log_probability(plan, constraints=["teff_2 < teff_1"])
    column = logp.names.index("teff_1")
    x = around(logp, 12)
    x[0, column], x[1, column] = 9000.0, 4600.0  # outside the prior; below teff_2
    x[2, logp.names.index("rv")] = 29.0
    likelihood, prior, total = logp.log_likelihood(x), logp.log_prior(x), logp(x)
    assert np.isneginf([likelihood[:2], prior[:2], total[:2]]).all()
    np.testing.assert_allclose(likelihood[2:] + prior[2:], total[2:], rtol=1e-12)
    np.testing.assert_array_equal(logp.by_order(x)[:, 0], total)
    for row in (0, 5):
        parts = logp.log_likelihood(x[row]), logp.log_prior(x[row]), logp(x[row])
        assert {type(part) for part in parts} == {float}
        assert parts == pytest.approx((likelihood[row], prior[row], total[row]), rel=1e-10)
        assert logp.by_order(x[row]).shape == (3,)
    assert logp.log_likelihood(x[:0]).shape == logp.log_prior(x[:0]).shape == (0,)


def test_the_likelihood_is_undefined_off_the_grid(fit_store):
    """The prior extends beyond the grid."""
    settings = {"teff_1": {"uniform": [3000, 9000]}}
    logp = log_probability(plan_of(fit_store, observed(fit_store)), settings)
    x = true_x(logp, teff_1=8000.0)
    assert np.isfinite(logp.log_prior(x))
    assert logp.log_likelihood(x) == logp(x) == -np.inf


def test_the_prior_transform_counts_the_prior_once(fit_store):
    """The mean likelihood over the unit cube is the evidence, as a nested sampler finds it."""
    fixed = {"teff_1": 5700.0, "feh": 0.1, "vsini": 6.0, "rv": 5.0, "ln_noise": 0.0}
    settings = fixed | {"teff_2": {"normal": [4800, 100]}, "c": {"uniform": [0.2, 0.4]}}
    logp = log_probability(
        plan_of(fit_store, observed(fit_store)), settings, correlated=False,
        constraints=["teff_2 < teff_1"],
    )  # fmt: skip
    assert logp.names == ("teff_2", "c")
    nodes = (np.arange(40) + 0.5) / 40
    u = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    log_likelihood = logp.log_likelihood(logp.prior_transform(u))
    teff_2, c = np.linspace(4501, 5301, 161), np.linspace(0.2, 0.4, 41)[:-1] + 0.0025
    grid = np.stack(np.meshgrid(teff_2, c), axis=-1).reshape(-1, 2)
    peak = log_likelihood.max()
    over_cube = np.exp(log_likelihood - peak).mean()
    over_grid = np.exp(logp(grid) - peak).sum() * 5.0 * 0.005
    assert over_cube == pytest.approx(over_grid, rel=0.02)


def test_invalid_shapes_are_refused(fit_store):
    logp = log_probability(plan_of(fit_store, observed(fit_store)))
    for x in (np.zeros(3), 1.0, np.zeros((2, 2, len(logp.names)))):
        for method in (logp, logp.log_likelihood, logp.log_prior, logp.by_order):
            with pytest.raises(InvalidInput) as refused:
                method(x)
            assert refused.value.name == "x"
        with pytest.raises(InvalidInput) as refused:
            logp.prior_transform(x)
        assert refused.value.name == "u"


def test_optimum_is_that_of_the_command(fit_store, tmp_path):
    """The search is that of `mixjobs sample`; a job without such parameters needs none."""
    star, job = write_star(tmp_path / "star.ecsv", fit_store), tmp_path / "job.toml"
    text = JOB.format(output="run", store=fit_store, star=star, steps=20)
    text += "\n[noise]\nshared = true\n"
    job.write_text(text)
    stages = []
    logp = mixjobs.load_log_probability(job, report=lambda *stage: stages.append(stage))
    free = load_free_log_probability(job)
    assert "ln_noise" in free.names
    assert free.parameters.optimum == ("ln_noise",)
    assert "ln_noise" not in logp.names
    assert logp.parameters.optimum == ()
    starts = find_starts(free, 2, read_sample_job(job).seed)
    best = dict(zip(free.names, starts[np.argmax(free(starts))], strict=True))
    assert logp.parameters.rules["ln_noise"] == best["ln_noise"]
    assert any(note.startswith("ln_noise is fixed at") for note in logp.notes)
    assert stages[-1] == ("search", 600, 600)
    job.write_text(text.replace('"optimum"', "0.0"))
    fixed = mixjobs.load_log_probability(job, report=lambda *_: pytest.fail("no search expected"))
    assert fixed.names == logp.names


def test_a_summary(fit_store):
    logp = log_probability(plan_of(fit_store, observed(fit_store)))
    assert "teff_1, teff_2" in repr(logp)
    assert "<table>" in logp._repr_html_()


def test_the_search_finds_the_truth(fit_store):
    logp = log_probability(
        plan_of(fit_store, observed(fit_store)), correlated=False, constraints=["teff_2 < teff_1"]
    )
    best = find_optimum(logp, seed=1)
    assert logp(best) >= logp(true_x(logp)) - 0.5
    optimum = dict(zip(logp.names, best, strict=True))
    assert optimum["rv"] == pytest.approx(TRUTH["rv"], abs=0.5)
    steps = np.diag(widths_around(logp, best))
    falls = logp(best) - np.maximum(logp(best + steps), logp(best - steps))
    assert (falls <= 0.5).all()
    assert (falls > 0.02).any()
    starts = start_walkers(logp, np.stack([best, best]), 32, seed=1)
    assert starts.shape == (2, 32, len(best))
    assert np.isfinite(logp(starts.reshape(-1, len(best)))).all()
    assert len(np.unique(starts[:, :, 0])) == 64
    np.testing.assert_array_equal(find_optimum(logp, seed=1), best)


def test_every_ensemble_has_its_own_search(fit_store):
    """Each solution has a twin with the components exchanged, unless a prior forbids it."""
    plan = plan_of(fit_store, observed(fit_store))
    fixed = {"rv": 5.0, "vsini": 6.0, "feh": 0.1, "ln_noise": 0.0}
    twins = log_probability(plan, fixed, correlated=False)
    starts = find_starts(twins, 4, seed=1)
    warmer = starts[:, 0] > starts[:, 1]
    assert warmer.any()
    assert not warmer.all()
    assert np.ptp(twins(starts)) < 1
    one = log_probability(
        plan, fixed | {"teff_1": {"normal": [5700, 100]}}, correlated=False
    )  # the twin is improbable
    starts = find_starts(one, 4, seed=1)
    assert (starts[:, 0] > starts[:, 1]).all()
    np.testing.assert_array_equal(starts[0], find_optimum(one, seed=1))


def test_priors_outside_the_model_are_refused_by_the_search(fit_store):
    settings = {"rv": {"uniform": [5000, 5001]}}
    logp = log_probability(plan_of(fit_store, observed(fit_store)), settings)
    with pytest.raises(InvalidInput) as refused:
        find_optimum(logp, seed=1)
    assert (refused.value.name, refused.value.value) == ("parameters", 0)


def test_orders_follow_the_plan(fit_store):
    orders = observed(fit_store)
    logp = log_probability(plan_of(fit_store, orders))
    x = true_x(logp)
    both = logp.by_order(x)
    for row, order in enumerate(orders):
        alone = log_probability(plan_of(fit_store, [order]))
        others = logp.log_likelihood(x) - both[1 + row]  # the predictive density is what it adds
        other = log_probability(plan_of(fit_store, [o for o in orders if o is not order]))
        assert other.log_likelihood(x) == pytest.approx(others, rel=1e-12)
        assert alone.by_order(x)[1] == alone.log_likelihood(x)
    assert ORDERS.number.tolist() == [order.number for order in orders]


def test_a_pool_of_processes_gives_the_same_chain(fit_store):
    """As emcee uses it: the object is pickled, and each process loads its own model."""
    logp = log_probability(plan_of(fit_store, observed(fit_store)))
    start, n_steps = around(logp, 20), 3
    chains = []
    for pool in (None, multiprocessing.get_context("spawn").Pool(2)):
        sampler = emcee.EnsembleSampler(20, len(logp.names), logp, pool=pool)
        sampler.random_state = np.random.RandomState(1).get_state()
        sampler.run_mcmc(start, n_steps)
        chains.append((sampler.get_chain(), sampler.get_log_prob()))
        if pool is not None:
            pool.terminate()
    for alone, together in zip(*chains, strict=True):
        np.testing.assert_array_equal(alone, together)


def test_a_pickled_log_probability_builds_its_model_once(fit_store, monkeypatch):
    logp = log_probability(plan_of(fit_store, observed(fit_store)))
    x = true_x(logp)
    content = pickle.dumps(logp)
    assert len(content) < 1e5  # without the model
    loads = []
    load = LikelihoodPlan.load
    monkeypatch.setattr(LikelihoodPlan, "load", lambda *a: loads.append(a) or load(*a))
    for again in (pickle.loads(content), pickle.loads(content), copy.deepcopy(logp)):
        assert again(x) == logp(x)
        assert again.fix("rv", 5.0).names == logp.fix("rv", 5.0).names
    assert len(loads) == 1
