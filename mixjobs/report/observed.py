"""Descriptions of observed spectra, as plain values and as tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mixjobs.declarations import Declaration
from mixjobs.observed.spectrum import ObservedSpectrum
from mixjobs.orders import number_list
from mixjobs.report.console import print_facts
from mixjobs.wavelengths import SPEED_OF_LIGHT


def describe_spectrum(spectrum: ObservedSpectrum) -> dict[str, Any]:
    """Describe an observed spectrum: orders, ranges, S/N, medium, and what was assumed.

    Returns
    -------
    dict
        Plain values that JSON can hold. Each of its ``orders`` has ``order``, ``wavelength`` (the
        ends, Å), ``n_pixels``, ``n_used``, ``snr`` (the median of flux over error of the pixels to
        use, per pixel; None without any) and ``pixel_width`` (median, km/s; None for one pixel).
    """
    used = [int(mask.sum()) for mask in spectrum.mask]
    low, high = spectrum.orders.wave_min.min(), spectrum.orders.wave_max.max()
    return {
        "kind": "spectrum",
        "path": str(spectrum.path),
        "n_orders": len(spectrum.orders),
        "numbered": spectrum.numbered,
        "wavelength": [float(low), float(high)],
        "n_pixels": sum(map(len, spectrum.wavelength)),
        "n_used": sum(used),
        "medium": spectrum.medium,
        "frame": spectrum.frame,
        "barycentric_velocity": spectrum.barycentric_velocity,
        "orders": [_describe_order(spectrum, m) for m in range(len(spectrum.orders))],
        "declarations": [asdict(declaration) for declaration in spectrum.declarations],
        "notes": list(spectrum.notes),
    }


def _describe_order(spectrum: ObservedSpectrum, m: int) -> dict[str, Any]:
    wave, used = spectrum.wavelength[m], spectrum.mask[m]
    ratio = spectrum.flux[m][used] / spectrum.flux_error[m][used]
    width = SPEED_OF_LIGHT * np.diff(np.log(wave))
    return {
        "order": int(spectrum.orders.number[m]),
        "wavelength": [float(wave[0]), float(wave[-1])],
        "n_pixels": len(wave),
        "n_used": int(used.sum()),
        "snr": float(np.median(ratio)) if len(ratio) else None,
        "pixel_width": float(np.median(width)) if len(width) else None,
    }


def print_spectrum(facts: dict[str, Any]) -> None:
    """Print the description of a spectrum: facts, declarations, notes, and a table of orders."""
    numbers = number_list(order["order"] for order in facts["orders"])
    velocity = facts["barycentric_velocity"]
    low, high = facts["wavelength"]
    rows = {
        "kind": facts["kind"],
        "path": facts["path"],
        "orders": f"{facts['n_orders']} ({numbers}{'' if facts['numbered'] else ', not numbered'})",
        "range": f"{low:.6g} to {high:.6g} Å",
        "pixels": f"{facts['n_used']} to use of {facts['n_pixels']}",
        "medium": facts["medium"] or "not declared",
        "frame": facts["frame"],
        "barycentric velocity": None if velocity is None else f"{velocity:g} km/s",
    }
    for fields in facts["declarations"]:
        quantity, _, text = str(Declaration(**fields)).partition(": ")
        rows[quantity if quantity in ("medium", "frame") else f"{quantity} from"] = text
    rows["notes"] = "\n".join(facts["notes"]) or "none"
    print_facts(rows)
    Console().print(order_table(facts["orders"]))


def order_table(orders: list[dict[str, Any]]) -> Table:
    """Tabulate the orders of a described spectrum."""
    table = Table("order", "from (Å)", "to (Å)", "pixels", "to use", "S/N", "pixel (km/s)")
    for order in orders:
        low, high = order["wavelength"]
        numbers = (order[name] for name in ("snr", "pixel_width"))
        table.add_row(
            str(order["order"]), f"{low:.2f}", f"{high:.2f}", str(order["n_pixels"]),
            str(order["n_used"]), *("-" if value is None else f"{value:.3g}" for value in numbers),
        )  # fmt: skip
    return table
