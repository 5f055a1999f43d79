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

    The error has R columns E with weights ``w = z @ common + y @ own``. With the covariance K of
    the data given w, and the residual r: ``b = Eᵀ K⁻¹ r`` and ``G = Eᵀ K⁻¹ E``.

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
    common : (n, Z, R) array
    own : (n, Y, R) array
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
        b = np.concatenate([epoch.projection for epoch in epochs], axis=1)[:, :, None]
        g = _block_diagonal([epoch.precision for epoch in epochs])
        of_own = own @ g
        root, half, log_evidence = _integrate(of_own @ own.transpose(0, 2, 1), own @ b)
        across = np.linalg.solve(root, of_own)
        b = b - across.transpose(0, 2, 1) @ half
        g = g - across.transpose(0, 2, 1) @ across
        return cls(likelihood + log_evidence, common @ b, common @ g @ common.transpose(0, 2, 1))

    def __add__(self, other: _Evidence) -> _Evidence:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Evidence(*(one + another for one, another in pairs))

    def __sub__(self, other: _Evidence) -> _Evidence:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Evidence(*(one - another for one, another in pairs))

    def total(self) -> Floats:
        """Integrate over z: ln of the likelihood, (n,)."""
        _, _, log_evidence = _integrate(self.precision, self.projection)
        return self.likelihood + log_evidence


def _integrate(precision: Floats, projection: Floats) -> tuple[Floats, Floats, Floats]:
    """Integrate ``exp(bᵀ x - xᵀ G x / 2)`` over standard normal variables x.

    Returns the Cholesky factor L of 1 + G, ``L⁻¹ b``, and
    ``- 1/2 ln det(1 + G) + 1/2 bᵀ (1 + G)⁻¹ b``.
    """
    n, size = precision.shape[:2]
    bordered = np.empty((n, size + 1, size + 1))  # its last row becomes L⁻¹ b
    bordered[:, :size, :size] = precision
    bordered[:, range(size), range(size)] += 1.0
    bordered[:, size, :size] = projection[:, :, 0]
    bordered[:, size, size] = 1.0 + (projection**2).sum(axis=(1, 2))
    factor = np.linalg.cholesky(bordered)  # reads the lower triangle only
    root, half = factor[:, :size, :size], factor[:, size, :size, None]
    log_det = 2 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    return root, half, 0.5 * ((half**2).sum(axis=(1, 2)) - log_det)


def _block_diagonal(blocks: Sequence[Floats]) -> Floats:
    """Arrange matrices (n, r, r) of the epochs of an order along the diagonal."""
    if len(blocks) == 1:
        return blocks[0]
    ends = np.cumsum([block.shape[1] for block in blocks])
    joined = np.zeros((len(blocks[0]), ends[-1], ends[-1]))
    for block, end in zip(blocks, ends, strict=True):
        start = end - block.shape[1]
        joined[:, start:end, start:end] = block
    return joined


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
        expanded = np.zeros((n, size, term.common.shape[2]))
        expanded[:, :n_common] = term.common
        expanded[:, start : start + term.own.shape[1]] = term.own
        directions.append(expanded)
        b += expanded @ term.projection[:, :, None]
        g += expanded @ term.precision @ expanded.transpose(0, 2, 1)
    variables = np.linalg.solve(np.eye(size) + g, b)
    return [(expanded.transpose(0, 2, 1) @ variables)[:, :, 0] for expanded in directions]
