"""Figures and tables of a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from mixjobs.display import Figures
from mixjobs.errors import InvalidInput
from mixjobs.files import make_folder, refuse_inside
from mixjobs.grid import Grid, Theta, describe
from mixjobs.interpolation import Method, default_method
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.model.ratio_errors import HeldOutErrors
from mixjobs.orders import Orders
from mixjobs.report.emulator import draw_quality, emulator_quality
from mixjobs.report.figure import (
    MAX_PANELS,
    axis_label,
    choose_orders,
    extent,
    figure_of,
    make_panels,
    new_figure,
    only_order,
    save_figures,
)
from mixjobs.store.checksums import unusable
from mixjobs.store.component_values import one_theta
from mixjobs.store.filling import store_filling
from mixjobs.store.format import Store
from mixjobs.store.invariants import Invariant
from mixjobs.store.zarr_settings import default_settings
from mixjobs.typing import Floats

_MAX_POINTS = 1000  # of a ratio table that are drawn
_CURVE_POINTS = 200


class StorePlots(Figures):
    """The figures of a store, for example ``store.plot.flux_ratio()``.

    ``store.plot()`` is the same.

    Each method returns matplotlib axes. A notebook shows the figure. A script saves it with
    ``axes[0].figure.savefig("q.png")``, or calls ``pyplot.show()`` if it has imported pyplot.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(
        self,
        theta1: Theta | None = None,
        method: Method | None = None,
        orders: Iterable[int] | None = None,
        ax: Axes | None = None,
    ) -> tuple[Axes, ...]:
        """Draw the flux ratio; see `flux_ratio`."""
        return self.flux_ratio(theta1, method, orders, ax)

    def flux_ratio(
        self,
        theta1: Theta | None = None,
        method: Method | None = None,
        orders: Iterable[int] | None = None,
        ax: Axes | None = None,
    ) -> tuple[Axes, ...]:
        """Draw the flux ratio against the temperature of component 2, one panel per order.

        If the grid has no ``teff``, its first parameter with several values is used instead.
        Component 2 shares all other parameters with component 1.

        Parameters
        ----------
        theta1 : (D,) array or mapping, optional
            Component 1; the grid point nearest the middle of the grid by default.
        method : {"cubic", "linear", "simplex", "pairwise", "blackbody"}, optional
            Interpolation; by default ``cubic``, or ``simplex`` on an irregular grid.
        orders : sequence of int, optional
            Numbers of the orders; by default all, or 12 spread evenly over the store.
        ax : Axes, optional
            Where to draw a single order.

        Returns
        -------
        tuple of Axes
            One per order.

        Raises
        ------
        OutsideGrid
            `theta1` lies outside the grid, or next to a hole.
        InvalidInput
            An unknown order or method, a `theta1` of another shape, or several orders for one `ax`.
        """
        rows = choose_orders(self._store.orders, orders)
        curves = compute_curves(self._store, theta1, method)
        if ax is None:
            return draw_curves(new_figure(), self._store.orders, curves, rows)
        only_order(self._store.orders, rows)
        _draw_panel(ax, self._store.orders, curves, rows[0])
        ax.legend(fontsize=8)
        ax.set(xlabel=axis_label(f"{curves.parameter}_2"), ylabel="flux ratio q")
        return (ax,)

    def ratio_table(self, order: int | None = None, ax: Axes | None = None) -> Axes:
        """Draw the ratio table of one order as an image of log10 q.

        Rows and columns are grid points in the order of the library. A large table is thinned to
        1000 of them.

        Parameters
        ----------
        order : int, optional
            Number of the order; the middle one by default.
        ax : Axes, optional
            Where to draw; a new figure by default.

        Raises
        ------
        InvalidInput
            An unknown order.
        """
        orders = self._store.orders
        row = len(orders) // 2 if order is None else choose_orders(orders, [order])[0]
        if ax is None:
            ax = make_panels(new_figure(), 1, 1, (6.0, 4.1))[0]
        return draw_ratio_table(ax, self._store, row)

    def emulator(self) -> tuple[Axes, ...]:
        """Draw the accuracy of the emulator in every order.

        The upper panel has the number of eigenspectra. The lower one has the r.m.s. residual of
        spectra at the grid points, and of spectra that were held out along each axis.

        Returns
        -------
        tuple of 2 Axes

        Raises
        ------
        InvalidInput
            The store has no emulator.
        """
        quality = emulator_quality(self._store)
        if not quality:
            raise InvalidInput(
                f"{self._store.path} has no emulator to draw; build the store with an emulator",
                path=self._store.path,
            )
        return draw_quality(new_figure(), quality)

    def save(
        self, folder: str | Path, theta1: Theta | None = None, method: Method | None = None
    ) -> Iterator[Path]:
        """Save every figure as a PNG file, and yield the files.

        Parameters
        ----------
        folder : str or Path
            It is created if it does not exist.
        theta1, method
            See `flux_ratio`.

        Raises
        ------
        OutsideGrid
            `theta1` lies outside the grid, or next to a hole.
        InvalidInput
            The folder cannot be created, or is inside a store or a run.
        JobFailed
            The disk is full, or the folder is not writable.
        """
        refuse_inside(Path(folder) / "figure.png")
        yield from save_figures(draw_all(self._store, theta1, method), make_folder(folder))


