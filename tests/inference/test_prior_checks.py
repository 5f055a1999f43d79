"""Priors, fixed values and ties that a job cannot use: refused before a search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.prior_checks import check_priors
from mixjobs.inference.priors import Normal, Uniform

NAMES = ("teff_1", "teff_2", "rv", "vsini", "c", "ln_noise", "log_amplitude", "log_length")
DEFAULTS = {
    "teff_1": Uniform(3000, 6000), "teff_2": Uniform(3000, 6000), "rv": Uniform(-100, 100),
    "vsini": Uniform(0, 100), "c": Uniform(0, 1), "ln_noise": Normal(0, 1),
    "log_amplitude": Uniform(-4, -0.5), "log_length": Uniform(0.5, 2),
}  # fmt: skip
RANGES = {
    "teff_1": (3000, 6000), "teff_2": (3000, 6000), "rv": (-100, 100), "vsini": (0, 100),
    "c": (0, 1),
}  # fmt: skip

REFUSED = [
    ("rv", {"uniform": [-1e6, 1e6]}),
    ("rv", {"normal": [0, 1e5]}),
    ("rv", {"normal": [0, 20], "high": 3e5}),
    ("rv", 3e5),
    ("vsini", -3.0),
    ("vsini", {"loguniform": [1e-300, 1e300]}),
    ("vsini", {"loguniform": [1e-13, 100]}),
    ("teff_1", {"normal": [5000, 1e-300]}),
    ("teff_1", {"uniform": [5000, 5000 + 1e-10]}),
    ("teff_2", {"uniform": [-1e300, 1e300]}),
    ("teff_2", {"uniform": [0, 1e9]}),
    ("teff_2", "1e300 * teff_1"),
    ("teff_2", "teff_1 - 4000"),
    ("c", {"uniform": [0, 1e300]}),
    ("c", 2.0),
    ("ln_noise", {"normal": [0, 1e300]}),
    ("log_amplitude", {"uniform": [-4, 400]}),
    ("log_length", 400.0),
]


def check(settings, names=NAMES, **options):
    return check_priors(make_parameters(names, DEFAULTS, settings, **options), RANGES)


@pytest.mark.parametrize(("name", "setting"), REFUSED)
def test_refused(name, setting):
    with pytest.raises(InvalidInput) as error:
        check({name: setting})
    assert error.value.name == name
    assert error.value.value is not None
    assert "\n" not in str(error.value)


def test_the_defaults_and_usual_settings_are_accepted():
    assert check({}) == []
    assert check({"teff_2": "teff_1 - 600", "vsini": {"loguniform": [0.1, 50]}, "c": 0.0}) == []
    assert check({"rv": {"normal": [10, 20], "low": -50, "high": 80}, "log_length": 1.2}) == []


def test_a_prior_beyond_the_model_is_reported():
    (warning,) = check({"teff_1": {"uniform": [2000, 5000]}})
    assert warning.startswith("teff_1: its prior extends beyond")


def test_fractions_of_more_components():
    names = ("teff_1", "teff_2", "c_2", "c_3")
    with pytest.raises(InvalidInput) as error:
        check({"c_2": 0.1, "c_3": {"uniform": [2, 3]}}, names)
    assert error.value.name == "c_3"


@given(low=st.floats(-1e5, 1e5), width=st.floats(1e-6, 1e6))
def test_a_prior_is_refused_where_the_model_covers_nearly_none_of_it(low, width):
    high = low + width
    covered = max(0.0, min(high, 6000) - max(low, 3000)) / width
    if abs(covered - 1e-3) < 1e-4:
        return
    settings = {"teff_1": {"uniform": [low, high]}}
    if covered < 1e-3:
        with pytest.raises(InvalidInput):
            check(settings)
    else:
        assert bool(check(settings)) == (low < 3000 or high > 6000)


def test_a_setting_of_all_epochs_that_none_of_them_uses():
    of_epochs = {f"rv_e{e}": {"normal": [0.0, 10.0]} for e in (1, 2)}
    options = {"per_epoch": ["rv"], "n_epochs": 2}
    with pytest.raises(InvalidInput) as error:
        make_parameters(NAMES, DEFAULTS, of_epochs | {"rv": 5.0}, **options)
    assert (error.value.name, error.value.value) == ("rv", 5.0)
    del of_epochs["rv_e2"]
    parameters = make_parameters(NAMES, DEFAULTS, of_epochs | {"rv": 5.0}, **options)
    assert parameters.rules["rv_e2"] == 5.0
    assert np.isfinite(parameters.bounds[parameters.names.index("teff_1")]).all()
