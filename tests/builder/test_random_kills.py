"""Workers, nannies, clients and schedulers killed at random moments of real jobs."""

import pytest

import mixjobs
from tests.helpers.killing import N_BLOCKS, ORDERS, VICTIMS, Cluster, strike
from tests.helpers.small_stores import assert_same

LOST = "the connection to the scheduler was lost; start again (finished work is kept)"


@pytest.fixture(scope="module")
def reference(large, tmp_path_factory):
    """The store of an uninterrupted job in this process."""
    return mixjobs.build(large, ORDERS, tmp_path_factory.mktemp("reference") / "q.zarr")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_kill_changes_no_value(victim, seed, cluster, large, reference, tmp_path):
    path = tmp_path / "q.zarr"
    outcome = strike(cluster, victim, seed, large, path)
    if victim in ("worker", "nanny"):
        assert outcome.first == (0, [])
    if outcome.resumed:
        status, errors = outcome.first
        assert status == {"client": -9, "scheduler": 2}[victim]
        assert all(line.startswith("mixjobs: ") and line.endswith(LOST) for line in errors)
        assert outcome.kept >= outcome.at > 0
        assert outcome.again == N_BLOCKS - outcome.kept
    # A client may be killed between the moment the store is finished and its own end.
    finished_before = victim == "client" and not outcome.resumed
    assert outcome.last in ([(0, []), (-9, [])] if finished_before else [(0, [])])
    assert_same(path, reference)
    assert list(path.rglob("*.partial")) == []  # temporary files of Zarr
