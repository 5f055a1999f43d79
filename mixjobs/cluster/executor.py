"""Run the tasks of a stage: in this process, or on the workers of a Dask client.

Both run the same functions; the serial run is the reference that the other is tested against.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from itertools import islice
from typing import Any, TypeVar, cast
from uuid import uuid4

from distributed import Client, Future, as_completed
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from mixjobs.errors import InvalidInput, JobFailed

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks that the scheduler holds at a time: it slows down, and fails, with very many.
_AHEAD = 4000
# Fetching results costs two round trips however many they are: those of up to so many seconds
# are fetched together, but never of more than this part of the time that has passed.
_TOGETHER, _TOGETHER_PART = 0.1, 0.05

_PROGRAM_BYTES = 150e6  # of a worker that has read and written: 135 MB measured
_USABLE = 0.8  # of its memory limit: above, Dask lets a worker pause


def execute(
    client: Client | None,
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    stage: str,
) -> Iterator[tuple[Task, Result]]:
    """Yield each task with its result, as they are finished.

    Parameters
    ----------
    client : Client or None
        None runs in this process, in order.
    stage : str
        The tasks' name on the dashboard.

    Raises
    ------
    JobFailed
        A task whose worker died again and again, or a scheduler that was lost.
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
        # pure=False: a task that writes must run again when it is asked for again
        futures = client.map(function, [task for _, task in batch], key=keys, pure=False)
        waiting.update(zip(futures, (task for _, task in batch), strict=True))
        return futures

    begun = time.monotonic()
    done = as_completed(submit(_AHEAD), loop=client.loop)
    try:
        for futures in done.batches():
            time.sleep(min(_TOGETHER, _TOGETHER_PART * (time.monotonic() - begun)))
            futures += done.next_batch(block=False)
            results = _gather(client, futures, waiting, stage)
            yield from ((waiting.pop(f), r) for f, r in zip(futures, results, strict=True))
            if len(waiting) < _AHEAD // 2:
                done.update(submit(_AHEAD // 2))
    finally:
        if waiting and client.status == "running":
            client.cancel(list(waiting))  # a job that has failed computes and writes no more


def check_memory(client: Client, needed: int) -> None:
    """Refuse a task that a worker has no memory for, when the first worker is there.

    Parameters
    ----------
    needed : int
        Bytes that a task needs, beyond the program itself.

    Raises
    ------
    InvalidInput
        The smallest worker has less.
    """
    client.wait_for_workers(1)
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    limit = min((worker["memory_limit"] or math.inf for worker in workers), default=math.inf)
    if _PROGRAM_BYTES + needed > _USABLE * limit:
        raise InvalidInput(
            f"a task needs about {needed / 1e6:.0f} MB beside the program's "
            f"{_PROGRAM_BYTES / 1e6:.0f} MB, and a worker has {limit / 1e6:.0f} MB (of which Dask "
            f"lets it use {_USABLE:.0%}); give workers more memory, or fewer workers to a machine"
        )


def n_slots(client: Client | None) -> int:
    """How many tasks run at a time.

    Raises
    ------
    JobFailed
        The scheduler was lost.
    """
    if client is None:
        return 1
    try:
        return max(1, int(sum(client.ncores().values())))
    except OSError:  # it was refused, closed or timed out
        raise JobFailed(_lost("workers")) from None


def _gather(
    client: Client, futures: list[Future[Any]], tasks: Mapping[Future[Any], object], stage: str
) -> list[Any]:
    """Fetch results, or raise what a task has failed with; its traceback is the worker's."""
    try:
        return cast("list[Any]", client.gather(futures))
    except KilledWorker as error:
        # Dask blames every task that the worker held; it runs them in the order of submission
        task = next(task for future, task in tasks.items() if future.status == "error")
        raise JobFailed(
            f"{task}: its worker died {error.allowed_failures + 1} times "
            "(out of memory?); give workers more memory or a smaller --block, then start again: "
            "what is finished is kept"
        ) from None
    except (CancelledError, CommClosedError):
        raise JobFailed(_lost(stage)) from None


def _lost(stage: str) -> str:
    return f"{stage}: the scheduler was lost; start again, what is finished is kept"
