"""Interpolation on a product grid with holes: sparse weights on a table with a row per node.

One set of weights serves every column of the table (every order). `Linear` and `Cubic` answer
inside every cell, face or edge whose own corners are grid points, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mixjobs.grid import Grid, describe
from mixjobs.typing import Bools, Floats, Ints

if TYPE_CHECKING:
    from scipy.sparse import csr_array


_ALIKE = 4.0  # steps that differ by more give no slope over several of them


class Interpolation(Protocol):
    """What every method of interpolation offers."""

    def prepare(self, values: Floats) -> Floats:
        """Turn values at the grid points (N, M) into the table (R, M) that weights act on."""

    def weights(self, theta: Floats) -> tuple[csr_array, Bools]:
        """Return weights (n, R) at theta (n, D), and whether each theta is valid (n,).

        A row of weights that is not valid means nothing.
        """


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a product grid: finds theta in them. Fixed parameters are left out.

    Parameters
    ----------
    grid : Grid
        A grid whose `is_product` holds.
    """

    grid: Grid

    @cached_property
    def axes(self) -> list[Floats]:
        """The values of the free axes."""
        return [self.grid.axes[d] for d in self.grid.free]

    @cached_property
    def box(self) -> tuple[Floats, Floats]:
        """The least and the greatest value of every parameter, fixed ones too: two (D, 1)."""
        ends = np.array([[axis[0], axis[-1]] for axis in self.grid.axes])
        return ends[:, :1], ends[:, 1:]

    @cached_property
    def steps(self) -> tuple[Floats, Floats, Ints]:
        """The steps of all free axes in one list: lower ends, widths, and where each axis begins.

        The beginnings are (n_free, 1).
        """
        lower = np.concatenate([axis[:-1] for axis in self.axes])
        widths = np.concatenate([np.diff(axis) for axis in self.axes])
        begin = np.cumsum([0] + [len(axis) - 1 for axis in self.axes[:-1]])
        return lower, widths, begin[:, None].astype(np.int32)

    @cached_property
    def strides(self) -> Ints:
        """Strides of the free axes among the cells: (n_free,)."""
        lengths = [len(axis) - 1 for axis in self.axes]
        return np.cumprod([1, *lengths[:0:-1]])[::-1].astype(np.int32)

    @cached_property
    def corners(self) -> Ints:
        """Row of the grid point at each corner of each cell, -1 at a hole: (n_cells, 2^D).

        Cells and corners alike run with the last axis fastest.
        """
        lattice = self.grid.lattice.squeeze().astype(np.int32)
        sides = [
            tuple(slice(bit, bit - 1 or None) for bit in bits)
            for bits in product((0, 1), repeat=lattice.ndim)
        ]
        return np.stack([lattice[side].ravel() for side in sides], axis=1)

    @cached_property
    def complete(self) -> Bools:
        """Whether every corner of a cell is a grid point: (n_cells,)."""
        return np.asarray((self.corners >= 0).all(axis=1))

    def locate(self, theta: Floats) -> tuple[Floats, Floats, Ints, Bools]:
        """Find theta (n, D) in the cells.

        Returns
        -------
        fractions : (n_free, n) array
            Place within the cell along each free axis, 0 to 1.
        widths : (n_free, n) array
            The cell's width along each free axis.
        cell : (n,) int array
            The cell.
        valid : (n,) bool array
            Whether theta is in the box and every corner of its own cell, face or edge exists.
        """
        columns = np.ascontiguousarray(theta.T)
        inside = columns.clip(*self.box)
        valid = (inside == columns).all(axis=0)
        inside = inside[list(self.grid.free)]
        places = [
            a[1:-1].searchsorted(x, side="right") for a, x in zip(self.axes, inside, strict=True)
        ]
        place = np.array(places, dtype=np.int32)
        cell = self.strides @ place
        lower, steps, begin = self.steps
        step = place + begin
        widths = steps.take(step)
        fractions = (inside - lower.take(step)) / widths
        partial = np.flatnonzero(~self.complete.take(cell))
        if len(partial):
            t = fractions[:, partial]
            touched = outer(np.array([t < 1, t > 0]))
            valid[partial] &= ((self.corners[cell[partial]] >= 0) | ~touched).all(axis=1)
        return fractions, widths, cell, valid


