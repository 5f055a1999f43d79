"""What every format checks: its wavelengths and its grid, with the library named in the error."""

from __future__ import annotations

from pathlib import Path

from mixjobs.errors import LibraryError
from mixjobs.grid import Grid
from mixjobs.typing import Floats


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
