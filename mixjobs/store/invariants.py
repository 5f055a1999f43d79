"""The laws that a stored table must keep, measured on the stored arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixjobs.interpolation import default_method
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.store.format import Store
from mixjobs.typing import Floats

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
    nodes = _exact_at_nodes(store, rows)
    if store.flux_ratio is None:
        return [nodes]
    with np.errstate(divide="ignore", invalid="ignore"):  # a damaged table may hold zeros
        deviations = [
            _table_deviations(store.flux_ratio.oindex[m, rows, :].astype(np.float64), mean, rows)
            for m, mean in enumerate(store.mean_flux)
        ]
    allowed = 1e-6 if store.flux_ratio.dtype == np.float32 else 1e-14
    laws = [Law(name, _largest([d[name] for d in deviations]), allowed) for name in deviations[0]]
    return [*laws, nodes]


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
    method = default_method(store.grid)
    ratio = flux_ratio(store.grid, store.orders, store.mean_flux, method)
    points, means = store.grid.points, store.mean_flux.T
    differences = [_largest(ratio(points[i], points) * means[i] / means - 1) for i in rows]
    return Law(f"{method} exact at grid points", _largest(differences), 1e-12)


def _largest(values: ArrayLike) -> float:
    return float(np.max(np.abs(values)))  # NaN where there is one
