"""Invariants of the ratio table, for any positive mean fluxes."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mixjobs.model.flux_ratio import flux_ratio_rows

EPS = np.finfo(float).eps
MEANS = st.integers(1, 12).flatmap(lambda n: arrays(float, n, elements=st.floats(1e-50, 1e50)))


def test_direction_is_component_two_over_component_one():
    table = flux_ratio_rows(np.array([[1.0, 4.0], [5.0, 1.0]]), 0, 2)
    assert table.shape == (2, 2, 2)
    assert table[0, 0, 1] == 4.0  # order 0, component 1 at point 0, component 2 at point 1
    assert table[1, 0, 1] == 0.2


@given(MEANS)
def test_invariants(mean):
    q = flux_ratio_rows(mean, 0, len(mean))
    assert (np.diagonal(q) == 1).all()
    np.testing.assert_allclose(q * q.T, 1, rtol=2 * EPS)
    chain = q[:, :, None] * q[None, :, :]  # q_ij q_jk
    np.testing.assert_allclose(chain, np.broadcast_to(q[:, None, :], chain.shape), rtol=4 * EPS)
    for i in range(len(mean)):
        for j in range(len(mean)):
            assert q[i, j] == float(mean[j]) / float(mean[i])


@given(MEANS, st.lists(st.integers(0, 12), max_size=4))
def test_any_split_into_rows_gives_the_same_bits(mean, cuts):
    n = len(mean)
    edges = sorted({0, n, *(c for c in cuts if c < n)})
    parts = [flux_ratio_rows(mean, a, b) for a, b in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts), flux_ratio_rows(mean, 0, n))


def test_orders_together_or_one_by_one():
    mean = np.random.default_rng(3).lognormal(size=(4, 9))
    together = flux_ratio_rows(mean, 2, 5)
    assert together.shape == (4, 3, 9)
    for m in range(4):
        np.testing.assert_array_equal(together[m], flux_ratio_rows(mean[m], 2, 5))
