"""The benchmarks run at small size, with the command in `benchmarks/README.md`.

Each benchmark checks that its two sides compute the same thing. No time is asserted.
"""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = {
    "reading": 4,
    "notebook": 1,
    "table": 6,
    "interpolator": 3,
    "walkers": 4,
    "emulator": 4,
    "mixture_orders": 5,
    "mixture": 8,
    "likelihood": 11,
    "compressed": 4,
    "sampling_step": 7,
    "posterior": 3,
    "marginalised": 4,
    "bounds": 2,
    "scaling": 30,
}
REAL = ("mixture_orders", "sampling_step", "posterior")  # these need the real data


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def table() -> dict[str, list[list[str]]]:
    """Cells of the rows of each benchmark."""
    rows = defaultdict(list)
    for names in ([], ["scaling", "posterior"]):  # the default ones, and two that must be named
        done = run(*names, "--small")
        assert done.returncode == 0, done.stderr[-1500:]
        for line in done.stdout.splitlines():
            name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            if name in ROWS:
                rows[name].append(cells)
    return rows


@pytest.mark.parametrize("name", [name for name in ROWS if name not in REAL])
def test_benchmark_runs(table: dict[str, list[list[str]]], name: str) -> None:
    assert len(table[name]) == ROWS[name]
    assert all(any(map(str.isdigit, measured)) for _, measured, *_ in table[name])


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("name", REAL)
def test_benchmark_runs_on_real_data(table: dict[str, list[list[str]]], name: str) -> None:
    test_benchmark_runs(table, name)


def test_benchmark_is_skipped_without_real_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MIXJOBS_DATA", "/nowhere")
    done = run("mixture_orders", "--small")
    assert done.returncode == 0, done.stderr
    assert "skipped: no real data" in done.stdout


def test_unknown_benchmark_is_refused() -> None:
    done = run("speed")
    assert done.returncode == 2
    assert "unknown benchmark 'speed'" in done.stderr
