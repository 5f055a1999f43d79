"""The demo library in the layout of PHOENIX, read with astropy."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.demo.library import DemoLibrary
from mixjobs.demo.writers import phoenix_name
from mixjobs.errors import InvalidInput, OutputExists
from mixjobs.library.phoenix import parse_names

AXES = {"teff": (2300.0, 5800.0), "logg": (-0.5, 4.5), "feh": (-1.0, 0.0), "alpha": (0.0, 0.4)}
LIBRARY = DemoLibrary(AXES, n_pixels=50)
TAIL = "PHOENIX-ACES-AGSS-COND-2011"


@given(
    teff=st.integers(2000, 15000),
    logg=st.integers(-100, 700),
    feh=st.integers(-50, 20),
    alpha=st.integers(-100, 200),
)
def test_a_written_name_is_read_back(teff: int, logg: int, feh: int, alpha: int) -> None:
    star = {"teff": float(teff), "logg": logg / 100, "feh": feh / 10, "alpha": alpha / 100}
    (point,), names = parse_names([phoenix_name(star)])
    assert dict(zip(names, point.tolist(), strict=True)) | {"alpha": star["alpha"]} == star


def test_layout_is_that_of_the_server(tmp_path: Path) -> None:
    folder = LIBRARY.write(tmp_path / "HiRes", layout="phoenix")
    assert {path.name for path in folder.iterdir()} == {
        f"WAVE_{TAIL}.fits", "Z-0.0", "Z-0.0.Alpha=+0.40", "Z-1.0", "Z-1.0.Alpha=+0.40",
    }  # fmt: skip
    assert {path.name for path in (folder / "Z-1.0.Alpha=+0.40").iterdir()} == {
        f"lte{star}-1.0.Alpha=+0.40.{TAIL}-HiRes.fits"
        for star in ("02300+0.50", "02300-4.50", "05800+0.50", "05800-4.50")
    }
    assert [path.name for path in tmp_path.iterdir()] == ["HiRes"]
    with fits.open(folder / f"WAVE_{TAIL}.fits") as file:
        np.testing.assert_array_equal(file[0].data, LIBRARY.wavelength)
    with fits.open(folder / f"Z-0.0/lte05800-4.50-0.0.{TAIL}-HiRes.fits") as file:
        assert file[0].data.dtype == ">f4"
        assert file[0].header["BUNIT"] == "erg/s/cm^2/cm"
        assert file[0].header["SEED"] == LIBRARY.seed
        expected = (LIBRARY.spectrum([5800, 4.5, 0, 0]) * 1e8).astype(np.float32)
        np.testing.assert_array_equal(file[0].data, expected)


def test_omitted_parameters_are_solar(tmp_path: Path) -> None:
    folder = DemoLibrary({"teff": (5000,)}, n_pixels=50).write(tmp_path / "a", layout="phoenix")
    assert (folder / f"Z-0.0/lte05000-4.50-0.0.{TAIL}-HiRes.fits").is_file()


@pytest.mark.parametrize(
    ("axis", "value"), [("teff", 5000.5), ("logg", 4.505), ("feh", -0.25), ("alpha", 0.125)]
)
def test_a_value_with_too_many_decimals_is_refused(axis: str, value: float, tmp_path: Path) -> None:
    library = DemoLibrary({"teff": (5000,)} | {axis: (value,)}, n_pixels=50)
    with pytest.raises(InvalidInput, match="decimals") as error:
        library.write(tmp_path / "a", layout="phoenix")
    assert (error.value.name, error.value.value) == (axis, value)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path, tmp_path / "file"):
        with pytest.raises(OutputExists, match="exists already"):
            LIBRARY.write(target, layout="phoenix")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_missing_folder_and_an_unknown_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        LIBRARY.write(tmp_path / "missing" / "a", layout="phoenix")
    with pytest.raises(InvalidInput, match=r"layout 'zip': expected 'starfish' or 'phoenix'"):
        LIBRARY.write(tmp_path / "a", layout="zip")  # type: ignore[arg-type]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(demo: DemoLibrary, theta: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(DemoLibrary, "spectrum", full_disk)
    with pytest.raises(OSError, match="no space"):
        LIBRARY.write(tmp_path / "a", layout="phoenix")
    assert list(tmp_path.iterdir()) == []
