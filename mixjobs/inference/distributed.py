"""Evaluation of orders on Dask workers, for functions that a sampler calls thousands of times.

An evaluation sends one message to every worker and receives one reply. It bypasses Dask's task
graph, whose overhead is far longer than the evaluation itself. Tasks that take minutes use the task
graph; see `as_completed`.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar
from uuid import uuid4

import mixjobs.cluster  # noqa: F401 (first: it imports Dask whatever the user's settings)

# isort: split
import dask
import distributed
from distributed.protocol.pickle import dumps, loads

from mixjobs.cluster.waiting import await_workers
from mixjobs.display import counted
from mixjobs.errors import InvalidInput, JobFailed, MixjobsError
from mixjobs.model.instrument import in_order, of_orders
from mixjobs.model.layout import Values
from mixjobs.model.mixture import MixtureModel
from mixjobs.store.loading import load_mixture, order_numbers, wanted_orders
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from distributed import Client, Worker


Argument = TypeVar("Argument")
Result = TypeVar("Result")
Build = Callable[[Sequence[int]], Callable[..., Sequence[Result]]]
Partition = tuple[int, ...]

_MAX_CACHED = 4  # calls of `distribute` whose evaluators a worker process keeps


def as_completed(
    client: Client, function: Callable[[Argument], Result], arguments: Iterable[Argument]
) -> Iterator[Result]:
    """Run long independent tasks on the workers, and yield the results as they end."""
    futures = [client.submit(function, argument, pure=False) for argument in arguments]
    for _, result in distributed.as_completed(futures, loop=client.loop, with_results=True):
        yield result


def distribute(
    client: Client | None, build: Build[Result], orders: Sequence[int]
) -> Callable[..., list[Result]]:
    """Distribute orders over the workers of a client, one partition per thread.

    Parameters
    ----------
    client : Client or None
        None evaluates all orders in this process.
    build : callable
        ``build(partition)`` returns an evaluator of some orders; ``evaluator(*arguments)`` returns
        one result for each of them. The function is pickled. It runs in the worker at the first
        evaluation, once per process and partition.
    orders : sequence of int
        Order numbers. A partition is a run of consecutive orders, and never changes, so results do
        not depend on the workers: if one is lost, others take over its partitions.

    Returns
    -------
    callable
        ``evaluate(*arguments)`` returns a list with one result for each order, in the order of
        `orders`. Errors of `build` and of the evaluator are raised. Without a client it can be
        pickled if `build` can; the other process builds its own evaluator at the first evaluation.

    Raises
    ------
    JobFailed
        The scheduler is lost, or the workers of a partition die too often, now or later.
    """
    numbers = tuple(int(number) for number in orders)
    return _Local(build, numbers) if client is None else _Distributed(client, build, numbers)


def _one_per_order(orders: Partition, results: Sequence[Result]) -> list[Result]:
    return [result for _, result in zip(orders, results, strict=True)]


class _Local:
    """All orders, evaluated in this process; it can be pickled for another.

    A pool of processes sends the evaluator anew with every batch of work. The token lets a process
    keep what it has built.
    """

    def __init__(self, build: Build[Any], orders: Partition) -> None:
        self._build, self._orders, self._token = build, orders, uuid4().hex
        self._evaluate: Callable[..., Sequence[Any]] | None = build(orders)

    def __call__(self, *arguments: object) -> list[Any]:
        """Evaluate all orders."""
        if self._evaluate is None:
            if self._token not in _local_evaluators:
                _local_evaluators[self._token] = self._build(self._orders)
            self._evaluate = _local_evaluators[self._token]
            while len(_local_evaluators) > _MAX_CACHED:
                _local_evaluators.popitem(last=False)
        return _one_per_order(self._orders, self._evaluate(*arguments))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_evaluate": None}


_local_evaluators: OrderedDict[str, Callable[..., Sequence[Any]]] = OrderedDict()


class _Reply(NamedTuple):
    """The reply of a worker to a broadcast.

    Attributes
    ----------
    outcomes : dict
        Results and error of each partition that it has evaluated, pickled.
    unbuilt : list
        Partitions that it has not built, and could not build without the builder.
    """

    outcomes: dict[Partition, bytes]
    unbuilt: list[Partition]


class _Distributed:
    """Partitions of the orders, and the worker of each.

    An evaluation has three steps, which are repeated until every partition has an outcome:

    1. *Assign* each partition to a worker, if workers have come or gone.
    2. *Broadcast* the arguments. Every worker evaluates its own partitions and replies.
    3. *Retry* the partitions of lost workers, and those that a worker has not built. The pickled
       builder is sent only after an assignment, and when a worker lacks a partition.
    """

    def __init__(self, client: Client, build: Build[Any], orders: Partition) -> None:
        self._client, self._token, self._builder = client, uuid4().hex, dumps(build)
        self._worker_of: dict[Partition, str] = {}
        self._workers: set[str] = set()
        self._must_assign = self._must_send_builder = True
        n = min(len(orders), sum(self._count_threads().values()))
        edges = [k * len(orders) // n for k in range(n + 1)] if n else []
        self._partitions = [orders[i:j] for i, j in pairwise(edges)]

    def __call__(self, *arguments: object) -> list[Any]:
        """Evaluate all partitions; raise the error of the first that failed."""
        outcomes: dict[Partition, bytes] = {}
        deaths: Counter[Partition] = Counter()
        while missing := [partition for partition in self._partitions if partition not in outcomes]:
            if self._must_assign:
                self._assign()
            outcomes |= self._broadcast(missing, arguments, deaths)
        results: list[Any] = []
        for partition in self._partitions:
            partition_results, error = loads(outcomes[partition])
            if error is not None:
                raise error
            results += _one_per_order(partition, partition_results)
        return results

    def __reduce__(self) -> NoReturn:
        raise InvalidInput(
            "a log-probability or a mixture on a Dask client cannot be pickled; "
            "load it without a client to use it in other processes",
            name="client",
        )

    def _assign(self) -> None:
        """Assign each partition to one of the present workers."""
        threads = self._count_threads()
        self._worker_of = _assigned(self._partitions, threads, self._worker_of)
        self._workers = set(threads)
        self._must_assign, self._must_send_builder = False, True

    def _broadcast(
        self, missing: list[Partition], arguments: tuple[object, ...], deaths: Counter[Partition]
    ) -> dict[Partition, bytes]:
        """Have the workers evaluate the missing partitions; return the outcomes that arrive."""
        request = {w: [p for p in missing if self._worker_of[p] == w] for w in self._workers}
        builder = self._builder if self._must_send_builder else None
        call = (self._token, request, builder, arguments)
        with _scheduler_required(self._client):
            # Sent to all workers: `run` waits a long time for a listed one that has gone.
            replies = self._client.run(_evaluate_partitions, *call, on_error="return")
        lost = {worker for worker, reply in replies.items() if isinstance(reply, OSError)}
        if lost or replies.keys() != self._workers:
            self._must_assign = True
        _count_deaths(deaths, [p for worker in lost for p in request.get(worker, [])])
        received = [_unpickled(replies[worker]) for worker in replies.keys() - lost]
        self._must_send_builder = any(reply.unbuilt for reply in received)
        return {p: outcome for reply in received for p, outcome in reply.outcomes.items()}

    def _count_threads(self) -> dict[str, int]:
        """Return the number of threads of each worker; wait if there is no worker yet."""
        with _scheduler_required(self._client):
            while not (threads := self._client.ncores()):
                await_workers(self._client)
        return dict(threads)


def _unpickled(reply: bytes | Exception) -> _Reply:
    if isinstance(reply, Exception):
        raise reply
    unpickled: _Reply = loads(reply)
    return unpickled


def _assigned(
    partitions: list[Partition], threads: dict[str, int], previous: dict[Partition, str]
) -> dict[Partition, str]:
    """Assign each partition to a worker: its previous one, unless that is lost or overloaded."""
    per_thread = -(-len(partitions) // sum(threads.values()))
    free = Counter({worker: per_thread * n for worker, n in threads.items()})
    worker_of = {}
    for partition in sorted(partitions, key=lambda p: previous.get(p) not in threads):
        worker = previous.get(partition, "")
        if not free[worker]:
            worker = max(threads, key=lambda worker: free[worker] / threads[worker])
        worker_of[partition] = worker
        free[worker] -= 1
    return worker_of


@contextmanager
def _scheduler_required(client: Client) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # The connection was refused, was closed or timed out, or the client has given up.
        if isinstance(error, OSError) or client.scheduler is None:
            raise JobFailed("the connection to the Dask scheduler was lost; start again") from None
        raise


def _count_deaths(deaths: Counter[Partition], lost: list[Partition]) -> None:
    """Refuse partitions whose workers die more often than Dask allows for a task."""
    deaths.update(lost)
    for partition, n in deaths.items():
        if n > dask.config.get("distributed.scheduler.allowed-failures"):
            raise JobFailed(
                f"the worker of orders {partition[0]} to {partition[-1]} died {counted(n, 'time')} "
                "(out of memory?); start again with more memory per worker, or with more workers",
                order=partition[0],
            )


class _Evaluator:
    """The evaluator of a partition in a worker, built at the first evaluation."""

    def __init__(self) -> None:
        self._evaluate: Callable[..., Sequence[Any]] | None = None
        self._lock = Lock()  # an interrupted call may still be running

    def evaluate(
        self, partition: Partition, builder: bytes | None, arguments: tuple[object, ...]
    ) -> bytes | None:
        """Return results and error, pickled; None if it still lacks its builder."""
        with self._lock:
            if self._evaluate is None and builder is None:
                return None
            try:
                if self._evaluate is None:
                    self._evaluate = loads(builder)(partition)
                return _pickled(self._evaluate(*arguments), None)
            except Exception as error:
                if not isinstance(error, MixjobsError):
                    error.add_note("In the worker: " + traceback.format_exc())
                return _pickled(None, error)


def _pickled(results: Sequence[Any] | None, error: Exception | None) -> bytes:
    outcome: bytes = dumps((results, error))
    return outcome


_evaluators: OrderedDict[str, defaultdict[Partition, _Evaluator]] = OrderedDict()


async def _evaluate_partitions(
    token: str,
    request: dict[str, list[Partition]],
    builder: bytes | None,
    arguments: tuple[object, ...],
    dask_worker: Worker,
) -> bytes:
    """Evaluate a worker's partitions in threads, which leaves the worker free to communicate."""
    partitions = request.get(dask_worker.address, [])
    evaluators = _evaluators.setdefault(token, defaultdict(_Evaluator))
    _evaluators.move_to_end(token)
    while len(_evaluators) > _MAX_CACHED:
        _evaluators.popitem(last=False)
    threads = [
        asyncio.to_thread(evaluators[partition].evaluate, partition, builder, arguments)
        for partition in partitions
    ]
    outcomes = list(zip(partitions, await asyncio.gather(*threads), strict=True))
    reply: bytes = dumps(
        _Reply(
            {partition: outcome for partition, outcome in outcomes if outcome is not None},
            [partition for partition, outcome in outcomes if outcome is None],
        )
    )
    return reply


