"""Faults while a job runs: dying workers, drivers and schedulers, and second starts."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, fields

import numpy as np
import psutil
import pytest
import zarr
from dask.utils import key_split
from distributed import get_task_stream

import mixjobs
from mixjobs import Orders
from mixjobs.cli import main
from mixjobs.cluster import connect
from mixjobs.config.cluster import ClusterConfig
from mixjobs.demo.library import DemoLibrary
from mixjobs.errors import JobFailed
from mixjobs.library.starfish import StarfishLibrary, StarfishReader
from mixjobs.store import progress
from mixjobs.store.format import partial_path
from tests.helpers.command import complaints, finish, start, wait_for
from tests.helpers.small_stores import assert_same

N_ORDERS = 8
ORDERS = Orders.log_spaced(N_ORDERS, 5000, 5028)
WORDS = ["--n-orders", str(N_ORDERS), "--range", "5000:5028", "--block", "1,1"]


@pytest.fixture(scope="module")
def large_reference(large, tmp_path_factory):
    """The store of an uninterrupted job in this process."""
    return mixjobs.build(large, ORDERS, tmp_path_factory.mktemp("reference") / "q.zarr")


@pytest.fixture(scope="module")
def reference(demo, tmp_path_factory):
    """The same for the small library."""
    return mixjobs.build(demo, ORDERS, tmp_path_factory.mktemp("reference") / "q.zarr")


def pairs_done(path):
    """Number of (order, point) pairs whose mean is on record in a partial store."""
    done = progress.read(partial_path(path))
    means = progress.recorded_means(done, (N_ORDERS, 36))
    return int(np.isfinite(means).sum())


def stop_at(path):
    """A progress report that interrupts a job once a pair is on record."""

    def report(stage, done, total):
        if pairs_done(path):
            raise KeyboardInterrupt

    return report


@pytest.fixture
def interrupted(demo, tmp_path):
    """Path of a store whose build was interrupted after its first block."""
    path = tmp_path / "q.zarr"
    with pytest.raises(KeyboardInterrupt):
        mixjobs.build(demo, ORDERS, path, block=(1, 1), report=stop_at(path))
    assert pairs_done(path)
    return path


@pytest.mark.parametrize("stage", ["mean_flux", "flux_ratio"])
def test_a_killed_worker_changes_nothing(stage, demo, reference, client, tmp_path):
    client.wait_for_workers(2)
    victim = next(iter(client.run(os.getpid).values()))
    work_left = []

    def report(now, done, total):
        if now == stage and done and not work_left:
            os.kill(victim, signal.SIGKILL)
            work_left.append(total - done)

    store = mixjobs.build(demo, ORDERS, tmp_path / "q.zarr", client, block=(1, 1), report=report)
    assert work_left[0] > 0
    assert victim not in client.run(os.getpid).values()
    assert_same(store.path, reference)


def test_a_killed_driver_loses_no_finished_work(
    large, large_reference, client, trusted, tmp_path, capsys
):
    path = tmp_path / "q.zarr"
    words = ["build", str(large), "-o", str(path), *WORDS]
    driver = start(*words, "--workers", "1")
    wait_for(lambda: pairs_done(path) >= 20)

    assert main([*words, "--serial"]) == 2  # a second start while the first is running
    (complaint,) = complaints(capsys.readouterr().err)
    assert f"process {driver.pid} on " in complaint
    assert complaint.endswith("; wait until it finishes, or stop it and start again")

    workers = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    finish(driver)
    assert psutil.wait_procs(workers, timeout=30)[1] == []  # workers end with their driver
    n_kept = pairs_done(path)
    assert 20 <= n_kept < 36 * N_ORDERS

    with get_task_stream(client) as stream:
        assert main([*words, "--scheduler", client.scheduler.address]) == 0
    computed = [task for task in stream.data if key_split(task["key"]) == "mean_flux"]
    assert len(computed) == 36 * N_ORDERS - n_kept
    assert_same(path, large_reference)


def test_ctrl_c_at_a_terminal(large, large_reference, tmp_path):
    """A terminal sends Ctrl-C to the whole process group, including workers."""
    path = tmp_path / "q.zarr"
    driver = start("build", large, "-o", path, *WORDS, "--workers", "1")
    wait_for(lambda: pairs_done(path))
    os.killpg(driver.pid, signal.SIGINT)
    status, out, err = finish(driver)
    assert (status, out) == (130, "")
    how_far, farewell = complaints(err)
    assert how_far.startswith(f"{path}: mean_flux {pairs_done(path)} of 288, flux_ratio 0 of 8 ")
    assert farewell == "mixjobs: stopped; run the same command again to continue"
    assert not path.exists()
    assert pairs_done(path)

    reports = []
    mixjobs.build(large, ORDERS, path, block=(1, 1), report=lambda *r: reports.append(r))
    assert reports[0][1] > 0  # blocks finished before the first report
    assert_same(path, large_reference)


SCHEDULER = """
from distributed import LocalCluster
options = dict(protocol="tcp://", host="127.0.0.1", scheduler_kwargs={"dashboard": False})
with LocalCluster(n_workers=1, processes=False, **options) as cluster:
    print(cluster.scheduler_address, flush=True)
    input()
