"""Theta that need certain grid points, such as holes, and theta near them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from mixjobs.grid import Grid
from mixjobs.interpolation.cells import Cells
from mixjobs.typing import Bools, Floats, Ints


@dataclass(frozen=True, eq=False)
class Nodes:
    """The nodes of a product grid that n theta need, whether or not they are grid points.

    A theta needs the corners of its cell, face or edge.

    Attributes
    ----------
    grid : Grid
    position : (n, 2^D) int array
        Position of each corner of the cell in the flattened lattice.
    needed : (n, 2^D) bool array
        Whether theta needs the corner; False outside the range of the grid.
    """

    grid: Grid
    position: Ints
    needed: Bools

    @classmethod
    def of(cls, cells: Cells, theta: Floats) -> Nodes:
        """Find the nodes of theta (n, D)."""
        inside = (theta.T.clip(*cells.box) == theta.T).all(axis=0)
        fractions, _, cell, _ = cells.locate(theta)
        shape = [len(axis) for axis in cells.axes]
        place = np.array(np.unravel_index(cell, [n - 1 for n in shape]))
        sides = np.array(list(product((0, 1), repeat=len(shape)))).T[:, None]  # (D, 1, 2^D)
        position = np.ravel_multi_index(tuple(place[:, :, None] + sides), shape)
        t = fractions[:, :, None]
        needed = np.where(sides == 1, t > 0, t < 1).all(axis=0)
        return cls(cells.grid, position, np.logical_and(needed, inside[:, None]))

    def among(self, positions: Bools) -> Bools:
        """Whether each theta needs a node among `positions`, a flattened lattice: (n,)."""
        return np.asarray((positions[self.position] & self.needed).any(axis=1))

    def counts(self, positions: Bools) -> Ints:
        """Return how many theta need each node among `positions`, a flattened lattice."""
        hits = self.position[self.needed & positions[self.position]]
        return np.bincount(hits, minlength=len(positions))


def theta_at(grid: Grid, positions: Ints) -> Floats:
    """Return theta (n, D) at positions (n,) in the flattened lattice of a grid.

    Examples
    --------
    >>> grid = Grid(np.array([[5000, 4.0], [5100, 4.0], [5000, 4.5]]), ("teff", "logg"))
    >>> theta_at(grid, np.array([3])).tolist()
    [[5100.0, 4.5]]
    """
    places = np.unravel_index(positions, [len(axis) for axis in grid.axes])
    return np.stack([axis[i] for axis, i in zip(grid.axes, places, strict=True)], axis=1)


def near(cells: Cells, theta: Floats, positions: Bools) -> Bools:
    """Whether theta (n, D) lies within one grid step of a cell that has a certain corner.

    Parameters
    ----------
    cells : Cells
    theta : (n, D) array
        Within the range of the grid.
    positions : bool array
        The corners, in the flattened lattice of the grid.
    """
    marked = positions.reshape([len(axis) for axis in cells.axes])
    for d in range(marked.ndim):  # cells with a marked corner, along one axis after another
        marked = np.moveaxis(marked, d, 0)
        marked = np.moveaxis(marked[1:] | marked[:-1], 0, d)
    for d in range(marked.ndim):  # and the cells that touch them
        padded = np.pad(np.moveaxis(marked, d, 0), [(1, 1)] + [(0, 0)] * (marked.ndim - 1))
        marked = np.moveaxis(padded[2:] | padded[1:-1] | padded[:-2], 0, d)
    _, _, cell, _ = cells.locate(theta)
    return np.asarray(marked.ravel()[cell])
