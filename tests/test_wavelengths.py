"""Air and vacuum, against published values and real files; the checks of wavelengths."""

import re

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import make_interp_spline

from mixjobs.errors import InvalidInput, LibraryError
from mixjobs.wavelengths import (
    air_to_vacuum,
    check_distinct,
    check_wavelength,
    pixel_edges,
    settle_medium,
    vacuum_to_air,
)


@given(wave=st.floats(2000, 1e6))
def test_round_trip(wave):
    assert abs(air_to_vacuum(vacuum_to_air(wave)) - wave) <= 1e-9 + 4e-16 * wave


@given(wave=st.floats(2000, 1e6), other=st.floats(2000, 1e6))
def test_air_wavelengths_are_shorter_and_keep_their_sequence(wave, other):
    assert 2.7e-4 < 1 - vacuum_to_air(wave) / wave < 3.3e-4
    assert (wave < other) == (vacuum_to_air(wave) < vacuum_to_air(other))


def test_index_of_standard_air():
    """The published n - 1 of air at 15 °C and 1013.25 hPa at the sodium D line is 2.77e-4.

    In air the two D lines are at 5895.924 and 5889.951 Å, in vacuum at 5897.558 and 5891.583 Å
    (NIST Atomic Spectra Database).
    """
    np.testing.assert_allclose(vacuum_to_air([5897.558, 5891.583]), [5895.924, 5889.951], atol=2e-3)


def test_shapes():
    wave = np.linspace(3000, 9000, 12).reshape(3, 4)
    assert vacuum_to_air(wave).shape == air_to_vacuum(wave).shape == (3, 4)
    assert air_to_vacuum(5000.0).shape == ()
    assert len(air_to_vacuum([])) == 0
    assert air_to_vacuum(wave)[1, 2] == pytest.approx(float(air_to_vacuum(wave[1, 2])), abs=1e-10)


@pytest.mark.parametrize("function", [vacuum_to_air, air_to_vacuum])
@pytest.mark.parametrize("wave", [1999.0, 0.0, -5000.0, np.nan, np.inf])
def test_too_short_wavelengths_are_refused(function, wave):
    with pytest.raises(InvalidInput, match=re.escape(f"wavelength {wave:.10g} Å")):
        function([5000.0, wave])


def test_the_limit_is_the_same_in_air_and_vacuum():
    assert air_to_vacuum(vacuum_to_air(2000.0)) == pytest.approx(2000, abs=1e-9)
    with pytest.raises(InvalidInput, match=r"in air: expected 1999\.35"):
        air_to_vacuum(1999.3)


def test_phoenix_in_air_agrees_with_phoenix_in_vacuum(data):
    """The same spectra on the same wavelength values, once in air and once in vacuum."""
    with (
        h5py.File(data / "PHOENIX_50k.hdf5") as vacuum,
        h5py.File(data / "PHOENIX_air.hdf5") as air,
    ):
        wave = vacuum["wl"][:]
        np.testing.assert_array_equal(wave, air["wl"][:])
        inner = slice(60, -120)  # the red end lacks 11.6 Å, 60 pixels
        for key in vacuum["flux"]:
            flux = make_interp_spline(wave, vacuum["flux"][key][:].astype(np.float64), k=5)
            ratio = air["flux"][key][inner] / flux(air_to_vacuum(wave[inner]))
            np.testing.assert_allclose(ratio, 1, atol=3e-6)


@pytest.mark.parametrize(
    ("wave", "pixel"),
    [
        ([5000.0, np.nan, 5002.0], 1),
        ([5000.0, 5001.0, np.inf], 2),
        ([0.0, 5001.0, 5002.0], 0),
        ([-1.0, 5001.0, 5002.0], 0),
        ([5000.0, 5002.0, 5001.0], 2),
        ([5000.0, 5000.0, 5001.0], 1),
    ],
)
def test_the_check_names_the_first_bad_pixel(wave, pixel):
    with pytest.raises(LibraryError) as error:
        check_wavelength(np.array(wave), LibraryError, path="a.fits", order=7)
    facts = error.value.path, error.value.order, error.value.name, error.value.pixel
    assert facts == ("a.fits", 7, "wavelength", pixel)
    np.testing.assert_equal(error.value.value, wave[pixel])
    assert str(error.value).startswith(f"a.fits: order 7: wavelength {wave[pixel]:g}")
    with pytest.raises(InvalidInput) as error:
        pixel_edges(wave)
    assert error.value.pixel == pixel


@pytest.mark.parametrize("wave", [[], [5000.0], [5000.0, np.nextafter(5000.0, 6000)]])
def test_ascending_wavelengths_pass_the_check(wave):
    check_wavelength(np.array(wave))


def test_pixels_that_differ_by_rounding_have_no_edges():
    with pytest.raises(InvalidInput, match="differ by rounding only"):
        pixel_edges([5000.0, np.nextafter(5000.0, 6000), 5001.0])


@pytest.mark.parametrize(("gap", "distinct"), [(1e-12, False), (4e-6, False), (1e-5, True)])
def test_the_wavelengths_of_a_library_are_distinct(gap, distinct):
    wave = np.array([4999.0, 5000.0, 5000.0 + gap, 5001.0])
    if distinct:
        check_distinct(wave, "grid.hdf5")
        return
    with pytest.raises(LibraryError) as error:
        check_distinct(wave, "grid.hdf5")
    assert (error.value.path, error.value.pixel, error.value.value) == ("grid.hdf5", 2, wave[2])
    assert str(error.value).startswith(f"grid.hdf5: wavelengths 5000.0 and {wave[2]} Å")


@pytest.mark.parametrize(
    ("declared", "requested", "library", "medium", "note"),
    [
        ("air", None, "vacuum", "air", "as its file declares"),
        ("air", "air", "unknown", "air", "not converted"),
        (None, "vacuum", "air", "vacuum", "as requested"),
        (None, None, "air", "air", "like the library's"),
        (None, None, "unknown", None, "taken to be the library's"),
    ],
)
def test_medium_is_declared_or_requested_or_that_of_the_library(
    declared, requested, library, medium, note
):
    settled, explanation = settle_medium("a.fits", declared, requested, library)
    assert settled == medium
    assert note in explanation
