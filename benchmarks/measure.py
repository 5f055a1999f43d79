"""What every benchmark uses: timing in turn, ratios, rows of the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixjobs.typing import Floats

at_end = ExitStack()  # what is to be closed when the table is printed


class Skipped(Exception):
    """A benchmark that cannot be run here, with the reason."""


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` is None where there is no aim."""

    what: str
    measured: str
    aim: str = ""
    met: bool | None = None


@dataclass
class StageClock:
    """The `report` of a build: when each stage was first and last heard of.

    `after` is called, outside the clock, when a stage's last block is done.
    """

    after: Callable[[str], None] | None = None
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.perf_counter()
        self.first.setdefault(stage, now)
        self.last[stage] = now
        if self.after and done == total:
            self.after(stage)


def seconds(function: Callable[[], object], repeat: int = 1) -> float:
    """Seconds that one call takes, as the mean of `repeat` calls."""
    begun = time.perf_counter()
    for _ in range(repeat):
        function()
    return (time.perf_counter() - begun) / repeat


def cpu_seconds(function: Callable[[], object], repeat: int = 1) -> float:
    """Seconds of this process's CPU that one call takes, as the mean of `repeat` calls.

    For what runs in one thread and waits for nothing: what else the machine does hits it less.
    """
    begun = time.process_time()
    for _ in range(repeat):
        function()
    return (time.process_time() - begun) / repeat


def in_turn(rounds: int, **sides: Callable[[], float]) -> dict[str, Floats]:
    """Measure all sides in turn, A B A B, so that the machine's noise hits all of them.

    Each side returns its own seconds. The first of several rounds is not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            times[name].append(side())
    return {name: counted(values) for name, values in times.items()}


def counted(values: Sequence[float]) -> Floats:
    """Leave out the first of several values: what runs for the first time is slower."""
    return np.array(values[1:] or values)


def ratio(above: Floats, below: Floats) -> float:
    """Median of the ratios of the rounds."""
    return float(np.median(above / below))


def spread(above: Floats, below: Floats) -> str:
    """The smallest and the largest ratio of any round."""
    each = above / below
    return f"{each.min():.3g} to {each.max():.3g}"


def same(what: str, ours: NDArray[np.generic], theirs: NDArray[np.generic], rtol: float) -> None:
    """Stop where the two sides of a benchmark have not computed the same thing."""
    if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=rtol, atol=0):
        raise RuntimeError(f"{what}: the two sides of the benchmark disagree")
