"""Figures of a run: corner plot, trace plot, limits on c, and the fit of every order."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mixjobs.display import Figures, counted
from mixjobs.errors import InvalidInput
from mixjobs.files import make_folder, refuse_inside
from mixjobs.inference.convergence import assess
from mixjobs.inference.limit import MIN_CERTAIN, LimitCurve, LimitSlice
from mixjobs.inference.posterior import stored_posterior
from mixjobs.inference.residuals import FittedOrder, fitted_orders
from mixjobs.inference.run import Run
from mixjobs.report.figure import new_figure, save_figures, wavelength_label
from mixjobs.typing import Floats
from mixjobs.units import PARAMETER_UNITS, SUFFIXES, to_integers

MAX_PARAMETERS = 10  # in one figure
MAX_ORDERS = 3  # in one figure
_MAX_STEPS = 300  # drawn in a trace plot
_PANEL, _MARGIN = 1.5, 0.95  # of a corner plot, inches
_UNITS = {**PARAMETER_UNITS, "log_length": "log10 km/s"}
_MAX_LABEL = 15  # characters that fit next to a panel
_PALETTE = 24  # colours, enough for line plots
_COLOURS = ("C0", "C1", "C2", "C4", "C5", "C6")  # of components


class RunPlots(Figures):
    """The figures of a run, for example ``run.plot.corner()``; ``run.plot()`` is the corner plot.

    Each method returns matplotlib axes. A notebook shows the figure. A script saves it with
    ``axes[0, 0].figure.savefig("corner.png")``.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, names: Sequence[str] | None = None) -> NDArray[Any]:
        """Draw the corner plot; see `corner`."""
        return self.corner(names)

    def corner(self, names: Sequence[str] | None = None) -> NDArray[Any]:
        """Draw a corner plot: the joint posterior of each pair of parameters.

        Lines and titles show medians and 68 % intervals.

        These are the medians and intervals of `Run.summary`: of all draws after the burn-in.

        Parameters
        ----------
        names : sequence of str, optional
            Some of the free parameters; all of them by default.

        Returns
        -------
        (n_names, n_names) array of Axes
        """
        draws = self._draws()
        return draw_corner(new_figure(), {name: draws[name] for name in names or draws})

    def traces(self, names: Sequence[str] | None = None) -> NDArray[Any]:
        """Draw the trace of every walker, one column for each ensemble, with the burn-in shaded.

        Parameters
        ----------
        names : sequence of str, optional
            Some of the free parameters; all of them by default.

        Returns
        -------
        (n_names, n_ensembles) array of Axes
        """
        positions, burn_in = self._traces()
        names = names or self._run.names
        columns = [self._run.names.index(name) for name in names]
        return _draw_traces(new_figure(), positions[..., columns], names, burn_in)

    def fits(self, orders: Iterable[int] | None = None) -> NDArray[Any]:
        """Draw data, best fit and components of some orders, with the residuals below each.

        This opens the data and the store.

        Parameters
        ----------
        orders : sequence of int, optional
            Numbers of the orders, in every epoch; the first three by default.

        Returns
        -------
        (n_orders, 2) array of Axes
            The spectrum and the residuals of each order.

        Raises
        ------
        InvalidInput
            None of the orders was fitted.
        """
        run = self._run
        fitted = fitted_orders(run.log_probability, run.chain.best())
        if orders is None:
            return draw_fit(new_figure(), fitted[:MAX_ORDERS])
        numbers = set(to_integers(orders, "orders"))
        chosen = [order for order in fitted if order.number in numbers]
        if not chosen:
            available = sorted({order.number for order in fitted})
            raise InvalidInput(
                f"orders {sorted(numbers)} were not fitted; choose from {available}",
                name="orders", value=sorted(numbers),
            )  # fmt: skip
        return draw_fit(new_figure(), chosen)

    def limit(self) -> NDArray[Any]:
        """Draw the 95 % upper limits on c and on the light fraction of component 2, by `teff_2`.

        Open symbols are slices that were sampled again, with `teff_2` fixed. Crosses are slices
        with fewer than 50 effective draws, whose limits may be off by a factor.

        Returns
        -------
        (2,) array of Axes

        Raises
        ------
        InvalidInput
            The posterior has no such limits: sampling has not ended, the model does not have a
            single free c and a free `teff_2`, or the prior of c excludes 0.
        """
        curve = self._limit()
        if curve is None:
            raise InvalidInput(
                f"{self._run.path}: the posterior has no limits against teff_2; they are written "
                "when sampling ends, for a model with a free teff_2 and a single free c whose "
                "prior includes 0",
                name="limit",
            )
        return draw_limit(new_figure(), curve)

    def all(self) -> dict[str, Figure]:
        """Draw every figure, with at most 10 parameters in each, and return them by file name.

        The limits against `teff_2` are among them if c is not detected.
        """
        positions, burn_in = self._traces()
        curve, figures = self._limit(), dict[str, Figure]()
        if curve is not None and not curve.detected:
            draw_limit(figures.setdefault("limit", Figure()), curve)
        return {
            **draw_corners(self._draws()),
            **draw_traces(positions, self._run.names, burn_in),
            **figures,
            **draw_fits(fitted_orders(self._run.log_probability, self._run.chain.best())),
        }

    def save(self, folder: str | Path | None = None) -> Iterator[Path]:
        """Save every figure of `all` as a PNG file, and yield the files.

        Parameters
        ----------
        folder : str or Path, optional
            The folder `figures` of the run by default.

        Raises
        ------
        InvalidInput
            The folder cannot be created, or is inside a store or a run.
        JobFailed
            The disk is full, or the folder is not writable.
        """
        own = self._run.path / "figures"
        path = own if folder is None else Path(folder)
        if path.resolve() != own.resolve():
            refuse_inside(path / "figure.png")
        yield from save_figures(self.all(), make_folder(path), _PALETTE)

    def _limit(self) -> LimitCurve | None:
        posterior = stored_posterior(self._run.folder)
        return None if posterior is None else LimitCurve.of_posterior(posterior)

    def _draws(self) -> dict[str, Floats]:
        """Return the draws (n,) of each free parameter after the burn-in, as in the summary."""
        positions, burn_in = self._traces()
        names = self._run.names
        x = positions[:, burn_in:].reshape(-1, len(names))
        return dict(zip(names, x.T, strict=True))

    def _traces(self) -> tuple[Floats, int]:
        positions = self._run.chain.positions
        return positions, assess(positions).burn_in


