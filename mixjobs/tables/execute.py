"""Run the tasks of a stage: in this process, or on the workers of a Dask client.

Both run the same functions; the serial run is the reference that the other is tested against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from itertools import islice
from typing import Any, TypeVar
from uuid import uuid4

from distributed import Client, as_completed
from distributed.scheduler import KilledWorker

from mixjobs.errors import JobFailed

Task = TypeVar("Task")
Result = TypeVar("Result")

# Tasks that the scheduler holds at a time: it slows down, and fails, with very many.
_AHEAD = 4000


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
    token, numbered, waiting = uuid4().hex, enumerate(tasks), dict[Any, Task]()

    def submit(count: int) -> list[Any]:
        batch = list(islice(numbered, count))
        keys = [(f"{stage}-{token}", k) for k, _ in batch]
        waiting.update(zip(keys, (task for _, task in batch), strict=True))
        # pure=False: a task that writes must run again when it is asked for again
        return client.map(function, [task for _, task in batch], key=keys, pure=False)

    done = as_completed(submit(_AHEAD), loop=client.loop, with_results=True, raise_errors=False)
    for future, result in done:
        task = waiting.pop(future.key)
        if future.status != "finished":
            _explain(result, task)
        yield task, result
        if len(waiting) < _AHEAD // 2:
            done.update(submit(_AHEAD // 2))


def _explain(result: Any, task: object) -> None:
    """Raise what a task has failed with; its traceback is the worker's."""
    error = result[1] if isinstance(result, tuple) else result
    if isinstance(error, KilledWorker):
        raise JobFailed(
            f"{task}: its worker died {error.allowed_failures + 1} times "
            "(out of memory?); give workers more memory or a smaller --block, then start again: "
            "what is finished is kept"
        ) from None
    if isinstance(error, CancelledError) or not isinstance(error, BaseException):
        raise JobFailed(f"{task}: the scheduler was lost; start again, what is finished is kept")
    raise error
