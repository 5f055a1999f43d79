"""Stores whose holes are filled: marks, models, reports, and damage."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr

import mixjobs
from mixjobs.demo.library import DemoLibrary
from mixjobs.demo.writers import write_starfish
from mixjobs.errors import InvalidInput, OutputExists, OutsideGrid, StoreError
from mixjobs.interpolation.filling import fill_holes
from mixjobs.report.check import check_store
from mixjobs.report.info import describe_store
from mixjobs.store.filling import store_filling
from mixjobs.store.joint_error import read_joint_error
from tests.helpers.damage import files_of, flipped
from tests.helpers.mixture_stores import ORDERS, demo_library

AXES = {"teff": (3000, 3100, 3200, 3300, 3400), "logg": (4.0, 4.5, 5.0)}
HOLES = ([3200.0, 4.0], [3200.0, 5.0], [3400.0, 5.0])  # the last one is a corner
FILLED = HOLES[:2]
INSIDE = [3180.0, 4.8]  # in a cell that needs (3200, 5)


def library_without(path, missing):
    library = demo_library(AXES)
    points = np.array([p for p in library.points.tolist() if p not in list(missing)])
    spectra = map(library.spectrum, points)
    return write_starfish(
        path, library.names, points, library.wavelength, spectra, dv=library.dv,
        attributes={"grid_name": "demo", "norm": False},
    )  # fmt: skip


def build_in(folder, name, missing, **options):
    emulator = mixjobs.EmulatorSettings(max_rv=60, max_vsini=30, min_resolution=20_000, rank=8)
    library = library_without(folder / f"{name}.hdf5", missing)
    return mixjobs.build(library, ORDERS, folder / name, emulator=emulator, report=False, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filling")
    build_in(folder, "full", ())
    build_in(folder, "refuse", HOLES)
    build_in(folder, "interpolate", HOLES, holes="interpolate")
    return folder


def test_filled_points_are_marked_in_the_store(folder):
    dataset = xr.open_zarr(folder / "interpolate")
    assert dataset.attrs["holes"] == "interpolate"
    assert sorted(dataset["filled_points"].values.tolist()) == list(FILLED)
    assert dataset["filled_mean_flux"].dims == ("order", "filled_point")
    full = mixjobs.open_store(folder / "full")
    rows = [full.grid.row(point) for point in dataset["filled_points"].values]
    error = np.abs(np.log(dataset["filled_mean_flux"].values / full.mean_flux[:, rows]))
    assert 0 < error.max() < 2 * dataset["filled_error"].values[:, 1].max()
    assert "filled_points" not in xr.open_zarr(folder / "refuse")


def test_all_that_exists_without_filling_is_the_same(folder):
    refuse, filled = (mixjobs.open_store(folder / name) for name in ("refuse", "interpolate"))
    assert refuse.mean_flux.tobytes() == filled.mean_flux.tobytes()
    assert refuse.flux_ratio[...].tobytes() == filled.flux_ratio[...].tobytes()
    assert filled.grid.points.tolist() == refuse.grid.points.tolist()


def test_a_store_decides_unless_the_caller_does(folder):
    refuse, filled = folder / "refuse", folder / "interpolate"
    expected = mixjobs.load_flux_ratio(filled)([3000, 4.5], INSIDE)
    same = mixjobs.load_flux_ratio(refuse, holes="interpolate")([3000, 4.5], INSIDE)
    np.testing.assert_array_equal(same, expected)
    for options in ({"path": refuse}, {"path": filled, "holes": "refuse"}):
        with pytest.raises(OutsideGrid):
            mixjobs.load_flux_ratio(**options)([3000, 4.5], INSIDE)
    full = mixjobs.load_flux_ratio(folder / "full")([3000, 4.5], INSIDE)
    np.testing.assert_allclose(expected, full, rtol=2e-3)


def test_holes_that_cannot_be_filled_are_refused(folder):
    q = mixjobs.load_flux_ratio(folder / "interpolate")
    with pytest.raises(OutsideGrid, match=r"needs \(teff=3400, logg=5\)"):
        q([3000, 4.5], [3350, 4.8])


@pytest.mark.parametrize("method", ["cubic", "linear", "simplex"])
def test_mixtures_use_the_filled_points_too(folder, method):
    options = {"fixed": {"rv": 0, "vsini": 0}, "outside": "nan", "method": method}
    full, refuse, filled = (
        mixjobs.load_mixture(folder / name, 1, **options)
        for name in ("full", "refuse", "interpolate")
    )
    theta = np.array([INSIDE, [3050.0, 4.2], [3200.0, 5.0], [3380.0, 4.9], [3210.0, 4.1]])
    for reference, missing, result in zip(full(theta), refuse(theta), filled(theta), strict=True):
        assert np.isnan(missing[[0, 2, 3, 4]]).all()
        assert np.isnan(result[3]).all()
        np.testing.assert_array_equal(result[1], missing[1])
        rows = [0, 2, 4]
        np.testing.assert_allclose(result[rows], reference[rows], atol=0.05)
        assert np.abs(result[rows] - reference[rows]).mean() < 0.01


def test_filled_points_have_a_larger_error(folder):
    """By their own error, with their weight; the error is the same everywhere else."""
    path = folder / "interpolate"
    model = mixjobs.load_mixture(path, 1, fixed={"rv": 0, "vsini": 0})
    filling = store_filling(mixjobs.open_store(path))
    _, error = read_joint_error(mixjobs.open_store(path), "cubic")
    typical = 0.6745 * np.sqrt(np.mean([np.sum(c[:, -1] ** 2) for c in error.columns]))
    own = filling.error[filling.points.tolist().index([3200.0, 5.0]), 0] / typical
    assert own > 1
    theta = np.array([[3050.0, 4.2], [3200.0, 5.0], [3150.0, 5.0], [3180.0, 4.8], [3000.0, 4.5]])
    sizes = [[], []]
    for batch in model.stream(theta, errors=True):
        columns = batch.error.columns[:, :, : batch.error.common.shape[2]]
        sizes[batch.order_index] = np.sqrt((columns**2).sum(axis=(1, 2)))
    for size in sizes:
        weights = np.array([0, 1, 0.5, 0.8 * 0.6, 0])
        np.testing.assert_allclose(size / size[0], np.sqrt(1 + (own * weights) ** 2), rtol=1e-6)


def test_users_are_told_of_filled_points(folder):
    spectra = mixjobs.evaluate_spectra(folder / "interpolate", INSIDE)
    assert any("teff=3200, logg=5" in message for message in spectra.messages)
    assert spectra.notes["holes"] == "interpolate"
    elsewhere = mixjobs.evaluate_spectra(folder / "interpolate", [3050, 4.2])
    assert not any("filled" in message for message in elsewhere.messages)
    facts = describe_store(folder / "interpolate")
    assert (facts["n_filled"], facts["n_holes"]) == (2, 3)
    assert sorted(facts["filled"]) == list(FILLED)
    assert "n_filled" not in describe_store(folder / "refuse")
    check = check_store(folder / "interpolate").to_dict()
    assert check["ok"]
    assert len(check["filling"]) == 2
    assert check_store(folder / "refuse").to_dict()["filling"] == []


def test_the_build_names_the_filled_points(tmp_path):
    lines = []
    store = build_in(tmp_path, "a", HOLES, holes="interpolate", note=lines.append)
    text = "\n".join(lines)
    assert all(name in text for name in ("teff=3200, logg=4", "teff=3400, logg=5"))
    filling = store_filling(store)
    assert (
        filling.error.tobytes() == fill_holes(store.grid, np.log(store.mean_flux).T).error.tobytes()
    )


def test_a_store_of_another_choice_is_another_store(folder, tmp_path):
    copy = shutil.copytree(folder / "refuse", tmp_path / "refuse")
    emulator = mixjobs.EmulatorSettings(max_rv=60, max_vsini=30, min_resolution=20_000, rank=8)
    with pytest.raises(OutputExists):
        mixjobs.build(folder / "refuse.hdf5", ORDERS, copy, emulator=emulator, holes="interpolate")


def test_a_complete_grid_needs_no_filling(tmp_path):
    lines = []
    store = build_in(tmp_path, "a", (), holes="interpolate", note=lines.append)
    assert len(store_filling(store)) == 0
    assert describe_store(store.path)["filled"] == []
    assert any("nothing to fill" in line for line in lines)


@pytest.mark.parametrize("name", ["filled_points", "filled_from", "filled_weights"])
def test_damage_is_noticed(folder, name):
    copy = folder / "interpolate"
    (chunk,) = files_of(copy / name / "c").values()
    with flipped(chunk, 30), pytest.raises(StoreError) as caught:
        mixjobs.load_flux_ratio(copy)
    assert caught.value.name == name


def test_an_unknown_choice(folder):
    for load in (mixjobs.load_flux_ratio, mixjobs.load_mixture):
        with pytest.raises(InvalidInput) as caught:
            load(folder / "refuse", holes="fill")
        assert (caught.value.name, caught.value.value) == ("holes", "fill")


def test_irregular_grids_cannot_be_filled(tmp_path):
    library = DemoLibrary({"teff": range(3000, 3400, 50), "logg": [4.0, 4.5]}, n_pixels=400)
    points = np.random.default_rng(0).uniform([3000, 4], [3400, 5], (12, 2)).round(2)
    path = write_starfish(
        tmp_path / "a.hdf5", library.names, points, library.wavelength,
        map(library.spectrum, points), dv=library.dv, attributes={"norm": False},
    )  # fmt: skip
    orders = mixjobs.Orders.from_edges([5010, 5100])
    with pytest.raises(InvalidInput) as caught:
        mixjobs.build(path, orders, tmp_path / "b", holes="interpolate")
    assert (caught.value.name, caught.value.value) == ("holes", "interpolate")
    assert not list(tmp_path.glob("b*"))
    store = mixjobs.build(path, orders, tmp_path / "b")
    with pytest.raises(InvalidInput):
        mixjobs.load_flux_ratio(store.path, "simplex", holes="interpolate")


def test_the_summary_of_a_ratio_can_be_stored(folder):
    from mixjobs.store.ratios import evaluate_ratios

    ratios = evaluate_ratios(folder / "interpolate", [3000, 4.5], [3200, 5])
    content = json.loads(json.dumps(ratios.to_dict()))
    assert content["direct"] is None
    assert len(content["notes"]) == 1