"""


def test_a_lost_scheduler(large, large_reference, tmp_path):
    path = tmp_path / "q.zarr"
    scheduler = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    address = scheduler.stdout.readline().strip()
    driver = start("build", large, "-o", path, *WORDS, "--scheduler", address, impatient=True)
    wait_for(lambda: pairs_done(path))
    scheduler.kill()
    scheduler.communicate()
    status, out, err = finish(driver)
    assert (status, out) == (2, "")
    assert complaints(err) == [
        "mixjobs: mean_flux: the connection to the scheduler was lost; start again "
        "(finished work is kept)"
    ]
    assert pairs_done(path)
    mixjobs.build(large, ORDERS, path, block=(1, 1))
    assert_same(path, large_reference)


@pytest.mark.parametrize("stage", ["mean_flux", "flux_ratio"])
def test_a_scheduler_lost_at_the_end_of_a_stage(stage, demo, reference, tmp_path, monkeypatch):
    """No result is pending at that moment."""
    # seconds until the client gives up on the lost scheduler
    monkeypatch.setattr("mixjobs.cluster.address._CONNECT_SECONDS", 1)
    path = tmp_path / "q.zarr"
    scheduler = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def kill(now, done, total):
        if (now, done) == (stage, total):
            scheduler.kill()
            scheduler.communicate()

    address = scheduler.stdout.readline().strip()
    with pytest.raises(JobFailed, match="the connection to the scheduler was lost"):  # noqa: SIM117
        with connect(ClusterConfig(kind="address", scheduler=address)) as client:
            mixjobs.build(demo, ORDERS, path, client, block=(1, 1), report=kill)
    reports = []
    mixjobs.build(demo, ORDERS, path, block=(1, 1), report=lambda *r: reports.append(r))
    assert [r for r in reports if r[0] == stage][1:] == []
    assert_same(path, reference)


def test_two_commands_at_the_same_moment(large, large_reference, tmp_path):
    path = tmp_path / "q.zarr"
    both = [start("build", large, "-o", path, *WORDS, "--serial") for _ in range(2)]
    ended = sorted(finish(process) for process in both)
    statuses = [status for status, _, _ in ended]
    assert statuses in ([0, 2], [0, 0])
    refused = "in use by|already exists|is taking over|has just finished or stopped"
    if statuses == [0, 2]:
        (complaint,) = complaints(ended[1][2])
        assert re.search(refused, complaint)
    else:  # the slower command started after the other had finished
        assert sum("already complete" in err for _, _, err in ended) == 1
    assert_same(path, large_reference)


@dataclass(frozen=True)
class DeadlyReader(StarfishReader):
    """Reading some spectra kills the process, as a broken HDF5 filter or lack of memory would."""

    driver: int

    def __iter__(self):
        if os.getpid() != self.driver:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__iter__()


class DeadlyLibrary(StarfishLibrary):
    """A library whose spectrum of point 7 kills every worker that reads it."""

    def reader(self, rows):
        reader = super().reader(rows)
        if 7 not in rows:
            return reader
        return DeadlyReader(*vars(reader).values(), os.getpid())


def test_a_task_that_kills_every_worker(demo, client, tmp_path):
    library = mixjobs.open_library(demo)
    deadly = DeadlyLibrary(**{f.name: getattr(library, f.name) for f in fields(library)})
    allowed = client.run_on_scheduler(_allow_failures, n=1)  # the job's own limit of 3 takes longer
    try:
        with pytest.raises(JobFailed) as failed:
            mixjobs.build(deadly, ORDERS.take([2]), tmp_path / "q.zarr", client, block=(1, 1))
    finally:
        client.run_on_scheduler(_allow_failures, n=allowed)
    message = str(failed.value)
    # Dask names the deadly task, or a neighbour that waited on the same worker both times
    assert re.match(r"mean flux of point \d, order 2$", failed.value.name)
    assert failed.value.value == 2  # deaths
    assert "\n" not in message
    # even though `failed` keeps the error and its futures alive, as a notebook does
    wait_for(lambda: client.run_on_scheduler(_n_tasks_left) == 0)
    client.wait_for_workers(2)
    assert not (tmp_path / "q.zarr").exists()


def _allow_failures(dask_scheduler, n):
    before, dask_scheduler.allowed_failures = dask_scheduler.allowed_failures, n
    return before


def _n_tasks_left(dask_scheduler):
    return len(dask_scheduler.tasks)


def test_a_failed_job_leaves_no_tasks_on_the_workers(demo, client, tmp_path):
    """Remaining tasks would write into a store that another job may have taken over."""
    path = tmp_path / "q.zarr"
    with pytest.raises(KeyboardInterrupt):
        mixjobs.build(demo, ORDERS, path, client, block=(1, 1), report=stop_at(path))
    wait_for(lambda: client.run_on_scheduler(_n_tasks_left) == 0)
    assert pairs_done(path) < 12 * N_ORDERS


def test_an_interrupted_job_is_resumed(interrupted, demo, reference):
    reports = []
    mixjobs.build(demo, ORDERS, interrupted, report=lambda *r: reports.append(r))
    assert reports[0][0] == "mean_flux"
    assert reports[0][1] > 0
    assert_same(interrupted, reference)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"orders": ORDERS.take([0, 1])}, "orders"),
        ({"dtype": "float32"}, "ratio table"),
        ({"table": False}, "ratio table"),
        ({"select": {"teff": (5700, 6300)}}, "grid points"),
        ({"flux_scale": "raw"}, "flux scale"),
    ],
)
def test_another_job_does_not_resume_it(change, differs, interrupted, demo, reference):
    n_kept = pairs_done(interrupted)
    job = {"library": demo, "orders": ORDERS, "path": interrupted}
    with pytest.raises(mixjobs.MixjobsError) as refused:
        mixjobs.build(**{**job, **change})
    assert set(refused.value.value) == {differs}
    assert refused.value.path == str(partial_path(interrupted))
    assert pairs_done(interrupted) == n_kept
    mixjobs.build(**job)  # the refused job has not damaged the partial store
    assert_same(interrupted, reference)


def test_another_library_is_refused(interrupted, tmp_path, capsys):
    other = DemoLibrary(n_pixels=512, wave_max=5030, seed=1).write(tmp_path / "other.hdf5")
    words = ["build", str(other), "-o", str(interrupted), *WORDS, "--serial"]
    assert main(words) == 2
    (complaint,) = complaints(capsys.readouterr().err)
    assert "the partial store of another job (library " in complaint
    assert main([*words, "--overwrite"]) == 0
    store = mixjobs.open_store(interrupted)
    assert store.attributes["library"] == str(other)


def test_overwriting_keeps_the_old_store_until_the_new_one_is_complete(demo, reference, tmp_path):
    path = tmp_path / "q.zarr"
    mixjobs.build(demo, ORDERS.take([0]), path)
    with pytest.raises(mixjobs.MixjobsError, match="already exists"):
        mixjobs.build(demo, ORDERS, path)
    with pytest.raises(KeyboardInterrupt):
        mixjobs.build(demo, ORDERS, path, overwrite=True, block=(1, 1), report=stop_at(path))
    assert len(mixjobs.open_store(path).orders) == 1
    mixjobs.build(demo, ORDERS, path, overwrite=True)
    assert_same(path, reference)
    assert [p.name for p in tmp_path.iterdir()] == ["q.zarr"]


def test_a_table_damaged_on_disk_is_detected(demo, tmp_path):
    path = tmp_path / "q.zarr"

    def damage(stage, done, total):
        if stage == "flux_ratio" and done == total:
            table = zarr.open_array(partial_path(path) / "store" / "flux_ratio", mode="r+")
            table[3] = table[3] * (1 + 1e-6)

    with pytest.raises(JobFailed, match="the store was damaged") as failed:
        mixjobs.build(demo, ORDERS, path, report=damage)
    assert failed.value.name == "interpolators of order indices 0 to 7"
    assert failed.value.value == pytest.approx(1e-6, rel=1e-3)
    assert not path.exists()
