"""Lines and the bar of a sampler's progress."""

import math
import os
import pty
import subprocess
import sys

import pytest

from mixjobs.inference.sampler import Progress
from mixjobs.report import sampling_bar
from mixjobs.report.sampling_bar import progress_text, sampling_reporter

NOT_YET = {"tau": math.nan, "required": math.nan}


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (Progress(0, 9, math.nan, **NOT_YET), ""),
        (Progress(1, 9, 0.234, **NOT_YET), "acceptance 0.23 since the start"),
        (
            Progress(100, 900, 0.5, tau=7.125, required=428),
            "acceptance 0.50 since the start, autocorrelation time 7.12 steps, "
            "about 328 more steps needed",
        ),
        (
            Progress(500, 900, 0.5, tau=7.0, required=420),
            "acceptance 0.50 since the start, autocorrelation time 7 steps, long enough",
        ),
        (Progress(5, 9, 0.0, tau=math.inf, required=math.inf), "acceptance 0.00 since the start"),
    ],
)
def test_progress_text(progress, text):
    assert progress_text(progress) == text


def test_lines_at_intervals_and_at_the_limit(monkeypatch, capsys):
    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(sampling_bar, "time", clock)
    with sampling_reporter() as report:
        for steps in range(26):
            report(Progress(steps, 25, 0.25, **NOT_YET))
            clock.now += 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "sampling: step 10 of at most 25, 0:00:10, acceptance 0.25 since the start",
        "sampling: step 20 of at most 25, 0:00:20, acceptance 0.25 since the start",
        "sampling: step 25 of at most 25, 0:00:25, acceptance 0.25 since the start",
    ]


def test_bar_on_a_terminal():
    """Runs in its own process, whose standard error is a terminal."""
    program = (
        "from mixjobs.report.sampling_bar import *\n"
        "with sampling_reporter() as report:\n"
        "    report(Progress(300, 900, 0.5, 7.0, 420.0))\n"
    )
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "160"}
    subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True, env=environment)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "sampling" in shown
    assert "300/900" in shown
    assert (
        "acceptance 0.50 since the start, autocorrelation time 7 steps, about 120 more steps needed"
        in shown
    )
