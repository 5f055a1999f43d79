"""Inside one Slurm allocation: the scheduler here, in the batch shell, the workers by ``srun``.

Outside ``srun`` the scheduler takes no task's place, and the exit status of the batch script
is ours.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which
from threading import Event, Thread

from distributed import Client, LocalCluster
from distributed.security import Security
from distributed.utils import get_ip, get_ip_interface

from mixjobs.cluster.certificates import certificate_files
from mixjobs.cluster.local import attached
from mixjobs.cluster.machine import KEEP_MEMORY, slurm_memory_per_cpu
from mixjobs.config.cluster import ClusterConfig
from mixjobs.errors import InvalidInput, JobFailed

_LEAVE_SECONDS = 20


@contextmanager
def in_allocation(table: ClusterConfig, logs: Path | None) -> Iterator[Client]:
    """Yield a client of workers in every task of the allocation that we run in."""
    if "SLURM_JOB_ID" not in os.environ or which("srun") is None:
        raise InvalidInput(
            "cluster allocation: this is no Slurm allocation; submit with sbatch, "
            "as slurm/build-allocation.sbatch does"
        )
    assert logs is not None
    logs.mkdir(parents=True, exist_ok=True)
    with certificate_files(logs.resolve()) as security:
        cluster = LocalCluster(
            n_workers=0,
            host=get_ip_interface(table.interface) if table.interface else get_ip(),
            protocol="tls://",
            security=security,
            dashboard_address=table.dashboard,
            silence_logs=logging.CRITICAL,
        )
        command = worker_command(cluster.scheduler_address, table, logs, security)
        with attached(cluster) as client, _workers(client, command, logs):
            yield client


@contextmanager
def _workers(client: Client, command: list[str], logs: Path) -> Iterator[None]:
    """Run the workers by ``srun``; if it ends too early, the job ends too instead of waiting."""
    with (logs / "srun.log").open("w") as output:
        srun = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env=KEEP_MEMORY | os.environ,
        )  # fmt: skip

    leaving = Event()

    def watch() -> None:
        srun.wait()
        if not leaving.is_set():
            client.close()  # whoever waits for a task is told that it is lost

    Thread(target=watch, daemon=True).start()
    try:
        _wait_for_one(client, srun)
        yield
    except Exception:
        if srun.poll() is not None:
            raise JobFailed(
                f"all workers have ended (srun, exit status {srun.returncode}); {logs} has their "
                "output; submit again to go on, what is finished is kept"
            ) from None
        raise
    finally:
        leaving.set()
        _end(srun)


def _wait_for_one(client: Client, srun: subprocess.Popen[bytes]) -> None:
    while srun.poll() is None:
        with suppress(TimeoutError):
            client.wait_for_workers(1, timeout=1)
            return
    raise JobFailed("no worker has started")


def _end(srun: subprocess.Popen[bytes]) -> None:
    srun.terminate()  # which it hands on to the workers
    try:
        srun.wait(_LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        srun.kill()
        srun.wait()


def worker_command(
    scheduler: str, table: ClusterConfig, logs: Path, security: Security | None
) -> list[str]:
    """Return the ``srun`` command: in every task as many workers as it has CPUs."""
    cores = int(os.environ.get("SLURM_CPUS_PER_TASK") or 1)
    command = [
        "srun",
        f"--cpus-per-task={cores}",  # which srun does not take over from sbatch
        "--no-kill", "--kill-on-bad-exit=0",  # the others go on
        f"--output={logs}/worker-%j-%t.log", "--open-mode=append",
        sys.executable, "-m", "distributed.cli.dask_worker", scheduler,
        "--nworkers", str(cores), "--nthreads", "1", "--no-dashboard", "--death-timeout", "60",
    ]  # fmt: skip
    memory = slurm_memory_per_cpu()
    if memory:
        command += ["--memory-limit", str(memory)]
    if table.scratch:
        command += ["--local-directory", table.scratch]
    if table.interface:
        command += ["--interface", table.interface]
    if security:
        for name in ("ca_file", "cert", "key"):
            field = "tls_ca_file" if name == "ca_file" else f"tls_worker_{name}"
            command += [f"--tls-{name.replace('_', '-')}", getattr(security, field)]
    return command
