"""Workers as Slurm jobs of their own, which dask-jobqueue submits: between so few and so many."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any

from distributed import Client
from distributed.security import Security

from mixjobs.cluster.certificates import certificate_files
from mixjobs.cluster.local import attached
from mixjobs.config.cluster import ClusterConfig
from mixjobs.errors import InvalidInput

_GB_A_WORKER = 4
# A worker leaves before its job's walltime, and not all at once: between these parts of it.
_LIFETIME, _STAGGER = 0.85, 0.1
_IDLE_SECONDS = 60


@contextmanager
def as_slurm_jobs(table: ClusterConfig, logs: Path | None) -> Iterator[Client]:
    """Yield a client of workers that are jobs, elastic within ``table.jobs``."""
    if which("sbatch") is None:
        raise InvalidInput(
            "cluster slurm: there is no sbatch here; run it where jobs can be submitted"
        )
    from dask_jobqueue.slurm import SLURMCluster  # a third of a second that other kinds spare

    assert logs is not None
    logs.mkdir(parents=True, exist_ok=True)
    logs = logs.resolve()
    with certificate_files(logs) as security:
        cluster = SLURMCluster(
            **job_options(table, logs),
            interface=table.interface,
            security=security,
            protocol="tls://",
            scheduler_options={"dashboard_address": table.dashboard},
            silence_logs=logging.CRITICAL,
        )
        least, most = table.jobs
        # `scale` alone never replaces a lost job; `adapt` does
        cluster.adapt(
            minimum_jobs=least, maximum_jobs=most, interval="1s", wait_count=_IDLE_SECONDS
        )
        with attached(cluster) as client:
            yield client


def job_options(table: ClusterConfig, logs: Path) -> dict[str, Any]:
    """Return what dask-jobqueue is told of one job."""
    workers = table.workers or 1
    seconds = walltime_seconds(table.walltime)
    life = [f"{round(part * seconds)}s" for part in (_LIFETIME, _STAGGER)]
    constraint = [f"--constraint={table.constraint}"] if table.constraint else []
    return {
        "job_name": "mixjobs-worker",
        "cores": workers,
        "processes": workers,
        "memory": table.memory or f"{_GB_A_WORKER * workers}GB",
        "walltime": table.walltime,
        "queue": table.queue,
        "account": table.account,
        "job_directives_skip": [] if table.request_memory else ["--mem"],
        "job_extra_directives": [*constraint, *table.directives],
        "job_script_prologue": table.prologue,
        "log_directory": str(logs),
        "local_directory": table.scratch,
        "death_timeout": 60,
        "worker_extra_args": [
            "--no-dashboard", "--lifetime", life[0], "--lifetime-stagger", life[1],
        ],
    }  # fmt: skip


def job_script(table: ClusterConfig) -> str:
    """Return the script of a worker's job, as it would be submitted."""
    from dask_jobqueue.slurm import SLURMJob

    with TemporaryDirectory() as folder:  # the folder of the logs is made; not here
        job = SLURMJob(
            "tls://SCHEDULER:PORT",
            name="NAME",
            interface=table.interface,
            protocol="tls://",
            security=Security(
                tls_ca_file="CA.pem", tls_worker_cert="CERT.pem", tls_worker_key="KEY.pem"
            ),
            **job_options(table, Path(folder)),
        )
        script: str = job.job_script().replace(folder, table.logs or "STORE.logs")
    return script


def walltime_seconds(walltime: str) -> int:
    """Read a walltime.

    Examples
    --------
    >>> walltime_seconds("1-02:30:00")
    95400
    """
    days, _, clock = walltime.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
