"""Flux ratios of all walkers in one call, against scipy's interpolator point by point."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RegularGridInterpolator

import mixjobs
from benchmarks.libraries import points, smooth_means
from benchmarks.measure import Row, cpu_seconds, in_turn, interval, ratio, same
from mixjobs.grid import Grid
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.typing import Floats

AIM, AIM_CUBIC = 50, 6.0
WALKERS, ORDERS = 40, 20
SHAPE = (20, 6, 7)


def run(small: bool) -> list[Row]:
    """Measure linear and cubic against the peer."""
    grid = Grid(points(SHAPE), ("teff", "logg", "feh"))
    orders = mixjobs.Orders.log_spaced(ORDERS, 7000, 50000)
    mean_flux = smooth_means(grid, ORDERS)
    low, high = grid.points.min(axis=0), grid.points.max(axis=0)
    theta1, theta2 = low + (high - low) * np.random.default_rng(3).random((2, WALKERS, 3))
    linear = flux_ratio(grid, orders, mean_flux, "linear")
    cubic = flux_ratio(grid, orders, mean_flux, "cubic")
    channels = np.log(mean_flux).T.reshape(*SHAPE, ORDERS)
    peer = RegularGridInterpolator(grid.axes, channels, method="linear")

    def point_by_point() -> Floats:
        log_mean = [[peer(theta)[0] for theta in side] for side in (theta1, theta2)]
        return np.exp(np.subtract(log_mean[1], log_mean[0]))

    same("walkers", linear(theta1, theta2), point_by_point(), rtol=1e-12)
    rounds, repeat = (3, 2) if small else (32, 20)
    times = in_turn(
        rounds,
        peer=lambda: cpu_seconds(point_by_point),
        linear=lambda: cpu_seconds(lambda: linear(theta1, theta2), repeat),
        cubic=lambda: cpu_seconds(lambda: cubic(theta1, theta2), repeat),
    )
    return table(times)


def table(times: dict[str, Floats]) -> list[Row]:
    """Return the rows of the table."""
    gain = ratio(times["peer"], times["linear"])
    micro = {name: 1e6 * float(np.median(t)) for name, t in times.items()}
    size = f"{WALKERS} walkers x {ORDERS} orders, {' x '.join(map(str, SHAPE))} grid"
    per_point = micro["cubic"] / (2 * WALKERS)
    return [
        Row(
            f"{2 * WALKERS} calls of a linear RegularGridInterpolator / one call of linear; {size}",
            f"{gain:.0f} ({interval(times['peer'], times['linear'])})",
            f">= {AIM}",
            gain >= AIM,
        ),
        Row("the same calls / one call of cubic", f"{ratio(times['peer'], times['cubic']):.0f}"),
        Row("linear, one call here", f"{micro['linear'] / WALKERS:.1f} µs per walker"),
        Row(
            "cubic, one call here; a compiled peer (MSG) takes 60 µs per point, cubic, "
            "one at a time",
            f"{micro['cubic'] / WALKERS:.1f} µs per walker, {per_point:.1f} per point",
            f"<= {AIM_CUBIC:g} per point",
            per_point <= AIM_CUBIC,
        ),
    ]
