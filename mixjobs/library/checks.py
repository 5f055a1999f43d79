"""What every format checks: its wavelengths and its grid, with the library named in the error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import LibraryError
from mixjobs.grid import Grid

Floats = NDArray[np.float64]


def check_wavelength(wavelength: Floats, path: str | Path) -> None:
    """Refuse wavelengths (n_pixels,) that are not finite, positive and ascending.

    Raises
    ------
    LibraryError
    """
    if not (np.isfinite(wavelength) & (wavelength > 0)).all():
        raise LibraryError(f"{path}: wavelengths must be finite and positive; mend the file")
    wrong = np.flatnonzero(np.diff(wavelength) <= 0)
    if len(wrong):
        raise LibraryError(
            f"{path}: wavelengths must ascend, and do not at pixel {wrong[0] + 1} "
            f"({wavelength[wrong[0]]:.6f} then {wavelength[wrong[0] + 1]:.6f} Å)"
        )


def make_grid(points: Floats, names: tuple[str, ...], path: str | Path) -> Grid:
    """Return the grid of these points (N, D).

    Raises
    ------
    LibraryError
        What `Grid` refuses, with the library's name before it.
    """
    try:
        return Grid(points, names)
    except LibraryError as error:
        raise LibraryError(f"{path}: {error}") from None
