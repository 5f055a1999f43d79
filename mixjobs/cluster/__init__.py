"""Clusters: connect to Dask on one machine, in a Slurm allocation, or at an address."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dask
from distributed import Client

from mixjobs.cluster.address import at_address
from mixjobs.cluster.allocation import in_allocation
from mixjobs.cluster.local import on_this_machine
from mixjobs.cluster.machine import KEEP_MEMORY
from mixjobs.cluster.monitor import performance
from mixjobs.cluster.slurm import as_slurm_jobs
from mixjobs.config.cluster import ClusterConfig

__all__ = ["connect"]

_SETTINGS = {
    # Results are tiny, so workers may queue any number of tasks, which doubles the task rate.
    "distributed.scheduler.worker-saturation": "inf",
    # Number of workers that may die while running a task before the task is blamed for it.
    "distributed.scheduler.allowed-failures": 3,
    **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in KEEP_MEMORY.items()},
}
# The site can stop workers on other nodes, for instance at a time limit.
_SETTINGS_ELSEWHERE = {
    "distributed.scheduler.allowed-failures": 10,
    # A lost job is replaced immediately.
    "distributed.deploy.lost-worker-timeout": "1s",
}
_LOGGERS = ("distributed", "distributed.client", "tornado.application")


@contextmanager
def connect(
    config: ClusterConfig = ClusterConfig(),  # noqa: B008 (it is frozen)
    logs: Path | None = None,
) -> Iterator[Client]:
    """Yield a Dask client of a cluster, and shut everything down at the end.

    Parameters
    ----------
    config : ClusterConfig
        Description of the cluster; processes on this machine by default.
    logs : Path, optional
        Folder for the workers' output, the certificates and Dask's performance report. Required for
        the kinds "allocation" and "slurm", whose workers run on other nodes.

    Raises
    ------
    InvalidInput
        No scheduler answers at the address, or Slurm is not available.
    JobFailed
        No worker could be started.
    """
    kinds = {
        "local": on_this_machine,
        "allocation": in_allocation,
        "address": at_address,
        "slurm": as_slurm_jobs,
    }
    settings = _SETTINGS | (_SETTINGS_ELSEWHERE if config.kind in ("allocation", "slurm") else {})
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        stack.enter_context(_quiet())
        client = stack.enter_context(kinds[config.kind](config, logs))
        if logs is not None:
            stack.enter_context(performance(client, logs / "performance.html"))
        yield client


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Dask's messages about lost workers and schedulers, which the job reports itself."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
