"""HDF5 files whose compression this HDF5 library cannot read: libraries and observed spectra."""

import h5py
import numpy as np
import pytest

import mixjobs
from mixjobs.errors import UnreadableFile
from tests.helpers import starfish_files

FILTERS = {32001: "Blosc", 32015: "Zstandard", 32004: "LZ4", 32008: "Bitshuffle", 31999: "31999"}


def compress(path, name, code):
    """Store a dataset as if a filter had compressed it."""
    with h5py.File(path, "r+") as file:
        values, attributes = file[name][...], dict(file[name].attrs)
        del file[name]
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk(values.shape)
        plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
        space, kind = h5py.h5s.create_simple(values.shape), h5py.h5t.py_create(values.dtype)
        stored = h5py.h5d.create(file.id, name.encode(), kind, space, plist)
        stored.write_direct_chunk((0,) * values.ndim, values.tobytes())
        file[name].attrs.update(attributes)


def library(path):
    return starfish_files.write(path)


def star(path):
    with h5py.File(path, "w") as file:
        file["waves"] = np.linspace([5000, 5010], [5009, 5019], 50).T
        file["fluxes"] = np.ones((2, 50))
        file["sigmas"] = np.full((2, 50), 0.01)
        file["masks"] = np.ones((2, 50))
    return path


CASES = [
    *((library, "/wl", code) for code in FILTERS),
    (library, "/grid_points", 32001), (library, "/flux/t9900g4.5", 32001),
    (library, "/flux/t3000g4.0", 32001), (star, "/waves", 32001), (star, "/masks", 32015),
]  # fmt: skip


@pytest.mark.parametrize(("write", "name", "code"), CASES)
def test_the_error_names_the_filter_and_the_package(write, name, code, tmp_path):
    if h5py.h5z.filter_avail(code):
        pytest.skip("this HDF5 library has the filter")
    path = write(tmp_path / "a.hdf5")
    compress(path, name, code)
    orders = mixjobs.Orders.log_spaced(2, 5000, 5100)
    source, target = (path, orders) if write is library else (library(tmp_path / "b.hdf5"), path)
    with pytest.raises(UnreadableFile) as refused:
        mixjobs.build(source, target, tmp_path / "q.zarr", flux_scale="raw")
    assert refused.value.path == str(path)
    if name != "/flux/t3000g4.0":  # which a task reads, and names itself
        assert (refused.value.name, refused.value.value) == (name, code)
    assert FILTERS[code] in str(refused.value)
    assert "hdf5plugin" in str(refused.value)
    assert not (tmp_path / "q.zarr").exists()


def test_filters_of_hdf5_itself_are_read(tmp_path):
    path = library(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        for name, filters in (
            ("t3000g4.0", {"compression": "gzip"}),
            ("t9900g4.5", {"compression": "lzf"}),
        ):
            values = file[f"flux/{name}"][...]
            del file[f"flux/{name}"]
            file.create_dataset(
                f"flux/{name}", data=values, shuffle=True, fletcher32=True, **filters
            )
    opened = mixjobs.open_library(path, flux_scale="raw")
    for k in range(len(opened.keys)):
        np.testing.assert_array_equal(opened.flux(k), starfish_files.spectrum(k))
