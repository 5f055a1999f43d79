"""Priors: normalisation, quantiles, draws and supports."""

import numpy as np
import pytest
from astropy import units as u
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from mixjobs.errors import InvalidInput
from mixjobs.inference.priors import Dirichlet, LogUniform, Normal, Uniform, make_prior

finite = st.floats(-1e4, 1e4)
widths = st.floats(1e-3, 1e4)
probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=5).map(np.array)
uniforms = st.builds(lambda low, width: Uniform(low, low + width), finite, widths)
loguniforms = st.builds(
    lambda low, ratio: LogUniform(low, low * ratio), st.floats(1e-6, 1e3), st.floats(1.01, 1e6)
)


@st.composite
def normals(draw):
    """Draw no bounds, or one or two within ten standard deviations of the mean."""
    mean, sd = draw(finite), draw(widths)
    ends = st.none() | st.floats(-10, 10)
    low, high = draw(ends), draw(ends)
    low, high = (-np.inf if low is None else low), (np.inf if high is None else high)
    if high - low < 0.1:
        low, high = (low, low + 0.1) if draw(st.booleans()) else (low, np.inf)
    return Normal(mean, sd, mean + low * sd, mean + high * sd)


priors = uniforms | loguniforms | normals()


def scipy_prior(prior):
    """The same density in scipy."""
    if isinstance(prior, Uniform):
        return stats.uniform(prior.low, prior.high - prior.low)
    if isinstance(prior, LogUniform):
        return stats.loguniform(prior.low, prior.high)
    if np.isinf(prior.low) and np.isinf(prior.high):
        return stats.norm(prior.mean, prior.sd)
    ends = (np.array([prior.low, prior.high]) - prior.mean) / prior.sd
    return stats.truncnorm(*ends, prior.mean, prior.sd)


def panels(prior):
    """Edges of narrow panels that hold all of a density."""
    low, high = prior.bounds
    if isinstance(prior, LogUniform):
        return np.geomspace(low, high, 2001)
    if isinstance(prior, Normal):
        low = max(low, prior.mean - 20 * prior.sd)
        high = min(high, prior.mean + 20 * prior.sd)
    return np.linspace(low, high, 2001)


def cumulative(prior):
    """Edges, and the integral of the density up to each, by Gauss and Legendre."""
    edges = panels(prior)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    x = middle[:, None] + half[:, None] * nodes
    x = np.clip(x, *prior.bounds)
    return edges, np.cumsum(np.exp(prior.log_density(x)) @ weights * half)


@given(priors)
@example(Normal(0, 1))
@example(Normal(0, 1, low=10))
@example(Normal(0, 1, high=-10))
def test_a_density_is_normalised(prior):
    assert cumulative(prior)[1][-1] == pytest.approx(1, rel=1e-9)


@given(priors)
@example(Normal(0, 1, low=8, high=9))
@example(Normal(0, 1, low=20))
@example(Normal(0, 1, high=-20))
def test_quantiles_invert_the_integral(prior):
    edges, below = cumulative(prior)
    inside = (below > 1e-6) & (below < 1 - 1e-6)
    assert prior.quantile(below[inside]) == pytest.approx(
        edges[1:][inside], rel=1e-6, abs=1e-6 * (edges[-1] - edges[0])
    )


@given(priors, probabilities)
def test_a_density_is_that_of_scipy(prior, probability):
    x = prior.quantile(probability)
    x = x[np.isfinite(x)]
    assert prior.log_density(x) == pytest.approx(scipy_prior(prior).logpdf(x), rel=1e-8, abs=1e-8)


@given(priors, probabilities)
def test_nothing_outside_the_support(prior, probability):
    low, high = prior.bounds
    outside = [np.nextafter(low, -np.inf), np.nextafter(high, np.inf), np.nan, np.inf, -np.inf]
    assert (prior.log_density(outside) == -np.inf).all()
    assert (prior.quantile(probability) >= low).all()
    assert (prior.quantile(probability) <= high).all()
    edges = [bound for bound in prior.bounds if np.isfinite(bound)]
    assert np.isfinite(prior.log_density(edges)).all()
    if not isinstance(prior, Normal):
        assert prior.quantile([0, 1]) == pytest.approx(prior.bounds, rel=1e-9, abs=1e-9)


