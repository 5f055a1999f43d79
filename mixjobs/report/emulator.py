"""How good a store's emulator is: what is measured, its table, its figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from mixjobs.grid import Grid
from mixjobs.interpolation import default_method
from mixjobs.interpolation.cross_validation import axis_folds
from mixjobs.model.emulator import HeldOutResiduals, held_out_residuals
from mixjobs.store.emulator import emulated_orders, read_order
from mixjobs.store.format import Store


@dataclass(frozen=True, eq=False)
class OrderQuality:
    """One order's emulator.

    Attributes
    ----------
    number : int
    n_pixels, rank : int
        Pixels of its grid, number of eigenspectra.
    explained_variance, max_residual : float
        What was reached at the grid points: see `mixjobs.model.emulator.Accuracy`.
    reconstruction_error : float
        r.m.s. over all grid points of what the eigenspectra leave out.
    held_out : list of HeldOutResiduals
        One an axis.
    """

    number: int
    n_pixels: int
    rank: int
    explained_variance: float
    max_residual: float
    reconstruction_error: float
    held_out: list[HeldOutResiduals]

    def facts(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)


def emulator_quality(store: Store) -> list[OrderQuality]:
    """Measure every order; nothing of a store without an emulator."""
    numbers = emulated_orders(store.path)
    axes = axis_folds(store.grid, default_method(store.grid)) if numbers else []
    found = []
    for number in numbers:
        emulator, _ = read_order(store.path, number)
        found.append(
            OrderQuality(
                number, emulator.grid.n_pixels, emulator.rank, emulator.explained_variance,
                emulator.max_residual,
                float(np.sqrt((emulator.reconstruction_error**2).mean())),
                held_out_residuals(axes, emulator),
            )
        )  # fmt: skip
    return found


def emulator_line(store: Store) -> str:
    """Return one line on what was reached at the grid points."""
    read = {number: read_order(store.path, number)[0] for number in emulated_orders(store.path)}
    ranks = [emulator.rank for emulator in read.values()]
    worst = max(read, key=lambda number: read[number].max_residual)
    return (
        f"emulator: {len(read)} orders of {min(ranks)} to {max(ranks)} eigenspectra, at least "
        f"{min(e.explained_variance for e in read.values()):.3%} of the variance; the worst pixel, "
        f"in order {worst}, is off by {read[worst].max_residual:.2g} of the mean flux"
    )


def quality_table(orders: Sequence[OrderQuality]) -> Table:
    """One row an order: its size, and what is reached at the grid points."""
    table = Table(
        "order", "pixels", "eigenspectra", "explained variance", "largest residual", "r.m.s."
    )
    for order in orders:
        reached = (
            f"{order.explained_variance:.6f}",
            f"{order.max_residual:.1e}",
            f"{order.reconstruction_error:.1e}",
        )
        table.add_row(str(order.number), str(order.n_pixels), str(order.rank), *reached)
    return table


def held_out_spectra_table(orders: Sequence[OrderQuality], grid: Grid) -> Table:
    """One row an order: r.m.s. residual of held-out spectra an axis, and the worst point."""
    table = Table("order", *(held.axis for held in orders[0].held_out), "worst", "at")
    for order in orders:
        worst = max(order.held_out, key=lambda held: held.worst)
        theta = ",".join(f"{value:g}" for value in grid.points[worst.point])
        residuals = [f"{held.rms:.1e}" for held in order.held_out]
        table.add_row(str(order.number), *residuals, f"{worst.worst:.1e}", theta)
    return table


def draw_quality(orders: Sequence[OrderQuality]) -> Figure:
    """Draw rank, reconstruction_error and held-out residuals of every order."""
    figure = Figure(figsize=(7, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    place = np.arange(len(orders))
    above.bar(place, [order.rank for order in orders], color="0.6")
    above.set_ylabel("eigenspectra")
    for a, held in enumerate(orders[0].held_out):
        residuals = [order.held_out[a].rms for order in orders]
        below.plot(place, residuals, "o-", ms=4, label=f"{held.axis} held out")
        inside = [order.held_out[a].rms * order.held_out[a].factor for order in orders]
        below.plot(place, inside, ":", color=below.lines[-1].get_color())
    below.plot(
        place, [order.reconstruction_error for order in orders], "k--", label="at grid points"
    )
    below.plot([], [], ":", color="0.4", label="expected between grid points")
    below.set(yscale="log", xlabel="order", ylabel="r.m.s. residual over mean flux")
    below.set_xticks(place, [str(order.number) for order in orders])
    below.legend(fontsize=8)
    return figure
