"""``mixjobs cluster``: try a cluster, or show how its workers are started."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path
from socket import gethostname

from mixjobs.cli.build import named_cluster
from mixjobs.cli.options import say
from mixjobs.cluster import connect
from mixjobs.cluster.allocation import worker_command
from mixjobs.cluster.machine import memory_here, workers_here
from mixjobs.cluster.monitor import dashboard_lines
from mixjobs.cluster.slurm import job_script
from mixjobs.config.cluster import ClusterConfig

_LOGS = "STORE.logs"


def cluster(args: Namespace) -> None:
    """Start a cluster, say where its first worker runs, and leave; or show how it is started."""
    table = named_cluster(args.cluster)
    if args.show:
        print(shown(table), end="")
        return
    logs = Path(table.logs or "mixjobs-cluster.logs")
    with connect(table, logs if table.kind in ("allocation", "slurm") else None) as client:
        for line in dashboard_lines(client, table):
            say(line)
        say("waiting for a worker")
        client.wait_for_workers(1)
        workers = client.scheduler_info(n_workers=-1)["workers"]
        for address, host in client.run(gethostname).items():
            print(f"worker on {host}, memory {workers[address]['memory_limit'] / 1e9:.3g} GB")


def shown(table: ClusterConfig) -> str:
    """Return how the workers of a cluster are started."""
    if table.kind == "slurm":
        return job_script(table)
    if table.kind == "allocation":
        logs = Path(table.logs or _LOGS)
        return shlex.join(worker_command("tls://SCHEDULER:PORT", table, logs, None)) + "\n"
    if table.kind == "address":
        return f"no workers are started: those of {table.scheduler} are used\n"
    workers = workers_here(table.workers)
    memory = table.memory or f"{memory_here() / 1e9:.3g} GB"
    return f"{workers} processes on this machine, one thread each, {memory} in all\n"
