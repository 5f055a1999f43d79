"""Table of benchmarks: ``python -m benchmarks [NAME ...] [--small]``."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version

from benchmarks.measure import Row, at_end
from validation.real_data import Skipped

NAMES = (
    "reading", "notebook", "table", "interpolator", "walkers", "emulator", "mixture",
    "mixture_orders", "likelihood", "compressed", "sampling_step", "marginalised", "bounds",
)  # fmt: skip
ON_REQUEST = ("posterior", "scaling")  # take ten minutes or more: run only if named
CHOICES = NAMES + ON_REQUEST
PACKAGES = ("numpy", "scipy", "h5py", "zarr", "distributed")


def main() -> None:
    """Run the named benchmarks, and print each as soon as it is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = f"{', '.join(NAMES)} (default: all of these); {', '.join(ON_REQUEST)}"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names)
    parser.add_argument("--small", action="store_true", help="sizes that run in seconds")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(CHOICES))
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; choose from {', '.join(CHOICES)}")
    small: bool = arguments.small
    print(machine())
    if small:
        print("Small sizes, to check that everything runs: the numbers mean nothing.")
    print("\n| benchmark | quantity | measured | goal | |\n|---|---|---|---|---|")
    with at_end:
        for name in arguments.names or NAMES:
            for row in rows(name, small):
                verdict = (
                    "" if arguments.small or row.met is None else "met" if row.met else "missed"
                )
                cells = (name, row.what, row.measured, row.aim, verdict)
                print(f"| {' | '.join(cells)} |", flush=True)


def machine() -> str:
    """Return the machine and the versions that were used."""
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
