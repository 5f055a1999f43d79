"""Mixtures on workers: bit-identical to one process for the same shape of the batch."""

import os
import pickle
import signal

import numpy as np
import pytest

import mixjobs
from mixjobs.errors import InvalidInput, OutsideGrid, StoreError
from mixjobs.inference import distributed as workers
from mixjobs.inference.distributed import distribute_mixture

NUMBERS = [4, 9, 2, 7]
LOW = np.array([5600, 5600, 4.0, -0.5, 0.0, -20.0, 0.0])
HIGH = np.array([6000, 6000, 4.5, 0.0, 15.0, 20.0, 1.0])


@pytest.fixture(scope="module")
def store(demo, tmp_path_factory):
    orders = mixjobs.Orders(NUMBERS, [5003, 5008, 5013, 5018], [5009, 5014, 5019, 5024])
    settings = mixjobs.EmulatorSettings(max_rv=30, max_vsini=20, min_resolution=20_000)
    path = tmp_path_factory.mktemp("store") / "q.zarr"
    return mixjobs.build(demo, orders, path, emulator=settings).path


def draw(n):
    return LOW + (HIGH - LOW) * np.random.default_rng(n).random((n, 7))


@pytest.mark.parametrize("n", [1, 19])
def test_bit_identical_to_one_process(store, client, n):
    starts = dict(zip(NUMBERS, (5004, 5009, 5014, 5019), strict=True))
    waves = {m: np.linspace(low, low + 4, 50) for m, low in starts.items()}
    options = {
        "wavelengths": waves, "resolution": [2e4, 3e4, 4e4, 5e4], "shared": ("logg", "rv", "feh"),
        "fixed": {"vsini_2": 3.0}, "outside": "nan",
    }  # fmt: skip
    values = draw(n)
    values[-1, 0] = 9000  # outside the grid
    local = mixjobs.load_mixture(store, **options)
    remote = distribute_mixture(client, store, **options)(values)
    in_process = distribute_mixture(None, store, **options)(values)
    for arrays in zip(local(values), remote, in_process, strict=True):
        assert len({array.tobytes() for array in arrays}) == 1
    assert np.isnan(remote[0][-1]).all()
    assert np.isfinite(remote[0][:-1]).all()


def test_wavelengths_as_a_list_of_unequal_arrays(store, client):
    waves = [np.linspace(low, low + 4, n) for low, n in ((5009, 30), (5004, 50))]
    options = {"orders": [9, 4], "wavelengths": waves, "fwhm": 9.0}
    local = mixjobs.load_mixture(store, **options)(draw(4))
    remote = distribute_mixture(client, store, **options)(draw(4))
    assert type(remote) is type(local)
    assert [a.tobytes() for a in local] == [b.tobytes() for b in remote]


def test_a_velocity_beyond_the_buffer_of_some_orders(client, demo, tmp_path):
    """NaN in these orders, in this process and on workers."""
    orders = mixjobs.Orders([1, 2], [5001, 5010], [5008, 5020])
    settings = mixjobs.EmulatorSettings(
        max_rv=150, max_vsini=0, min_resolution=50_000, short_buffer="shrink"
    )
    path = mixjobs.build(demo, orders, tmp_path / "q.zarr", emulator=settings).path
    values = draw(3)
    values[:, 4:6] = 0, 100
    local = mixjobs.load_mixture(path, outside="nan")(values)
    assert [np.isnan(spectra).all() for spectra in local] == [True, False]
    remote = distribute_mixture(client, path, outside="nan")(values)
    assert [a.tobytes() for a in local] == [b.tobytes() for b in remote]
    with pytest.raises(OutsideGrid, match=r"the emulator.s buffer"):
        mixjobs.load_mixture(path)(values)


def test_the_sequence_of_orders(store, client):
    values = draw(5)
    local = mixjobs.load_mixture(store, orders=[7, 4])(values)
    remote = distribute_mixture(client, store, orders=[7, 4])(values)
    assert [a.tobytes() for a in local] == [b.tobytes() for b in remote]


def test_only_a_mixture_without_a_client_can_be_pickled(store, client):
    with pytest.raises(InvalidInput) as error:
        pickle.dumps(distribute_mixture(client, store))
    assert error.value.name == "client"
    alone = distribute_mixture(None, store)
    again = pickle.loads(pickle.dumps(alone))
    for one, other in zip(alone(draw(2)), again(draw(2)), strict=True):
        assert one.tobytes() == other.tobytes()


def test_a_lost_worker_is_replaced(store, client):
    client.wait_for_workers(2)
    values = draw(5)
    evaluate = distribute_mixture(client, store)
    before = [spectra.tobytes() for spectra in evaluate(values)]
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    assert [spectra.tobytes() for spectra in evaluate(values)] == before


def test_discarded_models_are_loaded_again(store, client):
    """A worker keeps the models of the last few calls of `distribute`."""
    values = draw(3)
    first = distribute_mixture(client, store)
    before = [spectra.tobytes() for spectra in first(values)]
    for number in [*NUMBERS, 4]:
        distribute_mixture(client, store, orders=[number])(values)
    assert len(NUMBERS) + 1 > workers._MAX_CACHED
    assert [spectra.tobytes() for spectra in first(values)] == before


def test_errors_are_those_of_the_model(store, client, tmp_path):
    evaluate = distribute_mixture(client, store)
    outside = draw(1)
    outside[0, 0] = 9000
    with pytest.raises(OutsideGrid, match="component 1: teff = 9000 is outside the grid"):
        evaluate(outside)
    with pytest.raises(InvalidInput, match="'colour'"):
        distribute_mixture(client, store, shared=("colour",))(draw(1))
    with pytest.raises(InvalidInput, match="wavelengths") as error:
        distribute_mixture(client, store, orders=[4, 7], wavelengths={4: [5004.0]})
    assert error.value.order == 7
    with pytest.raises(InvalidInput, match="one for each of 4 orders"):
        distribute_mixture(client, store, resolution=[1e4, 2e4])
    with pytest.raises(InvalidInput, match="there is no order 3"):
        distribute_mixture(client, store, orders=[3])
    without = mixjobs.build(
        mixjobs.open_store(store).attributes["library"],
        mixjobs.Orders.from_edges([5003, 5009]), tmp_path / "q.zarr",
    )  # fmt: skip
    with pytest.raises(StoreError, match="has no emulator"):
        distribute_mixture(client, without.path)
