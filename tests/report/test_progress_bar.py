"""Plain lines of progress; the bars need a terminal, and are tested with the command."""

import re

import pytest

from mixjobs.report import progress_bar
from mixjobs.report.progress_bar import reporter


@pytest.fixture
def clock(monkeypatch):
    """The time that a report reads."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress_bar, "time", clock)
    return clock


def test_a_line_now_and_then_and_one_at_the_end(clock, capsys):
    with reporter() as report:
        for done in range(31):
            report("mean_flux", done, 30)
            clock.now += 1
        report("flux_ratio", 2, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "mean_flux: 10 of 30 blocks, 10 s",
        "mean_flux: 20 of 30 blocks, 20 s",
        "mean_flux: 30 of 30 blocks, 30 s",
        "flux_ratio: 2 of 2 blocks, 0 s",
    ]
    assert not re.search(r"[\x1b\r]", err)
