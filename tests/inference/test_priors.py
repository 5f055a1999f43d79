"""Priors: each density is normalised, and its draws, quantiles and support are its own."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from mixjobs.errors import InvalidInput
from mixjobs.inference.priors import Dirichlet, LogUniform, Normal, Uniform, make_prior

finite = st.floats(-1e4, 1e4)
widths = st.floats(1e-3, 1e4)
shares = st.lists(st.floats(0, 1), min_size=1, max_size=5).map(np.array)
uniforms = st.builds(lambda low, width: Uniform(low, low + width), finite, widths)
loguniforms = st.builds(
    lambda low, ratio: LogUniform(low, low * ratio), st.floats(1e-6, 1e3), st.floats(1.01, 1e6)
)


@st.composite
def normals(draw):
    """Bounds, if any, in standard deviations: up to ten from the mean, on one side too."""
    mean, sd = draw(finite), draw(widths)
    ends = st.none() | st.floats(-10, 10)
    low, high = draw(ends), draw(ends)
    low, high = (-np.inf if low is None else low), (np.inf if high is None else high)
    if high - low < 0.1:
        low, high = (low, low + 0.1) if draw(st.booleans()) else (low, np.inf)
    return Normal(mean, sd, mean + low * sd, mean + high * sd)


priors = uniforms | loguniforms | normals()


def peer(prior):
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
    return edges, np.cumsum(np.exp(prior.log(x)) @ weights * half)


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


@given(priors, shares)
def test_a_density_is_that_of_scipy(prior, u):
    x = prior.quantile(u)
    x = x[np.isfinite(x)]
    assert prior.log(x) == pytest.approx(peer(prior).logpdf(x), rel=1e-8, abs=1e-8)


@given(priors, shares)
def test_nothing_outside_the_support(prior, u):
    low, high = prior.bounds
    outside = [np.nextafter(low, -np.inf), np.nextafter(high, np.inf), np.nan, np.inf, -np.inf]
    assert (prior.log(outside) == -np.inf).all()
    assert (prior.quantile(u) >= low).all()
    assert (prior.quantile(u) <= high).all()
    edges = [bound for bound in prior.bounds if np.isfinite(bound)]
    assert np.isfinite(prior.log(edges)).all()
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
    assert stats.kstest(drawn, peer(prior).cdf).pvalue > 0.01


@pytest.mark.parametrize("prior", EACH, ids=str)
def test_shapes(prior):
    assert prior.log(1.0).shape == prior.quantile(0.5).shape == ()
    assert prior.log(np.ones((2, 3))).shape == prior.quantile(np.full((2, 3), 0.5)).shape == (2, 3)


def test_the_words_of_a_table():
    said = [str(prior) for prior in EACH]
    assert said == [
        "uniform -3 to 5", "log-uniform 0.1 to 300", "normal 10 ± 20", "normal 10 ± 20, 0 to 50",
        "normal 0 ± 1, above 6", "normal 5 ± 2, below -9",
    ]  # fmt: skip
    assert str(Dirichlet((1, 2.5))) == "Dirichlet 1, 2.5"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(2, 1), r"uniform \(2, 1\): expected two finite bounds, the lower first"),
        (lambda: Uniform(1, 1), r"uniform \(1, 1\): expected two finite bounds"),
        (lambda: Uniform(0, np.inf), r"uniform \(0, inf\): expected two finite bounds"),
        (lambda: Uniform(-1.5e308, 1.5e308), "expected two finite bounds"),
        (lambda: Uniform(np.nan, 1), "uniform with low nan; expected a number"),
        (lambda: Uniform("a", 1), "uniform with low 'a'; expected a number"),
        (lambda: LogUniform(0, 1), r"loguniform \(0, 1\): expected two positive finite bounds"),
        (lambda: LogUniform(2, 1), r"loguniform \(2, 1\): expected two positive"),
        (lambda: LogUniform(2, np.inf), "expected two positive finite bounds"),
        (lambda: Normal(0, 0), r"normal \(0, 0, -inf, inf\): expected a finite mean, and a posit"),
        (lambda: Normal(0, -1), "expected a finite mean, and a positive"),
        (lambda: Normal(0, np.inf), "expected a finite mean, and a positive"),
        (lambda: Normal(np.inf, 1), "expected a finite mean, and a positive"),
        (lambda: Normal(0, 1, 2, 1), r"normal \(0, 1, 2, 1\): expected low below high"),
        (lambda: Normal(0, 1, low=1e200), "expected bounds with some probability between them"),
        (lambda: Dirichlet((1,)), r"dirichlet \(1,\): expected a positive number for each comp"),
        (lambda: Dirichlet((1, 0)), r"dirichlet \(1, 0\): expected a positive number"),
        (lambda: Dirichlet((1, np.nan)), "expected a positive number for each"),
        (lambda: Dirichlet("ab"), "dirichlet 'ab': expected a positive number for each"),
        (lambda: Dirichlet(3), "dirichlet 3: expected a positive number for each"),
        (lambda: make_prior({"unifrm": [0, 1]}), r"unknown prior 'unifrm'; did you mean uniform\?"),
        (lambda: make_prior({}), "0 priors were given; expected one of uniform, normal"),
        (lambda: make_prior({"uniform": [0, 1], "normal": [0, 1]}), "2 priors were given"),
        (lambda: make_prior({"uniform": [0, 1], "low": 0}), "low goes with normal; uniform has"),
        (lambda: make_prior({"uniform": [0]}), r"uniform = \[0\]; expected two numbers"),
        (lambda: make_prior({"uniform": "01"}), "uniform = '01'; expected two numbers"),
        (lambda: make_prior({"uniform": 1}), "uniform = 1; expected two numbers"),
    ],
)  # fmt: skip
def test_refusals(make, message):
    with pytest.raises(InvalidInput, match=message) as error:
        make()
    assert "\n" not in str(error.value)


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
    assert Dirichlet(alpha).log(every[:, 1:]) == pytest.approx(expected, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("alpha", [(1, 1), (2, 3.5), (1, 1, 1), (2, 1, 3.5), (4, 2.5, 1)])
def test_dirichlet_is_normalised(alpha):
    nodes, weights = np.polynomial.legendre.leggauss(200)
    x, w = (nodes + 1) / 2, weights / 2
    if len(alpha) == 2:
        integral = w @ np.exp(Dirichlet(alpha).log(x[:, None]))
    else:  # c_2 from 0 to 1, c_3 from 0 to what c_2 leaves
        c_2, share = np.meshgrid(x, x, indexing="ij")
        c = np.stack([c_2, share * (1 - c_2)], axis=-1).reshape(-1, 2)
        integral = w @ (np.exp(Dirichlet(alpha).log(c)).reshape(200, 200) * (1 - c_2)) @ w
    assert integral == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("alpha", [(1, 1), (0.5, 3), (1, 2, 4), (0.5, 1.5, 1, 3)])
def test_draws_follow_dirichlet(alpha):
    """Each fraction, that of component 1 too, and each sum of two has a beta density."""
    c = Dirichlet(alpha).draw(np.random.default_rng(3), 4000)
    assert c.shape == (4000, len(alpha) - 1)
    every = np.column_stack([1 - c.sum(axis=1), c])
    for k, a in enumerate(alpha):
        assert stats.kstest(every[:, k], stats.beta(a, sum(alpha) - a).cdf).pvalue > 0.01
        both = a + alpha[k - 1]
        if len(alpha) > 2:
            found = every[:, k] + every[:, k - 1]
            assert stats.kstest(found, stats.beta(both, sum(alpha) - both).cdf).pvalue > 0.01


@given(alphas, st.data())
def test_dirichlet_quantiles_are_fractions(alpha, data):
    size, share = len(alpha) - 1, st.just(0.0) | st.floats(1e-16, 1)
    u = np.array([data.draw(st.lists(share, min_size=size, max_size=size))])
    c = Dirichlet(alpha).quantile(u)
    assert (c >= 0).all()
    assert c.sum() <= 1 + 1e-14
    given_before = 0.0  # each follows a beta density in what those before it have left
    for k in range(size):
        left = 1 - given_before
        if left < 1e-3:
            break
        beta = stats.beta(alpha[k + 1], alpha[0] + sum(alpha[k + 2 :]))
        assert c[0, k] / left == pytest.approx(beta.ppf(u[0, k]), abs=1e-9)
        given_before += c[0, k]


def test_dirichlet_quantiles_of_next_to_nothing():
    assert Dirichlet((3.6, 4.6)).quantile([[0.0], [5e-324], [1e-300]]).tolist() == [[0]] * 3


def test_dirichlet_outside():
    wrong = [[-0.1, 0.5], [0.6, 0.5], [np.nan, 0.1], [0.1, np.inf], [np.inf, -np.inf], [1.1, 0]]
    assert (Dirichlet((1, 1, 1)).log(wrong) == -np.inf).all()
    edges = [[0, 0], [1, 0], [0.5, 0.5]]
    assert Dirichlet((1, 1, 1)).log(edges) == pytest.approx(np.log(2))
    assert (Dirichlet((0.5, 0.5, 0.5)).log(edges) == -np.inf).all()  # where it is infinite
    assert (Dirichlet((2, 2, 2)).log(edges) == -np.inf).all()  # where it is 0
