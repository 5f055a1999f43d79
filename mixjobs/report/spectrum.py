"""Figures of a mixture's spectra."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from rich.table import Table

from mixjobs.store.spectra import Spectra
from mixjobs.typing import Floats

_UNITS = {"teff": "K", "rv": "km/s", "vsini": "km/s"}


def draw_spectra(spectra: Spectra, rows: Sequence[int]) -> Figure:
    """Draw the whole and its parts, a panel an order (a row of the spectra).

    Where a parameter varies, the whole for each of its values, by colour.
    """
    n_columns = min(3, len(rows))
    n_rows = -(-len(rows) // n_columns)
    size = max(4.2 * n_columns, 7), 2.6 * n_rows + 1.0
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for m, panel in zip(rows, panels, strict=False):
        if spectra.varied:
            _draw_family(panel, spectra, m)
        else:
            _draw_parts(panel, spectra, m)
        panel.tick_params(labelsize=8)
    for panel in panels[len(rows) :]:
        panel.remove()
    shown = panels[: len(rows)]
    if spectra.varied:
        bar = figure.colorbar(_colours(spectra), ax=list(shown))
        bar.set_label(_with_unit(spectra.varied))
        figure.suptitle("\n".join(spectra.labels), fontsize=9)
    else:
        handles, labels = shown[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", fontsize=8)
    figure.supxlabel(f"wavelength (Å, {spectra.notes['medium']})", fontsize=10)
    figure.supylabel("flux over mean of component 1", fontsize=10)
    return figure


def _draw_parts(panel: Axes, spectra: Spectra, m: int) -> None:
    wave = spectra.wavelength[m]
    single = len(spectra.labels) == 1
    whole = spectra.labels[0] if single else "whole"
    panel.plot(wave, spectra.flux[m][0], "k", lw=0.8, label=whole)
    for k, label in enumerate(() if single else spectra.labels):
        panel.plot(wave, spectra.parts[m][0, k], lw=0.8, label=label)
    lights = ", ".join(f"{light:.3g}" for light in spectra.light[0, 1:, m])
    title = f"order {spectra.number[m]}" + (f": c q = {lights}" if lights else "")
    panel.set_title(title, fontsize=9)


def _draw_family(panel: Axes, spectra: Spectra, m: int) -> None:
    colours = _colours(spectra).to_rgba(spectra.parameters[str(spectra.varied)])
    for flux, colour in zip(spectra.flux[m], colours, strict=True):
        panel.plot(spectra.wavelength[m], flux, color=colour, lw=0.8)
    low, high = spectra.light[0, 1:, m], spectra.light[-1, 1:, m]
    lights = ", ".join(f"{a:.3g} to {b:.3g}" for a, b in zip(low, high, strict=True))
    title = f"order {spectra.number[m]}" + (f": c q = {lights}" if lights else "")
    panel.set_title(title, fontsize=9)


def _colours(spectra: Spectra) -> ScalarMappable:
    values = spectra.parameters[str(spectra.varied)]
    return ScalarMappable(Normalize(values[0], values[-1]), colormaps["viridis"])


def _with_unit(name: str) -> str:
    unit = _UNITS.get(name.partition("_")[0])
    return f"{name} ({unit})" if unit else name


def spectrum_table(spectra: Spectra) -> Table:
    """Segment, q and light of the components after the first, and the mean of the mixture.

    Where a parameter varies, those of its first and last value.
    """
    columns = {n.replace("_", " "): v for n, v in spectra.by_component.items()}
    columns["mean f_mix"] = spectra.mean
    table = Table("order", "wave_min (Å)", "wave_max (Å)", *columns)
    for m, number in enumerate(spectra.number):
        window = f"{spectra.wave_min[m]:.2f}", f"{spectra.wave_max[m]:.2f}"
        table.add_row(str(number), *window, *(_ends(values[:, m]) for values in columns.values()))
    return table


def _ends(values: Floats) -> str:
    return " to ".join(f"{v:.6f}" for v in (values[[0, -1]] if len(values) > 1 else values))
