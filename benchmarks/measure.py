"""Timing in turn, ratios of times, and rows of the table of benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mixjobs.typing import Floats

at_end = ExitStack()  # closed when the table is complete


@dataclass(frozen=True)
class Row:
    """One row of the table; `met` is None where there is no goal."""

    what: str
    measured: str
    aim: str = ""
    met: bool | None = None


@dataclass
class StageClock:
    """The `report` of a build: when each stage first and last reported progress.

    `after` is called, outside the measured time, when the last task of a stage is complete.
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
    """Return the seconds per call, the mean of `repeat` calls."""
    start = time.perf_counter()
    for _ in range(repeat):
        function()
    return (time.perf_counter() - start) / repeat


def cpu_seconds(function: Callable[[], object], repeat: int = 1) -> float:
    """Return the CPU seconds of this process per call, the mean of `repeat` calls.

    Use this for code that runs in one thread without waiting: other programs disturb it less.
    """
    start = time.process_time()
    for _ in range(repeat):
        function()
    return (time.process_time() - start) / repeat


def in_turn(rounds: int, **sides: Callable[[], float]) -> dict[str, Floats]:
    """Measure all sides in turn, A B A B, so that the noise of the machine affects all of them.

    Each side returns its own seconds. The first of several rounds is discarded.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            times[name].append(side())
    return {name: counted(values) for name, values in times.items()}


def counted(values: Sequence[float]) -> Floats:
    """Discard the first of several values: a first run is slower."""
    return np.array(values[1:] or values)


def ratio(above: Floats, below: Floats) -> float:
    """Return the median ratio of the rounds."""
    return float(np.median(above / below))


def interval(above: Floats, below: Floats) -> str:
    """Write the smallest and the largest ratio of any round."""
    ratios = above / below
    return f"{ratios.min():.3g} to {ratios.max():.3g}"


def same(what: str, ours: NDArray[np.generic], theirs: NDArray[np.generic], rtol: float) -> None:
    """Stop if the two sides of a benchmark did not compute the same thing."""
    if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=rtol, atol=0):
        raise RuntimeError(f"{what}: the two sides of the benchmark disagree")
