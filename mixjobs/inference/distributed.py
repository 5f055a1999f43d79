"""Orders distribute over Dask workers, for what is evaluated thousands of times while sampling.

A call is a message to each worker and one back, outside the task graph: tasks take far longer.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import dask
from distributed import Client, Worker
from distributed.protocol.pickle import dumps, loads

from mixjobs.errors import JobFailed, MixjobsError
from mixjobs.model.instrument import in_order, of_orders
from mixjobs.model.layout import Values
from mixjobs.model.mixture import MixtureModel
from mixjobs.store.loading import load_mixture, order_numbers, wanted_orders
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from distributed import Client


Result = TypeVar("Result")
Build = Callable[[Sequence[int]], Callable[..., Sequence[Result]]]
Partition = tuple[int, ...]

_KEPT = 4  # calls of `distribute` whose evaluators a worker process keeps


def distribute(
    client: Client | None, build: Build[Result], orders: Sequence[int]
) -> Callable[..., list[Result]]:
    """Distribute orders over the present workers, one partition to each of their threads.

    Parameters
    ----------
    client : Client or None
        None makes one partition of all orders, in this process.
    build : callable
        ``build(partition)`` makes an evaluator of some orders, and ``evaluator(*arguments)``
        returns a sequence with one result for each order. It is pickled, and sent to workers that
        have not built their partitions yet. It runs in the worker, once for each process and
        partition, in the first call.
    orders : sequence of int
        Order numbers. A partition is some of them in a row. Partitions never change, so results do
        not depend on who is left: those of a lost worker are built again on others.

    Returns
    -------
    callable
        ``evaluate(*arguments)``: a list with one result an order, in the order of `orders`. It
        raises what `build` or the evaluator does.

    Raises
    ------
    JobFailed
        By both calls: the workers of a partition died again and again, or the scheduler was lost.
    """
    numbers = tuple(int(number) for number in orders)
    evaluator = build(numbers) if client is None else _Distributed(client, build, numbers)
    return lambda *arguments: _one_each(numbers, evaluator(*arguments))


def _one_each(orders: Partition, results: Sequence[Result]) -> list[Result]:
    return [result for _, result in zip(orders, results, strict=True)]


class _Distributed:
    """Shares of orders, and which worker has which."""

    def __init__(self, client: Client, build: Build[Any], orders: Partition) -> None:
        self._client, self._token, self._build = client, uuid4().hex, dumps(build)
        self._worker_of: dict[Partition, str] = {}
        self._workers: set[str] = set()  # all that there are; empty to look again
        self._all_built = False
        n = min(len(orders), sum(self._threads().values()))
        edges = [k * len(orders) // n for k in range(n + 1)] if n else []
        self._partitions = [orders[i:j] for i, j in pairwise(edges)]

    def __call__(self, *arguments: object) -> list[Any]:
        """Ask until each partition has an answer; raise the error of the first that has failed."""
        answers: dict[Partition, bytes] = {}
        deaths: Counter[Partition] = Counter()
        while missing := [partition for partition in self._partitions if partition not in answers]:
            if not self._workers:
                threads = self._threads()
                self._worker_of = _assigned(self._partitions, threads, self._worker_of)
                self._workers = set(threads)
                self._all_built = False
            found = self._ask(missing, arguments, deaths)
            self._all_built = all(found.values())  # one that has built nothing answers nothing
            answers |= {partition: answer for partition, answer in found.items() if answer}
        outcomes = [(partition, *loads(answers[partition])) for partition in self._partitions]
        for error in (error for _, _, error in outcomes if error is not None):
            raise error
        return [r for partition, results, _ in outcomes for r in _one_each(partition, results)]

    def _ask(
        self, missing: list[Partition], arguments: tuple[object, ...], deaths: Counter[Partition]
    ) -> dict[Partition, bytes]:
        """Ask each worker, once, for those of its partitions that are missing."""
        asked = {w: [s for s in missing if self._worker_of[s] == w] for w in self._workers}
        call = (self._token, asked, b"" if self._all_built else self._build, arguments)
        with _scheduler(self._client):  # asks all that it has: it tries one that has gone for long
            replies = self._client.run(_answer, *call, on_error="return")
        lost = {worker for worker, reply in replies.items() if isinstance(reply, OSError)}
        if lost or replies.keys() != self._workers:
            self._workers = set()
        _count(deaths, [partition for worker in lost for partition in asked.get(worker, [])])
        answers: dict[Partition, bytes] = {}
        for reply in (replies[worker] for worker in replies.keys() - lost):
            if isinstance(reply, Exception):
                raise reply
            answers |= loads(reply)
        return answers

    def _threads(self) -> dict[str, int]:
        """Count the threads of each worker, when the first is there."""
        with _scheduler(self._client):
            while not (threads := self._client.ncores()):
                self._client.wait_for_workers(1)
        return dict(threads)


def _assigned(
    partitions: list[Partition], threads: dict[str, int], had: dict[Partition, str]
) -> dict[Partition, str]:
    """Give each partition a worker: the one it had, if that is there and has not too many."""
    most = -(-len(partitions) // sum(threads.values()))  # partitions to a thread
    free = Counter({worker: most * n for worker, n in threads.items()})
    worker_of = {}
    for partition in sorted(partitions, key=lambda partition: had.get(partition) not in threads):
        worker = had.get(partition, "")
        if not free[worker]:
            worker = max(threads, key=lambda worker: free[worker] / threads[worker])
        worker_of[partition] = worker
        free[worker] -= 1
    return worker_of


@contextmanager
def _scheduler(client: Client) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # refused, closed or timed out; or the client has given it up
        if isinstance(error, OSError) or client.scheduler is None:
            raise JobFailed("orders: the scheduler was lost; start again") from None
        raise


def _count(deaths: Counter[Partition], lost: list[Partition]) -> None:
    """Refuse partitions whose workers die as often as Dask refuses a task."""
    deaths.update(lost)
    for partition, n in deaths.items():
        if n > dask.config.get("distributed.scheduler.allowed-failures"):
            raise JobFailed(
                f"orders {partition[0]} to {partition[-1]}: their worker died {n} times (out of "
                "memory?); give workers more memory, or use more of them, then start again"
            )


class _Evaluator:
    """In a worker: what `build` makes of a partition, when it is first wanted."""

    def __init__(self) -> None:
        self._evaluate: Callable[..., Sequence[Any]] | None = None
        self._lock = Lock()  # a call that was interrupted may still run

    def answer(self, partition: Partition, build: bytes, arguments: tuple[object, ...]) -> Any:
        """Results and error, pickled; nothing if it has to be built first, and `build` is empty."""
        with self._lock:
            if self._evaluate is None and not build:
                return b""
            try:
                if self._evaluate is None:
                    self._evaluate = loads(build)(partition)
                return dumps((self._evaluate(*arguments), None))
            except Exception as error:
                if not isinstance(error, MixjobsError):
                    error.add_note("In the worker: " + traceback.format_exc())
                return dumps((None, error))


_evaluators: OrderedDict[str, defaultdict[Partition, _Evaluator]] = OrderedDict()


async def _answer(
    token: str,
    asked: dict[str, list[Partition]],
    build: bytes,
    arguments: tuple[object, ...],
    dask_worker: Worker,
) -> Any:
    """Evaluate a worker's partitions in threads, so that it can talk to the scheduler meanwhile."""
    partitions = asked.get(dask_worker.address, [])
    mine = _evaluators.setdefault(token, defaultdict(_Evaluator))
    _evaluators.move_to_end(token)
    while len(_evaluators) > _KEPT:
        _evaluators.popitem(last=False)
    threads = [
        asyncio.to_thread(mine[partition].answer, partition, build, arguments)
        for partition in partitions
    ]
    return dumps(dict(zip(partitions, await asyncio.gather(*threads), strict=True)))


