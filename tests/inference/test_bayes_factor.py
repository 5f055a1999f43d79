"""The Bayes factor of one component over two, compared with quadrature."""

import json
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.inference.bayes_factor import (
    BayesFactor,
    EdgeDraws,
    Estimate,
    LeftOut,
    bayes_factor,
    combined,
    edge_density,
)
from mixjobs.inference.priors import Dirichlet, LogUniform, Normal, Uniform
from mixjobs.inference.teff_priors import RestrictedPrior, TeffDraws, edges
from tests.helpers.toy_mixture import CONSTRAINT, HIGH, LOW, PRIORS, Toy

NARROW = {"teff_1": Uniform(4500, 6800), "teff_2": Uniform(4000, 7000), "c": Uniform(0, 0.5)}
CURVED = {
    "teff_1": Normal(5500, 600, 4000, 7000),
    "teff_2": LogUniform(4000, 7000),
    "c": Dirichlet((1.5, 0.7)),
}
STARS = {
    "single": Toy((0.0, 5500.0, 5500.0), 0.03, PRIORS),
    "cool": Toy((0.0, 4500.0, 4500.0), 0.02, PRIORS),
    "hot": Toy((0.0, 6700.0, 6700.0), 0.03, PRIORS),
    "noisy double": Toy((0.3, 5800.0, 5200.0), 0.2, PRIORS),
    "narrow": Toy((0.0, 5500.0, 5500.0), 0.03, NARROW),
    "curved": Toy((0.0, 5500.0, 5500.0), 0.03, CURVED),
}
ALL = ("c -> 0", "c -> 1", "equal teff")


@cache
def sampled(star, constrained):
    """A star, its draws, and ln of its Bayes factor by quadrature."""
    toy = replace(STARS[star], constraints=(CONSTRAINT,) if constrained else ())
    one, two = toy.ln_evidence()
    return toy, toy.draws(1_500_000), one - two


def limits_of(toy, draws, exchangeable=True):
    return edges(draws, toy.teff_priors, toy.priors["c"], exchangeable=exchangeable)


def in_words(toy, draws, **options):
    """The limits that can be estimated, and why the others cannot."""
    limits = limits_of(toy, draws, **options)
    assert [limit.limit for limit in limits] == list(ALL)
    left_out = {limit.limit: limit.reason for limit in limits if isinstance(limit, LeftOut)}
    return [name for name in ALL if name not in left_out], list(left_out.values())


@pytest.mark.parametrize("constrained", [False, True])
@pytest.mark.parametrize("star", STARS)
def test_each_limit_gives_the_ratio_of_the_evidences(star, constrained):
    toy, draws, truth = sampled(star, constrained)
    factor = bayes_factor(limits_of(toy, draws), 1.0)
    expected = ("c -> 0", "equal teff") if star == "narrow" else ALL
    assert tuple(estimate.limit for estimate in factor.estimates) == expected
    for estimate in factor.estimates:
        assert estimate.ln == pytest.approx(truth, abs=0.1 + 2 * estimate.error), estimate.limit
    assert factor.ln == pytest.approx(truth, abs=0.12)
    assert 0 < factor.error < 0.2


def test_without_the_correction_the_constraint_makes_it_wrong():
    """For a cool star, little of the prior of teff_1 is near it if component 2 must be cooler."""
    toy, draws, truth = sampled("cool", True)
    uncorrected = [
        edge_density(EdgeDraws(e.limit, e.distance, np.ones_like(e.weights)), 1.0)
        for e in limits_of(toy, draws)[:2]
    ]
    # the priors of the temperatures, over those without the constraint: 2 x and 2 (1 - x)
    x = (4500 - LOW) / (HIGH - LOW)
    assert uncorrected[0].ln - truth == pytest.approx(np.log(2 * x), abs=0.2)
    assert uncorrected[1].ln - truth == pytest.approx(np.log(2 * (1 - x)), abs=0.2)


