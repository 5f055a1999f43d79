"""Figures of observed spectra, and figures and tables of computed mixtures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from rich.table import Table

from mixjobs.display import Figures
from mixjobs.files import make_folder, refuse_inside
from mixjobs.observed.spectrum import ObservedSpectrum
from mixjobs.orders import Orders
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
    wavelength_label,
)
from mixjobs.store.spectra import Spectra
from mixjobs.typing import Bools, Floats


class SpectrumPlots(Figures):
    """The figure of an observed spectrum, as ``spectrum.plot()``."""

    def __init__(self, spectrum: ObservedSpectrum) -> None:
        self._spectrum = spectrum

    def __call__(
        self, orders: Iterable[int] | None = None, ax: Axes | None = None, errors: bool = True
    ) -> tuple[Axes, ...]:
        """Draw flux, errors and masked pixels, one panel per order.

        Parameters
        ----------
        orders : sequence of int, optional
            Numbers of the orders; by default all, or 12 spread evenly over the spectrum.
        ax : Axes, optional
            Draw all these orders on one axis.
        errors : bool
            Whether to shade the range of one standard error around the flux.

        Returns
        -------
        tuple of Axes
            One per order, or `ax`.

        Raises
        ------
        InvalidInput
            An unknown order.
        """
        spectrum = self._spectrum
        rows = choose_orders(spectrum.orders, orders)
        if ax is not None:
            _draw_observed(ax, spectrum, rows, errors)
            ax.set(xlabel=wavelength_label(spectrum.medium), ylabel="flux (unit of the file)")
            ax.legend(*_unique_labels([ax]), fontsize=8)
            return (ax,)
        return self._draw(new_figure(), rows, errors)

    def all(self) -> dict[str, Figure]:
        """Draw all orders, 12 in a figure; return the figures by name.

        The names, such as ``orders_91_to_102``, have the first and the last order of the figure.
        """
        figures = {}
        numbers = self._spectrum.orders.number.tolist()
        for first in range(0, len(numbers), MAX_PANELS):
            rows = range(first, min(first + MAX_PANELS, len(numbers)))
            ends = dict.fromkeys([numbers[rows[0]], numbers[rows[-1]]])  # once for a single order
            figure = Figure()
            self._draw(figure, rows)
            figures[f"orders_{'_to_'.join(map(str, ends))}"] = figure
        return figures

    def save(self, folder: str | Path) -> Iterator[Path]:
        """Save every figure of `all` as a PNG file, and yield the files.

        Parameters
        ----------
        folder : str or Path
            It is created if it does not exist.

        Raises
        ------
        InvalidInput
            The folder cannot be created, or is inside a store or a run.
        JobFailed
            The disk is full, or the folder is not writable.
        """
        refuse_inside(Path(folder) / "figure.png")
        yield from save_figures(self.all(), make_folder(folder))

    def _draw(self, figure: Figure, rows: Sequence[int], errors: bool = True) -> tuple[Axes, ...]:
        spectrum = self._spectrum
        panels = make_panels(figure, len(rows), 1, (10.0, 1.9))
        for m, panel in zip(rows, panels, strict=True):
            _draw_observed(panel, spectrum, [m], errors)
            panel.set_title(f"order {spectrum.orders.number[m]}", fontsize=9)
        figure.legend(
            *_unique_labels(panels), loc="outside upper center", ncols=3, fontsize=8,
            title=f"{spectrum.path.name}{extent(rows, spectrum.orders)}", title_fontsize=9,
        )  # fmt: skip
        figure.supxlabel(wavelength_label(spectrum.medium), fontsize=10)
        figure.supylabel("flux (unit of the file)", fontsize=10)
        return panels


class SpectraPlots(Figures):
    """The figure of computed spectra, as ``spectra.plot()``."""

    def __init__(self, spectra: Spectra) -> None:
        self._spectra = spectra

    def __call__(
        self, orders: Iterable[int] | None = None, ax: Axes | None = None
    ) -> tuple[Axes, ...]:
        """Draw the mixture and its components, one panel per order.

        If a parameter varies, only the mixture is drawn, coloured by the parameter's value.

        Parameters
        ----------
        orders : sequence of int, optional
            Numbers of the orders; by default all, or 12 spread evenly over the spectra.
        ax : Axes, optional
            Where to draw a single order.

        Returns
        -------
        tuple of Axes
            One per order.

        Raises
        ------
        InvalidInput
            An unknown order, or several orders for one `ax`.
        """
        spectra = self._spectra
        all_orders = Orders(spectra.number, spectra.wave_min, spectra.wave_max)
        rows = choose_orders(all_orders, orders)
        if ax is None:
            return _draw_panels(new_figure(), spectra, rows)
        only_order(all_orders, rows)
        _draw_order(ax, spectra, rows[0])
        if not spectra.varied:
            ax.legend(fontsize=8)
        ax.set(xlabel=wavelength_label(spectra.notes["medium"]), ylabel=_FLUX)
        return (ax,)


_FLUX = "flux over mean flux of component 1"


def _draw_observed(
    panel: Axes, spectrum: ObservedSpectrum, rows: Sequence[int], errors: bool
) -> None:
    lows, highs = [], []
    for m in rows:
        wave, used = spectrum.wavelength[m], spectrum.mask[m]
        flux, error = (np.where(used, a[m], np.nan) for a in (spectrum.flux, spectrum.flux_error))
        if errors:
            panel.fill_between(
                wave, flux - error, flux + error, step="mid", color="C0", alpha=0.35, lw=0,
                label="standard error",
            )  # fmt: skip
        panel.plot(wave, flux, color="k", lw=0.6, drawstyle="steps-mid", label="flux")
        panel.broken_barh(
            _masked_ranges(wave, used), (0, 1), transform=panel.get_xaxis_transform(),
            color="C3", alpha=0.25, lw=0.5, label="masked",
        )  # fmt: skip
        if used.any():
            lows.append(np.nanmin(flux))
            highs.append(np.nanmax(flux))
    if lows and max(highs) > min(lows):  # of unmasked pixels only: masked values may be absurd
        margin = 0.06 * (max(highs) - min(lows))
        panel.set_ylim(min(lows) - margin, max(highs) + margin)
    panel.margins(x=0.01)


def _masked_ranges(wave: Floats, used: Bools) -> list[tuple[float, float]]:
    """Start and width of each run of masked pixels, from pixel edge to pixel edge, Å."""
    if len(wave) < 2:
        return []
    middle = (wave[1:] + wave[:-1]) / 2
    edges = np.concatenate([[wave[0]], middle, [wave[-1]]])
    change = np.flatnonzero(np.diff(np.concatenate([[False], ~used, [False]]).astype(int)))
    return [(edges[a], edges[b] - edges[a]) for a, b in change.reshape(-1, 2)]


def _unique_labels(panels: Iterable[Axes]) -> tuple[list[Artist], list[str]]:
    """Return the legend entries of several panels, each once."""
    entries: dict[str, Artist] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    return list(entries.values()), list(entries)


def draw_spectra(spectra: Spectra, rows: Sequence[int]) -> Figure:
    """Draw the mixture and its components in some orders, given by their indices.

    If a parameter varies, only the mixture is drawn, coloured by the parameter's value.
    """
    figure = Figure()
    _draw_panels(figure, spectra, rows)
    return figure


def _draw_panels(figure: Figure, spectra: Spectra, rows: Sequence[int]) -> tuple[Axes, ...]:
    panels = make_panels(figure, len(rows), 3, (4.2, 2.6))
    for m, panel in zip(rows, panels, strict=True):
        _draw_order(panel, spectra, m, colour_bar=False)
        panel.locator_params(axis="x", nbins=5)
    if spectra.varied:
        bar = figure.colorbar(_colours(spectra), ax=list(panels))
        bar.set_label(axis_label(spectra.varied))
        figure.suptitle("\n".join(spectra.labels), fontsize=9)
    else:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", fontsize=8)
    figure.supxlabel(wavelength_label(spectra.notes["medium"]), fontsize=10)
    figure.supylabel(_FLUX, fontsize=10)
    return panels


def _draw_order(panel: Axes, spectra: Spectra, m: int, colour_bar: bool = True) -> None:
    if spectra.varied:
        _draw_family(panel, spectra, m)
        if colour_bar:
            bar = figure_of(panel).colorbar(_colours(spectra), ax=panel)
            bar.set_label(axis_label(spectra.varied), fontsize=8)
    else:
        _draw_components(panel, spectra, m)


def _draw_components(panel: Axes, spectra: Spectra, m: int) -> None:
    wave = spectra.wavelength[m]
    single = len(spectra.labels) == 1
    panel.plot(
        wave, spectra.flux[m][0], "k", lw=0.8, label=spectra.labels[0] if single else "mixture"
    )
    for k, label in enumerate(() if single else spectra.labels):
        panel.plot(wave, spectra.parts[m][0, k], lw=0.8, label=label)
    light = ", ".join(f"{value:.3g}" for value in spectra.light[0, 1:, m])
    panel.set_title(_title(spectra, m, light), fontsize=9)


def _draw_family(panel: Axes, spectra: Spectra, m: int) -> None:
    colours = _colours(spectra).to_rgba(spectra.parameters[str(spectra.varied)])
    for flux, colour in zip(spectra.flux[m], colours, strict=True):
        panel.plot(spectra.wavelength[m], flux, color=colour, lw=0.8)
    low, high = spectra.light[0, 1:, m], spectra.light[-1, 1:, m]
    light = ", ".join(f"{a:.3g} to {b:.3g}" for a, b in zip(low, high, strict=True))
    panel.set_title(_title(spectra, m, light), fontsize=9)


def _title(spectra: Spectra, m: int, light: str) -> str:
    return f"order {spectra.number[m]}" + (f": c q = {light}" if light else "")


def _colours(spectra: Spectra) -> ScalarMappable:
    values = spectra.parameters[str(spectra.varied)]
    return ScalarMappable(Normalize(values[0], values[-1]), colormaps["viridis"])


def spectrum_table(spectra: Spectra) -> Table:
    """Tabulate range, q and light fractions of each order, and the mean of the mixture.

    If a parameter varies, the table has the values at its two ends.
    """
    columns = {name.replace("_", " "): values for name, values in spectra.by_component.items()}
    columns["mean of mixture"] = spectra.mean
    table = Table("order", "from (Å)", "to (Å)", *columns)
    for m, number in enumerate(spectra.number):
        ends = f"{spectra.wave_min[m]:.2f}", f"{spectra.wave_max[m]:.2f}"
        table.add_row(str(number), *ends, *(_range(values[:, m]) for values in columns.values()))
    return table


def _range(values: Floats) -> str:
    return " to ".join(f"{v:.6f}" for v in (values[[0, -1]] if len(values) > 1 else values))
