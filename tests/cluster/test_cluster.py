"""Dask clients: worker processes on this machine, or a scheduler that is already running."""

import logging
import os
import resource
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster
from pydantic import ValidationError

from mixjobs.cluster import connect
from mixjobs.cluster.certificates import certificate_files
from mixjobs.cluster.executor import check_memory
from mixjobs.cluster.machine import memory_here, slurm_memory_per_cpu, workers_here
from mixjobs.config.cluster import ClusterConfig
from mixjobs.errors import InvalidInput, MissingFile


@pytest.fixture(scope="module")
def open_scheduler():
    """A scheduler without encryption, such as another user may run."""
    options = {"protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=1, processes=False, **options) as cluster:
        yield cluster.scheduler_address


def at(scheduler):
    return ClusterConfig(kind="address", scheduler=str(scheduler))


def test_workers_are_processes_of_one_thread(client):
    client.wait_for_workers(2)
    assert sorted(client.ncores().values()) == [1, 1]
    processes = set(client.run(os.getpid).values())
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_only_this_machine_can_reach_it(client):
    addresses = [client.scheduler.address, *client.ncores(), client.dashboard_link]
    assert all("//127.0.0.1:" in address for address in addresses)


def test_the_dashboard_is_reached_by_loopback_alone(client):
    """Every other address of this machine refuses the connection."""
    port = urlsplit(client.dashboard_link).port
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    others = [
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    ]
    for other in [*others, "127.0.0.2"]:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((other, port), timeout=5)


class TestEncryption:
    def test_everything_is_encrypted(self, client):
        addresses = [client.scheduler.address, *client.ncores()]
        assert all(address.startswith("tls://") for address in addresses)

    def test_a_client_without_the_certificates_is_refused(self, client, open_scheduler):
        """The port is open to every user of this machine; only encryption keeps them out."""
        port = urlsplit(client.scheduler.address).port
        ours = [f"{protocol}://127.0.0.1:{port}" for protocol in ("tls", "tcp")]
        assert intrude(*ours, open_scheduler) == ["refused"] * 2 + [f"ran as {os.getuid()}"]

    def test_certificates_are_private_and_temporary(self, tmp_path):
        with certificate_files(tmp_path) as security:
            (folder,) = tmp_path.iterdir()
            assert folder.stat().st_mode & 0o777 == 0o700
            files = list(folder.iterdir())
            assert len(files) == 7
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
            assert security.require_encryption
        assert list(tmp_path.iterdir()) == []

    def test_certificates_of_a_killed_job_are_removed(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SLURM_JOB_ID", "17")
        dead = subprocess.Popen(["true"])
        dead.wait()
        here = socket.gethostname()
        keep = {f".tls-{here}-{os.getpid()}", f".tls-elsewhere-{dead.pid}"}
        for name in {".tls-slurm-17", f".tls-{here}-{dead.pid}", *keep}:
            (tmp_path / name).mkdir()
            (tmp_path / name / "old.pem").touch()
        with certificate_files(tmp_path):
            assert not (tmp_path / ".tls-slurm-17" / "old.pem").exists()
        assert {path.name for path in tmp_path.iterdir()} == keep


INTRUDER = """
import os, sys
from distributed import Client
from distributed.security import Security
own = Security.temporary()
# Import everything as root first: the user `nobody` may not be able to read this Python.
options = {"dashboard": False}
with Client(processes=False, n_workers=1, security=own, scheduler_kwargs=options) as first:
    first.submit(os.getuid).result()
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
    assert os.getuid() == 65534
for address in sys.argv[1:]:
    try:
        client = Client(address, security=own if address.startswith("tls") else None, timeout=5)
    except OSError:
        print("refused")
    else:
        print("ran as", client.submit(os.getuid).result())
"""


def intrude(*addresses):
    """Try to run a task as another user without the job's certificates; return the outcomes."""
    done = subprocess.run(
        [sys.executable, "-c", INTRUDER, *addresses], capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_settings_of_the_scheduler(client):
    def settings(dask_scheduler):
        return dask_scheduler.allowed_failures, dask_scheduler.WORKER_SATURATION

    assert client.run_on_scheduler(settings) == (3, float("inf"))


def test_it_does_not_become_the_default(client):
    with pytest.raises(ValueError, match="No clients found"):
        Client.current()


class TestAddress:
    def test_a_running_scheduler(self, open_scheduler):
        with connect(at(open_scheduler)) as other:
            assert other.scheduler.address == open_scheduler
            assert other.submit(os.getpid).result() == os.getpid()
        with connect(at(open_scheduler)) as again:
            assert len(again.ncores()) == 1

    def test_a_scheduler_with_encryption(self, client, trusted):
        """With the certificates named in Dask's own settings."""
        with connect(at(client.scheduler.address)) as other:
            assert other.submit(os.getpid).result() in client.run(os.getpid).values()
        assert client.status == "running"
        assert len(client.ncores()) == 2

    def test_a_scheduler_file(self, open_scheduler, tmp_path):
        (tmp_path / "scheduler.json").write_text(f'{{"address": "{open_scheduler}"}}')
        with connect(at(tmp_path / "scheduler.json")) as other:
            assert other.scheduler.address == open_scheduler
        with pytest.raises(MissingFile, match="no such scheduler file"):
            connect(at(tmp_path / "missing.json")).__enter__()

    @pytest.mark.parametrize(
        "address", ["tcp://127.0.0.1:9", "nowhere", "tcp://127.0.0.1", "x://y:1"]
    )
    def test_no_scheduler(self, address, monkeypatch):
        monkeypatch.setattr("mixjobs.cluster.address._CONNECT_SECONDS", 0.3)
        with pytest.raises(InvalidInput) as refused, connect(at(address)):
            pass
        assert str(refused.value).startswith(f"no scheduler answers at {address!r} (")
        assert "; expected an address such as tls://HOST:8786" in str(refused.value)
        assert "\n" not in str(refused.value)


class TestMachine:
    @pytest.fixture(autouse=True)
    def _no_slurm(self, monkeypatch):
        for name in list(os.environ):
            if name.startswith("SLURM"):
                monkeypatch.delenv(name)

    def test_all_available_cores(self):
        assert workers_here(3) == 3
        assert workers_here() == len(os.sched_getaffinity(0))

    def test_limits_of_slurm(self, monkeypatch):
        monkeypatch.setenv("SLURM_CPUS_ON_NODE", "2")
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
        assert workers_here() == 1
        monkeypatch.setenv("SLURM_MEM_PER_NODE", "2048")
        assert slurm_memory_per_cpu() == 2**30
        assert memory_here() == 2**30
        monkeypatch.setenv("SLURM_MEM_PER_CPU", "512")
        assert memory_here() == 2**29

    def test_no_limit_from_slurm(self, monkeypatch):
        without = memory_here()
        assert 0 < without <= psutil.virtual_memory().total
        monkeypatch.setenv("SLURM_MEM_PER_NODE", "0")
        assert slurm_memory_per_cpu() is None
        assert memory_here() == without

    def test_memory_is_shared_by_the_workers(self, client):
        workers = client.scheduler_info()["workers"].values()
        assert [worker["memory_limit"] for worker in workers] == [2_000_000_000] * 2

    def test_a_task_that_needs_more_memory_than_a_worker_has(self, client):
        check_memory(client, 1_400_000_000)
        with pytest.raises(InvalidInput) as error:
            check_memory(client, 1_500_000_000)
        assert (error.value.name, error.value.value) == ("memory", 2_000_000_000)

    def test_workers_keep_freed_memory(self, client):
        """Otherwise every step of sampling would request its arrays from the system again."""

        def pages():
            for _ in range(20):
                np.ones(1_000_000)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(20):
                np.ones(1_000_000)
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        assert max(client.run(pages).values()) < 2000  # 8,000 and more with Dask's own setting

    def test_invalid_memory(self):
        for memory in ("much", "-4GB", "4 bananas", "1MB"):
            with pytest.raises(ValidationError, match=f"'{memory}'; expected an amount"):
                ClusterConfig(memory=memory)


def test_logging_is_restored(open_scheduler):
    before = logging.getLogger("distributed.client").level
    with connect(at(open_scheduler)):
        assert logging.getLogger("distributed.client").level == logging.CRITICAL
    assert logging.getLogger("distributed.client").level == before


def test_the_logs_hold_a_performance_report(tmp_path):
    with connect(ClusterConfig(workers=1), tmp_path / "logs") as client:
        client.submit(sum, [1, 2]).result()
    report = (tmp_path / "logs" / "performance.html").read_text()
    assert "Dask Performance Report" in report


@pytest.mark.parametrize(
    ("kind", "message"),
    [("allocation", "not inside a Slurm allocation; submit"),
     ("slurm", "no sbatch command")],
)  # fmt: skip
def test_without_slurm(kind, message, monkeypatch, tmp_path):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidInput, match=message):
        connect(ClusterConfig(kind=kind), tmp_path / "logs").__enter__()
    assert list(tmp_path.iterdir()) == []
