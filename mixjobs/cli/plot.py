"""``mixjobs plot``: draw the figures of a store."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mixjobs.cli.words import make_folder, parse_theta
from mixjobs.grid import Grid
from mixjobs.report.emulator import draw_quality, emulator_quality
from mixjobs.report.figures import draw_all
from mixjobs.tables.store import open_store

Floats = NDArray[np.float64]


def plot(args: Namespace) -> None:
    """Draw the figures of a store, and print their names."""
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


def middle_point(grid: Grid) -> Floats:
    """Return the grid point nearest to the middle of the axes, counted in their steps."""
    middle = [(len(axis) - 1) / 2 for axis in grid.axes]
    point: Floats = grid.points[np.argmin(((grid.index - middle) ** 2).sum(axis=1))]
    return point


def save(figures: Mapping[str, Figure], folder: str | Path) -> Iterator[Path]:
    """Write figures into a folder as PNG, and give the files."""
    made = make_folder(folder)
    for name, figure in figures.items():
        path = made / f"{name}.png"
        figure.savefig(path, dpi=120)
        yield path
