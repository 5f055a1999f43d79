# PYTHON_ARGCOMPLETE_OK
"""The `mixjobs` command: it parses its arguments, calls the package and prints."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mixjobs.cli.signals import Terminated, termination
from mixjobs.cli.streams import complain, drop_output, prepare_streams
from mixjobs.errors import MixjobsError, NotRaw, OutputExists
from mixjobs.files import is_disk_fault

if TYPE_CHECKING:
    from mixjobs.cli.command_parser import CommandParser

# Commands that share a module; each of the others has a module of its own.
_MODULES = dict.fromkeys(("info", "status", "check", "ratio"), "inspect")
# Options that settle an error, whatever value it concerns.
_REMEDIES = {OutputExists: "overwrite", NotRaw: "flux_scale"}
_WITH_A_JOB_FILE = ("overwrite", "cluster", "resume")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        Exit status: 0; 2 for invalid input, with one line on standard error; 130 after Ctrl-C;
        143 after SIGTERM, which Slurm sends before a time limit; 141 if the reader of a pipe has
        closed it.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    prepare_streams()
    try:
        with termination():
            try:
                return _run(words)
            except SystemExit as error:
                if error.code == 1:  # rich has met a closed pipe
                    raise BrokenPipeError from None
                raise
            finally:
                sys.stdout.flush()  # here, where a fault of the output is caught
    except MixjobsError as error:
        text = " ".join([*str(error).split(), *getattr(error, "__notes__", ())])
        complain(text if text.startswith("mixjobs ") else f"mixjobs: {text}")
        return 2
    except Terminated:
        complain(f"mixjobs: stopped by SIGTERM; {_how_to_continue(words)}")
        return 143  # as the shell reports a program that SIGTERM ended
    except KeyboardInterrupt:
        complain(f"mixjobs: stopped; {_how_to_continue(words)}")
        return 130
    except BrokenPipeError:  # a program such as `head` has read all it wants
        drop_output()
        return 141  # as the shell reports a program that SIGPIPE ended
    except OSError as error:
        if not is_disk_fault(error):
            raise
        drop_output()
        complain(f"mixjobs: {error.strerror}: {error.filename or 'standard output'}; make room")
        return 2


def _how_to_continue(words: Sequence[str]) -> str:
    if "sample" in words[:1] and "--resume" not in words:
        return "run the same command with --resume to continue"
    return "run the same command again to continue"


def _run(words: Sequence[str]) -> int:
    from mixjobs.cli.parser import chosen_command, parser

    if "_ARGCOMPLETE" in os.environ:
        _complete()
    chosen = chosen_command(words)
    top = parser([chosen] if chosen else [])
    args = top.parse_args(words)
    # Imported only for its command: Dask and matplotlib take a second each.
    module = import_module(f"mixjobs.cli.{_MODULES.get(args.command, args.command)}")
    command = getattr(module, args.command)
    try:
        facts: dict[str, Any] = command(args) or {}
    except MixjobsError as error:
        _add_option(error, args, top.commands[args.command])
        raise
    if getattr(args, "json", False):
        print(json.dumps(facts))
    return 0 if facts.get("ok", True) else 2


def _complete() -> None:
    """Print the completions of the command line that the shell is editing, and exit."""
    import argcomplete

    from mixjobs.cli.completion import set_completers
    from mixjobs.cli.parser import chosen_command, parser

    chosen = chosen_command(os.environ["COMP_LINE"].split()[1:])
    top = parser([chosen] if chosen else [])
    set_completers(top.commands.values())
    argcomplete.autocomplete(top)


def _add_option(error: MixjobsError, args: Namespace, command: CommandParser) -> None:
    """Add the option that an error concerns, unless a job file gave the value."""
    remedies = (name for kind, name in _REMEDIES.items() if isinstance(error, kind))
    name = next(remedies, error.name)
    if isinstance(error, OutputExists) and error.name:
        name = error.name
    given = getattr(args, "source", [getattr(args, "job", "")])
    job_file = any(path.endswith(".toml") for path in given)
    if name is None or (job_file and name not in _WITH_A_JOB_FILE):
        return
    flag = command.flag(name)
    if flag and flag.split()[-1] not in str(error):
        also = " and --overwrite" if name == "resume" else ""
        error.add_note(f"(see {flag}{also})")
