"""Noise of an order: scaled variances plus Matern-3/2 noise in velocity, at a cost of O(n)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from celerite2 import driver
from celerite2.terms import Matern32Term

from mixjobs.typing import Floats

Factors = tuple[Floats, Floats, Floats]

_EPSILON = 1e-5  # of celerite's Matern term: ln L is off by 5e-12 (by 7e-6 with its default, 0.01)


@dataclass(frozen=True, eq=False)
class NoiseParams:
    """Parameters of the noise at n samples.

    Attributes
    ----------
    ln_noise : (n,) array
        ln of the factor that multiplies all variances.
    amplitude : (n,) array
        Standard deviation of the correlated noise, relative to the continuum; 0 for none.
    length : (n,) array
        Correlation length, km/s.
    continuum : (n_pixels,) array or None
        The continuum to which the amplitude is relative, in the unit of the data; None for 1.
    """

    ln_noise: Floats
    amplitude: Floats
    length: Floats
    continuum: Floats | None = None

    @classmethod
    def from_sampled(
        cls,
        ln_noise: Floats,
        log_amplitude: Floats,
        log_length: Floats,
        continuum: Floats | None = None,
    ) -> NoiseParams:
        """Convert from the sampled parameters, which are logarithms."""
        return cls(ln_noise, 10.0**log_amplitude, 10.0**log_length, continuum)

    def select(self, samples: slice) -> NoiseParams:
        """Return some of the samples."""
        return NoiseParams(
            self.ln_noise[samples], self.amplitude[samples], self.length[samples], self.continuum
        )

    def level(self, n_pixels: int) -> Floats:
        """Return the continuum to which the amplitude is relative, (n_pixels,)."""
        return np.ones(n_pixels) if self.continuum is None else self.continuum

    @property
    def is_diagonal(self) -> bool:
        """Whether no sample has correlated noise."""
        return not self.amplitude.any()

    @property
    def is_constant(self) -> bool:
        """Whether all samples have the same noise."""
        params = np.stack([self.ln_noise, self.amplitude, self.length])
        return bool((params == params[:, :1]).all())


@dataclass(frozen=True, eq=False)
class Whitener:
    """The inverse square root of the noise covariance; made by `whitener`.

    Attributes
    ----------
    velocity : (n_pixels,) array
        km/s.
    factors : list of (c, u, w)
        celerite's factors of each sample, or one for all samples; empty for diagonal noise.
    inverse_root : (n, n_pixels) or (1, n_pixels) array
        Inverse root of the diagonal factor.
    level : (n_pixels,) array
        Continuum by which columns are divided before celerite's factors apply.
    log_det : (n,) array
        ln of the determinant of the covariance.
    """

    velocity: Floats
    factors: Sequence[Factors]
    inverse_root: Floats
    level: Floats
    log_det: Floats

    def __call__(self, columns: Floats) -> Floats:
        """Whiten columns (n, m, n_pixels); return an array of the same shape."""
        if not self.factors:
            return columns * self.inverse_root[:, None]
        groups = columns.reshape(len(self.factors), -1, len(self.velocity))
        white = np.empty(groups.shape)
        for i, (c, u, w) in enumerate(self.factors):
            column = np.array((groups[i] / self.level).T, order="C")
            driver.solve_lower(self.velocity, c, u, w, column, column)
            np.multiply(column.T, self.inverse_root[i], out=white[i])
        return white.reshape(columns.shape)


def whitener(noise: NoiseParams, velocity: Floats, flux_error: Floats) -> Whitener:
    """Factorise the noise covariance, only once if it is the same for all samples.

    The covariance is ``exp(ln_noise) diag(flux_error²) + a² P (1 + x) exp(-x) P`` with
    ``x = sqrt(3) |v| / l`` (Rasmussen & Williams 2006, equation 4.17) and the continuum P. Its
    factors are those of celerite (Foreman-Mackey et al. 2017, AJ 154, 220; Foreman-Mackey 2018,
    RNAAS 2, 31).

    Parameters
    ----------
    noise : NoiseParams
        At n samples.
    velocity : (n_pixels,) array
        km/s, ascending.
    flux_error : (n_pixels,) array
        Standard errors of the flux.
    """
    level = noise.level(len(flux_error))
    variance = np.exp(noise.ln_noise)[:, None] * flux_error**2
    if noise.is_diagonal:
        return Whitener(velocity, [], 1 / np.sqrt(variance), level, np.log(variance).sum(axis=1))
    variance = variance / level**2
    n_factors = 1 if noise.is_constant else len(variance)
    factors, diagonal = [], np.empty((n_factors, len(flux_error)))
    for i in range(n_factors):
        sample_factors, diagonal[i] = _factorise(noise, i, velocity, variance[i])
        factors.append(sample_factors)
    log_det = np.log(diagonal).sum(axis=1) + 2 * np.log(level).sum()
    return Whitener(
        velocity, factors, 1 / np.sqrt(diagonal), level, np.broadcast_to(log_det, len(variance))
    )


def _factorise(
    noise: NoiseParams, index: int, velocity: Floats, variance: Floats
) -> tuple[Factors, Floats]:
    """Return celerite's factors for one sample, and the diagonal factor (n_pixels,)."""
    term = Matern32Term(sigma=noise.amplitude[index], rho=noise.length[index], eps=_EPSILON)
    c, a, u, v = term.get_celerite_matrices(velocity, variance)
    diagonal, w = driver.factor(velocity, c, a, u, v, a, v.copy())
    return (c, u, w), diagonal


def correlated_part(
    noise: NoiseParams, velocity: Floats, flux_error: Floats, residual: Floats
) -> Floats:
    """Predict the correlated noise in residuals (n_pixels,).

    With K the Matern term, D the diagonal and ``N = K + D``, the conditional mean of the correlated
    noise is ``K N⁻¹ r = r - D N⁻¹ r`` (Rasmussen & Williams 2006, equation 2.23).

    Parameters
    ----------
    noise : NoiseParams
        Of one sample.
    velocity, flux_error, residual : (n_pixels,) arrays
        As for `whitener`; the residuals are in the unit of the errors.
    """
    if noise.is_diagonal:
        return np.zeros_like(residual)
    level = noise.level(len(residual))
    variance = np.exp(noise.ln_noise[0]) * (flux_error / level) ** 2
    (c, u, w), diagonal = _factorise(noise, 0, velocity, variance)
    column = np.ascontiguousarray(residual / level)[:, None]
    lower = driver.solve_lower(velocity, c, u, w, column, np.empty_like(column)) / diagonal[:, None]
    solved = driver.solve_upper(velocity, c, u, w, lower, np.empty_like(lower))
    correlated: Floats = residual - level * variance * solved[:, 0]
    return correlated
