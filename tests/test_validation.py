"""The validation scripts run at small size, and resume."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from validation.trials import read_results, run_trials

ROOT = Path(__file__).parent.parent
SCRIPTS = {  # number of trials at small size, and name of the figure
    "calibration": (1, "calibration_ranks"),
    "grid_bias": (2, "grid_bias"),
    "upper_limit": (2, "upper_limit"),
    "blackbody_ratio": (4, "blackbody_ratio"),
    "coverage": (2, None),
    "bayes_factor": (2, None),
    "left_out_nodes": (2, None),
    "joint_posteriors": (4, None),
    "emulator_error": (4, None),
    "interpolation": (7, None),
}
REAL = (
    "blackbody_ratio",
    "emulator_error",
    "interpolation",
    "left_out_nodes",
)  # these need the real data


def run(*arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_runs(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    if name in REAL:
        request.getfixturevalue("data")
    n_trials, figure = SCRIPTS[name]
    command = [f"validation.{name}", "--small", "--out", str(tmp_path)]
    table = run(*command)
    assert any("|" in line and any(map(str.isdigit, line)) for line in table.splitlines())
    folder = tmp_path / f"{name}-small"
    assert sum(len(kept.read_text().splitlines()) for kept in folder.glob("*.jsonl")) == n_trials
    if figure:
        (folder / f"{figure}.png").unlink()
    assert run(*command, "--report") == table  # from the saved results
    if figure:
        assert (folder / f"{figure}.png").stat().st_size > 0


def test_interpolation_is_skipped_without_real_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "MIXJOBS_DATA", "/nowhere")
    printed = run("validation.interpolation", "--small", "--out", str(tmp_path))
    assert "skipped: no real data" in printed


@pytest.mark.usefixtures("data")
def test_q_of_s1063_from_its_unmodified_files(tmp_path: Path) -> None:
    command = ["validation.s1063", "--small", "--out", str(tmp_path)]
    (line,) = run(*command).splitlines()
    assert float(line.split()[-1]) == pytest.approx(0.675, abs=0.01)
    assert run(*command, "--report").splitlines() == [line]


@pytest.mark.usefixtures("data")
def test_no_flux_scale_is_mistaken_for_another() -> None:
    """Each cell has the per cent of decisions and of wrong ones."""
    table = run("validation.flux_scale", "--small")
    cells = re.findall(r"\| ([\d.]+) / ([\d.]+) (?=\|)", table)
    assert len(cells) == 17 * 7
    assert {wrong for _, wrong in cells} == {"0"}
    assert sum(float(decided) for decided, _ in cells) > 85 * len(cells)


def test_interrupted_trials_resume(tmp_path: Path) -> None:
    path, ran = tmp_path / "trials.jsonl", []

    def run_one(trial: dict[str, object]) -> dict[str, object]:
        ran.append(trial["seed"])
        return trial | {"result": trial["seed"]}

    trials = [{"seed": seed, "c": 0.1} for seed in range(3)]
    run_trials(trials[:2], run_one, path, 1)
    path.write_text(path.read_text()[:-5])  # killed in the middle of a line
    run_trials(trials, run_one, path, 1)
    assert ran == [0, 1, 1, 2]
    assert [t["result"] for t in read_results(path)] == [0, 1, 2]
