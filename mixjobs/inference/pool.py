"""The results of several orders as one: a hierarchical normal model with a common error.

Order m gives the estimate ``x_m = mu + u_m + e_m``. Here mu is the pooled value, ``u_m`` a
deviation with the standard deviation tau, the scatter of the orders beyond their stated errors,
and ``e_m`` the stated error. A part of ``e_m``, ``a_m @ z``, comes from standard normal variables z
that are the same in all orders, and does not average out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from mixjobs.errors import InvalidInput
from mixjobs.typing import Floats

MAX_DEVIATION = 3.0  # standard deviations; an order beyond it disagrees with the others

_N_SCATTERS = 120
_SCATTERS = 1e-2, 30.0  # of the median error, and of the median error or the range of the orders
_MAX_SHARED = 0.999  # of an order's variance


@dataclass(frozen=True)
class Pooled:
    """The result of all orders for one parameter; made by `pool`.

    Attributes
    ----------
    mean, sd : float
        Mean and standard deviation of the pooled value.
    scatter : (float, float, float)
        Median, and quantiles 0.16 and 0.84, of the scatter between orders.
    scatter_limit : float
        95 % upper limit of the scatter.
    deviations : tuple of float
        Difference of each order from what the other orders predict for it, in standard deviations
        of that prediction; empty for fewer than three orders.
    """

    mean: float
    sd: float
    scatter: tuple[float, float, float]
    scatter_limit: float
    deviations: tuple[float, ...]

    @property
    def disagreeing(self) -> list[int]:
        """Indices of the orders that disagree with the others."""
        return [m for m, d in enumerate(self.deviations) if abs(d) > MAX_DEVIATION]


def pool(
    means: ArrayLike, sds: ArrayLike, shared: Floats, prior: NormalPrior | None = None
) -> Pooled:
    """Pool the estimates of M orders.

    The prior of mu is flat. That of the scatter tau is half a Cauchy distribution, whose scale is
    the median of the stated errors (Gelman 2006, Bayesian Analysis 1, 515, section 3.2). Given tau,
    everything is normal, with the covariance ``V = diag(sd_m² - |a_m|² + tau²) + a_m · a_n``.

    Parameters
    ----------
    means, sds : (M,) array
        The estimate of each order, and its error.
    shared : (M, Z) array
        Response ``a_m`` of each estimate to the variables that all orders share.
    prior : NormalPrior, optional
        A prior that each estimate contains. It is divided out, and applied once.

    Raises
    ------
    InvalidInput
        There are fewer than two orders, or an error is not positive.

    Examples
    --------
    >>> two = pool([4000.0, 4060.0], [40.0, 40.0], np.zeros((2, 1)))
    >>> round(two.mean), two.sd > 40 / 2**0.5
    (4030, True)
    """
    x, errors = (np.asarray(values, dtype=np.float64) for values in (means, sds))
    largest = np.inf if prior is None else prior.sd
    if len(x) < 2 or not (np.isfinite(x).all() and (errors > 0).all() and (errors < largest).all()):
        raise InvalidInput(
            "pooling needs the estimates of two or more orders, with positive errors that are "
            "smaller than that of the prior",
            name="sds",
        )
    if prior is not None:
        return prior.restored(pool(*prior.removed(x, errors, shared)))
    variance = errors**2
    common, scatters = _within(shared, variance), _scatters(x, variance)
    fit = _Fit.of(x, variance, common, scatters)
    low, median, high, limit = _quantiles(scatters, fit.weights, (0.16, 0.5, 0.84, 0.95))
    return Pooled(
        mean=fit.mean,
        sd=fit.variance**0.5,
        scatter=(median, low, high),
        scatter_limit=limit,
        deviations=tuple(
            _deviation(m, x, variance, common, scatters) for m in range(len(x)) if len(x) > 2
        ),
    )


@dataclass(frozen=True)
class NormalPrior:
    """A normal prior that every order has had."""

    mean: float
    sd: float

    def removed(self, means: Floats, sds: Floats, shared: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the estimates of the data alone; `pool` describes the arguments.

        The prior would otherwise count once for each order.
        """
        precision = 1 / sds**2 - 1 / self.sd**2
        likely = means + (means - self.mean) / (self.sd**2 * precision)
        return likely, precision**-0.5, shared / (sds**2 * precision)[:, None]

    def restored(self, pooled: Pooled) -> Pooled:
        """Combine the pooled result with the prior, once."""
        precision = pooled.sd**-2 + self.sd**-2
        mean = (pooled.mean / pooled.sd**2 + self.mean / self.sd**2) / precision
        return replace(pooled, mean=mean, sd=precision**-0.5)


