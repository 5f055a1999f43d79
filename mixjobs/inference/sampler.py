"""Sampling with emcee: ensembles that are independent of each other, checkpoints, and an end.

A chain is a function of its start, its seed and the log-probability alone: wherever it was
stopped or killed, it goes on bit for bit as if it had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import emcee
import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import InvalidInput, JobFailed
from mixjobs.inference.convergence import Assessment, assess
from mixjobs.inference.run import RANDOM, RunFolder, Segment
from mixjobs.typing import Floats


@dataclass(frozen=True)
class Progress:
    """How far the sampling has come.

    Attributes
    ----------
    steps, limit : int
        Steps done, and at most to be done.
    acceptance : float
        Part of the proposals accepted since this process began; NaN before its first step.
    tau : float
        The longest autocorrelation time in steps when it was last estimated; NaN before.
    wanted : float
        Steps that tau asks for in all; NaN before tau is known.
    """

    steps: int
    limit: int
    acceptance: float
    tau: float
    wanted: float


def sample(
    log_probability: LogProbability,
    folder: RunFolder,
    start: Floats | None = None,
    *,
    bounds: Floats | None = None,
    checkpoint: int,
    max_steps: int,
    report: Callable[[Progress], None] = lambda _progress: None,
    stop: Callable[[], None] = lambda: None,
) -> Assessment:
    """Sample until the chain is long enough, or at its limit; go on where a run folder ends.

    The chain is long enough by the rule of `mixjobs.inference.convergence.assess`, which is asked
    at checkpoints: at each of the first 15, then at every second, from 32 on at every fourth, and
    so on. When it is asked depends on the number of steps alone, so that a chain that was
    stopped on its way ends where it would have ended.

    Whatever ends the sampling early (Ctrl-C, SIGTERM, a failed log-probability), the steps that
    all ensembles have done are written first. A SIGKILL loses those since the last checkpoint.

    Parameters
    ----------
    log_probability : callable
        Takes theta (walkers / 2, P), always of this one shape, and returns (walkers / 2, 1 + M):
        the log-probability, -inf outside the prior, and M numbers that are kept with each step.
    folder : RunFolder
        Its identity has the seed.
    start : ndarray (ensembles, walkers, P), optional
        Where each walker starts; not used by a run folder that has a start.
    bounds : ndarray (P, 2), optional
        Between which a probability is; walkers move as if they were infinitely far away.
    checkpoint : int
        Steps from one checkpoint to the next.
    max_steps : int
        Limit of the steps in all.
    report : callable, optional
        Called at the start and after each step.
    stop : callable, optional
        Called before each step; what it raises ends the sampling.

    Returns
    -------
    Assessment

    Raises
    ------
    InvalidInput
        The start cannot be used: its shape, a walker outside, walkers in one plane.
    JobFailed
        The log-probability is NaN, or inf; or the disk is full.
    StoreLocked
        Another live job samples into the folder.
    """
    if checkpoint < 1 or max_steps < 1:
        raise InvalidInput(
            f"checkpoint {checkpoint} and max_steps {max_steps}: both must be 1 or more"
        )
    guarded = _guarded(log_probability, folder.names)
    with folder.locked():
        if folder.last_step() is None:
            folder.write(0, _first_step(guarded, folder, start))
        record = _Record(folder)
        if bounds is None:
            bounds = np.tile([-np.inf, np.inf], (len(folder.names), 1))
        ensembles = Ensembles(guarded, bounds, folder.last_segment())
        try:
            return _advance(record, ensembles, checkpoint, max_steps, report, stop)
        except BaseException:
            record.flush()
            raise


def is_asked(n_steps: int, checkpoint: int) -> bool:
    """Whether the stopping rule is asked after so many steps: more and more seldom.

    Examples
    --------
    >>> [n for n in range(400) if is_asked(n, 10)][13:]
    [140, 150, 160, 180, 200, 220, 240, 260, 280, 300, 320, 360]
    """
    k, beside = divmod(n_steps, checkpoint)
    return k > 0 and beside == 0 and k % (1 << max(0, k.bit_length() - 4)) == 0


class _Record:
    """Steps that were done, of which the last ones are not on disk yet."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        # One attribute, so that no interrupt can fall between a change of its parts.
        self._written: tuple[int, list[Step]] = (folder.last_step() or 0, [])

    @property
    def n_steps(self) -> int:
        written, steps = self._written
        return written + len(steps)

    def add(self, step: Step) -> None:
        self._written[1].append(step)

    def flush(self) -> None:
        written, steps = self._written
        if steps:
            self.folder.write(written + 1, segment(steps))
            self._written = (written + len(steps), [])


def _advance(
    record: _Record,
    ensembles: Ensembles,
    checkpoint: int,
    max_steps: int,
    report: Callable[[Progress], None],
    stop: Callable[[], None],
) -> Assessment:
    done, tau, wanted = False, np.nan, np.nan
    while True:
        n = record.n_steps
        if n % checkpoint == 0 or n >= max_steps:
            record.flush()
        if is_asked(n, checkpoint) or n >= max_steps:
            judged = assess(record.folder.positions())
            tau, wanted = judged.longest, judged.wanted
            done = judged.enough or n >= max_steps
        report(Progress(n, max_steps, ensembles.acceptance, tau, wanted))
        if done:
            return judged
        stop()
        record.add(ensembles.step())


