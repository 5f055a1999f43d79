"""Posteriors that are nearly normal, by importance sampling: a tenth of a chain's evaluations."""

from __future__ import annotations

import numpy as np

from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.optimum import widths_around
from mixjobs.typing import Floats

_TRIES, _ENOUGH = 6, 40.0  # first rounds; independent samples that one should be worth
_LEAST = 0.01  # curvature of ln P over a step at which it falls by about 1/2
_DEGREES, _WIDER = 5.0, 1.2  # of Student's t, and its scale over the posterior's: wider tails


def weighted_samples(
    target: LogProbability, start: Floats, seed: int, n: int = 1200
) -> tuple[Floats, float]:
    """Sample a posterior from a place inside it, in two rounds (Cappé et al. 2004, JCGS 13, 907).

    The first draws from Student's t about the normal density that ln P has at the start, or, where
    that is worth nothing, at the best of the draws; the second about the mean and covariance that
    the first has found. Draws outside the prior are drawn again; the density is cut off there as
    the posterior is.

    Returns
    -------
    samples : (n, P) array
        Drawn again by their weights: all count alike.
    effective : float
        Number of independent samples that the weights are worth.
    """
    rng = np.random.default_rng(seed)
    for _ in range(_TRIES):
        draws, weights, best = draw(target, *normal_about(target, start), n // 3, rng)
        if worth(weights) > _ENOUGH:
            break
        start = best
    centre = weights @ draws
    covariance = (weights[:, None] * (draws - centre)).T @ (draws - centre)
    covariance += 1e-6 * np.diag(np.var(draws, axis=0))  # of a few draws it might be singular
    draws, weights, _ = draw(target, centre, covariance, n, rng)
    places = (np.arange(n) + rng.random()) / n
    again = np.minimum(np.searchsorted(np.cumsum(weights), places), n - 1)
    return draws[again], worth(weights)


def worth(weights: Floats) -> float:
    """Number of independent samples (Kong 1992) that weights of sum 1 are worth."""
    return float(1 / (weights**2).sum())


def normal_about(target: LogProbability, start: Floats) -> tuple[Floats, Floats]:
    """Mean (P,) and covariance (P, P) of the normal density with ln P's slopes at a place."""
    low, high = target.parameters.bounds.T
    step = np.minimum(widths_around(target, start), 0.9 * np.minimum(start - low, high - start))
    steps, n = np.diag(step), len(start)
    rows = [start]
    for i in range(n):
        rows += [start + steps[i], start - steps[i]]
        rows += [start + a * (steps[i] + b * steps[j]) for j in range(i) for a in (1, -1)
                 for b in (1, -1)]  # fmt: skip
    found = iter(target(np.array(rows)))
    peak, slope, curve = next(found), np.empty(n), np.empty((n, n))
    for i in range(n):
        up, down = next(found), next(found)
        slope[i], curve[i, i] = (up - down) / 2, up + down - 2 * peak
        for j in range(i):
            both, against, both_down, against_down = (next(found) for _ in range(4))
            mixed = (both + both_down - against - against_down) / 4
            curve[i, j] = curve[j, i] = mixed
    values, vectors = np.linalg.eigh(-curve)
    inverse = (vectors / np.maximum(values, _LEAST)) @ vectors.T
    covariance = inverse * np.outer(step, step)
    centre: Floats = start + covariance @ (slope / step)
    return centre, covariance


def draw(
    target: LogProbability, centre: Floats, covariance: Floats, n: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Draw n inside the prior from Student's t, and weigh them.

    Returns (n, P), the weights (n,) of sum 1, and the draw (P,) where ln P is largest.
    """
    root = _WIDER * np.linalg.cholesky(covariance)
    kept = np.empty((0, len(centre)))
    for _ in range(1000):
        normal = rng.standard_normal((n, len(centre)))
        stretch = np.sqrt(_DEGREES / rng.chisquare(_DEGREES, n))
        tried = centre + stretch[:, None] * normal @ root.T
        kept = np.concatenate([kept, tried[np.isfinite(target.parameters.log_prior(tried))]])[:n]
        if len(kept) == n:
            break
    away = np.linalg.solve(root, (kept - centre).T)
    log_density = -0.5 * (_DEGREES + len(centre)) * np.log1p((away**2).sum(axis=0) / _DEGREES)
    log_p = target(kept)
    log_weight = log_p - log_density
    weights = np.exp(log_weight - log_weight.max())
    return kept, weights / weights.sum(), kept[log_p.argmax()]
