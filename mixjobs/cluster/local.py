"""Processes on this machine."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distributed import Client, LocalCluster, Worker, WorkerPlugin
from distributed.deploy.cluster import Cluster
from distributed.security import Security

from mixjobs.cluster.machine import memory_here, to_bytes, workers_here
from mixjobs.config.cluster import ClusterConfig


@contextmanager
def on_this_machine(table: ClusterConfig, logs: Path | None) -> Iterator[Client]:  # noqa: ARG001
    """Yield a client of worker processes of one thread each."""
    workers = workers_here(table.workers)
    memory = to_bytes(table.memory) if table.memory else memory_here()
    cluster = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=memory // workers,
        host="127.0.0.1",
        protocol="tls://",
        security=Security.temporary(),
        dashboard_address=table.dashboard,
        local_directory=table.scratch,
        silence_logs=logging.CRITICAL,  # a task's error is told once, by whoever asked for it
    )
    with attached(cluster) as client:
        client.register_plugin(_Steady())
        yield client


@contextmanager
def attached(cluster: Cluster) -> Iterator[Client]:
    """Yield a client of a cluster; close both, whatever happens."""
    client = Client(cluster, set_as_default=False)
    try:
        yield client
    finally:
        for part in (client, cluster):
            with suppress(TimeoutError):  # on a machine too busy to tell; they end with us
                part.close()


class _Steady(WorkerPlugin):
    """Makes workers ignore Ctrl-C, which a terminal sends to them too.

    Each would print a traceback; stopping them is the business of the process that started them.
    """

    def setup(self, worker: Worker) -> None:  # noqa: ARG002
        """Run in each worker process when it starts, or starts again."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