def _first_step(
    log_probability: LogProbability, folder: RunFolder, start: Floats | None
) -> Segment:
    """Return the start as a step of its own, number 0."""
    start = np.array([] if start is None else start, dtype=np.float64)
    n_parameters = len(folder.names)
    _check_shape(start, n_parameters)
    values = np.stack([
        np.concatenate([log_probability(half) for half in np.split(ensemble, 2)])
        for ensemble in start
    ])  # fmt: skip
    outside = np.argwhere(~np.isfinite(values[..., 0]))
    if len(outside):
        e, k = outside[0]
        raise InvalidInput(
            f"{len(outside)} walkers start where the probability is zero, the first of them at "
            f"{_told(start[e, k], folder.names)}; start each one within the prior"
        )
    random = random_states(folder.identity["seed"], len(start))
    moved = np.zeros(len(start), dtype=np.int64)
    return segment([Step(start, values[..., 0], values[..., 1:], moved, random)])


def _check_shape(start: Floats, n_parameters: int) -> None:
    if start.ndim != 3 or start.shape[-1] != n_parameters or not len(start):
        raise InvalidInput(
            f"a start of shape {start.shape}; give (ensembles, walkers, {n_parameters})"
        )
    walkers, least = start.shape[1], max(2 * n_parameters, 4)
    if walkers % 2 or walkers < least:
        raise InvalidInput(
            f"{walkers} walkers for {n_parameters} parameters; give an even number, {least} or more"
        )
    for e, ensemble in enumerate(start):
        if not emcee.walkers_independent(ensemble):
            raise InvalidInput(
                f"the walkers of ensemble {e} start in one plane, or not at finite values, and "
                "would never leave it; spread them in every parameter"
            )


def _guarded(log_probability: LogProbability, names: Sequence[str]) -> LogProbability:
    """Have a fault of the log-probability told with its theta, and not by emcee."""

    def guarded(theta: Floats) -> Floats:
        values = np.array(log_probability(theta.copy()), dtype=np.float64)
        if values.ndim != 2 or len(values) != len(theta) or not values.shape[1]:
            raise InvalidInput(
                f"the log-probability of {len(theta)} thetas has the shape {values.shape}; "
                f"({len(theta)}, 1 + M) is expected"
            )
        inside = values[:, 0] > -np.inf
        wrong = np.isnan(values).any(axis=1) & inside | np.isnan(values[:, 0])
        wrong |= values[:, 0] == np.inf
        if wrong.any():
            k = int(np.argmax(wrong))
            raise JobFailed(
                f"the log-probability is {values[k, 0]:g} at {_told(theta[k], names)}, with "
                f"{np.isnan(values[k, 1:]).sum()} of its orders NaN: a fault of the model or the "
                "data; the steps before are kept"
            )
        return values

    return guarded


def _told(theta: Floats, names: Sequence[str]) -> str:
    return ", ".join(f"{name}={float(x)!r}" for name, x in zip(names, theta, strict=True))


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


_FAR = 36.0  # the logit at which a share of an interval is 1 but for the rounding of a double


@dataclass(frozen=True, eq=False)
class Box:
    """What lies between bounds, and its map to a space without any.

    Parameter by parameter z = ln(theta - low) - ln(high - theta), without the term of a bound that
    is infinite; z = theta where both are.

    Attributes
    ----------
    bounds : ndarray (P, 2)
    """

    bounds: Floats

    def to_space(self, theta: Floats) -> Floats:
        """Map theta (n, P) to z (n, P)."""
        low, high = np.isfinite(self.bounds).T
        above, below = self._distances(theta)
        z = np.where(low | high, above - below, theta)
        return np.where(low & high, np.clip(z, -_FAR, _FAR), z)

    def from_space(self, z: Floats) -> Floats:
        """Map z (n, P) to theta (n, P)."""
        low, high = np.isfinite(self.bounds).T
        a, b = self.bounds.T
        with np.errstate(over="ignore", invalid="ignore"):
            cases = [low & high, low, high]
            theta = [a + (b - a) / (1 + np.exp(-z)), a + np.exp(z), b - np.exp(-z)]
            return np.select(cases, theta, z)

    def log_jacobian(self, theta: Floats) -> Floats:
        """Return ln |d theta / d z|, (n,); -inf at a bound."""
        both = np.isfinite(self.bounds).all(axis=1)
        width = np.ptp(self.bounds[both], axis=1)
        above, below = self._distances(theta)
        total: Floats = (above + below).sum(axis=1) - np.log(width).sum()
        return total

    def _distances(self, theta: Floats) -> tuple[Floats, Floats]:
        """Return ln(theta - low) and ln(high - theta), each (n, P); 0 for an infinite bound."""
        low, high = np.isfinite(self.bounds).T
        a, b = self.bounds.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(low, np.log(theta - a), 0), np.where(high, np.log(b - theta), 0)


def make_moves(bounds: Floats) -> list[tuple[Any, float]]:
    """Return emcee's moves within bounds (P, 2), and how often each is made.

    On correlated Gaussians of 8 and 12 parameters, with and without a wall through them, the
    autocorrelation time of differential evolution is a quarter of the stretch move's. A fifth of
    stretch moves costs a tenth of that, and in a bent valley, where steps of one length are often
    too long, it is shorter with them (about 230 steps, 360 without, 530 with stretch moves alone).
    Both know neither scale nor direction, keep nothing from step to step, and propose for half of
    the walkers at a time: one batch shape. The snooker move proposes for a quarter.
    """
    box = Box(bounds)
    return [
        (_within(box, emcee.moves.DEMove()), 0.8),
        (_within(box, emcee.moves.StretchMove()), 0.2),
    ]


def _within(box: Box, move: Any) -> Any:
    """Have a move make its proposals in the box's space."""
    propose = move.get_proposal

    def get_proposal(
        moving: Floats, others: Sequence[Floats], random: Any
    ) -> tuple[Floats, Floats]:
        z, factors = propose(box.to_space(moving), [box.to_space(z) for z in others], random)
        theta = box.from_space(z)
        return theta, factors + box.log_jacobian(theta) - box.log_jacobian(moving)

    move.get_proposal = get_proposal
    return move
