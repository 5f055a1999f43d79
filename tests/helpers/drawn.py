"""Random grids, values and parameters for hypothesis."""

from itertools import product

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from mixjobs.grid import Grid
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.orders import Orders

NAMES = ("teff", "logg", "feh", "alpha", "spare")

seeds = st.integers(0, 2**32 - 1)


def lattice(*axes):
    """The complete product of the axes."""
    return Grid(np.array(list(product(*axes)), dtype=float), NAMES[: len(axes)])


@st.composite
def axes(draw, max_axes, min_length=2):
    """One to `max_axes` uneven axes, and at most one fixed axis at any position."""
    lengths = draw(st.lists(st.integers(min_length, 5), min_size=1, max_size=max_axes))
    lengths = [min(n, max(min_length, (5, 5, 4, 3)[len(lengths) - 1])) for n in lengths]
    if draw(st.booleans()):
        lengths.insert(draw(st.integers(0, len(lengths))), 1)
    step = st.sampled_from([0.125, 0.3, 0.5, 0.7, 1.0, 2.0])
    scale = st.sampled_from([1.0, 1.0, 100.0])
    result = []
    for n in lengths:
        steps = draw(st.lists(step, min_size=n - 1, max_size=n - 1))
        result.append(
            draw(scale) * (draw(st.sampled_from([-4.0, 0.0, 0.1, 26.0])) + np.cumsum([0.0, *steps]))
        )
    return result


@st.composite
def grids(draw, max_axes=4, holes=("none", "random", "ragged")):
    """A product grid, complete or with holes, with its points in any sequence."""
    values = draw(axes(max_axes))
    places = np.array(list(product(*(range(len(axis)) for axis in values))))
    points = np.array(list(product(*values)))
    rng = np.random.default_rng(draw(seeds))
    kept = kept_points(draw(st.sampled_from(holes)), places, rng)
    rows = rng.permutation(np.flatnonzero(kept))
    assume(len(rows) > 1)
    grid = Grid(points[rows], NAMES[: points.shape[1]])
    assume(grid.is_product)
    return grid


def kept_points(holes, places, rng):
    """The points of the product that the library has."""
    kept = np.ones(len(places), dtype=bool)
    if holes == "random":
        kept = rng.random(len(places)) > rng.choice([0.05, 0.15])
    if holes == "ragged":  # like PHOENIX: alpha only for some points, no low log g for hot stars
        last, first = places[:, -1], places[:, 0]
        middle = (places[:, -2 % places.shape[1]] >= 1) & (places[:, 0] >= rng.integers(0, 2))
        kept = (middle | (last == last.max() // 2)) & (places.sum(axis=1) >= first.max() - 2)
    return kept


def anywhere(grid, rng, n):
    """Theta (n, D) in the range of a grid: inside cells, on faces, edges and grid points."""
    low, high = grid.points.min(axis=0), grid.points.max(axis=0)
    theta = low + (high - low) * rng.random((n, len(low)))
    for row in theta[n // 4 :]:
        for d in np.flatnonzero(rng.random(len(low)) < 0.5):
            row[d] = rng.choice(grid.axes[d])
    for row in theta[3 * n // 4 :]:  # near a grid point, more often next to a hole
        row[:] = np.where(rng.random(len(low)) < 0.6, rng.choice(grid.points), row)
    return np.clip(theta, low, high)


def nodes_of(grid, values):
    """The dictionary from grid points to values that the references use."""
    return {tuple(map(float, p)): float(v) for p, v in zip(grid.points, values, strict=True)}


def make_q(grid, rng, method, n_orders=3, **options):
    """A flux ratio with random mean fluxes, and the mean fluxes (M, N)."""
    mean_flux = np.exp(rng.normal(size=(n_orders, len(grid))))
    orders = Orders.log_spaced(n_orders, 7000, 50000)
    return flux_ratio(grid, orders, mean_flux, method, **options), mean_flux


_FLUXES = st.sampled_from([1.0, 2.5, -3.0, 0.0, 1e-18, np.nan, np.inf, -np.inf])
_FLUX_ERRORS = st.sampled_from([0.1, 1e-30, 0.0, -99.9, np.nan, np.inf])


@st.composite
def observed_orders(draw):
    """Draw orders of equal length, with ascending wavelengths and any flux, error and mask."""
    n_orders, n_pixels = draw(st.integers(1, 4)), draw(st.integers(1, 6))

    def table(of):
        row = st.lists(of, min_size=n_pixels, max_size=n_pixels)
        return np.array(draw(st.lists(row, min_size=n_orders, max_size=n_orders)))

    wave = np.cumsum(table(st.floats(1e-3, 3e3)), axis=1) + 5000.0
    return wave, table(_FLUXES), table(_FLUX_ERRORS), table(st.booleans())
