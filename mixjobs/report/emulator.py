"""Accuracy of a store's emulator: measurement, tables and figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from mixjobs.display import counted
from mixjobs.grid import Grid
from mixjobs.interpolation import default_method
from mixjobs.interpolation.cross_validation import axis_folds
from mixjobs.model.emulator import HeldOutResiduals, held_out_residuals
from mixjobs.store.emulator import check_order, emulated_orders, read_order
from mixjobs.store.format import Store
from mixjobs.store.joint_error import read_joint_error

if TYPE_CHECKING:  # a build prints `emulator_line`, and must not wait for matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class OrderQuality:
    """Accuracy of the emulator of one order.

    Residuals are in units of the mean flux of a spectrum.

    Attributes
    ----------
    number : int
        Number of the order.
    n_pixels, rank : int
        Pixels of the emulator's wavelength grid, and number of eigenspectra.
    explained_variance, max_residual : float
        Accuracy at the grid points; see `mixjobs.model.emulator.Accuracy`.
    reconstruction_error : float
        r.m.s. residual at the grid points.
    held_out : list of HeldOutResiduals
        Residuals of held-out spectra, one entry per axis.
    """

    number: int
    n_pixels: int
    rank: int
    explained_variance: float
    max_residual: float
    reconstruction_error: float
    held_out: list[HeldOutResiduals]

    def facts(self) -> dict[str, Any]:
        """Return all attributes for JSON."""
        return asdict(self)


def emulator_quality(store: Store) -> list[OrderQuality]:
    """Measure the emulator of every order; an empty list if the store has no emulator."""
    numbers = emulated_orders(store.path)
    if not numbers:
        return []
    method = default_method(store.grid)
    axes, (_, error) = axis_folds(store.grid, method), read_joint_error(store, method)
    quality = []
    for number in numbers:
        emulator, _ = read_order(store.path, number)
        check_order(store, number, emulator)
        quality.append(
            OrderQuality(
                number=number,
                n_pixels=emulator.grid.n_pixels,
                rank=emulator.rank,
                explained_variance=emulator.explained_variance,
                max_residual=emulator.max_residual,
                reconstruction_error=float(np.sqrt((emulator.reconstruction_error**2).mean())),
                held_out=held_out_residuals(axes, emulator, error.factors),
            )
        )
    return quality


def emulator_line(store: Store) -> str:
    """Describe the accuracy of a store's emulator at the grid points, in one line."""
    emulators = {
        number: read_order(store.path, number)[0] for number in emulated_orders(store.path)
    }
    ranks = [emulator.rank for emulator in emulators.values()]
    variance = min(emulator.explained_variance for emulator in emulators.values())
    worst = max(emulators, key=lambda number: emulators[number].max_residual)
    return (
        f"emulator: {counted(len(emulators), 'order')} with {min(ranks)} to {max(ranks)} "
        f"eigenspectra, which explain at least {variance:.3%} of the variance; largest residual "
        f"{emulators[worst].max_residual:.2g} of the mean flux, in order {worst}"
    )


def quality_table(orders: Sequence[OrderQuality]) -> Table:
    """Tabulate the size of each order's emulator, and its accuracy at the grid points."""
    table = Table(
        "order", "pixels", "eigenspectra", "explained variance", "largest residual",
        "r.m.s. residual",
    )  # fmt: skip
    for order in orders:
        table.add_row(
            str(order.number),
            str(order.n_pixels),
            str(order.rank),
            f"{order.explained_variance:.6f}",
            f"{order.max_residual:.1e}",
            f"{order.reconstruction_error:.1e}",
        )
    return table


def held_out_spectra_table(orders: Sequence[OrderQuality], grid: Grid) -> Table:
    """Tabulate the r.m.s. residual of held-out spectra along each axis, and the worst spectrum."""
    axes = [f"{held.axis} held out" for held in orders[0].held_out]
    table = Table("order", *axes, "worst spectrum", f"at {', '.join(grid.names)}")
    for order in orders:
        worst = max(order.held_out, key=lambda held: held.worst)
        theta = ",".join(f"{value:g}" for value in grid.points[worst.point])
        residuals = [f"{held.rms:.1e}" for held in order.held_out]
        table.add_row(str(order.number), *residuals, f"{worst.worst:.1e}", theta)
    return table


def draw_quality(figure: Figure, orders: Sequence[OrderQuality]) -> tuple[Axes, ...]:
    """Draw the number of eigenspectra and the r.m.s. residuals of every order."""
    figure.set_size_inches(min(max(7.0, 2.0 + 0.35 * len(orders)), 16.0), 6.0)
    figure.set_layout_engine("constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    x = np.arange(len(orders))
    above.bar(x, [order.rank for order in orders], color="0.6")
    above.set_ylabel("eigenspectra")
    for a, held in enumerate(orders[0].held_out):
        residuals = [order.held_out[a].rms for order in orders]
        below.plot(x, residuals, "o-", ms=4, label=f"{held.axis} held out")
        expected = [order.held_out[a].rms * order.held_out[a].factor for order in orders]
        below.plot(x, expected, ":", color=below.lines[-1].get_color())
    below.plot(
        x, [order.reconstruction_error for order in orders], "k--", label="at the grid points"
    )
    if orders[0].held_out:
        below.plot([], [], ":", color="0.4", label="expected between the grid points")
    below.set(yscale="log", xlabel="order", ylabel="r.m.s. residual over mean flux")
    below.set_xticks(x, [str(order.number) for order in orders])
    below.tick_params(axis="x", labelsize=8, labelrotation=90 if len(orders) > 20 else 0)
    figure.legend(
        *below.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8
    )
    return above, below
