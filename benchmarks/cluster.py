"""Worker processes: two that all benchmarks share, or some with a separate scheduler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import dask
from distributed import Client

from benchmarks.libraries import ROOT
from benchmarks.measure import at_end
from mixjobs.cluster import connect
from mixjobs.cluster.certificates import certificate_files
from mixjobs.config.cluster import ClusterConfig

WORKERS = 2
_START_SECONDS = 60


@cache
def workers() -> Client:
    """Return a client of a cluster of processes on this machine, which ends with the run."""
    return at_end.enter_context(connect(ClusterConfig(workers=WORKERS)))


@contextmanager
def scheduler_apart(n_workers: int) -> Iterator[Client]:
    """Yield a client of a scheduler in a separate process, as on a cluster, and its workers.

    Memory and CPU time of the scheduler are then separate from those of the job's own process.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="mixjobs-benchmark-"))
        file = Path(folder) / "scheduler.json"
        security = stack.enter_context(certificate_files(Path(folder)))
        tls = _tls(security.get_tls_config_for_role("scheduler"))
        stack.enter_context(
            _running("scheduler", "--port", "0", "--scheduler-file", str(file), *tls)
        )
        address = _address(file)
        tls = _tls(security.get_tls_config_for_role("worker"))
        for _ in range(n_workers):
            stack.enter_context(
                _running("worker", "--no-nanny", "--nthreads", "1", address, *tls, folder=folder)
            )
        ours = security.get_tls_config_for_role("client")
        stack.enter_context(
            dask.config.set(
                {
                    "distributed.comm.tls.ca-file": ours["ca_file"],
                    "distributed.comm.tls.client.cert": ours["cert"],
                    "distributed.comm.tls.client.key": ours["key"],
                }
            )
        )
        client = stack.enter_context(connect(ClusterConfig(kind="address", scheduler=address)))
        client.wait_for_workers(n_workers, timeout=_START_SECONDS)
        yield client


def _tls(files: Mapping[str, str]) -> list[str]:
    """Return the options that name certificates to a ``dask`` command."""
    options = [
        (f"--tls-{name.replace('_', '-')}", files[name]) for name in ("ca_file", "cert", "key")
    ]
    return ["--protocol", "tls", *(word for option in options for word in option)]


@contextmanager
def _running(role: str, *arguments: str, folder: str | None = None) -> Iterator[None]:
    """Keep a ``dask scheduler`` or a ``dask worker`` running, with the settings of mixjobs."""
    command = [sys.executable, "-m", "dask", role, "--host", "127.0.0.1", *arguments]
    command += ["--dashboard-address", "127.0.0.1:0"]
    command += ["--local-directory", folder] if folder else []
    settings = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "inf"}
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **settings},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches only this process
    )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def _address(file: Path) -> str:
    """Wait for the scheduler's file, and return its address."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        try:
            return str(json.loads(file.read_text())["address"])
        except (FileNotFoundError, ValueError):
            time.sleep(0.05)
    raise RuntimeError("the scheduler did not start")
