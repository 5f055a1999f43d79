"""Figures of a store, written as PNG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mixjobs.grid import describe
from mixjobs.model.flux_ratio import Method, flux_ratio
from mixjobs.tables.store import Store

Floats = NDArray[np.float64]

_PANELS = 12  # orders in one figure at most


def draw_all(store: Store, theta1: Floats, method: Method, folder: Path) -> list[Path]:
    """Draw every figure of a store into a folder, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for first in range(0, len(store.orders), _PANELS):
        rows = np.arange(first, min(first + _PANELS, len(store.orders)))
        numbers = store.orders.number[rows]
        path = folder / f"flux_ratio_orders_{numbers[0]}_to_{numbers[-1]}.png"
        draw_flux_ratio(store, theta1, method, rows).savefig(path, dpi=120)
        paths.append(path)
    middle = len(store.orders) // 2
    path = folder / f"ratio_table_order_{store.orders.number[middle]}.png"
    draw_table(store, middle).savefig(path, dpi=120)
    return [*paths, path]


def draw_flux_ratio(
    store: Store, theta1: Floats, method: Method, rows: NDArray[np.int64]
) -> Figure:
    """q_m against the first parameter of component 2, the other parameters those of theta_1.

    A panel an order; the interpolated q, the grid points where all other parameters agree with
    theta_1, and the black-body stand-in.
    """
    grid, orders = store.grid, store.orders.take(rows)
    means = store.mean_flux[rows]
    d = grid.names.index("teff") if "teff" in grid.names else grid.free[0]
    theta2 = np.repeat(theta1[None], 200, axis=0)
    theta2[:, d] = np.linspace(grid.axes[d][0], grid.axes[d][-1], 200)
    curve = flux_ratio(grid, orders, means, method, outside="nan")(theta1, theta2)
    same = (np.delete(grid.points, d, 1) == np.delete(theta1, d)).all(axis=1)
    nodes = grid.points[same]
    at_nodes = flux_ratio(grid, orders, means, method, outside="nan")(theta1, nodes)
    n_columns = min(4, len(rows))
    n_rows = -(-len(rows) // n_columns)
    figure = Figure(figsize=(3.2 * n_columns, 2.6 * n_rows + 0.8), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True).ravel()
    for k, panel in enumerate(panels[: len(rows)]):
        panel.plot(theta2[:, d], curve[:, k], label=method)
        panel.plot(nodes[:, d], at_nodes[:, k], "o", ms=4, label="grid points")
        if grid.names[d] == "teff":
            black = flux_ratio(grid, orders, means, "blackbody")(theta1, theta2)
            panel.plot(theta2[:, d], black[:, k], "--", lw=1, label="black body")
        low, high = orders.wave_min[k], orders.wave_max[k]
        panel.set_title(f"order {orders.number[k]}: {low:.0f} to {high:.0f} Å", fontsize=9)
    _finish_panels(figure, panels, len(rows), grid.names[d], describe(theta1, grid.names))
    return figure


def _finish_panels(figure: Figure, panels: Any, n_used: int, parameter: str, theta1: str) -> None:
    for panel in panels[n_used:]:
        panel.remove()
    panels[0].legend(fontsize=8)
    unit = " (K)" if parameter == "teff" else ""
    figure.supxlabel(f"{parameter} of component 2{unit}")
    figure.supylabel("flux ratio q")
    figure.suptitle(f"component 1: {theta1}", fontsize=10)


def draw_table(store: Store, row: int) -> Figure:
    """One order's ratio table as an image: log10 q(theta_i, theta_j), in grid order."""
    log_mean = np.log10(store.mean_flux[row])
    shown = np.unique(np.linspace(0, len(log_mean) - 1, 1000).astype(int))
    image = log_mean[None, shown] - log_mean[shown, None]
    if store.flux_ratio is not None:
        image = np.log10(store.flux_ratio.oindex[row, shown, shown])
    largest = np.abs(image).max()
    figure = Figure(figsize=(6, 5), layout="constrained")
    panel = figure.subplots()
    extent = (-0.5, len(log_mean) - 0.5, len(log_mean) - 0.5, -0.5)
    drawn = panel.imshow(image, cmap="RdBu_r", vmin=-largest, vmax=largest, extent=extent)
    figure.colorbar(drawn, label="log10 q")
    panel.set_xlabel("grid point of component 2")
    panel.set_ylabel("grid point of component 1")
    panel.set_title(f"order {store.orders.number[row]}")
    return figure
