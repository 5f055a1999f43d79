"""Observed spectra written as ECSV tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.typing import Floats


def write_spectrum(
    path: Path, orders: Sequence[tuple[int, Floats, Floats, Floats]], notes: Mapping[str, Any]
) -> None:
    """Write an observed spectrum as ECSV, as `mixjobs.open_spectrum` reads it.

    Of each order its number, wavelengths (Å), fluxes and their standard errors.
    """
    from astropy import units  # half a second
    from astropy.table import Table

    table = Table({"order": np.repeat([o[0] for o in orders], [len(o[1]) for o in orders])})
    for column, name in enumerate(("wavelength", "flux", "sigma"), start=1):
        table[name] = np.concatenate([order[column] for order in orders])
    table["wavelength"].unit = units.AA
    table.meta.update(notes)
    table.write(path, format="ascii.ecsv", overwrite=True)
