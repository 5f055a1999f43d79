"""What the commands print for a person: tables of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mixjobs.model.held_out import HeldOut
from mixjobs.orders import Orders
from mixjobs.store.invariants import Law
from mixjobs.typing import Floats


def print_facts(facts: dict[str, Any]) -> None:
    """Print one row a fact."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in facts.items():
        if name == "axes":
            for axis, values in value.items():
                table.add_row(f"axis {axis}", f"{len(values)}: {_brief(values)}")
        elif value is not None:
            table.add_row(name, _brief(value) if isinstance(value, list) else str(value))
    Console().print(table)


def _brief(values: Sequence[Any], most: int = 8) -> str:
    """Write a list, its middle left out where it is long."""
    texts = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
    if len(texts) > most:
        texts = [*texts[: most - 2], "...", texts[-1]]
    return ", ".join(texts) or "none"


def ratio_table(orders: Orders, q: Floats, direct: Floats | None) -> Table:
    """q of each order, beside the direct ratio where both components are grid points."""
    table = Table("order", "wave_min (Å)", "wave_max (Å)", "q")
    columns = [orders.number, orders.wave_min, orders.wave_max, q]
    if direct is not None:
        table.add_column("direct")
        columns.append(direct)
    for number, low, high, *ratios in zip(*columns, strict=True):
        table.add_row(str(number), f"{low:.2f}", f"{high:.2f}", *(f"{r:.6f}" for r in ratios))
    return table


def laws_table(laws: Sequence[Law]) -> Table:
    """One row a law: its largest deviation, what is allowed, and whether it is kept."""
    table = Table("law", "largest deviation", "allowed", "kept")
    for law in laws:
        row = f"{law.deviation:.1e}", f"{law.allowed:.0e}", "yes" if law.kept else "NO"
        table.add_row(law.name, *row)
    return table


def held_out_table(results: Sequence[HeldOut]) -> Table:
    """One row an axis and method: median and 95th percentile over orders and points."""
    table = Table("axis dropped", "method", "median", "95 %", "points", "not answered")
    for result in results:
        error = result.error
        table.add_row(
            result.axis,
            result.method,
            f"{np.nanmedian(error):.2e}",
            f"{np.nanpercentile(error, 95):.2e}",
            str(error.shape[1]),
            str(int(np.isnan(error).any(axis=0).sum())),
        )
    return table


def held_out_by_order(results: Sequence[HeldOut], orders: Orders) -> list[Table]:
    """One table an axis; a row an order: median / 95th percentile of each method, in per cent."""
    tables = []
    for axis in dict.fromkeys(r.axis for r in results):
        along = [r for r in results if r.axis == axis]
        table = Table("order", *(r.method for r in along), title=f"{axis} dropped", min_width=60)
        columns = [
            [f"{100 * m:.2g}/{100 * p:.2g}" for m, p in zip(r.median, r.percentile95, strict=True)]
            for r in along
        ]
        for number, *cells in zip(orders.number, *columns, strict=True):
            table.add_row(str(number), *cells)
        tables.append(table)
    return tables
