"""Where sampling starts: a search over the whole prior, an optimiser, and walkers around."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import differential_evolution, minimize
from scipy.stats import qmc

from mixjobs.errors import InvalidInput
from mixjobs.inference.log_probability import LogProbability
from mixjobs.typing import Floats

Report = Callable[[str, int, int], None]

_LOOKS = 1024  # thetas spread over the prior, of which the best begin the search
_LEAST, _PER_PARAMETER = 40, 8  # members of the population
_GENERATIONS = 300  # at most
_CLOSE = 1.0  # standard deviation of ln P over the population at which it has converged
_ENOUGH = 0.1  # of ln P, at which the simplex stops
_EDGE = 1e-9  # of the unit cube, left out: quantiles may be infinite there
_HALVINGS = 40
_SPREAD = 2.0  # of the walkers, in widths at which ln P falls by 1/2
_TRIES = 100
_FAR = 10.0  # in ln P below the best of the searches: a mode that is not worth an ensemble


def find_starts(
    log_probability: LogProbability, ensembles: int, seed: int, report: Report = lambda *_: None
) -> Floats:
    """Look for the optimum anew for each ensemble: (ensembles, P).

    Where ln P has several modes, or a ridge, the searches end in different places, and so the
    ensembles agree only if they have explored it. A search that ends in a mode of no weight is
    replaced by the best one.

    Raises
    ------
    InvalidInput
        As `find_optimum`.
    """
    total = ensembles * _GENERATIONS
    found = []
    for e in range(ensembles):

        def report_all(stage: str, done: int, _: int, before: int = e * _GENERATIONS) -> None:
            report(stage, before + done, total)

        found.append(find_optimum(log_probability, (seed, 0, e), report_all))
    starts = np.array(found)
    heights = log_probability(starts)
    starts[heights < heights.max() - _FAR] = starts[np.argmax(heights)]
    return starts


def find_optimum(
    log_probability: LogProbability,
    seed: int | Sequence[int],
    report: Report = lambda *_: None,
) -> Floats:
    """Look for the most probable theta, (P,), without a start.

    The best of `_LOOKS` thetas, spread evenly over the prior (Sobol sequence), begin a
    differential evolution (Storn & Price 1997, J. Global Optim. 11, 341); from its best,
    Nelder and Mead's simplex goes on.

    Raises
    ------
    InvalidInput
        No theta that was looked at has a probability.
    """
    n_free = len(log_probability.names)

    def minus(unit: Floats) -> Floats:
        theta = log_probability.parameters.quantile(np.clip(unit, _EDGE, 1 - _EDGE))
        found: Floats = -log_probability(theta)
        return found

    looks = _looks(n_free, seed)
    energies = minus(looks)
    found = np.isfinite(energies)
    members = max(_LEAST, _PER_PARAMETER * n_free)
    if found.sum() < 5:
        raise InvalidInput(
            f"{found.sum()} of {len(looks)} points spread over the priors have a probability; "
            "expected more: narrow the priors to the library's grid, or loosen the constraints"
        )
    best = looks[np.argsort(energies)[:members]]
    report("search", 0, _GENERATIONS)
    evolved = _evolve(minus, best, seed, report)
    report("search", _GENERATIONS, _GENERATIONS)
    simplex = minimize(
        lambda unit: float(minus(unit[None])[0]), evolved.x, method="Nelder-Mead",
        options={"maxfev": 50 * n_free, "fatol": _ENOUGH, "xatol": np.inf,
                 "initial_simplex": _around(evolved)},
    )  # fmt: skip
    unit = simplex.x if simplex.fun < evolved.fun else evolved.x
    theta: Floats = log_probability.parameters.quantile(np.clip(unit, _EDGE, 1 - _EDGE)[None])[0]
    return theta


def _looks(n_free: int, seed: int | Sequence[int]) -> Floats:
    looks: Floats = qmc.Sobol(n_free, rng=np.random.default_rng(seed)).random(_LOOKS)
    return looks


def _evolve(
    minus: Callable[[Floats], Floats],
    population: Floats,
    seed: int | Sequence[int],
    report: Report,
) -> Any:
    """Evolve a population (n, P) of the unit cube until it is as narrow as the posterior."""
    generation = 0

    def narrow(intermediate_result: Any) -> bool:
        nonlocal generation
        generation += 1
        report("search", generation, _GENERATIONS)
        return bool(np.std(intermediate_result.population_energies) < _CLOSE)

    return differential_evolution(
        lambda x: minus(x.T), [(0.0, 1.0)] * population.shape[1], vectorized=True,
        updating="deferred", init=population, maxiter=_GENERATIONS, tol=0, atol=0, polish=False,
        rng=np.random.default_rng(seed), callback=narrow, mutation=(0.4, 0.9),
    )  # fmt: skip


def _around(evolved: Any) -> Floats:
    """Return a simplex (P + 1, P) about the best, as wide as the population is."""
    width = np.maximum(evolved.population.std(axis=0), 1e-6)
    inward = np.where(evolved.x > 0.5, -width, width)
    simplex: Floats = np.vstack([evolved.x, evolved.x + np.diag(inward)])
    return simplex


def start_walkers(
    log_probability: LogProbability, starts: Floats, walkers: int, seed: int
) -> Floats:
    """Scatter the walkers of each ensemble around its start: (ensembles, walkers, P).

    Each parameter has a normal distribution of `_SPREAD` times the width at which ln P has fallen
    by 1/2, the others held.

    Parameters
    ----------
    starts : ndarray (ensembles, P)
    """
    rng = np.random.default_rng([seed, 1])
    centres = np.repeat(starts, walkers, axis=0)
    widths = np.array([widths_around(log_probability, start) for start in starts])
    widths = np.repeat(_SPREAD * widths, walkers, axis=0)
    walking = np.empty_like(centres)
    missing = np.arange(len(centres))
    for attempt in range(_TRIES):
        scatter = 0.9**attempt * rng.standard_normal((len(missing), centres.shape[1]))
        walking[missing] = centres[missing] + widths[missing] * scatter
        missing = missing[~np.isfinite(log_probability(walking[missing]))]
        if not len(missing):
            break
    scatter = 1e-9 * rng.standard_normal((len(missing), centres.shape[1]))
    walking[missing] = centres[missing] * (1 + scatter)
    return walking.reshape(len(starts), walkers, -1)


def widths_around(log_probability: LogProbability, best: Floats) -> Floats:
    """Distance (P,) from theta at which ln P falls by about 1/2, along each parameter."""
    peak = float(log_probability(best))
    prior = log_probability.parameters
    u = np.linspace(0.05, 0.95, 19)[:, None] * np.ones(len(best))
    step = np.ptp(prior.quantile(u), axis=0)  # a fall at least, where the prior is all there is
    widths: Floats = np.zeros(len(best))
    for _ in range(_HALVINGS):
        wide = np.flatnonzero(widths == 0)
        if not len(wide):
            break
        moved = np.repeat(best[None], 2 * len(wide), axis=0)
        for i, p in enumerate(wide):
            moved[2 * i, p] += step[p]
            moved[2 * i + 1, p] -= step[p]
        fall = peak - log_probability(moved).reshape(-1, 2).max(axis=1)
        widths[wide[fall <= 0.5]] = step[wide[fall <= 0.5]]
        step = step / 2
    return np.where(widths > 0, widths, step)
