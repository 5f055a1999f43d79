"""From options to a Dask client: processes here, or a scheduler that runs already."""

import logging
import os

import pytest
from distributed import Client

from mixjobs.cluster import connect, workers_here
from mixjobs.errors import InvalidInput


def test_workers_are_processes_of_one_thread(client):
    client.wait_for_workers(2)
    assert sorted(client.ncores().values()) == [1, 1]
    processes = set(client.run(os.getpid).values())
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_only_this_machine_can_reach_it(client):
    addresses = [client.scheduler.address, *client.ncores(), client.dashboard_link]
    assert all("//127.0.0.1:" in address for address in addresses)


def test_the_scheduler_s_settings(client):
    def settings(dask_scheduler):
        return dask_scheduler.allowed_failures, dask_scheduler.WORKER_SATURATION

    assert client.run_on_scheduler(settings) == (3, float("inf"))


def test_it_does_not_become_the_default(client):
    with pytest.raises(ValueError, match="No clients found"):
        Client.current()


def test_a_scheduler_that_runs_already(client):
    with connect(scheduler=client.scheduler.address) as other:
        assert other.scheduler.address == client.scheduler.address
        assert other.submit(os.getpid).result() in client.run(os.getpid).values()
    assert client.status == "running"
    assert len(client.ncores()) == 2


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "tcp://127.0.0.1", "x://y:1"])
def test_no_scheduler(address, monkeypatch):
    monkeypatch.setattr("mixjobs.cluster._CONNECT_SECONDS", 0.3)
    with pytest.raises(InvalidInput) as refused, connect(scheduler=address):
        pass
    assert str(refused.value).startswith(f"no scheduler answers at {address!r} (")
    assert str(refused.value).endswith("); expected an address such as tcp://HOST:8786")
    assert "\n" not in str(refused.value)


def test_how_many_workers():
    assert workers_here(3) == 3
    assert workers_here() == len(os.sched_getaffinity(0))


def test_logging_is_as_it_was(client):
    before = logging.getLogger("distributed.client").level
    with connect(scheduler=client.scheduler.address):
        assert logging.getLogger("distributed.client").level == logging.CRITICAL
    assert logging.getLogger("distributed.client").level == before