@dataclass(frozen=True, eq=False)
class Curves:
    """Flux ratio of every order against one parameter of component 2.

    Component 2 shares the other parameters with component 1.

    Attributes
    ----------
    method : str
    parameter : str
        ``teff``, or the first parameter with several values.
    theta1 : str
        Component 1, formatted.
    x, q : (n,) and (n, M) arrays
        The interpolated curve; NaN where the method has no value.
    nodes, q_nodes : (k,) and (k, M) arrays
        The grid points on the curve.
    blackbody : (n, M) array or None
        Flux ratio of blackbodies; None unless the parameter is ``teff``.
    """

    method: Method
    parameter: str
    theta1: str
    x: Floats
    q: Floats
    nodes: Floats
    q_nodes: Floats
    blackbody: Floats | None


def draw_all(
    store: Store, theta1: Theta | None = None, method: Method | None = None
) -> dict[str, Figure]:
    """Draw every figure of a store, and return the figures by name.

    `theta1` and `method` are those of `StorePlots.flux_ratio`.

    Raises
    ------
    OutsideGrid
        `theta1` lies outside the grid, or next to a hole.
    """
    figures = draw_flux_ratios(store, theta1, method)
    middle = len(store.orders) // 2
    figure = Figure()
    draw_ratio_table(make_panels(figure, 1, 1, (6.0, 4.1))[0], store, middle)
    figures[f"ratio_table_order_{store.orders.number[middle]}"] = figure
    quality = emulator_quality(store)
    if quality:
        figures["emulator"] = Figure()
        draw_quality(figures["emulator"], quality)
    return figures


def draw_flux_ratios(
    store: Store, theta1: Theta | None = None, method: Method | None = None
) -> dict[str, Figure]:
    """Draw the flux ratio of every order, in figures of at most 12 panels."""
    curves = compute_curves(store, theta1, method)
    figures = {}
    for first in range(0, len(store.orders), MAX_PANELS):
        rows = range(first, min(first + MAX_PANELS, len(store.orders)))
        name = "flux_ratio_orders_{}_to_{}".format(*store.orders.number[[rows[0], rows[-1]]])
        figures[name] = Figure()
        draw_curves(figures[name], store.orders, curves, rows)
    return figures


def compute_curves(
    store: Store, theta1: Theta | None = None, method: Method | None = None
) -> Curves:
    """Evaluate the flux ratio along one parameter of component 2."""
    grid, arrays = store.grid, (store.grid, store.orders, store.mean_flux)
    filling = store_filling(store)
    method = default_method(grid) if method is None else method
    first = middle_point(grid) if theta1 is None else one_theta(grid, theta1, "theta1")
    # raises outside the grid; the curve is NaN there
    flux_ratio(*arrays, method, filling=filling)(first, first)
    ratio = flux_ratio(*arrays, method, "nan", filling)
    d = grid.names.index("teff") if "teff" in grid.names else grid.free[0]
    theta2 = np.repeat(first[None], _CURVE_POINTS, axis=0)
    theta2[:, d] = np.linspace(grid.axes[d][0], grid.axes[d][-1], _CURVE_POINTS)
    nodes = grid.points[(np.delete(grid.points, d, 1) == np.delete(first, d)).all(axis=1)]
    blackbody = None
    if grid.names[d] == "teff":
        blackbody = flux_ratio(*arrays, "blackbody")(first, theta2)
    return Curves(
        method=method,
        parameter=grid.names[d],
        theta1=describe(first, grid.names).strip("()"),
        x=theta2[:, d],
        q=ratio(first, theta2),
        nodes=nodes[:, d],
        q_nodes=ratio(first, nodes),
        blackbody=blackbody,
    )


def middle_point(grid: Grid) -> Floats:
    """Return the grid point nearest to the middle of the axes, counted in grid steps."""
    middle = [(len(axis) - 1) / 2 for axis in grid.axes]
    point: Floats = grid.points[np.argmin(((grid.index - middle) ** 2).sum(axis=1))]
    return point


