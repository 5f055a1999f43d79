"""Where a store and a model meet."""

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
def test_it_is_the_model_of_the_store_s_arrays(method, store):
    q = mixjobs.load_flux_ratio(store.path, method)
    of_arrays = flux_ratio(store.grid, store.orders, store.mean_flux, method)
    assert q.method == method
    assert q(THETA1, THETA2).shape == (2, 3)
    assert (q(THETA1, THETA2) == of_arrays(THETA1, THETA2)).all()


def test_cubic_is_the_default(store):
    q = mixjobs.load_flux_ratio(store.path)
    assert (q.method, q.outside) == ("cubic", "raise")


def test_orders_are_chosen_by_number_in_the_order_wanted(store):
    whole = mixjobs.load_flux_ratio(store.path)(THETA1, THETA2)
    q = mixjobs.load_flux_ratio(str(store.path), orders=[32, 31])
    assert q.orders.number.tolist() == [32, 31]
    assert q.orders.wave_min.tolist() == [5006, 5002]
    np.testing.assert_allclose(q(THETA1, THETA2), whole[:, [2, 0]], rtol=1e-14)


def test_outside(store):
    with pytest.raises(OutsideGrid, match="theta2: teff = 7000 is outside the grid, 5600 to 6000"):
        mixjobs.load_flux_ratio(store.path)(THETA1, [7000, 4.2, 0])
    q = mixjobs.load_flux_ratio(store.path, outside="nan")([[7000, 4.2, 0], THETA2], THETA2)
    assert np.isnan(q[0]).all()
    assert (q[1] == 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "spline"}, "method 'spline' is unknown; choose from cubic, linear"),
        ({"outside": "zero"}, "outside 'zero' is unknown; choose 'raise' or 'nan'"),
        ({"orders": [31, 40]}, "40"),
    ],
)
def test_options_that_cannot_be_used(options, message, store):
    with pytest.raises((InvalidInput, mixjobs.MixjobsError), match=message):
        mixjobs.load_flux_ratio(store.path, **options)
