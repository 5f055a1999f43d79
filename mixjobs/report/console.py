"""Tables of facts for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from mixjobs.declarations import Declaration

# Labels of facts whose names, the keys of the JSON output, are too short for a reader.
_LABELS = {
    "axes": "axis",
    "bytes": "size",
    "by": "built by",
    "heard_of": "last heartbeat",
    "is_product": "regular grid",
    "n_filled": "number of filled holes",
    "n_holes": "number of holes",
    "n_orders": "number of orders",
    "n_parameters": "number of parameters",
    "n_pixels": "number of pixels",
    "n_points": "grid points",
    "orders_from": "source of the orders",
    "orders_notes": "notes on the orders",
    "original_names": "names in the library",
    "raw": "raw fluxes",
    "flux_calibration_evidence": "flux calibration",
    "filled": "filled holes",
    "filled_error": "error of filled ln(mean flux): median, 95 %",
    "flux_level": "flux level",
    "absolute_flux_doubt": "absolute flux",
    "wavelength": "wavelength range (Å)",
}
_TEXTS = ("notes", "orders_notes", "spectra")  # lists of long texts, one in a line
_DECLARED = (
    "medium",
    "flux_unit",
    "original_names",
    "flux_calibration_evidence",
)  # the declarations state them as well


def print_facts(facts: dict[str, Any]) -> None:
    """Print a table with one row per fact, without the facts that are None."""
    table = Table(show_header=False, box=None, pad_edge=False)
    repeated = _DECLARED if facts.get("declarations") else ()
    for name, value in facts.items():
        if name in repeated:
            continue
        label = _LABELS.get(name, name.replace("_", " "))
        if name == "axes":
            for axis, values in value.items():
                count = "1 value" if len(values) == 1 else f"{len(values)} values"
                table.add_row(f"{label} {axis}", f"{count}: {_brief(values)}")
        elif name == "files":
            for path, (low, high) in value.items():
                table.add_row(f"file {Path(path).name}", f"{low:.6g} to {high:.6g} Å")
        elif name == "declarations":
            for fields in value or ():
                quantity, _, how = str(Declaration(**fields)).partition(": ")
                table.add_row(quantity, how)
        elif value is not None:
            table.add_row(label, _text(name, value))
    Console().print(table)


def _text(name: str, value: Any) -> str:
    if name == "bytes":
        return decimal(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and name in _TEXTS:
        return "\n".join(value) or "none"
    if isinstance(value, list):
        return " to ".join(f"{v:.6g}" for v in value) if name == "wavelength" else _brief(value)
    return str(value)


def _brief(values: Sequence[Any], max_values: int = 8) -> str:
    """Format a list, abbreviated if it is long."""
    texts = [f"{v:g}" if isinstance(v, float) else str(v) for v in values]
    if len(texts) > max_values:
        texts = [*texts[: max_values - 2], "...", texts[-1]]
    return ", ".join(texts) or "none"
