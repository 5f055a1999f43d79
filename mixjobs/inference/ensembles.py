"""Ensembles of walkers that emcee advances step by step, and what they go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import emcee
import numpy as np
from numpy.typing import NDArray

from mixjobs.inference.moves import make_moves
from mixjobs.inference.run_folder import RANDOM, Segment
from mixjobs.typing import Floats

LogProbability = Callable[[Floats], Floats]


class Step(NamedTuple):
    """One step of all ensembles: the attributes of a `Segment`, without the axis of steps."""

    positions: Floats
    log_probability: Floats
    by_order: Floats
    accepted: NDArray[np.int64]
    random: NDArray[np.void]


class Ensembles:
    """The samplers, one an ensemble."""

    def __init__(self, log_probability: LogProbability, bounds: Floats, last: Segment) -> None:
        self._before = last.positions[:, -1]
        self._n_blobs = last.by_order.shape[-1]
        self._going = [_sampler(log_probability, bounds, last, e) for e in range(len(self._before))]
        self.n_proposed, self.n_accepted = 0, 0

    def step(self) -> Step:
        """Advance all ensembles by a step, in turn."""
        states = [next(going) for going in self._going]
        positions = np.stack([state.coords for state in states])
        log_probability = np.stack([state.log_prob for state in states])
        blobs = [[] if state.blobs is None else state.blobs for state in states]
        accepted = (positions != self._before).any(axis=-1).sum(axis=-1)
        self._before = positions
        self.n_proposed += log_probability.size
        self.n_accepted += int(accepted.sum())
        return Step(
            positions,
            log_probability,
            np.reshape(blobs, (*log_probability.shape, self._n_blobs)),
            accepted,
            _packed([state.random_state for state in states]),
        )

    @property
    def acceptance(self) -> float:
        """Part of the proposals that were accepted; NaN before the first."""
        return self.n_accepted / self.n_proposed if self.n_proposed else np.nan


def _sampler(
    log_probability: LogProbability, bounds: Floats, last: Segment, e: int
) -> Iterator[Any]:
    """Return emcee's endless iterator over the steps of ensemble `e` after the last one."""
    _, _, walkers, n_parameters = last.positions.shape
    sampler = emcee.EnsembleSampler(
        walkers, n_parameters, log_probability, vectorize=True, moves=make_moves(bounds)
    )
    sampler.log_prob_fn = log_probability  # its wrapper prints a traceback of every interrupt
    blobs = last.by_order[e, -1]
    if blobs.shape[1] < 2:  # emcee drops an axis of one
        blobs = blobs[:, 0] if blobs.shape[1] else None
    state = emcee.State(
        last.positions[e, -1], last.log_probability[e, -1], blobs, _unpacked(last.random[e])
    )
    steps: Iterator[Any] = sampler.sample(
        state, iterations=None, store=False, skip_initial_state_check=True
    )
    return steps


def random_states(seed: int, n: int) -> NDArray[np.void]:
    """Return the states (n,) of n streams of random numbers that are independent of each other."""
    seeds = np.random.SeedSequence(seed).spawn(n)
    streams = [np.random.RandomState(np.random.MT19937(one)) for one in seeds]
    return _packed([tuple(stream.get_state(legacy=True)) for stream in streams])


def segment(steps: Sequence[Step]) -> Segment:
    """Put steps together."""
    arrays = {
        name: np.stack([getattr(step, name) for step in steps], axis=1)
        for name in Step._fields[:-1]
    }
    return Segment(**arrays, random=steps[-1].random)


def _packed(states: Sequence[tuple[Any, ...]]) -> NDArray[np.void]:
    return np.array([tuple(state[1:]) for state in states], dtype=RANDOM)


def _unpacked(random: NDArray[np.void]) -> tuple[Any, ...]:
    keys, place, has_gauss, gauss = (random[name] for name in RANDOM.names or ())
    return "MT19937", keys, int(place), int(has_gauss), float(gauss)
