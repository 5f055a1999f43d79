"""The emulator of one order: principal eigenspectra of its normalised spectra.

A spectrum at any theta is ``mean + w(theta) @ eigenspectra``, in units of its own mean over the
order's pixels; the weights of the grid points are interpolated like the mean fluxes (Czekala et
al. 2015, ApJ 812, 128, section 3.1, with another interpolation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mixjobs.interpolation.cross_validation import HeldOutAxis, rms
from mixjobs.typing import Floats
from mixjobs.wavelengths import LogGrid

_ROWS = 32  # spectra whose residuals are computed together: they stay in the cache


class Accuracy(Protocol):
    """How many eigenspectra to keep, such as a `mixjobs.EmulatorSettings`."""

    @property
    def explained_variance(self) -> float:
        """Keep at least as many as explain this fraction of the variance."""

    @property
    def max_residual(self) -> float:
        """Keep as many as bring every residual below this fraction of the mean flux ..."""

    @property
    def max_rank(self) -> int:
        """... but never more than this number."""

    @property
    def rank(self) -> int | None:
        """Keep exactly this number, if it is given."""


@dataclass(frozen=True, eq=False)
class OrderEmulator:
    """Components of one order.

    Attributes
    ----------
    grid : LogGrid
        n pixels: the order and a buffer on both sides.
    wavelength : (n_pixels,) float array
        The library's own pixels in the order, Å, over which the mean is 1.
    mean : (n,) float array
        The mean of the normalised spectra of all grid points.
    eigenspectra : (K, n) float array
        Orthonormal.
    weights : (N, K) float array
        Of each grid point.
    reconstruction_error : (N,) float array
        r.m.s. over the pixels of what the eigenspectra leave out of each point.
    explained_variance, max_residual : float
        What was reached: see `Accuracy`.
    """

    grid: LogGrid
    wavelength: Floats
    mean: Floats
    eigenspectra: Floats
    weights: Floats
    reconstruction_error: Floats
    explained_variance: float
    max_residual: float

    @property
    def rank(self) -> int:
        """Number of eigenspectra."""
        return len(self.eigenspectra)


def decompose(
    spectra: Floats, grid: LogGrid, wavelength: Floats, accuracy: Accuracy
) -> OrderEmulator:
    """Find the leading principal eigenspectra of normalised spectra.

    By ARPACK (`scipy.sparse.linalg.svds`), or a full SVD where there are few spectra or pixels.
    Beside the spectra, which are overwritten, it needs memory for `max_rank` of them.

    Parameters
    ----------
    spectra : (N, n) array
        Overwritten.
    grid, wavelength
        See `OrderEmulator`.
    accuracy : Accuracy
    """
    mean = spectra.mean(axis=0)
    spectra -= mean
    most = min(accuracy.rank or accuracy.max_rank, *spectra.shape)
    eigenspectra = _eigenspectra(spectra, most)
    weights = spectra @ eigenspectra.T
    total = np.einsum("ij,ij->i", spectra, spectra)  # (N,): of each point
    left = total[:, None] - np.cumsum(weights**2, axis=1)
    explained_variance = 1 - left.sum(axis=0) / max(total.sum(), np.finfo(float).tiny)

    def largest(rank: int) -> float:
        return _worst_error(spectra, weights[:, :rank], eigenspectra[:rank])

    rank = most
    if accuracy.rank is None:
        enough = explained_variance >= accuracy.explained_variance - 1e-12
        least = int(np.argmax(enough)) + 1 if enough.any() else most
        rank = _least_rank(largest, accuracy.max_residual, least, most)
    return OrderEmulator(
        grid, wavelength, mean, eigenspectra[:rank].copy(), weights[:, :rank].copy(),
        np.sqrt(np.maximum(left[:, rank - 1], 0) / len(mean)),
        float(explained_variance[rank - 1]), largest(rank),
    )  # fmt: skip


def _least_rank(largest: Callable[[int], float], allowed: float, least: int, most: int) -> int:
    """Find by bisection the lowest rank whose largest residual is allowed; else `most`."""
    if least == most or largest(least) <= allowed:
        return least
    if largest(most) > allowed:
        return most
    while most - least > 1:  # too few, and enough
        middle = (least + most) // 2
        least, most = (least, middle) if largest(middle) <= allowed else (middle, most)
    return most


def _eigenspectra(centred: Floats, most: int) -> Floats:
    """Leading right singular vectors (most, n), largest first, their largest element positive."""
    if most < min(centred.shape) / 2 and centred.any():  # ARPACK cannot start on zeros
        from scipy.sparse.linalg import svds  # a third of a second that others spare

        # A start that is always the same; a constant would be orthogonal to centred spectra.
        start = np.random.default_rng(0).normal(size=min(centred.shape))
        _, size, vectors = svds(centred, most, v0=start)
        vectors = vectors[np.argsort(size)[::-1]]
    else:
        _, _, vectors = np.linalg.svd(centred, full_matrices=False)
        vectors = vectors[:most]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    signed: Floats = vectors * np.sign(largest)
    return signed


def _worst_error(centred: Floats, weights: Floats, eigenspectra: Floats) -> float:
    """Largest error of any pixel of any spectrum."""
    worst = 0.0
    for first in range(0, len(centred), _ROWS):
        rows = slice(first, first + _ROWS)
        left = centred[rows] - weights[rows] @ eigenspectra
        worst = max(worst, float(left.max()), -float(left.min()))
    return worst


@dataclass(frozen=True, eq=False)
class EmulatorError:
    """What an emulator gets wrong between the grid points, by its held-out errors.

    Attributes
    ----------
    covariance : (K, K) float array
        Of the weights, the mean over the grid: the sum over the axes of the held-out errors'
        second moments, each times its factor for the doubled step, squared; half way to its
        diagonal, for a few held-out points do not tell how so many errors go together.
    log_mean : float
        Standard error of ln(mean flux), in the same way.
    factors : dict
        The factor of each axis.
    """

    covariance: Floats
    log_mean: float
    factors: dict[str, float]


def emulator_error(axes: Sequence[HeldOutAxis], weights: Floats, log_mean: Floats) -> EmulatorError:
    """Estimate the error between the grid points from held-out errors.

    An axis of two values has none that could be held out, and adds nothing.

    Parameters
    ----------
    axes : sequence of HeldOutAxis
    weights : (N, K) array
    log_mean : (N,) array
        ln(mean flux) at the grid points.
    """
    covariance = np.zeros((weights.shape[1], weights.shape[1]))
    variance, factors = 0.0, {}
    for axis in axes:
        errors = axis.errors(weights)
        factors[axis.name] = factor = axis.factor(weights, errors)
        covariance += factor**2 * errors.T @ errors / len(errors)
        mean_errors = axis.errors(log_mean[:, None])
        variance += (axis.factor(log_mean[:, None], mean_errors) * rms(mean_errors)) ** 2
    covariance = (covariance + np.diag(np.diag(covariance))) / 2
    return EmulatorError(covariance, float(np.sqrt(variance)), factors)


@dataclass(frozen=True, eq=False)
class HeldOutSpectra:
    """How well spectra that are held out along one axis are predicted.

    Attributes
    ----------
    axis : str
    rms : float
        r.m.s. residual over the pixels and the points, in units of a spectrum's mean.
    worst : float
        The same of the worst point alone.
    point : int
        That point.
    factor : float
        By which the errors between the grid points are smaller: see `doubled_step_factor`.
    """

    axis: str
    rms: float
    worst: float
    point: int
    factor: float


def held_out_spectra(axes: Sequence[HeldOutAxis], emulator: OrderEmulator) -> list[HeldOutSpectra]:
    """Predict the spectra of each axis's inner values from the others, one value after the other.

    The eigenspectra are orthonormal, and what they leave out is orthogonal to them: so residuals
    over pixels are had from the weights alone.
    """
    found = []
    for axis in axes:
        errors, rows = axis.errors(emulator.weights), axis.rows
        left = emulator.reconstruction_error[rows] ** 2
        squares = (errors**2).sum(axis=1) / emulator.grid.n_pixels + left
        worst = int(squares.argmax())
        found.append(
            HeldOutSpectra(
                axis.name, float(np.sqrt(squares.mean())), float(np.sqrt(squares[worst])),
                int(rows[worst]), axis.factor(emulator.weights, errors),
            )
        )  # fmt: skip
    return found
