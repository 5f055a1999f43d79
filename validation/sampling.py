"""Chains of emcee with the moves of `mixjobs sample`, for the validation scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import emcee
import numpy as np

from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.optimum import start_walkers
from mixjobs.inference.sampler import make_moves
from mixjobs.typing import Floats


@dataclass(frozen=True, eq=False)
class Posterior:
    """Samples (n, P) after burn-in, the longest autocorrelation time, and the highest ln P."""

    samples: Floats
    tau: float
    best: float


def posterior(
    log_probability: LogProbability, start: Floats, seed: int, walkers: int, steps: int
) -> Posterior:
    """Sample one ensemble around `start` (P,); the first third is discarded as burn-in."""
    bounds = log_probability.parameters.bounds
    sampler = ensemble(log_probability, bounds, start, seed, walkers, steps)
    burn = steps // 3
    with np.errstate(invalid="ignore"):  # a walker that has not moved, in a short run
        tau = sampler.get_autocorr_time(discard=burn, tol=0).max()
    best = sampler.get_log_prob(discard=burn).max()
    tau = float(tau) if np.isfinite(tau) else float(steps - burn)
    return Posterior(sampler.get_chain(discard=burn, flat=True), tau, float(best))


def ensemble(
    log_probability: LogProbability, bounds: Floats, start: Floats, seed: int, walkers: int,
    steps: int,
) -> Any:  # fmt: skip
    """Run emcee with the moves of `mixjobs sample`, its walkers scattered around `start`."""
    positions = start_walkers(log_probability, start[None], walkers, seed)[0]
    sampler = emcee.EnsembleSampler(
        walkers, len(start), log_probability, vectorize=True, moves=make_moves(bounds)
    )
    random_state = np.random.RandomState(seed).get_state()  # the form that emcee accepts
    sampler.run_mcmc(emcee.State(positions, random_state=random_state), steps)
    return sampler
