"""A job without workers says what it waits for."""

import operator
import time
from threading import Thread

import pytest
from distributed import Client, LocalCluster

from mixjobs.cluster.executor import execute
from mixjobs.cluster.waiting import announced, await_workers
from mixjobs.errors import JobFailed


@pytest.fixture
def empty():
    """A client of a scheduler without workers, which knows only its address; and its cluster."""
    options = {"protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        LocalCluster(n_workers=0, processes=False, **options) as cluster,
        Client(cluster.scheduler_address, set_as_default=False) as client,
    ):
        yield client, cluster


def test_it_says_so_at_once_and_goes_on_when_a_worker_comes(empty, capsys):
    client, cluster = empty
    waiting = Thread(target=await_workers, args=(client,))
    waiting.start()
    time.sleep(0.5)
    (line,) = capsys.readouterr().err.splitlines()
    assert cluster.scheduler_address in line
    assert "Ctrl-C" in line
    cluster.scale(1)
    waiting.join(30)
    assert not waiting.is_alive()
    await_workers(client)
    assert list(execute(client, operator.neg, [1, 2], "negative")) == [(1, -1), (2, -2)]
    assert capsys.readouterr().err == ""


def test_fewer_workers_are_enough_after_a_while(empty, capsys):
    client, cluster = empty
    cluster.scale(1)
    await_workers(client, 2, timeout=0.3)
    assert len(client.ncores()) == 1
    assert len(capsys.readouterr().err.splitlines()) <= 1


def test_short_waits_are_silent_and_long_ones_are_told(capsys):
    with announced("waiting", after=5):
        pass
    assert capsys.readouterr().err == ""
    with announced("waiting", after=0.05):
        time.sleep(0.3)
    assert capsys.readouterr().err == "waiting; stop with Ctrl-C\n"


def test_a_lost_scheduler_ends_the_wait(empty):
    client, cluster = empty
    cluster.close()
    with pytest.raises(JobFailed) as failed:
        await_workers(client)
    assert failed.value.name == "workers"
