"""Small stores, written by the package's own functions."""

import numpy as np

from mixjobs.grid import Grid
from mixjobs.model.flux_ratio import flux_ratio_rows
from mixjobs.orders import Orders
from mixjobs.store.format import (
    create_group,
    finish,
    open_array,
    open_store,
    partial_path,
    write_attributes,
    write_whole,
)

GRID = Grid([[t, g] for t in (5000.0, 5100.0, 5300.0) for g in (4.0, 4.5)], ("teff", "[é/H]"))
ORDERS = Orders([21, 20], [5000.0, 5400.25], [5500.0, 6000.0])
N_PIXELS = np.array([500, 600])
MEANS = np.random.default_rng(4).lognormal(size=(2, 6)) * 1e6


def create(path, dtype="float64", attributes=None):
    create_group(path, GRID, ORDERS, N_PIXELS, attributes or {}, dtype)


def fill(path, dtype="float64"):
    create(path, dtype)
    write_whole(open_array(path, "mean_flux"), (0, 0), MEANS)
    if dtype:
        table = open_array(path, "flux_ratio")
        for m in range(2):
            rows = flux_ratio_rows(MEANS[m], 0, 6).astype(dtype)
            write_whole(table, (m, 0, 0), rows[None])
    write_attributes(path, {"flux_unit": "erg/s/cm2/AA"})
    finish(path)
    return path


def assert_same(path, reference):
    """Assert that a finished store has the bits of another, and that no partial store is left."""
    store = open_store(path)
    assert store.mean_flux.tobytes() == reference.mean_flux.tobytes()
    assert store.flux_ratio[...].tobytes() == reference.flux_ratio[...].tobytes()
    assert not partial_path(path).exists()
