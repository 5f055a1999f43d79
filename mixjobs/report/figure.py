"""Common parts of figures: panels, choice of orders, and labels."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from mixjobs.errors import InvalidInput
from mixjobs.files import write_whole
from mixjobs.orders import Orders
from mixjobs.units import PARAMETER_UNITS, SUFFIXES, to_integers

MAX_PANELS = 12  # in one figure
_LABELS = {
    "teff": ("effective temperature", "K"),
    "logg": ("log g", "dex(cm/s²)"),
    "feh": ("[Fe/H]", "dex"),
    "alpha": ("[α/Fe]", "dex"),
    "vsini": ("v sin i", "km/s"),
    "rv": ("radial velocity", "km/s"),
    "c": ("filling factor c", ""),
}
_UNITS = {**PARAMETER_UNITS, "log_length": "log10 km/s"}
_MAX_LABEL = 15  # characters that fit next to a panel


def new_figure() -> Figure:
    """Make an empty figure, which notebooks and ``pyplot.show`` display.

    Both display only the figures of pyplot. But pyplot keeps its figures in memory until they are
    closed, and its backend may need a display. Pyplot is therefore used only in IPython, and after
    ``import matplotlib.pyplot``. Any other program gets a plain figure.
    """
    ipython = sys.modules.get("IPython")
    interactive = ipython is not None and ipython.get_ipython() is not None
    if interactive or "matplotlib.pyplot" in sys.modules:
        from matplotlib import pyplot  # slow to import, and it chooses a backend

        return pyplot.figure()
    return Figure()


def save_figures(
    figures: Mapping[str, Figure], folder: Path, colours: int | None = None
) -> Iterator[Path]:
    """Write figures to a folder as PNG files, each completely or not at all, and yield the files.

    Parameters
    ----------
    figures : mapping of str to Figure
        By the name of the file, without its ending.
    folder : Path
        An existing folder.
    colours : int, optional
        Size of a palette, which makes the files three times smaller.

    Raises
    ------
    JobFailed
        The disk is full, or the folder is not writable.
    """
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        image = BytesIO()
        figure.savefig(image, dpi=120, format="png")
        if colours is not None:
            with Image.open(image) as full:
                reduced = full.convert("RGB").quantize(colours)
            image = BytesIO()
            reduced.save(image, format="png", optimize=True)
        write_whole(path, image.getvalue())
        yield path


def make_panels(
    figure: Figure, n: int, columns: int, size: tuple[float, float], sharex: bool = False
) -> tuple[Axes, ...]:
    """Divide an empty figure into n panels, row by row.

    Parameters
    ----------
    figure : Figure
    n : int
        Number of panels.
    columns : int
        Panels side by side, at most.
    size : (float, float)
        Width and height of a panel, inches.
    sharex : bool
        Whether the panels share their x axis.

    Returns
    -------
    tuple of n Axes
    """
    columns = min(columns, n)
    rows = -(-n // columns)
    figure.set_size_inches(max(size[0] * columns, 6.0), size[1] * rows + 0.9)
    figure.set_layout_engine("constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=sharex).ravel()
    for above, below in zip(panels[n - columns : n], panels[n:], strict=False):
        above.tick_params(labelbottom=True)
        below.remove()
    for panel in panels[:n]:
        panel.tick_params(labelsize=8)
    return tuple(panels[:n])


def choose_orders(orders: Orders, numbers: Iterable[int] | None) -> list[int]:
    """Return the indices of the orders to draw; by default all, or 12 evenly spaced ones.

    Raises
    ------
    InvalidInput
        There is no order with such a number, or the list is empty.
    """
    if numbers is None:
        evenly = np.linspace(0, len(orders) - 1, min(len(orders), MAX_PANELS)).round()
        return [int(row) for row in evenly]
    wanted = to_integers(numbers, "orders")
    if not wanted:
        raise InvalidInput("no orders to draw; name at least one", name="orders", value=wanted)
    orders.select(wanted)
    rows = orders.number.tolist()
    return [rows.index(number) for number in wanted]


def only_order(orders: Orders, rows: Sequence[int]) -> None:
    """Refuse to draw several orders on one axis.

    Raises
    ------
    InvalidInput
        There are several orders.
    """
    if len(rows) > 1:
        raise InvalidInput(
            f"cannot draw {len(rows)} orders on one ax; choose one order, "
            f"for example orders=[{orders.number[rows[0]]}]",
            name="ax",
        )


def extent(rows: Sequence[int], orders: Orders) -> str:
    """State how many orders a figure shows, unless it shows all of them."""
    return f" ({len(rows)} of {len(orders)} orders)" if len(rows) < len(orders) else ""


def figure_of(axes: Axes) -> Figure:
    """Return the figure of an axis."""
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure


def axis_label(name: str) -> str:
    """Label an axis with the meaning and the unit of a parameter.

    Examples
    --------
    >>> [axis_label(name) for name in ("rv_2", "c", "age")]
    ['radial velocity of component 2 (km/s)', 'filling factor c', 'age']
    """
    stem, _, component = re.fullmatch(r"(.*?)(_(\d+))?", name).groups()  # type: ignore[union-attr]
    words, unit = _LABELS.get(stem, (stem, ""))
    owner = f" of component {component}" if component else ""
    return f"{words}{owner}" + (f" ({unit})" if unit else "")


def wavelength_label(medium: str | None) -> str:
    """Label a wavelength axis, with the medium if it is known."""
    return f"wavelength in {medium} (Å)" if medium in ("air", "vacuum") else "wavelength (Å)"


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
