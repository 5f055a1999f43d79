"""Figures of a run: corner plot, trace plot, limits on c, and the orders."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mixjobs.display import Figures
from mixjobs.errors import InvalidInput
from mixjobs.files import make_folder, refuse_inside
from mixjobs.inference.convergence import assess
from mixjobs.inference.limit import MIN_CERTAIN, LimitCurve, LimitSlice
from mixjobs.inference.posterior import stored_posterior
from mixjobs.inference.residuals import fitted_orders
from mixjobs.inference.run import Run
from mixjobs.report.figure import new_figure, save_figures, with_unit
from mixjobs.report.order_fits import MAX_ORDERS, draw_fit, draw_fits
from mixjobs.report.orders_alone import draw_orders_alone
from mixjobs.typing import Floats
from mixjobs.units import to_integers

MAX_PARAMETERS = 10  # in one figure
_MAX_STEPS = 300  # drawn in a trace plot
_PANEL, _MARGIN = 1.5, 0.95  # of a corner plot, inches
_PALETTE = 24  # colours, enough for line plots


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

    def orders(self) -> NDArray[Any]:
        """Draw the result of every order on its own, with 68 % intervals, against its number.

        Bands show the pooled result and its error, lines the joint fit. Open symbols are not
        pooled, because the prior truncates them. Crosses disagree with the other orders.

        Returns
        -------
        (P,) array of Axes

        Raises
        ------
        InvalidInput
            The orders were not fitted alone; set ``by_order = true`` in the job.
        """
        summary = self._run.summary()
        if summary.orders_alone is None:
            raise InvalidInput(
                f"{self._run.path}: its orders were not fitted alone; set by_order = true in "
                "[sampling] and resume the run",
                name="orders",
            )
        return draw_orders_alone(new_figure(), summary.orders_alone, summary.parameters)

    def all(self) -> dict[str, Figure]:
        """Draw every figure, with at most 10 parameters in each, and return them by file name.

        The limits against `teff_2` are among them if c is not detected.
        """
        positions, burn_in = self._traces()
        curve, figures = self._limit(), dict[str, Figure]()
        if curve is not None and not curve.detected:
            draw_limit(figures.setdefault("limit", Figure()), curve)
        summary = self._run.summary()
        if summary.orders_alone is not None:
            orders = figures.setdefault("orders", Figure())
            draw_orders_alone(orders, summary.orders_alone, summary.parameters)
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
