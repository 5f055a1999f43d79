"""Ensemble sampling with emcee: independent ensembles, checkpoints and a stopping rule.

A chain depends only on its start, its seed and the log-probability. If it is stopped or killed, it
continues bit for bit as if it had not been interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import emcee
import numpy as np
from numpy.typing import NDArray

from mixjobs.display import counted
from mixjobs.errors import InvalidInput, JobFailed
from mixjobs.inference.convergence import Convergence, assess
from mixjobs.inference.distributed import distribute
from mixjobs.inference.run_folder import RunFolder
from mixjobs.inference.segments import RANDOM, Segment
from mixjobs.typing import Floats, Ints

if TYPE_CHECKING:
    from distributed import Client

ByOrder = Callable[[Floats], Floats]  # `LogProbability.by_order`, or any other function like it


@dataclass(frozen=True)
class Progress:
    """Progress of the sampling.

    Attributes
    ----------
    steps, limit : int
        Steps done, and the largest number of steps.
    acceptance : float
        Fraction of the proposals accepted since this process started; NaN before its first step.
    tau : float
        Latest estimate of the longest autocorrelation time, in steps; NaN before the first.
    required : float
        Length that the chain needs according to `tau`, in steps; NaN before the first estimate.
    """

    steps: int
    limit: int
    acceptance: float
    tau: float
    required: float


def run_ensembles(
    log_probability: ByOrder,
    folder: RunFolder,
    start: Floats | None = None,
    *,
    bounds: Floats | None = None,
    checkpoint: int,
    max_steps: int,
    report: Callable[[Progress], None] = lambda _progress: None,
    client: Client | None = None,
) -> Convergence:
    """Sample until the chain in a run folder has converged, or reaches its limit.

    Convergence is defined by `mixjobs.inference.convergence.assess`. It is checked at each of the
    first 15 checkpoints, then at every second, from the 32nd at every fourth, and so on. The
    schedule depends only on the number of steps, so an interrupted chain ends where an
    uninterrupted one would.

    If Ctrl-C, SIGTERM or an error ends the sampling early, the completed steps are written first.
    SIGKILL loses the steps since the last checkpoint.

    Parameters
    ----------
    log_probability : callable
        Takes x (walkers / 2, P), always of this shape, and returns (walkers / 2, 1 + M): the
        log-probability, -inf outside the prior, and M numbers to store with each step.
    folder : RunFolder
        Its identity holds the seed.
    start : ndarray (ensembles, walkers, P), optional
        Initial positions of the walkers. Ignored if the folder has a start.
    bounds : ndarray (P, 2), optional
        Bounds of the parameters. Walkers move in an unbounded space; see `Box`.
    checkpoint : int
        Steps between checkpoints.
    max_steps : int
        Largest number of steps.
    report : callable, optional
        Called at the start and after each step. An exception that it raises ends the sampling.
    client : Client, optional
        Its workers advance the ensembles, for a log-probability that can be pickled and does not
        use the workers itself.

    Returns
    -------
    Convergence

    Raises
    ------
    InvalidInput
        The start has the wrong shape, a walker is outside the prior, or the walkers lie in a plane.
    JobFailed
        The log-probability is NaN or inf, or the disk is full.
    StoreLocked
        Another live job is sampling into the folder.
    """
    for name, value in (("checkpoint", checkpoint), ("max_steps", max_steps)):
        if value < 1:
            raise InvalidInput(f"{name} = {value}; expected 1 or more", name=name, value=value)
    checked = _checked(log_probability, folder.names)
    with folder.locked():
        if folder.last_step() is None:
            folder.write(0, _first_step(checked, folder, start))
        steps = _Steps(folder)
        if bounds is None:
            bounds = np.tile([-np.inf, np.inf], (len(folder.names), 1))
        ensembles = Ensembles(checked, bounds, folder.last_segment(), client)
        try:
            return _advance(steps, ensembles, checkpoint, max_steps, report)
        except BaseException:
            steps.flush()
            raise


def is_check_due(n_steps: int, checkpoint: int) -> bool:
    """Whether convergence is checked after `n_steps`; checks become rarer as the chain grows.

    Examples
    --------
    >>> [n for n in range(400) if is_check_due(n, 10)][13:]
    [140, 150, 160, 180, 200, 220, 240, 260, 280, 300, 320, 360]
    """
    k, remainder = divmod(n_steps, checkpoint)
    return k > 0 and remainder == 0 and k % (1 << max(0, k.bit_length() - 4)) == 0


class _Steps:
    """The completed steps; the latest are not on disk yet."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        # One attribute for both, so that no interrupt can fall between two assignments.
        self._written: tuple[int, list[Step]] = (folder.last_step() or 0, [])

    def __len__(self) -> int:
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
    steps: _Steps,
    ensembles: Ensembles,
    checkpoint: int,
    max_steps: int,
    report: Callable[[Progress], None],
) -> Convergence:
    finished, tau, required = False, np.nan, np.nan
    while True:
        n = len(steps)
        if n % checkpoint == 0 or n >= max_steps:
            steps.flush()
        if is_check_due(n, checkpoint) or n >= max_steps:
            convergence = assess(steps.folder.positions())
            tau, required = convergence.max_tau, convergence.required_steps
            finished = convergence.converged or n >= max_steps
        report(Progress(n, max_steps, ensembles.acceptance, tau, required))
        if finished:
            return convergence
        steps.add(ensembles.step())


