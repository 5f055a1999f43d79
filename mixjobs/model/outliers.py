"""Grid points whose mean flux their neighbours contradict, and jumps along an axis.

A wrong spectrum (another unit, another version, a copying error) looks like any other, but its
neighbours on the grid predict it far worse than they predict each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixjobs.grid import Grid, describe
from mixjobs.typing import Bools, Floats, Ints

_REACH = 2  # grid steps to the lines whose errors set the scale
_MIN_LINES = 3  # lines that set the scale; with fewer, the whole grid does
_TIMES_MEDIAN = 5.0  # a scale from the whole grid is this many times its median error
_MIN_DEVIATION = 0.05  # smallest deviation of ln(mean flux) that is reported
_OUTLIER = 4.0  # times the scale, along every axis
_MIN_SLOPES = 3  # of an axis, to find a jump
_OPPOSITE = 0.75  # of a jump, for the next one to be its reverse
_MAX_OUTLIERS = 20  # with more, the library is rough rather than wrong at some points


@dataclass(frozen=True)
class Outlier:
    """A grid point that its neighbours contradict.

    Attributes
    ----------
    point : int
        Row of the grid.
    factor : float
        Its mean flux over that predicted from its neighbours, median over the orders.
    ratio : float
        Its error over the largest one of the points around it.
    """

    point: int
    factor: float
    ratio: float


@dataclass(frozen=True)
class Jump:
    """A jump of the mean flux between two neighbouring values of an axis, or at one value.

    Attributes
    ----------
    name : str
        The parameter.
    low, high : float
        The two values; the same where the points of a single value are off.
    factor : float
        Mean flux on the upper side, or at the value, over that expected from the others.
    """

    name: str
    low: float
    high: float
    factor: float


def find_outliers(grid: Grid, mean_flux: Floats) -> list[Outlier]:
    """Find grid points whose neighbours predict them far worse than they predict each other.

    Each point is predicted along every axis from its nearest neighbours on that line of the grid.
    The scale of the error is that at the same place of the lines around. The worst point is left
    out and the search repeated, so that its neighbours, which it had spoiled, are cleared.

    Parameters
    ----------
    grid : Grid
        N points.
    mean_flux : (M, N) array

    Returns
    -------
    list of Outlier
        The worst first. Empty if more than 20 points stand out, as in a library that is rough.
    """
    log_mean = np.log(mean_flux)
    usable = np.ones(len(grid), dtype=np.bool_)
    errors = _errors(grid, log_mean, usable)
    while (~usable).sum() <= _MAX_OUTLIERS:
        ratio, deviation = _compare(grid, errors, usable)
        stands_out = usable & (ratio > _OUTLIER)
        if not stands_out.any():
            break
        worst = int(np.argmax(np.where(stands_out, np.abs(deviation), 0.0)))
        usable[worst] = False
        _update(grid, log_mean, usable, errors, worst)
    else:
        return []
    return _confirmed(grid, log_mean, usable, errors)


def _confirmed(grid: Grid, log_mean: Floats, usable: Bools, errors: Floats) -> list[Outlier]:
    """Return the points left out that the others contradict still; clear the rest."""
    while True:
        ratio, deviation = _compare(grid, errors, usable)
        cleared = np.flatnonzero(~usable & (ratio <= _OUTLIER))
        if not len(cleared):
            break
        usable[cleared[0]] = True
        _update(grid, log_mean, usable, errors, int(cleared[0]))
    outliers = [
        Outlier(int(i), float(np.exp(deviation[i])), float(ratio[i]))
        for i in np.flatnonzero(~usable)
    ]
    return sorted(outliers, key=lambda outlier: -outlier.ratio)


def _errors(grid: Grid, log_mean: Floats, usable: Bools) -> Floats:
    """Return ln(mean / prediction), (axes, N, M), from usable neighbours only; NaN without."""
    errors = np.full((len(grid.names), len(grid), len(log_mean)), np.nan)
    for d in grid.free:
        for line in _lines(grid, d):
            _predict_line(errors[d], grid.points[line, d], log_mean, line, usable)
    return errors


def _predict_line(errors: Floats, x: Floats, log_mean: Floats, line: Ints, usable: Bools) -> None:
    """Set the errors (N, M) of the points of one line, whose parameter is `x`."""
    for k, point in enumerate(line):
        others = np.flatnonzero(usable[line] & (line != point))
        near = _nearest(others, k)
        errors[point] = np.nan
        if len(near) >= 2:
            errors[point] = log_mean[:, point] - log_mean[:, line[near]] @ _lagrange(x[near], x[k])


def _update(grid: Grid, log_mean: Floats, usable: Bools, errors: Floats, point: int) -> None:
    """Compute the errors on the lines through a point anew."""
    for d in grid.free:
        same = np.delete(grid.index == grid.index[point], d, axis=1).all(axis=1)
        line = np.flatnonzero(same)
        line = line[np.argsort(grid.points[line, d])]
        _predict_line(errors[d], grid.points[line, d], log_mean, line, usable)


def _lines(grid: Grid, d: int) -> list[Ints]:
    """Return the points of every line of the grid along an axis, ascending."""
    others = np.delete(grid.points, d, axis=1)
    _, line = np.unique(others, axis=0, return_inverse=True)
    order = np.lexsort([grid.points[:, d], line.ravel()])
    return np.split(order, np.flatnonzero(np.diff(line.ravel()[order])) + 1)


def _nearest(others: Ints, k: int) -> Ints:
    """Return up to two positions on each side; three where there is only one side."""
    below, above = others[others < k][-2:], others[others > k][:2]
    if len(below) and len(above):
        return np.concatenate([below, above])
    return others[others < k][-3:] if len(below) else others[others > k][:3]


def _lagrange(x: Floats, at: float) -> Floats:
    """Return the weights of the polynomial through all nodes, (n,)."""
    differences = x[:, None] - x
    np.fill_diagonal(differences, 1.0)
    numerator = np.where(np.eye(len(x), dtype=np.bool_), 1.0, at - x)
    weights: Floats = (numerator / differences).prod(axis=1)
    return weights


def _compare(grid: Grid, errors: Floats, usable: Bools) -> tuple[Floats, Floats]:
    """Return each point's error over its scale, and the error itself, (N,) each.

    Both are those along the axis with the smallest scale. The ratio is 0 where another axis
    contradicts the error by more than its own scale, or where the error is small.
    """
    own = np.array([np.median(errors[d], axis=1) for d in grid.free])
    scale = np.array([_scale(grid, errors[d], usable, d) for d in grid.free])
    scale[~np.isfinite(own) | ~np.isfinite(scale)] = np.inf
    finest = scale.argmin(axis=0), np.arange(len(grid))
    deviation = np.where(np.isfinite(scale[finest]), own[finest], 0.0)
    gap = np.abs(own - deviation)  # nan where an axis cannot tell
    contradicts = (gap > np.maximum(scale, np.abs(deviation) / 2)).any(axis=0)
    ratio = np.abs(deviation) / np.maximum(scale[finest], 1e-12)
    ratio[contradicts | (np.abs(deviation) < _MIN_DEVIATION)] = 0.0
    return ratio, deviation


def _scale(grid: Grid, errors: Floats, usable: Bools, d: int) -> Floats:
    """Return the largest error at the same place of the lines around, (N,)."""
    size = np.median(np.abs(errors), axis=1)
    size[~usable] = np.nan
    place = grid.index[:, d]
    at_end = (place == 0) | (place == len(grid.axes[d]) - 1)
    scale = np.full(len(grid), np.nan)
    for kind in (at_end, ~at_end):
        known = size[kind & np.isfinite(size)]
        if len(known):
            scale[kind] = _TIMES_MEDIAN * np.median(known)
    for value in range(len(grid.axes[d])):
        here = np.flatnonzero(place == value)
        others = np.delete(grid.index[here], d, axis=1)
        for row, point in enumerate(here):
            near = np.abs(others - others[row]).max(axis=1, initial=0) <= _REACH
            near[row] = False
            sizes = size[here[near]]
            sizes = sizes[np.isfinite(sizes)]
            if len(sizes) >= _MIN_LINES:
                scale[point] = sizes.max()
    return scale


def find_jumps(grid: Grid, mean_flux: Floats) -> list[Jump]:
    """Find values of an axis between which the mean flux of the whole grid jumps.

    A library put together from two versions has such a jump. The slope of ln(mean flux) between
    two neighbouring values is compared with the slopes on both sides of it, on every line of the
    grid; the median over lines and orders must stand out from those at all other values.

    Parameters
    ----------
    grid : Grid
        N points.
    mean_flux : (M, N) array

    Returns
    -------
    list of Jump
        At most one for each axis; axes with fewer than six values cannot tell.
    """
    log_mean = np.log(mean_flux)
    jumps = []
    for d in grid.free:
        axis = grid.axes[d]
        size = _jump_sizes(grid, log_mean, d)
        if np.isfinite(size).sum() < _MIN_SLOPES:
            continue
        found = _largest_jump(size)
        if found is not None:
            first, last, factor = found
            jumps.append(Jump(str(grid.names[d]), float(axis[first]), float(axis[last]), factor))
    return jumps


def _largest_jump(size: Floats) -> tuple[int, int, float] | None:
    """Return the indices of the values around a jump, and its factor; None without one.

    Both indices are the same where a single value is off: there are two opposite jumps then, each
    of which makes the other appear larger by half.
    """
    worst = int(np.nanargmax(np.abs(size)))
    reverse = [
        k for k in (worst - 1, worst + 1)
        if 0 <= k < len(size) and -size[k] / size[worst] > _OPPOSITE
    ]  # fmt: skip
    spoiled = {k + step for k in (worst, *reverse) for step in (-1, 0, 1)}
    rest = [abs(value) for k, value in enumerate(size) if k not in spoiled and np.isfinite(value)]
    if abs(size[worst]) <= max(_OUTLIER * max(rest, default=np.inf), _MIN_DEVIATION):
        return None
    if reverse:
        sign = 1 if reverse[0] > worst else -1
        value = max(worst, reverse[0])
        return value, value, float(np.exp(sign * size[worst] / 1.5))
    return worst, worst + 1, float(np.exp(size[worst]))


def _jump_sizes(grid: Grid, log_mean: Floats, d: int) -> Floats:
    """Return the median step of ln(mean flux) beyond the slopes around, (n_values - 1,)."""
    axis = grid.axes[d]
    sizes: list[list[Floats]] = [[] for _ in axis[1:]]
    for line in _lines(grid, d):
        x = grid.points[line, d]
        slope = np.diff(log_mean[:, line], axis=1) / np.diff(x)
        for k in range(1, len(line) - 2):
            excess = (slope[:, k] - (slope[:, k - 1] + slope[:, k + 1]) / 2) * (x[k + 1] - x[k])
            position = np.searchsorted(axis, x[k])
            if axis[position + 1] == x[k + 1]:
                sizes[position].append(excess)
    return np.array([np.median(np.concatenate(s)) if s else np.nan for s in sizes])


def suspects(grid: Grid, mean_flux: Floats) -> list[str]:
    """Describe the outliers and the jumps of a library, one line each.

    Parameters
    ----------
    grid : Grid
        N points.
    mean_flux : (M, N) array
    """
    if not grid.is_product:
        return []
    lines = []
    for jump in find_jumps(grid, mean_flux):
        where = f"at {jump.name} = {jump.low:g}"
        if jump.low != jump.high:
            where = f"between {jump.name} = {jump.low:g} and {jump.high:g}"
        lines.append(
            f"the mean fluxes of the library jump {where} by a factor of {jump.factor:.3g}"
        )
    for outlier in find_outliers(grid, mean_flux):
        lines.append(
            f"the spectrum at {describe(grid.points[outlier.point], grid.names)} is suspect: its "
            f"mean flux is {outlier.factor:.3g} times what its neighbours predict, an error "
            f"{min(outlier.ratio, 999):.0f} times theirs"
        )
    return lines
