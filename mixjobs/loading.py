"""Where a store and a model meet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mixjobs.interpolation import Method, Outside
from mixjobs.model.flux_ratio import FluxRatio, flux_ratio
from mixjobs.tables.store import open_store


def load_flux_ratio(
    path: str | Path,
    method: Method = "cubic",
    orders: Sequence[int] | None = None,
    outside: Outside = "raise",
) -> FluxRatio:
    """Load the flux ratio q(theta1, theta2) from a store.

    Parameters
    ----------
    path : str or Path
        A finished store.
    method : {"cubic", "linear", "simplex", "pairwise", "blackbody"}
        How to go between the grid points; see `mixjobs.model.flux_ratio`.
    orders : sequence of int, optional
        Numbers of the orders to load, in the order wanted; all if not given.
    outside : {"raise", "nan"}
        What a theta outside the grid or beside a hole gives.

    Returns
    -------
    FluxRatio
        ``q(theta1, theta2)`` gives (..., M).

    Raises
    ------
    MissingFile, StoreError
        There is no whole store at the path.
    InvalidInput
        An unknown order, or a method that this grid cannot have.
    """
    store = open_store(path)
    chosen = store.orders if orders is None else store.orders.select(orders)
    rows = [int(np.flatnonzero(store.orders.number == number)[0]) for number in chosen.number]
    return flux_ratio(store.grid, chosen, store.mean_flux[rows], method, outside)
