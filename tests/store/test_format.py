"""The format of a store: schema, round trip, plain xarray, whole Zarr chunks, and bad stores."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import MissingFile, StoreError
from mixjobs.model.flux_ratio import flux_ratio_rows
from mixjobs.store.format import (
    CHUNK_BYTES,
    SCHEMA,
    finish,
    open_array,
    open_store,
    read_group,
    rows_per_zarr_chunk,
    write_attributes,
    write_whole,
)
from tests.helpers.small_stores import GRID, MEANS, N_PIXELS, ORDERS, create, fill


class TestRoundTrip:
    @pytest.mark.parametrize("dtype", ["float64", "float32", None])
    def test_everything_comes_back(self, tmp_path, dtype):
        store = open_store(fill(tmp_path / "a.zarr", dtype))
        np.testing.assert_array_equal(store.grid.points, GRID.points)
        assert store.grid.names == GRID.names
        for name in ("number", "wave_min", "wave_max"):
            np.testing.assert_array_equal(getattr(store.orders, name), getattr(ORDERS, name))
        np.testing.assert_array_equal(store.n_pixels, N_PIXELS)
        np.testing.assert_array_equal(store.mean_flux, MEANS)
        assert store.mean_flux.dtype == np.float64
        assert store.attributes["flux_unit"] == "erg/s/cm2/AA"
        assert store.attributes["schema_version"] == SCHEMA
        if dtype is None:
            assert store.flux_ratio is None
        else:
            assert store.flux_ratio.dtype == np.dtype(dtype)
            expected = flux_ratio_rows(MEANS, 0, 6).astype(dtype)
            np.testing.assert_array_equal(store.flux_ratio[...], expected)
            np.testing.assert_array_equal(store.flux_ratio[1, 2], expected[1, 2])

    def test_missing_means_are_nan(self, tmp_path):
        create(tmp_path / "a.zarr")
        assert np.isnan(read_group(tmp_path / "a.zarr").mean_flux).all()
        write_whole(open_array(tmp_path / "a.zarr", "mean_flux"), (0, 0), MEANS)
        np.testing.assert_array_equal(read_group(tmp_path / "a.zarr").mean_flux, MEANS)

    def test_attributes_survive(self, tmp_path):
        given_ = {"identity": {"orders": "2"}, "raw": "raw", "axes": [1.5, 2.5]}
        create(tmp_path / "a.zarr", attributes=given_)
        assert read_group(tmp_path / "a.zarr").attributes == {"schema_version": SCHEMA, **given_}


DIMS = {
    "grid_points": ("point", "parameter"),
    "parameter": ("parameter",),
    "order": ("order",),
    "wave_min": ("order",),
    "wave_max": ("order",),
    "n_pixels": ("order",),
    "mean_flux": ("order", "point"),
    "flux_ratio": ("order", "point_1", "point_2"),
}


class TestSchema:
    def test_plain_xarray_reads_it(self, complete):
        """Warnings are errors in the suite, so there are none."""
        dataset = xr.open_zarr(complete)
        assert {name: v.dims for name, v in dataset.variables.items()} == DIMS
        assert dataset["parameter"].values.tolist() == ["teff", "[é/H]"]
        np.testing.assert_array_equal(dataset["mean_flux"], MEANS)
        assert float(dataset["flux_ratio"].sel(order=20)[1, 3]) == MEANS[1, 3] / MEANS[1, 1]
        assert dataset.attrs["schema_version"] == SCHEMA
        same = open_store(complete).to_xarray()
        xr.testing.assert_identical(same.load(), dataset.load())

    def test_zarr_v3_with_dimension_names_and_variable_length_strings(self, complete):
        for name, dims in DIMS.items():
            described = json.loads((complete / name / "zarr.json").read_text())
            assert described["zarr_format"] == 3
            assert tuple(described["dimension_names"]) == dims
            if name == "parameter":
                assert described["data_type"] == "string"
        group = json.loads((complete / "zarr.json").read_text())
        assert set(group["consolidated_metadata"]["metadata"]) == set(DIMS)

    def test_plain_zarr_reads_it(self, complete):
        group = zarr.open_group(complete, mode="r")
        assert group["mean_flux"].chunks == (2, 6)
        np.testing.assert_array_equal(group["flux_ratio"][0], flux_ratio_rows(MEANS[0], 0, 6))

    @pytest.mark.parametrize("n", [1, 36, 1000, 7500, 2_000_000])
    def test_rows_of_the_table_in_a_zarr_chunk(self, n):
        for dtype, size in (("float64", 8), ("float32", 4)):
            rows = rows_per_zarr_chunk(n, dtype)
            assert 1 <= rows <= n
            assert rows == 1 or rows * n * size <= CHUNK_BYTES
            n_pieces = -(-n // rows)
            most = max(1, CHUNK_BYTES // (n * size))
            assert n_pieces == -(-n // most)  # no more chunks than necessary
            assert rows * n_pieces - n < n_pieces  # and less than a row of padding per chunk


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("store") / "complete.zarr")


class TestBadStore:
    @pytest.fixture
    def store(self, tmp_path, complete):
        return shutil.copytree(complete, tmp_path / "a.zarr")

    def refused(self, path, error, message):
        with pytest.raises(error, match=message) as caught:
            open_store(path)
        assert caught.value.path == str(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_missing(self, tmp_path):
        self.refused(tmp_path / "a.zarr", MissingFile, "no such store")

    def test_a_file(self, tmp_path):
        (tmp_path / "a.zarr").touch()
        self.refused(tmp_path / "a.zarr", StoreError, "this is a file")

    def test_half_written(self, tmp_path):
        (tmp_path / "a.zarr.partial").mkdir()
        message = r"incomplete .*a\.zarr\.partial"
        self.refused(tmp_path / "a.zarr", StoreError, message)

    def test_an_empty_folder(self, tmp_path):
        (tmp_path / "a.zarr").mkdir()
        self.refused(tmp_path / "a.zarr", StoreError, "this is a folder")

    def test_paths_in_the_summary_are_relative_to_the_working_directory(self, store, monkeypatch):
        monkeypatch.chdir(store.parent)
        assert f"path        {store.name}\n" in repr(open_store(store))
        monkeypatch.chdir(store)
        assert f"path        {store}\n" in repr(open_store(store))

    def test_a_run(self, tmp_path):
        (tmp_path / "run.json").write_text("{}")
        self.refused(tmp_path, StoreError, "folder of a run")

    @pytest.mark.parametrize("version", [1, "2", 99, None])
    def test_schema(self, store, version):
        write_attributes(store, {"schema_version": version})
        if version is None:
            finish(store)
        with pytest.raises(StoreError) as error:
            open_store(store)
        assert (error.value.name, error.value.value) == ("schema_version", version)

    def test_another_zarr_group(self, tmp_path):
        zarr.open_group(tmp_path / "a.zarr", mode="w")
        self.refused(tmp_path / "a.zarr", StoreError, "not a mixjobs store")

    def test_a_zarr_array(self, tmp_path):
        zarr.create_array(tmp_path / "a.zarr", shape=(3,), dtype="f8")
        self.refused(tmp_path / "a.zarr", StoreError, "zarr.json is damaged")

    @pytest.mark.parametrize("text", ["", "{", "[]", "zarr"], ids=repr)
    def test_broken_metadata_of_the_group(self, store, text):
        (store / "zarr.json").write_text(text)
        self.refused(store, StoreError, "zarr.json")


def starts_and_sizes(shape, zarr_chunks):
    """Starts and sizes of all aligned regions along each dimension of an array."""
    for length, step in zip(shape, zarr_chunks, strict=True):
        edges = [*range(0, length, step), length]
        yield [(a, b - a) for i, a in enumerate(edges) for b in edges[i + 1 :]]


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a"
    return zarr.create_array(path, shape=(10, 7), chunks=(4, 3), dtype="i4", fill_value=-1)


def test_the_repr_is_short(complete):
    lines = repr(open_store(complete)).splitlines()
    assert len(lines) < 10
    assert lines[0] == "<Store>"
    facts = dict(line.split(maxsplit=1) for line in lines[1:])
    assert facts["grid"] == "6 points, 0 holes"
    assert (facts["teff"], facts["[é/H]"]) == ("5000 to 5300 (3 values)", "4 to 4.5 (2 values)")
    assert facts["emulator"] == "none"
    assert "<table>" in open_store(complete)._repr_html_()


class TestWriteWhole:
    @given(st.data())
    def test_accepts_whole_zarr_chunks_and_nothing_else(self, array, data):
        start = tuple(data.draw(st.integers(-4, n)) for n in array.shape)
        size = tuple(data.draw(st.integers(1, n + 2)) for n in array.shape)
        aligned = all(
            place in good
            for place, good in zip(
                zip(start, size, strict=True),
                starts_and_sizes(array.shape, array.chunks),
                strict=True,
            )
        )
        before = array[...]
        values = before.max() + 1 + np.arange(np.prod(size), dtype="i4").reshape(size)
        if not aligned:
            with pytest.raises(StoreError, match="does not cover whole Zarr chunks of shape"):
                write_whole(array, start, values)
            np.testing.assert_array_equal(array[...], before)
        else:
            write_whole(array, start, values)
            (a, b), (m, n) = start, size
            before[a : a + m, b : b + n] = values
            np.testing.assert_array_equal(array[...], before)

    def test_accepts_every_aligned_region(self, array):
        rows, columns = starts_and_sizes(array.shape, array.chunks)
        for (a, m), (b, n) in [(r, c) for r in rows for c in columns]:
            values = np.full((m, n), 1000 * a + b, dtype="i4")
            write_whole(array, (a, b), values)
            np.testing.assert_array_equal(array[a : a + m, b : b + n], values)
