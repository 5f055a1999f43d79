"""The noise of an order: scaled variances, and Matern-3/2 in velocity, in O(n)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from celerite2 import driver
from celerite2.terms import Matern32Term

from mixjobs.typing import Floats

Row = tuple[Floats, Floats, Floats]

_EPSILON = 1e-5  # of the Matern term: 5e-12 of ln L (0.01, the default, costs 7e-6)


@dataclass(frozen=True, eq=False)
class NoiseRows:
    """The noise's parameters for some rows: (n,) arrays.

    Attributes
    ----------
    ln_noise : (n,) array
        ln of the factor of all variances.
    amplitude : (n,) array
        Standard deviation of the correlated noise, over the continuum; 0 for none.
    length : (n,) array
        Its length, km/s.
    """

    ln_noise: Floats
    amplitude: Floats
    length: Floats

    @classmethod
    def of(cls, ln_noise: Floats, log_amplitude: Floats, log_length: Floats) -> NoiseRows:
        """Read the parameters as they are sampled: ln, and log10 of amplitude and km/s."""
        return cls(ln_noise, 10.0**log_amplitude, 10.0**log_length)

    def take(self, here: slice) -> NoiseRows:
        """Return some of the rows."""
        return NoiseRows(self.ln_noise[here], self.amplitude[here], self.length[here])

    @property
    def is_diagonal(self) -> bool:
        """Whether no row has correlated noise."""
        return not self.amplitude.any()

    @property
    def is_one(self) -> bool:
        """Whether all rows have the same noise."""
        every = np.stack([self.ln_noise, self.amplitude, self.length])
        return bool((every == every[:, :1]).all())


@dataclass(frozen=True, eq=False)
class Whitener:
    """The inverse of a root of the noise's covariance; made by `whitener`.

    Attributes
    ----------
    velocity : (n_pixels,) array
    factors : list of (c, u, w)
        celerite's, of each row, or one for all rows; empty where the noise is diagonal.
    inverse_root : (n, n_pixels) or (1, n_pixels) array
        Of the diagonal factor.
    log_det : (n,) array
        ln of the covariance's determinant.
    """

    velocity: Floats
    factors: Sequence[Row]
    inverse_root: Floats
    log_det: Floats

    def __call__(self, columns: Floats) -> Floats:
        """Multiply columns (n, m, n_pixels); return an array of their shape."""
        if not self.factors:
            return columns * self.inverse_root[:, None]
        groups = columns.reshape(len(self.factors), -1, len(self.velocity))
        white = np.empty(groups.shape)
        for i, (c, u, w) in enumerate(self.factors):
            column = np.array(groups[i].T, order="C")
            driver.solve_lower(self.velocity, c, u, w, column, column)
            np.multiply(column.T, self.inverse_root[i], out=white[i])
        return white.reshape(columns.shape)


def whitener(noise: NoiseRows, velocity: Floats, sigma: Floats) -> Whitener:
    """Factorise the noise's covariance, once for rows that are all alike.

    The covariance is ``exp(ln_noise) diag(sigma²) + a² (1 + x) exp(-x)``, ``x = sqrt(3) |v|/l``
    (Rasmussen & Williams 2006, equation 4.17); its factors are those of celerite
    (Foreman-Mackey et al. 2017, AJ 154, 220; Foreman-Mackey 2018, RNAAS 2, 31).

    Parameters
    ----------
    noise : NoiseRows
        Of n rows.
    velocity, sigma : (n_pixels,) arrays
        Ascending; and the standard errors.
    """
    variance = np.exp(noise.ln_noise)[:, None] * sigma**2
    if noise.is_diagonal:
        return Whitener(velocity, [], 1 / np.sqrt(variance), np.log(variance).sum(axis=1))
    n_factors = 1 if noise.is_one else len(variance)
    factors, diagonal = [], np.empty((n_factors, len(sigma)))
    for i in range(n_factors):
        row, diagonal[i] = _factors(noise, i, velocity, variance[i])
        factors.append(row)
    log_det = np.broadcast_to(np.log(diagonal).sum(axis=1), len(variance))
    return Whitener(velocity, factors, 1 / np.sqrt(diagonal), log_det)


def _factors(noise: NoiseRows, row: int, velocity: Floats, variance: Floats) -> tuple[Row, Floats]:
    """Return celerite's factors of one row, and the diagonal one (n_pixels,)."""
    term = Matern32Term(sigma=noise.amplitude[row], rho=noise.length[row], eps=_EPSILON)
    c, a, u, v = term.get_celerite_matrices(velocity, variance)
    diagonal, w = driver.factor(velocity, c, a, u, v, a, v.copy())
    return (c, u, w), diagonal


def correlated_part(noise: NoiseRows, velocity: Floats, sigma: Floats, residual: Floats) -> Floats:
    """Return what the correlated noise of one row absorbs of residuals (n_pixels,).

    Its conditional mean, ``K N⁻¹ r = r - D N⁻¹ r`` with ``N = K + D`` (Rasmussen & Williams 2006,
    equation 2.23), K the Matern term and D the diagonal.

    Parameters
    ----------
    noise : NoiseRows
        Of one row.
    velocity, sigma, residual : (n_pixels,) arrays
    """
    if noise.is_diagonal:
        return np.zeros_like(residual)
    variance = np.exp(noise.ln_noise[0]) * sigma**2
    (c, u, w), diagonal = _factors(noise, 0, velocity, variance)
    column = np.ascontiguousarray(residual)[:, None]
    lower = driver.solve_lower(velocity, c, u, w, column, np.empty_like(column)) / diagonal[:, None]
    solved = driver.solve_upper(velocity, c, u, w, lower, np.empty_like(lower))
    absorbed: Floats = residual - variance * solved[:, 0]
    return absorbed
