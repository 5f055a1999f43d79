"""Linear and cubic interpolation on a product grid with holes.

Interpolation is a sparse matrix of weights times an array with one row per node. One matrix serves
every column of the array, that is every order. `Linear` and `Cubic` are defined inside each cell,
face or edge whose own corners are all grid points, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import OutsideGrid
from mixjobs.grid import Grid, describe
from mixjobs.typing import Bools, Floats, Ints

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from mixjobs.interpolation.filling import Filling


_MAX_STEP_RATIO = 4.0  # of neighbouring steps that one slope may span


class Interpolation(Protocol):
    """The interface of an interpolation method."""

    @property
    def method(self) -> str:
        """Name of the method."""

    def prepare(self, values: Floats) -> Floats:
        """Turn values at the grid points (N, M) into the array (R, M) that the weights multiply."""

    def weights(self, theta: Floats) -> tuple[csr_array, Bools]:
        """Return weights (n, R) at theta (n, D), and whether each theta is valid (n,).

        The weights of an invalid theta are meaningless.
        """


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a product grid, without the parameters that have a single value.

    Parameters
    ----------
    grid : Grid
        A grid with `is_product`.
    """

    grid: Grid

    @cached_property
    def axes(self) -> list[Floats]:
        """The values of the free axes."""
        return [self.grid.axes[d] for d in self.grid.free]

    @cached_property
    def box(self) -> tuple[Floats, Floats]:
        """Smallest and largest value of every parameter, fixed ones included: two (D, 1) arrays."""
        ends = np.array([[axis[0], axis[-1]] for axis in self.grid.axes])
        return ends[:, :1], ends[:, 1:]

    @cached_property
    def steps(self) -> tuple[Floats, Floats, Ints]:
        """The steps of all free axes in one list: lower ends, widths, and the start of each axis.

        The starts have shape (n_free, 1).
        """
        lower = np.concatenate([axis[:-1] for axis in self.axes])
        widths = np.concatenate([np.diff(axis) for axis in self.axes])
        begin = np.cumsum([0] + [len(axis) - 1 for axis in self.axes[:-1]])
        return lower, widths, begin[:, None].astype(np.int32)

    @cached_property
    def strides(self) -> Ints:
        """Strides of the free axes in the numbering of the cells: (n_free,)."""
        lengths = [len(axis) - 1 for axis in self.axes]
        return np.cumprod([1, *lengths[:0:-1]])[::-1].astype(np.int32)

    @cached_property
    def corners(self) -> Ints:
        """Row of the grid point at each corner of each cell, or -1 at a hole: (n_cells, 2^D).

        Cells and corners are both numbered with the last axis fastest.
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
        """Find the cell that contains each theta (n, D).

        Returns
        -------
        fractions : (n_free, n) array
            Position within the cell along each free axis, 0 to 1.
        widths : (n_free, n) array
            Width of the cell along each free axis.
        cell : (n,) int array
            Number of the cell.
        valid : (n,) bool array
            Whether theta is in the grid's range and every corner of its cell, face or edge exists.
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
    """Multilinear interpolation: 2^D weights per theta; continuous and exact at the nodes."""

    cells: Cells

    method = "linear"

    @cached_property
    def columns(self) -> Ints:
        """Columns that the weights of each cell occupy: (n_cells, 2^D)."""
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
    """Tensor-product cubic Hermite interpolation, with a continuous first derivative.

    Values, slopes and mixed slopes belong to the nodes (see `slope_weights`). Two cells that share
    a face share its nodes, so values and slopes agree across it, even next to holes. The basis is
    equation 2.1 of Fritsch & Carlson (1980, SIAM J. Numer. Anal. 17, 238).

    Parameters
    ----------
    cells : Cells
    library_grid : Grid, optional
        The first points of the grid, whose slopes do not use the points after them, unless they
        have no other neighbours. By default all points.
    """

    cells: Cells
    library_grid: Grid | None = None

    method = "cubic"

    @cached_property
    def columns(self) -> Ints:
        """Columns that the weights of each cell occupy: (n_cells, 4^D).

        Along each axis there are two corners and two kinds, value and slope. The 2^D kinds of a
        node occupy adjacent rows of the prepared array.
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
        """For each free axis, matrices (N, N) from each kind of the earlier axes to its slope."""
        grid = self.cells.grid
        everywhere = np.ones(len(grid), dtype=bool)
        has_value = [(everywhere, everywhere[: len(self.library_grid or grid)])]
        matrices = []
        for d in grid.free:
            slopes = [self._slopes(d, *masks) for masks in has_value]
            matrices.append([matrix for matrix, _ in slopes])
            has_value = [
                mask for old, (_, new) in zip(has_value, slopes, strict=True) for mask in (old, new)
            ]
        return matrices

    def _slopes(self, d: int, every: Bools, own: Bools) -> tuple[csr_array, tuple[Bools, Bools]]:
        """Return the matrix of slopes along `d`, and the nodes that have one.

        Both masks, and both results, are those of all points and those of the library's points
        without the others.
        """
        grid = self.cells.grid
        data, columns, has_slope = slope_entries(grid, d, every)
        own_slope = has_slope
        if self.library_grid is not None:
            own_data, own_columns, own_slope = slope_entries(self.library_grid, d, own)
            rows = np.flatnonzero(own_slope)
            data[rows], columns[rows] = own_data[rows], own_columns[rows]
        return sparse_rows(data, columns, len(grid)), (has_slope, own_slope)

    def prepare(self, values: Floats) -> Floats:
        """Turn values (N, M) into values, slopes and mixed slopes (N 2^D, M), grouped by node."""
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
    """Cubic Hermite basis at the position t (...), 0 to 1, in a cell of width (...): (4, ...).

    The four functions multiply value and slope at the lower corner, then value and slope at the
    upper corner. Slopes are per unit of the axis (Fritsch & Carlson 1980, equation 2.1).

    Examples
    --------
    >>> hermite(np.array(0.0), np.array(2.0)).tolist()
    [1.0, 0.0, 0.0, -0.0]
    """
    s = 1 - t
    bump = width * t * s
    return np.array([(1 + 2 * t) * s * s, bump * s, t * t * (1 + 2 * s), -bump * t])


def slope_entries(grid: Grid, d: int, has_value: Bools) -> tuple[Floats, Ints, Bools]:
    """Return the matrix that turns values at the nodes into slopes along parameter `d`, by rows.

    Parameters
    ----------
    grid : Grid
        N points.
    d : int
        Index of the parameter.
    has_value : (N,) bool array
        The nodes that have a value. Every node has a function value; a slope along an earlier axis
        exists only at nodes with a neighbour on that axis.

    Returns
    -------
    data, columns : (N, 5) arrays
        The entries of each row of the matrix, and their columns.
    has_slope : (N,) bool array
        The nodes whose slope is defined: those with a neighbour.
    """
    rows = neighbours(grid, d, has_value)
    x = grid.points[:, d]
    weights = slope_weights(x, np.where(rows >= 0, x[rows], np.nan))
    data = np.concatenate([weights, -weights.sum(axis=0, keepdims=True)]).T
    columns = np.concatenate([np.where(weights != 0, rows, 0), np.arange(len(grid))[None]]).T
    has_slope = (rows[1:3] >= 0).any(axis=0) & has_value
    return data * has_slope[:, None], columns.astype(np.int32), has_slope


def neighbours(grid: Grid, d: int, has_value: Bools) -> Ints:
    """Find two neighbours of each node on either side along parameter `d`: (4, N).

    From the lowest to the highest, the row of each neighbour, or -1 where it is missing. A
    neighbour without a value is missing, and so is everything beyond it.
    """
    lattice = np.where(np.append(has_value, False)[grid.lattice], grid.lattice, -1)
    margins = [(2, 2) if axis == d else (0, 0) for axis in range(lattice.ndim)]
    padded = np.pad(lattice, margins, constant_values=-1)
    along = np.eye(lattice.ndim, dtype=np.int64)[d]
    return np.stack([padded[tuple((grid.index + k * along).T)] for k in (0, 1, 3, 4)])


def slope_weights(x: Floats, sides: Floats) -> Floats:
    """Weights of the neighbours of each node in its slope; the node's own is minus their sum.

    The slope at a node is the derivative of the polynomial through the node and its neighbours on
    the axis, also on uneven steps. It is five-point with two neighbours on each side and
    three-point with one on each side. At an edge or next to a hole it is one-sided: three-point,
    or two-point if there is only one neighbour. Without neighbours it is zero.

    A far neighbour is excluded if its step and the near step differ by more than a factor of 4, or
    if the near steps on the two sides do.

    Parameters
    ----------
    x : (n,) array
        Positions of the nodes.
    sides : (4, n) array
        Positions of their neighbours: two below, from the far one to the near one, and two above.
        NaN where a neighbour is missing.

    Returns
    -------
    (4, n) array
        Zero for a neighbour that is not used.

    Examples
    --------
    >>> slope_weights(np.array([1.0]), np.array([[np.nan], [0.0], [3.0], [np.nan]])).round(3).T
    array([[ 0.   , -0.667,  0.167,  0.   ]])
    """
    used = _used(x, sides)
    step = np.where(used, sides - x, np.inf)  # a neighbour at infinity has zero weight
    with np.errstate(invalid="ignore"):
        remaining = 1 - step[:, None] / step  # inf/inf for pairs of excluded sides
    others = ~np.eye(4, dtype=bool)[:, :, None]
    return np.where(used, 1 / (step * np.prod(remaining, axis=1, where=others)), 0.0)


def _used(x: Floats, sides: Floats) -> Bools:
    """Which of the four neighbours enter the slope of each node: (4, n).

    A far neighbour enters a centred slope only together with the far neighbour on the other side,
    which makes it five-point. It enters a one-sided slope whenever it exists and is not excluded.
    """
    far_left, left, right, far_right = sides
    step_left, step_right = x - left, right - x  # NaN where a neighbour is missing
    has_left, has_right = ~np.isnan(left), ~np.isnan(right)
    even = ~(has_left & has_right) | _similar(step_left, step_right)
    use_far_left = even & _similar(left - far_left, step_left)
    use_far_right = even & _similar(far_right - right, step_right)
    five_point = use_far_left & has_left & has_right & use_far_right
    return np.stack(
        [
            use_far_left & (~has_right | five_point),
            has_left,
            has_right,
            use_far_right & (~has_left | five_point),
        ]
    )


def _similar(step: Floats, other: Floats) -> Bools:
    """Whether two steps differ by at most `_MAX_STEP_RATIO`; False where one is NaN."""
    ratio = step / other
    similar: Bools = (ratio <= _MAX_STEP_RATIO) & (ratio >= 1 / _MAX_STEP_RATIO)
    return similar


def outer(factors: NDArray[Any]) -> NDArray[Any]:
    """Outer product over D axes of the factors (k, D, n): (n, k^D), with the last axis fastest."""
    k, n_axes, n = factors.shape
    result = np.ones_like(factors[:1, 0])
    for d in range(n_axes - 1):
        result = (result[:, None] * factors[:, d]).reshape(k ** (d + 1), n)
    rows = np.empty((n, len(result), k), dtype=factors.dtype)
    np.multiply(result[:, None], factors[:, -1], out=rows.transpose(1, 2, 0))
    return rows.reshape(n, k**n_axes)


def sparse_rows(data: Floats, columns: Ints, width: int) -> csr_array:
    """Return the (n, width) matrix with the entries data (n, k) in the columns (n, k)."""
    from scipy.sparse import csr_array  # takes a third of a second to import

    pointers = np.arange(len(data) + 1, dtype=np.int32) * np.int32(data.shape[1])
    return csr_array((data.ravel(), columns.ravel(), pointers), shape=(len(data), width))


def outside_grid(
    grid: Grid, theta: Floats, prefix: str, filling: Filling | None = None
) -> OutsideGrid:
    """Return the error for one invalid theta (D,); the prefix names the component."""
    if filling is None:
        name, reason = _why_invalid(grid, theta, 'add it, or try holes = "interpolate"')
    else:
        advice = "add it, as it lacks neighbours from which it could be filled"
        name, reason = _why_invalid(filling.grid, theta, advice)
    value = theta[grid.names.index(name)] if name else theta
    return OutsideGrid(f"{prefix}: {reason}", name=name, value=value)


def _why_invalid(grid: Grid, theta: Floats, advice: str) -> tuple[str | None, str]:
    """The parameter at fault, if it is a single one, and the reason; for a hole with advice."""
    for name, axis, x in zip(grid.names, grid.axes, theta, strict=True):
        if len(axis) == 1 and x != axis[0]:
            return name, f"{name} = {x:g}, but the library has only {name} = {axis[0]:g}"
        if not axis[0] <= x <= axis[-1]:
            return name, f"{name} = {x:g} is outside the grid, {axis[0]:g} to {axis[-1]:g}"
    point = describe(theta, grid.names)
    if not grid.is_product:
        return None, f"{point} is outside the convex hull of the library's points"
    for corner in product(*map(_enclosing, grid.axes, theta)):
        if grid.row(np.array(corner)) is None:
            missing = describe(corner, grid.names)
            if (theta == corner).all():
                return None, f"{missing} is a hole: the library has no spectrum there; {advice}"
            return None, f"{point} needs {missing}, where the library has no spectrum; {advice}"
    return None, f"{point} cannot be interpolated with this method"


def _enclosing(axis: Floats, x: float) -> list[float]:
    """The axis value equal to x, or the two that enclose it."""
    right = int(np.searchsorted(axis, x))
    return [axis[right]] if axis[right] == x else [axis[right - 1], axis[right]]
