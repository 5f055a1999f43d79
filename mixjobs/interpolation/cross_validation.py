"""Interpolation errors by leaving out one axis value at a time.

Each fold drops one value of an axis and predicts its grid points from the others along that axis.
The step across a dropped value is twice the grid's own; `doubled_step_factor` scales the error to
the grid's own step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mixjobs.errors import InvalidInput
from mixjobs.grid import Grid
from mixjobs.interpolation import Method, interpolation
from mixjobs.interpolation.cells import Interpolation
from mixjobs.typing import Bools, Floats, Ints

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# r.m.s. over a cell of an error that is 1 at its centre: of 16 t² (1 - t)² and of 4 t (1 - t)
_RMS_OVER_CELL: dict[str, float] = {
    "cubic": 16 / 630**0.5,
    "linear": 4 / 30**0.5,
    "simplex": 4 / 30**0.5,
}
_BEST_GAIN = {"cubic": 1 / 16, "linear": 1 / 4, "simplex": 1 / 4}  # fourth or second order
_MIN_VALUES_FOR_GAIN = 7  # on shorter axes the gain from halving the step is assumed
_MAX_FOLDS = 30  # on an irregular grid, where every point has its own value of each parameter


@dataclass(frozen=True, eq=False)
class Fold:
    """One axis value left out: the remaining points, the predicted points, and the weights.

    Attributes
    ----------
    kept : (n_kept,) int array
        Rows of the grid points that remain.
    predicted : (n,) int array
        Rows of the predicted grid points, without those that need another missing point.
    interpolation : Interpolation
        The interpolation between the remaining points.
    weights : (n, R) sparse array
        Its weights at the predicted points.
    """

    kept: Ints
    predicted: Ints
    interpolation: Interpolation
    weights: csr_array

    def errors(self, values: Floats) -> Floats:
        """Return predicted minus true values (n, K), for values (N, K) at the grid points."""
        predicted = self.weights @ self.interpolation.prepare(values[self.kept])
        error: Floats = predicted - values[self.predicted]
        return error


@dataclass(frozen=True, eq=False)
class AxisFolds:
    """The folds of one axis: its inner values, left out one at a time.

    Attributes
    ----------
    name : str
        The parameter.
    method : str
        The interpolation method.
    n_values : int
        Number of values on the axis.
    folds : tuple of Fold
    coarse_folds : tuple of Fold
        The folds on the grid of every other value, which predict across four times the grid's step;
        empty on a short axis.
    """

    name: str
    method: Method
    n_values: int
    folds: tuple[Fold, ...]
    coarse_folds: tuple[Fold, ...]

    @property
    def predicted(self) -> Ints:
        """Rows of the predicted grid points, in the sequence of `errors`: (n,)."""
        return np.concatenate([fold.predicted for fold in self.folds])

    def errors(self, values: Floats) -> Floats:
        """Return predicted minus true values (n, K), for values (N, K) at the grid points."""
        return np.concatenate([fold.errors(values) for fold in self.folds])

    def factor(self, values: Floats, errors: Floats) -> float:
        """Factor from held-out errors to errors between grid points: see `doubled_step_factor`."""
        coarse = 0.0
        if self.coarse_folds:
            coarse = rms(np.concatenate([fold.errors(values) for fold in self.coarse_folds]))
        return doubled_step_factor(self.method, self.n_values, rms(errors), coarse)


def axis_folds(grid: Grid, method: Method) -> list[AxisFolds]:
    """Prepare the folds of every axis that has at least three values.

    Parameters
    ----------
    grid : Grid
        N points.
    method : {"cubic", "linear", "simplex"}

    Returns
    -------
    list of AxisFolds
        Axes on which no point can be predicted are skipped.
    """
    axes = []
    for d in grid.free:
        folds = tuple(make_folds(grid, d, method))
        n_values = len(grid.axes[d])
        coarse: tuple[Fold, ...] = ()
        if n_values >= _MIN_VALUES_FOR_GAIN:
            every_other = np.isin(grid.points[:, d], grid.axes[d][::2])
            coarse = tuple(make_folds(grid, d, method, np.flatnonzero(every_other)))
        if folds:
            axes.append(AxisFolds(grid.names[d], method, n_values, folds, coarse))
    return axes


def make_folds(grid: Grid, d: int, method: Method, rows: Ints | None = None) -> Iterator[Fold]:
    """Leave out each inner value of one axis in turn.

    Parameters
    ----------
    grid : Grid
    d : int
        Index of the parameter.
    method : {"cubic", "linear", "simplex"}
    rows : int array, optional
        Grid points to use; all if not given.
    """
    rows = np.arange(len(grid)) if rows is None else rows
    subset = grid.take(rows)
    for left_out in inner_values(subset, d):
        kept = np.flatnonzero(~left_out)
        try:
            between = interpolation(subset.take(kept), method)
        except InvalidInput:  # the method cannot interpolate between the remaining points
            continue
        weights, valid = between.weights(subset.points[left_out])
        if valid.any():
            predicted = np.flatnonzero(left_out)[valid]
            yield Fold(rows[kept], rows[predicted], between, weights[valid])


def stride_fold(grid: Grid, d: int, method: Method, stride: int) -> Fold:
    """Keep every n-th value of one axis, and predict the values between them.

    Parameters
    ----------
    grid : Grid
    d : int
        Index of the parameter.
    method : {"cubic", "linear"}
    stride : int
        n. The values after the last one kept are left out.
    """
    kept_values = grid.axes[d][::stride]
    values = grid.points[:, d]
    is_kept = np.isin(values, kept_values)
    kept = np.flatnonzero(is_kept)
    between = interpolation(grid.take(kept), method)
    rows = np.flatnonzero(~is_kept & (values <= kept_values[-1]))
    weights, valid = between.weights(grid.points[rows])
    return Fold(kept, rows[valid], between, weights[valid])


def inner_values(grid: Grid, d: int) -> Iterator[Bools]:
    """Yield for each inner value of an axis the points (N,) that have it.

    An axis with very many values is sampled evenly.
    """
    inner = grid.axes[d][1:-1]
    if len(inner) > _MAX_FOLDS:
        inner = inner[np.linspace(0, len(inner) - 1, _MAX_FOLDS).astype(int)]
    for value in inner:
        yield grid.points[:, d] == value


def doubled_step_factor(method: Method, n_values: int, doubled: float, coarse: float) -> float:
    """Factor from a held-out error to the r.m.s. error inside the grid's own cells.

    A held-out point lies at the centre of a step twice the grid's own. The factor is the gain from
    halving the step, times the r.m.s. over a cell of an error that is 1 at its centre (0.64 for
    `cubic`, otherwise 0.73).

    On an axis with at least seven values the gain is measured: it is `doubled` over `coarse`. It is
    at least that of the method's order (1/16 for `cubic`, otherwise 1/4). It is at most 1, as for a
    library that is rough from point to point. On shorter axes it is 1/4. For `cubic` with three or
    four values it is 1/8, because held-out values are then predicted from edges alone; this was
    measured on a library whose true spectra are known.

    Parameters
    ----------
    method : {"cubic", "linear", "simplex"}
    n_values : int
        Number of values on the axis.
    doubled, coarse : float
        r.m.s. errors over two and over four steps of the grid.

    Examples
    --------
    >>> round(doubled_step_factor("cubic", 20, doubled=0.25, coarse=0.5), 3)
    0.319
    """
    gain = 1 / 8 if method == "cubic" and n_values < 5 else 1 / 4
    if n_values >= _MIN_VALUES_FOR_GAIN and coarse > 0:
        gain = float(np.clip(doubled / coarse, _BEST_GAIN[method], 1))
    return _RMS_OVER_CELL[method] * gain


def rms(errors: Floats) -> float:
    """Root mean square length of the errors (n, K) of n points."""
    return float(np.sqrt((errors**2).sum(axis=1).mean()))