EACH = [
    Uniform(-3, 5), LogUniform(0.1, 300), Normal(10, 20), Normal(10, 20, low=0, high=50),
    Normal(0, 1, low=6), Normal(5, 2, high=-9),
]  # fmt: skip


@pytest.mark.parametrize("prior", EACH, ids=str)
def test_draws_follow_the_density(prior):
    drawn = prior.draw(np.random.default_rng(1), 4000)
    assert drawn.shape == (4000,)
    assert stats.kstest(drawn, scipy_prior(prior).cdf).pvalue > 0.01


@pytest.mark.parametrize("prior", EACH, ids=str)
def test_shapes(prior):
    assert prior.log_density(1.0).shape == prior.quantile(0.5).shape == ()
    assert (
        prior.log_density(np.ones((2, 3))).shape
        == prior.quantile(np.full((2, 3), 0.5)).shape
        == (2, 3)
    )


def test_the_text_of_a_prior():
    text = [str(prior) for prior in EACH]
    assert text == [
        "uniform -3 to 5", "log-uniform 0.1 to 300", "normal 10 ± 20", "normal 10 ± 20, 0 to 50",
        "normal 0 ± 1, above 6", "normal 5 ± 2, below -9",
    ]  # fmt: skip
    assert str(Dirichlet((1, 2.5))) == "Dirichlet 1, 2.5"


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (lambda: Uniform(2, 1), "uniform", (2, 1)),
        (lambda: Uniform(1, 1), "uniform", (1, 1)),
        (lambda: Uniform(0, np.inf), "uniform", (0, np.inf)),
        (lambda: Uniform(-1.5e308, 1.5e308), "uniform", (-1.5e308, 1.5e308)),
        (lambda: Uniform("a", 1), "low", "a"),
        (lambda: Uniform(0, 1 * u.km), "high", 1 * u.km),
        (lambda: LogUniform(0, 1), "loguniform", (0, 1)),
        (lambda: LogUniform(2, 1), "loguniform", (2, 1)),
        (lambda: LogUniform(2, np.inf), "loguniform", (2, np.inf)),
        (lambda: Normal(0, 0), "normal", (0, 0, -np.inf, np.inf)),
        (lambda: Normal(0, -1), "normal", (0, -1, -np.inf, np.inf)),
        (lambda: Normal(0, np.inf), "normal", (0, np.inf, -np.inf, np.inf)),
        (lambda: Normal(np.inf, 1), "normal", (np.inf, 1, -np.inf, np.inf)),
        (lambda: Normal(0, 1, 2, 1), "normal", (0, 1, 2, 1)),
        (lambda: Normal(0, 1, low=1e200), "normal", (0, 1, 1e200, np.inf)),
        (lambda: Dirichlet((1,)), "dirichlet", (1,)),
        (lambda: Dirichlet((1, 0)), "dirichlet", (1, 0)),
        (lambda: Dirichlet((1, np.inf)), "dirichlet", (1, np.inf)),
        (lambda: Dirichlet("ab"), "dirichlet", "ab"),
        (lambda: Dirichlet(3), "dirichlet", 3),
        (lambda: make_prior({"unifrm": [0, 1]}), "unifrm", None),
        (lambda: make_prior({}), None, {}),
        (lambda: make_prior({"uniform": [0, 1], "normal": [0, 1]}), None,
         {"uniform": [0, 1], "normal": [0, 1]}),
        (lambda: make_prior({"uniform": [0, 1], "low": 0}), "low", 0),
        (lambda: make_prior({"uniform": [0]}), "uniform", [0]),
        (lambda: make_prior({"uniform": "01"}), "uniform", "01"),
        (lambda: make_prior({"uniform": 1}), "uniform", 1),
    ],
)  # fmt: skip
def test_refusals(make, name, value):
    with pytest.raises(InvalidInput) as refused:
        make()
    assert (refused.value.name, refused.value.value) == (name, value)
    assert "\n" not in str(refused.value)


def test_nan_is_refused():
    for make in (lambda: Uniform(np.nan, 1), lambda: Dirichlet((1, np.nan))):
        with pytest.raises(InvalidInput):
            make()