@dataclass(frozen=True, eq=False)
class Linear:
    """Multilinear interpolation: 2^D entries a row; continuous, exact at the nodes."""

    cells: Cells

    @cached_property
    def columns(self) -> Ints:
        """Columns of the weights in each cell: (n_cells, 2^D)."""
        return np.maximum(self.cells.corners, 0)

    def prepare(self, values: Floats) -> Floats:
        """Return the values themselves: (N, M)."""
        return values

    def weights(self, theta: Floats) -> tuple[csr_array, Bools]:
        """Return weights (n, N) and whether each theta (n, D) is valid (n,)."""
        fractions, _, cell, valid = self.cells.locate(theta)
        data = outer(np.array([1 - fractions, fractions]))
        return sparse_rows(data, self.columns.take(cell, axis=0), len(self.cells.grid)), valid


@dataclass(frozen=True, eq=False)
class Cubic:
    """Tensor cubic Hermite interpolation: continuous with its first derivative, beside holes too.

    Values, slopes and mixed slopes belong to the nodes (see `slope_matrix`). Two cells that
    share a face share its nodes, so value and slope agree across it. The basis is that of
    Fritsch & Carlson (1980, SIAM J. Numer. Anal. 17, 238), equation 2.1.
    """

    cells: Cells

    @cached_property
    def columns(self) -> Ints:
        """Columns of the weights in each cell, (n_cells, 4^D): along each axis 2 corners x 2 kinds.

        The kinds are value and slope; a node's 2^D kinds stand together in the table.
        """
        n_axes = len(self.cells.axes)
        digits = np.array(list(product(range(4), repeat=n_axes)))
        powers = 2 ** np.arange(n_axes)[::-1]
        corner, kind = (digits // 2) @ powers, (digits % 2) @ powers
        rows = np.maximum(self.cells.corners, 0)[:, corner]
        columns: Ints = (rows * 2**n_axes + kind).astype(np.int32)
        return columns

    @cached_property
    def slopes(self) -> list[list[csr_array]]:
        """Matrices (N, N) from each kind that is there already to its slope along each axis."""
        known = [np.ones(len(self.cells.grid), dtype=bool)]
        matrices = []
        for d in self.cells.grid.free:
            found = [slope_matrix(self.cells.grid, d, k) for k in known]
            matrices.append([matrix for matrix, _ in found])
            known = [k for pair in zip(known, (has for _, has in found), strict=True) for k in pair]
        return matrices

    def prepare(self, values: Floats) -> Floats:
        """Turn values (N, M) into values, slopes and mixed slopes (N 2^D, M), nodes outermost."""
        kinds = [values]
        for matrices in self.slopes:
            pairs = zip(kinds, matrices, strict=True)
            kinds = [kind for value, matrix in pairs for kind in (value, matrix @ value)]
        return np.stack(kinds, axis=1).reshape(-1, values.shape[1])

    def weights(self, theta: Floats) -> tuple[csr_array, Bools]:
        """Return weights (n, N 2^D) and whether each theta (n, D) is valid (n,)."""
        fractions, widths, cell, valid = self.cells.locate(theta)
        data = outer(hermite(fractions, widths))
        n_rows = len(self.cells.grid) * 2 ** len(self.cells.axes)
        return sparse_rows(data, self.columns.take(cell, axis=0), n_rows), valid


def hermite(t: Floats, width: Floats) -> Floats:
    """Cubic Hermite basis at t in 0..1 of a cell of the given width, both (...): (4, ...).

    For value and slope at the lower corner, value and slope at the upper one; slopes are per
    unit of the axis. Fritsch & Carlson (1980), equation 2.1.

    Examples
    --------
    >>> hermite(np.array(0.0), np.array(2.0)).tolist()
    [1.0, 0.0, 0.0, -0.0]
    """
    s = 1 - t
    bump = width * t * s
    return np.array([(1 + 2 * t) * s * s, bump * s, t * t * (1 + 2 * s), -bump * t])


def slope_matrix(grid: Grid, d: int, known: Bools) -> tuple[csr_array, Bools]:
    """Matrix (N, N) that turns values at the nodes into slopes along parameter `d`.

    The slope at the node of the polynomial through it and its neighbours on the axis that have
    a value, exact on uneven steps: five-point where there are two on both sides, three-point
    where there is one on both sides; at an edge or beside a hole three-point to the one side,
    or two-point where no more are there; zero where there is no neighbour. The second
    neighbours are left out where the steps differ by more than a factor of 4.

    Parameters
    ----------
    grid : Grid
    d : int
    known : (N,) bool array
        The nodes that have a value: every one at first; of a slope, those that have a neighbour.

    Returns
    -------
    matrix : (N, N) sparse array
    has_slope : (N,) bool array
        Where the slope is known.
    """
    rows = neighbours(grid, d, known)
    left2, left, right, right2 = rows >= 0
    all_four = (rows >= 0).all(axis=0)
    used = np.stack([left2 & (~right | all_four), left, right, right2 & (~left | all_four)])
    x = grid.points[:, d]
    step = np.where(used, x[rows] - x, np.inf)  # from the node; infinitely far has no weight
    with np.errstate(invalid="ignore"):
        away = 1 - step[:, None] / step  # inf/inf of what is not used
    others = ~np.eye(4, dtype=bool)[:, :, None]
    weights = np.where(used, 1 / (step * np.prod(away, axis=1, where=others)), 0.0)
    data = np.concatenate([weights, -weights.sum(axis=0, keepdims=True)]).T
    columns = np.concatenate([np.where(used, rows, 0), np.arange(len(grid))[None]]).T
    has_slope = (left | right) & known
    data *= has_slope[:, None]
    return sparse_rows(data, columns.astype(np.int32), len(grid)), has_slope


def neighbours(grid: Grid, d: int, known: Bools) -> Ints:
    """Rows of the two nodes before and the two after each node along parameter `d`: (4, N).

    -1 where there is none that is known, and beyond such a one or a much longer or shorter step.
    """
    lattice = np.where(np.append(known, False)[grid.lattice], grid.lattice, -1)
    sides = [(2, 2) if axis == d else (0, 0) for axis in range(lattice.ndim)]
    padded = np.pad(lattice, sides, constant_values=-1)
    unit = np.eye(lattice.ndim, dtype=np.int64)[d]
    rows = np.stack([padded[tuple((grid.index + k * unit).T)] for k in (0, 1, 3, 4)])
    x = np.where(rows >= 0, grid.points[rows, d], np.nan)
    steps = np.diff(np.insert(x, 2, grid.points[:, d], axis=0), axis=0)  # NaN where one is missing
    ratio = steps[[0, 3]] / steps[[1, 2]]  # of the far step to the near one on its side
    alike = (ratio <= _ALIKE) & (ratio >= 1 / _ALIKE)
    across = steps[1] / steps[2]
    alike &= np.isnan(across) | ((across <= _ALIKE) & (across >= 1 / _ALIKE))
    rows[[0, 3]] = np.where(alike, rows[[0, 3]], -1)
    return rows


def outer(factors: NDArray[Any]) -> NDArray[Any]:
    """Outer product over the D axes of factors (k, D, n): (n, k^D), the last axis fastest."""
    k, n_axes, n = factors.shape
    result = np.ones_like(factors[:1, 0])
    for d in range(n_axes - 1):
        result = (result[:, None] * factors[:, d]).reshape(k ** (d + 1), n)
    rows = np.empty((n, len(result), k), dtype=factors.dtype)
    np.multiply(result[:, None], factors[:, -1], out=rows.transpose(1, 2, 0))
    return rows.reshape(n, k**n_axes)


def sparse_rows(data: Floats, columns: Ints, width: int) -> csr_array:
    """Return the (n, width) matrix with the entries data (n, k) in the columns (n, k)."""
    from scipy.sparse import csr_array  # a third of a second that a command's start spares

    pointers = np.arange(len(data) + 1, dtype=np.int32) * np.int32(data.shape[1])
    return csr_array((data.ravel(), columns.ravel(), pointers), shape=(len(data), width))


def why_invalid(grid: Grid, theta: Floats) -> str:
    """Say why one theta (D,) is not valid, for an error message."""
    for name, axis, x in zip(grid.names, grid.axes, theta, strict=True):
        if len(axis) == 1 and x != axis[0]:
            return f"{name} = {x:g}, and the library has only {name} = {axis[0]:g}"
        if not axis[0] <= x <= axis[-1]:
            return f"{name} = {x:g} is outside the grid, {axis[0]:g} to {axis[-1]:g}"
    if not grid.is_product:
        return f"{describe(theta, grid.names)} is outside the hull of the library's points"
    sides = [_neighbours(axis, x) for axis, x in zip(grid.axes, theta, strict=True)]
    for corner in product(*sides):
        if grid.row(np.array(corner)) is None:
            missing = describe(corner, grid.names)
            if (theta == corner).all():
                return f"{missing} is a hole: the library has no spectrum there"
            return f"{describe(theta, grid.names)} needs {missing}, which the library has not"
    return f"{describe(theta, grid.names)} is not valid by this method"


def _neighbours(axis: Floats, x: float) -> list[float]:
    right = int(np.searchsorted(axis, x))
    return [axis[right]] if axis[right] == x else [axis[right - 1], axis[right]]
