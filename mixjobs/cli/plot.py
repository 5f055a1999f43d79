"""``mixjobs plot``: draw the figures of a store, or of a run."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from mixjobs.cli.options import make_folder, parse_theta
from mixjobs.errors import InvalidInput
from mixjobs.inference.convergence import assess
from mixjobs.inference.posterior import kept_steps, parameter_draws
from mixjobs.inference.residuals import fitted_orders
from mixjobs.inference.run import best_theta, is_run, open_run, read_chain
from mixjobs.report.posterior import draw_corners, draw_fits, draw_traces
from mixjobs.report.store import draw_all
from mixjobs.store.format import open_store

_COLOURS = 24  # of the figures of a run, which are of lines


def plot(args: Namespace) -> None:
    """Draw the figures of a store or a run, and print their names."""
    if is_run(args.store):
        plot_run(args)
        return
    if args.output is None:
        raise InvalidInput(f"{args.store}: say where its figures go, with -o DIR")
    store = open_store(args.store)
    theta1 = parse_theta(args.theta1, store.grid, "theta1") if args.theta1 else None
    for path in save(draw_all(store, theta1, args.method), args.output):
        print(path)


def plot_run(args: Namespace) -> None:
    """Draw the traces, the joint distributions and the best fit of a run so far."""
    run = open_run(args.store)
    chain, logp = read_chain(run.folder), run.log_probability
    judged = assess(chain.positions)
    theta = chain.positions[:, kept_steps(judged, chain.log_probability.shape)]
    draws = parameter_draws(logp.parameters, theta.reshape(-1, len(logp.names)))
    figures = {
        **draw_corners({name: draws[name] for name in logp.names}),
        **draw_traces(chain.positions, logp.names, judged.burn),
        **draw_fits(fitted_orders(logp, best_theta(chain))),
    }
    for path in save(figures, args.output or run.folder.path / "figures", _COLOURS):
        print(path)


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
