"""Figures of a run: corner, traces, and the fit of every order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mixjobs.inference.posterior import import_arviz
from mixjobs.inference.residuals import FittedOrder
from mixjobs.typing import Floats

MOST_PARAMETERS = 10  # in one figure
MOST_ORDERS = 3  # in one figure
_MOST_STEPS = 300  # of a trace that are drawn
_PANEL, _MARGIN = 1.5, 0.95  # of a corner figure, inches
_UNITS = {"teff": "K", "vsini": "km/s", "rv": "km/s", "log_length": "log10 km/s"}
_LONG = 15  # characters of a label that fit beside a panel
_NUMBERS = re.compile(r"(_\d+)?(_e\d+)?$")  # of a component, of an epoch
_COLOURS = ("C0", "C1", "C2", "C4", "C5", "C6")  # of components


def with_unit(name: str) -> str:
    """Label an axis with a parameter's name, and its unit if it has one; below it if that is long.

    Examples
    --------
    >>> [with_unit(name) for name in ("teff_1", "rv_2_e1", "logg_2", "log_length")]
    ['teff_1 (K)', 'rv_2_e1 (km/s)', 'logg_2', 'log_length\\n(log10 km/s)']
    """
    unit = _UNITS.get(_NUMBERS.sub("", name))
    if unit is None:
        return name
    between = " " if len(name + unit) <= _LONG else "\n"
    return f"{name}{between}({unit})"


def draw_corners(draws: Mapping[str, Floats]) -> dict[str, Figure]:
    """Draw the joint distribution of every two parameters, given as draws (n,).

    With many parameters there are several figures of some of them.
    """
    names = list(draws)
    groups = [names[i : i + MOST_PARAMETERS] for i in range(0, len(names), MOST_PARAMETERS)]
    return {
        "corner" if len(groups) == 1 else f"corner_{number}": draw_corner(
            {name: draws[name] for name in group}
        )
        for number, group in enumerate(groups, 1)
    }


def draw_corner(draws: Mapping[str, Floats]) -> Figure:
    """Draw one of them; lines and titles are medians and 68 % intervals."""
    corner = _import_corner()
    columns = np.stack(list(draws.values()), axis=1)
    n = len(draws)
    size = _MARGIN + _PANEL * n + 0.1
    figure = Figure(figsize=(size, size))
    corner.corner(
        columns, labels=[with_unit(name) for name in draws], quantiles=(0.16, 0.5, 0.84),
        show_titles=True, title_quantiles=(0.16, 0.5, 0.84), title_fmt=None, plot_datapoints=False,
        fill_contours=True, plot_density=False, levels=(0.393, 0.865),  # 1 and 2 sigma of two
        range=[_range(column) for column in columns.T], fig=figure, max_n_ticks=4,
        quiet=True, labelpad=0.1, use_math_text=False, color="C0",
    )  # fmt: skip
    panels = np.array(figure.axes).reshape(n, n)
    for column, (name, values) in enumerate(draws.items()):
        panels[column, column].set_title(_median(name, values), fontsize=9)
    for panel in figure.axes:
        panel.tick_params(labelsize=8)
    low, high = _MARGIN / size, 1 - 0.1 / size
    figure.subplots_adjust(low, low, high, 1 - 0.5 / size)
    return figure


def _import_corner() -> Any:
    import_arviz()  # corner imports it, and would let it warn
    import corner

    return corner


def _range(values: Floats) -> tuple[float, float]:
    """All draws, and a little beside them where they are one number."""
    low, high = float(values.min()), float(values.max())
    beside = 0.0 if high > low else max(1e-6, 1e-3 * abs(low))
    return low - beside, high + beside


def _median(name: str, values: Floats) -> str:
    low, middle, high = np.quantile(values, (0.16, 0.5, 0.84))
    digits = _digits(high - low)
    return f"{name}\n{middle:.{digits}f} +{high - middle:.{digits}f} −{middle - low:.{digits}f}"


def _digits(width: float) -> int:
    """Decimals that show a width with two digits.

    Examples
    --------
    >>> _digits(120.0), _digits(3.0), _digits(0.012)
    (0, 1, 3)
    """
    return int(np.clip(1 - np.floor(np.log10(width)), 0, 6)) if width > 0 else 3


def draw_traces(positions: Floats, names: Sequence[str], burn: int) -> dict[str, Figure]:
    """Draw the way of every walker, a column an ensemble, the burn-in shaded.

    Parameters
    ----------
    positions : (ensembles, n_steps, walkers, P) array
    names : P str
    burn : int
        Steps of the burn-in.
    """
    firsts = range(0, len(names), MOST_PARAMETERS)
    figures = {}
    for number, first in enumerate(firsts, 1):
        some = slice(first, first + MOST_PARAMETERS)
        figure = _draw_some_traces(positions[..., some], names[some], burn)
        figures["traces" if len(firsts) == 1 else f"traces_{number}"] = figure
    return figures


def _draw_some_traces(positions: Floats, names: Sequence[str], burn: int) -> Figure:
    ensembles, n_steps = positions.shape[:2]
    shown = np.unique(np.linspace(0, n_steps - 1, _MOST_STEPS).astype(int))
    size = (max(9.0, 4.0 * ensembles), 1.2 + 1.15 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(names), ensembles, squeeze=False, sharex=True, sharey="row")
    for (p, e), panel in np.ndenumerate(grid):
        panel.plot(shown + 1, positions[e][shown, :, p], color="C0", lw=0.3, alpha=0.5, aa=False)
        panel.axvspan(0, burn, color="0.5", alpha=0.3, lw=0, label="burn-in", zorder=3)
        panel.tick_params(labelsize=8)
        panel.set_xlim(0, n_steps)
        if e == 0:
            panel.set_ylabel(with_unit(names[p]), fontsize=9)
        if p == 0:
            panel.set_title(f"ensemble {e + 1}", fontsize=9)
    grid[0, 0].legend(loc="upper right", fontsize=8)
    figure.supxlabel("step", fontsize=10)
    return figure


def draw_fits(orders: Sequence[FittedOrder]) -> dict[str, Figure]:
    """Draw the fit of every order, a few a figure, beside it the components and residuals."""
    return {_name(some, orders): draw_fit(some) for some in _some(orders)}


def _some(orders: Sequence[FittedOrder]) -> Iterator[list[FittedOrder]]:
    """Yield orders of one spectrum, a few at a time."""
    for epoch in dict.fromkeys(order.epoch for order in orders):
        own = [order for order in orders if order.epoch == epoch]
        for first in range(0, len(own), MOST_ORDERS):
            yield own[first : first + MOST_ORDERS]


def _name(some: Sequence[FittedOrder], orders: Sequence[FittedOrder]) -> str:
    epoch = f"_e{some[0].epoch + 1}" if orders[-1].epoch else ""
    numbers = dict.fromkeys((some[0].number, some[-1].number))
    return f"fit{epoch}_order{'s' * (len(numbers) > 1)}_{'_to_'.join(map(str, numbers))}"


def draw_fit(orders: Sequence[FittedOrder]) -> Figure:
    """Draw data, fit and components of some orders, below each what is left, in sigma."""
    figure = Figure(figsize=(10, 0.8 + 3.4 * len(orders)), layout="constrained")
    heights = [2.3, 1.0] * len(orders)
    panels = figure.subplots(2 * len(orders), 1, height_ratios=heights, squeeze=False)[:, 0]
    for order, above, below in zip(orders, panels[::2], panels[1::2], strict=True):
        _draw_order(above, order)
        _draw_residuals(below, order)
        above.tick_params(labelbottom=False, labelsize=8)
        below.tick_params(labelsize=8)
        below.sharex(above)
    pairs = dict(_legend(panels[0]) + _legend(panels[1]))
    figure.legend(
        pairs.values(), pairs.keys(), loc="outside upper center", ncols=7, fontsize=8
    )  # fmt: skip
    figure.supxlabel("wavelength (Å)", fontsize=10)
    return figure


def _legend(panel: Axes) -> list[tuple[str, Any]]:
    handles, labels = panel.get_legend_handles_labels()
    return list(zip(labels, handles, strict=True))


def _draw_order(panel: Axes, order: FittedOrder) -> None:
    wave, used = order.wavelength, order.used
    scale = np.median(order.flux[used])
    seen = np.where(used, order.flux, np.nan) / scale
    masked = ~used & np.isfinite(order.flux)
    panel.plot(wave, seen, color="0.55", lw=1.0, drawstyle="steps-mid", label="data")
    panel.plot(wave, order.fit / scale, color="k", lw=0.8, label="fit")
    for k, part in enumerate(order.parts if len(order.parts) > 1 else ()):
        panel.plot(wave, part / scale, color=_COLOURS[k], lw=0.8, label=f"component {k + 1}")
    top = max(np.nanmax(seen), np.max(order.fit) / scale) * 1.05
    low = min(0.0, float(np.nanmin(seen)))
    unused = np.clip(order.flux[masked] / scale, low, 0.98 * top)
    panel.plot(wave[masked], unused, "x", color="C3", ms=3, mew=0.8)
    panel.set_ylim(low, top)
    panel.set_ylabel("flux over median", fontsize=9)
    panel.set_title(_title(order), fontsize=9)


def _title(order: FittedOrder) -> str:
    masked = int((~order.used).sum())
    said = f"order {order.number}" + (f", spectrum {order.epoch + 1}" if order.epoch else "")
    said += f": χ² a pixel {order.chi2_per_pixel:.2f}"
    if np.nanmax(np.abs(order.absorbed)) > 0:
        said += f", {order.chi2_per_pixel_absorbed:.2f} beyond the correlated noise"
    return said + (f"; pixels not used: {masked}" if masked else "")


def _draw_residuals(panel: Axes, order: FittedOrder) -> None:
    wave = order.wavelength
    panel.plot(wave, order.from_fit, ".", color="0.45", ms=2.5, label="data − fit")
    if np.nanmax(np.abs(order.absorbed)) > 0:
        panel.plot(wave, order.absorbed, color="C3", lw=1.0, label="correlated noise")
    for height in (-order.noise_factor, order.noise_factor):
        panel.axhline(height, color="k", lw=0.5, ls=":", label="±σ as the fit scales it")
    panel.axhline(0, color="k", lw=0.5)
    most = max(3.5, float(np.nanmax(np.abs(order.from_fit))) * 1.05)
    panel.set_ylim(-most, most)
    panel.set_ylabel("residual (σ)", fontsize=9)
