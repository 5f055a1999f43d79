"""An argument parser whose errors are one line, with a hint."""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

from mixjobs.cli.options import expand_home, takes_path
from mixjobs.errors import InvalidInput, nearest


class CommandParser(argparse.ArgumentParser):
    """A parser that reports an error in one line, and accepts negative numbers as values.

    Attributes
    ----------
    flags : dict
        The options that stand for keys of a job file, by dotted key.
    commands : dict
        The parser of each command.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.flags: dict[str, str] = {}
        self.commands: dict[str, CommandParser] = {}
        # argparse takes "-20" for a value but "-20,5", "-1e3", "-20:20:5" and "-inf" for options.
        # No option of ours begins like this.
        self._negative_number_matcher = re.compile(r"-(\.?\d|inf|nan)", re.IGNORECASE)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse arguments; an unknown option is an error of the command that was given."""
        words = list(sys.argv[1:] if args is None else args)
        self._check_names(words)
        parsed, unknown = self.parse_known_args(words, namespace)
        if unknown:
            command = self.commands.get(parsed.command, self)
            command.error(f"unknown option or argument {' '.join(unknown)}")
        for action in filter(takes_path, self.commands[parsed.command]._actions):
            setattr(parsed, action.dest, expand_home(getattr(parsed, action.dest)))
        return parsed

    def _check_names(self, words: list[str]) -> None:
        """Check the command and the names of options first, to suggest the nearest name."""
        if not words or words[0].startswith("-"):
            return
        if words[0] not in self.commands:
            self.error(f"unknown command {words[0]}{nearest(words[0], self.commands)}")
        command = self.commands[words[0]]
        options = [name for name in command._option_string_actions if name.startswith("--")]
        for word in words[1:]:
            name = word.partition("=")[0]
            if name == "--":
                return
            if name.startswith("--") and not any(option.startswith(name) for option in options):
                hint = nearest(name, options, listed=False)
                command.error(f"unknown option {name}{hint}")

    def error(self, message: str) -> Any:
        """Raise the error that the command prints."""
        text = message.replace("the following arguments are required:", "missing")
        see = f"see {self.prog} --help"
        raise InvalidInput(f"{text} ({see})" if text.endswith("?") else f"{text}; {see}")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help; unlike argparse's own method, it does not drop errors of the output."""
        (file or sys.stderr).write(message)

    def flag(self, name: str) -> str | None:
        """Return the option for an argument or a dotted key of the job file, if there is one."""
        name = name.rstrip(".0123456789") if "." in name else name  # of a list's element
        plain = f"--{name.replace('_', '-')}"
        return self.flags.get(name) or (plain if plain in self._option_string_actions else None)
