"""Progress of a job: a bar a stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def reporter() -> Iterator[Report]:
    """Yield a function (stage, done, total) that shows progress on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    columns = TextColumn("{task.description:14}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console) as bars:
        stages: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(stage, total=total)
            bars.update(stages[stage], completed=done)

        yield report


def _lines() -> Report:
    begun: dict[str, float] = {}
    last: dict[str, float] = {}

    def report(stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        begun.setdefault(stage, now)
        if done < total and now - last.get(stage, begun[stage]) < _SECONDS_BETWEEN_LINES:
            return
        last[stage] = now
        seconds = now - begun[stage]
        print(f"{stage}: {done} of {total} blocks, {seconds:.0f} s", file=sys.stderr, flush=True)

    return report
