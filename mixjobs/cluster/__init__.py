"""From what was asked for to a connected Dask client."""

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
    # Results are tiny, so workers may queue as many tasks as there are: twice the task rate.
    "distributed.scheduler.worker-saturation": "inf",
    # Deaths of workers that a task may see before it is taken for their cause.
    "distributed.scheduler.allowed-failures": 3,
    **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in KEEP_MEMORY.items()},
}
# Workers on other nodes are taken away for reasons of the site's.
_SETTINGS_ELSEWHERE = {
    "distributed.scheduler.allowed-failures": 10,
    # A job that is lost is replaced at once.
    "distributed.deploy.lost-worker-timeout": "1s",
}
_LOGGERS = ("distributed", "distributed.client", "tornado.application")


@contextmanager
def connect(
    table: ClusterConfig = ClusterConfig(),  # noqa: B008 (it is frozen)
    logs: Path | None = None,
) -> Iterator[Client]:
    """Yield a client of the cluster that a table describes, and leave nothing of it behind.

    Parameters
    ----------
    table : ClusterConfig
        Processes on this machine if not given.
    logs : Path, optional
        Folder for the workers' output, the certificates and Dask's performance report; needed
        by the kinds "allocation" and "slurm", whose workers are on other nodes.

    Raises
    ------
    InvalidInput
        No scheduler answers at the address, or Slurm is not there.
    JobFailed
        No worker could be started.
    """
    kinds = {
        "local": on_this_machine,
        "allocation": in_allocation,
        "address": at_address,
        "slurm": as_slurm_jobs,
    }
    settings = _SETTINGS | (_SETTINGS_ELSEWHERE if table.kind in ("allocation", "slurm") else {})
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        stack.enter_context(_quiet())
        client = stack.enter_context(kinds[table.kind](table, logs))
        if logs is not None:
            stack.enter_context(performance(client, logs / "performance.html"))
        yield client


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Dask logs about a lost worker or scheduler off the screen: the job tells it."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