def response(x: Floats, z: Floats) -> Floats:
    """Return how the estimates of an order respond to the error that all orders share.

    In a linear model ``d = J x + E z + noise``, the estimate of x moves by
    ``A = (Jᵀ K⁻¹ J)⁻¹ Jᵀ K⁻¹ E`` with z, where K includes ``E Eᵀ``. The most probable z at given x
    is ``Eᵀ K⁻¹ (d - J x)``, so that its covariance with the draws of x is ``-A``.

    Parameters
    ----------
    x : (n, P) array
        Draws of the parameters.
    z : (n, Z) array
        The most probable z at each of them.

    Returns
    -------
    (P, Z) array
    """
    covariance: Floats = (x - x.mean(axis=0)).T @ (z - z.mean(axis=0)) / (len(x) - 1)
    return -covariance


def _scatters(x: Floats, variance: Floats) -> Floats:
    """Return scatters at equal steps in their logarithm, from almost none to far too large."""
    error, extent = np.sqrt(np.median(variance)), np.ptp(x)
    low, high = _SCATTERS
    return np.geomspace(low * error, high * max(error, float(extent)), _N_SCATTERS)


def _within(shared: Floats, variance: Floats) -> Floats:
    """Shrink responses that, as estimates from draws, exceed the order's whole error."""
    fraction = (shared**2).sum(axis=1) / variance
    factor: Floats = np.sqrt(_MAX_SHARED / np.maximum(fraction, _MAX_SHARED))
    return shared * factor[:, None]


@dataclass(frozen=True, eq=False)
class _Fit:
    """The pooled value given each of T scatters, and the weight of each scatter."""

    weights: Floats
    means: Floats
    variances: Floats
    inverse: Floats  # (T, M, M)

    @classmethod
    def of(cls, x: Floats, variance: Floats, common: Floats, scatters: Floats) -> _Fit:
        """Fit the orders for each scatter, at equal steps in its logarithm."""
        stated = np.diag(variance - (common**2).sum(axis=1)) + common @ common.T
        covariance = stated + scatters[:, None, None] ** 2 * np.eye(len(x))
        inverse: Floats = np.linalg.inv(covariance).astype(np.float64)
        variances = 1 / inverse.sum(axis=(1, 2))
        means = variances * (inverse @ x).sum(axis=1)
        residual = x - means[:, None]
        chi2 = np.einsum("tm,tmn,tn->t", residual, inverse, residual)
        log_weights = 0.5 * (np.log(variances) - np.linalg.slogdet(covariance)[1] - chi2)
        log_weights += np.log(scatters / (1 + scatters**2 / np.median(variance)))  # the prior
        weights = np.exp(log_weights - log_weights.max())
        return cls(weights / weights.sum(), means, variances, inverse)

    @property
    def mean(self) -> float:
        return float(self.weights @ self.means)

    @property
    def variance(self) -> float:
        return float(self.weights @ (self.variances + (self.means - self.mean) ** 2))


def _deviation(m: int, x: Floats, variance: Floats, common: Floats, scatters: Floats) -> float:
    """Return how far an order is from what the others predict, in standard deviations."""
    others = np.arange(len(x)) != m
    fit = _Fit.of(x[others], variance[others], common[others], scatters)
    with_order = common[others] @ common[m]  # covariance with the order
    gain = fit.inverse @ with_order  # (T, M - 1)
    predicted = fit.means + np.einsum("tm,tm->t", gain, x[others] - fit.means[:, None])
    remaining = fit.variances * (1 - gain.sum(axis=1)) ** 2
    remaining += variance[m] + scatters**2 - gain @ with_order
    p = fit.weights @ norm.sf(np.abs(x[m] - predicted) / np.sqrt(remaining))
    size = float(norm.isf(max(p, np.finfo(float).tiny)))
    return float(np.copysign(size, x[m] - fit.weights @ predicted))


def _quantiles(values: Floats, weights: Floats, levels: Sequence[float]) -> list[float]:
    return [float(v) for v in np.interp(levels, np.cumsum(weights) - weights / 2, values)]
