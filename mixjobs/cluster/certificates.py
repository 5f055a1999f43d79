"""Encryption: whoever reaches the port of a Dask scheduler can run code in its owner's name.

So scheduler, workers and client talk TLS, with certificates that are made for the job and
trusted by it alone. On one machine they are kept in memory; workers on other nodes read them
from a folder that only its owner can.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed.security import Security

_FIELDS = ("tls_ca_file", "tls_scheduler_cert", "tls_scheduler_key", "tls_worker_cert",
           "tls_worker_key", "tls_client_cert", "tls_client_key")  # fmt: skip


@contextmanager
def certificate_files(folder: Path) -> Iterator[Security]:
    """Yield security whose certificates and keys are files, removed at the end.

    Parameters
    ----------
    folder : Path
        A folder that all nodes see.
    """
    private = folder / f".tls-{os.environ.get('SLURM_JOB_ID') or os.getpid()}"
    shutil.rmtree(private, ignore_errors=True)  # of this very job, before it was requeued
    private.mkdir(mode=0o700, parents=True)
    made = Security.temporary()
    try:
        paths = {name: _write(private / f"{name}.pem", getattr(made, name)) for name in _FIELDS}
        yield Security(require_encryption=True, **paths)
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _write(path: Path, text: str) -> str:
    with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
        file.write(text)
    return str(path)
