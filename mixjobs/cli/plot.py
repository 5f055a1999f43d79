"""``mixjobs plot``: the figures of a store or a run."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from mixjobs.cli.options import make_folder
from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.inference.convergence import assess
from mixjobs.inference.posterior import kept_steps, parameter_draws
from mixjobs.inference.residuals import fitted_orders
from mixjobs.inference.run import best_theta, is_run, open_run, read_chain
from mixjobs.report.emulator import draw_quality, emulator_quality
from mixjobs.report.posterior import draw_corners, draw_fits, draw_traces
from mixjobs.report.store import draw_all
from mixjobs.store.format import open_store
from mixjobs.typing import Floats

_COLOURS = 24  # enough for line plots


def plot(args: Namespace) -> None:
    """Draw the figures of a store or a run, and print the names of the files."""
    if is_run(args.store):
        plot_run(args)
        return
    if args.output is None:
        raise InvalidInput(
            f"{args.store}: no folder for the figures; give one with -o FOLDER", name="output"
        )
    store = open_store(args.store)
    theta1 = store.grid.theta(args.theta1) if args.theta1 else middle_point(store.grid)
    figures = draw_all(store, theta1, args.method)
    quality = emulator_quality(store)
    if quality:
        figures["emulator"] = draw_quality(quality)
    for path in save(figures, args.output):
        print(path)


def plot_run(args: Namespace) -> None:
    """Draw the traces, the corner plots and the best fit of a run, finished or not."""
    run = open_run(args.store)
    chain, logp = read_chain(run.folder), run.log_probability
    convergence = assess(chain.positions)
    theta = chain.positions[:, kept_steps(convergence, chain.log_probability.shape)]
    draws = parameter_draws(logp.parameters, theta.reshape(-1, len(logp.names)))
    figures = {
        **draw_corners({name: draws[name] for name in logp.names}),
        **draw_traces(chain.positions, logp.names, convergence.burn),
        **draw_fits(fitted_orders(logp, best_theta(chain))),
    }
    for path in save(figures, args.output or run.folder.path / "figures", _COLOURS):
        print(path)


def middle_point(grid: Grid) -> Floats:
    """Return the grid point nearest to the middle of the axes, in units of their steps."""
    middle = [(len(axis) - 1) / 2 for axis in grid.axes]
    point: Floats = grid.points[np.argmin(((grid.index - middle) ** 2).sum(axis=1))]
    return point


def save(
    figures: Mapping[str, Figure], folder: str | Path, colours: int | None = None
) -> Iterator[Path]:
    """Write figures to a folder as PNG files, and yield the files.

    A palette of `colours` makes the files three times smaller.
    """
    parent = make_folder(folder)
    for name, figure in figures.items():
        path = parent / f"{name}.png"
        figure.savefig(path, dpi=120)
        if colours is not None:
            with Image.open(path) as image:
                reduced = image.convert("RGB").quantize(colours)
            reduced.save(path, optimize=True)
        yield path
