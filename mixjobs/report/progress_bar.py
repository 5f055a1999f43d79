"""Progress of a job: a bar a stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

Report = Callable[[str, int, int], None]

# Between lines: at first, at most, and in between a part of the time that has passed, so that
# the output of a job of many hours stays readable.
_FIRST, _MOST, _PART = 10.0, 600.0, 0.05
_ENOUGH = 10  # blocks before an estimate says anything: the first ones wait for workers


def pause(seconds: float) -> float:
    """Return the seconds between lines when so many have passed since the first."""
    return min(max(_FIRST, _PART * seconds), _MOST)


@contextmanager
def reporter(what: str = "blocks") -> Iterator[Report]:
    """Yield a function (stage, done, total) that shows progress on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(what)
        return
    columns = TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console) as bars:
        stages: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(stage, total=total)
            bars.update(stages[stage], completed=done)

        yield report


def _lines(what: str) -> Report:
    begun: dict[str, float] = {}
    last: dict[str, float] = {}
    there: dict[str, int] = {}  # at the start, of a job that goes on

    def report(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        begun.setdefault(stage, now)
        there.setdefault(stage, done)
        seconds = now - begun[stage]
        if done < total and now - last.get(stage, begun[stage]) < pause(seconds):
            return
        last[stage] = now
        line = f"{stage}: {done} of {total} {what}, {timedelta(seconds=round(seconds))}"
        if there[stage] + _ENOUGH <= done < total:
            left = seconds * (total - done) / (done - there[stage])
            line += f", {timedelta(seconds=round(left))} left"
        print(line, file=sys.stderr, flush=True)

    return report
