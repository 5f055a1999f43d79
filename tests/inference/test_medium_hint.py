"""The hint that air was taken for vacuum, or the reverse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.inference.medium_hint import MediumShift, medium_velocity
from mixjobs.wavelengths import SPEED_OF_LIGHT, air_to_vacuum
from tests.helpers.finished_runs import finished


@given(st.floats(2500, 25_000))
def test_the_velocity_is_that_of_the_conversion(wavelength):
    velocity = medium_velocity(wavelength)
    assert 75 < velocity < 95
    shifted = float(air_to_vacuum(wavelength)) / wavelength - 1
    assert velocity == pytest.approx(SPEED_OF_LIGHT * shifted, rel=1e-3)


@given(st.floats(-200, 200), st.sampled_from([0.0, -25.0, 40.0]))
def test_hints(rv, expected):
    shift = MediumShift(5500.0, 83.3, {"rv": (0.0, expected), "rv_2_e1": (0.0,)})
    near = any(abs(abs(rv - x) - 83.3) < 5 for x in (0.0, expected))
    hints = shift.hints({"rv": rv, "c": 83.3})
    assert len(hints) == near
    assert all("rv = " in hint for hint in hints)
    assert MediumShift.from_dict(shift.to_dict()) == shift


def test_the_direction_names_the_medium_of_the_data():
    shift = MediumShift(5500.0, 83.3, {"rv": (0.0,)})
    assert "wavelengths in air may" in shift.hints({"rv": -83.0})[0]
    assert "wavelengths in vacuum may" in shift.hints({"rv": 83.0})[0]


def test_a_fit_expects_no_velocity_the_earths_or_that_of_the_prior():
    logp = finished().log_probability
    shift = MediumShift.of(logp.parameters, logp.plan)
    assert shift.wavelength == pytest.approx(5009, abs=5)
    assert shift.velocity == pytest.approx(medium_velocity(shift.wavelength))
    assert shift.expected == {"rv": (0.0,)}  # the default prior is centred there
