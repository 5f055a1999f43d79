"""Worker processes on this machine."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster, Worker, WorkerPlugin
from distributed.deploy.cluster import Cluster
from distributed.security import Security

from mixjobs.cluster.machine import worker_memory, workers_here
from mixjobs.config.cluster import ClusterConfig
from mixjobs.errors import JobFailed


@contextmanager
def on_this_machine(config: ClusterConfig, logs: Path | None) -> Iterator[Client]:  # noqa: ARG001
    """Yield a client of worker processes with one thread each."""
    cluster = started(
        LocalCluster,
        n_workers=workers_here(config.workers),
        threads_per_worker=1,
        memory_limit=worker_memory(config),
        host="127.0.0.1",
        protocol="tls://",
        security=Security.temporary(),
        dashboard_address=config.dashboard,
        local_directory=config.scratch,
        silence_logs=logging.CRITICAL,  # the caller reports the errors of tasks
    )
    with attached(cluster) as client:
        client.register_plugin(_IgnoreInterrupt())
        yield client


def started(kind: Callable[..., Cluster], **options: Any) -> Cluster:
    """Start a cluster.

    Raises
    ------
    JobFailed
        It does not start.
    """
    try:
        return kind(**options)
    except Exception as error:  # of the scheduler, its dashboard or the first workers
        causes: list[BaseException] = [error]
        while causes[-1].__cause__ is not None:
            causes.append(causes[-1].__cause__)
        reason = " ".join(str(causes[-1] or type(causes[-1]).__name__).split())
        raise JobFailed(
            f"the cluster does not start ({reason}); check the table [cluster], and the free "
            "memory of this machine",
            name="cluster",
        ) from None


@contextmanager
def attached(cluster: Cluster) -> Iterator[Client]:
    """Yield a client of a cluster; close both at the end, also after an error."""
    client = Client(cluster, set_as_default=False)
    try:
        yield client
    finally:
        for part in (client, cluster):
            with suppress(TimeoutError):  # on a busy machine; they end with this process
                part.close()


class _IgnoreInterrupt(WorkerPlugin):
    """Plugin that makes workers ignore Ctrl-C, which a terminal also sends to them.

    Otherwise each would print a traceback. The process that started the workers stops them.
    """

    def setup(self, worker: Worker) -> None:  # noqa: ARG002
        """Ignore SIGINT in a worker process that starts or restarts."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
