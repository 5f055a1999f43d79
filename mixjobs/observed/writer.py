"""Observed spectra written as ECSV tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.files import atomic_write
from mixjobs.typing import Floats


def write_spectrum(
    path: Path, orders: Sequence[tuple[int, Floats, Floats, Floats]], notes: Mapping[str, Any]
) -> None:
    """Write a spectrum as an ECSV table that `mixjobs.open_spectrum` reads.

    Parameters
    ----------
    path : Path
        An existing file is replaced.
    orders : sequence of (number, wavelength, flux, flux_error)
        One entry per order, with (n_pixels,) arrays; wavelengths in Å.
    notes : mapping
        Metadata of the table, such as ``{"medium": "vacuum", "barycentric_velocity": 0.0}``.

    Raises
    ------
    JobFailed
        The disk is full, or the path is not writable.
    """
    from astropy import units  # takes half a second to import
    from astropy.table import Table

    table = Table({"order": np.repeat([o[0] for o in orders], [len(o[1]) for o in orders])})
    for column, name in enumerate(("wavelength", "flux", "sigma"), start=1):
        table[name] = np.concatenate([order[column] for order in orders])
    table["wavelength"].unit = units.AA
    table.meta.update(notes)
    with atomic_write(path) as temporary:
        table.write(temporary, format="ascii.ecsv")
