"""The names of a mixture's parameters, fixed values and units."""

import numpy as np
import pytest
from astropy import units

from mixjobs.errors import InvalidInput
from mixjobs.model.layout import lay_out
from mixjobs.units import without_unit

STAR = ("teff", "logg", "vsini", "rv")


def test_names_are_grouped_by_parameter():
    layout = lay_out([STAR, STAR, ("teff",)], ["logg", "rv"], "c", {})
    assert layout.names == (
        "teff_1", "teff_2", "teff_3", "logg", "vsini_1", "vsini_2", "rv", "c_2", "c_3",
    )  # fmt: skip
    assert layout.columns[1] == {"teff": 1, "logg": 3, "vsini": 5, "rv": 6}
    assert layout.columns[2] == {"teff": 2}


def test_fixed_values_are_added_to_samples():
    layout = lay_out([STAR], [], "log_omega", {"vsini": 3, "rv": 500 * units.m / units.s})
    assert layout.names == ("teff", "logg", "log_omega")
    samples, leading = layout.samples(np.array([[[5800, 4.4, -19], [5700, 4.5, -20]]]))
    assert leading == (1, 2)
    assert samples.tolist() == [[5800, 4.4, 3, 0.5, -19], [5700, 4.5, 3, 0.5, -20]]


def test_values_by_name_broadcast():
    layout = lay_out([STAR], [], "log_omega", {"vsini": 0, "rv": 0})
    samples, leading = layout.samples(
        {"teff": [5800, 5900], "logg": [[4.0], [4.5]], "log_omega": 1}
    )
    assert leading == (2, 2)
    assert samples[:, 0].tolist() == [5800, 5900, 5800, 5900]
    assert samples[:, 1].tolist() == [4.0, 4.0, 4.5, 4.5]


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        (5.8 * units.kK, "teff_2", 5800),
        (500 * units.m / units.s, "rv", 0.5),
        (4.4 * units.dex(units.cm / units.s**2), "logg_1", 4.4),
        (4.4 * units.dex, "logg", 4.4),
        (-0.5 * units.dex, "feh", -0.5),
        (20 * units.percent, "c", 0.2),
        (0.3 * units.dimensionless_unscaled, "alpha", 0.3),
        (4.4, "logg", 4.4),
    ],
)
def test_quantities_are_converted(value, name, expected):
    assert without_unit(value, name) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (5800 * units.km, "teff"),
        (5800 * units.dimensionless_unscaled, "teff"),
        (20 * units.AA, "rv_1"),
        (4.4 * units.cm / units.s**2, "logg"),
        (0.3 * units.dex, "c_2"),
        (-0.5 * units.dex(units.cm / units.s**2), "feh"),
    ],
)
def test_quantities_of_another_kind_are_refused(value, name):
    with pytest.raises(InvalidInput) as error:
        without_unit(value, name)
    assert error.value.name == name
