"""Workers as separate Slurm jobs, submitted by dask-jobqueue as they are needed."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from distributed import Client
from distributed.security import Security

from mixjobs.cluster.certificates import certificate_files
from mixjobs.cluster.local import attached, started
from mixjobs.cluster.settings import default_settings
from mixjobs.config.cluster import ClusterConfig, memory_bytes, walltime_seconds

_GB_PER_WORKER = 4
# Workers stop at random times before the walltime of their job; both are fractions of it.
_LIFETIME, _STAGGER = 0.85, 0.1
_IDLE_SECONDS = 60


@contextmanager
def as_slurm_jobs(config: ClusterConfig, logs: Path | None) -> Iterator[Client]:
    """Yield a client of workers that run as Slurm jobs, as many as ``config.jobs`` allows."""
    assert logs is not None
    logs.mkdir(parents=True, exist_ok=True)
    logs = logs.resolve()
    with certificate_files(logs) as security:
        cluster = started(
            _dask_jobqueue().SLURMCluster,
            **job_options(config, logs),
            interface=config.interface,
            security=security,
            protocol="tls://",
            scheduler_options={"dashboard_address": config.dashboard},
            silence_logs=logging.CRITICAL,
        )
        least, most = config.jobs
        # unlike `scale`, `adapt` replaces lost jobs
        cluster.adapt(
            minimum_jobs=least, maximum_jobs=most, interval="1s", wait_count=_IDLE_SECONDS
        )
        with attached(cluster) as client:
            yield client


def _dask_jobqueue() -> ModuleType:
    """Import dask-jobqueue, which takes a third of a second, and keep the handler of Ctrl-C."""
    handler = signal.getsignal(signal.SIGINT)
    from dask_jobqueue import slurm  # replaces the handler by one that ends the process silently

    if signal.getsignal(signal.SIGINT) is not handler:
        signal.signal(signal.SIGINT, handler)
    module: ModuleType = slurm
    return module


def job_options(config: ClusterConfig, logs: Path) -> dict[str, Any]:
    """Return the options of one job for dask-jobqueue."""
    workers = config.workers or 1
    seconds = walltime_seconds(config.walltime)
    life = [f"{round(fraction * seconds)}s" for fraction in (_LIFETIME, _STAGGER)]
    constraint = [f"--constraint={config.constraint}"] if config.constraint else []
    return {
        "job_name": "mixjobs-worker",
        "cores": workers,
        "processes": workers,
        "memory": f"{memory_bytes(config.memory)}B"
        if config.memory
        else f"{_GB_PER_WORKER * workers}GB",
        "walltime": config.walltime,
        "queue": config.queue,
        "account": config.account,
        "job_directives_skip": [] if config.request_memory else ["--mem"],
        "job_extra_directives": [*constraint, *config.directives],
        "job_script_prologue": config.prologue,
        "log_directory": str(logs),
        "local_directory": config.scratch,
        "death_timeout": 60,
        "worker_extra_args": [
            "--no-dashboard", "--lifetime", life[0], "--lifetime-stagger", life[1],
        ],
    }  # fmt: skip


def job_script(config: ClusterConfig) -> str:
    """Return the script of a worker's job as it would be submitted."""
    # dask-jobqueue creates the folder of the logs
    with default_settings({}), TemporaryDirectory() as folder:
        job = _dask_jobqueue().SLURMJob(
            "tls://SCHEDULER:PORT",
            name="NAME",
            interface=config.interface,
            protocol="tls://",
            security=Security(
                tls_ca_file="CA.pem", tls_worker_cert="CERT.pem", tls_worker_key="KEY.pem"
            ),
            **job_options(config, Path(folder)),
        )
        script: str = job.job_script().replace(folder, config.logs or "STORE.logs")
    return script