def with_unit(name: str) -> str:
    """Label an axis with a parameter's name and unit; a long label has two lines.

    Examples
    --------
    >>> [with_unit(name) for name in ("teff_1", "rv_2_e1", "logg_2", "log_length")]
    ['teff_1 (K)', 'rv_2_e1 (km/s)', 'logg_2', 'log_length\\n(log10 km/s)']
    """
    unit = _UNITS.get(SUFFIXES.sub("", name))
    if unit is None:
        return name
    separator = " " if len(name + unit) <= _MAX_LABEL else "\n"
    return f"{name}{separator}({unit})"


def draw_corners(draws: Mapping[str, Floats]) -> dict[str, Figure]:
    """Draw corner plots of draws (n,), with at most 10 parameters in each."""
    figures = {}
    for file_name, group in _parameter_groups("corner", len(draws)):
        figure = figures[file_name] = Figure()
        draw_corner(figure, dict(list(draws.items())[group]))
    return figures


def _parameter_groups(figure_name: str, n_parameters: int) -> list[tuple[str, slice]]:
    """Name the figures that show all parameters, and return the range of each."""
    firsts = range(0, n_parameters, MAX_PARAMETERS)
    groups = [slice(first, first + MAX_PARAMETERS) for first in firsts]
    if len(groups) == 1:
        return [(figure_name, groups[0])]
    return [(f"{figure_name}_{number}", group) for number, group in enumerate(groups, 1)]


def draw_corner(figure: Figure, draws: Mapping[str, Floats]) -> NDArray[Any]:
    """Draw a corner plot; lines and titles show medians and 68 % intervals."""
    corner = _import_corner()
    columns = np.stack(list(draws.values()), axis=1)
    n = len(draws)
    size = _MARGIN + _PANEL * n + 0.1
    figure.set_size_inches(size, size)
    corner.corner(
        columns, labels=[with_unit(name) for name in draws], quantiles=(0.16, 0.5, 0.84),
        show_titles=True, title_quantiles=(0.16, 0.5, 0.84), title_fmt=None, plot_datapoints=False,
        fill_contours=True, plot_density=False, levels=(0.393, 0.865),  # 1 and 2 sigma in 2D
        range=[_range(column) for column in columns.T], fig=figure, max_n_ticks=4,
        quiet=True, labelpad=0.1, use_math_text=False, color="C0",
    )  # fmt: skip
    panels: NDArray[Any] = np.array(figure.axes).reshape(n, n)
    for column, (name, values) in enumerate(draws.items()):
        panels[column, column].set_title(_median_title(name, values), fontsize=9)
    for panel in figure.axes:
        panel.tick_params(labelsize=8)
    low, high = _MARGIN / size, 1 - 0.1 / size
    figure.subplots_adjust(low, low, high, 1 - 0.5 / size)
    return panels


