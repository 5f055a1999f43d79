"""Declared flux calibration of a library, and the reversal of its scaling."""

import h5py
import numpy as np
import pytest

from mixjobs.library import open_library
from tests.helpers.starfish_files import POINTS, spectrum, write

HEADERS = {"PHXLUM": 2e34, "PHXREFF": 1.5e11}
F_SUN = 6.3156e10  # erg/s/cm², the constant that Starfish divides by
F_BOL = 2e34 / (4 * np.pi * 1.5e11**2)


class TestReal:
    """The same three spectra of PHOENIX, raw and scaled to one luminosity."""

    @pytest.mark.parametrize("suffix", ["", "_air"])
    def test_ratios_agree_to_half_a_per_cent(self, data, suffix):
        raw = open_library(data / f"PHOENIX_{'air' if suffix else '50k'}.hdf5")
        scaled = open_library(data / f"PHOENIX_norm{suffix}.hdf5")
        assert (raw.flux_calibration.status, scaled.flux_calibration.status) == ("raw", "rescaled")
        assert "PHXLUM" in scaled.flux_calibration.evidence
        np.testing.assert_array_equal(raw.grid.points, scaled.grid.points)
        means = [np.array([lib.flux(i).mean() for i in range(3)]) for lib in (raw, scaled)]
        ratios = [m[None, :] / m[:, None] for m in means]
        np.testing.assert_allclose(ratios[1], ratios[0], rtol=5e-3)
        # without rescaling, they differ by the factor (T2/T1)^4
        unscaled = np.array([scaled.assume_raw().flux(i).mean() for i in range(3)])
        assert np.abs(unscaled / unscaled[0] / ratios[0][0] - 1).max() > 0.1

    def test_phoenix_aces_is_rescaled_with_its_headers(self, data):
        library = open_library(data / "PHOENIX_ACES_test.hdf5")
        assert library.flux_calibration.status == "rescaled"
        with h5py.File(data / "PHOENIX_ACES_test.hdf5", "r", locking=False) as file:
            for i, (teff, logg, *_) in enumerate(library.grid.points):
                dataset = file[f"flux/t{teff:.0f}g{logg:.1f}z0.0a0.0"]
                f_bol = dataset.attrs["PHXLUM"] / (4 * np.pi * dataset.attrs["PHXREFF"] ** 2)
                assert f_bol == pytest.approx(5.670374e-5 * teff**4, rel=0.02)
                expected = dataset[...].astype(float) * (f_bol / 6.3156e10)
                np.testing.assert_allclose(library.flux(i), expected, rtol=1e-14)

    def test_btsettl_is_raw_according_to_the_flag_of_the_file(self, data):
        assert open_library(data / "btsettl_prism.hdf5").flux_calibration.status == "raw"


TRUE = [True, np.True_, "True", "true", b"True", 1, 1.0, np.array([True])]
FALSE = [False, np.False_, "False", "false", b"False", 0, 0.0, np.array([False])]


@pytest.mark.parametrize("place", ["root", "each"])
class TestFlags:
    @pytest.mark.parametrize("value", FALSE, ids=repr)
    def test_raw(self, tmp_path, place, value):
        library = open_library(write(tmp_path / "a.hdf5", **{place: {"norm": value}}))
        assert library.flux_calibration.status == "raw"
        np.testing.assert_array_equal(library.flux(1), spectrum(1))

    @pytest.mark.parametrize("value", TRUE, ids=repr)
    def test_normalised(self, tmp_path, place, value):
        library = open_library(write(tmp_path / "a.hdf5", **{place: {"norm": value}}))
        assert library.flux_calibration.status == "normalised"
        assert "norm = True" in library.flux_calibration.evidence

    @pytest.mark.parametrize("value", TRUE, ids=repr)
    def test_rescaled_with_headers(self, tmp_path, place, value):
        attributes = {"root": {}, "each": HEADERS}
        attributes[place] = attributes[place] | {"norm": value}
        library = open_library(write(tmp_path / "a.hdf5", **attributes))
        assert library.flux_calibration.status == "rescaled"
        for i in range(len(POINTS)):
            expected = spectrum(i).astype(float) * (F_BOL / F_SUN)
            np.testing.assert_allclose(library.flux(i), expected, rtol=1e-14)
            np.testing.assert_allclose(library.flux(i, 5, 9), expected[5:9], rtol=1e-14)

    @pytest.mark.parametrize("value", ["perhaps", 2, np.array([True, False])], ids=repr)
    def test_an_unclear_flag(self, tmp_path, place, value):
        library = open_library(write(tmp_path / "a.hdf5", **{place: {"norm": value}}))
        assert library.flux_calibration.status == "unknown"


def test_no_flag(tmp_path):
    library = open_library(write(tmp_path / "a.hdf5", each=HEADERS))
    assert library.flux_calibration.status == "unknown"
    np.testing.assert_array_equal(library.flux(1), spectrum(1))


def change_first(path, **attributes):
    with h5py.File(path, "a") as file:
        file["flux/t9900g4.5"].attrs.update(attributes)
    return path


def test_contradictory_flags_count_as_normalised(tmp_path):
    path = write(tmp_path / "a.hdf5", each={"norm": True, **HEADERS})
    assert open_library(change_first(path, norm=False)).flux_calibration.status == "normalised"
    path = write(tmp_path / "b.hdf5", root={"norm": True}, each={"norm": False, **HEADERS})
    assert open_library(path).flux_calibration.status == "normalised"


@pytest.mark.parametrize(
    "headers",
    [
        {"PHXREFF": 0.0}, {"PHXLUM": np.nan}, {"PHXLUM": -1.0}, {"PHXLUM": 0.0},
        {"PHXLUM": "bright"}, {"PHXREFF": [1.0, 2.0]},
    ],
    ids=repr,
)  # fmt: skip
def test_an_invalid_header_prevents_rescaling(tmp_path, headers):
    path = write(tmp_path / "a.hdf5", each={"norm": True, **HEADERS})
    assert open_library(change_first(path, **headers)).flux_calibration.status == "normalised"


def test_a_missing_header_prevents_rescaling(tmp_path):
    path = write(tmp_path / "a.hdf5", each={"norm": True, **HEADERS})
    with h5py.File(path, "a") as file:
        del file["flux/t9900g4.5"].attrs["PHXLUM"]
    library = open_library(path)
    assert library.flux_calibration.status == "normalised"
    assert "no PHX headers" in library.flux_calibration.evidence


def test_each_spectrum_keeps_its_own_scale_after_take(tmp_path):
    path = write(tmp_path / "a.hdf5", each={"norm": True, **HEADERS})
    library = open_library(change_first(path, PHXLUM=4e34))
    np.testing.assert_allclose(
        library.flux(0), 2 * (F_BOL / F_SUN) * spectrum(0).astype(float), rtol=1e-14
    )
    part = library.take([3, 0])
    for i, row in enumerate((3, 0)):
        np.testing.assert_array_equal(part.flux(i), library.flux(row))


def test_assume_raw_leaves_the_spectra_unchanged(tmp_path):
    library = open_library(write(tmp_path / "a.hdf5", each={"norm": True, **HEADERS}))
    assumed = library.assume_raw()
    assert assumed.flux_calibration.status == "assumed"
    assert library.flux_calibration.evidence in assumed.flux_calibration.evidence
    np.testing.assert_array_equal(assumed.flux(2), spectrum(2))
