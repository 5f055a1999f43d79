"""Filling of holes: values at missing grid points, interpolated from their neighbours.

A hole is filled along every axis on which the library has spectra on both sides of it, by the cubic
interpolation of `mixjobs.interpolation.cells` on that axis alone. The result is the mean of these
axes, weighted by how well each of them predicts grid points that are known. It is a fixed linear
combination of the values at grid points, so one set of weights serves every order, the mean fluxes
and the emulator.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mixjobs.grid import Grid
from mixjobs.interpolation.cells import Interpolation, hermite, slope_weights, sparse_rows
from mixjobs.interpolation.holes import theta_at
from mixjobs.typing import Bools, Floats, Ints

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_MIN_ERROR = 1e-12  # of ln(mean flux), so that an axis without error has a finite weight


@dataclass(frozen=True, eq=False)
class Filling:
    """Holes of a grid that are filled from their neighbours.

    Attributes
    ----------
    library_grid : Grid
        N points.
    points : (F, D) float array
        The filled points.
    rows : (F, k) int array
        The grid points from which each of them is filled.
    weights : (F, k) float array
        Their weights, which add up to 1.
    error : (F, 2) float array
        Median and 95th percentile of the absolute error of ln(mean flux) at known grid points that
        are left out, and filled, in the same way.
    """

    library_grid: Grid
    points: Floats
    rows: Ints
    weights: Floats
    error: Floats

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def grid(self) -> Grid:
        """The grid points, followed by the filled points."""
        library = self.library_grid
        return Grid(np.concatenate([library.points, self.points]), library.names)

    @property
    def remaining(self) -> Floats:
        """The holes that are not filled: (n_holes, D)."""
        filled = set(map(tuple, self.points.tolist()))
        holes = self.library_grid.holes
        return holes[[tuple(hole) not in filled for hole in holes.tolist()]]

    @cached_property
    def _matrix(self) -> csr_array:
        return sparse_rows(self.weights, self.rows, len(self.library_grid))

    def extend(self, values: Floats) -> Floats:
        """Append the values at the filled points to those at the grid points, (N, M)."""
        return np.concatenate([values, self._matrix @ values])

    def extend_flux(self, mean_flux: Floats) -> Floats:
        """Append the mean fluxes at the filled points to those at the grid points, (M, N)."""
        filled = np.exp(self._matrix @ np.log(mean_flux).T).T
        return np.concatenate([mean_flux, filled], axis=1)

    def worst_error(self) -> tuple[float, float]:
        """Return the largest median, and the largest 95th percentile, of the filled points."""
        median, percentile = self.error.max(axis=0, initial=0.0).tolist()
        return median, percentile


@dataclass(frozen=True, eq=False)
class Filled:
    """Interpolation between grid points and filled points.

    Attributes
    ----------
    between : Interpolation
        On the grid with the filled points.
    filling : Filling
    """

    between: Interpolation
    filling: Filling

    @property
    def method(self) -> str:
        """Name of the method."""
        return self.between.method

    def prepare(self, values: Floats) -> Floats:
        """Turn values at the grid points (N, M) into the array (R, M) that the weights multiply."""
        return self.between.prepare(self.filling.extend(values))

    def weights(self, theta: Floats) -> tuple[csr_array, Bools]:
        """Return weights (n, R) at theta (n, D), and whether each theta is valid (n,)."""
        return self.between.weights(theta)


def fill_holes(grid: Grid, log_mean: Floats) -> Filling:
    """Fill the holes of a product grid that have grid points on both sides along an axis.

    An axis is used only if known grid points can be left out, and filled, in the same way: across a
    gap of the same number of steps. Filled points are not used to fill others.

    Parameters
    ----------
    grid : Grid
        N points.
    log_mean : (N, M) array
        ln(mean flux) of M orders, which decides the weights of the axes.
    """
    axes = [_Axis.of(grid, d) for d in grid.free]
    holes = np.flatnonzero(grid.lattice.ravel() < 0)
    gaps = np.stack([axis.gaps(holes) for axis in axes], axis=1).reshape(len(holes), 2 * len(axes))
    kinds, kind = np.unique(gaps, axis=0, return_inverse=True)
    axis_weights, errors = _weigh_axes(axes, kinds.reshape(len(kinds), len(axes), 2), log_mean)
    kept = np.flatnonzero(axis_weights[kind.ravel()].sum(axis=1) > 0)
    holes, kind = holes[kept], kind.ravel()[kept]
    rows, weights = zip(*(axis.stencil(holes) for axis in axes), strict=True)
    scaled = [w * axis_weights[kind, a, None] for a, w in enumerate(weights)]
    return Filling(
        grid,
        theta_at(grid, holes),
        np.concatenate(rows, axis=1).astype(np.int32),
        np.concatenate(scaled, axis=1),
        errors[kind],
    )


def _weigh_axes(axes: list[_Axis], kinds: Ints, log_mean: Floats) -> tuple[Floats, Floats]:
    """Weigh the axes by their errors at known points, for each kind of hole.

    Parameters
    ----------
    axes : list of n_axes _Axis
    kinds : (n, n_axes, 2) int array
        Numbers of missing nodes on both sides of a hole along each axis, -1 for an axis that cannot
        be used.
    log_mean : (N, M) array

    Returns
    -------
    weights : (n, n_axes) array
        Proportional to the inverse squared median error; zero for an axis that is not used.
    error : (n, 2) array
        Median and 95th percentile of the absolute error of the weighted mean.
    """
    errors: dict[tuple[int, ...], Floats] = {}
    medians: dict[tuple[int, ...], float] = {}
    weights, error = np.zeros(kinds.shape[:2]), np.full((len(kinds), 2), np.nan)
    for i, kind in enumerate(kinds.tolist()):
        gaps = [(a, *gap) for a, gap in enumerate(kind) if min(gap) >= 0]
        for a, below, above in gaps:
            if (a, below, above) not in errors:
                predicted = axes[a].errors(below, above, log_mean)
                errors[a, below, above] = predicted
                medians[a, below, above] = _median(predicted)
        gaps = [gap for gap in gaps if np.isfinite(medians[gap])]
        if gaps:
            own, error[i] = _weigh([errors[gap] for gap in gaps], [medians[gap] for gap in gaps])
            weights[i, [gap[0] for gap in gaps]] = own
    return weights, error


def _median(errors: Floats) -> float:
    """Median absolute error at the predicted points, at least `_MIN_ERROR`; NaN without any."""
    size = np.abs(errors[np.isfinite(errors)])
    return max(float(np.median(size)), _MIN_ERROR) if len(size) else np.nan


def _weigh(errors: list[Floats], medians: list[float]) -> tuple[Floats, tuple[float, float]]:
    """Weigh some axes by the medians of their errors (N, M); return the error of the mean too."""
    best = int(np.argmin(medians))
    weights = np.square(medians[best] / np.array(medians))
    weights /= weights.sum()
    combined: Floats = np.sum([w * e for w, e in zip(weights, errors, strict=True)], axis=0)
    if not np.isfinite(combined).any():  # no known point is predicted along all of these axes
        weights, combined = np.eye(len(errors))[best], errors[best]
    size = np.abs(combined[np.isfinite(combined)])
    return weights, (float(np.median(size)), float(np.quantile(size, 0.95)))


@dataclass(frozen=True, eq=False)
class _Axis:
    """The lines of a lattice along one axis.

    The index -1 stands for a node that does not exist: it selects the last column of each array,
    which holds NaN or -1.

    Attributes
    ----------
    x : (n + 1,) array
        Values of the axis.
    rows : (L, n + 1) int array
        Row of the grid point at each node of each line; -1 at a hole.
    below, above : (L, n + 1) int arrays
        Index on the line of the nearest grid point below and above each node.
    places : (n_nodes,) int array
        Line and index, in the form ``line * n + index``, of each node of the flattened lattice.
    """

    x: Floats
    rows: Ints
    below: Ints
    above: Ints
    places: Ints

    @classmethod
    def of(cls, grid: Grid, d: int) -> _Axis:
        """Arrange the lattice of a grid in lines along parameter `d`."""
        x, shape = grid.axes[d], grid.lattice.shape
        rows = np.moveaxis(grid.lattice, d, -1).reshape(-1, len(x))
        index = np.where(rows >= 0, np.arange(len(x)), -1)
        below, above = np.full((2, len(rows), len(x) + 1), -1)
        below[:, 1:-1] = np.maximum.accumulate(index[:, :-1], axis=1)
        last_first = np.where(index >= 0, len(x) - 1 - index, -1)[:, :0:-1]
        nearest = np.maximum.accumulate(last_first, axis=1)[:, ::-1]
        above[:, :-2] = np.where(nearest >= 0, len(x) - 1 - nearest, -1)
        nodes = np.moveaxis(np.arange(rows.size).reshape(shape), d, -1).ravel()
        padded = np.pad(rows, ((0, 0), (0, 1)), constant_values=-1)
        return cls(np.append(x, np.nan), padded, below, above, np.argsort(nodes))

    def gaps(self, nodes: Ints) -> Ints:
        """Count the missing nodes between holes and the grid points on both sides: (n, 2).

        -1 where there is no grid point on one of the sides.
        """
        line, index = self._find(nodes)
        left, right = self.below[line, index], self.above[line, index]
        gaps = np.stack([index - 1 - left, right - 1 - index], axis=1)
        return np.where((left >= 0) & (right >= 0), gaps.T, -1).T

    def errors(self, gap_below: int, gap_above: int, values: Floats) -> Floats:
        """Predict values (N, M) at grid points across a gap; return predicted minus true values.

        NaN at the points for which there is no grid point at one of the ends of the gap.
        """
        line, index = np.nonzero(self.rows[:, :-1] >= 0)
        left, right = index - 1 - gap_below, index + 1 + gap_above
        right[right >= len(self.x) - 1] = -1
        known = (left >= 0) & (right >= 0)
        known &= (self.rows[line, left] >= 0) & (self.rows[line, right] >= 0)
        ends = line[known], index[known], left[known], right[known]
        rows, weights = self._stencil(*ends)
        points = self.rows[ends[0], ends[1]]
        errors = np.full_like(values, np.nan)
        errors[points] = np.einsum("nk,nkm->nm", weights, values[rows]) - values[points]
        return errors

    def stencil(self, nodes: Ints) -> tuple[Ints, Floats]:
        """Return the rows (n, 6) of the grid points that predict holes, and their weights.

        The weights are zero where there is no grid point on one of the sides.
        """
        line, index = self._find(nodes)
        left, right = self.below[line, index], self.above[line, index]
        rows, weights = self._stencil(line, index, left, right)
        weights[(left < 0) | (right < 0)] = 0.0
        return rows, weights

    def _find(self, nodes: Ints) -> tuple[Ints, Ints]:
        line, index = np.divmod(self.places[nodes], len(self.x) - 1)
        return line, index

    def _stencil(self, line: Ints, index: Ints, left: Ints, right: Ints) -> tuple[Ints, Floats]:
        """Weights of cubic interpolation between two nodes, from three on either side: (n, 6)."""
        lower, upper = self.below[line, left], self.above[line, right]
        nodes = [self.below[line, lower], lower, left, right, upper, self.above[line, upper]]
        x, place = self.x[nodes], self.x[index]
        width = x[3] - x[2]
        value_left, slope_left, value_right, slope_right = hermite((place - x[2]) / width, width)
        at_left = slope_left * slope_weights(x[2], x[[0, 1, 3, 4]])
        at_right = slope_right * slope_weights(x[3], x[[1, 2, 4, 5]])
        weights = np.zeros((6, len(index)))
        weights[[0, 1, 3, 4]] += at_left
        weights[[1, 2, 4, 5]] += at_right
        weights[2] += value_left - at_left.sum(axis=0)
        weights[3] += value_right - at_right.sum(axis=0)
        rows = self.rows[line, nodes]
        return np.maximum(rows, 0).T, weights.T
