"""The workers that a command asks for, and where they are watched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mixjobs.cli.options import say
from mixjobs.cluster import connect
from mixjobs.cluster.machine import workers_here
from mixjobs.cluster.monitor import dashboard_lines
from mixjobs.config.cluster import ClusterConfig

if TYPE_CHECKING:
    from distributed import Client


@contextmanager
def client_of(table: ClusterConfig | None, output: str | Path) -> Iterator[Client | None]:
    """Yield a client of the cluster, saying where its dashboard is; None for this process alone.

    Logs go where the table says, else beside the output where workers are on other nodes.
    """
    if table is None:
        yield None
        return
    logs = Path(f"{output}.logs") if table.kind in ("allocation", "slurm") else None
    with connect(table, Path(table.logs) if table.logs is not None else logs) as client:
        for line in dashboard_lines(client, table):
            say(line)
        yield client


def n_workers(table: ClusterConfig | None) -> int:
    """How many workers there will be, as far as that is known before they start."""
    if table is None:
        return 1
    if table.kind == "slurm":
        return table.jobs[1] * (table.workers or 1)
    if table.kind == "allocation":
        return int(os.environ.get("SLURM_NTASKS") or 1) * workers_here()
    return workers_here(table.workers)
