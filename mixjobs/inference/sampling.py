"""Sampling with emcee: ensembles that are independent of each other, checkpoints, and an end.

A chain is a function of its start, its seed and the log-probability alone: wherever it was
stopped or killed, it goes on bit for bit as if it had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import emcee
import numpy as np

from mixjobs.errors import InvalidInput, JobFailed
from mixjobs.inference.convergence import Assessment, assess
from mixjobs.inference.ensembles import Ensembles, LogProbability, Step, random_states, segment
from mixjobs.inference.run_folder import RunFolder, Segment
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
