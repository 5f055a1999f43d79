"""Figures of the fit of every order: data, model and residuals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mixjobs.display import counted
from mixjobs.inference.residuals import FittedOrder
from mixjobs.report.figure import wavelength_label

MAX_ORDERS = 3  # in one figure
_COLOURS = ("C0", "C1", "C2", "C4", "C5", "C6")  # of components


def draw_fits(orders: Sequence[FittedOrder]) -> dict[str, Figure]:
    """Draw the fit of every order, a few orders in each figure."""
    figures = {}
    for group in _groups(orders):
        figure = figures[_figure_name(group, orders)] = Figure()
        draw_fit(figure, group)
    return figures


def _groups(orders: Sequence[FittedOrder]) -> Iterator[list[FittedOrder]]:
    """Yield the orders of one spectrum, a few at a time."""
    for epoch in dict.fromkeys(order.epoch for order in orders):
        in_epoch = [order for order in orders if order.epoch == epoch]
        for first in range(0, len(in_epoch), MAX_ORDERS):
            yield in_epoch[first : first + MAX_ORDERS]


def _figure_name(group: Sequence[FittedOrder], orders: Sequence[FittedOrder]) -> str:
    epoch = f"_e{group[0].epoch + 1}" if orders[-1].epoch else ""
    numbers = dict.fromkeys((group[0].number, group[-1].number))
    return f"fit{epoch}_order{'s' * (len(numbers) > 1)}_{'_to_'.join(map(str, numbers))}"


def draw_fit(figure: Figure, orders: Sequence[FittedOrder]) -> NDArray[Any]:
    """Draw data, fit and components of some orders, each above its residuals in sigma."""
    figure.set_size_inches(10, 0.8 + 3.4 * len(orders))
    figure.set_layout_engine("constrained")
    heights = [2.3, 1.0] * len(orders)
    panels = figure.subplots(2 * len(orders), 1, height_ratios=heights, squeeze=False)[:, 0]
    for order, above, below in zip(orders, panels[::2], panels[1::2], strict=True):
        _draw_order(above, order)
        _draw_residuals(below, order)
        above.tick_params(labelbottom=False, labelsize=8)
        below.tick_params(labelsize=8)
        below.sharex(above)
    pairs = {label: handle for p in (*panels[::2], *panels[1::2]) for label, handle in _legend(p)}
    figure.legend(
        pairs.values(), pairs.keys(), loc="outside upper center", ncols=7, fontsize=8
    )  # fmt: skip
    media = {order.medium for order in orders}
    medium = media.pop() if len(media) == 1 else None
    figure.supxlabel(wavelength_label(medium), fontsize=10)
    return np.reshape(panels, (-1, 2))


def _legend(panel: Axes) -> list[tuple[str, Any]]:
    handles, labels = panel.get_legend_handles_labels()
    return list(zip(labels, handles, strict=True))


def _draw_order(panel: Axes, order: FittedOrder) -> None:
    wave, used = order.wavelength, order.used
    scale = np.median(order.flux[used])
    data = np.where(used, order.flux, np.nan) / scale
    masked = ~used & np.isfinite(order.flux)
    panel.plot(wave, data, color="0.55", lw=1.0, drawstyle="steps-mid", label="data")
    panel.plot(wave, order.fit / scale, color="k", lw=0.8, label="fit")
    for k, part in enumerate(order.parts if len(order.parts) > 1 else ()):
        panel.plot(wave, part / scale, color=_COLOURS[k], lw=0.8, label=f"component {k + 1}")
    top = max(np.nanmax(data), np.max(order.fit) / scale) * 1.05
    low = min(0.0, float(np.nanmin(data)))
    unused = np.clip(order.flux[masked] / scale, low, 0.98 * top)
    if masked.any():
        panel.plot(wave[masked], unused, "x", color="C3", ms=3, mew=0.8, label="masked")
    panel.set_ylim(low, top)
    panel.set_ylabel("flux / median", fontsize=9)
    panel.set_title(_title(order), fontsize=9)


def _title(order: FittedOrder) -> str:
    masked = int((~order.used).sum())
    title = f"order {order.number}" + (f", spectrum {order.epoch + 1}" if order.epoch else "")
    title += f": χ² per pixel {order.chi2_per_pixel:.2f}"
    if np.nanmax(np.abs(order.correlated_in_sigma)) > 0:
        title += f", {order.chi2_per_pixel_white:.2f} without the correlated noise"
    return title + (f"; {counted(masked, 'pixel')} masked" if masked else "")


def _draw_residuals(panel: Axes, order: FittedOrder) -> None:
    wave = order.wavelength
    panel.plot(wave, order.difference_in_sigma, ".", color="0.45", ms=2.5, label="data − fit")
    if np.nanmax(np.abs(order.correlated_in_sigma)) > 0:
        panel.plot(wave, order.correlated_in_sigma, color="C3", lw=1.0, label="correlated noise")
    for height in (-order.noise_factor, order.noise_factor):
        panel.axhline(height, color="k", lw=0.5, ls=":", label="±σ, scaled by the fit")
    panel.axhline(0, color="k", lw=0.5)
    limit = max(3.5, float(np.nanmax(np.abs(order.difference_in_sigma))) * 1.05)
    panel.set_ylim(-limit, limit)
    panel.set_ylabel("residual (σ)", fontsize=9)
