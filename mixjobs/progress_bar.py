"""Progress of a job: bars in a terminal or a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from mixjobs.display import counted

Report = Callable[[str, int, int], None]  # stage, tasks done, tasks in total

# Seconds between lines: the interval grows with the time elapsed, so that the log of a job of many
# hours stays readable.
_MIN_INTERVAL, _MAX_INTERVAL, _INTERVAL_FRACTION = 10.0, 600.0, 0.05
_MIN_TASKS = 10  # finished before the time left is estimated: the first ones wait for workers


def line_interval(elapsed: float) -> float:
    """Return the seconds to wait between two lines, `elapsed` seconds after the start."""
    return min(max(_MIN_INTERVAL, _INTERVAL_FRACTION * elapsed), _MAX_INTERVAL)


@contextmanager
def reporter(task: str = "task") -> Iterator[Report]:
    """Yield a function (stage, done, total) that shows progress on standard error.

    Parameters
    ----------
    task : str
        What one of the tasks is called, in the plain lines.
    """
    console = Console(stderr=True)
    if not _has_bars(console):
        yield _lines(task)
        return
    columns = TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console) as bars:
        stages: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(stage, total=total)
            bars.update(stages[stage], completed=done)

        yield report


@contextmanager
def chosen_reporter(report: Report | Literal[False] | None) -> Iterator[Report]:
    """Yield the progress function for a call from Python.

    Parameters
    ----------
    report : callable, False or None
        The caller's own function; False shows nothing. None shows bars in a terminal or a notebook,
        and nothing elsewhere.
    """
    if callable(report):
        yield report
    elif report is None and is_watched():
        with reporter() as progress:
            yield progress
    else:
        yield lambda _stage, _done, _total: None


def is_watched() -> bool:
    """Whether progress is visible: standard error is a terminal, or this is a notebook."""
    console = Console(stderr=True)
    return console.is_terminal or console.is_jupyter


def _has_bars(console: Console) -> bool:
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


def _lines(task: str) -> Report:
    start: dict[str, float] = {}
    last_line: dict[str, float] = {}
    done_before: dict[str, int] = {}  # by an earlier run of a resumed job

    def report(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        start.setdefault(stage, now)
        done_before.setdefault(stage, done)
        elapsed = now - start[stage]
        if done < total and now - last_line.get(stage, start[stage]) < line_interval(elapsed):
            return
        last_line[stage] = now
        line = f"{stage}: {done} of {counted(total, task)}, {timedelta(seconds=round(elapsed))}"
        if done_before[stage] + _MIN_TASKS <= done < total:
            seconds_left = elapsed * (total - done) / (done - done_before[stage])
            line += f", {timedelta(seconds=round(seconds_left))} left"
        print(line, file=sys.stderr, flush=True)

    return report
