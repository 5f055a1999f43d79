"""A scheduler that somebody else runs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

from mixjobs.config.cluster import ClusterConfig
from mixjobs.errors import InvalidInput, MissingFile

_CONNECT_SECONDS = 20


@contextmanager
def at_address(table: ClusterConfig, logs: Path | None) -> Iterator[Client]:  # noqa: ARG001
    """Yield a client of the scheduler at an address, or of a scheduler file (``*.json``).

    For ``tls://`` the certificates are those of Dask's own configuration.
    """
    assert table.scheduler is not None  # the table was validated
    with _client(table.scheduler) as client:
        yield client


def _client(scheduler: str) -> Client:
    is_file = scheduler.endswith(".json")
    if is_file and not Path(scheduler).is_file():
        raise MissingFile(f"{scheduler}: no such scheduler file; has the scheduler started?")
    where = {"scheduler_file": scheduler} if is_file else {"address": scheduler}
    try:
        return Client(**where, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
    # The client that could not connect closes itself when it is collected. In this thread: in
    # one that Dask is just starting it would wait for ever.
    gc.collect()
    raise InvalidInput(
        f"no scheduler answers at {scheduler!r} ({reason}); "
        "expected an address such as tls://HOST:8786 (with certificates in Dask's settings "
        "distributed.comm.tls) or tcp://HOST:8786, or a scheduler file"
    )
