"""The search for the most probable parameters, and the walkers' initial positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import differential_evolution, minimize
from scipy.stats import qmc

from mixjobs.errors import InvalidInput
from mixjobs.inference.log_probability import LogProbability
from mixjobs.typing import Floats

Report = Callable[[str, int, int], None]  # stage, generation, number of generations

_N_POINTS = 1024  # points of the Sobol sequence, the best of which form the first population
_MIN_VALID_POINTS = 5
_MIN_POPULATION, _POPULATION_PER_PARAMETER = 40, 8
_MAX_GENERATIONS = 300
_CONVERGED_SD = 1.0  # standard deviation of ln P over the population
_SIMPLEX_TOLERANCE = 0.1  # in ln P
_SIMPLEX_MIN_SIZE = 1e-6  # in the unit cube
_CUBE_MARGIN = 1e-9  # kept from the faces of the unit cube, where quantiles may be infinite
_WIDTH_FALL = 0.5  # fall of ln P that defines the width of a parameter
_MAX_HALVINGS = 40
_SCATTER = 2.0  # of the walkers, in widths
_MAX_SCATTER_TRIES = 100
_SCATTER_SHRINKAGE = 0.9  # from one try to the next
_MIN_SCATTER = 1e-9  # relative, for walkers that have no valid position after all tries
_MAX_DEFICIT = 10.0  # in ln P below the best start; a lower mode has negligible weight


def find_starts(
    log_probability: LogProbability, ensembles: int, seed: int, report: Report = lambda *_: None
) -> Floats:
    """Search for the optimum once per ensemble.

    If ln P has several modes, or a ridge, the searches end at different points. The ensembles then
    agree only once they have explored all of it. A start in a mode of negligible weight is replaced
    by the best one.

    Parameters
    ----------
    log_probability : LogProbability
    ensembles : int
    seed : int
    report : callable, optional
        Called with a stage, the generation and the number of generations of all searches.

    Returns
    -------
    (ensembles, P) array

    Raises
    ------
    InvalidInput
        As `find_optimum`.
    """
    total = ensembles * _MAX_GENERATIONS
    optima = []
    for e in range(ensembles):

        def report_total(stage: str, done: int, _: int, before: int = e * _MAX_GENERATIONS) -> None:
            report(stage, before + done, total)

        optima.append(find_optimum(log_probability, (seed, 0, e), report_total))
    starts = np.array(optima)
    heights = log_probability(starts)
    starts[heights < heights.max() - _MAX_DEFICIT] = starts[np.argmax(heights)]
    return starts


def optimum_values(log_probability: LogProbability, starts: Floats) -> dict[str, float]:
    """Return the values at which to fix the parameters set to "optimum".

    Parameters
    ----------
    log_probability : LogProbability
        With these parameters free.
    starts : (ensembles, P) array
        From `find_starts`.

    Returns
    -------
    dict
        Values by name, at the most probable start.
    """
    best = starts[np.argmax(log_probability(starts))].tolist()
    names = log_probability.names
    return {name: best[names.index(name)] for name in log_probability.parameters.optimum}


def find_optimum(
    log_probability: LogProbability,
    seed: int | Sequence[int],
    report: Report = lambda *_: None,
) -> Floats:
    """Search the whole prior for the most probable x, (P,).

    A Sobol sequence covers the prior. Its best points are the first population of a differential
    evolution (Storn & Price 1997, J. Global Optim. 11, 341). A Nelder-Mead simplex refines the
    result.

    Parameters
    ----------
    log_probability : LogProbability
    seed : int or sequence of int
    report : callable, optional
        Called with a stage, the generation and the largest number of generations.

    Raises
    ------
    InvalidInput
        ln P is finite at fewer than five points of the sequence.
    """
    n_free = len(log_probability.names)

    def to_x(u: Floats) -> Floats:
        return log_probability.prior_transform(np.clip(u, _CUBE_MARGIN, 1 - _CUBE_MARGIN))

    def energy(u: Floats) -> Floats:
        energies: Floats = -log_probability(to_x(u))
        return energies

    population = _first_population(energy, n_free, seed)
    report("search", 0, _MAX_GENERATIONS)
    evolved = _evolve(energy, population, seed, report)
    report("search", _MAX_GENERATIONS, _MAX_GENERATIONS)
    refined = minimize(
        lambda u: float(energy(u[None])[0]), evolved.x, method="Nelder-Mead",
        options={"maxfev": 50 * n_free, "fatol": _SIMPLEX_TOLERANCE, "xatol": np.inf,
                 "initial_simplex": _initial_simplex(evolved)},
    )  # fmt: skip
    u = refined.x if refined.fun < evolved.fun else evolved.x
    x: Floats = to_x(u[None])[0]
    return x


def _first_population(
    energy: Callable[[Floats], Floats], n_free: int, seed: int | Sequence[int]
) -> Floats:
    """Return the best points of a Sobol sequence in the unit cube, (n, P)."""
    points: Floats = qmc.Sobol(n_free, rng=np.random.default_rng(seed)).random(_N_POINTS)
    energies = energy(points)
    n_valid = int(np.isfinite(energies).sum())
    if n_valid < _MIN_VALID_POINTS:
        raise InvalidInput(
            f"ln P is finite at {n_valid} of {len(points)} points drawn from the priors; "
            "restrict the priors to the library's grid, or relax the constraints",
            name="parameters",
            value=n_valid,
        )
    size = max(_MIN_POPULATION, _POPULATION_PER_PARAMETER * n_free)
    return points[np.argsort(energies)[:size]]


def _evolve(
    energy: Callable[[Floats], Floats],
    population: Floats,
    seed: int | Sequence[int],
    report: Report,
) -> Any:
    """Evolve a population (n, P) of the unit cube until it is as narrow as the posterior."""
    generation = 0

    def is_narrow(intermediate_result: Any) -> bool:
        nonlocal generation
        generation += 1
        report("search", generation, _MAX_GENERATIONS)
        return bool(np.std(intermediate_result.population_energies) < _CONVERGED_SD)

    return differential_evolution(
        lambda x: energy(x.T), [(0.0, 1.0)] * population.shape[1], vectorized=True,
        updating="deferred", init=population, maxiter=_MAX_GENERATIONS, tol=0, atol=0,
        polish=False, rng=np.random.default_rng(seed), callback=is_narrow, mutation=(0.4, 0.9),
    )  # fmt: skip


def _initial_simplex(evolved: Any) -> Floats:
    """Return a simplex (P + 1, P) at the best member, as wide as the population."""
    width = np.maximum(evolved.population.std(axis=0), _SIMPLEX_MIN_SIZE)
    inward = np.where(evolved.x > 0.5, -width, width)
    simplex: Floats = np.vstack([evolved.x, evolved.x + np.diag(inward)])
    return simplex


def start_walkers(
    log_probability: LogProbability, starts: Floats, walkers: int, seed: int
) -> Floats:
    """Scatter the walkers of each ensemble around its start.

    The scatter in each parameter is normal, with twice the width at which ln P falls by 1/2.
    Walkers outside the prior are moved closer.

    Parameters
    ----------
    log_probability : LogProbability
    starts : (ensembles, P) array
    walkers : int
        Of one ensemble.
    seed : int

    Returns
    -------
    (ensembles, walkers, P) array
    """
    rng = np.random.default_rng([seed, 1])
    centres = np.repeat(starts, walkers, axis=0)
    widths = np.array([widths_around(log_probability, start) for start in starts])
    widths = np.repeat(_SCATTER * widths, walkers, axis=0)
    positions = np.empty_like(centres)
    invalid = np.arange(len(centres))
    for attempt in range(_MAX_SCATTER_TRIES):
        shrinkage = _SCATTER_SHRINKAGE**attempt
        scatter = shrinkage * rng.standard_normal((len(invalid), centres.shape[1]))
        positions[invalid] = centres[invalid] + widths[invalid] * scatter
        invalid = invalid[~np.isfinite(log_probability(positions[invalid]))]
        if not len(invalid):
            break
    scatter = _MIN_SCATTER * rng.standard_normal((len(invalid), centres.shape[1]))
    positions[invalid] = centres[invalid] * (1 + scatter)
    return positions.reshape(len(starts), walkers, -1)


def widths_around(log_probability: LogProbability, best: Floats) -> Floats:
    """Return the distance from the optimum at which ln P falls by about 1/2, in each parameter."""
    peak = float(log_probability(best))
    u = np.linspace(0.05, 0.95, 19)[:, None] * np.ones(len(best))
    step = np.ptp(log_probability.prior_transform(u), axis=0)  # most of the width of the prior
    widths: Floats = np.zeros(len(best))
    for _ in range(_MAX_HALVINGS):
        unfinished = np.flatnonzero(widths == 0)
        if not len(unfinished):
            break
        trials = np.repeat(best[None], 2 * len(unfinished), axis=0)
        for i, p in enumerate(unfinished):
            trials[2 * i, p] += step[p]
            trials[2 * i + 1, p] -= step[p]
        fall = peak - log_probability(trials).reshape(-1, 2).max(axis=1)
        finished = unfinished[fall <= _WIDTH_FALL]
        widths[finished] = step[finished]
        step = step / 2
    return np.where(widths > 0, widths, step)
