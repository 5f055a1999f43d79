"""Run the command with a fixed list of inputs, and collect what it prints."""

import os
import re
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from mixjobs.cli.parser import parser
from tests.helpers.command import complaints, run
from tests.messages.masks import mask, mask_numbers

FILE = Path(__file__).with_name("messages.txt")
_INTRODUCTION = """\
Messages of the mixjobs command, for people to read as prose.

python -m tests.messages writes this file; a test checks that it is current. Upper-case words and #
stand for what differs between machines: paths, versions, times, sizes, results, and the text of
other packages.
"""
_WIDTH = "200"  # characters: no line is wrapped
_PROGRESS = re.compile(r"(\w+): (step )?\d+ of ")


class Collector:
    """Collects the output of commands that run in one folder.

    Parameters
    ----------
    root : Path
        The folder; its name is masked.
    """

    def __init__(self, root):
        self.root = root
        self._lines = [_INTRODUCTION]
        self._errors = set()

    def section(self, title):
        """Begin a section."""
        self._lines += ["", "=" * 100, title, "=" * 100]
        self._errors.clear()

    def add(self, title, text):
        """Add a text under a title."""
        self._lines += ["", f"# {title}", text.rstrip()]

    def error(self, title, words):
        """Add the error of a command, unless the section has the same line already."""
        status, out, err, _ = run(words)
        assert (status, out) == (2, ""), (title, status, out, err)
        line = self._mask(complaints(err)[-1])
        if line not in self._errors:
            self._errors.add(line)
            self.add(title, f"{_command(words)}\n{line}")

    def output(self, title, words, numbers=True, status=0):
        """Add all that a command prints; its results are masked unless `numbers` is True."""
        returned, out, err, _ = run(words)
        assert returned == status, (title, returned, out, err)
        text = self._mask(err + out)
        text = _trimmed(text)
        self.add(title, f"{_command(words)}\n{text if numbers else mask_numbers(text)}")

    def text(self):
        """Return everything collected."""
        return "\n".join(self._lines) + "\n"

    def _mask(self, text):
        return mask(text, self.root)


def _command(words):
    return "$ " + " ".join(["mixjobs", *map(str, words)])


def _trimmed(text):
    """Remove trailing blanks, and lines of progress that another one of the same stage follows."""
    lines = [line.rstrip() for line in text.splitlines()]
    stages = [match and match[1] for match in map(_PROGRESS.match, lines)]
    following = [*stages[1:], None]
    kept = zip(lines, stages, following, strict=True)
    return "\n".join(line for line, stage, after in kept if stage is None or stage != after)


def help_text(name=None):
    """Return the help of a command, laid out alike by every version of Python."""
    top = parser([name] if name else [])
    chosen = top.commands[name] if name else top
    lines = [chosen.description, ""]
    for group in chosen._action_groups:
        actions = [action for action in group._group_actions if action.help]
        choices = [
            a for action in group._group_actions for a in vars(action).get("_choices_actions", ())
        ]
        if actions or choices:
            lines.append(f"{group.title}:")
            lines += [f"  {_option(action)}" for action in actions]
            lines += [f"  {action.dest}: {action.help}" for action in choices]
    return "\n".join([*lines, "", chosen.epilog or ""])


def _option(action):
    name = ", ".join(action.option_strings) or action.metavar
    value = action.metavar or (action.choices and "{" + ",".join(action.choices) + "}")
    takes_value = action.option_strings and action.nargs != 0
    shown = f"{name} {value}" if takes_value else name
    return f"{shown}: {action.help.replace('%%', '%')}"


@contextmanager
def _environment():
    """Work in a new folder, with a terminal of a fixed width and without Slurm."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    kept.pop("FORCE_COLOR", None)
    before = Path.cwd()
    with (
        TemporaryDirectory(prefix="mixjobs-messages-") as folder,
        mock.patch.dict(os.environ, {**kept, "COLUMNS": _WIDTH}, clear=True),
    ):
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


def collect():
    """Return the messages of every command."""
    from tests.messages.inputs import SECTIONS

    with _environment() as root:
        collector = Collector(root)
        for section in SECTIONS:
            section(collector)
        return collector.text()
