"""Figures of a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from mixjobs.grid import describe
from mixjobs.interpolation import Method
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.model.ratio_errors import HeldOutErrors
from mixjobs.orders import Orders
from mixjobs.store.format import Store
from mixjobs.store.invariants import Invariant
from mixjobs.typing import Floats

_PANELS = 12  # orders in one figure at most
_MOST_SHOWN = 1000  # rows and columns of a table that are drawn


@dataclass(frozen=True, eq=False)
class Curves:
    """q of every order against one parameter of component 2, the others those of theta_1.

    Attributes
    ----------
    parameter : str
        Teff, or the first that is not fixed.
    theta1 : str
        Component 1, written for a reader.
    x, q : (n,) and (n, M) arrays
        The interpolated curve; NaN where it has no answer.
    nodes, q_nodes : (k,) and (k, M) arrays
        The grid points on it.
    black : (n, M) array or None
        The black-body stand-in, where the parameter is Teff.
    """

    method: Method
    parameter: str
    theta1: str
    x: Floats
    q: Floats
    nodes: Floats
    q_nodes: Floats
    black: Floats | None


def draw_all(store: Store, theta1: Floats, method: Method) -> dict[str, Figure]:
    """Return every figure of a store, by name.

    Raises
    ------
    OutsideGrid
        theta1 (D,) is not valid by the method.
    """
    curves = compute_curves(store, theta1, method)
    figures = {}
    for first in range(0, len(store.orders), _PANELS):
        rows = range(first, min(first + _PANELS, len(store.orders)))
        numbers = store.orders.number[[rows[0], rows[-1]]]
        figures["flux_ratio_orders_{}_to_{}".format(*numbers)] = draw_curves(store, curves, rows)
    middle = len(store.orders) // 2
    figures[f"ratio_table_order_{store.orders.number[middle]}"] = draw_table(store, middle)
    return figures


def compute_curves(store: Store, theta1: Floats, method: Method) -> Curves:
    """Evaluate q along one parameter of component 2."""
    grid, arrays = store.grid, (store.grid, store.orders, store.mean_flux)
    flux_ratio(*arrays, method)(theta1, theta1)  # refused by name where it has no answer
    ratio = flux_ratio(*arrays, method, outside="nan")
    d = grid.names.index("teff") if "teff" in grid.names else grid.free[0]
    theta2 = np.repeat(theta1[None], 200, axis=0)
    theta2[:, d] = np.linspace(grid.axes[d][0], grid.axes[d][-1], 200)
    same = (np.delete(grid.points, d, 1) == np.delete(theta1, d)).all(axis=1)
    nodes = grid.points[same]
    black = None
    if grid.names[d] == "teff":
        black = flux_ratio(*arrays, "blackbody")(theta1, theta2)
    return Curves(
        method, grid.names[d], describe(theta1, grid.names),
        theta2[:, d], ratio(theta1, theta2), nodes[:, d], ratio(theta1, nodes), black,
    )  # fmt: skip


def draw_curves(store: Store, curves: Curves, rows: range) -> Figure:
    """Draw q against a parameter of component 2, a panel an order (a row of the store)."""
    n_columns = min(4, len(rows))
    n_rows = -(-len(rows) // n_columns)
    figure = Figure(figsize=(3.2 * n_columns, 2.6 * n_rows + 0.8), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True).ravel()
    for m, panel in zip(rows, panels, strict=False):
        _draw_panel(panel, curves, m)
        low, high = store.orders.wave_min[m], store.orders.wave_max[m]
        panel.set_title(f"order {store.orders.number[m]}: {low:.0f} to {high:.0f} Å", fontsize=9)
    for panel in panels[len(rows) :]:
        panel.remove()
    panels[0].legend(fontsize=8)
    unit = " (K)" if curves.parameter == "teff" else ""
    figure.supxlabel(f"{curves.parameter} of component 2{unit}")
    figure.supylabel("flux ratio q")
    figure.suptitle(f"component 1: {curves.theta1}", fontsize=10)
    return figure


def _draw_panel(panel: Axes, curves: Curves, m: int) -> None:
    panel.plot(curves.x, curves.q[:, m], label=curves.method)
    panel.plot(curves.nodes, curves.q_nodes[:, m], "o", ms=4, label="grid points")
    if curves.black is not None:
        panel.plot(curves.x, curves.black[:, m], "--", lw=1, label="black body")


def draw_table(store: Store, row: int) -> Figure:
    """Draw one order's ratio table as an image: log10 q(theta_i, theta_j), in grid order."""
    n = len(store.grid)
    shown = np.unique(np.linspace(0, n - 1, _MOST_SHOWN).astype(int))
    log_mean = np.log10(store.mean_flux[row, shown])
    image = log_mean[None, :] - log_mean[:, None]
    if store.flux_ratio is not None:
        image = np.log10(store.flux_ratio.oindex[row, shown, shown])
    largest = np.abs(image).max()
    figure = Figure(figsize=(6, 5), layout="constrained")
    panel = figure.subplots()
    extent = (-0.5, n - 0.5, n - 0.5, -0.5)
    drawn = panel.imshow(image, cmap="RdBu_r", vmin=-largest, vmax=largest, extent=extent)
    figure.colorbar(drawn, label="log10 q")
    panel.set_xlabel("grid point of component 2")
    panel.set_ylabel("grid point of component 1")
    panel.set_title(f"order {store.orders.number[row]}")
    return figure


def ratio_table(orders: Orders, q: Floats, direct: Floats | None) -> Table:
    """q of each order, beside the direct ratio where both components are grid points."""
    table = Table("order", "wave_min (Å)", "wave_max (Å)", "q")
    columns = [orders.number, orders.wave_min, orders.wave_max, q]
    if direct is not None:
        table.add_column("direct")
        columns.append(direct)
    for number, low, high, *ratios in zip(*columns, strict=True):
        table.add_row(str(number), f"{low:.2f}", f"{high:.2f}", *(f"{r:.6f}" for r in ratios))
    return table


def laws_table(laws: Sequence[Invariant]) -> Table:
    """One row a law: its largest deviation, what is allowed, and whether it is kept."""
    table = Table("invariant", "largest deviation", "allowed", "holds")
    for law in laws:
        row = f"{law.deviation:.1e}", f"{law.allowed:.0e}", "yes" if law.holds else "NO"
        table.add_row(law.name, *row)
    return table


def held_out_table(results: Sequence[HeldOutErrors]) -> Table:
    """One row an axis and method: median and 95th percentile over orders and points."""
    table = Table("axis dropped", "method", "median", "95 %", "points", "not valid")
    for result in results:
        error = result.error
        table.add_row(
            result.axis,
            result.method,
            f"{np.nanmedian(error):.2e}",
            f"{np.nanpercentile(error, 95):.2e}",
            str(error.shape[1]),
            str(int(np.isnan(error).any(axis=0).sum())),
        )
    return table


def held_out_by_order(results: Sequence[HeldOutErrors], orders: Orders) -> list[Table]:
    """One table an axis; a row an order: median / 95th percentile of each method, in per cent."""
    tables = []
    for axis in dict.fromkeys(r.axis for r in results):
        along = [r for r in results if r.axis == axis]
        table = Table("order", *(r.method for r in along), title=f"{axis} dropped", min_width=60)
        columns = [
            [f"{100 * m:.2g}/{100 * p:.2g}" for m, p in zip(r.median, r.percentile95, strict=True)]
            for r in along
        ]
        for number, *cells in zip(orders.number, *columns, strict=True):
            table.add_row(str(number), *cells)
        tables.append(table)
    return tables
