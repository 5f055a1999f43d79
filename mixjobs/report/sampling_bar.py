"""Progress of sampling: a bar on a terminal, plain lines elsewhere."""

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
from mixjobs.report.progress_bar import pause

Report = Callable[[Progress], None]


@contextmanager
def sampling_reporter() -> Iterator[Report]:
    """Yield a function of a `Progress` that shows it on standard error."""
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
    """Return acceptance, autocorrelation time and the steps still wanted, as far as known."""
    said = []
    if math.isfinite(progress.acceptance):
        said.append(f"acceptance {progress.acceptance:.2f}")
    if math.isfinite(progress.tau):
        left = max(0.0, progress.wanted - progress.steps)
        said.append(f"autocorrelation time {progress.tau:.3g} steps")
        said.append(f"about {left:.0f} more wanted" if left else "long enough if it stays so")
    return ", ".join(said)


def _lines() -> Report:
    at: dict[str, float] = {}  # the first call, the last line

    def report(progress: Progress) -> None:
        now = time.monotonic()
        seconds = now - at.setdefault("first", now)
        if progress.steps < progress.limit and now - at.setdefault("last", now) < pause(seconds):
            return
        at["last"] = now
        line = f"sampling: step {progress.steps} of at most {progress.limit}"
        parts = [line, str(timedelta(seconds=round(seconds))), figures(progress)]
        print(", ".join(filter(None, parts)), file=sys.stderr, flush=True)

    return report
