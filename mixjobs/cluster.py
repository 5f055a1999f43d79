"""From what was asked for to a connected Dask client."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster, Worker, WorkerPlugin

from mixjobs.errors import InvalidInput

# Results are tiny, so workers may queue as many tasks as there are: twice the task rate.
_SETTINGS = {
    "distributed.scheduler.worker-saturation": "inf",
    "distributed.scheduler.allowed-failures": 3,
}
_LOGGERS = ("distributed", "distributed.client", "tornado.application")
_CONNECT_SECONDS = 20


def workers_here(workers: int | None = None) -> int:
    """Return how many workers this machine gets: as asked for, else all cores we may use."""
    return workers or int(CPU_COUNT)


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
    with _quiet(), _client_of(scheduler) if scheduler else _client_here(workers) as client:
        yield client


def _client_of(scheduler: str) -> Client:
    try:
        return Client(scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInput(
            f"no scheduler answers at {scheduler!r} ({reason}); "
            "expected an address such as tcp://HOST:8786"
        ) from None


@contextmanager
def _client_here(workers: int | None) -> Iterator[Client]:
    with dask.config.set(_SETTINGS):
        cluster = LocalCluster(
            n_workers=workers_here(workers),
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,  # a task's error is told once, by whoever asked for it
        )
    client = Client(cluster, set_as_default=False)
    try:
        client.register_plugin(_Steady())
        yield client
    finally:
        for part in (client, cluster):
            with suppress(TimeoutError):  # on a machine too busy to tell; they end with us
                part.close()


class _Steady(WorkerPlugin):
    """Makes workers ignore Ctrl-C, which a terminal sends to them too.

    Each would print a traceback; stopping them is the business of the process that started them.
    """

    def setup(self, worker: Worker) -> None:  # noqa: ARG002
        """Run in each worker process when it starts, or starts again."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Dask logs about a lost worker or scheduler off the screen: the job tells it."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
