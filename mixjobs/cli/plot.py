"""``mixjobs plot``: the figures of a store or a run."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from mixjobs.cli.options import make_folder
from mixjobs.errors import InvalidInput, MissingFile
from mixjobs.inference.run import open_run
from mixjobs.inference.run_folder import is_run
from mixjobs.report.store import draw_all
from mixjobs.store.format import open_store, partial_path

_COLOURS = 24  # enough for line plots


def plot(args: Namespace) -> None:
    """Draw the figures of a store or a run, and print the names of the files."""
    if is_run(args.store):
        run = open_run(args.store)
        figures = save(run.plot.all(), args.output or run.path / "figures", _COLOURS)
    elif not Path(args.store).exists() and not partial_path(args.store).exists():
        raise MissingFile(f"{args.store}: no such store or run; check the path", path=args.store)
    elif args.output is None:
        raise InvalidInput(
            f"{args.store}: no folder for the figures; name one with --output", name="output"
        )
    else:
        figures = save(draw_all(open_store(args.store), args.theta1, args.method), args.output)
    for path in figures:
        print(path)


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
