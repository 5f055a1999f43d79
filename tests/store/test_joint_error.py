"""The joint interpolation error in a store."""

import shutil

import numpy as np
import pytest

import mixjobs
from mixjobs.report.check import check_store, print_check
from mixjobs.report.emulator import emulator_quality
from mixjobs.store.joint_error import estimate_joint_error, joint_error_notes, read_joint_error
from tests.helpers.damage import to_schema_2
from tests.helpers.mixture_stores import demo_library, store_of


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    axes = {"teff": range(5000, 6001, 200), "logg": (4.0, 4.5, 5.0), "feh": (-0.5, 0.0)}
    return store_of(demo_library(axes), tmp_path_factory.mktemp("joint"), accuracy={"rank": 6})


def test_it_is_that_of_all_orders_together(path):
    store = mixjobs.open_store(path)
    numbers, error = estimate_joint_error(store, "cubic")
    read, stored = read_joint_error(store, "cubic")
    assert read == numbers == [7, 8]
    for columns, of_stored in zip(error.columns, stored.columns, strict=True):
        np.testing.assert_array_equal(of_stored, columns)
        assert columns.shape[1] == 6 + 1
    assert len({len(columns) for columns in stored.columns}) == 1
    facts = ("factors", "measured_axes", "short_axes")
    assert [getattr(stored, name) for name in facts] == [getattr(error, name) for name in facts]


def test_another_method_has_another_error(path):
    store = mixjobs.open_store(path)
    cubic, linear = (read_joint_error(store, method)[1] for method in ("cubic", "linear"))
    assert np.sum(linear.columns[0] ** 2) > 2 * np.sum(cubic.columns[0] ** 2)


def test_a_store_of_an_earlier_version_has_the_same_error(path, tmp_path):
    old = shutil.copytree(path, tmp_path / "old")
    shutil.rmtree(old / "emulator" / "joint_error")
    store, earlier = mixjobs.open_store(path), mixjobs.open_store(to_schema_2(old))
    (_, new), (_, anew) = (read_joint_error(s, "cubic") for s in (store, earlier))
    for columns, estimated in zip(new.columns, anew.columns, strict=True):
        np.testing.assert_allclose(estimated, columns)


def test_short_axes_are_named_where_users_look(path, tmp_path, capsys):
    """[Fe/H] has two values: it has no held-out errors at all, of which the docs warn."""
    notes = joint_error_notes(mixjobs.open_store(path))
    note, assumed = notes
    assert "logg (3 values)" in note
    assert "teff" not in note
    assert "teff (6 values)" in assumed
    assert "logg" not in assumed
    said = []
    library = demo_library({"teff": (5000, 5200), "logg": (4.0, 4.5, 5.0), "feh": (0.0,)})
    mixjobs.build(
        library.write(tmp_path / "library.hdf5"), mixjobs.Orders([7], [5004], [5011]),
        tmp_path / "q.zarr", emulator=mixjobs.EmulatorSettings(max_rv=60, max_vsini=30),
        table=False, note=said.append,
    )  # fmt: skip
    assert note in said
    check = check_store(tmp_path / "q.zarr")
    assert check.to_dict()["emulator_notes"] == [note]
    print_check(check)
    assert note in capsys.readouterr().out


def test_a_store_without_an_emulator_has_none(path, tmp_path):
    library = demo_library({"teff": (5000, 5200), "logg": (4.0, 4.5), "feh": (0.0,)})
    store = mixjobs.build(
        library.write(tmp_path / "library.hdf5"), mixjobs.Orders([7], [5004], [5011]),
        tmp_path / "q.zarr",
    )  # fmt: skip
    assert joint_error_notes(store) == []


def test_a_long_axis_is_measured(tmp_path):
    """Its factor is stored, and no line says that it is assumed."""
    library = demo_library({"teff": range(4000, 5601, 200), "logg": (4.5,), "feh": (0.0,)})
    store = mixjobs.build(
        library.write(tmp_path / "library.hdf5"), mixjobs.Orders([7], [5004], [5011]),
        tmp_path / "q.zarr", emulator=mixjobs.EmulatorSettings(max_rv=60, max_vsini=30),
        table=False,
    )  # fmt: skip
    _, error = read_joint_error(store, "cubic")
    assert error.measured_axes == ("teff",)
    assert error.factors["teff"] > 0
    assert joint_error_notes(store) == []
    assert [q.held_out[0].factor for q in emulator_quality(store)] == [error.factors["teff"]]
