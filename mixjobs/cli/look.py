"""``mixjobs info``, ``ratio``, ``check`` and ``plot``: look at a library or a store."""

from __future__ import annotations

import math
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from mixjobs.cli.build import parse_floats, say
from mixjobs.errors import InvalidInput, MissingFile
from mixjobs.grid import Grid, Theta
from mixjobs.library import open_library
from mixjobs.model.flux_ratio import MAX_PAIRWISE_POINTS, METHODS, flux_ratio
from mixjobs.model.held_out import held_out
from mixjobs.report import figures, tables
from mixjobs.report.describe import describe_library, describe_store
from mixjobs.tables.laws import check_laws
from mixjobs.tables.store import open_store, partial_path

Floats = NDArray[np.float64]


def info(args: Namespace) -> dict[str, Any]:
    """Say what a library or a store holds."""
    path = Path(args.path)
    if not path.exists() and not partial_path(path).exists():
        raise MissingFile(f"{path}: no such library or store")
    is_store = path.is_dir() or not path.exists()
    facts = describe_store(path) if is_store else describe_library(open_library(path))
    if not args.json:
        tables.print_facts(facts)
    return facts


def ratio(args: Namespace) -> dict[str, Any]:
    """Print q of every order."""
    store = open_store(args.store)
    grid = store.grid
    theta1, theta2 = (parse_theta(text, grid) for text in (args.theta1, args.theta2))
    q = flux_ratio(grid, store.orders, store.mean_flux, args.method)(theta1, theta2)
    rows = grid.row(theta1), grid.row(theta2)
    direct = None
    if rows[0] is not None and rows[1] is not None:
        direct = store.mean_flux[:, rows[1]] / store.mean_flux[:, rows[0]]
    if not args.json:
        Console().print(tables.ratio_table(store.orders, q, direct))
    return {
        "method": args.method,
        "theta1": grid.theta(theta1).tolist(),
        "theta2": grid.theta(theta2).tolist(),
        "orders": store.orders.number.tolist(),
        "q": q.tolist(),
        "direct": None if direct is None else direct.tolist(),
    }


def parse_theta(text: str, grid: Grid) -> Theta:
    """Read theta by position (``6000,4.0,0``) or by name (``teff=6000,logg=4.0``)."""
    if "=" not in text:
        return grid.theta(parse_floats(text))
    values: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name.strip() in values:
            raise InvalidInput(f"theta {text!r} gives {name.strip()} twice")
        (values[name.strip()],) = parse_floats(number)
    return grid.theta(values)


def check(args: Namespace) -> dict[str, Any]:
    """Check the laws, and the held-out error of every method."""
    store = open_store(args.store)
    laws = check_laws(store)
    small = len(store.grid) <= MAX_PAIRWISE_POINTS
    methods = [m for m in METHODS if small or m != "pairwise"]
    results = held_out(store.grid, store.orders, store.mean_flux, methods)
    best = tables.best_method(results)
    if not args.json:
        console = Console()
        console.print(tables.laws_table(laws))
        console.print("held-out errors of q, |predicted/true - 1|: one axis value dropped and")
        console.print("predicted along that axis, over a step twice the grid's own")
        console.print(tables.held_out_table(results))
        console.print("per order, median / 95 % in per cent")
        for table in tables.held_out_by_order(results, store.orders):
            console.print(table)
        console.print(f"best method: {best}")
        if not small:
            console.print(f"pairwise left out: more than {MAX_PAIRWISE_POINTS} points")
    broken = [law.name for law in laws if not law.kept]
    if broken:
        say(f"{args.store}: broken: {', '.join(broken)}; build it again")
    return {
        "laws": [{"name": w.name, "deviation": w.deviation, "kept": w.kept} for w in laws],
        "held_out": [
            {
                "axis": r.axis,
                "method": r.method,
                "median": float(np.nanmedian(r.error)),
                "percentile95": float(np.nanpercentile(r.error, 95)),
                "median_by_order": _finite(r.median),
                "percentile95_by_order": _finite(r.percentile95),
                "n_points": r.error.shape[1],
            }
            for r in results
        ],
        "orders": store.orders.number.tolist(),
        "best_method": best,
        "ok": not broken,
    }


def _finite(values: Floats) -> list[float | None]:
    """JSON has no NaN."""
    return [v if math.isfinite(v) else None for v in values.tolist()]


def plot(args: Namespace) -> None:
    """Draw the figures of a store."""
    store = open_store(args.store)
    middle = store.grid.points[len(store.grid) // 2]
    theta1 = store.grid.theta(parse_theta(args.theta1, store.grid)) if args.theta1 else middle
    for path in figures.draw_all(store, theta1, args.method, Path(args.output)):
        print(path)
