"""Tables of facts for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def print_facts(facts: dict[str, Any]) -> None:
    """Print a table with one row per fact, without the facts that are None."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in facts.items():
        if name == "axes":
            for axis, values in value.items():
                table.add_row(f"axis {axis}", f"{len(values)}: {_brief(values)}")
        elif value is not None:
            table.add_row(name, _brief(value) if isinstance(value, list) else str(value))
    Console().print(table)


def _brief(values: Sequence[Any], max_values: int = 8) -> str:
    """Format a list, abbreviated if it is long."""
    texts = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
    if len(texts) > max_values:
        texts = [*texts[: max_values - 2], "...", texts[-1]]
    return ", ".join(texts) or "none"