def _first_step(log_probability: ByOrder, folder: RunFolder, start: Floats | None) -> Segment:
    """Return the start as step 0."""
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
            f"{counted(len(outside), 'walker')} would start where the probability is zero, "
            f"the first at {_named(start[e, k], folder.names)}; start every walker within "
            "the prior",
            name="start",
            value=start[e, k],
        )
    random = random_states(folder.identity["seed"], len(start))
    accepted = np.zeros(len(start), dtype=np.int64)
    return segment([Step(start, values[..., 0], values[..., 1:], accepted, random)])


def _check_shape(start: Floats, n_parameters: int) -> None:
    if start.ndim != 3 or start.shape[-1] != n_parameters or not len(start):
        raise InvalidInput(
            f"start has the shape {start.shape}; expected (ensembles, walkers, {n_parameters})",
            name="start",
            value=start.shape,
        )
    walkers, min_walkers = start.shape[1], max(2 * n_parameters, 4)
    if walkers % 2 or walkers < min_walkers:
        raise InvalidInput(
            f"{counted(walkers, 'walker')} for {counted(n_parameters, 'parameter')}; "
            f"expected an even number of at least {min_walkers}",
            name="walkers",
            value=walkers,
        )
    for e, ensemble in enumerate(start):
        if not emcee.walkers_independent(ensemble):
            raise InvalidInput(
                f"the walkers of ensemble {e} lie in a plane, or are not finite, and would never "
                "leave it; scatter them in every parameter",
                name="start",
            )


def _checked(log_probability: ByOrder, names: Sequence[str]) -> ByOrder:
    """Check the values of a log-probability; an error names the parameters."""

    def checked(x: Floats) -> Floats:
        values = np.array(log_probability(x.copy()), dtype=np.float64)
        if values.ndim != 2 or len(values) != len(x) or not values.shape[1]:
            raise InvalidInput(
                f"log_probability returned the shape {values.shape} for {len(x)} samples; "
                f"expected ({len(x)}, 1 + M)",
                name="log_probability",
                value=values.shape,
            )
        inside = values[:, 0] > -np.inf
        invalid = np.isnan(values).any(axis=1) & inside | np.isnan(values[:, 0])
        invalid |= values[:, 0] == np.inf
        if invalid.any():
            k = int(np.argmax(invalid))
            raise JobFailed(
                f"the log-probability is {values[k, 0]:g} at {_named(x[k], names)}, and NaN in "
                f"{np.isnan(values[k, 1:]).sum()} orders; check the data and the model (all "
                "completed steps are kept)",
                name="log_probability",
                value=x[k],
            )
        return values

    return checked


def _named(x: Floats, names: Sequence[str]) -> str:
    return ", ".join(f"{name}={float(value)!r}" for name, value in zip(names, x, strict=True))


class Step(NamedTuple):
    """One step of all ensembles: the attributes of a `Segment`, without the axis of steps."""

    positions: Floats
    log_probability: Floats
    by_order: Floats
    accepted: Ints
    random: NDArray[np.void]


