"""The checksums of a store: no flipped bit, lost file or swapped file goes unnoticed."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

import mixjobs
from mixjobs import load_mixture
from mixjobs.errors import StoreError
from mixjobs.store.emulator import emulated_orders, read_order
from mixjobs.store.format import finish, open_lazily, open_store, verify_table
from tests.helpers.damage import bits, files_of, flipped, removed, replaced, to_schema_2

ORDERS = mixjobs.Orders([3, 5], [5004, 5012], [5012, 5020])
SETTINGS = mixjobs.EmulatorSettings(max_rv=20, max_vsini=30, min_resolution=20_000, rank=4)


@pytest.fixture(scope="module")
def store(demo, tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "q.zarr"
    return mixjobs.build(demo, ORDERS, path, emulator=SETTINGS)


@pytest.fixture
def copy(store, tmp_path):
    return shutil.copytree(store.path, tmp_path / "q.zarr")


def refused(read, path):
    """Read a damaged store; return the error, which names its path and the array."""
    with pytest.raises(StoreError) as caught:
        read(path)
    error = caught.value
    assert error.path == str(path)
    assert error.name in str(error)
    assert "\n" not in str(error)
    return error


def read_all(path):
    verify_table(open_store(path))


def array_of(name):
    return name.split("/c/")[0].removesuffix("/zarr.json")


def test_every_file_is_listed(store):
    names = {*files_of(store.path)} - {"checksums/zarr.json"}
    assert store.n_checksums == len(names)
    assert {array_of(name) for name in names} == {
        "zarr.json", "grid_points", "parameter", "order", "wave_min", "wave_max", "n_pixels",
        "mean_flux", "flux_ratio", "emulator", "emulator/3", "emulator/5",
        "emulator/joint_error", "emulator/joint_error/3", "emulator/joint_error/5",
        *(
            f"emulator/{m}/{name}" for m in (3, 5)
            for name in (
                "wavelength", "mean", "eigenspectra", "weights", "reconstruction_error",
                "residual_spectra",
            )
        ),
    }  # fmt: skip


def test_every_array_has_the_codec(store):
    for name, path in files_of(store.path).items():
        described = json.loads(path.read_text()) if name.endswith("zarr.json") else {}
        if described.get("node_type") == "array":
            assert described["codecs"][-1] == {"name": "crc32c"}, name


def test_any_flipped_bit_is_noticed(store):
    files = files_of(store.path)

    @given(bits(files))
    def check(where):
        name, bit = where
        with flipped(files[name], bit):
            error = refused(read_all, store.path)
        if name == "zarr.json":  # a flipped bit may give another schema
            assert error.name in ("zarr.json", "schema_version")
        else:
            assert error.name == array_of(name)

    check()
    read_all(store.path)


def test_any_lost_or_truncated_file_is_noticed(store):
    files = files_of(store.path)
    del files["zarr.json"], files["checksums/zarr.json"]

    @given(st.sampled_from(sorted(files)), st.sampled_from([None, 0, 0.5]))
    def check(name, kept):
        content = files[name].read_bytes()
        content = None if kept is None else content[: int(kept * len(content))]
        with replaced(files[name], content):
            assert refused(read_all, store.path).name == array_of(name)
            if content is None:
                assert refused(open_store, store.path).name == array_of(name)
                assert refused(open_lazily, store.path).name == array_of(name)

    check()


@pytest.mark.parametrize(
    ("folder", "order"),
    [("mean_flux", None), ("emulator", None), ("emulator/5", 5), ("emulator/3/weights", 3),
     ("flux_ratio", None), ("checksums", None)],
)  # fmt: skip
def test_a_lost_folder_is_named(store, folder, order):
    with removed(store.path / folder):
        for read in (open_store, open_lazily, mixjobs.load_flux_ratio, mixjobs.load_mixture):
            error = refused(read, store.path)
            assert (error.name, error.order) == (folder, order)


def test_a_file_copied_over_another_is_noticed(store):
    files = {name: path for name, path in files_of(store.path).items() if "/c/" in name}

    @given(st.lists(st.sampled_from(sorted(files)), min_size=2, max_size=2, unique=True))
    def check(names):
        source, target = (files[name] for name in names)
        if source.read_bytes() == target.read_bytes():
            return
        with replaced(target, source.read_bytes()):
            assert refused(read_all, store.path).name == array_of(names[1])

    check()


@pytest.mark.parametrize("name", ["flux_ratio/c/0/0/0", "flux_ratio/c/1/0/0"])
def test_the_table_is_verified_when_it_is_read(copy, name):
    opened = open_store(copy)
    with flipped(copy / name, 999):
        open_store(copy)
        order = int(name.split("/")[2])
        for read in (lambda _: opened.flux_ratio[order], lambda _: opened.flux_ratio.oindex[:, 3]):
            assert refused(read, copy).name == "flux_ratio"
        assert refused(lambda _: opened.to_xarray().load(), copy).name == "flux_ratio"
        intact = opened.flux_ratio[1 - order]
        np.testing.assert_allclose(np.diagonal(intact), 1)
    (copy / name).unlink()
    assert refused(lambda _: opened.flux_ratio[order], copy).name == "flux_ratio"


def test_added_and_changed_attributes(copy):
    zarr.open_group(copy, mode="r+").attrs["medium"] = "air"
    assert refused(open_store, copy).name == "zarr.json"


def test_values_changed_with_zarr(copy):
    """Zarr writes a valid checksum, but not that of the build."""
    zarr.open_array(copy / "emulator" / "5" / "weights", mode="r+")[2, 1] = 0.5
    error = refused(open_store, copy)
    assert (error.name, error.order) == ("emulator/5/weights", 5)


def test_other_files_do_not_matter(copy):
    (copy / "emulator" / ".DS_Store").touch()
    (copy / "emulator" / "99").mkdir()
    (copy / "notes.txt").touch()
    read_all(copy)
    assert emulated_orders(copy) == [3, 5]


MEAN, GRID = "mean_flux", "grid_points"
IMPOSSIBLE = {
    "negative mean": (MEAN, (1, 3), -1.0),
    "zero mean": (MEAN, (1, 3), 0.0),
    "NaN mean": (MEAN, (0, 0), np.nan),
    "infinite mean": (MEAN, (0, 0), np.inf),
    "a repeated grid point": (GRID, 0, [5600, 4.5, 0.0]),
    "a grid point of NaN": (GRID, (2, 1), np.nan),
    "a reversed order": ("wave_min", 1, 5030.0),
    "a reversed order, by its end": ("wave_max", 0, 4000.0),
    "a range of NaN": ("wave_max", 0, np.nan),
    "a repeated order": ("order", 0, 5),
    "a parameter without a name": ("parameter", 1, ""),
    "a repeated name": ("parameter", 1, "teff"),
    "no pixels": ("n_pixels", 0, 0),
    "NaN weights": ("emulator/3/weights", (1, 1), np.nan),
    "infinite weights": ("emulator/3/weights", (1, 1), -np.inf),
    "a NaN spectrum": ("emulator/5/mean", 7, np.nan),
    "a NaN eigenspectrum": ("emulator/5/eigenspectra", (0, 7), np.nan),
    "unsorted wavelengths": ("emulator/5/wavelength", 7, 5012.0),
    "wavelengths outside the order": ("emulator/5/wavelength", 0, 5000.0),
    "a negative error": ("emulator/3/reconstruction_error", 2, -0.1),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_impossible_values(copy, case):
    """They are refused even if the checksums are those of the impossible values."""
    name, where, value = IMPOSSIBLE[case]
    array = zarr.open_array(copy / name, mode="r+")
    array[where] = value
    finish(copy)
    error = refused(mixjobs.load_mixture, copy)
    names = {name, "wave_min"} if name.startswith("wave_") else {name}
    assert error.name in names
    if "/" not in name:
        assert refused(open_store, copy).name in names


@pytest.mark.parametrize("attribute", ["ln_wave_start", "ln_wave_step"])
def test_impossible_attributes_of_an_emulator(copy, attribute):
    group = zarr.open_group(copy / "emulator" / "3", mode="r+")
    group.attrs[attribute] = "much"
    finish(copy)
    assert refused(lambda path: read_order(path, 3), copy).name == "emulator/3"


def test_an_impossible_joint_error(copy):
    zarr.open_array(copy / "emulator/joint_error/5", mode="r+")[0] = np.nan
    finish(copy)
    assert refused(load_mixture, copy).name == "emulator/joint_error/5"


def test_a_missing_joint_error(copy):
    shutil.rmtree(copy / "emulator/joint_error")
    assert refused(load_mixture, copy).name == "emulator/joint_error"
    finish(copy)
    assert refused(load_mixture, copy).name == "emulator/joint_error"


class TestSchema2:
    """Stores of the version before checksums."""

    @pytest.fixture
    def old(self, copy):
        return to_schema_2(copy)

    def test_it_has_the_same_values(self, old, store):
        opened = open_store(old)
        assert opened.n_checksums == 0
        assert "none" in opened.checksums_line
        assert "checksums" in repr(opened)
        np.testing.assert_array_equal(opened.mean_flux, store.mean_flux)
        np.testing.assert_array_equal(opened.flux_ratio[...], store.flux_ratio[...])
        one, other = (read_order(path, 5)[0] for path in (old, store.path))
        np.testing.assert_array_equal(one.weights, other.weights)
        xr.testing.assert_equal(opened.to_xarray().load(), store.to_xarray().load())

    @pytest.mark.parametrize(
        "name", ["mean_flux/c/0/0", "emulator/5/mean/c/0", "grid_points/c/0/0"]
    )
    def test_a_missing_chunk_is_named(self, old, name):
        (old / name).unlink()
        assert refused(open_store, old).name == name.split("/c/")[0]

    def test_a_missing_order_is_named(self, old):
        shutil.rmtree(old / "emulator" / "5")
        error = refused(open_store, old)
        assert (error.name, error.order) == ("emulator/5", 5)

    def test_impossible_values(self, old):
        zarr.open_array(old / "mean_flux", mode="r+")[0, 0] = -1
        assert refused(open_store, old).name == "mean_flux"
