"""The benchmarks still run, at small size, with the command that the README names.

Each checks by itself that its two sides compute the same thing. No time is asserted.
"""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from benchmarks.trials import results, run_trials

ROOT = Path(__file__).parent.parent
ROWS = {
    "reading": 4,
    "notebook": 1,
    "table": 5,
    "interpolator": 3,
    "walkers": 4,
    "emulator": 4,
    "mixture_orders": 5,
    "accuracy": 11,
    "mixture": 8,
    "honesty": 4,
    "likelihood": 10,
    "sampling_step": 7,
    "marginalised": 4,
    "bounds": 2,
    "scaling": 30,
}
REAL = ("accuracy", "honesty", "mixture_orders", "sampling_step")  # these need the real data


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def table() -> dict[str, list[list[str]]]:
    """Cells of the rows of each benchmark."""
    rows = defaultdict(list)
    for names in ([], ["scaling"]):  # those that run without a name, and one that does not
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


def test_accuracy_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MIXJOBS_DATA", "/nowhere")
    done = run("accuracy", "--small")
    assert done.returncode == 0, done.stderr
    assert "skipped: no real data" in done.stdout


def test_unknown_benchmark_is_refused() -> None:
    done = run("speed")
    assert done.returncode == 2
    assert "unknown benchmark 'speed'" in done.stderr


@pytest.mark.parametrize(
    ("name", "stars", "drawn"),
    [
        ("calibration", 1, "calibration_ranks"), ("nodes", 2, "nodes"),
        ("upper_limit", 2, "upper_limit"), ("blackbody_q", 4, "blackbody_q"),
    ],
)  # fmt: skip
def test_evidence_runs(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, stars: int, drawn: str
) -> None:
    if name == "blackbody_q":
        request.getfixturevalue("data")
    command = [sys.executable, "-W", "error", "-m", f"benchmarks.{name}", "--small", "--out"]
    command += [str(tmp_path)]

    def printed(*more: str) -> str:
        done = subprocess.run(
            [*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-1500:]
        return done.stdout

    table = printed()
    assert any("|" in line and any(map(str.isdigit, line)) for line in table.splitlines())
    folder = tmp_path / f"{name}-small"
    assert sum(len(kept.read_text().splitlines()) for kept in folder.glob("*.jsonl")) == stars
    (folder / f"{drawn}.png").unlink()
    assert printed("--report") == table  # from what was kept
    assert (folder / f"{drawn}.png").stat().st_size > 0


def test_trials_go_on_where_they_were_cut(tmp_path: Path) -> None:
    path, ran = tmp_path / "trials.jsonl", []

    def one(trial: dict[str, object]) -> dict[str, object]:
        ran.append(trial["seed"])
        return trial | {"found": trial["seed"]}

    every = [{"seed": seed, "c": 0.1} for seed in range(3)]
    run_trials(every[:2], one, path, 1)
    path.write_text(path.read_text()[:-5])  # killed in the middle of a line
    run_trials(every, one, path, 1)
    assert ran == [0, 1, 1, 2]
    assert [t["found"] for t in results(path)] == [0, 1, 2]
