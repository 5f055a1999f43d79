"""Summaries of a chain, and one component against two."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from mixjobs.inference.bayes_factor import BayesFactor, Estimate, combined
from mixjobs.inference.convergence import assess
from mixjobs.inference.holes import HoleReport
from mixjobs.inference.interval import Interval
from mixjobs.inference.job import load_log_probability
from mixjobs.inference.model_comparison import (
    Comparison,
    Optimum,
    compare,
    posterior_bayes_factor,
    reduced,
    single_component,
)
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.posterior import fixed_values
from mixjobs.inference.priors import Uniform
from mixjobs.inference.segments import Chain
from mixjobs.inference.summary import summarise_chain
from tests.helpers.finished_runs import NOISE, TRUTH, finished, job_in


def some_chain(n=4000, offset=0.0, seed=0):
    """Two ensembles of four walkers, with independent draws."""
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(2, n, 4, 3)) * [1, 2, 0.1] + [0, 5, 0.4]
    positions[1, :, :, 1] += offset
    accepted = np.full((2, n), 3)
    return Chain(positions, positions[..., 0], positions[..., :1], accepted)


def test_medians_and_limits_are_numpys():
    chain = some_chain()
    summary = summarise_chain(chain, ("a", "b", "c"))
    assert summary.burn_in == assess(chain.positions).burn_in
    flat = chain.positions[:, summary.burn_in :].reshape(-1, 3)
    for p, name in enumerate(("a", "b", "c")):
        interval = summary.parameters[name]
        assert interval.median == np.median(flat[:, p])
        assert interval.interval_68 == tuple(np.quantile(flat[:, p], [0.16, 0.84]))
        assert interval.interval_95 == tuple(np.quantile(flat[:, p], [0.025, 0.975]))
    assert summary.upper_limits == {"c": np.quantile(flat[:, 2], 0.95)}
    assert summary.upper_limits["c"] == pytest.approx(0.4 + 1.645 * 0.1, abs=0.01)
    assert summary.acceptance == 0.75


def test_effective_size_of_independent_draws():
    summary = summarise_chain(some_chain(), ("a", "b", "c"))
    for size in summary.effective_size.values():
        assert size == pytest.approx(2 * 4 * (4000 - summary.burn_in), rel=0.1)
    assert summary.converged
    assert max(summary.r_hat.values()) < 1.01


def test_ensembles_that_differ():
    summary = summarise_chain(some_chain(offset=4.0), ("a", "b", "c"))
    assert summary.r_hat["b"] > 1.5 > 1.01 > summary.r_hat["a"]
    assert not summary.converged
    assert "ensembles differ" in summary.shortfall


def test_one_step():
    summary = summarise_chain(some_chain(n=1), ("a", "b", "c"))
    assert not summary.converged
    assert summary.n_steps == 1


RNG = np.random.default_rng(5)
NORMAL = RNG.normal(size=4000)


@pytest.mark.parametrize("scale", [1e-3, 20.0])
@pytest.mark.parametrize(
    ("draws", "truncated"),
    [
        (RNG.exponential(size=4000), True),
        (np.abs(NORMAL), True),
        (NORMAL + 5, False),  # close to the bound, but not truncated
        (NORMAL[NORMAL > -1] + 1, False),
        (RNG.random(4000) * 400, False),
    ],
)
def test_draws_truncated_by_a_bound(draws, truncated, scale):
    low, high = 4000.0, 4000 + 400 * scale
    assert Interval.of(low + scale * draws).truncated_at((low, high)) == (
        low if truncated else None
    )
    assert Interval.of(high - scale * draws).truncated_at((low, high)) == (
        high if truncated else None
    )
    assert Interval.of(low + scale * draws).truncated_at((-math.inf, math.inf)) is None


# -- one component ----------------------------------------------------------------------------

ONE, TWO = (
    Optimum({"a": 1.0, "b": 2.0}, -520.0),
    Optimum({"a": 1.0, "b": 2.0, "c": 0.1, "d": 3.0}, -500.0),
)


def test_difference_in_ln_likelihood():
    comparison = Comparison(2, 1000, ONE, TWO)
    assert comparison.difference == 20
    assert str(comparison) == (
        "difference in ln likelihood at the optima, 2 components minus 1: 20.0"
    )


def test_round_trip():
    factor = combined([Estimate("c -> 0", 1.0, 0.1)])
    for comparison in (
        Comparison(2, 1000, ONE, TWO, factor),
        Comparison(2, 1000, ONE, TWO, None, "component 2 is a blackbody"),
    ):
        content = json.loads(json.dumps(comparison.to_dict()))
        assert Comparison.from_dict(content) == comparison
        assert content["ln_likelihood_difference"] == comparison.difference
    assert str(comparison).endswith("20.0\nno Bayes factor: component 2 is a blackbody")
    for name in ("bayes_factor", "no_bayes_factor"):  # as an earlier version wrote it
        del content[name]
    assert Comparison.from_dict(content) == Comparison(2, 1000, ONE, TWO)
    del content["one_component"]
    with pytest.raises(KeyError, match="one_component"):
        Comparison.from_dict(content)


@pytest.fixture(scope="module")
def logp():
    return finished().log_probability


def test_component_1_alone_is_the_mixture_without_light_of_component_2(logp):
    alone = single_component(logp)
    assert alone is not None
    assert alone.names == ("teff_1", "rv", "ln_noise")
    for teff_1, rv in ((5700.0, 5.0), (4500.0, -3.0)):
        at = TRUTH | NOISE | {"teff_1": teff_1, "rv": rv, "c": 0.0, "teff_2": 4450.0}
        both = logp.by_order(np.array([[at[name] for name in logp.names]]))[0, 1:]
        one = alone.by_order(np.array([[at[name] for name in alone.names]]))[0, 1:]
        np.testing.assert_allclose(one, both, rtol=1e-9)


def test_parameters_to_which_component_1_is_tied_stay_free(logp):
    job = job_in(finished().folder.path.parent, logp.plan.store)
    settings = {"teff_1": "teff_2 + 500", "vsini": 6.0, "ln_noise": 0.0, "log_amplitude": -3.0,
                "log_length": 1.0, "rv": 5.0}  # fmt: skip
    config = type(job.parameters)(**settings)
    tied = load_log_probability(job.model_copy(update={"parameters": config}))
    assert single_component(tied).names == ("teff_2",)
    none = reduced(tied.parameters, ["teff_1"])
    assert none.names == ("teff_2",)
    fixed = load_log_probability(
        job.model_copy(update={"parameters": type(config)(**settings | {"teff_1": 5700.0})})
    )
    assert single_component(fixed) is None
    alone = job.model.model_copy(update={"components": 1})
    config = type(config)(**{k: v for k, v in settings.items() if k != "teff_1"})
    assert (
        single_component(
            load_log_probability(job.model_copy(update={"model": alone, "parameters": config}))
        )
        is None
    )


@pytest.fixture(scope="module")
def fixed(logp):
    """The log-probability with the noise fixed, as by `ln_noise = "optimum"`."""
    return logp.fix("ln_noise", 0.1)


def chain_of(fixed, values):
    """A chain of one sample, and others that are much less probable."""
    rng = np.random.default_rng(2)
    best = np.array([values[name] for name in fixed.names])
    positions = best + rng.normal(size=(2, 50, 4, len(best))) * 1e-3
    positions[0, 0, 0] = best
    log_probability = np.full(positions.shape[:3], -1e9)
    log_probability[0, 0, 0] = fixed(best)
    return Chain(positions, log_probability, positions[..., :1], np.full((2, 50), 4))


def test_two_components_are_preferred(fixed):
    comparison = compare(fixed, chain_of(fixed, TRUTH), seed=1)
    assert comparison.n_pixels == 139
    assert set(comparison.one_component.parameters) == {"teff_1", "rv"}
    assert comparison.difference > 10
    assert comparison.all_components.parameters["c"] == TRUTH["c"]
    x = np.array(list(comparison.one_component.parameters.values()))[None]
    alone = single_component(fixed)
    assert comparison.one_component.ln_likelihood == alone.log_likelihood(x)[0]
    around = x + np.array([[30.0, 0], [-30, 0], [0, 0.2], [0, -0.2]])
    assert (alone(around) < alone(x)).all()


def test_the_noise_of_one_component_is_that_of_all(fixed):
    """The noise fixed at the optimum of all components is not free for one component."""
    alone = single_component(fixed)
    assert fixed_values(alone.parameters)["ln_noise"] == 0.1
    at = TRUTH | {"c": 0.0, "teff_2": 4450.0}
    both = fixed.log_likelihood(np.array([at[name] for name in fixed.names]))
    one = alone.log_likelihood(np.array([at[name] for name in alone.names]))
    assert one == pytest.approx(both, rel=1e-12)


def test_all_components_are_never_worse_than_one(fixed):
    """The model of one component is nested in that of all, wherever the sampler has been."""
    comparison = compare(fixed, chain_of(fixed, TRUTH | {"rv": -20.0, "c": 0.9}), seed=1)
    assert comparison.all_components.parameters["c"] == 0
    assert comparison.all_components.ln_likelihood == pytest.approx(
        comparison.one_component.ln_likelihood, abs=1e-6
    )


# -- the Bayes factor ---------------------------------------------------------------------------


def random_chain(logp, n=3000, **values):
    """Independent draws of the prior, some parameters replaced by others."""
    rng = np.random.default_rng(5)
    x = logp.parameters.draw(rng, 8 * n)
    for name, draws in values.items():
        x[:, logp.names.index(name)] = draws(rng, 8 * n)
    positions = x.reshape(2, n, 4, -1)
    log_probability = rng.normal(size=positions.shape[:3])
    return Chain(positions, log_probability, positions[..., :1], np.full((2, n), 4))


def test_the_posterior_of_uninformative_data_is_the_prior(logp):
    factor = posterior_bayes_factor(logp, random_chain(logp))
    assert [e.limit for e in factor.estimates] == ["c -> 0", "c -> 1", "equal teff"]
    for estimate in factor.estimates:
        assert estimate.ln == pytest.approx(0, abs=3 * estimate.error + 0.05)


def test_a_posterior_far_from_one_component_has_a_bound(logp):
    chain = random_chain(logp, c=lambda rng, n: rng.normal(0.4, 0.02, n))
    assert posterior_bayes_factor(logp, chain).estimates[0].error is None
    stuck = replace(chain, positions=np.broadcast_to(TRUTH["c"], chain.positions.shape))
    assert posterior_bayes_factor(logp, stuck).startswith("too few independent draws")


@pytest.mark.parametrize(
    ("model", "parameters", "reason"),
    [
        ({"components": ["library", "blackbody"]}, {}, "component 2 is a blackbody"),
        ({"components": 3}, {}, "the model has 3 components, not two"),
        ({"shared": ["teff", "rv", "vsini"]}, {}, "the components have no temperatures"),
        ({}, {"c": 0.3}, "c is fixed"),
        ({}, {"teff_2": "teff_1 - 500"}, "teff_2 is tied to teff_1"),
        ({}, {"log_length": "0.001 * teff_2"}, "log_length is tied to teff_2"),
        ({}, {"constraints": ["vsini < rv"]}, "the constraint vsini < rv involves more"),
    ],
)
def test_models_without_a_bayes_factor(logp, model, parameters, reason):
    job = job_in(
        finished().folder.path.parent, logp.plan.store, model=model,
        parameters={"vsini": 6.0, "log_amplitude": -2.5, "log_length": 1.0} | parameters
        | ({"vsini": {"uniform": [0, 10]}} if "constraints" in parameters else {}),
    )  # fmt: skip
    other = load_log_probability(job)
    assert posterior_bayes_factor(other, finished().chain).startswith(reason)


def test_epochs_with_their_own_filling_factors_have_no_bayes_factor(logp):
    names = logp.parameters.base_names
    parameters = make_parameters(
        names, dict.fromkeys(names, Uniform(0, 1)), per_epoch=["c"], n_epochs=2
    )
    other = replace(logp, parameters=parameters)
    assert posterior_bayes_factor(other, finished().chain) == "c differs between the epochs"


def test_holes_of_the_grid(logp):
    hole = HoleReport(2, "prior", 0.12, ({"teff": 4400.0},), 1)
    with_hole = replace(logp, holes=(hole,))
    assert posterior_bayes_factor(with_hole, random_chain(logp)) == (
        "holes of the grid exclude 12 % of a prior"
    )
    small = replace(logp, holes=(replace(hole, fraction=0.001),))
    assert isinstance(posterior_bayes_factor(small, random_chain(logp)), BayesFactor)
