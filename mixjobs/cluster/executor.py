"""Execution of tasks, in this process or on the workers of a Dask client.

Both run the same functions; the run in this process is the reference for tests.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from itertools import islice
from typing import Any, TypeVar, cast
from uuid import uuid4

from dask.utils import format_bytes
from distributed import Client, Future, as_completed
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from mixjobs.cluster.machine import PROGRAM_BYTES, USABLE_MEMORY
from mixjobs.cluster.waiting import await_workers
from mixjobs.display import counted
from mixjobs.errors import InvalidInput, JobFailed

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks that the scheduler holds at a time. With very many it slows down, and finally fails.
_MAX_QUEUED = 4000
# Fetching any number of results costs two round trips. Results are collected for up to this time in
# seconds, and for up to this fraction of the elapsed time.
_MAX_WAIT, _MAX_WAIT_FRACTION = 0.1, 0.05

_POLL = 0.01  # seconds between looks for results
_MAX_IDLE = 10.0  # seconds without results after which the workers are counted


def execute(
    client: Client | None,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    stage: str,
) -> Iterator[tuple[Task, Result]]:
    """Yield each task with its result, as soon as it is finished.

    Parameters
    ----------
    client : Client or None
        None for this process, which computes the tasks in order.
    function : callable
        Computes a task.
    tasks : iterable
    stage : str
        Name of the tasks on the dashboard.

    Raises
    ------
    JobFailed
        The worker of a task died repeatedly, or the connection to the scheduler was lost.
    """
    if client is None:
        for task in tasks:
            yield task, function(task)
        return
    waiting: dict[Future[Result], Task] = {}
    token, numbered = uuid4().hex, enumerate(tasks)

    def submit(count: int) -> list[Future[Result]]:
        batch = list(islice(numbered, count))
        if not batch:
            return []
        keys = [(f"{stage}-{token}", k) for k, _ in batch]
        # pure=False: a task that writes must run again when it is submitted again
        futures = client.map(function, [task for _, task in batch], key=keys, pure=False)
        waiting.update(zip(futures, (task for _, task in batch), strict=True))
        return futures

    start = time.monotonic()
    done = as_completed(submit(_MAX_QUEUED), loop=client.loop)
    try:
        for futures in _batches(client, done):
            time.sleep(min(_MAX_WAIT, _MAX_WAIT_FRACTION * (time.monotonic() - start)))
            futures += done.next_batch(block=False)
            results = _gather(client, futures, waiting, stage)
            yield from ((waiting.pop(f), r) for f, r in zip(futures, results, strict=True))
            if len(waiting) < _MAX_QUEUED // 2:
                done.update(submit(_MAX_QUEUED // 2))
    finally:
        if waiting and client.status == "running":
            client.cancel(list(waiting))  # a failed job must not go on writing


def _batches(client: Client, done: as_completed) -> Iterator[list[Future[Any]]]:
    """Yield finished futures as they come; if none come, see whether there are workers."""
    last = time.monotonic()
    while not done.is_empty():
        futures = done.next_batch(block=False)
        if futures:
            yield futures
            last = time.monotonic()
        elif time.monotonic() - last < _MAX_IDLE:
            time.sleep(_POLL)
        else:
            await_workers(client)
            last = time.monotonic()


def check_memory(client: Client, needed: int) -> None:
    """Refuse tasks that need more memory than a worker has, once the first worker is up.

    Parameters
    ----------
    client : Client
    needed : int
        Bytes that a task needs, beyond the program itself.

    Raises
    ------
    InvalidInput
        The smallest worker has less memory.
    """
    await_workers(client)
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    limit = min((worker["memory_limit"] or math.inf for worker in workers), default=math.inf)
    if PROGRAM_BYTES + needed > USABLE_MEMORY * limit:
        raise InvalidInput(
            f"a task needs about {format_bytes(needed)}, and the program "
            f"{format_bytes(int(PROGRAM_BYTES))}; a worker has {format_bytes(int(limit))}, of "
            f"which Dask uses {USABLE_MEMORY:.0%}: give workers more memory, or start fewer of "
            "them on each machine",
            name="memory",
            value=int(limit),
        )


def n_slots(client: Client | None) -> int:
    """Return the number of tasks that run at the same time.

    Raises
    ------
    JobFailed
        The connection to the scheduler was lost.
    """
    if client is None:
        return 1
    try:
        return max(1, int(sum(client.ncores().values())))
    except OSError:  # refused, closed or timed out
        raise _lost("workers") from None


def _gather(
    client: Client, futures: list[Future[Any]], tasks: Mapping[Future[Any], object], stage: str
) -> list[Any]:
    """Fetch results, or raise the error of a task, with the worker's traceback."""
    try:
        return cast("list[Any]", client.gather(futures))
    except KilledWorker as error:
        # Dask blames all tasks that the worker held; the one submitted first was running
        task = next(task for future, task in tasks.items() if future.status == "error")
        times = counted(error.allowed_failures + 1, "time")
        raise JobFailed(
            f"{task}: its worker died {times} (out of memory?); "
            "give workers more memory or choose a smaller block, and start again (finished work is "
            "kept)",
            name=str(task),
            value=error.allowed_failures + 1,
        ) from None
    except (CancelledError, CommClosedError):
        raise _lost(stage) from None


def _lost(stage: str) -> JobFailed:
    message = "the connection to the scheduler was lost; start again (finished work is kept)"
    return JobFailed(f"{stage}: {message}", name=stage)
