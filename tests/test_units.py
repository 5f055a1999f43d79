"""Quantities at public entry points, and declarations in files."""

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from astropy.utils.masked import Masked
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput
from mixjobs.units import (
    by_name,
    by_position,
    to_integer,
    to_integers,
    to_value,
    without_unit,
)


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


def test_messages_name_what_was_given():
    with pytest.raises(InvalidInput, match=r"^edges is dimensionless: expected Angstrom"):
        to_value(5 * u.one, "Angstrom", "edges")
    with pytest.raises(InvalidInput, match=r"teff in deg_C: expected K, .* give K$"):
        to_value(5000 * u.deg_C, "K", "teff")


@pytest.mark.parametrize("value", [3.5, np.nan, np.inf, "three", None, [1, 2], 3 * u.K])
def test_integers_are_whole_numbers(value):
    with pytest.raises(InvalidInput) as error:
        to_integer(value, "n")
    assert error.value.name == "n"
    assert to_integer(3 * u.one, "n") == to_integer(np.int64(3), "n") == 3


@pytest.mark.parametrize("values", [3, [1, 2.5], np.array([True, False]), [1, 2] * u.K])
def test_lists_of_integers(values):
    with pytest.raises(InvalidInput):
        to_integers(values, "rows")
    assert to_integers(np.array([2, 1]), "rows") == to_integers([2, 1] * u.one, "rows") == [2, 1]


def test_columns_keep_their_unit():
    column = Table({"wave": [500, 510] * u.nm})["wave"]
    assert to_value(column, "Angstrom", "edges").tolist() == [5000, 5100]
    masked = MaskedColumn([500.0, 510.0], unit="nm", mask=[False, False])
    assert to_value(masked, "Angstrom", "edges").tolist() == [5000, 5100]
    objects = np.array([500 * u.nm, 5100.0], dtype=object)
    assert to_value(objects, "Angstrom", "edges") == [5000, 5100]


@pytest.mark.parametrize(
    "value",
    [
        np.ma.masked, [1.0, np.ma.masked], np.ma.masked_invalid([1, np.nan]),
        Masked([1.0, 2.0], mask=[False, True]), Masked(5 * u.K, mask=True),
        MaskedColumn([1.0, 2.0], unit="K", mask=[False, True]),
    ],
)  # fmt: skip
def test_masked_values_are_refused(value):
    with pytest.raises(InvalidInput, match="masked") as error:
        to_value(value, "K", "teff")
    assert error.value.name == "teff"


NAMES = ("teff", "logg", "feh")


def test_parameters_by_name():
    row = {"teff": 5800.0, "logg": 4.5, "feh": 0.0}
    record = np.array([tuple(row.values())], dtype=[(name, float) for name in NAMES])
    for values in (row, record[0], Table([row])[0], pd.Series(row)):
        assert {name: float(value) for name, value in by_name(values).items()} == row
    for values in ([1, 2, 3], np.arange(3), 5 * u.K, pd.Series([1, 2, 3]), None):
        assert by_name(values) is None
    for table in (Table({"teff": [5.8] * u.kK}), QTable({"teff": [5.8] * u.kK})):
        assert without_unit(by_name(table[0])["teff"], "teff") == 5800
        assert without_unit(by_name(table)["teff"], "teff").tolist() == [5800]


def test_parameters_by_position():
    values = [6.05 * u.kK, 4.5, -0.2 * u.dex]
    assert by_position(values, NAMES, "theta") == [6050, 4.5, -0.2]
    assert by_position([1, 2, 3] * u.one, NAMES, "theta").tolist() == [1, 2, 3]
    for wrong in ([1, 2, 3] * u.K, [[5, 6] * u.kK, [4, 4], [0, 0]], [5 * u.K, 5 * u.K, 0]):
        with pytest.raises(InvalidInput):
            by_position(wrong, NAMES, "theta")