def draw_curves(
    figure: Figure, orders: Orders, curves: Curves, rows: Sequence[int]
) -> tuple[Axes, ...]:
    """Draw the curves of some orders, given by their indices, one panel each."""
    panels = make_panels(figure, len(rows), 4, (3.2, 2.6), sharex=True)
    for m, panel in zip(rows, panels, strict=True):
        _draw_panel(panel, orders, curves, m)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8,
        title=f"component 1: {curves.theta1}{extent(rows, orders)}", title_fontsize=9,
    )  # fmt: skip
    figure.supxlabel(axis_label(f"{curves.parameter}_2"), fontsize=10)
    figure.supylabel("flux ratio q", fontsize=10)
    return panels


def _draw_panel(panel: Axes, orders: Orders, curves: Curves, m: int) -> None:
    panel.plot(curves.x, curves.q[:, m], label=curves.method)
    valid = np.isfinite(curves.q_nodes[:, m])
    if valid.any():
        nodes, q = curves.nodes[valid], curves.q_nodes[valid, m]
        panel.plot(nodes, q, "o", ms=4, label="grid points")
    if curves.blackbody is not None:
        panel.plot(curves.x, curves.blackbody[:, m], "--", lw=1, label="blackbody")
    low, high = orders.wave_min[m], orders.wave_max[m]
    panel.set_title(f"order {orders.number[m]}: {low:.0f} to {high:.0f} Å", fontsize=9)


@default_settings()
def draw_ratio_table(panel: Axes, store: Store, row: int) -> Axes:
    """Draw the ratio table of one order: log10 q(theta_i, theta_j), in grid order."""
    n = len(store.grid)
    points = np.unique(np.linspace(0, n - 1, _MAX_POINTS).astype(int))
    log_mean = np.log10(store.mean_flux[row, points])
    log_ratio = log_mean[None, :] - log_mean[:, None]
    if store.flux_ratio is not None:
        ratio = store.flux_ratio.oindex[row, points, points]
        if not ((ratio > 0) & np.isfinite(ratio)).all():
            raise unusable(store.path, "flux_ratio", "is not positive everywhere")
        log_ratio = np.log10(ratio)
    largest = np.abs(log_ratio).max()
    image = panel.imshow(
        log_ratio, cmap="RdBu_r", vmin=-largest, vmax=largest,
        extent=(-0.5, n - 0.5, n - 0.5, -0.5), interpolation="nearest",
    )  # fmt: skip
    figure_of(panel).colorbar(image, ax=panel, label="log10 of the flux ratio q")
    panel.set_xlabel("component 2 (index of grid point)")
    panel.set_ylabel("component 1 (index of grid point)")
    low, high = store.orders.wave_min[row], store.orders.wave_max[row]
    panel.set_title(f"order {store.orders.number[row]}: {low:.0f} to {high:.0f} Å", fontsize=9)
    return panel


def ratio_table(orders: Orders, q: Floats, direct: Floats | None) -> Table:
    """Tabulate q of each order, and the exact ratio `direct` if both thetas are grid points."""
    table = Table("order", "from (Å)", "to (Å)", "flux ratio q")
    columns = [orders.number, orders.wave_min, orders.wave_max, q]
    if direct is not None:
        table.add_column("not interpolated")
        columns.append(direct)
    for number, low, high, *ratios in zip(*columns, strict=True):
        table.add_row(str(number), f"{low:.2f}", f"{high:.2f}", *(f"{r:.6f}" for r in ratios))
    return table


def invariants_table(invariants: Sequence[Invariant]) -> Table:
    """Tabulate each invariant: its largest deviation, the tolerance, and whether it holds."""
    table = Table("invariant", "largest deviation", "tolerance", "holds")
    for invariant in invariants:
        numbers = f"{invariant.deviation:.1e}", f"{invariant.allowed:.0e}"
        table.add_row(invariant.name, *numbers, "yes" if invariant.holds else "NO")
    return table


def held_out_table(results: Sequence[HeldOutErrors]) -> Table:
    """Tabulate the held-out error of each axis and method, over all orders and points."""
    table = Table("axis held out", "method", "median", "95th percentile", "points", "no prediction")
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
    """Tabulate the held-out error of each order and method, in per cent; one table per axis."""
    tables = []
    for axis in dict.fromkeys(result.axis for result in results):
        on_axis = [result for result in results if result.axis == axis]
        table = Table(
            "order", *(result.method for result in on_axis),
            title=f"{axis} held out: median / 95th percentile, %", min_width=60,
        )  # fmt: skip
        columns = [
            [
                f"{100 * m:.2g} / {100 * p:.2g}"
                for m, p in zip(r.median, r.percentile95, strict=True)
            ]
            for r in on_axis
        ]
        for number, *cells in zip(orders.number, *columns, strict=True):
            table.add_row(str(number), *cells)
        tables.append(table)
    return tables
