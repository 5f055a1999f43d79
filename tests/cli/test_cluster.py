"""The command on clusters: choice and description of a cluster, and progress of a build."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

import mixjobs
from mixjobs.cli import main
from mixjobs.cluster.client import n_workers
from mixjobs.config.build import make_build_job
from mixjobs.config.cluster import ClusterConfig
from mixjobs.errors import InvalidInput, MissingFile, OutputExists
from mixjobs.report.status import job_status
from mixjobs.store import progress
from mixjobs.store.format import partial_path
from tests.helpers.command import complaints, error, finish, refuse, start, wait_for

SITE = """
[cluster]
kind = "slurm"
jobs = [2, 5]
workers = 16
memory = "32GB"
walltime = "2-00:00:00"
queue = "short"
account = "astro"
constraint = "skylake"
request_memory = false
interface = "lo"
prologue = ['source "$HOME/venv/bin/activate"']
directives = ["--licenses=scratch"]
scratch = "/local"
"""


TABLES = {
    "[orders]\nn = 2\n": error(InvalidInput, name="cluster"),
    "cluster = 3\n": error(InvalidInput, name="cluster"),
    "[cluster]\nkind = 'pbs'\n": error(InvalidInput, "slurm", name="cluster.kind", value="pbs"),
    "[cluster]\nqeue = 'a'\n": error(InvalidInput, "queue", name="cluster.qeue", value="a"),
    "[cluster]\njobs = [3, 2]\n": error(InvalidInput, name="cluster.jobs", value=[3, 2]),
    "[cluster]\njobs = 3\n": error(InvalidInput, name="cluster.jobs", value=3),
    "[cluster]\nwalltime = '2h'\n": error(InvalidInput, name="cluster.walltime", value="2h"),
    "[cluster]\nscheduler = 'a'\n": error(InvalidInput, name="cluster.scheduler"),
    "[cluster]\nkind = 'address'\n": error(InvalidInput, name="cluster.scheduler"),
}


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site.toml").write_text(SITE)
    return tmp_path / "site.toml"


def shown(capsys, *words):
    assert main(["cluster", *map(str, words), "--show"]) == 0
    return capsys.readouterr().out


class TestShow:
    def test_the_script_of_a_worker_job(self, site, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        script = shown(capsys, site)
        lines = script.splitlines()
        for line in [
            "#SBATCH -p short", "#SBATCH -A astro", "#SBATCH --constraint=skylake",
            "#SBATCH --licenses=scratch", "#SBATCH -t 2-00:00:00", "#SBATCH --cpus-per-task=16",
            "#SBATCH -n 1", "#SBATCH -o STORE.logs/mixjobs-worker-%J.out",
            'source "$HOME/venv/bin/activate"',
        ]:  # fmt: skip
            assert line in lines
        assert "--mem" not in script.replace("--memory-limit", "")
        command = lines[-1]
        life, stagger = (int(command.split(f"{o} ")[1].split("s")[0])
                         for o in ("--lifetime", "--lifetime-stagger"))  # fmt: skip
        assert life + stagger < 2 * 24 * 3600
        options = ["--nworkers 16", "--nthreads 1", "--nanny", "--tls-key", "--no-dashboard",
                   "--interface lo", "--local-directory /local", "--death-timeout 60"]  # fmt: skip
        for option in options:
            assert option in command
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        assert [path.name for path in tmp_path.iterdir()] == ["site.toml"]

    def test_memory_is_requested(self, tmp_path, capsys):
        (tmp_path / "site.toml").write_text('[cluster]\nkind = "slurm"\nmemory = "3GB"\n')
        assert "#SBATCH --mem=3G" in shown(capsys, tmp_path / "site.toml").splitlines()

    def test_others(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
        assert shown(capsys, "allocation").startswith("srun --cpus-per-task=3 --no-kill ")
        assert "--nworkers 3" in shown(capsys, "allocation")
        assert " processes on this machine, one thread each, " in shown(capsys)
        (tmp_path / "a.toml").write_text('[cluster]\nkind = "address"\nscheduler = "tls://a:1"\n')
        assert "the job uses those of tls://a:1" in shown(capsys, tmp_path / "a.toml")

    def test_trying_one(self, capsys, tmp_path):
        (tmp_path / "a.toml").write_text('[cluster]\nworkers = 1\nmemory = "1GB"\n')
        assert main(["cluster", str(tmp_path / "a.toml")]) == 0
        out, err = capsys.readouterr()
        assert out == f"worker on {socket.gethostname()}, memory 0.93 GiB\n"
        assert "dashboard: http://127.0.0.1:" in err


class TestChoice:
    @pytest.mark.parametrize("text", TABLES)
    def test_invalid_tables(self, text, tmp_path):
        (tmp_path / "a.toml").write_text(text)
        refusal = refuse(["cluster", tmp_path / "a.toml", "--show"])
        TABLES[text].check(refusal)
        assert refusal.line.startswith(f"mixjobs: {tmp_path / 'a.toml'}: ")

    def test_no_such_kind_or_file(self, tmp_path):
        kinds = error(InvalidInput, "slurm", "allocation", name="cluster.kind", value="pbs")
        kinds.check(refuse(["cluster", "pbs", "--show"]))
        missing = error(MissingFile, path="a.toml")
        missing.check(refuse(["cluster", tmp_path / "a.toml", "--show"]))

    def test_in_a_job_file(self):
        job = make_build_job(
            {"library": "a", "output": "b", "orders": {"n": 1}, "cluster": {"kind": "slurm"}},
            "here",
        )
        assert job.where == ClusterConfig(kind="slurm")
        with pytest.raises(InvalidInput) as caught:
            make_build_job({**job.model_dump(by_alias=True), "serial": True}, "here")
        assert caught.value.name == "cluster"

    def test_beside_a_job_file(self, demo, tmp_path):
        text = f'library = "{demo}"\noutput = "q.zarr"\n[orders]\nedges = [5001, 5006]\n'
        (tmp_path / "job.toml").write_text(text)
        (tmp_path / "a.toml").write_text("[cluster]\nworkers = 1\n")
        words = ["build", str(tmp_path / "job.toml"), "--cluster", str(tmp_path / "a.toml")]
        assert main(words) == 0
        assert len(mixjobs.open_store(tmp_path / "q.zarr").orders) == 1

    def test_workers_that_a_job_is_planned_for(self, monkeypatch):
        def job(**options):
            return make_build_job(
                {"library": "a", "output": "b", "orders": {"n": 1}, **options}, "here"
            )

        monkeypatch.setenv("SLURM_NTASKS", "6")
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
        assert n_workers(job(serial=True).where) == 1
        assert n_workers(job(workers=3).where) == 3
        assert n_workers(job(cluster={"kind": "slurm", "jobs": [1, 5], "workers": 4}).where) == 20
        assert n_workers(job(cluster={"kind": "allocation"}).where) == 6


class TestStatus:
    @pytest.fixture
    def interrupted(self, demo, tmp_path):
        """A store of 2 orders x 12 points, stopped when 20 tasks were recorded."""
        path = tmp_path / "q.zarr"

        def stop(stage, done, total):
            if done == 20:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            mixjobs.build(
                demo, mixjobs.Orders.log_spaced(2, 5000, 5028), path, block=(1, 1), report=stop
            )
        return path

    def test_of_an_interrupted_build(self, interrupted, capsys):
        assert main(["status", str(interrupted), "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["complete"] is False
        assert facts["running"] is False
        means, tables = facts["stages"]["mean_flux"], facts["stages"]["flux_ratio"]
        assert (means["done"], means["total"]) == (20, 24)
        assert (tables["done"], tables["total"], tables["rate"]) == (0, 2, None)
        assert means["seconds_left"] == pytest.approx(4 / means["rate"])
        assert main(["status", str(interrupted)]) == 0
        assert "20 of 24, " in capsys.readouterr().out

    def test_the_rate(self, interrupted, monkeypatch):
        """Of the last ten minutes in which anything was done."""
        folder = partial_path(interrupted)
        (folder / progress.NAME).unlink()
        for k, when in enumerate([0, 7000, 7100, 7150, 7200]):
            monkeypatch.setattr(progress.time, "time", lambda when=when: when)
            progress.record(folder, "mean_flux", [0, k], np.ones((2, 1)))
        monkeypatch.undo()
        stage = job_status(interrupted)["stages"]["mean_flux"]
        assert stage["rate"] == pytest.approx(6 / 200)
        assert stage["seconds_left"] == pytest.approx(14 / (6 / 200))

    def test_of_a_running_build(self, interrupted, demo):
        seen = []
        mixjobs.build(
            demo, mixjobs.Orders.log_spaced(2, 5000, 5028), interrupted,
            report=lambda *_: seen.append(job_status(interrupted)),
        )  # fmt: skip
        assert all(status["running"] for status in seen)
        assert f"process {os.getpid()} on " in seen[0]["by"]
        assert job_status(interrupted) == {"path": str(interrupted), "complete": True}

    def test_of_nothing(self, tmp_path):
        error(MissingFile, path="q.zarr").check(refuse(["status", tmp_path / "q.zarr"]))


def test_sigterm_stops_a_build_cleanly(large, tmp_path):
    """As Slurm sends it before a time limit; a second one does not disturb the cleaning up."""
    path = tmp_path / "q.zarr"
    driver = start("build", large, "-o", path, "--n-orders", "20", "--block", "1,1",
                   "--workers", "1")  # fmt: skip
    wait_for(lambda: len(progress.read(partial_path(path))) > 5)
    driver.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    driver.send_signal(signal.SIGTERM)
    status, _, err = finish(driver)
    assert status == 143
    how_far, farewell = complaints(err)
    assert re.match(rf"{path}: mean_flux \d+ of 720, flux_ratio 0 of 20 ", how_far)
    assert farewell.startswith("mixjobs: stopped by SIGTERM; ")
    assert not job_status(path)["running"]


UNHEARD = """
import gc, os, signal, sys
from mixjobs.cli import main
from mixjobs.builder import stages

