"""How often the regions of a fit contain the truth, from a linear estimate.

The fit is linear around the parameters of a star. Its errors are those of the data, of the continua
and of the spectrum. A given error of the spectrum shifts the parameters by a known amount, to which
the noise adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, norm

from mixjobs.errors import InvalidInput
from mixjobs.typing import Floats

LEVELS = (0.68, 0.95)
_MAX_CONDITION = 1e10  # of the normal equations
_DRAWS = 400  # of the noise, for each error of the spectrum


@dataclass(frozen=True, eq=False)
class LinearOrder:
    """One order of one epoch, around the parameters of a star.

    Spectra have mean level 1, and the noise has the same standard deviation in all pixels.

    Attributes
    ----------
    number : int
        Order number.
    slopes : (n_pixels, P) array
        Derivatives of the spectrum with respect to the parameters.
    common : (n_pixels, Z) array
        Stated error: changes of the spectrum with the normal variables that all orders share.
    own : (n_pixels, Y) array
        Changes with those of this order, in all its epochs.
    errors : (n_pixels, E) array
        True errors of the spectrum, whose effects are wanted. Column e of every order and epoch is
        part of the same error.
    design : (n_pixels, k) array
        The continuum: the spectrum times polynomials, whose coefficients have prior sd 1.
    """

    number: int
    slopes: Floats
    common: Floats
    own: Floats
    errors: Floats
    design: Floats


@dataclass(frozen=True, eq=False)
class LinearFit:
    """The linear fit of P parameters.

    Attributes
    ----------
    covariance : (P, P) array
        Stated covariance.
    noise : (P, P) array
        Covariance due to the noise and the continua alone.
    shifts : (E, P) array
        Shift of the parameters by each error of the spectrum.
    """

    covariance: Floats
    noise: Floats
    shifts: Floats


def linear_fit(orders: Sequence[LinearOrder], snr: float) -> LinearFit:
    """Fit all orders and epochs together.

    The normal equations hold the parameters, then the variables that all orders share, then those
    of each order; the continua are eliminated order by order.

    Parameters
    ----------
    orders : sequence of LinearOrder
        Of the same P parameters, Z variables and E errors.
    snr : float
        Signal-to-noise ratio per pixel.

    Raises
    ------
    InvalidInput
        The data do not determine the parameters.
    """
    n_free = orders[0].slopes.shape[1]
    first, size = {}, n_free + orders[0].common.shape[1]
    for order in orders:
        if order.number not in first:
            first[order.number] = size
            size += order.own.shape[1]
    normal = np.diag((np.arange(size) >= n_free).astype(np.float64))  # of the normal variables
    projected = np.zeros((size, orders[0].errors.shape[1]))
    for order in orders:
        start, n_own = first[order.number], order.own.shape[1]
        places = np.r_[0 : n_free + order.common.shape[1], start : start + n_own]
        products = _products(order, snr)
        normal[np.ix_(places, places)] += products[: len(places), : len(places)]
        projected[places] += products[: len(places), len(places) :]
    inverse = _inverse(normal)[:n_free]
    of_noise = normal - np.diag(np.arange(size) >= n_free)
    return LinearFit(inverse[:, :n_free], inverse @ of_noise @ inverse.T, (inverse @ projected).T)


def _inverse(normal: Floats) -> Floats:
    """Invert the normal equations, after scaling their diagonal to 1."""
    diagonal = np.diag(normal)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = normal / scale / scale[:, None]
    if not (diagonal > 0).all() or np.linalg.cond(scaled) > _MAX_CONDITION:
        raise InvalidInput(
            "the data do not determine these parameters around this star, for example because its "
            "components have the same spectrum; change the star, or leave parameters out",
            name="parameters",
        )
    inverse: Floats = np.linalg.inv(scaled) / scale / scale[:, None]
    return inverse


def _products(order: LinearOrder, snr: float) -> Floats:
    """Products of all columns with the inverse covariance of noise and continuum.

    By the Woodbury identity (Rasmussen & Williams 2006, equation A.9).
    """
    columns = snr * np.concatenate([order.slopes, order.common, order.own, order.errors], axis=1)
    design = snr * order.design
    explained = design.T @ columns
    inner = np.eye(design.shape[1]) + design.T @ design
    products: Floats = columns.T @ columns - explained.T @ np.linalg.solve(inner, explained)
    return products


@dataclass(frozen=True, eq=False)
class Coverage:
    """How often the regions of a fit contain the truth.

    Attributes
    ----------
    joint : (2,) array
        Of the joint 68 % and 95 % regions of all parameters.
    single : (P, 2) array
        Of the 68 % and 95 % intervals of each parameter.
    sd : (P,) array
        Stated standard deviations.
    bias : (P,) array
        r.m.s. shift by the errors of the spectrum.
    """

    joint: Floats
    single: Floats
    sd: Floats
    bias: Floats


def coverage(fit: LinearFit, seed: int = 0) -> Coverage:
    """Average the coverage over the errors of a fit, each of which is equally likely.

    Parameters
    ----------
    fit : LinearFit
    seed : int
        Of the draws of the noise, which the joint regions need.
    """
    n = len(fit.covariance)
    # Random directions at the quantiles of the distance: exact without errors of the spectrum.
    directions = np.random.default_rng(seed).normal(size=(_DRAWS, n))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    distances = np.sqrt(chi2.ppf((np.arange(_DRAWS) + 0.5) / _DRAWS, n))
    noise = distances[:, None] * directions @ np.linalg.cholesky(fit.noise).T
    total = fit.shifts[:, None] + noise
    distance = np.einsum("edp,pq,edq->ed", total, np.linalg.inv(fit.covariance), total)
    joint = np.array([np.mean(distance < chi2.ppf(level, n)) for level in LEVELS])
    sd, sd_noise = np.sqrt(np.diag(fit.covariance)), np.sqrt(np.diag(fit.noise))
    half = np.array([norm.ppf((1 + level) / 2) for level in LEVELS]) * sd[:, None]
    inside = [
        norm.cdf((half - shift[:, None]) / sd_noise[:, None])
        - norm.cdf((-half - shift[:, None]) / sd_noise[:, None])
        for shift in fit.shifts
    ]
    bias = np.sqrt(np.mean(fit.shifts**2, axis=0))
    return Coverage(joint, np.mean(inside, axis=0), sd, bias)
