"""The invariants of stored arrays: an intact store satisfies them, and any damage breaks one."""

import numpy as np
import pytest
import zarr

from mixjobs.errors import StoreError
from mixjobs.store.format import finish, open_store
from mixjobs.store.invariants import check_invariants
from tests.helpers.small_stores import MEANS, fill

TABLE = ["q_ii = 1", "q_ij q_ji = 1", "q_ij q_jk = q_ik", "q_ij = mean_j / mean_i"]
NODES = "cubic exact at grid points"


@pytest.mark.parametrize(("dtype", "allowed"), [("float64", 1e-14), ("float32", 1e-6)])
def test_an_intact_store_satisfies_them(tmp_path, dtype, allowed):
    invariants = check_invariants(open_store(fill(tmp_path / "a.zarr", dtype)))
    assert [one.name for one in invariants] == [*TABLE, NODES]
    assert all(one.holds for one in invariants)
    assert [one.allowed for one in invariants] == [allowed] * 4 + [1e-12]
    assert invariants[0].deviation == 0
    if dtype == "float32":
        assert max(one.deviation for one in invariants) > 1e-9


def test_without_a_table_the_nodes_are_still_checked(tmp_path):
    (nodes,) = check_invariants(open_store(fill(tmp_path / "a.zarr", None)))
    assert nodes.name == NODES
    assert nodes.holds


def broken(store):
    return {one.name for one in check_invariants(store) if not one.holds}


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1.001])
@pytest.mark.parametrize(
    ("place", "names"),
    [((2, 2), TABLE), ((1, 4), TABLE[1:])],
)
def test_one_wrong_number(tmp_path, order, value, place, names):
    path = fill(tmp_path / "a.zarr")
    table = zarr.open_array(path / "flux_ratio", mode="r+")
    table[order, *place] = value * table[order, *place]
    finish(path)
    assert broken(open_store(path)) == set(names)


def test_a_damaged_chunk(tmp_path):
    path = fill(tmp_path / "a.zarr")
    chunk = path / "flux_ratio" / "c" / "0" / "0" / "0"
    store = open_store(path)
    chunk.write_bytes(bytes([1]) + chunk.read_bytes()[1:])
    for change in (lambda: None, chunk.unlink):
        change()
        with pytest.raises(StoreError) as error:
            check_invariants(store)
        assert error.value.name == "flux_ratio"


def test_transposed(tmp_path):
    """The transposed table breaks only the invariant that fixes its direction."""
    path = fill(tmp_path / "a.zarr")
    table = zarr.open_array(path / "flux_ratio", mode="r+")
    table[...] = np.swapaxes(table[...], 1, 2)
    finish(path)
    assert broken(open_store(path)) == {TABLE[3]}


def test_means_of_another_library(tmp_path):
    path = fill(tmp_path / "a.zarr")
    means = zarr.open_array(path / "mean_flux", mode="r+")
    means[...] = MEANS[:, ::-1]
    finish(path)
    assert broken(open_store(path)) == {TABLE[3]}
