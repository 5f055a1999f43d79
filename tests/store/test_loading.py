"""Flux ratios loaded from a store."""

import numpy as np
import pytest

import mixjobs
from mixjobs import Orders
from mixjobs.errors import InvalidInput, OutsideGrid
from mixjobs.interpolation import METHODS
from mixjobs.model.flux_ratio import flux_ratio


@pytest.fixture(scope="module")
def store(demo, tmp_path_factory):
    orders = Orders([31, 33, 32], [5002, 5011, 5006], [5009, 5024, 5012])
    path = tmp_path_factory.mktemp("store") / "q.zarr"
    return mixjobs.build(demo, orders, path, select={"feh": (0, 0)})


THETA1 = np.array([[5650, 4.1, 0], [5950, 4.5, 0]])
THETA2 = np.array([5810, 4.4, 0])


@pytest.mark.parametrize("method", METHODS)
def test_a_loaded_ratio_equals_that_of_the_arrays(method, store):
    q = mixjobs.load_flux_ratio(store.path, method)
    of_arrays = flux_ratio(store.grid, store.orders, store.mean_flux, method)
    assert q.method == method
    assert q(THETA1, THETA2).shape == (2, 3)
    assert (q(THETA1, THETA2) == of_arrays(THETA1, THETA2)).all()


def test_cubic_is_the_default(store):
    q = mixjobs.load_flux_ratio(store.path)
    assert (q.method, q.outside) == ("cubic", "raise")


def test_orders_are_selected_by_number_in_the_sequence_given(store):
    all_orders = mixjobs.load_flux_ratio(store.path)(THETA1, THETA2)
    q = mixjobs.load_flux_ratio(str(store.path), orders=[32, 31])
    assert q.orders.number.tolist() == [32, 31]
    assert q.orders.wave_min.tolist() == [5006, 5002]
    np.testing.assert_allclose(q(THETA1, THETA2), all_orders[:, [2, 0]], rtol=1e-14)


def test_outside(store):
    with pytest.raises(OutsideGrid, match=r"^theta2: ") as error:
        mixjobs.load_flux_ratio(store.path)(THETA1, [7000, 4.2, 0])
    assert (error.value.name, error.value.value) == ("teff", 7000)
    q = mixjobs.load_flux_ratio(store.path, outside="nan")([[7000, 4.2, 0], THETA2], THETA2)
    assert np.isnan(q[0]).all()
    assert (q[1] == 1).all()


@pytest.mark.parametrize(("name", "value"), [("method", "spline"), ("outside", "zero")])
def test_options_that_are_not_valid(name, value, store):
    with pytest.raises(InvalidInput) as error:
        mixjobs.load_flux_ratio(store.path, **{name: value})
    assert (error.value.name, error.value.value) == (name, value)


def test_an_order_that_the_store_does_not_have(store):
    with pytest.raises(InvalidInput, match="40"):
        mixjobs.load_flux_ratio(store.path, orders=[31, 40])
