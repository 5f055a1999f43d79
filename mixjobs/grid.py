"""Grid: the points of parameter space at which a library has spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixjobs.errors import InvalidInput, LibraryError
from mixjobs.typing import Floats

Theta = ArrayLike | Mapping[str, ArrayLike]

# A grid is a product with holes when at least this share of its points are corners of a
# complete cell, whatever share of the product they fill (PHOENIX with alpha fills under half).
# A tenth of all points missing at random leaves 0.94 in two dimensions, 0.6 in four (a cell has
# 16 corners); scattered points reach 0.
LATTICE_SHARE = 0.5
_MAX_PRODUCT = 2**62


@dataclass(frozen=True, eq=False)
class Grid:
    """Points in a library's own parameter space.

    Parameters
    ----------
    points : (N, D) float array
        One row a grid point, in the library's order.
    names : tuple of str
        The D parameter names, such as ``("teff", "logg", "feh")``.

    Raises
    ------
    LibraryError
        Fewer than two points, repeated points, or points that are not finite.

    Examples
    --------
    >>> grid = Grid(np.array([[5000, 4.0], [5100, 4.0], [5000, 4.5]]), ("teff", "logg"))
    >>> [axis.tolist() for axis in grid.axes]
    [[5000.0, 5100.0], [4.0, 4.5]]
    >>> grid.theta({"teff": 5050, "logg": 4.2}).tolist()
    [5050.0, 4.2]
    """

    points: Floats
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        points = np.array(self.points, dtype=np.float64, ndmin=2)
        if points.shape[1] != len(self.names):
            raise LibraryError(
                f"the grid has {points.shape[1]} columns and {len(self.names)} parameter names; "
                "they must agree"
            )
        if len(points) < 2:
            raise LibraryError(
                f"the grid has {len(points)} point(s); a flux ratio needs at least 2"
            )
        if not np.isfinite(points).all():
            raise LibraryError("the grid has a point that is not finite; mend the library")
        _, first, counts = np.unique(points, axis=0, return_index=True, return_counts=True)
        if (counts > 1).any():
            worst = np.argmax(counts)
            raise LibraryError(
                f"the grid point {describe(points[first[worst]], self.names)} is there "
                f"{counts[worst]} times; every point must be unique"
            )
        points.setflags(write=False)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "names", tuple(self.names))

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def axes(self) -> tuple[Floats, ...]:
        """The distinct values of each parameter, ascending: D arrays."""
        return tuple(np.unique(column) for column in self.points.T)

    @cached_property
    def free(self) -> tuple[int, ...]:
        """Indices of the parameters with more than one value; the others are fixed."""
        return tuple(d for d, axis in enumerate(self.axes) if len(axis) > 1)

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """Where each point stands on the axes: (N, D) integers."""
        columns = [np.searchsorted(a, c) for a, c in zip(self.axes, self.points.T, strict=True)]
        return np.stack(columns, axis=1).astype(np.int64)

    @cached_property
    def is_product(self) -> bool:
        """Whether the grid is treated as a product of its axes, with or without holes."""
        return lattice_share(self.index[:, list(self.free)]) >= LATTICE_SHARE

    @cached_property
    def lattice(self) -> NDArray[np.int64]:
        """Row of the point at each place of the product of the axes, -1 at a hole."""
        rows = np.full([len(axis) for axis in self.axes], -1, dtype=np.int64)
        rows[tuple(self.index.T)] = np.arange(len(self))
        return rows

    @property
    def holes(self) -> Floats:
        """Points that the product of the axes has and the library has not: (n_holes, D).

        Empty for an irregular grid, which has no product to miss a point of.
        """
        if not self.is_product:
            return np.empty((0, len(self.names)))
        places = np.argwhere(self.lattice < 0)
        return np.stack([a[i] for a, i in zip(self.axes, places.T, strict=True)], axis=1)

    def row(self, theta: Theta) -> int | None:
        """Row of the grid point that equals one theta, or None."""
        same = np.flatnonzero((self.points == self.theta(theta)).all(axis=1))
        return int(same[0]) if len(same) else None

    def theta(self, value: Theta) -> Floats:
        """Return theta as an array of shape (..., D), from an array or from names.

        By name, a parameter with a single value on the grid may be left out.

        Raises
        ------
        InvalidInput
            A wrong length, an unknown or a missing name, or NaN.
        """
        theta = self._by_name(value) if isinstance(value, Mapping) else _floats(value)
        if theta.ndim == 0 or theta.shape[-1] != len(self.names):
            raise InvalidInput(
                f"theta has shape {theta.shape}; expected (..., {len(self.names)}): "
                f"{', '.join(self.names)}, or the same by name"
            )
        if np.isnan(theta).any():
            first = theta[np.isnan(theta).any(axis=-1)][0]
            raise InvalidInput(f"theta {describe(first, self.names)} has NaN; expected numbers")
        return theta

    def _by_name(self, values: Mapping[str, ArrayLike]) -> Floats:
        known = ", ".join(self.names)
        for name in values:
            if name not in self.names:
                raise InvalidInput(f"unknown parameter {name!r}; the library has {known}")
        fixed = {n: a[0] for n, a in zip(self.names, self.axes, strict=True) if len(a) == 1}
        missing = [n for n in self.names if n not in values and n not in fixed]
        if missing:
            raise InvalidInput(f"theta lacks {', '.join(missing)}; the library has {known}")
        columns = [_floats(values[n] if n in values else fixed[n]) for n in self.names]
        try:
            return np.stack(np.broadcast_arrays(*columns), axis=-1)
        except ValueError:
            shapes = ", ".join(f"{n} {c.shape}" for n, c in zip(self.names, columns, strict=True))
            raise InvalidInput(f"the values of theta do not broadcast: {shapes}") from None

    def select(self, ranges: Mapping[str, tuple[float, float]]) -> NDArray[np.int64]:
        """Rows of the points whose named parameters lie in the closed ranges.

        Raises
        ------
        InvalidInput
            An unknown name, a reversed range, or fewer than two points left.
        """
        keep = np.ones(len(self), dtype=bool)
        for name, (low, high) in ranges.items():
            if name not in self.names:
                raise InvalidInput(
                    f"cannot select on {name!r}; the library has {', '.join(self.names)}"
                )
            if not low <= high:
                raise InvalidInput(f"the range {name}={low}:{high} is reversed; give LOW:HIGH")
            column = self.points[:, self.names.index(name)]
            keep &= (low <= column) & (column <= high)
        if keep.sum() < 2:
            raise InvalidInput(
                f"the selection leaves {keep.sum()} of {len(self)} points; at least 2 are needed"
            )
        return np.flatnonzero(keep)

    def take(self, rows: NDArray[np.int64] | Sequence[int]) -> Grid:
        """Return the grid of some of the points, in the order of `rows`."""
        return Grid(self.points[rows], self.names)


def describe(theta: ArrayLike, names: Sequence[str]) -> str:
    """Write one theta for a reader, as ``(teff=6000, logg=4)``."""
    values = np.atleast_1d(np.asarray(theta, dtype=np.float64))
    return "(" + ", ".join(f"{n}={v:g}" for n, v in zip(names, values, strict=True)) + ")"


def lattice_share(index: NDArray[np.int64]) -> float:
    """Share of the points, given by their places on the axes (N, D), on a complete cell.

    A cell is a box between neighbouring axis values; it is complete when all its 2^D
    corners are grid points. A point with no other along one axis (PHOENIX has alpha = 0 alone
    for hot stars) is judged by the cells of the other axes, from three axes on.
    """
    shape = [int(column.max()) + 2 for column in index.T]
    if not shape or float(np.prod(shape, dtype=np.float64)) > _MAX_PRODUCT:
        return 0.0
    strides = np.cumprod([1, *shape[:-1]])
    code = index @ strides
    on_cell = _on_complete_cell(code, strides)
    if len(shape) > 2 and on_cell.any():
        for d, stride in enumerate(strides):
            _, line, counts = np.unique(
                code - index[:, d] * stride, return_inverse=True, return_counts=True
            )
            on_cell |= (counts[line] == 1) & _on_complete_cell(code, np.delete(strides, d))
    return float(on_cell.mean())


def _on_complete_cell(code: NDArray[np.int64], strides: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each point, given by its code, is a corner of a complete cell of these axes."""
    corners = [int(np.dot(bits, strides)) for bits in product((0, 1), repeat=len(strides))]
    complete = np.logical_and.reduce([np.isin(code + offset, code) for offset in corners])
    return np.isin(code, np.concatenate([code[complete] + offset for offset in corners]))


def _floats(value: ArrayLike) -> Floats:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(f"theta {value!r} is not made of numbers") from None
