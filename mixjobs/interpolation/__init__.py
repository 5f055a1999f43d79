"""Interpolation between the points of a grid."""

from __future__ import annotations

from typing import Literal, get_args

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.interpolation.cells import Cells, Cubic, Interpolation, Linear
from mixjobs.interpolation.simplex import CellSimplex, DelaunaySimplex

Method = Literal["cubic", "linear", "simplex", "pairwise", "blackbody"]
METHODS: tuple[Method, ...] = get_args(Method)
Outside = Literal["raise", "nan"]


def default_method(grid: Grid) -> Method:
    """Return `cubic`, or `simplex` for an irregular grid."""
    return "cubic" if grid.is_product else "simplex"


def interpolation(grid: Grid, method: Method) -> Interpolation:
    """Return the interpolation on a grid for "cubic", "linear" or "simplex".

    Raises
    ------
    InvalidInput
        Another method, or one that an irregular grid cannot have.
    """
    if method == "simplex":
        return CellSimplex(Cells(grid)) if grid.is_product else DelaunaySimplex(grid)
    if method not in ("cubic", "linear"):
        raise InvalidInput(f"method {method!r} is unknown; choose from {', '.join(METHODS)}")
    if not grid.is_product:
        raise InvalidInput(
            f"{method} needs a grid that is a product of its axes (holes allowed); "
            "this one is irregular; use simplex"
        )
    return Cubic(Cells(grid)) if method == "cubic" else Linear(Cells(grid))