def test_priors_from_a_job_file():
    assert make_prior({"uniform": (4000, 7000)}) == Uniform(4000, 7000)
    assert make_prior({"loguniform": [1, 50]}) == LogUniform(1, 50)
    assert make_prior({"normal": [1, 2], "low": 0, "high": 3}) == Normal(1, 2, 0, 3)


# The fractions of all components.

alphas = st.lists(st.floats(0.1, 5), min_size=2, max_size=4).map(tuple)


@given(alphas, st.integers(0, 2**32 - 1))
def test_dirichlet_is_that_of_scipy(alpha, seed):
    every = np.random.default_rng(seed).dirichlet(np.ones(len(alpha)), 5)
    expected = [stats.dirichlet(alpha).logpdf(row) for row in every]
    assert Dirichlet(alpha).log_density(every[:, 1:]) == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("alpha", [(1, 1), (2, 3.5), (1, 1, 1), (2, 1, 3.5), (4, 2.5, 1)])
def test_dirichlet_is_normalised(alpha):
    nodes, weights = np.polynomial.legendre.leggauss(200)
    x, w = (nodes + 1) / 2, weights / 2
    if len(alpha) == 2:
        integral = w @ np.exp(Dirichlet(alpha).log_density(x[:, None]))
    else:  # c_2 from 0 to 1, c_3 from 0 to what c_2 leaves
        c_2, fraction = np.meshgrid(x, x, indexing="ij")
        c = np.stack([c_2, fraction * (1 - c_2)], axis=-1).reshape(-1, 2)
        integral = w @ (np.exp(Dirichlet(alpha).log_density(c)).reshape(200, 200) * (1 - c_2)) @ w
    assert integral == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("alpha", [(1, 1), (0.5, 3), (1, 2, 4), (0.5, 1.5, 1, 3)])
def test_draws_follow_the_dirichlet_density(alpha):
    """Each fraction, that of component 1 too, and each sum of two has a beta density."""
    c = Dirichlet(alpha).draw(np.random.default_rng(3), 4000)
    assert c.shape == (4000, len(alpha) - 1)
    every = np.column_stack([1 - c.sum(axis=1), c])
    for k, a in enumerate(alpha):
        assert stats.kstest(every[:, k], stats.beta(a, sum(alpha) - a).cdf).pvalue > 0.01
        both = a + alpha[k - 1]
        if len(alpha) > 2:
            sums = every[:, k] + every[:, k - 1]
            assert stats.kstest(sums, stats.beta(both, sum(alpha) - both).cdf).pvalue > 0.01


@given(alphas, st.data())
def test_dirichlet_quantiles_are_fractions(alpha, data):
    size, probability = len(alpha) - 1, st.just(0.0) | st.floats(1e-16, 1)
    unit = np.array([data.draw(st.lists(probability, min_size=size, max_size=size))])
    c = Dirichlet(alpha).quantile(unit)
    assert (c >= 0).all()
    assert c.sum() <= 1 + 1e-14
    used = 0.0  # each fraction has a beta density in the remainder
    for k in range(size):
        remainder = 1 - used
        if remainder < 1e-3:
            break
        beta = stats.beta(alpha[k + 1], alpha[0] + sum(alpha[k + 2 :]))
        assert c[0, k] / remainder == pytest.approx(beta.ppf(unit[0, k]), abs=1e-9)
        used += c[0, k]


def test_dirichlet_quantiles_of_tiny_probabilities():
    assert Dirichlet((3.6, 4.6)).quantile([[0.0], [5e-324], [1e-300]]).tolist() == [[0]] * 3


def test_dirichlet_outside():
    wrong = [[-0.1, 0.5], [0.6, 0.5], [np.nan, 0.1], [0.1, np.inf], [np.inf, -np.inf], [1.1, 0]]
    assert (Dirichlet((1, 1, 1)).log_density(wrong) == -np.inf).all()
    edges = [[0, 0], [1, 0], [0.5, 0.5]]
    assert Dirichlet((1, 1, 1)).log_density(edges) == pytest.approx(np.log(2))
    assert (Dirichlet((0.5, 0.5, 0.5)).log_density(edges) == -np.inf).all()  # where it is infinite
    assert (Dirichlet((2, 2, 2)).log_density(edges) == -np.inf).all()  # where it is 0
