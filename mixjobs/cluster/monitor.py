"""Watching a job: the way to the dashboard, and Dask's performance report."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from distributed import Client, performance_report

from mixjobs.config.cluster import ClusterConfig


def dashboard_lines(client: Client, table: ClusterConfig) -> list[str]:
    """Say where the dashboard is; in a Slurm job also how to get there."""
    if table.kind == "address" or not table.dashboard.startswith("127."):
        return [f"dashboard: {client.dashboard_link}"]
    port = urlsplit(client.dashboard_link).port
    lines = [f"dashboard: http://127.0.0.1:{port}/status"]
    if "SLURM_JOB_ID" in os.environ:
        login = os.environ.get("SLURM_SUBMIT_HOST", "LOGIN")
        lines.append(
            f"from your own machine: ssh -N -L {port}:127.0.0.1:{port} -J {login} "
            f"{socket.gethostname()}"
        )
    return lines


@contextmanager
def performance(client: Client, path: Path) -> Iterator[None]:
    """Write Dask's performance report (HTML) of what is done within, if the scheduler lives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with client.as_current():
        report = performance_report(filename=str(path), stacklevel=1)
        report.__enter__()
        try:
            yield
        finally:
            with suppress(Exception):  # the report must not hide what has gone wrong
                report.__exit__(None, None, None)