def distribute_mixture(
    client: Client | None,
    path: str | Path,
    components: int | Sequence[str | Path] = 2,
    **options: Any,
) -> Callable[[Values], tuple[Floats, ...]]:
    """Distribute the orders of a mixture over workers, which load their models from the store.

    Parameters
    ----------
    client : Client or None
        None evaluates in this process.
    path, components, options
        As for `mixjobs.load_mixture`; workers must be able to read the path.

    Returns
    -------
    callable
        ``evaluate(values)`` returns the same as the model of `mixjobs.load_mixture`: one array
        (..., n_pixels) for each order. It raises `JobFailed`, and the errors of
        `load_mixture` (at the first evaluation) and of the model.
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
    return partial(_as_tuple, distribute(client, build, numbers))


def _as_tuple(evaluate: Callable[[Values], list[Floats]], values: Values) -> tuple[Floats, ...]:
    return tuple(evaluate(values))


def _load_partition(
    path: str,
    components: int | Sequence[str | Path],
    options: Mapping[str, Any],
    by_order: Mapping[str, Mapping[int, Any]],
    partition: Sequence[int],
) -> MixtureModel:
    """Load the orders of a partition, in the worker."""
    of_partition: dict[str, Any] = {
        name: [values[number] for number in partition] for name, values in by_order.items()
    }
    return load_mixture(path, components, orders=partition, **options, **of_partition)
