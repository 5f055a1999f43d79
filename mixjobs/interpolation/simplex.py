"""Simplex interpolation: D + 1 entries a row, on axes scaled to unit spacing.

On a product grid every cell is cut into simplices along its diagonal (Kuhn's triangulation), so
that holes stay holes; on an irregular grid the points are triangulated (Delaunay).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.interpolation.cells import Cells, sparse_rows
from mixjobs.typing import Bools, Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from scipy.spatial import Delaunay


_TOLERANCE = 1e-10  # of a barycentric coordinate: a point on a face belongs to the simplex
_LEAN = 0.1  # of the axes towards each other, see DelaunaySimplex


@dataclass(frozen=True, eq=False)
class CellSimplex:
    """Simplex interpolation in the cells of a product grid (Kuhn 1960, IBM J. Res. Dev. 4, 518)."""

    cells: Cells

    def prepare(self, values: Floats) -> Floats:
        """Return the values themselves: (N, M)."""
        return values

    def weights(self, theta: Floats) -> tuple[csr_array, Bools]:
        """Return weights (n, N) and whether each theta (n, D) is valid (n,).

        Sorted by their place in the cell, the axes give the path of corners from the cell's
        first to its last, and the differences of the sorted places are the weights.
        """
        fractions, _, cell, valid = self.cells.locate(theta)
        t = fractions.T
        n, n_axes = t.shape
        by_place = np.argsort(-t, axis=1, kind="stable")
        ends = np.ones((n, 1)), np.take_along_axis(t, by_place, axis=1), np.zeros((n, 1))
        corner_bits = 2 ** (n_axes - 1 - by_place)
        path = np.cumsum(np.concatenate([np.zeros((n, 1), np.int64), corner_bits], axis=1), axis=1)
        rows = np.maximum(np.take_along_axis(self.cells.corners[cell], path, axis=1), 0)
        weights = -np.diff(np.concatenate(ends, axis=1), axis=1)
        return sparse_rows(weights, rows, len(self.cells.grid)), valid


@dataclass(frozen=True, eq=False)
class DelaunaySimplex:
    """Simplex interpolation between irregular points; nothing outside their convex hull.

    Parameters
    ----------
    grid : Grid
        The points; not all in one plane.

    Raises
    ------
    InvalidInput
        The points lie in one plane, so that no simplex has a volume.
    """

    grid: Grid

    def __post_init__(self) -> None:
        rank = np.linalg.matrix_rank(self._scaled(self.grid.points), rtol=1e-9)
        n_free = len(self.grid.free)
        if rank < n_free:
            names = ", ".join(self.grid.names[d] for d in self.grid.free)
            raise InvalidInput(
                f"the {len(self.grid)} grid points span {rank} of the {n_free} dimensions "
                f"({names}), which leaves nothing to interpolate in; "
                "drop a parameter that follows from the others, or add points"
            )

    @cached_property
    def spacing(self) -> Floats:
        """Median step of each free axis: parameters are divided by it."""
        return np.array([np.median(np.diff(self.grid.axes[d])) for d in self.grid.free])

    @cached_property
    def triangulation(self) -> Delaunay:
        """The Delaunay triangulation of the scaled points."""
        from scipy.spatial import Delaunay  # a third of a second that other methods spare

        return Delaunay(self._scaled(self.grid.points))

    def _scaled(self, theta: Floats) -> Floats:
        """Scale and lean the free parameters (n, n_free), measured from the points' middle.

        The corners of a box lie on one sphere, so its Delaunay triangulation is not unique, and
        neighbouring boxes would be cut differently along the face that they share: a jump.
        Leaning the axes towards each other makes it unique, and in boxes equal to Kuhn's.
        """
        free = list(self.grid.free)
        x = (theta[:, free] - self.grid.points[:, free].mean(axis=0)) / self.spacing
        leaned: Floats = x - _LEAN * x.sum(axis=1, keepdims=True)
        return leaned

    def prepare(self, values: Floats) -> Floats:
        """Return the values themselves: (N, M)."""
        return values

    def weights(self, theta: Floats) -> tuple[csr_array, Bools]:
        """Return weights (n, N) and whether each theta (n, D) is valid (n,)."""
        boxed = theta.clip(self.grid.points.min(axis=0), self.grid.points.max(axis=0))
        valid = (boxed == theta).all(axis=1)
        x = self._scaled(boxed)
        simplex = self.triangulation.find_simplex(x)
        weights = barycentric(self.triangulation.transform[simplex], x)
        # not found (-1, the last one), in one without a volume (NaN), only nearly in: look again
        for i in np.flatnonzero(~(weights >= -_TOLERANCE).all(axis=1)):
            simplex[i], weights[i], found = self._search_all(x[i])
            valid[i] &= found
        return sparse_rows(weights, self.triangulation.simplices[simplex], len(self.grid)), valid

    def _search_all(self, x: Floats) -> tuple[int, Floats, bool]:
        """Find the simplex that x (n_free,) is deepest in, its weights, and whether x is in it."""
        weights = barycentric(self.triangulation.transform, x)
        depth = np.nan_to_num(weights.min(axis=1), nan=-np.inf)
        deepest = int(depth.argmax())
        return deepest, weights[deepest], bool(depth[deepest] >= -_TOLERANCE)


def barycentric(transform: Floats, x: Floats) -> Floats:
    """Barycentric coordinates (n, D + 1) of x in simplices given by scipy's transforms."""
    d = transform.shape[-1]
    first = np.einsum("nij,nj->ni", transform[:, :d], x - transform[:, d])
    return np.concatenate([first, 1 - first.sum(axis=1, keepdims=True)], axis=1)
