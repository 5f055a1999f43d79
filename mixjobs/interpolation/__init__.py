"""Interpolation between the points of a grid: `cubic`, `linear` and `simplex`."""

from __future__ import annotations

from typing import Literal, get_args

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.interpolation.cells import Cells, Cubic, Interpolation, Linear
from mixjobs.interpolation.filling import Filled, Filling
from mixjobs.interpolation.simplex import CellSimplex, DelaunaySimplex

Method = Literal["cubic", "linear", "simplex", "pairwise", "blackbody"]
METHODS: tuple[Method, ...] = get_args(Method)
Outside = Literal["raise", "nan"]
Holes = Literal["refuse", "interpolate"]


def default_method(grid: Grid) -> Method:
    """Return "cubic", or "simplex" for an irregular grid."""
    return "cubic" if grid.is_product else "simplex"


def interpolation(grid: Grid, method: Method, filling: Filling | None = None) -> Interpolation:
    """Prepare to interpolate on a grid.

    Holes are filled only where they have grid points around them. Wherever the interpolation is
    valid without filled points, they do not change it, to the last bit.

    Parameters
    ----------
    grid : Grid
    method : {"cubic", "linear", "simplex"}
    filling : Filling, optional
        Holes of the grid to fill from their neighbours.

    Raises
    ------
    InvalidInput
        Another method, or one that needs a product grid on an irregular grid.
    """
    if filling is not None and len(filling):
        return Filled(_between(filling.grid, method, grid), filling)
    return _between(grid, method)


def _between(grid: Grid, method: Method, library_grid: Grid | None = None) -> Interpolation:
    is_product = (library_grid or grid).is_product
    if method == "simplex":
        return CellSimplex(Cells(grid)) if is_product else DelaunaySimplex(grid)
    if method not in ("cubic", "linear"):
        raise InvalidInput(
            f"unknown method {method!r}; choose from {', '.join(METHODS)}",
            name="method",
            value=method,
        )
    if not is_product:
        raise InvalidInput(
            f"{method} needs a grid that is a product of its axes, with or without holes, and this "
            "grid is irregular; use simplex",
            name="method",
            value=method,
        )
    return Cubic(Cells(grid), library_grid) if method == "cubic" else Linear(Cells(grid))
