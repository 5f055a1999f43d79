"""Trials of a validation script: the command line, results kept one by one, and tables.

A script has a list of trials and a function that runs one of them. A trial is a flat dict of
what distinguishes it; the function adds its results. Results go to a file of JSON lines, one
trial at a time, so an interrupted run continues where it stopped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

Trial = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """The command line of a script."""

    small: bool
    processes: int
    folder: Path
    report: bool


def read_options(name: str, description: str) -> Options:
    """Read the command line of a script; its results go to a folder named after it."""
    parser = argparse.ArgumentParser(prog=f"python -m validation.{name}", description=description)
    out = Path(tempfile.gettempdir()) / "mixjobs-validation"
    parser.add_argument("--small", action="store_true", help="a size that runs in seconds")
    parser.add_argument("--processes", type=int, default=1, help="number of parallel trials")
    parser.add_argument("--out", type=Path, default=out, help=f"folder of results ({out})")
    parser.add_argument("--report", action="store_true", help="only report the kept results")
    arguments = parser.parse_args()
    folder = arguments.out / (f"{name}-small" if arguments.small else name)
    folder.mkdir(parents=True, exist_ok=True)
    return Options(arguments.small, arguments.processes, folder, arguments.report)


def run_trials(
    trials: Sequence[Trial], run_one: Callable[[Trial], Trial], path: Path, processes: int
) -> None:
    """Run the trials whose results are not in the file, and append each as it ends."""
    results = read_results(path)
    complete = [{key: result[key] for key in trials[0]} for result in results]
    missing = [trial for trial in trials if trial not in complete]
    rewritten = path.with_suffix(".rewritten")  # without a truncated last line
    rewritten.write_text("".join(json.dumps(result) + "\n" for result in results))
    rewritten.replace(path)
    with path.open("a") as file:
        for result in _run_each(missing, run_one, processes):
            file.write(json.dumps(result) + "\n")
            file.flush()


def _run_each(
    trials: Sequence[Trial], run_one: Callable[[Trial], Trial], processes: int
) -> Iterator[Trial]:
    if processes == 1:
        yield from map(run_one, trials)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(run_one, trials)


def read_results(path: Path) -> list[Trial]:
    """Read the kept results; the last line is ignored if it is truncated."""
    lines = path.read_text().split("\n")[:-1] if path.is_file() else []
    return [json.loads(line) for line in lines]


def select(results: Sequence[Trial], **values: object) -> list[Trial]:
    """Return the results with these values."""
    return [t for t in results if all(t[name] == value for name, value in values.items())]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