def distribute_mixture(
    client: Client | None,
    path: str | Path,
    components: int | Sequence[str | Path] = 2,
    **options: Any,
) -> Callable[[Values], tuple[Floats, ...]]:
    """Distribute the orders of a mixture over workers, which build their models from the store.

    Parameters
    ----------
    client : Client or None
        None evaluates in this process.
    path, components, options
        As for `mixjobs.load_mixture`; workers must see the path.

    Returns
    -------
    callable
        ``evaluate(values)`` gives what the model that `load_mixture` returns would: one array
        (..., n_pixels) an order. It raises what `load_mixture` (in the first call) and the model
        do, and `JobFailed`.
    """
    orders = wanted_orders(options.pop("orders", None), options.get("wavelengths"))
    numbers = order_numbers(path, orders)
    by_order: dict[str, Mapping[int, Any]] = {}
    if options.get("wavelengths") is not None:
        waves = in_order(options.pop("wavelengths"), numbers)
        by_order["wavelengths"] = dict(zip(numbers, waves, strict=True))
    for name in ("resolution", "fwhm"):
        if options.get(name) is not None:
            widths = of_orders(options.pop(name), len(numbers), name)
            by_order[name] = dict(zip(numbers, widths, strict=True))
    build = partial(_load_partition, str(path), components, options, by_order)
    evaluate = distribute(client, build, numbers)
    return lambda values: tuple(evaluate(values))


def _load_partition(
    path: str,
    components: int | Sequence[str | Path],
    options: Mapping[str, Any],
    by_order: Mapping[str, Mapping[int, Any]],
    partition: Sequence[int],
) -> MixtureModel:
    """Load the orders of one partition, in the worker."""
    of_partition: dict[str, Any] = {
        name: [values[number] for number in partition] for name, values in by_order.items()
    }
    return load_mixture(path, components, orders=partition, **options, **of_partition)
