"""Connection to a Dask scheduler that is already running."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed import Client

from mixjobs.cluster.waiting import announced
from mixjobs.config.cluster import ClusterConfig, is_file_name
from mixjobs.errors import InvalidInput

_CONNECT_SECONDS = 20
_PATIENCE = 2.0  # seconds before the first line about the wait


@contextmanager
def at_address(config: ClusterConfig, logs: Path | None) -> Iterator[Client]:  # noqa: ARG001
    """Yield a client of the scheduler at an address or in a scheduler file (``*.json``).

    The certificates for ``tls://`` come from Dask's own configuration.
    """
    assert config.scheduler is not None  # validated in ClusterConfig
    with _client(config.scheduler) as client:
        yield client


def _client(scheduler: str) -> Client:
    where = {"scheduler_file": scheduler} if is_file_name(scheduler) else {"address": scheduler}
    try:
        with announced(f"waiting for an answer of the scheduler {scheduler}", _PATIENCE):
            return Client(**where, timeout=_CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # also of the user's settings of Dask
        reason = " ".join(str(error).split())
    # A client that failed to connect closes itself when it is garbage-collected. This must happen
    # in this thread: in a thread that Dask is just starting, closing would wait forever.
    gc.collect()
    raise InvalidInput(
        f"no scheduler answers at {scheduler!r} ({reason}); "
        "expected an address such as tls://HOST:8786 (with certificates in Dask's settings "
        "distributed.comm.tls) or tcp://HOST:8786, or a scheduler file",
        name="scheduler",
        value=scheduler,
    )
