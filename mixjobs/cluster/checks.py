"""What a cluster needs, checked before anything runs."""

from __future__ import annotations

import os
import socket
import subprocess
from multiprocessing import current_process
from pathlib import Path
from shutil import which

import psutil

from mixjobs.cluster.machine import PROGRAM_BYTES, USABLE_MEMORY, worker_memory, workers_here
from mixjobs.cluster.slurm import job_script
from mixjobs.config.cluster import ClusterConfig, is_file_name
from mixjobs.display import counted
from mixjobs.errors import InvalidInput, MissingFile

_SBATCH_SECONDS = 10  # without a configuration, sbatch tries for a minute


def check_cluster(config: ClusterConfig | None) -> None:
    """Check that a cluster can start here; a job of Slurm is tested, not submitted.

    Parameters
    ----------
    config : ClusterConfig or None
        None for a job that runs in this process, without a cluster.

    Raises
    ------
    InvalidInput, MissingFile
        It cannot; `name` is the key of the table `[cluster]`, or ``"cluster"``.
    """
    if config is None:
        return
    if config.kind == "address":
        _check_scheduler_file(str(config.scheduler))
        return
    checks = {"local": _check_local, "allocation": _check_allocation, "slurm": _check_slurm}
    checks[config.kind](config)
    if config.interface is not None:
        _check_interface(config.interface)
    _check_dashboard(config.dashboard)


def _check_scheduler_file(scheduler: str) -> None:
    if is_file_name(scheduler) and not Path(scheduler).is_file():
        raise MissingFile(
            f"{scheduler}: no such scheduler file; start the scheduler first", path=scheduler
        )


def _check_local(config: ClusterConfig) -> None:
    if getattr(current_process(), "_inheriting", False):
        raise InvalidInput(
            "a worker process runs the script that started it; put the calls of the script under "
            "if __name__ == '__main__':",
            name="cluster",
        )
    workers, each = workers_here(config.workers), worker_memory(config)
    if USABLE_MEMORY * each < PROGRAM_BYTES:
        raise InvalidInput(
            f"{counted(workers, 'worker')} would have {each / 1e6:.3g} MB each, less than the "
            f"program needs ({PROGRAM_BYTES / USABLE_MEMORY / 1e6:.3g} MB); start fewer workers",
            name="workers",
            value=workers,
        )
    if config.scratch is None:
        return
    try:
        Path(config.scratch).mkdir(parents=True, exist_ok=True)
        usable = os.access(config.scratch, os.W_OK | os.X_OK)
    except OSError:
        usable = False
    if not usable:
        raise InvalidInput(
            f"scratch = {config.scratch!r}: not a folder that can be written to; choose another",
            path=config.scratch, name="scratch", value=config.scratch,
        )  # fmt: skip


def _check_allocation(_config: ClusterConfig) -> None:
    if "SLURM_JOB_ID" not in os.environ or which("srun") is None:
        raise InvalidInput(
            "cluster allocation: not inside a Slurm allocation; submit the job with sbatch, "
            "as in slurm/build-allocation.sbatch",
            name="cluster",
            value="allocation",
        )


def _check_slurm(config: ClusterConfig) -> None:
    """Have Slurm test a worker's job, with its partition, account, limits and options."""
    if which("sbatch") is None:
        raise InvalidInput(
            "cluster slurm: no sbatch command found; start on a machine that can submit jobs",
            name="cluster",
            value="slurm",
        )
    with subprocess.Popen(
        ["sbatch", "--test-only"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        errors="replace",
    ) as sbatch:  # fmt: skip
        try:
            _, output = sbatch.communicate(job_script(config), timeout=_SBATCH_SECONDS)
        except subprocess.TimeoutExpired:
            sbatch.kill()
            _, output = sbatch.communicate()
    if sbatch.returncode:
        lines = [line.removeprefix("sbatch: ") for line in output.splitlines() if line.strip()]
        raise InvalidInput(
            f"cluster slurm: sbatch does not accept a worker's job ({(lines or ['no answer'])[-1]})"
            "; correct the table [cluster] (mixjobs cluster FILE --show prints the script), or "
            "start on a machine where Slurm works",
            name="cluster",
            value="slurm",
        )


def _check_interface(interface: str) -> None:
    interfaces = psutil.net_if_addrs()
    if interface not in interfaces:
        raise InvalidInput(
            f"interface = {interface!r}: this machine has no such network interface; choose from "
            f"{', '.join(interfaces)}",
            name="interface",
            value=interface,
        )


def _check_dashboard(dashboard: str) -> None:
    """Check that the dashboard can have its address."""
    host, _, port = dashboard.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as opened:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((host, int(port)))
    except OSError as error:
        raise InvalidInput(
            f"dashboard = {dashboard!r}: this address cannot be used ({error.strerror}); choose "
            "another, such as 127.0.0.1:0 for any free port",
            name="dashboard",
            value=dashboard,
        ) from None
