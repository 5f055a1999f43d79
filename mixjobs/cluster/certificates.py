"""Certificates for encrypted connections.

Anyone who can reach the port of a Dask scheduler can run code as its owner. Scheduler, workers and
client therefore use TLS, with certificates that are created for one job and trusted only by it. On
one machine they stay in memory; workers on other nodes read them from a private folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname

import psutil
from distributed.security import Security

_FIELDS = ("tls_ca_file", "tls_scheduler_cert", "tls_scheduler_key", "tls_worker_cert",
           "tls_worker_key", "tls_client_cert", "tls_client_key")  # fmt: skip


@contextmanager
def certificate_files(folder: Path) -> Iterator[Security]:
    """Yield TLS settings whose certificates and keys are files, which are removed at the end.

    Parameters
    ----------
    folder : Path
        A folder visible to all nodes. Leftovers of killed jobs are removed as well.
    """
    job = os.environ.get("SLURM_JOB_ID")
    private = folder / (f".tls-slurm-{job}" if job else f".tls-{gethostname()}-{os.getpid()}")
    for other in folder.glob(".tls-*"):
        if other == private or _is_dead(other.name):
            shutil.rmtree(other, ignore_errors=True)
    private.mkdir(mode=0o700, parents=True)
    created = Security.temporary()
    try:
        paths = {name: _write(private / f"{name}.pem", getattr(created, name)) for name in _FIELDS}
        yield Security(require_encryption=True, **paths)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _is_dead(name: str) -> bool:
    """Return whether the owner of a folder, a Slurm job or a local process, has ended."""
    where, _, number = name.removeprefix(".tls-").rpartition("-")
    if where == "slurm":
        queue = subprocess.run(
            ["squeue", "--noheader", f"--jobs={number}"], capture_output=True, check=False
        )
        return not queue.stdout.strip()
    return where == gethostname() and not psutil.pid_exists(int(number))


def _write(path: Path, text: str) -> str:
    with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
        file.write(text)
    return str(path)
