"""The client of a job: its workers, their logs and the dashboard."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from dask.utils import format_bytes

from mixjobs.cluster import connect
from mixjobs.cluster.allocation import worker_command
from mixjobs.cluster.machine import memory_here, workers_here
from mixjobs.cluster.monitor import dashboard_lines
from mixjobs.cluster.slurm import job_script
from mixjobs.cluster.waiting import await_workers
from mixjobs.config.cluster import ClusterConfig, make_cluster, read_cluster
from mixjobs.display import counted
from mixjobs.errors import InvalidInput

if TYPE_CHECKING:
    from distributed import Client

_REMOTE = ("allocation", "slurm")  # kinds whose workers run on other nodes


def named_cluster(name: str) -> ClusterConfig:
    """Return the cluster of a TOML file, or one of a kind (``"slurm"``) with default settings.

    Raises
    ------
    MissingFile, UnreadableFile, InvalidInput
        The file cannot be read, or there is no such kind of cluster.
    """
    if name.endswith(".toml"):
        return read_cluster(name)
    if name not in get_args(ClusterConfig.model_fields["kind"].annotation):
        raise InvalidInput(
            f"cluster {name!r}; expected local, allocation, slurm, or a file FILE.toml",
            name="cluster.kind",
            value=name,
        )
    return make_cluster({"kind": name}, f"cluster {name}")


@contextmanager
def job_client(
    config: ClusterConfig | None,
    output: str | Path,
    note: Callable[[str], None] | None = None,
) -> Iterator[Client | None]:
    """Yield the client of a job's cluster, which is shut down at the end.

    Parameters
    ----------
    config : ClusterConfig or None
        None for a job that runs in this process, without a client.
    output : str or Path
        Path of the job's output. Workers on other nodes log to ``output.logs``, unless the cluster
        names another folder.
    note : callable, optional
        Called with each line about the dashboard.

    Raises
    ------
    InvalidInput, JobFailed
        See `mixjobs.cluster.connect`.
    """
    if config is None:
        yield None
        return
    logs = Path(f"{output}.logs") if config.kind in _REMOTE else None
    with connect(config, Path(config.logs) if config.logs is not None else logs) as client:
        if note is not None:
            for line in dashboard_lines(client, config):
                note(line)
        yield client


def n_workers(config: ClusterConfig | None) -> int:
    """Return the number of workers, as far as it is known before they start."""
    if config is None:
        return 1
    if config.kind == "slurm":
        return config.jobs[1] * (config.workers or 1)
    if config.kind == "allocation":
        return int(os.environ.get("SLURM_NTASKS") or 1) * workers_here()
    return workers_here(config.workers)


def start_command(config: ClusterConfig) -> str:
    """Return the batch script or command that starts the workers, or a sentence in its place."""
    if config.kind == "slurm":
        return job_script(config)
    if config.kind == "allocation":
        logs = Path(config.logs or "STORE.logs")
        return shlex.join(worker_command("tls://SCHEDULER:PORT", config, logs, None)) + "\n"
    if config.kind == "address":
        return f"no workers are started: the job uses those of {config.scheduler}\n"
    workers = workers_here(config.workers)
    memory = config.memory or format_bytes(memory_here())
    return f"{counted(workers, 'process')} on this machine, one thread each, {memory} in all\n"


def first_workers(config: ClusterConfig, note: Callable[[str], None]) -> Iterator[str]:
    """Start a cluster, wait for a worker, and yield one line for each worker that is up."""
    from socket import gethostname

    with job_client(config, "mixjobs-cluster", note) as client:
        assert client is not None  # there is a cluster
        await_workers(client)
        workers = client.scheduler_info(n_workers=-1)["workers"]
        for address, host in client.run(gethostname).items():
            memory = format_bytes(workers[address]["memory_limit"])
            yield f"worker on {host}, memory {memory}"
