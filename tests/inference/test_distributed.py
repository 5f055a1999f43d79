"""Orders on workers: bit-identical results, whatever happens to the workers."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster

from mixjobs.cluster import connect
from mixjobs.config.cluster import ClusterConfig
from mixjobs.errors import JobFailed, MissingFile, OutsideGrid
from mixjobs.inference import distributed as workers
from mixjobs.inference.distributed import distribute

X = np.random.default_rng(0).normal(size=(200, 3))
ORDERS = (31, 7, 2, 55, 8)


class Answer(NamedTuple):
    order: int
    partition: tuple[int, ...]
    pid: int
    value: np.ndarray


@dataclass(frozen=True)
class Products:
    """Builds evaluators of matrix products, whose last bits depend on the partition."""

    notes: Path  # a folder with one file for each build
    seconds: float = 0

    def __call__(self, orders):
        partition = tuple(orders)
        time.sleep(self.seconds)
        (self.notes / f"{partition} {uuid4()}").touch()
        matrix = np.stack([np.random.default_rng(order).normal(size=200) for order in partition])
        return partial(answers, partition, matrix)

    def built(self):
        """Count how often each partition was built."""
        return Counter(file.name.partition(")")[0] + ")" for file in self.notes.iterdir())


def answers(partition, matrix, x, happens=None):
    if happens is not None:
        happens(partition)
    values = matrix @ x
    return [
        Answer(order, partition, os.getpid(), v) for order, v in zip(partition, values, strict=True)
    ]


@pytest.fixture
def products(tmp_path):
    return Products(tmp_path)


@pytest.fixture(scope="module")
def mortal():
    """Provide two workers that a test may kill."""
    with connect(ClusterConfig(workers=2)) as client:
        yield client


def assert_right(results, orders, x=X):
    assert [answer.order for answer in results] == list(orders)
    for answer in results:
        matrix = np.stack(
            [np.random.default_rng(order).normal(size=200) for order in answer.partition]
        )
        expected = answers(answer.partition, matrix, x)[answer.partition.index(answer.order)]
        assert answer.value.tobytes() == expected.value.tobytes()


def partitions(results):
    """Return the process that evaluated each partition."""
    return {answer.partition: answer.pid for answer in results}


@pytest.mark.parametrize("n", [0, 1, 2, 5, 25])
def test_results_are_bit_identical_to_one_process(n, client, products):
    client.wait_for_workers(2)
    orders = list(range(n))[::-1]
    results = distribute(client, products, orders)(X)
    assert_right(results, orders)
    pid_of = partitions(results)
    assert [order for partition in pid_of for order in partition] == orders
    assert sorted(map(len, pid_of)) == [size for size in (n // 2, n - n // 2) if size]
    assert len(set(pid_of.values())) == min(n, 2)
    assert os.getpid() not in pid_of.values()


def test_without_a_client(products):
    evaluate = distribute(None, products, ORDERS)
    for _ in range(3):
        results = evaluate(X)
    assert partitions(results) == {ORDERS: os.getpid()}
    assert_right(results, ORDERS)
    assert products.built() == {str(ORDERS): 1}


def test_a_partition_is_built_once_and_stays(client, products):
    client.wait_for_workers(2)
    evaluate = distribute(client, products, ORDERS)
    first = partitions(evaluate(X))
    for k in range(20):
        results = evaluate(X * k)
        assert_right(results, ORDERS, X * k)
        assert partitions(results) == first
    assert products.built() == {str(partition): 1 for partition in first}
    assert client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) == 0


def test_concurrent_calls(client, tmp_path):
    """A call may begin while workers still run one that was interrupted."""
    slow = Products(tmp_path, seconds=0.2)
    evaluate = distribute(client, slow, ORDERS)
    with ThreadPoolExecutor(3) as threads:
        for results in threads.map(evaluate, [X] * 3):
            assert_right(results, ORDERS)
    assert set(slow.built().values()) == {1}


def test_one_partition_per_thread(products):
    with (
        LocalCluster(1, threads_per_worker=3, processes=False, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        for n in range(7):
            results = distribute(client, products, ORDERS)(X)
            assert_right(results, ORDERS)
            assert len(partitions(results)) == 3
            assert len(workers._evaluators) == min(n + 1, workers._MAX_CACHED)


@pytest.mark.parametrize(
    ("threads", "after"),
    [
        ({"c": 1, "a": 2, "b": 2}, "aabb"),  # nothing is built again for a new worker
        ({"c": 2, "b": 2}, "ccbb"),
        ({"b": 2}, "bbbb"),
        ({"c": 4, "a": 1, "b": 1}, "acbc"),  # other workers at the same address
    ],
)
def test_partitions_keep_their_worker_if_possible(threads, after):
    partitions = [(1, 2), (3, 4), (5, 6), (7, 8)]
    previous = dict(zip(partitions, "aabb", strict=True))
    expected = dict(zip(partitions, after, strict=True))
    assert workers._assigned(partitions, threads, previous) == expected


def test_a_worker_killed_between_calls(mortal, products):
    mortal.wait_for_workers(2)
    evaluate = distribute(mortal, products, ORDERS)
    before = partitions(evaluate(X))
    (lost, victim), (kept, survivor) = before.items()
    os.kill(victim, signal.SIGKILL)
    results = evaluate(X)
    assert_right(results, ORDERS)
    after = partitions(results)
    assert after[lost] != victim
    assert after[kept] == survivor
    assert products.built() == {str(lost): 2, str(kept): 1}

    mortal.wait_for_workers(2)  # a new worker gets its partition
    evaluate(X)
    results = evaluate(X)
    assert_right(results, ORDERS)
    assert len(set(partitions(results).values())) == 2


@dataclass(frozen=True)
class KillOnce:
    """The first evaluation of a partition ends its process."""

    partition: tuple[int, ...]
    note: Path

    def __call__(self, partition):
        if partition == self.partition and not self.note.exists():
            self.note.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_killed_in_a_call(mortal, products, tmp_path_factory):
    mortal.wait_for_workers(2)
    evaluate = distribute(mortal, products, ORDERS)
    before = partitions(evaluate(X))
    (kept, survivor), (lost, victim) = before.items()
    note = tmp_path_factory.mktemp("killed") / "note"
    results = evaluate(X, KillOnce(lost, note))
    assert note.exists()
    assert_right(results, ORDERS)
    assert partitions(results)[lost] != victim
    assert partitions(results)[kept] == survivor
    assert products.built() == {str(lost): 2, str(kept): 1}


def die(partition):
    if 31 in partition:
        os.kill(os.getpid(), signal.SIGKILL)


def test_an_evaluation_that_no_worker_survives(mortal, products):
    mortal.wait_for_workers(2)
    evaluate = distribute(mortal, products, ORDERS)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        pytest.raises(JobFailed) as failed,
    ):
        evaluate(X, die)
    assert failed.value.order == 31
    assert "\n" not in str(failed.value)


def fail(partition, error):
    raise error


@pytest.mark.parametrize("error", [OutsideGrid("teff 9000"), MissingFile("q.zarr"), KeyError(3)])
@pytest.mark.parametrize("where", ["evaluator", "build"])
def test_errors_are_raised_unchanged(error, where, client, products):
    if where == "build":
        evaluate = partial(distribute(client, partial(fail, error=error), ORDERS), X)
    else:
        evaluate = partial(distribute(client, products, ORDERS), X, partial(fail, error=error))
    with pytest.raises(type(error)) as raised:
        evaluate()
    assert type(raised.value) is type(error)
    assert raised.value.args == error.args
    notes = getattr(raised.value, "__notes__", [])
    assert ["in fail" in note for note in notes] == ([True] if type(error) is KeyError else [])


def one_short(orders):
    return lambda x: [0.0] * (len(orders) - 1)


@pytest.mark.parametrize("local", [True, False])
def test_an_evaluator_returns_one_result_per_order(local, client):
    with pytest.raises(ValueError, match="shorter"):
        distribute(None if local else client, one_short, ORDERS)(X)


LOST = "connection to the Dask scheduler was lost"

SCHEDULER = """
from distributed import LocalCluster
options = dict(protocol="tcp://", host="127.0.0.1", dashboard_address="127.0.0.1:0")
with LocalCluster(n_workers=1, processes=False, **options) as cluster:
    print(cluster.scheduler_address, flush=True)
    input()
"""


@dataclass(frozen=True)
class Kill:
    """Ends a process from within a worker."""

    pid: int

    def __call__(self, partition):
        os.kill(self.pid, signal.SIGKILL)
        time.sleep(0.2)


def test_a_scheduler_lost_in_a_call(products, monkeypatch):
    monkeypatch.setattr("mixjobs.cluster.address._CONNECT_SECONDS", 1)
    scheduler = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    table = ClusterConfig(kind="address", scheduler=scheduler.stdout.readline().strip())
    with connect(table) as client:
        evaluate = distribute(client, products, ORDERS)
        assert_right(evaluate(X), ORDERS)
        with pytest.raises(JobFailed, match=LOST):
            evaluate(X, Kill(scheduler.pid))
    scheduler.communicate()


def test_a_scheduler_lost_between_calls(products):
    with (
        LocalCluster(1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster, timeout=1, set_as_default=False) as client,
    ):
        evaluate = distribute(client, products, ORDERS)
        assert_right(evaluate(X), ORDERS)
        cluster.close()
        with pytest.raises(JobFailed, match=LOST):
            evaluate(X)
        with pytest.raises(JobFailed, match=LOST):
            distribute(client, products, ORDERS)