def collected(phase, info):  # what is raised in here, Python drops
    gc.callbacks.remove(collected)
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
    except KeyboardInterrupt:
        print("fell into a callback")
        raise

original = stages.compute_means
def compute_means(task):
    if task.points.start == 5:
        gc.callbacks.append(collected)
        gc.collect()
    return original(task)

stages.compute_means = compute_means
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("number", "status", "farewell"),
    [
        (signal.SIGTERM, 143, "mixjobs: stopped by SIGTERM; "),
        (signal.SIGINT, 130, "mixjobs: stopped; "),
    ],
)
def test_a_signal_in_a_callback_of_the_garbage_collector(demo, tmp_path, number, status, farewell):
    path = tmp_path / "q.zarr"
    words = ["build", demo, "-o", path, "--n-orders", "2", "--block", "2,1", "--serial"]
    done = subprocess.run(
        [sys.executable, "-c", UNHEARD, str(int(number)), *map(str, words)],
        capture_output=True,
        text=True,
    )
    assert "fell into a callback" in done.stdout
    assert done.returncode == status
    how_far, last = complaints(done.stderr)
    assert how_far.startswith(f"{path}: mean_flux 12 of 24, flux_ratio 0 of 2 ")
    assert last.startswith(farewell)


def test_the_same_job_again_finds_the_store_complete(demo, tmp_path, capsys):
    words = ["build", str(demo), "-o", str(tmp_path / "q.zarr"), "--serial", "--n-orders"]
    assert main([*words, "2"]) == 0
    before = (tmp_path / "q.zarr").stat().st_mtime_ns
    assert main([*words, "2"]) == 0
    assert f"{tmp_path / 'q.zarr'}: " in capsys.readouterr().err
    error(OutputExists, "--overwrite", path="q.zarr").check(refuse([*words, "3"]))
    assert (tmp_path / "q.zarr").stat().st_mtime_ns == before


def test_workers_too_small_for_the_program(demo, tmp_path):
    words = ["build", demo, "-o", tmp_path / "q.zarr", "--n-orders", "2", "--cluster"]
    (tmp_path / "a.toml").write_text('[cluster]\nworkers = 2\nmemory = "180MB"\n')
    error(InvalidInput, "90 MB", name="workers", value=2).check(
        refuse([*words, tmp_path / "a.toml"])
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.toml"]
