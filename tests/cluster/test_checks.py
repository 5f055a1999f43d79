"""What a cluster needs is checked before anything starts."""

import os
import socket
import stat

import pytest

from mixjobs.cluster.checks import check_cluster
from mixjobs.config.cluster import ClusterConfig
from mixjobs.errors import InvalidInput, MissingFile


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A folder with commands, alone on the PATH; write an `sbatch` into it."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(script):
        path = tmp_path / "sbatch"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return write


def refused(config):
    with pytest.raises(InvalidInput) as error:
        check_cluster(config)
    assert "\n" not in str(error.value)
    return error.value


def test_nothing_is_needed_without_a_cluster():
    check_cluster(None)


def test_a_machine_that_has_what_it_needs(tmp_path):
    check_cluster(ClusterConfig(workers=1, scratch=str(tmp_path / "new" / "scratch")))
    assert (tmp_path / "new" / "scratch").is_dir()


def test_a_scheduler_file_that_does_not_exist(tmp_path):
    missing = str(tmp_path / "scheduler.json")
    with pytest.raises(MissingFile) as error:
        check_cluster(ClusterConfig(kind="address", scheduler=missing))
    assert error.value.path == missing


@pytest.mark.parametrize("workers", [2, 7])
def test_workers_without_memory_for_the_program(workers):
    error = refused(ClusterConfig(workers=workers, memory="300MB"))
    assert (error.name, error.value) == ("workers", workers)


@pytest.mark.parametrize("inside", ["", "below"])
def test_a_scratch_folder_that_is_a_file(tmp_path, inside):
    file = tmp_path / "file"
    file.touch()
    scratch = str(file / inside)
    error = refused(ClusterConfig(workers=1, scratch=scratch))
    assert (error.name, error.value) == ("scratch", scratch)


def test_an_interface_that_does_not_exist(sbatch):
    sbatch("exit 0")
    error = refused(ClusterConfig(kind="slurm", interface="ib9"))
    assert (error.name, error.value) == ("interface", "ib9")
    assert "lo" in str(error)


def test_a_dashboard_on_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        error = refused(ClusterConfig(workers=1, dashboard=address))
    assert (error.name, error.value) == ("dashboard", address)
    check_cluster(ClusterConfig(workers=1, dashboard=address))


def test_a_dashboard_at_an_address_of_another_machine():
    error = refused(ClusterConfig(workers=1, dashboard="192.0.2.1:8787"))
    assert (error.name, error.value) == ("dashboard", "192.0.2.1:8787")


def test_an_allocation_outside_of_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert refused(ClusterConfig(kind="allocation")).value == "allocation"


def test_an_allocation_without_srun(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(ClusterConfig(kind="allocation")).value == "allocation"


def test_slurm_without_sbatch(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(ClusterConfig(kind="slurm")).value == "slurm"


def test_slurm_refuses_the_job_of_a_worker(sbatch):
    """The last line of sbatch says why."""
    sbatch("echo 'sbatch: warning: a' >&2; echo 'sbatch: error: no partition x' >&2; exit 1")
    assert "error: no partition x" in str(refused(ClusterConfig(kind="slurm")))
    sbatch("exit 3")
    assert "no answer" in str(refused(ClusterConfig(kind="slurm")))


def test_slurm_tests_the_job_of_a_worker(sbatch, tmp_path):
    """It reads the script; nothing is submitted."""
    words, script = tmp_path / "words", tmp_path / "script"
    sbatch(f'echo "$@" > {words}; while read -r line; do echo "$line" >> {script}; done')
    check_cluster(ClusterConfig(kind="slurm", queue="debug", workers=3))
    assert words.read_text().split() == ["--test-only"]
    assert "#SBATCH -p debug" in script.read_text()


def test_slurm_that_does_not_answer(sbatch, monkeypatch):
    monkeypatch.setattr("mixjobs.cluster.checks._SBATCH_SECONDS", 0.2)
    sbatch(f"exec {os.path.realpath('/bin/sleep')} 30")
    assert "no answer" in str(refused(ClusterConfig(kind="slurm")))
