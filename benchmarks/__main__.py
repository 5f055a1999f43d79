"""Print the table of benchmarks: ``python -m benchmarks [NAME ...] [--small]``."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version

from benchmarks.measure import Row, Skipped, at_end

NAMES = (
    "reading", "notebook", "table", "interpolator", "walkers", "accuracy", "emulator", "mixture",
    "mixture_orders", "honesty", "likelihood", "sampling_step", "marginalised",
    "bounds",
)  # fmt: skip
BY_HAND = ("scaling",)  # ten minutes: only where it is named
CHOICES = NAMES + BY_HAND
PACKAGES = ("numpy", "scipy", "h5py", "zarr", "distributed")


def main() -> None:
    """Run the benchmarks asked for, and print each as soon as it is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = f"{', '.join(NAMES)}; or all of these; or {', '.join(BY_HAND)}"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names)
    parser.add_argument("--small", action="store_true", help="sizes that run in seconds")
    given = parser.parse_args()
    unknown = sorted(set(given.names) - set(CHOICES))
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; choose from {', '.join(CHOICES)}")
    print(machine())
    if given.small:
        print("Small sizes, to see that everything runs: the figures mean nothing.")
    print("\n| benchmark | what | measured | aim | |\n|---|---|---|---|---|")
    with at_end:
        for name in given.names or NAMES:
            for row in rows(name, given.small):
                verdict = "" if given.small or row.met is None else "met" if row.met else "missed"
                cells = (name, row.what, row.measured, row.aim, verdict)
                print(f"| {' | '.join(cells)} |", flush=True)


def machine() -> str:
    """What the figures were measured with."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}."


def rows(name: str, small: bool) -> Iterator[Row]:
    """Run one benchmark."""
    try:
        yield from import_module(f"benchmarks.{name}").run(small)
    except Skipped as reason:
        yield Row(f"skipped: {reason}", "")


if __name__ == "__main__":
    main()
