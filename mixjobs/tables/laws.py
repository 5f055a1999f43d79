"""The laws that a stored table must keep, measured on the stored arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixjobs.model.flux_ratio import Method, flux_ratio
from mixjobs.tables.store import Store

Floats = NDArray[np.float64]

_ROWS = 48  # rows of each order's table that are looked at, spread over the grid


@dataclass(frozen=True)
class Law:
    """One law: the largest relative deviation found, and how much rounding allows."""

    name: str
    deviation: float
    allowed: float

    @property
    def kept(self) -> bool:
        """Whether it is kept."""
        return self.deviation <= self.allowed


def check_laws(store: Store) -> list[Law]:
    """Check the laws of the ratio table and of the interpolation at grid points.

    Rows of the table are taken from at most 48 points spread over the grid; of these rows, all
    columns.
    """
    rows = np.unique(np.linspace(0, len(store.grid) - 1, _ROWS).round().astype(int))
    deviations: dict[str, float] = {}
    if store.flux_ratio is not None:
        for m, mean in enumerate(store.mean_flux):
            table = store.flux_ratio.oindex[m, rows, :].astype(np.float64)
            for name, value in _table_deviations(table, mean, rows).items():
                deviations[name] = max(value, deviations.get(name, 0.0))
    single = store.flux_ratio is not None and store.flux_ratio.dtype == np.float32
    laws = [Law(name, value, 1e-6 if single else 1e-14) for name, value in deviations.items()]
    return [*laws, _exact_at_nodes(store, rows)]


def _table_deviations(table: Floats, mean: Floats, rows: NDArray[np.int64]) -> dict[str, float]:
    among = table[:, rows]  # (R, R): between the looked-at points
    chain = among[:, :, None] * among[None, :, :] / among[:, None, :] - 1
    return {
        "q_ii = 1": _largest(np.diagonal(among) - 1),
        "q_ij q_ji = 1": _largest(among * among.T - 1),
        "q_ij q_jk = q_ik": _largest(chain),
        "q_ij = mean_j / mean_i": _largest(table * mean[rows, None] / mean - 1),
    }


def _exact_at_nodes(store: Store, rows: NDArray[np.int64]) -> Law:
    method: Method = "cubic" if store.grid.is_product else "simplex"
    ratio = flux_ratio(store.grid, store.orders, store.mean_flux, method)
    points = store.grid.points
    interpolated = ratio(points[rows][:, None], points)
    direct = store.mean_flux.T[None] / store.mean_flux.T[rows][:, None]
    return Law(f"{method} exact at grid points", _largest(interpolated / direct - 1), 1e-12)


def _largest(values: Floats) -> float:
    return float(np.max(np.abs(values)))
