"""Absurd numbers in job files: each is refused before anything is read, whatever the key."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.config.build import BuildConfig, make_build_job
from mixjobs.config.sample import SampleConfig, make_sample_job
from mixjobs.config.toml import model_of
from mixjobs.errors import InvalidInput

BUILD = {"library": "a.hdf5", "output": "q.zarr", "orders": {"n": 3}}
SAMPLE = {"output": "run", "store": "q.zarr", "spectra": [{"file": "star.hdf5"}]}
# Compared with the library or the data, where nothing absurd is left.
COMPARED_LATER = {
    "orders.range", "orders.edges", "select", "spectra.exclude", "parameters.settings",
}  # fmt: skip


def numbers_of(model, prefix=""):
    """Yield the dotted key of every field that can hold a number."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = model_of(field.annotation)
        if key in COMPARED_LATER:
            continue
        if inner is not None:
            yield from numbers_of(inner, f"{key}.")
        elif {int, float} & set(plain_types(field.annotation)):
            yield key


def plain_types(annotation):
    parts = get_args(annotation)
    return [kind for part in parts for kind in plain_types(part)] if parts else [annotation]


def nested(key, value):
    """Return the data of a job with one key set."""
    *tables, last = key.split(".")
    data = {last: value}
    for table in reversed(tables):
        data = {table: [{"file": "star.hdf5", **data}] if table == "spectra" else data}
    return data


KEYS = [(make_build_job, BUILD, key) for key in numbers_of(BuildConfig)]
KEYS += [(make_sample_job, SAMPLE, key) for key in numbers_of(SampleConfig)]
ABSURD = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, True, "1", 10**30, 10**4299, 1e300, 1e-300]),
    st.floats(max_value=-1e9),
    st.floats(min_value=1e15),
    st.integers(max_value=-(10**10)),
    st.integers(min_value=2**63),
)


def test_the_keys_with_numbers():
    """A few that must be among them, so that the test below tests something."""
    keys = {key for _, _, key in KEYS}
    assert {"seed", "spectra.resolution", "model.components", "sampling.walkers"} <= keys
    assert {"orders.n", "emulator.step", "block", "workers", "cluster.workers"} <= keys
    assert len(KEYS) > 30


@pytest.mark.parametrize(("make", "least", "key"), KEYS)
@given(value=ABSURD)
def test_absurd_numbers(make, least, key, value):
    wrapped = [value, [value], [value, value], {"21": value}]
    may_be_small = {"barycentric_velocity", "max_rv", "max_vsini", "limb_darkening"}
    tiny = value == 1e-300 and key.split(".")[-1] in may_be_small
    for given_value in wrapped[1:] if tiny else wrapped:
        if key == "model.components" and value == "1":  # a path
            continue
        with pytest.raises(InvalidInput) as error:
            make(least | nested(key, given_value), "here")
        assert error.value.name.startswith(key.split(".")[0])
        assert "\n" not in str(error.value)
