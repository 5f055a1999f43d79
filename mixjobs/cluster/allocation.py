"""Workers in all tasks of one Slurm allocation, started by ``srun``.

The scheduler runs in the batch script itself, where it occupies no task. The exit status of the job
is that of the script.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from distributed import Client, LocalCluster
from distributed.security import Security
from distributed.utils import get_ip, get_ip_interface

from mixjobs.cluster.certificates import certificate_files
from mixjobs.cluster.local import attached, started
from mixjobs.cluster.machine import KEEP_MEMORY, slurm_memory_per_cpu
from mixjobs.config.cluster import ClusterConfig
from mixjobs.errors import JobFailed

_STOP_SECONDS = 20


@contextmanager
def in_allocation(config: ClusterConfig, logs: Path | None) -> Iterator[Client]:
    """Yield a client of workers in every task of the current Slurm allocation."""
    assert logs is not None
    logs.mkdir(parents=True, exist_ok=True)
    with certificate_files(logs.resolve()) as security:
        cluster = started(
            LocalCluster,
            n_workers=0,
            host=get_ip_interface(config.interface) if config.interface else get_ip(),
            protocol="tls://",
            security=security,
            dashboard_address=config.dashboard,
            silence_logs=logging.CRITICAL,
        )
        command = worker_command(cluster.scheduler_address, config, logs, security)
        with attached(cluster) as client, _workers(client, command, logs):
            yield client


@contextmanager
def _workers(client: Client, command: list[str], logs: Path) -> Iterator[None]:
    """Run the workers with ``srun``; if it ends early, stop the job instead of waiting forever."""
    with (logs / "srun.log").open("w") as output:
        srun = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env=KEEP_MEMORY | os.environ,
        )  # fmt: skip

    stopping = Event()

    def watch() -> None:
        srun.wait()
        if not stopping.is_set():
            client.close()  # pending tasks raise an error

    Thread(target=watch, daemon=True).start()
    try:
        _wait_for_one(client, srun)
        yield
    except Exception:
        if srun.poll() is not None:
            raise JobFailed(
                f"all workers have ended (srun, exit status {srun.returncode}); see their output "
                f"in {logs}; submit the job again to continue (finished work is kept)",
                path=logs,
                value=srun.returncode,
            ) from None
        raise
    finally:
        stopping.set()
        _end(srun)


def _wait_for_one(client: Client, srun: subprocess.Popen[bytes]) -> None:
    while srun.poll() is None:
        with suppress(TimeoutError):
            client.wait_for_workers(1, timeout=1)
            return
    raise JobFailed("no worker started; see the output of srun in the logs")


def _end(srun: subprocess.Popen[bytes]) -> None:
    srun.terminate()  # srun forwards the signal to the workers
    try:
        srun.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        srun.kill()
        srun.wait()


def worker_command(
    scheduler: str, config: ClusterConfig, logs: Path, security: Security | None
) -> list[str]:
    """Return the ``srun`` command that starts one worker per CPU in every task."""
    cores = int(os.environ.get("SLURM_CPUS_PER_TASK") or 1)
    command = [
        "srun",
        f"--cpus-per-task={cores}",  # srun does not inherit this from sbatch
        "--no-kill", "--kill-on-bad-exit=0",  # the other workers continue
        f"--output={logs}/worker-%j-%t.log", "--open-mode=append",
        sys.executable, "-m", "distributed.cli.dask_worker", scheduler,
        "--nworkers", str(cores), "--nthreads", "1", "--no-dashboard", "--death-timeout", "60",
    ]  # fmt: skip
    memory = slurm_memory_per_cpu()
    if memory:
        command += ["--memory-limit", str(memory)]
    if config.scratch:
        command += ["--local-directory", config.scratch]
    if config.interface:
        command += ["--interface", config.interface]
    if security:
        for name in ("ca_file", "cert", "key"):
            field = "tls_ca_file" if name == "ca_file" else f"tls_worker_{name}"
            command += [f"--tls-{name.replace('_', '-')}", getattr(security, field)]
    return command