def test_fewer_draws_have_larger_errors():
    toy, draws, truth = sampled("single", True)
    few = TeffDraws(draws.c[:3000], draws.teff_1[:3000], draws.teff_2[:3000])
    factor = bayes_factor(limits_of(toy, few), 1.0)
    assert factor.ln == pytest.approx(truth, abs=3 * factor.error + 0.1)
    correlated = bayes_factor(limits_of(toy, draws), 0.1)
    independent = bayes_factor(limits_of(toy, draws), 1.0)
    errors = [[e.error for e in f.estimates] for f in (correlated, independent)]
    assert np.all(np.array(errors[0]) > errors[1])


@pytest.mark.parametrize("constraints", [(), (CONSTRAINT,)])
def test_a_clear_double_has_a_bound(constraints):
    toy = Toy((0.3, 6000.0, 4500.0), 0.05, PRIORS, constraints)
    one, two = toy.ln_evidence()
    factor = bayes_factor(limits_of(toy, toy.draws(1_000_000)), 1.0)
    assert factor.error is None
    assert all(estimate.error is None for estimate in factor.estimates)
    assert one - two < factor.ln == min(e.ln for e in factor.estimates) < -4
    assert f"ln B < {factor.ln:.1f} (c -> 0: < " in str(factor)


def test_components_that_differ_otherwise_have_only_the_first_limit():
    toy, draws, _ = sampled("single", False)
    only, reasons = in_words(toy, draws, exchangeable=False)
    assert only == ["c -> 0"]
    assert reasons == ["the components differ in more than teff"] * 2


def test_limits_that_the_priors_exclude():
    toy, draws, _ = sampled("single", False)
    above_0 = replace(toy, priors=toy.priors | {"c": Uniform(0.1, 1)})
    excluded = "excluded by the prior of c"
    assert in_words(above_0, draws) == (["c -> 1", "equal teff"], [excluded])
    inside = replace(toy, priors=toy.priors | {"c": Uniform(0.1, 0.9)})
    assert in_words(inside, draws) == (["equal teff"], [excluded] * 2)
    # one component may be as cool as 4000 K, component 2 is not
    warm = replace(toy, priors=toy.priors | {"teff_2": Uniform(5000, 7000)})
    not_covered = "the prior of teff_2 does not cover that of teff_1"
    assert in_words(warm, draws) == (["c -> 0"], [not_covered] * 2)
    # a cooler component 2 needs a component 1 above 5000 K
    constrained = replace(warm, constraints=(CONSTRAINT,))
    reasons = ["the constraint excludes values of teff_1", not_covered, not_covered]
    assert in_words(constrained, draws) == ([], reasons)


def test_limits_that_are_left_out_are_named():
    toy, draws, _ = sampled("single", False)
    first, second, equal = limits_of(toy, draws)
    rare = EdgeDraws("c -> 1", second.distance[:90], second.weights[:90])
    reason = LeftOut("equal teff", "excluded by the constraint")
    factor = bayes_factor([first, rare, reason], 1.0)
    (estimate,) = factor.estimates
    assert factor.left_out == (LeftOut("c -> 1", "too few draws"), reason)
    others = "c -> 1: too few draws, equal teff: excluded by the constraint"
    assert str(factor).endswith(f"(c -> 0: {estimate.ln:.2f}, {others})")
    assert BayesFactor.from_dict(json.loads(json.dumps(asdict(factor)))) == factor
    assert bayes_factor([rare, reason], 1.0) == factor.left_out
    assert bayes_factor([first, second, equal], 1.0).left_out == ()


def test_any_constraint_of_the_two_temperatures():
    """Component 2 is the hotter one: the limits of c swap, and the difference changes its sign."""
    toy, draws, truth = sampled("hot", True)
    hotter = replace(toy, constraints=("teff_1 < teff_2",))
    swapped = TeffDraws(1 - draws.c, draws.teff_2, draws.teff_1)
    factor = bayes_factor(limits_of(hotter, swapped), 1.0)
    assert tuple(e.limit for e in factor.estimates) == ALL
    assert factor.ln == pytest.approx(truth, abs=0.12)


