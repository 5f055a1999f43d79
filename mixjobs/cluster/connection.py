"""Connection to a cluster of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from distributed import Client

from mixjobs.cluster.address import at_address
from mixjobs.cluster.allocation import in_allocation
from mixjobs.cluster.checks import check_cluster
from mixjobs.cluster.local import on_this_machine
from mixjobs.cluster.machine import KEEP_MEMORY
from mixjobs.cluster.monitor import performance
from mixjobs.cluster.settings import default_settings, quiet, users_settings
from mixjobs.cluster.slurm import as_slurm_jobs
from mixjobs.config.cluster import ClusterConfig

_SETTINGS = {
    # Results are tiny, so workers may queue any number of tasks, which doubles the task rate.
    "distributed.scheduler.worker-saturation": "inf",
    # Number of workers that may die while running a task before the task is blamed for it.
    "distributed.scheduler.allowed-failures": 3,
    # Workers monitor themselves less often than by default (every 10 to 500 ms).
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.admin.tick.interval": "1s",
    "distributed.worker.profile.interval": "100ms",
    **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in KEEP_MEMORY.items()},
}
# The site can stop workers on other nodes, for instance at a time limit.
_SETTINGS_ELSEWHERE = {
    "distributed.scheduler.allowed-failures": 10,
    # A lost job is replaced immediately.
    "distributed.deploy.lost-worker-timeout": "1s",
}


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
    check_cluster(config)
    settings = _SETTINGS | (_SETTINGS_ELSEWHERE if config.kind in ("allocation", "slurm") else {})
    with ExitStack() as stack:
        own = users_settings if config.kind == "address" else default_settings
        stack.enter_context(own(settings))
        stack.enter_context(quiet())
        client = stack.enter_context(kinds[config.kind](config, logs))
        if logs is not None:
            stack.enter_context(performance(client, logs / "performance.html"))
        yield client
