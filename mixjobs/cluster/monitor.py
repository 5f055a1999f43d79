"""Monitoring of a job: Dask's dashboard and performance report."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from distributed import Client, performance_report

from mixjobs.config.cluster import ClusterConfig


def dashboard_lines(client: Client, config: ClusterConfig) -> list[str]:
    """Return lines with the dashboard's address and, in a Slurm job, how to reach it."""
    if config.kind == "address" or not config.dashboard.startswith("127."):
        try:
            return [f"dashboard: {client.dashboard_link}"]
        except (KeyError, IndexError, ValueError):  # the user's template names unknown variables
            return []
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
    """Write Dask's performance report (HTML) on the enclosed code, unless the scheduler is lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with client.as_current():
        report = performance_report(filename=str(path), stacklevel=1)
        report.__enter__()
        try:
            yield
        finally:
            with suppress(Exception):  # the report must not hide the original error
                report.__exit__(None, None, None)