# -- densities at an edge -----------------------------------------------------------------------


def density_at_0(draws, **options):
    return edge_density(EdgeDraws("x", draws, np.ones(len(draws))), **{"efficiency": 1.0} | options)


@given(scale=st.floats(1e-4, 1e4), seed=st.integers(0, 1000), flat=st.booleans())
def test_a_density_scales_with_the_distance(scale, seed, flat):
    rng = np.random.default_rng(seed)
    draws = rng.random(20_000) if flat else rng.exponential(size=20_000)
    estimate = density_at_0(scale * draws)
    assert estimate.error < 0.3
    assert estimate.ln + np.log(scale) == pytest.approx(0, abs=5 * estimate.error)


@pytest.mark.parametrize("width", [0.003, 0.03, 0.3])
def test_a_narrow_peak_at_the_edge_on_a_broad_base(width):
    rng = np.random.default_rng(3)
    peak = width * np.abs(rng.normal(size=10_000))
    estimate = density_at_0(np.concatenate([peak, rng.random(30_000)]))
    truth = np.log(0.25 * np.sqrt(2 / np.pi) / width + 0.75)
    assert estimate.ln == pytest.approx(truth, abs=0.1 + 2 * estimate.error)


def test_too_few_draws():
    rng = np.random.default_rng(4)
    assert density_at_0(rng.exponential(size=99)) is None
    assert density_at_0(rng.exponential(size=5000), efficiency=0.01) is None
    assert density_at_0(np.zeros(1000)) is None
    peak = np.concatenate([1e-4 * rng.random(50), rng.random(1000)])
    assert density_at_0(peak) is None  # neither estimate nor bound: it may be higher


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0.01, 5)), min_size=1, max_size=3))
def test_the_error_covers_the_scatter_of_the_estimates(values):
    factor = combined([Estimate("x", ln, error) for ln, error in values])
    lns, errors = np.array(values).T
    assert lns.min() - 1e-9 <= factor.ln <= lns.max() + 1e-9
    assert factor.error >= (1 / errors**2).sum() ** -0.5 - 1e-9
    assert combined([]) is None


def test_bounds_do_not_enter_a_mean():
    estimates = [Estimate("c -> 0", -1.0, 0.1), Estimate("c -> 1", -5.0, None)]
    assert combined(estimates).ln == -1
    assert str(combined(estimates)) == (
        "Bayes factor, one component over two: ln B = -1.00 ± 0.10 (c -> 0: -1.00, c -> 1: < -5.0)"
    )


def test_round_trip():
    for factor in (
        combined([Estimate("c -> 0", 1.0, 0.1), Estimate("c -> 1", -5.0, None)]),
        combined([Estimate("c -> 1", -5.0, None)]),
    ):
        assert BayesFactor.from_dict(json.loads(json.dumps(asdict(factor)))) == factor


@given(st.floats(-1, 1), st.floats(1.5, 4))
def test_restricted_priors_are_normalised(low, high):
    for prior in (Normal(1.0, 2.0), Uniform(-3, 3), LogUniform(0.5, 3)):
        restricted = RestrictedPrior.of(prior, low, high)
        x = np.linspace(restricted.low, restricted.high, 2001)
        middle = (x[1:] + x[:-1]) / 2
        below = np.concatenate([[0], np.cumsum(restricted.density(middle)) * np.diff(x)[0]])
        np.testing.assert_allclose(below[-1], 1, atol=1e-3)
        np.testing.assert_allclose(restricted.cumulative(x), below, atol=1e-3)
        points = restricted.points(100)
        np.testing.assert_allclose(
            restricted.cumulative(points), (np.arange(100) + 0.5) / 100, atol=1e-6
        )
