"""Linear interpolation in simplices: D + 1 weights per theta, on axes scaled to unit spacing.

On a product grid, each cell is divided into simplices along its diagonal (Kuhn's triangulation), so
that holes remain holes. On an irregular grid, the points have a Delaunay triangulation.
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


_TOLERANCE = 1e-10  # on barycentric coordinates: a point on a face belongs to the simplex
_SHEAR = 0.1  # of the axes towards each other: see `DelaunaySimplex._scaled`


@dataclass(frozen=True, eq=False)
class CellSimplex:
    """Simplex interpolation in the cells of a product grid (Kuhn 1960, IBM J. Res. Dev. 4, 518)."""

    cells: Cells

    method = "simplex"

    def prepare(self, values: Floats) -> Floats:
        """Return the values themselves: (N, M)."""
        return values

    def weights(self, theta: Floats) -> tuple[csr_array, Bools]:
        """Return weights (n, N) and whether each theta (n, D) is valid (n,).

        The axes, sorted by position within the cell, define a path along its edges from the first
        corner to the last. The differences between the sorted positions are the weights.
        """
        fractions, _, cell, valid = self.cells.locate(theta)
        t = fractions.T
        n, n_axes = t.shape
        by_position = np.argsort(-t, axis=1, kind="stable")
        ends = np.ones((n, 1)), np.take_along_axis(t, by_position, axis=1), np.zeros((n, 1))
        corner_bits = 2 ** (n_axes - 1 - by_position)
        path = np.cumsum(np.concatenate([np.zeros((n, 1), np.int64), corner_bits], axis=1), axis=1)
        rows = np.maximum(np.take_along_axis(self.cells.corners[cell], path, axis=1), 0)
        weights = -np.diff(np.concatenate(ends, axis=1), axis=1)
        return sparse_rows(weights, rows, len(self.cells.grid)), valid


@dataclass(frozen=True, eq=False)
class DelaunaySimplex:
    """Simplex interpolation between irregular points, inside their convex hull.

    Parameters
    ----------
    grid : Grid
        Points that do not all lie in one hyperplane.

    Raises
    ------
    InvalidInput
        The points lie in one hyperplane, so that no simplex has a volume.
    """

    grid: Grid

    method = "simplex"

    def __post_init__(self) -> None:
        rank = np.linalg.matrix_rank(self._scaled(self.grid.points), rtol=1e-9)
        n_free = len(self.grid.free)
        if rank < n_free:
            names = ", ".join(self.grid.names[d] for d in self.grid.free)
            raise InvalidInput(
                f"the {len(self.grid)} grid points span {rank} of the {n_free} dimensions "
                f"({names}), so they enclose no volume; "
                "drop a parameter that follows from the others, or add points",
                name="grid",
                value=int(rank),
            )

    @cached_property
    def spacing(self) -> Floats:
        """Median step of each free axis, the unit of the scaled parameters."""
        return np.array([np.median(np.diff(self.grid.axes[d])) for d in self.grid.free])

    @cached_property
    def triangulation(self) -> Delaunay:
        """The Delaunay triangulation of the scaled points."""
        from scipy.spatial import Delaunay  # takes a third of a second to import

        return Delaunay(self._scaled(self.grid.points))

    def _scaled(self, theta: Floats) -> Floats:
        """Scale and shear the free parameters (n, n_free), measured from the centre of the points.

        The corners of a box lie on one sphere, so its Delaunay triangulation is not unique.
        Neighbouring boxes could be divided differently along their common face, which would make
        the interpolation jump. Shearing the axes towards each other makes the triangulation unique,
        and equal to Kuhn's in a box.
        """
        free = list(self.grid.free)
        x = (theta[:, free] - self.grid.points[:, free].mean(axis=0)) / self.spacing
        sheared: Floats = x - _SHEAR * x.sum(axis=1, keepdims=True)
        return sheared

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
        # search again: no simplex was found (-1), it has no volume (NaN), or x is just outside it
        for i in np.flatnonzero(~(weights >= -_TOLERANCE).all(axis=1)):
            simplex[i], weights[i], inside = self._search_all(x[i])
            valid[i] &= inside
        return sparse_rows(weights, self.triangulation.simplices[simplex], len(self.grid)), valid

    def _search_all(self, x: Floats) -> tuple[int, Floats, bool]:
        """Find the simplex nearest to x (n_free,), its weights, and whether x lies inside it."""
        weights = barycentric(self.triangulation.transform, x)
        depth = np.nan_to_num(weights.min(axis=1), nan=-np.inf)
        deepest = int(depth.argmax())
        return deepest, weights[deepest], bool(depth[deepest] >= -_TOLERANCE)


def barycentric(transform: Floats, x: Floats) -> Floats:
    """Barycentric coordinates (n, D + 1) of x in simplices given by scipy's transforms."""
    d = transform.shape[-1]
    first = np.einsum("nij,nj->ni", transform[:, :d], x - transform[:, d])
    return np.concatenate([first, 1 - first.sum(axis=1, keepdims=True)], axis=1)
