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
            bars.update(
                task, completed=progress.steps, total=progress.limit, description=figures(progress)
            )

        yield report


def figures(progress: Progress) -> str:
    """Return the acceptance fraction, the autocorrelation time and the steps still needed.

    Figures that are not known yet are left out.
    """
    parts = []
    if math.isfinite(progress.acceptance):
        parts.append(f"acceptance {progress.acceptance:.2f} since the start")
    if math.isfinite(progress.tau):
        left = max(0.0, progress.wanted - progress.steps)
        parts.append(f"autocorrelation time {progress.tau:.3g} steps")
        parts.append(f"about {left:.0f} more steps needed" if left else "long enough")
    return ", ".join(parts)


def _lines() -> Report:
    moments: dict[str, float] = {}  # of the first call and of the last line

    def report(progress: Progress) -> None:
        now = time.monotonic()
        elapsed = now - moments.setdefault("first", now)
        waited = now - moments.setdefault("last", now)
        if progress.steps < progress.limit and waited < line_interval(elapsed):
            return
        moments["last"] = now
        line = f"sampling: step {progress.steps} of at most {progress.limit}"
        parts = [line, str(timedelta(seconds=round(elapsed))), figures(progress)]
        print(", ".join(filter(None, parts)), file=sys.stderr, flush=True)

    return report
