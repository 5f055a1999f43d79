"""Sampling in an allocation of a real Slurm, cancelled in mid-run and submitted again."""

from pathlib import Path

import numpy as np

from mixjobs.cli import main
from mixjobs.errors import MissingFile
from mixjobs.inference.run_folder import RunFolder
from tests.helpers.slurm_cluster import Slurm, wait_until
from tests.helpers.small_fits import JOB, build_store, write_star

SCRIPT = Path(__file__).parents[2] / "slurm" / "sample-allocation.sbatch"
PATIENCE = 150.0
N_STEPS = 800  # of a few milliseconds each: the job must not end before it is cancelled


def steps(path: Path) -> int:
    try:
        return RunFolder.open(path).last_step() or 0
    except MissingFile:
        return 0


def test_cancelled_and_submitted_again_it_ends_with_the_same_chain(
    slurm: Slurm, tmp_path: Path
) -> None:
    store = build_store(tmp_path)
    star = write_star(tmp_path / "star.ecsv", store)
    for output in ("here", "there"):
        text = JOB.format(output=output, store=store, star=star, steps=N_STEPS)
        (tmp_path / f"{output}.toml").write_text(text)
    assert main(["sample", str(tmp_path / "here.toml")]) == 0
    run = tmp_path / "there"
    job = slurm.submit(SCRIPT, str(tmp_path / "there.toml"))
    wait_until(lambda: steps(run) >= 10, lambda: slurm.output(job), PATIENCE)
    slurm.cancel(job)
    wait_until(lambda: not slurm.jobs(), lambda: slurm.run("squeue"), PATIENCE)
    assert 10 <= steps(run) < N_STEPS
    job = slurm.submit(SCRIPT, str(tmp_path / "there.toml"))
    slurm.wait_for(job, "COMPLETED", timeout=PATIENCE)
    assert f"sampling: step {N_STEPS} of at most {N_STEPS}" in slurm.output(job)
    found, expected = (RunFolder.open(tmp_path / name).chain() for name in ("there", "here"))
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_array_equal(found.by_order, expected.by_order)
    assert (run / "posterior.nc").exists()
