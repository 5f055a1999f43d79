"""``mixjobs plot``: draw the figures of a store, or of a run."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from mixjobs.cli.options import make_folder, parse_theta
from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.inference.run import open_run
from mixjobs.inference.run_folder import is_run
from mixjobs.report.emulator import draw_quality, emulator_quality
from mixjobs.report.store import draw_all
from mixjobs.store.format import open_store
from mixjobs.typing import Floats

_COLOURS = 24  # of the figures of a run, which are of lines


def plot(args: Namespace) -> None:
    """Draw the figures of a store or a run, and print their names."""
    if is_run(args.store):
        plot_run(args)
        return
    if args.output is None:
        raise InvalidInput(f"{args.store}: say where its figures go, with -o DIR")
    store = open_store(args.store)
    theta1 = (
        parse_theta(args.theta1, store.grid, "theta1") if args.theta1 else middle_point(store.grid)
    )
    figures = draw_all(store, theta1, args.method)
    quality = emulator_quality(store)
    if quality:
        figures["emulator"] = draw_quality(quality)
    for path in save(figures, args.output):
        print(path)


def plot_run(args: Namespace) -> None:
    """Draw the traces, the joint distributions and the best fit of a run so far."""
    run = open_run(args.store)
    for path in save(run.plot.all(), args.output or run.path / "figures", _COLOURS):
        print(path)


def middle_point(grid: Grid) -> Floats:
    """Return the grid point nearest to the middle of the axes, counted in their steps."""
    middle = [(len(axis) - 1) / 2 for axis in grid.axes]
    point: Floats = grid.points[np.argmin(((grid.index - middle) ** 2).sum(axis=1))]
    return point


def save(
    figures: Mapping[str, Figure], folder: str | Path, colours: int | None = None
) -> Iterator[Path]:
    """Write figures into a folder as PNG, and give the files.

    With a number of colours their files have so many at most, and a third of the size.
    """
    made = make_folder(folder)
    for name, figure in figures.items():
        path = made / f"{name}.png"
        figure.savefig(path, dpi=120)
        if colours is not None:
            with Image.open(path) as image:
                reduced = image.convert("RGB").quantize(colours)
            reduced.save(path, optimize=True)
        yield path
