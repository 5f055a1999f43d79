"""``mixjobs plot``: draw the figures of a store."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from mixjobs.cli.words import make_folder, parse_theta
from mixjobs.report.figures import draw_all
from mixjobs.tables.store import open_store


def plot(args: Namespace) -> None:
    """Draw the figures of a store, and print their names."""
    store = open_store(args.store)
    middle = store.grid.points[len(store.grid) // 2]
    theta1 = parse_theta(args.theta1, store.grid) if args.theta1 else middle
    for path in save(draw_all(store, theta1, args.method), args.output):
        print(path)


def save(figures: Mapping[str, Figure], folder: str | Path) -> Iterator[Path]:
    """Write figures into a folder as PNG, and give the files."""
    made = make_folder(folder)
    for name, figure in figures.items():
        path = made / f"{name}.png"
        figure.savefig(path, dpi=120)
        yield path
