"""Values at the grid points, each predicted from the others: what interpolation gets wrong.

*Held out* means that one axis value is dropped and predicted along that axis. The step across a
dropped value is twice the grid's own; `doubled_step_factor` leads back to the grid's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.interpolation import Method, interpolation
from mixjobs.interpolation.cells import Interpolation
from mixjobs.typing import Floats, Ints

if TYPE_CHECKING:
    from scipy.sparse import csr_array


# r.m.s. over a cell of an error that is 1 in its middle: of 16 t² (1 - t)², and of 4 t (1 - t)
_OVER_CELL: dict[str, float] = {
    "cubic": 16 / 630**0.5,
    "linear": 4 / 30**0.5,
    "simplex": 4 / 30**0.5,
}
_BEST_GAIN = {"cubic": 1 / 16, "linear": 1 / 4, "simplex": 1 / 4}  # fourth or second order
_MANY = 7  # values of an axis from which on the factor is measured


@dataclass(frozen=True, eq=False)
class Dropped:
    """One axis value that is dropped: which points stay, which are predicted, and how."""

    kept: Ints
    predicted: Ints
    between: Interpolation
    weights: csr_array

    def errors(self, values: Floats) -> Floats:
        """Return predicted minus true values (n, K), for values (N, K) at the grid points."""
        predicted = self.weights @ self.between.prepare(values[self.kept])
        error: Floats = predicted - values[self.predicted]
        return error


@dataclass(frozen=True, eq=False)
class HeldOutAxis:
    """The inner values of one axis, dropped one after the other.

    Attributes
    ----------
    name : str
    method : str
    n_values : int
        Values on the axis.
    dropped : tuple of Dropped
    coarse : tuple of Dropped
        The same on the grid of every other value: over four times the grid's own step.
    """

    name: str
    method: Method
    n_values: int
    dropped: tuple[Dropped, ...]
    coarse: tuple[Dropped, ...]

    @property
    def rows(self) -> Ints:
        """Rows of the grid points that are predicted, as `errors` has them: (n,)."""
        return np.concatenate([drop.predicted for drop in self.dropped])

    def errors(self, values: Floats) -> Floats:
        """Return predicted minus true values, (n, K), for values (N, K) at the grid points."""
        return np.concatenate([drop.errors(values) for drop in self.dropped])

    def factor(self, values: Floats, errors: Floats) -> float:
        """How much smaller the errors are over the grid's own step: see `doubled_step_factor`."""
        coarse = 0.0
        if self.coarse:
            coarse = rms(np.concatenate([drop.errors(values) for drop in self.coarse]))
        return doubled_step_factor(self.method, self.n_values, rms(errors), coarse)


def held_out_axes(grid: Grid, method: Method) -> list[HeldOutAxis]:
    """Prepare to predict values along every axis of at least three values.

    Parameters
    ----------
    grid : Grid
        N points.
    method : {"cubic", "linear", "simplex"}
        How to interpolate.
    """
    axes = []
    for d in grid.free:
        dropped = tuple(_dropped(grid, np.arange(len(grid)), d, method))
        n_values = len(grid.axes[d])
        coarse: tuple[Dropped, ...] = ()
        if n_values >= _MANY:
            every_other = np.isin(grid.points[:, d], grid.axes[d][::2])
            coarse = tuple(_dropped(grid, np.flatnonzero(every_other), d, method))
        if dropped:
            axes.append(HeldOutAxis(grid.names[d], method, n_values, dropped, coarse))
    return axes


def _dropped(grid: Grid, rows: Ints, d: int, method: Method) -> Iterator[Dropped]:
    """Drop each inner value of one axis of these points' grid, and keep what is valid."""
    part = grid.take(rows)
    for dropped in inner_values(part, d):
        kept = np.flatnonzero(~dropped)
        try:
            between = interpolation(part.take(kept), method)
        except InvalidInput:  # the kept points are no grid that this method can have
            continue
        weights, valid = between.weights(part.points[dropped])
        if valid.any():
            yield Dropped(rows[kept], rows[np.flatnonzero(dropped)[valid]], between, weights[valid])


def doubled_step_factor(method: Method, n_values: int, doubled: float, coarse: float) -> float:
    """By what to multiply a held-out error for the r.m.s. error inside the grid's own cells.

    A held-out point is in the middle of a step twice the grid's own. Where the axis has seven
    values or more, the gain from halving the step is measured: `doubled` over `coarse`, the r.m.s.
    errors over two and over four steps, but no better than the method's order (1/16 for `cubic`,
    1/4 else) and no worse than 1 (a library that is rough from point to point). On shorter axes,
    where it cannot be measured, it is 1/4; for `cubic` with three or four values, whose held-out
    values are predicted from edges alone, 1/8: as found on a library whose truth is known. Times
    the r.m.s. over a cell of an error that is 1 in its middle, 0.64 for `cubic`, else 0.73.

    Examples
    --------
    >>> round(doubled_step_factor("cubic", 20, doubled=0.25, coarse=0.5), 3)
    0.319
    """
    gain = 1 / 8 if method == "cubic" and n_values < 5 else 1 / 4
    if n_values >= _MANY and coarse > 0:
        gain = float(np.clip(doubled / coarse, _BEST_GAIN[method], 1))
    return _OVER_CELL[method] * gain


def rms(errors: Floats) -> float:
    """Root mean square over the points of the length of errors (n, K)."""
    return float(np.sqrt((errors**2).sum(axis=1).mean()))


# On an irregular grid, where every point has its own value, so many values of an axis are dropped.
_MOST_VALUES = 30


def inner_values(grid: Grid, d: int) -> Iterator[NDArray[np.bool_]]:
    """Which points to drop, for each inner value of an axis."""
    inner = grid.axes[d][1:-1]
    if len(inner) > _MOST_VALUES:
        inner = inner[np.linspace(0, len(inner) - 1, _MOST_VALUES).astype(int)]
    for value in inner:
        yield grid.points[:, d] == value
