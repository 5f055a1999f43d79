"""Progress of sampling: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from mixjobs.inference.sampler import Progress
from mixjobs.progress_bar import line_interval

Report = Callable[[Progress], None]


@contextmanager
def sampling_reporter() -> Iterator[Report]:
    """Yield a function that shows a `Progress` on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    columns = TextColumn("sampling"), BarColumn(), MofNCompleteColumn()
    more = TimeElapsedColumn(), TextColumn("{task.description}")
    with Bars(*columns, *more, console=console) as bars:
        task = bars.add_task("", total=None)

        def report(progress: Progress) -> None:
            text = progress_text(progress)
            bars.update(task, completed=progress.steps, total=progress.limit, description=text)

        yield report


def progress_text(progress: Progress) -> str:
    """Describe the acceptance, the autocorrelation time and the steps left, as far as known."""
    parts = []
    if math.isfinite(progress.acceptance):
        parts.append(f"acceptance {progress.acceptance:.2f} since the start")
    if math.isfinite(progress.tau):
        n_left = max(0.0, progress.required - progress.steps)
        parts.append(f"autocorrelation time {progress.tau:.3g} steps")
        parts.append(f"about {n_left:.0f} more steps needed" if n_left else "long enough")
    return ", ".join(parts)


def _lines() -> Report:
    times: dict[str, float] = {}  # of the first call and of the last line

    def report(progress: Progress) -> None:
        now = time.monotonic()
        elapsed = now - times.setdefault("first", now)
        waited = now - times.setdefault("last", now)
        if progress.steps < progress.limit and waited < line_interval(elapsed):
            return
        times["last"] = now
        line = f"sampling: step {progress.steps} of at most {progress.limit}"
        parts = [line, str(timedelta(seconds=round(elapsed))), progress_text(progress)]
        print(", ".join(filter(None, parts)), file=sys.stderr, flush=True)

    return report
