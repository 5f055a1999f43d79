"""Run the `mixjobs` command, in this process or in one of its own."""

import contextlib
import io
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import mixjobs.cli
from mixjobs.errors import MixjobsError

# Lines of progress, which a job prints even if all is well.
PROGRESS = re.compile(
    r"(mean_flux|joint_error|flux_ratio|interpolators): \d+ of \d+ tasks?, |dashboard: http"
    r"|flux calibration: |flux (level|scale|unit): |absolute flux: |wavelength unit: |medium: "
    r"|emulator: |from your own machine: |left out \d+ orders"
    r"|.*: \d+ (points in|orders, )|writing .* spectra|sampling: step \d+|search: \d+ of"
)


# The same command, but it looks for a lost scheduler for 5 seconds instead of 20.
IMPATIENT = """
import sys
from mixjobs.cli import main
from mixjobs.cluster import address
address._CONNECT_SECONDS = 5
sys.exit(main())
"""


def start(*words, impatient=False, **options):
    """Start ``python -m mixjobs`` as a process that leads its own group, as a shell's jobs do."""
    program = ["-c", IMPATIENT] if impatient else ["-m", "mixjobs"]
    return subprocess.Popen(
        [sys.executable, *program, *map(str, words)],
        **{"stdout": subprocess.PIPE, **options},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process, seconds=240):
    """Wait for a process started by `start`; return its exit status, output and errors."""
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def complaints(err):
    """Return the lines of standard error that are not progress."""
    return [line for line in err.splitlines() if not PROGRESS.match(line)]


def wait_for(condition, seconds=240):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.005)


def run(words):
    """Run the command in this process.

    Returns
    -------
    tuple
        Exit status, standard output, standard error, and the error that ended it (or None).
    """
    errors = []
    original = mixjobs.cli._run

    def recorded(words):
        try:
            return original(words)
        except MixjobsError as error:
            errors.append(error)
            raise

    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(mixjobs.cli, "_run", recorded),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = mixjobs.cli.main([str(word) for word in words])
    return status, out.getvalue(), err.getvalue(), errors[0] if errors else None


@dataclass(frozen=True)
class Refusal:
    """A command that ended with an error: the error, and its one line on standard error."""

    error: MixjobsError
    line: str


def refuse(words):
    """Run a command with invalid input, which must print one line of error and nothing else."""
    status, out, err, error = run(words)
    assert (status, out) == (2, "")
    (line,) = complaints(err)
    assert line.startswith("mixjobs: ") or re.match(r"mixjobs \w+: ", line)
    assert isinstance(error, MixjobsError)
    return Refusal(error, line)


@dataclass(frozen=True)
class Expected:
    """The type of an error, its attributes, and facts that its line must state."""

    kind: type[MixjobsError]
    facts: tuple[str, ...]
    attributes: dict[str, Any]

    def check(self, refusal):
        """Compare with an error; of its path, only the last part counts."""
        assert type(refusal.error) is self.kind, refusal
        for name, value in self.attributes.items():
            given = getattr(refusal.error, name)
            assert (Path(given).name if name == "path" else given) == value, refusal
        for fact in self.facts:
            assert fact in refusal.line, refusal


def error(kind, *facts, **attributes):
    """Describe an expected error."""
    return Expected(kind, facts, attributes)
