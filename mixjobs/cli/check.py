"""``mixjobs check``: the laws of a store, and how good each way of interpolating is."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console

from mixjobs.cli.options import say
from mixjobs.grid import Grid
from mixjobs.interpolation import METHODS
from mixjobs.model.flux_ratio import MAX_PAIRWISE_PARAMETERS, MAX_PAIRWISE_POINTS, has_pairwise
from mixjobs.model.held_out import RANKED, HeldOut, best_method, held_out
from mixjobs.orders import Orders
from mixjobs.report import store as tables
from mixjobs.report.emulator import (
    OrderQuality,
    emulator_quality,
    held_out_spectra_table,
    quality_table,
)
from mixjobs.store.format import open_store
from mixjobs.store.invariants import Law, check_laws
from mixjobs.typing import Floats

_FEW = 10  # held-out points below which a ranking says little


def check(args: Namespace) -> dict[str, Any]:
    """Check the laws, and the held-out error of every method."""
    store = open_store(args.store)
    laws = check_laws(store)
    small = has_pairwise(store.grid)
    methods = [m for m in METHODS if small or m != "pairwise"]
    results = held_out(store.grid, store.orders, store.mean_flux, methods)
    if not args.json:
        _print(laws, results, store.orders)
        if not small:
            print(
                f"pairwise left out: more than {MAX_PAIRWISE_POINTS} points or "
                f"{MAX_PAIRWISE_PARAMETERS} parameters"
            )
    quality = emulator_quality(store)
    if quality and not args.json:
        _print_emulator(quality, store.grid)
    broken = [law.name for law in laws if not law.kept]
    if broken:
        say(f"mixjobs: {args.store}: broken: {'; '.join(broken)}; build it again")
    return {
        "laws": [{"name": w.name, "deviation": w.deviation, "kept": w.kept} for w in laws],
        "held_out": [_facts(result) for result in results],
        "orders": store.orders.number.tolist(),
        "best_method": best_method(results),
        "emulator": [order.facts() for order in quality],
        "ok": not broken,
    }


def _print_emulator(quality: Sequence[OrderQuality], grid: Grid) -> None:
    console = Console()
    console.print("emulator at the grid points; residuals in units of a spectrum's mean flux")
    console.print(quality_table(quality))
    if not quality[0].held_out:
        return
    console.print("r.m.s. residual of held-out spectra, and the worst of them")
    console.print(held_out_spectra_table(quality, grid))
    factors = ", ".join(
        f"{np.median([order.held_out[a].factor for order in quality]):.2g} along {held.axis}"
        for a, held in enumerate(quality[0].held_out)
    )
    console.print(f"expected between grid points: these times {factors} (median order)")


def _print(laws: Sequence[Law], results: Sequence[HeldOut], orders: Orders) -> None:
    console = Console()
    console.print(tables.invariants_table(laws))
    if not results:
        console.print("no axis has three values, so none can be dropped and predicted")
        return
    console.print("held-out errors of q, |predicted/true - 1|: one axis value dropped and")
    console.print("predicted along that axis, over a step twice the grid's own")
    console.print(tables.held_out_table(results))
    console.print("per order, median / 95 % in per cent")
    for table in tables.held_out_by_order(results, orders):
        console.print(table)
    best, points = best_method(results), min(r.error.shape[1] for r in results)
    few = f"; with {points} point(s) on an axis that says little" if points < _FEW else ""
    console.print(
        f"best method: {best} (smallest median error, geometric mean over the axes, "
        f"of {', '.join(RANKED)}){few}"
    )


def _facts(result: HeldOut) -> dict[str, Any]:
    return {
        "axis": result.axis,
        "method": result.method,
        "median": float(np.nanmedian(result.error)),
        "percentile95": float(np.nanpercentile(result.error, 95)),
        "median_by_order": _finite(result.median),
        "percentile95_by_order": _finite(result.percentile95),
        "n_points": result.error.shape[1],
    }


def _finite(values: Floats) -> list[float | None]:
    """JSON has no NaN."""
    return [v if math.isfinite(v) else None for v in values.tolist()]
