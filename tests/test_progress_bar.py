"""Plain lines of progress. Bars need a terminal, and are tested with the command."""

import re

import pytest

from mixjobs import progress_bar
from mixjobs.progress_bar import reporter


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress_bar, "time", clock)
    return clock


def test_a_line_every_ten_seconds_and_at_the_end(clock, capsys):
    with reporter() as report:
        for done in range(31):
            report("mean_flux", done, 30)
            clock.now += 1
        report("flux_ratio", 2, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "mean_flux: 10 of 30 tasks, 0:00:10, 0:00:20 left",
        "mean_flux: 20 of 30 tasks, 0:00:20, 0:00:10 left",
        "mean_flux: 30 of 30 tasks, 0:00:30",
        "flux_ratio: 2 of 2 tasks, 0:00:00",
    ]
    assert not re.search(r"[\x1b\r]", err)


def test_a_resumed_job_of_ten_hours(clock, capsys):
    with reporter() as report:
        for done in range(1000, 37001):
            report("mean_flux", done, 37000)
            clock.now += 1
    lines = capsys.readouterr().err.splitlines()
    assert 100 < len(lines) < 200
    assert lines[0] == "mean_flux: 1010 of 37000 tasks, 0:00:10, 9:59:50 left"
    assert lines[-1] == "mean_flux: 37000 of 37000 tasks, 10:00:00"
