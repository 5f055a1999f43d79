"""The interpolation error of all orders together, from held-out errors.

Between the grid points, the interpolation errs in the same way in every order, because every order
has the same grid. The held-out errors of all orders' emulator weights and of ln(mean flux) are
therefore decomposed together. Column j of every order belongs to the same standard normal variable
z_j, in all orders and epochs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mixjobs.interpolation.cross_validation import AxisFolds
from mixjobs.typing import Floats

_KEPT_VARIANCE = 0.999  # of the joint error, in its leading columns
_NEGLIGIBLE = 1e-10  # singular value of a principal component, over the largest
_LONG_AXIS = 5  # values; on a shorter axis, held-out errors have the wrong direction


@dataclass(frozen=True, eq=False)
class JointError:
    """The interpolation error of M orders; made by `joint_error`.

    Attributes
    ----------
    columns : tuple of M (J, K_m + 1) arrays
        Change of the K_m emulator weights and of ln(mean flux) of each order with each of J
        standard normal variables, which all orders share.
    factors : dict
        Factor from held-out errors to errors between the grid points along each axis.
    measured_axes : tuple of str
        Axes whose factor was measured.
    short_axes : tuple of str
        Axes with three or four values, whose errors are less certain.
    """

    columns: tuple[Floats, ...]
    factors: dict[str, float]
    measured_axes: tuple[str, ...]
    short_axes: tuple[str, ...]


def joint_error(
    axes: Sequence[AxisFolds],
    weights: Sequence[Floats],
    log_means: Sequence[Floats],
    n_pixels: Sequence[int],
    measured_factors: Mapping[str, float],
) -> JointError:
    """Decompose the held-out errors of all orders together.

    Their covariance is the sum over the axes of the second moments of the held-out errors, times
    the squared factor for the doubled step. An axis with two values contributes nothing, because
    neither can be left out. On an axis with three or four values, held-out errors are of second
    order, but errors between the grid points of third order, which point elsewhere. Half of what
    this axis contributes is therefore made independent between the directions in which the spectra
    of all orders together vary most: their joint principal components.

    Parameters
    ----------
    axes : sequence of AxisFolds
    weights : sequence of M (N, K_m) arrays
        Weights of each order's orthonormal eigenspectra at the grid points.
    log_means : sequence of M (N,) arrays
        ln(mean flux) of each order at the grid points.
    n_pixels : sequence of M int
        Number of pixels of each order's eigenspectra.
    measured_factors : dict
        Factors by the name of the axis: see `mixjobs.model.error_size.measured_factors`. Those of
        other axes are `AxisFolds.factor`.
    """
    values = [np.column_stack(pair) for pair in zip(weights, log_means, strict=True)]
    sizes = [value.shape[1] for value in values]
    # A weight counts as the r.m.s. of its spectrum over the pixels.
    scale = np.concatenate(
        [[n**-0.5] * (size - 1) + [1.0] for n, size in zip(n_pixels, sizes, strict=True)]
    )
    scaled = np.concatenate(values, axis=1) * scale
    long, short, factors = [np.empty((0, len(scale)))], [np.empty((0, len(scale)))], {}
    for axis in axes:
        errors = axis.errors(scaled)
        measured = measured_factors.get(axis.name)
        factor = axis.factor(scaled, errors) if measured is None else measured
        factors[axis.name] = factor
        rows = short if axis.n_values < _LONG_AXIS else long
        rows.append(factor * len(errors) ** -0.5 * errors)
    balance = _balance(np.concatenate(long + short), sizes)
    columns = _columns(
        np.concatenate(long) * balance,
        np.concatenate(short) * balance,
        (scaled - scaled.mean(axis=0)) * balance,
    )
    columns = columns / balance / scale
    return JointError(
        tuple(np.split(columns, np.cumsum(sizes)[:-1], axis=1)),
        factors,
        tuple(measured_factors),
        tuple(axis.name for axis in axes if axis.n_values < _LONG_AXIS),
    )


def _balance(errors: Floats, sizes: Sequence[int]) -> Floats:
    """Return factors (P,) that give ln(mean flux) as much variance as the weights.

    The leading columns then represent both, whichever has the larger errors.
    """
    factors = np.ones(sum(sizes))
    is_mean = np.isin(np.arange(len(factors)), np.cumsum(sizes) - 1)
    of_means, of_weights = np.sum(errors[:, is_mean] ** 2), np.sum(errors[:, ~is_mean] ** 2)
    if of_means > 0 and of_weights > 0:
        factors[is_mean] = np.sqrt(of_weights / of_means)
    return factors


def _columns(long: Floats, short: Floats, values: Floats) -> Floats:
    """Factor (J, P) of the covariance of errors (n, P) on long and on short axes.

    Half of the covariance on short axes is reduced to its diagonal in the basis of the principal
    components of the values (N, P).
    """
    rows = [long]
    if len(short):
        _, singular, components = np.linalg.svd(values, full_matrices=False)
        components = components[singular > _NEGLIGIBLE * singular[0]]
        sizes = np.sqrt(np.sum((short @ components.T) ** 2, axis=0))
        rows += [short / np.sqrt(2), sizes[:, None] / np.sqrt(2) * components]
    _, singular, basis = np.linalg.svd(np.concatenate(rows), full_matrices=False)
    n = n_leading(singular**2)
    columns: Floats = singular[:n, None] * basis[:n]
    largest = np.take_along_axis(columns, np.abs(columns).argmax(axis=1)[:, None], axis=1)
    return columns * np.where(largest < 0, -1.0, 1.0)


def n_leading(variances: Floats) -> int:
    """Return how many of these descending variances make up 99.9 % of their sum.

    Examples
    --------
    >>> n_leading(np.array([4.0, 1.0, 1e-9])), n_leading(np.zeros(3))
    (2, 0)
    """
    total = variances.sum()
    if not total > 0:
        return 0
    return int(np.searchsorted(np.cumsum(variances), _KEPT_VARIANCE * total)) + 1


@dataclass(frozen=True, eq=False)
class OrderError:
    """The joint error in one order, in as few columns as it needs there.

    Attributes
    ----------
    weights : (R, K) array
        Changes of the emulator's weights.
    directions : (J, R) array
        Orthonormal: with standard normal z (J,), the weights err by ``z @ directions @ weights``.
    log_mean : (J,) array
        Change of ln(mean flux) with each z.
    """

    weights: Floats
    directions: Floats
    log_mean: Floats


def order_error(columns: Floats) -> OrderError:
    """Compress the columns (J, K + 1) of one order to 99.9 % of their variance."""
    directions, singular, weights = np.linalg.svd(columns[:, :-1], full_matrices=False)
    n = n_leading(singular**2)
    return OrderError(singular[:n, None] * weights[:n], directions[:, :n], columns[:, -1])