class EnsembleState(NamedTuple):
    """What determines the further steps of one ensemble."""

    positions: Floats
    log_probability: Floats
    by_order: Floats
    random: NDArray[np.void]


class Ensembles:
    """All ensembles, each with its own random numbers.

    Parameters
    ----------
    log_probability : callable
    bounds : (P, 2) array
    last : Segment
        Its last step is where the ensembles begin.
    client : Client, optional
        Its workers advance the ensembles, at the same time. None advances them in turn, here.
    """

    def __init__(
        self,
        log_probability: ByOrder,
        bounds: Floats,
        last: Segment,
        client: Client | None = None,
    ) -> None:
        last_step = (last.positions, last.log_probability, last.by_order)
        arrays = [array[:, -1] for array in last_step]
        self._states = [EnsembleState(*each) for each in zip(*arrays, last.random, strict=True)]
        build = partial(_advancing, log_probability, bounds)
        self._advance = distribute(client, build, range(len(self._states)))
        self.n_proposed, self.n_accepted = 0, 0

    def step(self) -> Step:
        """Advance the ensembles by one step."""
        before, self._states = self._states, self._advance(self._states)
        arrays = [np.stack(each) for each in zip(*self._states, strict=True)]
        moved = arrays[0] != np.stack([state.positions for state in before])
        accepted = moved.any(axis=-1).sum(axis=-1)
        self.n_proposed += arrays[1].size
        self.n_accepted += int(accepted.sum())
        positions, log_probability, by_order, random = arrays
        return Step(positions, log_probability, by_order, accepted, random)

    @property
    def acceptance(self) -> float:
        """Fraction of the proposals that were accepted; NaN before the first."""
        return self.n_accepted / self.n_proposed if self.n_proposed else np.nan


def _advancing(
    log_probability: ByOrder, bounds: Floats, indices: Sequence[int]
) -> Callable[[Sequence[EnsembleState]], list[EnsembleState]]:
    """Return a function that advances the ensembles with these indices by one step."""

    def advance(states: Sequence[EnsembleState]) -> list[EnsembleState]:
        return [_advanced(log_probability, bounds, states[e]) for e in indices]

    return advance


def _advanced(log_probability: ByOrder, bounds: Floats, state: EnsembleState) -> EnsembleState:
    """Advance an ensemble by one step with emcee, which keeps no state of its own."""
    sampler = emcee.EnsembleSampler(
        *state.positions.shape, log_probability, vectorize=True, moves=make_moves(bounds)
    )
    sampler.log_prob_fn = log_probability  # emcee's wrapper prints a traceback at every interrupt
    blobs: Floats | None = state.by_order
    if state.by_order.shape[1] < 2:  # emcee drops an axis of length 1
        blobs = state.by_order[:, 0] if state.by_order.shape[1] else None
    steps = sampler.sample(
        emcee.State(state.positions, state.log_probability, blobs, _unpacked(state.random)),
        iterations=1, store=False, skip_initial_state_check=True,
    )  # fmt: skip
    after = next(steps)
    by_order = np.reshape([] if after.blobs is None else after.blobs, state.by_order.shape)
    random = _packed([after.random_state])[0]
    return EnsembleState(after.coords, after.log_prob, by_order, random)


def random_states(seed: int, n: int) -> NDArray[np.void]:
    """Return the states (n,) of n independent random number generators."""
    seeds = np.random.SeedSequence(seed).spawn(n)
    generators = [np.random.RandomState(np.random.MT19937(child)) for child in seeds]
    return _packed([tuple(generator.get_state(legacy=True)) for generator in generators])


def segment(steps: Sequence[Step]) -> Segment:
    """Join consecutive steps."""
    arrays = {
        name: np.stack([getattr(step, name) for step in steps], axis=1)
        for name in Step._fields[:-1]
    }
    return Segment(**arrays, random=steps[-1].random)


def _packed(states: Sequence[tuple[Any, ...]]) -> NDArray[np.void]:
    return np.array([tuple(state[1:]) for state in states], dtype=RANDOM)


def _unpacked(random: NDArray[np.void]) -> tuple[Any, ...]:
    keys, position, has_gauss, gauss = (random[name] for name in RANDOM.names or ())
    return "MT19937", keys, int(position), int(has_gauss), float(gauss)


