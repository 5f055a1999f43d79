"""The noise of an order: scaled variances, and Matern-3/2 in velocity, in O(n)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from celerite2 import driver
from celerite2.terms import Matern32Term
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NAMES = ("ln_noise", "log_amplitude", "log_length")
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

    def is_one(self) -> bool:
        """Whether all rows have the same noise."""
        every = np.stack([self.ln_noise, self.amplitude, self.length])
        return bool((every == every[:, :1]).all())


def whiten(
    noise: NoiseRows, velocity: Floats, sigma: Floats, columns: Floats
) -> tuple[Floats, Floats]:
    """Multiply columns by the inverse of a root of the noise's covariance.

    The covariance is ``exp(ln_noise) diag(sigma²) + a² (1 + x) exp(-x)``, ``x = sqrt(3) |v|/l``
    (Rasmussen & Williams 2006, equation 4.17); its factors are those of celerite
    (Foreman-Mackey et al. 2017, AJ 154, 220; Foreman-Mackey 2018, RNAAS 2, 31).

    Parameters
    ----------
    noise : NoiseRows
        Of n rows.
    velocity, sigma : (n_pixels,) arrays
        Ascending; and the standard errors.
    columns : (n, n_pixels, m) array

    Returns
    -------
    white : (n, n_pixels, m) array
    log_det : (n,) array
        ln of the covariance's determinant.
    """
    if noise.is_diagonal:
        log_det = len(sigma) * noise.ln_noise + 2 * np.log(sigma).sum()
        scale = sigma[:, None] * np.exp(0.5 * noise.ln_noise)[:, None, None]
        return columns / scale, log_det
    if noise.is_one():
        n, n_pixels, m = columns.shape
        side_by_side = columns.transpose(1, 0, 2).reshape(n_pixels, n * m)
        white, log_det = _whiten_row(noise, 0, velocity, sigma, side_by_side)
        return white.reshape(n_pixels, n, m).transpose(1, 0, 2), np.repeat(log_det, n)
    rows = [_whiten_row(noise, i, velocity, sigma, row) for i, row in enumerate(columns)]
    return np.stack([white for white, _ in rows]), np.array([log_det for _, log_det in rows])


def _whiten_row(
    noise: NoiseRows, row: int, velocity: Floats, sigma: Floats, columns: Floats
) -> tuple[Floats, float]:
    diagonal = np.exp(noise.ln_noise[row]) * sigma**2
    term = Matern32Term(sigma=noise.amplitude[row], rho=noise.length[row], eps=_EPSILON)
    c, a, u, v = term.get_celerite_matrices(velocity, diagonal)
    d, w = driver.factor(velocity, c, a, u, v, a, v.copy())
    white = np.ascontiguousarray(columns)
    white = driver.solve_lower(velocity, c, u, w, white, np.empty_like(white))
    return white / np.sqrt(d)[:, None], float(np.log(d).sum())


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
    diagonal = np.exp(noise.ln_noise[0]) * sigma**2
    term = Matern32Term(sigma=noise.amplitude[0], rho=noise.length[0], eps=_EPSILON)
    c, a, u, v = term.get_celerite_matrices(velocity, diagonal)
    d, w = driver.factor(velocity, c, a, u, v, a, v.copy())
    column = np.ascontiguousarray(residual)[:, None]
    lower = driver.solve_lower(velocity, c, u, w, column, np.empty_like(column)) / d[:, None]
    solved = driver.solve_upper(velocity, c, u, w, lower, np.empty_like(lower))
    absorbed: Floats = residual - diagonal * solved[:, 0]
    return absorbed
