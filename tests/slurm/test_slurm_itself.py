"""The Slurm that the tests bring up does what a site's Slurm does, and leaves nothing behind."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.helpers.slurm_cluster import Slurm, running, wait_until

Script = Callable[..., Path]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Write a batch script: its path."""

    def write(*lines: str) -> Path:
        path = tmp_path / "job.sh"
        path.write_text("\n".join(["#!/bin/bash", *lines]))
        return path

    return write


def test_job_spans_two_nodes(slurm: Slurm, script: Script) -> None:
    path = script('srun bash -c "echo $1 \\$SLURM_NODEID \\$SLURMD_NODENAME"')
    job = slurm.submit("--nodes=2", path, "on")
    slurm.wait_for(job, "COMPLETED")
    assert sorted(slurm.output(job).splitlines()) == ["on 0 node1", "on 1 node2"]
    assert slurm.exit_code(job) == 0


def test_jobs_find_this_python(slurm: Slurm, script: Script) -> None:
    job = slurm.submit(script("command -v python; echo $GREETING"), GREETING="hello")
    slurm.wait_for(job, "COMPLETED")
    assert slurm.output(job).split() == [str(Path(sys.executable).parent / "python"), "hello"]


def test_failure_keeps_its_exit_code(slurm: Slurm, script: Script) -> None:
    job = slurm.submit(script("echo alas", "exit 3"))
    slurm.wait_for(job, "FAILED")
    assert slurm.exit_code(job) == 3


def test_waiting_for_what_will_not_come_shows_the_job(slurm: Slurm, script: Script) -> None:
    job = slurm.submit(script("echo alas", "exit 3"))
    with pytest.raises(AssertionError, match=rf"(?s)job {job}: FAILED.*ExitCode=3:0.*alas"):
        slurm.wait_for(job, "COMPLETED")
    job = slurm.submit(script("echo so slow", "sleep 60"))
    slurm.wait_for(job, "RUNNING")
    wait_until(lambda: "so slow" in slurm.output(job), lambda: "no output")
    with pytest.raises(AssertionError, match=rf"(?s)job {job}: RUNNING.*so slow"):
        slurm.wait_for(job, "COMPLETED", timeout=0.5)


def test_cancelled_job_ends_with_its_processes(slurm: Slurm, script: Script) -> None:
    job = slurm.submit("--nodes=2", script("srun sleep 60"))
    wait_until(
        lambda: sum("bin/sleep" in command for command in slurm.processes().values()) == 2,
        lambda: str(slurm.processes()),
    )
    assert slurm.jobs() == [job]
    slurm.cancel(job)
    slurm.wait_for(job, "CANCELLED")
    wait_until(lambda: not slurm.jobs(), lambda: slurm.run("squeue"))
    wait_until(lambda: not slurm.processes(), lambda: str(slurm.processes()))
    assert slurm.exit_code(job) == -15


def test_requeued_job_runs_again_under_its_id(slurm: Slurm, script: Script, tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = '[ -n "$SLURM_RESTART_COUNT" ] || sleep 60'
    job = slurm.submit(script(f'echo "$SLURM_JOB_ID $SLURM_RESTART_COUNT" >> {log}', first))
    wait_until(log.exists, lambda: slurm.run("squeue"))
    slurm.requeue(job)
    slurm.wait_for(job, "COMPLETED")
    assert log.read_text() == f"{job} \n{job} 1\n"


def test_two_jobs_share_a_node(slurm: Slurm, script: Script) -> None:
    path = script("sleep 60")
    jobs = [slurm.submit("--nodelist=node1", path) for _ in range(3)]
    for job in jobs[:2]:
        slurm.wait_for(job, "RUNNING")
    assert [slurm.state(job) for job in jobs] == ["RUNNING", "RUNNING", "PENDING"]


def test_signal_reaches_the_trap_of_the_batch_shell(slurm: Slurm, script: Script) -> None:
    path = script("sleep 60 &", "trap 'echo told; kill $!; exit 7' TERM", "echo ready", "wait")
    job = slurm.submit(path)
    slurm.wait_for(job, "RUNNING")
    wait_until(lambda: "ready" in slurm.output(job), lambda: slurm.run("squeue"))
    slurm.cancel(job, signal="TERM", batch=True)
    slurm.wait_for(job, "FAILED")
    assert "told" in slurm.output(job).splitlines()
    assert slurm.exit_code(job) == 7


def working_in(folder: Path) -> list[str]:
    """Processes whose working directory is this folder, as that of the daemons is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):  # it has ended
            if path.readlink() == folder:
                found.append(path.parts[2])
    return found


def test_start_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "node2.out").mkdir()  # in place of the output of the last daemon to be started
    with pytest.raises(IsADirectoryError), running(tmp_path):
        pass
    assert (tmp_path / "node1.out").exists()
    assert not working_in(tmp_path)


def test_jobs_left_running_are_ended(tmp_path: Path, script: Script) -> None:
    with running(tmp_path) as second:
        job = second.submit(script("trap '' TERM", "sleep 60 & wait", "sleep 60"))
        second.wait_for(job, "RUNNING")
        assert len(working_in(tmp_path)) >= 4
    assert not second.processes()
    assert not working_in(tmp_path)