def _import_corner() -> Any:
    """Import corner without the daily warning of ArviZ 0.23, which corner imports if it can."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\s*ArviZ is undergoing a major refactor", FutureWarning)
        import corner
    return corner


def _range(values: Floats) -> tuple[float, float]:
    """Range of the draws, widened if they are all equal."""
    low, high = float(values.min()), float(values.max())
    margin = 0.0 if high > low else max(1e-6, 1e-3 * abs(low))
    return low - margin, high + margin


def _median_title(name: str, values: Floats) -> str:
    low, median, high = np.quantile(values, (0.16, 0.5, 0.84))
    digits = _digits(high - low)
    return f"{name}\n{median:.{digits}f} +{high - median:.{digits}f} −{median - low:.{digits}f}"


def _digits(width: float) -> int:
    """Decimals that show a width with two digits.

    Examples
    --------
    >>> _digits(120.0), _digits(3.0), _digits(0.012)
    (0, 1, 3)
    """
    return int(np.clip(1 - np.floor(np.log10(width)), 0, 6)) if width > 0 else 3


def draw_traces(positions: Floats, names: Sequence[str], burn_in: int) -> dict[str, Figure]:
    """Draw trace plots, with at most 10 parameters in each.

    Parameters
    ----------
    positions : (ensembles, n_steps, walkers, P) array
    names : P str
    burn_in : int
        Steps of the burn-in, which are shaded.
    """
    figures = {}
    for file_name, group in _parameter_groups("traces", len(names)):
        figure = figures[file_name] = Figure()
        _draw_traces(figure, positions[..., group], names[group], burn_in)
    return figures


def _draw_traces(
    figure: Figure, positions: Floats, names: Sequence[str], burn_in: int
) -> NDArray[Any]:
    ensembles, n_steps = positions.shape[:2]
    shown = np.unique(np.linspace(0, n_steps - 1, _MAX_STEPS).astype(int))
    figure.set_size_inches(max(9.0, 4.0 * ensembles), 1.2 + 1.15 * len(names))
    figure.set_layout_engine("constrained")
    grid: NDArray[Any] = figure.subplots(
        len(names), ensembles, squeeze=False, sharex=True, sharey="row"
    )
    for (p, e), panel in np.ndenumerate(grid):
        panel.plot(shown + 1, positions[e][shown, :, p], color="C0", lw=0.3, alpha=0.5, aa=False)
        panel.axvspan(0, burn_in, color="0.5", alpha=0.3, lw=0, label="burn-in", zorder=3)
        panel.tick_params(labelsize=8)
        panel.set_xlim(0, n_steps)
        if e == 0:
            panel.set_ylabel(with_unit(names[p]), fontsize=9)
        if p == 0:
            panel.set_title(f"ensemble {e + 1}", fontsize=9)
    grid[0, 0].legend(loc="upper right", fontsize=8)
    figure.supxlabel("step", fontsize=10)
    return grid


def draw_limit(figure: Figure, curve: LimitCurve) -> NDArray[Any]:
    """Draw upper limits on c, and on the light fraction of component 2 in every order."""
    figure.set_size_inches(6.5, 6.0)
    figure.set_layout_engine("constrained")
    panels: NDArray[Any] = figure.subplots(2, 1, sharex=True)
    slices = [s for s in curve.slices if np.isfinite(s.c)]
    teff = [s.teff_2 for s in slices]
    light = np.array([s.light_fraction_2 for s in slices]).reshape(len(slices), -1)
    panels[0].plot(teff, [s.c for s in slices], color="C0")
    for s in slices:
        face = "white" if s.sampled_again else "C0"
        panels[0].errorbar(
            s.teff_2, s.c, xerr=0 if s.sampled_again else curve.half_width, color="C0", mfc=face,
            ms=5, fmt="none" if s.uncertain else "o",
        )  # fmt: skip
    panels[1].plot(teff, light, color="C0", lw=0.8)
    _mark_uncertain(panels, slices)
    panels[0].set_ylabel("c, 95 % upper limit")
    panels[1].set_ylabel("light fraction of component 2,\n95 % upper limit, every order")
    panels[1].set_xlabel(with_unit("teff_2"))
    for panel in panels:
        panel.set_ylim(bottom=0)
        panel.tick_params(labelsize=8)
    return panels


def _mark_uncertain(panels: NDArray[Any], slices: Sequence[LimitSlice]) -> None:
    """Cross out the limits of slices with few effective draws, and explain the crosses."""
    uncertain = [s for s in slices if s.uncertain]
    if not uncertain:
        return
    for s in uncertain:
        panels[1].plot([s.teff_2] * len(s.light_fraction_2), s.light_fraction_2, "x", color="C3")
    teff, c = ([getattr(s, name) for s in uncertain] for name in ("teff_2", "c"))
    label = f"uncertain: fewer than {MIN_CERTAIN} effective draws"
    panels[0].plot(teff, c, "x", color="C3", label=label)
    panels[0].legend(fontsize=8)


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
