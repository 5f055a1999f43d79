"""The `mixjobs` command: thin, it reads the words and calls the package."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from mixjobs.cli.signals import Terminated, termination
from mixjobs.errors import MixjobsError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0; 2 for input that cannot be used, told in one line; 130 when stopped by Ctrl-C, 143 by
        SIGTERM (which Slurm sends before a time limit), and 141 by the reader of a pipe who has
        gone.
    """
    try:
        with termination():
            return _run(argv)
    except MixjobsError as error:
        print(f"mixjobs: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except Terminated:
        print(f"mixjobs: stopped by SIGTERM; {_again(argv)}", file=sys.stderr)
        return 143  # what a shell sees of a program that SIGTERM has ended
    except KeyboardInterrupt:
        print(f"mixjobs: stopped; {_again(argv)}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as head, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # what a shell sees of a program that SIGPIPE has ended


def _again(argv: Sequence[str] | None) -> str:
    """Say how to go on: a run of `mixjobs sample` is not taken up again unless one says so."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "sample" in words[:1] and "--resume" not in words:
        return "start the same command again with --resume to go on"
    return "start the same command again to go on"


def _run(argv: Sequence[str] | None) -> int:
    from mixjobs.cli.parser import parser

    args = parser().parse_args(argv)
    # Imported when it is asked for: Dask and matplotlib take a second each.
    command = getattr(import_module(f"mixjobs.cli.{args.command}"), args.command)
    facts = command(args) or {}
    if getattr(args, "json", False):
        print(json.dumps(facts))
    sys.stdout.flush()
    return 0 if facts.get("ok", True) else 2
