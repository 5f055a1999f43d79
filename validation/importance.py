"""Importance sampling of nearly normal posteriors, with a tenth of the evaluations of a chain."""

from __future__ import annotations

import numpy as np

from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.optimum import widths_around
from mixjobs.typing import Floats

_MAX_FIRST_ROUNDS = 6
_MIN_EFFECTIVE = 40.0  # independent samples that the first round must be worth
_MIN_CURVATURE = 0.01  # of ln P, over a step at which it falls by about 1/2
_DEGREES, _SCALE = 5.0, 1.2  # of Student's t; its scale relative to the posterior's


def weighted_samples(
    target: LogProbability, start: Floats, seed: int, n: int = 1200
) -> tuple[Floats, float]:
    """Sample a posterior from a point inside it, in two rounds (Cappé et al. 2004, JCGS 13, 907).

    The first round draws from Student's t around the normal approximation of ln P at the start. If
    its weights are worth too little, it is repeated around the best draw. The second round uses
    the mean and covariance of the first. Draws outside the prior are replaced, so the proposal is
    truncated as the posterior is.

    Returns
    -------
    samples : (n, P) array
        Resampled by their weights, so all count equally.
    effective : float
        Number of independent samples that they are worth.
    """
    rng = np.random.default_rng(seed)
    for _ in range(_MAX_FIRST_ROUNDS):
        draws, weights, best = draw(target, *normal_about(target, start), n // 3, rng)
        if effective_size(weights) > _MIN_EFFECTIVE:
            break
        start = best
    centre = weights @ draws
    covariance = (weights[:, None] * (draws - centre)).T @ (draws - centre)
    covariance += 1e-6 * np.diag(np.var(draws, axis=0))  # a few draws may give a singular one
    draws, weights, _ = draw(target, centre, covariance, n, rng)
    levels = (np.arange(n) + rng.random()) / n
    resampled = np.minimum(np.searchsorted(np.cumsum(weights), levels), n - 1)
    return draws[resampled], effective_size(weights)


def effective_size(weights: Floats) -> float:
    """Return the number of independent samples that weights of sum 1 are worth (Kong 1992)."""
    return float(1 / (weights**2).sum())


def normal_about(target: LogProbability, start: Floats) -> tuple[Floats, Floats]:
    """Return mean (P,) and covariance (P, P) of the normal approximation of ln P at a point."""
    low, high = target.parameters.bounds.T
    step = np.minimum(widths_around(target, start), 0.9 * np.minimum(start - low, high - start))
    steps, n = np.diag(step), len(start)
    rows = [start]
    for i in range(n):
        rows += [start + steps[i], start - steps[i]]
        rows += [start + a * (steps[i] + b * steps[j]) for j in range(i) for a in (1, -1)
                 for b in (1, -1)]  # fmt: skip
    values_at = iter(target(np.array(rows)))
    peak, slope, curve = next(values_at), np.empty(n), np.empty((n, n))
    for i in range(n):
        up, down = next(values_at), next(values_at)
        slope[i], curve[i, i] = (up - down) / 2, up + down - 2 * peak
        for j in range(i):
            both, against, both_down, against_down = (next(values_at) for _ in range(4))
            mixed = (both + both_down - against - against_down) / 4
            curve[i, j] = curve[j, i] = mixed
    values, vectors = np.linalg.eigh(-curve)
    inverse = (vectors / np.maximum(values, _MIN_CURVATURE)) @ vectors.T
    covariance = inverse * np.outer(step, step)
    centre: Floats = start + covariance @ (slope / step)
    return centre, covariance


def draw(
    target: LogProbability, centre: Floats, covariance: Floats, n: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Draw n points inside the prior from Student's t, with their weights.

    Returns the draws (n, P), their weights (n,) of sum 1, and the draw (P,) of highest ln P.
    """
    root = _SCALE * np.linalg.cholesky(covariance)
    draws = np.empty((0, len(centre)))
    for _ in range(1000):
        normal = rng.standard_normal((n, len(centre)))
        stretch = np.sqrt(_DEGREES / rng.chisquare(_DEGREES, n))
        proposed = centre + stretch[:, None] * normal @ root.T
        inside = np.isfinite(target.parameters.log_prior(proposed))
        draws = np.concatenate([draws, proposed[inside]])[:n]
        if len(draws) == n:
            break
    scaled = np.linalg.solve(root, (draws - centre).T)
    log_density = -0.5 * (_DEGREES + len(centre)) * np.log1p((scaled**2).sum(axis=0) / _DEGREES)
    log_p = target(draws)
    log_weight = log_p - log_density
    weights = np.exp(log_weight - log_weight.max())
    return draws, weights / weights.sum(), draws[log_p.argmax()]
