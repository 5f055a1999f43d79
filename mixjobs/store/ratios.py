"""Flux ratios of two components: loaded, and evaluated, from a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixjobs.grid import Theta
from mixjobs.interpolation import Holes, Method, Outside
from mixjobs.model.flux_ratio import FluxRatio, flux_ratio
from mixjobs.orders import Orders
from mixjobs.store.component_values import one_theta
from mixjobs.store.filling import filled_notes, store_filling
from mixjobs.store.format import Store, open_store
from mixjobs.typing import Floats


def load_flux_ratio(
    path: str | Path,
    method: Method = "cubic",
    orders: Sequence[int] | None = None,
    outside: Outside = "raise",
    holes: Holes | None = None,
) -> FluxRatio:
    """Load the flux ratio q(theta1, theta2) from a store.

    Parameters
    ----------
    path : str or Path
        A finished store.
    method : {"cubic", "linear", "simplex", "pairwise", "blackbody"}
        The interpolation between grid points; see `mixjobs.model.flux_ratio`.
    orders : sequence of int, optional
        Numbers of the orders to load, in this sequence; all if not given.
    outside : {"raise", "nan"}
        Whether a theta outside the grid or next to a hole raises an error or gives NaN.
    holes : {"refuse", "interpolate"}, optional
        Whether to fill holes of the grid from their neighbours; by default as the store was built.

    Returns
    -------
    FluxRatio
        ``q(theta1, theta2)`` returns an array (..., M).

    Raises
    ------
    MissingFile, StoreError
        There is no complete store.
    InvalidInput
        An unknown order, or a method or `holes` that cannot be used on this grid.
    """
    store = open_store(path)
    chosen = store.orders if orders is None else store.orders.select(orders)
    numbers = store.orders.number.tolist()
    rows = [numbers.index(number) for number in chosen.number.tolist()]
    filling = store_filling(store, holes)
    return flux_ratio(store.grid, chosen, store.mean_flux[rows], method, outside, filling)


@dataclass(frozen=True, eq=False)
class FluxRatios:
    """The flux ratio of component 2 to component 1 in M orders.

    Attributes
    ----------
    method : str
        Interpolation between grid points.
    theta1, theta2 : (D,) arrays
    orders : Orders
    q : (M,) array
        The interpolated ratio.
    direct : (M,) array or None
        The ratio of the stored mean fluxes, if both components are grid points.
    notes : tuple of str
        The filled points that a component uses.
    """

    method: Method
    theta1: Floats
    theta2: Floats
    orders: Orders
    q: Floats
    direct: Floats | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "method": self.method,
            "theta1": self.theta1.tolist(),
            "theta2": self.theta2.tolist(),
            "orders": self.orders.number.tolist(),
            "q": self.q.tolist(),
            "direct": None if self.direct is None else self.direct.tolist(),
            "notes": list(self.notes),
        }


def evaluate_ratios(
    store: str | Path | Store,
    theta1: Theta,
    theta2: Theta,
    method: Method = "cubic",
    holes: Holes | None = None,
) -> FluxRatios:
    """Evaluate the flux ratio of two components in every order of a store.

    Parameters
    ----------
    store : str, Path or Store
        A finished store.
    theta1, theta2 : (D,) array or mapping
        Grid parameters of the components.
    method : {"cubic", "linear", "simplex", "pairwise", "blackbody"}
        Interpolation between grid points.
    holes : {"refuse", "interpolate"}, optional
        Whether to fill holes of the grid from their neighbours; by default as the store was built.

    Raises
    ------
    MissingFile, StoreError
        The store cannot be read.
    InvalidInput
        Unknown or missing parameters, or a method or `holes` that cannot be used on the grid.
    OutsideGrid
        A theta outside the grid or next to a hole.
    """
    store = store if isinstance(store, Store) else open_store(store)
    first, second = (
        one_theta(store.grid, theta, name)
        for name, theta in (("theta1", theta1), ("theta2", theta2))
    )
    filling = store_filling(store, holes)
    arrays = store.grid, store.orders, store.mean_flux
    q = flux_ratio(*arrays, method, filling=filling)(first, second)
    direct = _direct_ratio(store, first, second)
    notes = filled_notes(filling, first, "theta1") + filled_notes(filling, second, "theta2")
    return FluxRatios(method, first, second, store.orders, q, direct, notes)


def _direct_ratio(store: Store, theta1: Floats, theta2: Floats) -> Floats | None:
    rows = store.grid.row(theta1), store.grid.row(theta2)
    if rows[0] is None or rows[1] is None:
        return None
    direct: Floats = store.mean_flux[:, rows[1]] / store.mean_flux[:, rows[0]]
    return direct
