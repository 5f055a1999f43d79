"""The orders together, with the errors that they share, against one dense covariance matrix."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import block_diag
from scipy.stats import multivariate_normal

from mixjobs.inference.coupling import OrderTerms, concatenate, couple, most_probable_weights


@dataclass
class Data:
    """The data of one order of one epoch: residual, covariance, and the columns of their error."""

    number: int
    residual: np.ndarray
    covariance: np.ndarray
    columns: np.ndarray
    common: np.ndarray
    own: np.ndarray

    @property
    def by_variable(self):
        """The change of the data with each z, and with each y."""
        n_common = self.common.shape[1]
        return self.columns[:, :n_common] @ self.common.T, self.columns[:, n_common:] @ self.own.T

    def terms(self):
        likelihood = multivariate_normal(cov=self.covariance).logpdf(self.residual)
        right = np.column_stack([self.residual, self.columns])
        solved = np.linalg.solve(self.covariance, right)
        return OrderTerms(
            self.number, np.array([likelihood]), (self.columns.T @ solved[:, 0])[None],
            (self.columns.T @ solved[:, 1:])[None], self.common[None], self.own[None],
        )  # fmt: skip


def some_data(seed, numbers, n_common, n_own, strength=1.0):
    rng = np.random.default_rng(seed)
    data = []
    for number in numbers:
        n_pixels, *ranks = rng.integers(4, 9), *rng.integers(0, 4, 2)
        noise = rng.normal(size=(n_pixels, n_pixels))
        data.append(
            Data(
                number, rng.normal(size=n_pixels), noise @ noise.T + np.eye(n_pixels),
                strength * rng.normal(size=(n_pixels, sum(ranks))),
                rng.normal(size=(n_common, ranks[0])), rng.normal(size=(n_own, ranks[1])),
            )
        )  # fmt: skip
    return data


def dense(data):
    """Residuals and their covariance, with all errors as one matrix of columns."""
    numbers = sorted({d.number for d in data})
    n_own = len(data[0].own)
    rows = []
    for d in data:
        of_order = [n_own * [0.0] if number != d.number else None for number in numbers]
        blocks = [
            d.by_variable[1] if block is None else np.zeros((len(d.residual), n_own))
            for block in of_order
        ]
        rows.append(np.hstack([d.by_variable[0], *blocks]))
    x = np.vstack(rows)
    return np.concatenate([d.residual for d in data]), block_diag(*(d.covariance for d in data)), x


def log_density(data):
    if not data:
        return 0.0
    residual, covariance, x = dense(data)
    return multivariate_normal(cov=covariance + x @ x.T).logpdf(residual)


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.integers(0, 5),
    st.integers(0, 3),
    st.sampled_from([1e-3, 1.0, 1e2]),
)
def test_the_total_and_what_each_term_adds(seed, numbers, n_common, n_own, strength):
    """Orders repeat: several epochs of one order share its own error too."""
    data = some_data(seed, numbers, n_common, n_own, strength)
    coupled = couple([d.terms() for d in data])
    total = log_density(data)
    assert coupled.total[0] == pytest.approx(total, rel=1e-8, abs=1e-8)
    for m in range(len(data)):
        others = log_density([*data[:m], *data[m + 1 :]])
        assert coupled.predictive[0, m] == pytest.approx(total - others, rel=1e-6, abs=1e-6)


def test_the_most_probable_weights_are_those_of_ridge_regression():
    data = some_data(5, [3, 1, 3], 4, 2)
    residual, covariance, x = dense(data)
    inverse = np.linalg.inv(covariance)
    variables = np.linalg.solve(np.eye(x.shape[1]) + x.T @ inverse @ x, x.T @ inverse @ residual)
    z, y = variables[:4], {1: variables[4:6], 3: variables[6:8]}
    weights = most_probable_weights([d.terms() for d in data])
    for d, w in zip(data, weights, strict=True):
        expected = np.concatenate([z @ d.common, y[d.number] @ d.own])
        np.testing.assert_allclose(w[0], expected, rtol=1e-8)


def test_without_errors_the_orders_are_independent():
    data = some_data(3, [1, 2, 3], 0, 0)
    terms = [d.terms() for d in data]
    coupled = couple(terms)
    own = np.array([term.likelihood[0] for term in terms])
    np.testing.assert_allclose(coupled.predictive[0], own, rtol=1e-14)
    assert coupled.total[0] == pytest.approx(own.sum(), rel=1e-14)


def test_a_sample_outside_the_model_does_not_affect_the_others():
    data, terms = some_data(7, [1, 2], 3, 1), []
    for d in data:
        good = d.terms()
        _, _, *arrays = vars(good).values()
        zero = [np.zeros_like(array) for array in arrays]
        terms.append(concatenate([good, OrderTerms(d.number, np.array([-np.inf]), *zero)]))
    coupled = couple(terms)
    assert coupled.total[0] == pytest.approx(log_density(data), rel=1e-10)
    assert coupled.total[1] == -np.inf
    assert (coupled.predictive[1] == -np.inf).all()


def test_the_sequence_of_the_orders_does_not_matter_to_the_bits():
    terms = [d.terms() for d in some_data(9, [4, 1, 3], 3, 1)]
    total = couple(terms).total
    assert (couple(terms[::-1]).total == total).all()