def short_chain(
    log_probability: Callable[[Floats], Any],
    start: Floats,
    log_start: Floats,
    *,
    bounds: Floats,
    n_steps: int,
    seed: Sequence[int],
) -> Floats:
    """Sample with one ensemble, without a run folder.

    Parameters
    ----------
    log_probability : callable
        Takes x (walkers / 2, P), and returns ln P (walkers / 2,).
    start : (walkers, P) array
    log_start : (walkers,) array
        ln P at the start.
    bounds : (P, 2) array
    n_steps : int
    seed : sequence of int

    Returns
    -------
    (n_steps, walkers, P) array
    """
    sampler = emcee.EnsembleSampler(
        *start.shape, log_probability, vectorize=True, moves=make_moves(bounds)
    )
    sampler.log_prob_fn = log_probability  # as in `_advanced`
    random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
    state = emcee.State(start, log_start, None, random.get_state())
    steps = sampler.sample(state, iterations=n_steps, store=False, skip_initial_state_check=True)
    return np.array([step.coords.copy() for step in steps])


_MAX_LOGIT = 36.0  # for larger values, the fraction of the interval rounds to 1


@dataclass(frozen=True, eq=False)
class Box:
    """A box of parameters x, and its map to an unbounded space z.

    For each parameter, z = ln(x - low) - ln(high - x). The term of an infinite bound is left out;
    z = x if both bounds are infinite.

    Attributes
    ----------
    bounds : ndarray (P, 2)
    """

    bounds: Floats

    def to_space(self, x: Floats) -> Floats:
        """Map x (n, P) to z (n, P)."""
        low, high = np.isfinite(self.bounds).T
        above, below = self._distances(x)
        z = np.where(low | high, above - below, x)
        return np.where(low & high, np.clip(z, -_MAX_LOGIT, _MAX_LOGIT), z)

    def from_space(self, z: Floats) -> Floats:
        """Map z (n, P) to x (n, P)."""
        low, high = np.isfinite(self.bounds).T
        a, b = self.bounds.T
        with np.errstate(over="ignore", invalid="ignore"):
            cases = [low & high, low, high]
            x = [a + (b - a) / (1 + np.exp(-z)), a + np.exp(z), b - np.exp(-z)]
            return np.select(cases, x, z)

    def log_jacobian(self, x: Floats) -> Floats:
        """Return ln |dx / dz|, (n,); -inf at a bound."""
        both = np.isfinite(self.bounds).all(axis=1)
        width = np.ptp(self.bounds[both], axis=1)
        above, below = self._distances(x)
        total: Floats = (above + below).sum(axis=1) - np.log(width).sum()
        return total

    def _distances(self, x: Floats) -> tuple[Floats, Floats]:
        """Return ln(x - low) and ln(high - x), each (n, P); 0 for an infinite bound."""
        low, high = np.isfinite(self.bounds).T
        a, b = self.bounds.T
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(low, np.log(x - a), 0), np.where(high, np.log(b - x), 0)


def make_moves(bounds: Floats) -> list[tuple[Any, float]]:
    """Return emcee's moves within bounds (P, 2), each with its probability.

    On correlated Gaussians of 8 and 12 parameters, with and without a wall through them, the
    autocorrelation time of differential evolution is a quarter of the stretch move's. A fifth of
    stretch moves makes it longer by a tenth, but is better in a curved valley: about 230 steps,
    instead of 360 with differential evolution alone and 530 with stretch moves alone.

    Both moves are affine invariant and keep no state between steps. Both propose for half of the
    walkers at a time, so that every batch has the same shape; the snooker move uses a quarter.
    """
    box = Box(bounds)
    return [
        (_within(box, emcee.moves.DEMove()), 0.8),
        (_within(box, emcee.moves.StretchMove()), 0.2),
    ]


def _within(box: Box, move: Any) -> Any:
    """Make the proposals of a move in the unbounded space of a box."""
    propose = move.get_proposal

    def get_proposal(
        moving: Floats, others: Sequence[Floats], random: Any
    ) -> tuple[Floats, Floats]:
        z, factors = propose(
            box.to_space(moving), [box.to_space(other) for other in others], random
        )
        x = box.from_space(z)
        return x, factors + box.log_jacobian(x) - box.log_jacobian(moving)

    move.get_proposal = get_proposal
    return move
