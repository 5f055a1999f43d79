"""Quantities at public entry points, and declarations in files."""

import numpy as np
import pytest
from astropy import units as u
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, UnreadableFile
from mixjobs.units import declared_medium, to_value


def test_plain_values_are_returned_unchanged():
    for value in (5, 5.0, None, "air", [1, 2], np.arange(3)):
        assert to_value(value, "K", "teff") is value


@given(st.integers(1, 10**9))
def test_decimal_multiples_convert_exactly(number):
    """The rounding of astropy's conversion factors is removed."""
    assert to_value(number * u.nm, "Angstrom", "edges") == number * 10
    assert to_value(number * u.m / u.s, "km/s", "rv") == number / 1000


def test_arrays_and_lists_are_converted():
    assert to_value([0, -1.5, np.inf] * u.km, "m", "x").tolist() == [0, -1500, np.inf]
    assert np.isnan(to_value(np.nan * u.km, "m", "x"))
    assert to_value([500 * u.nm, 5100], "Angstrom", "edges") == [5000, 5100]
    assert to_value(([500, 510] * u.nm, 5100), "Angstrom", "edges")[0].tolist() == [5000, 5100]
    assert to_value(4.5 * u.dimensionless_unscaled, "", "logg") == 4.5


@pytest.mark.parametrize("value", [5 * u.K, [1, 5 * u.K], Time(2020, format="jyear")])
def test_other_units_are_refused(value):
    with pytest.raises(InvalidInput, match=r"edges in .*: expected Angstrom") as error:
        to_value(value, "Angstrom", "edges")
    assert error.value.name == "edges"


@pytest.mark.parametrize(
    ("declarations", "medium"),
    [
        ([], None),
        ([("AIRMASS", 1.2), ("OBJECT", "air")], None),
        ([("air", True)], "air"),
        ([("air", np.int8(0))], "vacuum"),
        ([("air", b"False"), ("MEDIUM", " Vacuum ")], "vacuum"),
    ],
)
def test_medium(declarations, medium):
    assert declared_medium(declarations, "a.fits") == medium


@pytest.mark.parametrize(
    ("declarations", "name"),
    [
        ([("air", "perhaps")], "air"),
        ([("Medium", "water")], "Medium"),
        ([("air", [True, False])], "air"),
        ([("air", True), ("MEDIUM", "vacuum")], "MEDIUM"),
    ],
)
def test_an_invalid_or_contradictory_medium_is_refused(declarations, name):
    with pytest.raises(UnreadableFile) as error:
        declared_medium(declarations, "a.fits")
    assert (error.value.path, error.value.name) == ("a.fits", name)
