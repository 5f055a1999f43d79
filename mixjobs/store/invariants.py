"""The invariants of a ratio table, measured on the arrays in a store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.interpolation import default_method
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.store.format import Store
from mixjobs.store.zarr_settings import default_settings
from mixjobs.typing import Floats, Ints

_N_ROWS = 48  # of each order's table, spread over the grid


@dataclass(frozen=True)
class Invariant:
    """An invariant of the ratio table, and the deviation from it.

    Attributes
    ----------
    name : str
    deviation : float
        Largest relative deviation.
    allowed : float
        Largest deviation that rounding explains.
    """

    name: str
    deviation: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether rounding explains the deviation."""
        return self.deviation <= self.allowed


@default_settings()
def check_invariants(store: Store) -> list[Invariant]:
    """Check the invariants of the ratio table, and of its interpolation at grid points.

    The rows of at most 48 points are checked, spread over the grid, in all their columns.

    Parameters
    ----------
    store : Store

    Returns
    -------
    list of Invariant
    """
    rows = np.unique(np.linspace(0, len(store.grid) - 1, _N_ROWS).round().astype(int))
    nodes = _exact_at_nodes(store, rows)
    if store.flux_ratio is None:
        return [nodes]
    with np.errstate(divide="ignore", invalid="ignore"):  # a damaged table may hold zeros
        deviations = [
            _table_deviations(store.flux_ratio.oindex[m, rows, :].astype(np.float64), mean, rows)
            for m, mean in enumerate(store.mean_flux)
        ]
    allowed = 1e-6 if store.flux_ratio.dtype == np.float32 else 1e-14
    table = [
        Invariant(name, _largest([d[name] for d in deviations]), allowed) for name in deviations[0]
    ]
    return [*table, nodes]


def _table_deviations(table: Floats, mean: Floats, rows: Ints) -> dict[str, float]:
    """Return the largest deviation of each invariant in some rows (R, N) of one order's table."""
    square = table[:, rows]  # (R, R)
    chain = square[:, :, None] * square[None, :, :] / square[:, None, :] - 1
    return {
        "q_ii = 1": _largest(np.diagonal(square) - 1),
        "q_ij q_ji = 1": _largest(square * square.T - 1),
        "q_ij q_jk = q_ik": _largest(chain),
        "q_ij = mean_j / mean_i": _largest(table * mean[rows, None] / mean - 1),
    }


def _exact_at_nodes(store: Store, rows: Ints) -> Invariant:
    method = default_method(store.grid)
    ratio = flux_ratio(store.grid, store.orders, store.mean_flux, method)
    points, means = store.grid.points, store.mean_flux.T
    differences = [_largest(ratio(points[i], points) * means[i] / means - 1) for i in rows]
    return Invariant(f"{method} exact at grid points", _largest(differences), 1e-12)


def _largest(values: ArrayLike) -> float:
    return float(np.max(np.abs(values)))  # NaN if any value is NaN
