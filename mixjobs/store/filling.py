"""The holes of a store's grid: refused, or filled from their neighbours.

A store that was built with ``holes = "interpolate"`` marks the filled points in arrays of their
own: their theta, the grid points from which they are filled, the weights of these, the error, and
the resulting mean fluxes. All other arrays are the same as without filling.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import zarr

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid, describe_points
from mixjobs.interpolation import Holes
from mixjobs.interpolation.cells import Cells
from mixjobs.interpolation.filling import Filling, fill_holes
from mixjobs.interpolation.holes import Nodes, theta_at
from mixjobs.store.checksums import open_node, unusable
from mixjobs.store.format import Store, create_small_array, read_array
from mixjobs.store.zarr_settings import default_settings
from mixjobs.typing import Floats

_ATTRIBUTE = "holes"
_DIMS = {
    "filled_points": ("filled_point", "parameter"),
    "filled_from": ("filled_point", "neighbour"),
    "filled_weights": ("filled_point", "neighbour"),
    "filled_error": ("filled_point", "statistic"),
    "filled_mean_flux": ("order", "filled_point"),
}


def check_holes(grid: Grid, holes: str, source: str) -> None:
    """Check the choice of what to do about holes; errors name their `source`.

    Raises
    ------
    InvalidInput
        An unknown value, or "interpolate" on an irregular grid.
    """
    if holes not in get_args(Holes):
        raise InvalidInput(
            f"holes = {holes!r}; choose from {', '.join(get_args(Holes))}",
            name="holes",
            value=holes,
        )
    if holes == "interpolate" and not grid.is_product:
        raise InvalidInput(
            f"{source}: holes = {holes!r}, but the grid is irregular, so that no point of it "
            "counts as missing; leave holes out",
            path=source,
            name="holes",
            value=holes,
        )


def built_with(store: Store) -> str:
    """Return what the build of a store did about holes: "refuse" or "interpolate"."""
    return str(store.attributes.get(_ATTRIBUTE, "refuse"))


def store_filling(store: Store, holes: Holes | None = None) -> Filling | None:
    """Return the filling of a store's holes; None if they are refused.

    Parameters
    ----------
    store : Store
    holes : {"refuse", "interpolate"}, optional
        By default as the store was built.

    Raises
    ------
    InvalidInput
        An unknown value, or "interpolate" on an irregular grid.
    StoreError
        The stored filling is damaged.
    """
    rule = holes or built_with(store)
    check_holes(store.grid, rule, str(store.path))
    if rule == "refuse":
        return None
    if built_with(store) == rule:
        return read_filling(store)
    return fill_holes(store.grid, np.log(store.mean_flux).T)


@default_settings()
def write_filling(group: Path, grid: Grid, mean_flux: Floats) -> None:
    """Fill the holes of a store that is being built, and mark them in its group.

    Parameters
    ----------
    group : Path
    grid : Grid
        N points.
    mean_flux : (M, N) array
    """
    filling = fill_holes(grid, np.log(mean_flux).T)
    if not filling:
        return
    opened = zarr.open_group(group, mode="r+")
    arrays = {
        "filled_points": filling.points,
        "filled_from": filling.rows,
        "filled_weights": filling.weights,
        "filled_error": filling.error,
        "filled_mean_flux": filling.extend_flux(mean_flux)[:, len(grid) :],
    }
    for name, values in arrays.items():
        create_small_array(opened, name, values, _DIMS[name])


@default_settings()
def read_filling(store: Store) -> Filling:
    """Read the filling of a store that was built with one; it may fill nothing.

    Raises
    ------
    StoreError
        It is damaged.
    """
    path, group, grid = store.path, open_node(store.path), store.grid
    if "filled_points" not in group:  # no hole could be filled
        k = 6 * len(grid.free)
        return Filling(
            grid, np.empty((0, len(grid.names))), np.empty((0, k), np.int32), np.empty((0, k)),
            np.empty((0, 2)),
        )  # fmt: skip
    points, rows, weights, error, means = (read_array(path, group, name) for name in _DIMS)
    filling = Filling(grid, points, rows, weights, error)
    missing = {tuple(hole) for hole in grid.holes.tolist()}
    if points.ndim != 2 or not {tuple(point) for point in points.tolist()} <= missing:
        raise unusable(path, "filled_points", "has points that are not holes of the grid")
    in_grid = (rows >= 0).all() and (rows < len(grid)).all()
    if rows.shape != weights.shape or len(rows) != len(points) or not in_grid:
        raise unusable(path, "filled_from", "does not match the grid")
    if error.shape != (len(points), 2) or not (error >= 0).all():
        raise unusable(path, "filled_error", "is impossible (expected two numbers of 0 or more)")
    expected = filling.extend_flux(store.mean_flux)[:, len(grid) :]
    if means.shape != expected.shape or not np.allclose(means, expected, rtol=1e-9, atol=0):
        raise unusable(path, "filled_mean_flux", "does not follow from its neighbours")
    return filling


def filled_notes(filling: Filling | None, theta: Floats, label: str) -> tuple[str, ...]:
    """Note that theta (..., D) of one component, named by its label, use filled points, if any."""
    if not filling:
        return ()
    cells, flat = Cells(filling.grid), theta.reshape(-1, theta.shape[-1])
    filled = filling.grid.lattice.ravel() >= len(filling.library_grid)
    nodes = np.flatnonzero(Nodes.of(cells, flat).counts(filled))
    if not len(nodes):
        return ()
    named = _name(theta_at(filling.grid, nodes), filling.grid.names)
    return (f"{label}: uses grid points that were filled from their neighbours: {named}",)


def filling_lines(filling: Filling) -> list[str]:
    """Describe a filling: the points, the error, and the holes that remain."""
    names, remaining = filling.library_grid.names, filling.remaining
    lines = []
    if filling:
        median, percentile = filling.worst_error()
        lines.append(
            f"holes: {len(filling)} filled from their neighbours: {_name(filling.points, names)}; "
            f"known points that are filled in the same way are off by {median:.2g} (median) and "
            f"{percentile:.2g} (95 %) in ln(mean flux)"
        )
    if len(remaining):
        lines.append(
            f"holes: {len(remaining)} not filled, as the library lacks spectra on both sides of "
            f"them: {_name(remaining, names)}"
        )
    return lines or ["holes: none in the grid, so nothing to fill"]


def _name(points: Floats, names: tuple[str, ...]) -> str:
    named = [dict(zip(names, point, strict=True)) for point in points[:3].tolist()]
    return describe_points(named, len(points))
