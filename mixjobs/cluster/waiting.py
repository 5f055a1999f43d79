"""Waits for workers and schedulers, which say what they wait for."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import Event, Thread

from distributed import Client

from mixjobs.display import counted
from mixjobs.errors import JobFailed
from mixjobs.progress_bar import line_interval


@contextmanager
def announced(text: str, after: float = 0.0) -> Iterator[None]:
    """Print what the ``with`` block waits for on standard error, and again every so often.

    Parameters
    ----------
    text : str
    after : float
        Seconds to wait before the first line, for waits that are usually short.
    """
    done, start = Event(), time.monotonic()

    def announce() -> None:
        wait = after
        while not done.wait(wait):
            elapsed = time.monotonic() - start
            so_far = f" ({timedelta(seconds=round(elapsed))} so far)" if elapsed > after + 1 else ""
            with suppress(OSError, ValueError):  # standard error is closed
                print(f"{text}{so_far}; stop with Ctrl-C", file=sys.stderr, flush=True)
            wait = line_interval(elapsed)

    thread = Thread(target=announce, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def await_workers(client: Client, n: int = 1, timeout: float | None = None) -> None:
    """Wait until a client has workers, and say so unless they are there.

    Parameters
    ----------
    client : Client
    n : int
        Number of workers.
    timeout : float, optional
        Seconds after which fewer workers, but at least one, are enough.

    Raises
    ------
    JobFailed
        The connection to the scheduler was lost.
    """
    try:
        present = len(client.ncores())
        if present >= n:
            return
        with announced(f"waiting for {_missing(client, n - present)}"):
            if timeout is not None:
                with suppress(TimeoutError):
                    client.wait_for_workers(n, timeout=timeout)
                    return
            client.wait_for_workers(1)
    except Exception as error:  # refused, closed or timed out, or the client has given up
        if isinstance(error, OSError) or client.scheduler is None or client.status == "closed":
            raise JobFailed(
                "the connection to the Dask scheduler was lost; start again (finished work is "
                "kept)",
                name="workers",
            ) from None
        raise


def _missing(client: Client, n: int) -> str:
    """Return which workers are missing, and how they start."""
    workers, cluster = counted(n, "worker"), client.cluster
    if cluster is None:
        address = client.scheduler_info(n_workers=0)["address"]
        return f"{workers} of the scheduler {address}: start them with dask worker {address}"
    if hasattr(cluster, "job_script"):
        return f"{workers}: Slurm has not started the jobs yet (squeue --me shows them)"
    return f"{workers} to start"
