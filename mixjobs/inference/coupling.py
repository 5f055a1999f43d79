"""The likelihood of all orders together, which share the interpolation error.

The error of the spectrum is linear in standard normal variables: z, which all orders and epochs
share, and y, which belong to one order in all its epochs. Each order of each epoch is reduced to
small terms. They are added up over the epochs of an order, y is integrated out, and one small
system at the end combines the orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixjobs.typing import Floats


@dataclass(frozen=True, eq=False)
class OrderTerms:
    """What the data of one order of one epoch say about n samples, and about their error.

    The error has R columns E, whose weights w are ``z @ common``, followed by ``y @ own``. With the
    covariance K of the data given w, and the residual r: ``b = Eᵀ K⁻¹ r`` and ``G = Eᵀ K⁻¹ E``.

    Attributes
    ----------
    number : int
        Order number.
    likelihood : (n,) array
        ln of the likelihood at w = 0; -inf where the model is not defined.
    projection : (n, R) array
        b.
    precision : (n, R, R) array
        G.
    common : (n, Z, C) array
    own : (n, Y, R - C) array
    """

    number: int
    likelihood: Floats
    projection: Floats
    precision: Floats
    common: Floats
    own: Floats


def concatenate(batches: Sequence[OrderTerms]) -> OrderTerms:
    """Join the terms of one order at successive samples."""
    arrays = [list(vars(batch).values())[1:] for batch in batches]
    joined = (np.concatenate(parts) for parts in zip(*arrays, strict=True))
    return OrderTerms(batches[0].number, *joined)


@dataclass(frozen=True, eq=False)
class _Evidence:
    """The terms of some data in the variables z: ln of the likelihood at z = 0, b and G."""

    likelihood: Floats
    projection: Floats
    precision: Floats

    @classmethod
    def of_order(cls, epochs: Sequence[OrderTerms]) -> _Evidence:
        """Add up the epochs of an order, and integrate over its own variables y.

        Integrating over y leaves, for the weights of all epochs together, the Schur complement of
        the precision of y (Rasmussen & Williams 2006, equations A.9 to A.12).
        """
        likelihood = np.zeros(len(epochs[0].likelihood))
        for epoch in epochs:
            likelihood += np.where(np.isfinite(epoch.likelihood), epoch.likelihood, 0.0)
        common = np.concatenate([epoch.common for epoch in epochs], axis=2)
        own = np.concatenate([epoch.own for epoch in epochs], axis=2)
        b, g = _together(epochs)
        n_common, n_own = common.shape[2], own.shape[1]
        # The rows are y, the weights of the common columns, and b; see `_factored`.
        of_own = own @ g[:, n_common:]
        matrix = np.empty((len(g), n_own + n_common + 1, n_own + n_common + 1))
        matrix[:, :n_own, :n_own] = of_own[:, :, n_common:] @ own.transpose(0, 2, 1)
        matrix[:, n_own:-1, :n_own] = of_own[:, :, :n_common].transpose(0, 2, 1)
        matrix[:, n_own:-1, n_own:-1] = g[:, :n_common, :n_common]
        matrix[:, -1, :n_own] = np.matmul(own, b[:, n_common:, None])[:, :, 0]
        matrix[:, -1, n_own:-1] = b[:, :n_common]
        factor = _factored(matrix)
        across, half = factor[:, n_own:-1, :n_own], factor[:, -1, :n_own, None]
        b = b[:, :n_common, None] - across @ half
        g = g[:, :n_common, :n_common] - across @ across.transpose(0, 2, 1)
        log_evidence = 0.5 * (half**2).sum(axis=(1, 2)) - _half_log_det(factor, n_own)
        return cls(likelihood + log_evidence, common @ b, common @ g @ common.transpose(0, 2, 1))

    def __add__(self, other: _Evidence) -> _Evidence:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Evidence(*(one + another for one, another in pairs))

    def __sub__(self, other: _Evidence) -> _Evidence:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Evidence(*(one - another for one, another in pairs))

    def total(self) -> Floats:
        """Integrate over z: ln of the likelihood, (n,)."""
        n, size = self.precision.shape[:2]
        matrix = np.empty((n, size + 1, size + 1))
        matrix[:, :size, :size] = self.precision
        matrix[:, size, :size] = self.projection[:, :, 0]
        factor = _factored(matrix)
        square: Floats = (factor[:, size, :size] ** 2).sum(axis=1)
        return self.likelihood + 0.5 * square - _half_log_det(factor, size)


def _factored(matrix: Floats) -> Floats:
    """Decompose ``[[1 + G, b], [bᵀ, 1 + bᵀ b]]`` by Cholesky, given G and b in its lower triangle.

    The last row of the factor begins with ``L⁻¹ b``, where L is the factor of 1 + G. With standard
    normal variables x, the integral of ``exp(bᵀ x - xᵀ G x / 2)`` has the logarithm
    ``1/2 |L⁻¹ b|² - ln det L``. The integral over the first few of x alone, the others being 0, is
    that of the corresponding rows and columns.
    """
    size = matrix.shape[1] - 1
    matrix[:, range(size), range(size)] += 1.0
    matrix[:, size, size] = 1.0 + (matrix[:, size, :size] ** 2).sum(axis=1)
    factor = np.linalg.cholesky(matrix)  # reads the lower triangle only
    return factor.astype(np.float64, copy=False)


def _half_log_det(factor: Floats, size: int) -> Floats:
    """Return ln det of the first rows and columns of Cholesky factors: (n,)."""
    diagonal = np.diagonal(factor, axis1=1, axis2=2)[:, :size]
    return np.asarray(np.log(diagonal).sum(axis=1))


def _together(epochs: Sequence[OrderTerms]) -> tuple[Floats, Floats]:
    """Combine b (n, R) and G (n, R, R) of the epochs of an order; the common columns come first."""
    if len(epochs) == 1:
        return epochs[0].projection, epochs[0].precision
    parts = [np.arange(epoch.precision.shape[1]) < epoch.common.shape[2] for epoch in epochs]
    is_common = np.concatenate(parts)
    sequence = np.argsort(~is_common, kind="stable")
    b = np.concatenate([epoch.projection for epoch in epochs], axis=1)
    g = np.zeros((len(b), len(is_common), len(is_common)))
    start = 0
    for epoch in epochs:
        stop = start + epoch.precision.shape[1]
        g[:, start:stop, start:stop] = epoch.precision
        start = stop
    return b[:, sequence], g[:, sequence][:, :, sequence]


@dataclass(frozen=True, eq=False)
class Coupled:
    """The likelihood of all orders together at n samples; made by `couple`.

    Attributes
    ----------
    total : (n,) array
        ln of the likelihood of all data.
    predictive : (n, M) array
        ln of the density of the data of each term, given all other data; NaN if they were not
        asked for. They do not add up to the total.
    """

    total: Floats
    predictive: Floats


def couple(terms: Sequence[OrderTerms], predictive: bool = True) -> Coupled:
    """Integrate over the errors that the orders share.

    ``ln L = sum ln L_m - 1/2 ln det(1 + sum G_m) + 1/2 (sum b_m)ᵀ (1 + sum G_m)⁻¹ (sum b_m)``
    (Rasmussen & Williams 2006, section 2.7, with z as the weights). The sums run over the orders in
    the sequence of their numbers, so that the result does not depend on where they were computed.

    Parameters
    ----------
    terms : sequence of M OrderTerms
        Of the same n samples.
    predictive : bool
        Whether to evaluate the predictive densities, which take M times as long as the total.
    """
    evidence = {number: _Evidence.of_order(epochs) for number, epochs in _by_order(terms)}
    first, *rest = evidence.values()
    everything = sum(rest, first)
    total = everything.total()
    densities = np.full((len(total), len(terms)), np.nan)
    for m, term in enumerate(terms if predictive else []):
        others = everything - evidence[term.number]
        other_epochs = [t for t in terms if t.number == term.number and t is not term]
        if other_epochs:
            others = others + _Evidence.of_order(other_epochs)
        densities[:, m] = total - others.total()
    valid = np.isfinite([term.likelihood for term in terms]).all(axis=0)
    total[~valid], densities[~valid] = -np.inf, -np.inf
    return Coupled(total, densities)


def _by_order(terms: Sequence[OrderTerms]) -> list[tuple[int, list[OrderTerms]]]:
    numbers = sorted({term.number for term in terms})
    return [(number, [t for t in terms if t.number == number]) for number in numbers]


def most_probable_error(terms: Sequence[OrderTerms]) -> Floats:
    """Return the most probable z (n, Z), the error that the orders share, given all data."""
    first, *rest = (_Evidence.of_order(epochs) for _, epochs in _by_order(terms))
    everything = sum(rest, first)
    precision: Floats = np.eye(everything.precision.shape[1]) + everything.precision
    return np.linalg.solve(precision, everything.projection)[:, :, 0].astype(np.float64)


def most_probable_weights(terms: Sequence[OrderTerms]) -> list[Floats]:
    """Return the most probable weights (n, R) of each order's error columns, given all data."""
    n, n_common = terms[0].common.shape[:2]
    first_own, size = {}, n_common
    for number, epochs in _by_order(terms):
        first_own[number] = size
        size += epochs[0].own.shape[1]
    b, g, directions = np.zeros((n, size, 1)), np.zeros((n, size, size)), []
    for term in terms:
        start = first_own[term.number]
        expanded = np.zeros((n, size, term.precision.shape[1]))
        n_columns = term.common.shape[2]
        expanded[:, :n_common, :n_columns] = term.common
        expanded[:, start : start + term.own.shape[1], n_columns:] = term.own
        directions.append(expanded)
        b += expanded @ term.projection[:, :, None]
        g += expanded @ term.precision @ expanded.transpose(0, 2, 1)
    variables = np.linalg.solve(np.eye(size) + g, b)
    return [(expanded.transpose(0, 2, 1) @ variables)[:, :, 0] for expanded in directions]
