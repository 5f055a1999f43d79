"""Grids: the points of parameter space at which a library has spectra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixjobs.display import Summarised
from mixjobs.errors import InvalidInput, LibraryError
from mixjobs.typing import Floats
from mixjobs.units import by_name, by_position, to_integers, to_value, without_unit

Theta = ArrayLike | Mapping[str, ArrayLike]

# A grid counts as a product with holes if at least this fraction of its points are corners of a
# complete cell. The fraction of the product that is filled does not matter: PHOENIX with alpha
# fills less than half. If a tenth of all points are missing at random, the fraction is 0.94 in two
# dimensions and 0.6 in four (where a cell has 16 corners); for scattered points it is 0.
MIN_LATTICE_FRACTION = 0.5
_MAX_PRODUCT = 2**62
_MIN_STEP = 1e-4  # of an axis, over the median step


def _check_distinct(name: str, values: Floats) -> None:
    """Refuse values of a parameter that differ by rounding, which would be an axis of their own."""
    axis = np.unique(values)
    steps = np.diff(axis)
    is_scattered = 2 * len(axis) > len(values)  # an irregular grid, where no value is repeated
    if not is_scattered and len(steps) > 1 and steps.min() < _MIN_STEP * np.median(steps):
        k = int(steps.argmin())
        raise LibraryError(
            f"the grid has {name} = {float(axis[k])!r} and {float(axis[k + 1])!r}, which are "
            "nearly equal; expected the same number, or distinct ones: correct the library",
            name=name,
            value=(float(axis[k]), float(axis[k + 1])),
        )


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Summarised):
    """Grid points in the parameter space of a library.

    Parameters
    ----------
    points : (N, D) float array
        One row per grid point, in the library's sequence.
    names : tuple of str
        The D parameter names, such as ``("teff", "logg", "feh")``.

    Raises
    ------
    LibraryError
        There are fewer than two points, or a point is repeated or not finite.

    Examples
    --------
    >>> grid = Grid(np.array([[5000, 4.0], [5100, 4.0], [5000, 4.5]]), ("teff", "logg"))
    >>> [axis.tolist() for axis in grid.axes]
    [[5000.0, 5100.0], [4.0, 4.5]]
    >>> grid.theta({"teff": 5050, "logg": 4.2}).tolist()
    [5050.0, 4.2]
    >>> grid
    <Grid>
      points  3
      layout  irregular
      teff    5000 to 5100 (2 values)
      logg    4 to 4.5 (2 values)
    """

    points: Floats
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        points = np.array(to_value(self.points, "", "points"), dtype=np.float64, ndmin=2)
        if points.shape[1] != len(self.names):
            raise LibraryError(
                f"the grid has {points.shape[1]} columns and {len(self.names)} parameter names; "
                "expected one name per column",
                name="names",
                value=tuple(self.names),
            )
        if len(points) < 2:
            raise LibraryError(
                f"the grid has {len(points)} point{'' if len(points) == 1 else 's'}; a flux ratio "
                "needs at least 2",
                name="points",
                value=len(points),
            )
        if not np.isfinite(points).all():
            row = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
            raise LibraryError(
                f"grid point {row}, {describe(points[row], self.names)}, is not finite; "
                "correct the library",
                name="points",
                value=points[row].tolist(),
            )
        _, first, counts = np.unique(points, axis=0, return_index=True, return_counts=True)
        if (counts > 1).any():
            repeated = points[first[np.argmax(counts)]]
            raise LibraryError(
                f"the grid point {describe(repeated, self.names)} occurs {counts.max()} times; "
                "remove the duplicates from the library",
                name="points",
                value=repeated.tolist(),
            )
        for name, values in zip(self.names, points.T, strict=True):
            _check_distinct(name, values)
        points.setflags(write=False)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "names", tuple(self.names))

    def __len__(self) -> int:
        return len(self.points)

    def _facts(self) -> Mapping[str, object]:
        axes = {
            name: f"{axis[0]:g} to {axis[-1]:g} ({len(axis)} values)"
            if len(axis) > 1
            else f"{axis[0]:g}"
            for name, axis in zip(self.names, self.axes, strict=True)
        }
        layout = "product of the axes" if self.is_product else "irregular"
        if len(self.holes):
            layout += f" with {len(self.holes)} missing points (holes)"
        return {"points": len(self), "layout": layout, **axes}

    def summary(self) -> str:
        """Return the number of points and the range of each parameter, in one line.

        Examples
        --------
        >>> Grid(np.array([[5000, 4.5], [5100, 4.5]]), ("teff", "logg")).summary()
        '2 points; teff 5000 to 5100, logg 4.5'
        """
        axes = [
            f"{name} {axis[0]:g} to {axis[-1]:g}" if len(axis) > 1 else f"{name} {axis[0]:g}"
            for name, axis in zip(self.names, self.axes, strict=True)
        ]
        return f"{len(self)} points; {', '.join(axes)}"

    @cached_property
    def axes(self) -> tuple[Floats, ...]:
        """Distinct values of each parameter, ascending: D arrays."""
        return tuple(np.unique(column) for column in self.points.T)

    @cached_property
    def free(self) -> tuple[int, ...]:
        """Indices of the parameters with more than one value."""
        return tuple(d for d, axis in enumerate(self.axes) if len(axis) > 1)

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """Position of each point on the axes: (N, D) integers."""
        columns = [np.searchsorted(a, c) for a, c in zip(self.axes, self.points.T, strict=True)]
        return np.stack(columns, axis=1).astype(np.int64)

    @cached_property
    def is_product(self) -> bool:
        """Whether the grid counts as the product of its axes, with or without holes."""
        return lattice_fraction(self.index[:, list(self.free)]) >= MIN_LATTICE_FRACTION

    @cached_property
    def lattice(self) -> NDArray[np.int64]:
        """Row of the point at each position of the product of the axes; -1 at a hole."""
        rows = np.full([len(axis) for axis in self.axes], -1, dtype=np.int64)
        rows[tuple(self.index.T)] = np.arange(len(self))
        return rows

    @property
    def holes(self) -> Floats:
        """Points of the product of the axes that are missing from the library: (n_holes, D).

        Empty for an irregular grid, which is not a product.
        """
        if not self.is_product:
            return np.empty((0, len(self.names)))
        missing = np.argwhere(self.lattice < 0)
        return np.stack([a[i] for a, i in zip(self.axes, missing.T, strict=True)], axis=1)

    def row(self, theta: Theta) -> int | None:
        """Return the row of the grid point that equals one theta, or None."""
        same = np.flatnonzero((self.points == self.theta(theta)).all(axis=1))
        return int(same[0]) if len(same) else None

    def theta(self, value: Theta) -> Floats:
        """Return theta as an array of shape (..., D).

        Parameters
        ----------
        value : (..., D) array, or mapping from names to arrays
            `teff` in K or as a quantity of temperature, the others dimensionless or in dex. Give
            quantities by name, or in a list of D values. In a mapping, a parameter with a single
            value on the grid may be left out. A row of a table is read as a mapping.

        Raises
        ------
        InvalidInput
            The length is wrong, a name is unknown or missing, a value is NaN, or a quantity has
            the wrong unit.
        """
        named = by_name(value)
        theta = to_theta(value, self.names) if named is None else self._by_name(named)
        if theta.ndim == 0 or theta.shape[-1] != len(self.names):
            raise InvalidInput(
                f"theta has {_count(theta)}; expected {len(self.names)}: {', '.join(self.names)}",
                name="theta",
                value=theta.shape,
            )
        if np.isnan(theta).any():
            first = theta[np.isnan(theta).any(axis=-1)][0]
            raise InvalidInput(
                f"theta {describe(first, self.names)} contains NaN; expected finite numbers",
                name=self.names[int(np.flatnonzero(np.isnan(first))[0])],
                value=first.tolist(),
            )
        return theta

    def _by_name(self, values: Mapping[str, ArrayLike]) -> Floats:
        expected = ", ".join(self.names)
        for name in values:
            if name not in self.names:
                raise InvalidInput(
                    f"unknown parameter {name!r}; the library has {expected}",
                    name=name,
                    value=values[name],
                )
        fixed = {n: a[0] for n, a in zip(self.names, self.axes, strict=True) if len(a) == 1}
        missing = [n for n in self.names if n not in values and n not in fixed]
        if missing:
            raise InvalidInput(
                f"theta lacks {', '.join(missing)}; the library has {expected}",
                name=missing[0],
                value=list(values),
            )
        columns = [
            _floats(without_unit(values[n], n) if n in values else fixed[n]) for n in self.names
        ]
        try:
            return np.stack(np.broadcast_arrays(*columns), axis=-1)
        except ValueError:
            shapes = ", ".join(f"{n} {c.shape}" for n, c in zip(self.names, columns, strict=True))
            raise InvalidInput(
                f"the values of theta have shapes that do not broadcast: {shapes}", name="theta"
            ) from None

    def select(self, ranges: Mapping[str, tuple[float, float]]) -> NDArray[np.int64]:
        """Return the rows of the points that lie within the given ranges.

        Parameters
        ----------
        ranges : mapping
            From parameter names to (lowest, highest), both included; `teff` in K or as quantities.

        Returns
        -------
        (n,) int array

        Raises
        ------
        InvalidInput
            A name is unknown, a range is reversed, or fewer than two points are left.
        """
        keep = np.ones(len(self), dtype=bool)
        for name, limits in ranges.items():
            if name not in self.names:
                raise InvalidInput(
                    f"unknown parameter {name!r}; the library has {', '.join(self.names)}",
                    name=name,
                    value=limits,
                )
            low, high = without_unit(limits, name)
            if not low <= high:
                raise InvalidInput(
                    f"the range of {name} is reversed, {low:g} to {high:g}; put the lower value "
                    "first",
                    name=name,
                    value=(low, high),
                )
            column = self.points[:, self.names.index(name)]
            keep &= (low <= column) & (column <= high)
        if keep.sum() < 2:
            raise InvalidInput(
                f"the selection leaves {keep.sum()} of {len(self)} grid points; widen it to keep "
                "at least 2",
                name="select",
                value=int(keep.sum()),
            )
        return np.flatnonzero(keep)

    def take(self, rows: NDArray[np.int64] | Sequence[int]) -> Grid:
        """Return the grid of some of the points, in the sequence of `rows`."""
        return Grid(self.points[to_integers(rows, "rows")], self.names)


def describe(theta: ArrayLike, names: Sequence[str]) -> str:
    """Return one theta as text, such as ``(teff=6000, logg=4)``."""
    values = np.atleast_1d(np.asarray(theta, dtype=np.float64))
    return "(" + ", ".join(f"{n}={v:g}" for n, v in zip(names, values, strict=True)) + ")"


def describe_points(points: Sequence[Mapping[str, float]], n_points: int | None = None) -> str:
    """Name the first three of some points, of which there are `n_points`.

    Examples
    --------
    >>> describe_points([{"teff": 3000, "logg": 4.0}, {"teff": 3000, "logg": 5.0}])
    'teff=3000, logg=4; teff=3000, logg=5'
    >>> describe_points([{"teff": 3000}] * 3, 40)
    'teff=3000; teff=3000; teff=3000; and 37 more'
    """
    named = [", ".join(f"{name}={v:g}" for name, v in point.items()) for point in points[:3]]
    more = (len(points) if n_points is None else n_points) - len(named)
    return "; ".join(named + ([f"and {more} more"] if more else []))


def to_theta(value: Theta, names: Sequence[str]) -> Floats:
    """Return theta as plain numbers, with a quantity of temperature converted to K.

    Parameters
    ----------
    value : (..., D) array
        A list of D numbers or quantities, or an array.
    names : sequence of D str

    Raises
    ------
    InvalidInput
        The values are not numbers, or a quantity has the wrong unit.

    Examples
    --------
    >>> from astropy import units as u
    >>> to_theta([5.8 * u.kK, 4.5], ("teff", "logg")).tolist()
    [5800.0, 4.5]
    """
    return _floats(by_position(value, names, "theta"))


def _count(theta: Floats) -> str:
    """Return how many values theta (..., D) has for its parameters, as text."""
    if theta.ndim > 1:
        return f"shape {theta.shape}"
    n_values = theta.size
    return "1 value" if n_values == 1 else f"{n_values} values"


def lattice_fraction(index: NDArray[np.int64]) -> float:
    """Return the fraction of the points that are corners of a complete cell.

    A cell is a box between neighbouring axis values; it is complete if all its 2^D corners are
    grid points. With three or more axes, a point that is alone along one axis (PHOENIX has only
    alpha = 0 for hot stars) needs a complete cell in the other axes only.

    Parameters
    ----------
    index : (N, D) int array
        Positions of the points on the axes.
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
    """Return whether each point, given by its code, is a corner of a complete cell."""
    corners = [int(np.dot(bits, strides)) for bits in product((0, 1), repeat=len(strides))]
    complete = np.logical_and.reduce([np.isin(code + offset, code) for offset in corners])
    return np.isin(code, np.concatenate([code[complete] + offset for offset in corners]))


def _floats(value: ArrayLike) -> Floats:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(
            f"theta {value!r}: expected numbers", name="theta", value=value
        ) from None
