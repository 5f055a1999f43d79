"""Flux ratio: q(theta1, theta2) in every order, by any of the methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, get_args

import numpy as np

from mixjobs.errors import InvalidInput, OutsideGrid
from mixjobs.grid import Grid, Theta, describe
from mixjobs.interpolation import Method, Outside, interpolation
from mixjobs.interpolation.cells import Interpolation, why_invalid
from mixjobs.model.blackbody import planck_mean
from mixjobs.orders import Orders
from mixjobs.typing import Bools, Floats

# In eight dimensions the pairs of 30 points take minutes.
MAX_PAIRWISE_POINTS, MAX_PAIRWISE_PARAMETERS = 48, 3
BLOCK = 300  # pairs evaluated together: their weights fit in the cache


def has_pairwise(grid: Grid) -> bool:
    """Whether a grid is small enough for `pairwise`."""
    return len(grid) <= MAX_PAIRWISE_POINTS and len(grid.free) <= MAX_PAIRWISE_PARAMETERS


class RatioMethod(Protocol):
    """What a method answers for flat lists of theta."""

    def ratio(self, theta1: Floats, theta2: Floats) -> tuple[Floats, Bools]:
        """Return q (n, M) for theta (n, D), and whether each pair is valid (n,)."""


@dataclass(frozen=True, eq=False)
class FluxRatio:
    """The flux ratio ``q_m(theta1, theta2) = f2bar / f1bar`` in M orders.

    Made by `flux_ratio` from arrays, or by `mixjobs.load_flux_ratio` from a store.
    """

    grid: Grid
    orders: Orders
    method: Method
    outside: Outside
    answer: RatioMethod

    def __call__(self, theta1: Theta, theta2: Theta) -> Floats:
        """Evaluate q.

        Parameters
        ----------
        theta1, theta2 : (..., D) arrays, or mappings from parameter names to (...) arrays
            Parameters of components 1 and 2; leading shapes broadcast.

        Returns
        -------
        (..., M) array
            NaN where a theta is not valid, if `outside` is "nan".

        Raises
        ------
        OutsideGrid
            A theta outside the grid or beside a hole, if `outside` is "raise".
        InvalidInput
            A theta of the wrong length, with unknown names, or NaN.
        """
        first, second = self.grid.theta(theta1), self.grid.theta(theta2)
        if first.shape != second.shape:
            try:
                first, second = np.broadcast_arrays(first, second)
            except ValueError:
                raise InvalidInput(
                    f"theta1 {first.shape} and theta2 {second.shape} do not broadcast"
                ) from None
        leading, d = first.shape[:-1], first.shape[-1]
        q, valid = self.answer.ratio(first.reshape(-1, d), second.reshape(-1, d))
        if not valid.all():
            if self.outside == "raise":
                self._refuse(first.reshape(-1, d)[~valid][0], second.reshape(-1, d)[~valid][0])
            q[~valid] = np.nan
        return q.reshape(*leading, q.shape[-1])

    def _refuse(self, theta1: Floats, theta2: Floats) -> None:
        _, valid = self.answer.ratio(theta1[None], theta1[None])
        which, theta = (2, theta2) if valid[0] else (1, theta1)
        if self.method == "blackbody":
            why = f"{describe(theta, self.grid.names)} has no positive, finite temperature"
        else:
            why = why_invalid(self.grid, theta)
        raise OutsideGrid(f"theta{which}: {why}")


@dataclass(frozen=True, eq=False)
class LogMean:
    """q from interpolated logarithms of mean flux: ``exp(L(theta2) - L(theta1))``.

    Positive, and exactly reciprocal and transitive off the grid, because the table of all
    ratios has rank one.
    """

    interpolation: Interpolation
    table: Floats

    def ratio(self, theta1: Floats, theta2: Floats) -> tuple[Floats, Bools]:
        """Return q (n, M) for theta (n, D), and whether each pair is valid (n,)."""
        blocks = [
            self._block(theta1[i : i + BLOCK], theta2[i : i + BLOCK])
            for i in range(0, max(len(theta1), 1), BLOCK)
        ]
        if len(blocks) == 1:
            return blocks[0]
        return np.concatenate([q for q, _ in blocks]), np.concatenate([a for _, a in blocks])

    def _block(self, theta1: Floats, theta2: Floats) -> tuple[Floats, Bools]:
        n = len(theta1)
        weights, valid = self.interpolation.weights(np.concatenate([theta1, theta2]))
        log_mean = weights @ self.table
        return np.exp(log_mean[n:] - log_mean[:n]), valid[:n] & valid[n:]


@dataclass(frozen=True, eq=False)
class Pairwise:
    """q interpolated linearly over simplices in the 2D-dimensional space of pairs.

    The historical reference, as Starfish's notebook had it. Off the grid it keeps neither
    ``q(theta, theta) = 1`` nor ``q12 q21 = 1``.
    """

    grid: Grid
    domain: Interpolation
    interpolator: Callable[[Floats], Floats]

    @classmethod
    def build(cls, grid: Grid, mean_flux: Floats) -> Pairwise:
        """Triangulate the N² pairs; `mean_flux` is (M, N)."""
        if len(grid.free) > MAX_PAIRWISE_PARAMETERS:
            raise InvalidInput(
                f"pairwise would triangulate pairs in {2 * len(grid.free)} dimensions; it is kept "
                f"for at most {MAX_PAIRWISE_PARAMETERS} parameters; use cubic"
            )
        if len(grid) > MAX_PAIRWISE_POINTS:
            seconds = 9.0 * (len(grid) / 36) ** 3.6  # measured: 9 s at 36 points, growth N^3.6
            raise InvalidInput(
                f"pairwise would triangulate {len(grid) ** 2} pairs in "
                f"{2 * len(grid.free)} dimensions, about {seconds / 3600:.1g} hours; "
                f"it is kept for at most {MAX_PAIRWISE_POINTS} points; use cubic"
            )
        points = grid.points[:, list(grid.free)]
        first, second = np.divmod(np.arange(len(grid) ** 2), len(grid))
        pairs = np.concatenate([points[first], points[second]], axis=1)
        ratios = (mean_flux[:, second] / mean_flux[:, first]).T
        domain = interpolation(grid, "simplex")  # it decides where the grid answers
        from scipy.interpolate import LinearNDInterpolator  # half a second that others spare

        return cls(grid, domain, LinearNDInterpolator(pairs, ratios, rescale=True))

    def ratio(self, theta1: Floats, theta2: Floats) -> tuple[Floats, Bools]:
        """Return q (n, M) for theta (n, D), and whether each pair is valid (n,)."""
        free = list(self.grid.free)
        q: Floats = self.interpolator(np.concatenate([theta1[:, free], theta2[:, free]], axis=1))
        _, valid = self.domain.weights(np.concatenate([theta1, theta2]))
        n = len(theta1)
        return q, valid[:n] & valid[n:] & ~np.isnan(q).any(axis=1)


@dataclass(frozen=True, eq=False)
class Blackbody:
    """q as the ratio of Planck means over each order; needs nothing but the two Teff."""

    orders: Orders
    teff: int

    def ratio(self, theta1: Floats, theta2: Floats) -> tuple[Floats, Bools]:
        """Return q (n, M) for theta (n, D); every pair with positive Teff is valid."""
        teff = np.stack([theta1[:, self.teff], theta2[:, self.teff]])
        valid = (teff > 0) & (teff < np.inf)
        means = planck_mean(self.orders.wave_min, self.orders.wave_max, np.where(valid, teff, 1.0))
        return means[1] / means[0], valid[0] & valid[1]


def flux_ratio(
    grid: Grid,
    orders: Orders,
    mean_flux: Floats,
    method: Method = "cubic",
    outside: Outside = "raise",
) -> FluxRatio:
    """Return q(theta1, theta2) from the mean flux of every order at every grid point.

    Parameters
    ----------
    grid : Grid
        N points.
    orders : Orders
        M orders.
    mean_flux : (M, N) array
        Raw mean flux; positive.
    method : {"cubic", "linear", "simplex", "pairwise", "blackbody"}
        How to go between the grid points.
    outside : {"raise", "nan"}
        What a theta that is not valid gives.

    Raises
    ------
    InvalidInput
        An unknown or unsuitable method, an unknown `outside`, or a `mean_flux` of another shape
        or not positive.
    """
    if outside not in get_args(Outside):
        raise InvalidInput(f"outside {outside!r} is unknown; choose 'raise' or 'nan'")
    if mean_flux.shape != (len(orders), len(grid)):
        raise InvalidInput(
            f"mean_flux has shape {mean_flux.shape}; expected {len(orders)} orders x "
            f"{len(grid)} grid points"
        )
    if not ((mean_flux > 0) & (mean_flux < np.inf)).all():
        raise InvalidInput("mean_flux has values that are not positive and finite; rebuild it")
    answer: RatioMethod
    if method == "pairwise":
        answer = Pairwise.build(grid, mean_flux)
    elif method == "blackbody":
        if "teff" not in grid.names:
            raise InvalidInput(
                f"blackbody needs a parameter teff; the library has {', '.join(grid.names)}"
            )
        answer = Blackbody(orders, grid.names.index("teff"))
    else:
        between = interpolation(grid, method)
        answer = LogMean(between, between.prepare(np.log(mean_flux).T))
    return FluxRatio(grid, orders, method, outside, answer)


def flux_ratio_rows(mean_flux: Floats, start: int, stop: int) -> Floats:
    """Rows start:stop of the ratio table of one or more orders.

    ``flux_ratio[..., i, j] = mean_flux[..., j] / mean_flux[..., i]`` is q_m(theta_i, theta_j):
    component 1 first.

    Parameters
    ----------
    mean_flux : (..., N) array
    start, stop : int
        Rows, that is values of i.

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
