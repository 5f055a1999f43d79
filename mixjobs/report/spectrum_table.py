"""What ``mixjobs spectrum`` prints: a row an order."""

from __future__ import annotations

from rich.table import Table

from mixjobs.store.spectra_files import Spectra
from mixjobs.typing import Floats


def spectrum_table(spectra: Spectra) -> Table:
    """Window, q and light of the components after the first, and the mean of the mixture.

    Where a parameter varies, those of its first and last value.
    """
    columns = {n.replace("_", " "): v for n, v in spectra.by_component.items()}
    columns["mean f_mix"] = spectra.mean
    table = Table("order", "wave_min (Å)", "wave_max (Å)", *columns)
    for m, number in enumerate(spectra.number):
        window = f"{spectra.wave_min[m]:.2f}", f"{spectra.wave_max[m]:.2f}"
        table.add_row(str(number), *window, *(_ends(values[:, m]) for values in columns.values()))
    return table


def _ends(values: Floats) -> str:
    return " to ".join(f"{v:.6f}" for v in (values[[0, -1]] if len(values) > 1 else values))
