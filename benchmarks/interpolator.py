"""Cubic interpolator, against the six-dimensional one of the original, and its growth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from scipy.interpolate import LinearNDInterpolator

import mixjobs
from benchmarks.libraries import points, smooth_means
from benchmarks.measure import Row, cpu_seconds, in_turn, ratio, same
from mixjobs.grid import Grid
from mixjobs.model.flux_ratio import FluxRatio, flux_ratio
from mixjobs.typing import Floats

AIM = 10_000
N = 10_000  # evaluations
PIECES = 20  # of the original's evaluations
NAMES = ("teff", "logg", "feh")
ORDER = mixjobs.Orders.from_edges((7000.0, 9000.0))
FEW = {"teff": (5600, 5800, 6000, 6200), "logg": (4, 4.5, 5), "feh": (-1, -0.5, 0)}  # 36 points
FEWER = {"teff": (5600, 5800, 6000), "logg": (4, 5), "feh": (-1, 0)}
MANY = (25, 15, 20)  # 7,500 points
Job = Callable[[], Floats]


def run(small: bool) -> list[Row]:
    """Measure construction and evaluation on 36 points, and ours on 7,500."""
    axes = FEWER if small else FEW
    few = Grid(np.array(list(product(*axes.values()))), NAMES)
    many = Grid(points(MANY), NAMES)
    n_theirs, rounds = (100, 1) if small else (N, 5)
    return [against_pairs(few, n_theirs, rounds), *growth(few, many, 3 * rounds)]


def against_pairs(grid: Grid, n_theirs: int, rounds: int) -> Row:
    """Return the row about the original's regression, run once, with ours between its pieces."""
    ours, theirs = cubic(grid), pairwise(grid, n_theirs)
    pieces: list[Floats] = []
    theirs_seconds = cpu_seconds(lambda: next(theirs))  # the construction
    ours_seconds: list[float] = []
    for _ in range(PIECES):
        ours_seconds += [cpu_seconds(ours) for _ in range(rounds)]
        theirs_seconds += cpu_seconds(lambda: pieces.append(next(theirs)))
    # The methods differ off the grid, but a wrong axis or direction would show.
    same("interpolator", ours()[:n_theirs], np.concatenate(pieces), rtol=0.5)
    same("interpolator", build(grid, mean(grid))(*nodes(grid))[..., 0], ratios(grid), rtol=1e-12)
    gains = theirs_seconds / np.array(ours_seconds)
    gain = float(np.median(gains))
    return Row(
        f"LinearNDInterpolator on {len(grid) ** 2} pairs / cubic on {len(grid)} points; "
        f"construction + {n_theirs:,} / {N:,} evaluations, 1 order",
        f"{gain:,.0f} ({gains.min():,.0f} to {gains.max():,.0f})",
        f">= {AIM:,}",
        gain >= AIM,
    )


def growth(few: Grid, many: Grid, rounds: int) -> list[Row]:
    """Return the rows about growth with the number of points."""
    few_job, many_job, few_mean, many_mean = cubic(few), cubic(many), mean(few), mean(many)
    times = in_turn(
        rounds,
        few=lambda: cpu_seconds(few_job),
        many=lambda: cpu_seconds(many_job),
        few_built=lambda: cpu_seconds(lambda: build(few, few_mean)),
        many_built=lambda: cpu_seconds(lambda: build(many, many_mean)),
    )
    linear = len(many) / len(few)
    factors = {
        f"construction + {N:,} evaluations": ratio(times["many"], times["few"]),
        "construction alone": ratio(times["many_built"], times["few_built"]),
    }
    return [
        Row(
            f"growth of {quantity}, {len(few)} to {len(many):,} points",
            f"{factor:.1f} times",
            f"<= {linear:.0f}",
            factor <= linear,
        )
        for quantity, factor in factors.items()
    ]


def mean(grid: Grid) -> Floats:
    """Return the mean flux of one order: (1, N)."""
    return smooth_means(grid, 1)


def nodes(grid: Grid) -> tuple[Floats, Floats]:
    """Return all pairs of grid points: theta1 (N, 1, D), theta2 (1, N, D)."""
    return grid.points[:, None], grid.points[None]


def ratios(grid: Grid) -> Floats:
    """Return the ratios of all pairs of grid points: (N, N)."""
    (flux,) = mean(grid)
    table: Floats = flux[None, :] / flux[:, None]
    return table


def random_pairs(grid: Grid) -> tuple[Floats, Floats]:
    """Draw theta1 and theta2 inside a grid, each (N, D)."""
    low, high = grid.points.min(axis=0), grid.points.max(axis=0)
    theta1, theta2 = low + (high - low) * np.random.default_rng(2).random((2, N, len(low)))
    return theta1, theta2


def build(grid: Grid, mean_flux: Floats) -> FluxRatio:
    """Construct the cubic from arrays, including the grid with its axes and cells."""
    return flux_ratio(Grid(grid.points, grid.names), ORDER, mean_flux, "cubic")


def cubic(grid: Grid) -> Job:
    """Return the job of mixjobs: construct, evaluate."""
    mean_flux, (theta1, theta2) = mean(grid), random_pairs(grid)
    return lambda: build(grid, mean_flux)(theta1, theta2)[:, 0]


def pairwise(grid: Grid, n: int) -> Iterator[Floats]:
    """Run the original in pieces: triangulate all pairs in six dimensions, then evaluate."""
    theta1, theta2 = (np.reshape(t, (-1, 3)) for t in np.broadcast_arrays(*nodes(grid)))
    pairs, values = np.concatenate([theta1, theta2], axis=1), ratios(grid).ravel()
    theta = np.concatenate(random_pairs(grid), axis=1)[:n]
    regression = LinearNDInterpolator(pairs, values, rescale=True)
    regression(theta[:1])
    yield values
    for piece in np.array_split(theta, PIECES):
        yield regression(piece)
