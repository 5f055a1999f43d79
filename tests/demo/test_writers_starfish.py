"""The demo library's file, read with h5py."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mixjobs.demo.library import DEMO_VERSION, DemoLibrary
from mixjobs.errors import InvalidInput

AXES = {"teff": (2300.0, 5800.0), "logg": (4.5,), "feh": (-1.0, 0.0), "alpha": (0.0, 0.4)}


def small(**changes: Any) -> DemoLibrary:
    options: dict[str, Any] = {"axes": AXES, "wave_max": 5021.4, "n_pixels": 1200} | changes
    return DemoLibrary(**options)


@pytest.fixture(scope="module")
def library() -> DemoLibrary:
    return small(axes={"teff": (5800.0, 6000.0), "logg": (4.5,), "feh": (-0.25, 0.0)})


@pytest.fixture(scope="module")
def path(library: DemoLibrary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return library.write(tmp_path_factory.mktemp("demo") / "grid.hdf5")


def test_layout_is_that_of_starfish(library: DemoLibrary, path: Path) -> None:
    with h5py.File(path) as file:
        assert set(file) == {"wl", "grid_points", "flux"}
        assert file.attrs["grid_name"] == "mixjobs demo"
        assert not file.attrs["norm"]
        assert file.attrs["demo_seed"] == library.seed
        assert file.attrs["demo_version"] == DEMO_VERSION
        assert file["wl"].attrs["units"] == "AA"
        assert not file["wl"].attrs["air"]
        assert file["wl"].attrs["dv"] == library.dv
        np.testing.assert_array_equal(file["wl"][:], library.wavelength)
        np.testing.assert_array_equal(file["grid_points"][:], library.points)
        assert list(file["grid_points"].attrs["names"]) == ["T", "logg", "Z"]
        assert file["flux"].attrs["units"] == "erg/s/cm^2/AA"
        assert len(file["flux"]) == len(library.points)


def test_each_dataset_equals_the_truth_in_float32(library: DemoLibrary, path: Path) -> None:
    with h5py.File(path) as file:
        key_name = file["flux"].attrs["key_name"]
        assert key_name == "t{0:.0f}g{1:.1f}z{2:.2f}"
        for theta in library.points:
            dataset = file["flux"][key_name.format(*theta)]
            assert dataset.dtype == np.float32
            assert (dataset.compression, dataset.compression_opts) == ("gzip", 9)
            np.testing.assert_array_equal(dataset[:], library.spectrum(theta).astype(np.float32))


def test_alpha_is_named_as_in_starfish(tmp_path: Path) -> None:
    with h5py.File(small(n_pixels=50).write(tmp_path / "a.hdf5")) as file:
        assert list(file["grid_points"].attrs["names"]) == ["T", "logg", "Z", "alpha"]
        assert "t5800g4.5z-1.0a0.4" in file["flux"]


def test_long_spectra_are_chunked(tmp_path: Path) -> None:
    library = DemoLibrary(axes={"teff": (6000.0,)})
    with h5py.File(library.write(tmp_path / "a.hdf5")) as file:
        (pixels,) = next(iter(file["flux"].values())).chunks
    assert pixels < library.n_pixels


def test_a_failed_write_leaves_only_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = small(n_pixels=50).write(tmp_path / "a.hdf5")
    before = target.read_bytes()

    def full_disk(demo: DemoLibrary, theta: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(DemoLibrary, "spectrum", full_disk)
    with pytest.raises(OSError, match="no space"):
        small(n_pixels=60).write(target)
    assert [p.name for p in tmp_path.iterdir()] == ["a.hdf5"]
    assert target.read_bytes() == before


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    for n_pixels in (50, 60):
        path = small(n_pixels=n_pixels).write(str(tmp_path / "a.hdf5"))
    with h5py.File(path) as file:
        assert file["wl"].shape == (60,)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="folder"):
        small().write(tmp_path / "missing" / "a.hdf5")
    with pytest.raises(InvalidInput, match="folder"):
        small().write(tmp_path)
