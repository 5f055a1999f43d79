"""From what was asked for to a connected Dask client."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import dask
from distributed import Client, LocalCluster

from mixjobs.errors import InvalidInput

# Results are tiny, so workers may queue as many tasks as there are: twice the task rate.
_SETTINGS = {
    "distributed.scheduler.worker-saturation": "inf",
    "distributed.scheduler.allowed-failures": 3,
}
_CONNECT_SECONDS = 20


@contextmanager
def connect(workers: int | None = None, scheduler: str | None = None) -> Iterator[Client]:
    """Yield a client of the scheduler at an address, or of a cluster of processes on this machine.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine, one thread each; all its cores if not given.
    scheduler : str, optional
        Address of a scheduler that runs already, such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    InvalidInput
        No scheduler answers at the address.
    """
    if scheduler:
        try:
            client = Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InvalidInput(
                f"no scheduler answers at {scheduler!r} ({reason}); "
                "expected an address such as tcp://HOST:8786"
            ) from None
        with client:
            yield client
        return
    with (
        dask.config.set(_SETTINGS),
        LocalCluster(
            n_workers=workers or len(os.sched_getaffinity(0)),
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,  # a task's error is told once, by whoever asked for it
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
