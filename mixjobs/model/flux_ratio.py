"""The flux ratio q(theta1, theta2) in every order, by each interpolation method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, get_args

import numpy as np

from mixjobs.display import Summarised, counted
from mixjobs.errors import InvalidInput, OutsideGrid
from mixjobs.grid import Grid, Theta, describe
from mixjobs.interpolation import Method, Outside, interpolation
from mixjobs.interpolation.cells import Interpolation, outside_grid
from mixjobs.interpolation.filling import Filling
from mixjobs.limits import BLACKBODY_TEFF
from mixjobs.model.blackbody import planck_mean
from mixjobs.orders import Orders
from mixjobs.typing import Bools, Floats

# In eight dimensions, triangulating the pairs of even 30 points takes minutes.
MAX_PAIRWISE_POINTS, MAX_PAIRWISE_PARAMETERS = 48, 3
MAX_PAIRS_PER_BATCH = 300  # so that the interpolation weights fit in the cache


def has_pairwise(grid: Grid) -> bool:
    """Whether a grid is small enough for `pairwise`."""
    return len(grid) <= MAX_PAIRWISE_POINTS and len(grid.free) <= MAX_PAIRWISE_PARAMETERS


class RatioMethod(Protocol):
    """The interface of a method that evaluates the flux ratio."""

    def ratio(self, theta1: Floats, theta2: Floats) -> tuple[Floats, Bools]:
        """Return q (n, M) for theta (n, D), and whether each pair is valid (n,)."""


@dataclass(frozen=True, eq=False, repr=False)
class FluxRatio(Summarised):
    """The flux ratio ``q_m(theta1, theta2) = f2bar / f1bar`` in M orders.

    Use `mixjobs.load_flux_ratio` to load it from a store, or `flux_ratio` to make it from arrays.

    Attributes
    ----------
    grid : Grid
    orders : Orders
    method : {"cubic", "linear", "simplex", "pairwise", "blackbody"}
    outside : {"raise", "nan"}
        Whether an invalid theta raises an error or gives NaN.
    evaluator : RatioMethod
    filling : Filling or None
        Holes of the grid that are filled from their neighbours.
    """

    grid: Grid
    orders: Orders
    method: Method
    outside: Outside
    evaluator: RatioMethod
    filling: Filling | None = None

    def _facts(self) -> Mapping[str, object]:
        filled = f", and {len(self.filling)} filled" if self.filling else ""
        return {
            "method": self.method,
            "orders": summarise_orders(self.orders),
            "points": f"{len(self.grid)}{filled}",
            **summarise_axes(self.grid),
            "outside the grid": "NaN" if self.outside == "nan" else "raises OutsideGrid",
        }

    def __call__(self, theta1: Theta, theta2: Theta) -> Floats:
        """Evaluate q.

        Parameters
        ----------
        theta1, theta2 : (..., D) arrays, or mappings from parameter names to (...) arrays
            Parameters of components 1 and 2. Leading shapes broadcast.

        Returns
        -------
        (..., M) array
            Mean flux of component 2 over that of component 1 in each order. NaN for an invalid
            theta if `outside` is "nan".

        Raises
        ------
        OutsideGrid
            A theta outside the grid or next to a hole, if `outside` is "raise".
        InvalidInput
            A theta of the wrong length, with unknown names, or with NaN.
        """
        first, second = self.grid.theta(theta1), self.grid.theta(theta2)
        if first.shape != second.shape:
            try:
                first, second = np.broadcast_arrays(first, second)
            except ValueError:
                raise InvalidInput(
                    f"theta1 {first.shape} and theta2 {second.shape} do not broadcast; "
                    "give shapes that do",
                    name="theta2",
                    value=second.shape,
                ) from None
        pairs = [theta.reshape(-1, theta.shape[-1]) for theta in (first, second)]
        q, valid = self.evaluator.ratio(*pairs)
        if not valid.all():
            if self.outside == "raise":
                self._refuse(*(theta[~valid][0] for theta in pairs))
            q[~valid] = np.nan
        return q.reshape(*first.shape[:-1], q.shape[-1])

    def _refuse(self, theta1: Floats, theta2: Floats) -> None:
        _, valid = self.evaluator.ratio(theta1[None], theta1[None])
        component, theta = (2, theta2) if valid[0] else (1, theta1)
        if self.method != "blackbody":
            raise outside_grid(self.grid, theta, f"theta{component}", self.filling)
        raise OutsideGrid(
            f"theta{component}: {describe(theta, self.grid.names)} needs a teff from "
            "{:g} to {:g} K".format(*BLACKBODY_TEFF),
            name="teff",
            value=theta[self.grid.names.index("teff")],
        )


def summarise_orders(orders: Orders) -> str:
    """Summarise orders in one line.

    Examples
    --------
    >>> summarise_orders(Orders([7, 8], [5004, 5009], [5011, 5018]))
    '2 (7 to 8), 5004 to 5018 Å'
    """
    first, last = orders.number.min(), orders.number.max()
    numbers = f"{first}" if first == last else f"{first} to {last}"
    extent = f"{orders.wave_min.min():g} to {orders.wave_max.max():g} Å"
    return f"{len(orders)} ({numbers}), {extent}"


def summarise_axes(grid: Grid) -> dict[str, str]:
    """Summarise each parameter of a grid in one line.

    Examples
    --------
    >>> summarise_axes(Grid(np.array([[5000, 4], [5200, 4], [5400, 4]]), ("teff", "logg")))
    {'teff': '5000 to 5400 (3 values)', 'logg': '4'}
    """
    return {
        name: f"{axis[0]:g} to {axis[-1]:g} ({len(axis)} values)"
        if len(axis) > 1
        else f"{axis[0]:g}"
        for name, axis in zip(grid.names, grid.axes, strict=True)
    }


@dataclass(frozen=True, eq=False)
class InterpolatedLogMean:
    """q from the interpolated logarithm of the mean flux: ``exp(L(theta2) - L(theta1))``.

    The ratio is positive, and exactly reciprocal and transitive off the grid, because the table of
    all ratios has rank one.

    Attributes
    ----------
    interpolation : Interpolation
    log_mean : (R, M) array
        ln(mean flux) at the grid points, prepared for the interpolation.
    """

    interpolation: Interpolation
    log_mean: Floats

    def ratio(self, theta1: Floats, theta2: Floats) -> tuple[Floats, Bools]:
        """Return q (n, M) for theta (n, D), and whether each pair is valid (n,)."""
        step = MAX_PAIRS_PER_BATCH
        batches = [
            self._batch(theta1[i : i + step], theta2[i : i + step])
            for i in range(0, max(len(theta1), 1), step)
        ]
        if len(batches) == 1:
            return batches[0]
        q, valid = zip(*batches, strict=True)
        return np.concatenate(q), np.concatenate(valid)

    def _batch(self, theta1: Floats, theta2: Floats) -> tuple[Floats, Bools]:
        n = len(theta1)
        weights, valid = self.interpolation.weights(np.concatenate([theta1, theta2]))
        log_mean = weights @ self.log_mean
        return np.exp(log_mean[n:] - log_mean[:n]), valid[:n] & valid[n:]


@dataclass(frozen=True, eq=False)
class Pairwise:
    """q interpolated linearly in simplices of the space of pairs, which has 2 D dimensions.

    This is the method of Starfish's notebook, kept as a reference. Off the grid it satisfies
    neither ``q(theta, theta) = 1`` nor ``q12 q21 = 1``.

    Attributes
    ----------
    grid : Grid
    domain : Interpolation
        Simplex interpolation on the grid, which decides which theta are valid.
    interpolator : callable
        From pairs (n, 2D) to ratios (n, M).
    """

    grid: Grid
    domain: Interpolation
    interpolator: Callable[[Floats], Floats]

    @classmethod
    def build(cls, grid: Grid, mean_flux: Floats, filling: Filling | None = None) -> Pairwise:
        """Triangulate the N² pairs; `mean_flux` is (M, N)."""
        if filling:
            grid, mean_flux = filling.grid, filling.extend_flux(mean_flux)
        _check_pairwise(grid)
        points = grid.points[:, list(grid.free)]
        first, second = np.divmod(np.arange(len(grid) ** 2), len(grid))
        pairs = np.concatenate([points[first], points[second]], axis=1)
        ratios = (mean_flux[:, second] / mean_flux[:, first]).T
        domain = interpolation(grid, "simplex")
        from scipy.interpolate import LinearNDInterpolator  # the import takes half a second

        return cls(grid, domain, LinearNDInterpolator(pairs, ratios, rescale=True))

    def ratio(self, theta1: Floats, theta2: Floats) -> tuple[Floats, Bools]:
        """Return q (n, M) for theta (n, D), and whether each pair is valid (n,)."""
        free = list(self.grid.free)
        q: Floats = self.interpolator(np.concatenate([theta1[:, free], theta2[:, free]], axis=1))
        _, valid = self.domain.weights(np.concatenate([theta1, theta2]))
        n = len(theta1)
        return q, valid[:n] & valid[n:] & ~np.isnan(q).any(axis=1)


def _check_pairwise(grid: Grid) -> None:
    """Refuse a grid whose pairs would take hours to triangulate."""
    n_dimensions, n_points = 2 * len(grid.free), len(grid)
    if len(grid.free) > MAX_PAIRWISE_PARAMETERS:
        raise InvalidInput(
            f"pairwise would triangulate pairs in {n_dimensions} dimensions; it is limited to "
            f"{MAX_PAIRWISE_PARAMETERS} parameters; use cubic",
            name="method",
            value="pairwise",
        )
    if n_points > MAX_PAIRWISE_POINTS:
        seconds = 9.0 * (n_points / 36) ** 3.6  # measured: 9 s for 36 points, growing as N^3.6
        raise InvalidInput(
            f"pairwise would triangulate {n_points**2} pairs in {n_dimensions} dimensions, "
            f"which takes about {seconds / 3600:.1g} hours; it is limited to "
            f"{MAX_PAIRWISE_POINTS} points; use cubic",
            name="method",
            value="pairwise",
        )


@dataclass(frozen=True, eq=False)
class BlackbodyRatio:
    """q as the ratio of the Planck means over each order, which depends only on the two Teff.

    Attributes
    ----------
    orders : Orders
    teff : int
        Index of Teff in theta.
    """

    orders: Orders
    teff: int

    def ratio(self, theta1: Floats, theta2: Floats) -> tuple[Floats, Bools]:
        """Return q (n, M) for theta (n, D); a pair of temperatures of a blackbody is valid."""
        teff = np.stack([theta1[:, self.teff], theta2[:, self.teff]])
        coolest, hottest = BLACKBODY_TEFF
        valid = (teff >= coolest) & (teff <= hottest)
        filled = np.where(valid, teff, hottest)
        means = planck_mean(self.orders.wave_min, self.orders.wave_max, filled)
        return means[1] / means[0], valid[0] & valid[1]


def flux_ratio(
    grid: Grid,
    orders: Orders,
    mean_flux: Floats,
    method: Method = "cubic",
    outside: Outside = "raise",
    filling: Filling | None = None,
) -> FluxRatio:
    """Make q(theta1, theta2) from the mean flux of every order at every grid point.

    Parameters
    ----------
    grid : Grid
        N points.
    orders : Orders
        M orders.
    mean_flux : (M, N) array
        Mean raw flux; positive.
    method : {"cubic", "linear", "simplex", "pairwise", "blackbody"}
        The interpolation between grid points.
    outside : {"raise", "nan"}
        Whether an invalid theta raises an error or gives NaN.
    filling : Filling, optional
        Holes of the grid to fill from their neighbours.

    Raises
    ------
    InvalidInput
        An unknown or unsuitable method, an unknown `outside`, or a `mean_flux` that has the wrong
        shape or is not positive.
    """
    if outside not in get_args(Outside):
        raise InvalidInput(
            f"unknown outside {outside!r}; choose 'raise' or 'nan'", name="outside", value=outside
        )
    if mean_flux.shape != (len(orders), len(grid)):
        raise InvalidInput(
            f"mean_flux has shape {mean_flux.shape}; expected {counted(len(orders), 'order')} x "
            f"{len(grid)} grid points",
            name="mean_flux",
            value=mean_flux.shape,
        )
    invalid = mean_flux[~((mean_flux > 0) & (mean_flux < np.inf))]
    if invalid.size:
        raise InvalidInput(
            f"mean_flux has the value {invalid[0]:g}; expected positive, finite numbers; "
            "build the store again",
            name="mean_flux",
            value=float(invalid[0]),
        )
    evaluator = _evaluator(grid, orders, mean_flux, method, filling)
    return FluxRatio(grid, orders, method, outside, evaluator, filling)


def _evaluator(
    grid: Grid, orders: Orders, mean_flux: Floats, method: Method, filling: Filling | None
) -> RatioMethod:
    if method == "pairwise":
        return Pairwise.build(grid, mean_flux, filling)
    if method == "blackbody":
        if "teff" not in grid.names:
            raise InvalidInput(
                f"blackbody needs a parameter teff; the library has {', '.join(grid.names)}; "
                "use cubic",
                name="method",
                value=method,
            )
        return BlackbodyRatio(orders, grid.names.index("teff"))
    between = interpolation(grid, method, filling)
    return InterpolatedLogMean(between, between.prepare(np.log(mean_flux).T))


def flux_ratio_rows(mean_flux: Floats, start: int, stop: int) -> Floats:
    """Rows start:stop of the ratio table of one or more orders.

    ``flux_ratio[..., i, j] = mean_flux[..., j] / mean_flux[..., i]`` is q_m(theta_i, theta_j):
    component 1 comes first.

    Parameters
    ----------
    mean_flux : (..., N) array
    start, stop : int
        Range of i.

    Returns
    -------
    (..., stop - start, N) array

    Examples
    --------
    >>> flux_ratio_rows(np.array([1.0, 2.0, 4.0]), 1, 3).tolist()
    [[0.5, 1.0, 2.0], [0.25, 0.5, 1.0]]
    """
    ratio: Floats = mean_flux[..., None, :] / mean_flux[..., start:stop, None]
    return ratio
