"""Figure of the orders that were fitted on their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mixjobs.inference.interval import Interval
from mixjobs.inference.orders_alone import OrdersAlone
from mixjobs.report.figure import with_unit


def draw_orders_alone(
    figure: Figure, alone: OrdersAlone, joint: Mapping[str, Interval]
) -> NDArray[Any]:
    """Draw every order on its own against its number, the pooled result and the joint fit."""
    figure.set_size_inches(6.5, 1.0 + 1.6 * len(alone.names))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(alone.names), 1, sharex=True, squeeze=False)
    panels: NDArray[Any] = grid[:, 0]
    disagreeing = alone.disagreeing()
    for panel, name in zip(panels, alone.names, strict=True):
        _draw_estimates(panel, alone, name, disagreeing.get(name, {}))
        if name in alone.pooled:
            mean, sd = alone.pooled[name].mean, alone.pooled[name].sd
            panel.axhspan(mean - sd, mean + sd, color="C0", alpha=0.25, lw=0, label="pooled")
        if name in joint:
            panel.axhline(joint[name].median, color="0.4", lw=1, ls="--", label="joint fit")
        panel.set_ylabel(with_unit(name), fontsize=9)
        panel.tick_params(labelsize=8)
    panels[0].legend(fontsize=8)
    panels[-1].set_xlabel("order")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return panels


def _draw_estimates(
    panel: Axes, alone: OrdersAlone, name: str, disagreeing: Mapping[int, float]
) -> None:
    pooled = {fit.number for fit in alone.included(name)}
    for fit in alone.fits:
        if name not in fit.estimates:
            continue
        interval = fit.estimates[name].interval
        low, high = interval.interval_68
        panel.errorbar(
            fit.number, interval.median, [[interval.median - low], [high - interval.median]],
            color="C3" if fit.number in disagreeing else "C0", ms=5, capsize=2,
            fmt="x" if fit.number in disagreeing else "o",
            mfc="C0" if fit.number in pooled else "white",
        )  # fmt: skip
