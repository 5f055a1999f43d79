"""The emulator of one order: eigenspectra of its normalised spectra, and its errors.

The spectrum at any theta is ``mean + w(theta) @ eigenspectra``, in units of its own mean over the
order's pixels (Czekala et al. 2015, ApJ 812, 128, section 3.1). The weights of the grid points are
interpolated in the same way as ln(mean flux), not with a Gaussian process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mixjobs.interpolation.cross_validation import AxisFolds
from mixjobs.typing import Floats
from mixjobs.wavelengths import LogGrid

_N_NEXT = 8  # eigenspectra beyond the rank, which represent the reconstruction error
_BATCH = 32  # spectra whose residuals are computed together, so that they fit in the cache


class Accuracy(Protocol):
    """Criteria for the number of eigenspectra, such as `mixjobs.EmulatorSettings`."""

    @property
    def explained_variance(self) -> float:
        """Least fraction of the variance that the eigenspectra explain."""

    @property
    def max_residual(self) -> float:
        """Largest residual of any pixel, as a fraction of the mean flux."""

    @property
    def max_rank(self) -> int:
        """Largest number of eigenspectra, which overrules the two limits above."""

    @property
    def rank(self) -> int | None:
        """Exact number of eigenspectra, or None."""


@dataclass(frozen=True, eq=False)
class OrderEmulator:
    """The mean spectrum, eigenspectra and weights of one order.

    Attributes
    ----------
    grid : LogGrid
        n pixels: the order and a buffer on each side.
    wavelength : (n_pixels,) float array
        The library's own pixels in the order, Å. Every spectrum has mean 1 over them.
    mean : (n,) float array
        Mean of the normalised spectra of all grid points.
    eigenspectra : (K, n) float array
        Orthonormal.
    weights : (N, K) float array
        Weights of the eigenspectra at each grid point.
    reconstruction_error : (N,) float array
        r.m.s. residual of each grid point over the pixels.
    residual_spectra : (L, n) float array
        The next eigenspectra, each times the r.m.s. of its weights at the grid points.
    explained_variance, max_residual : float
        The accuracy achieved: see `Accuracy`.
    """

    grid: LogGrid
    wavelength: Floats
    mean: Floats
    eigenspectra: Floats
    weights: Floats
    reconstruction_error: Floats
    residual_spectra: Floats
    explained_variance: float
    max_residual: float

    @property
    def rank(self) -> int:
        """Number of eigenspectra."""
        return len(self.eigenspectra)


def decompose(
    spectra: Floats, grid: LogGrid, wavelength: Floats, accuracy: Accuracy
) -> OrderEmulator:
    """Decompose normalised spectra into their mean and their leading eigenspectra.

    Uses ARPACK (`scipy.sparse.linalg.svds`), or a full SVD for few spectra or pixels. Besides the
    spectra, which are overwritten, this needs memory for `max_rank` spectra.

    Parameters
    ----------
    spectra : (N, n) array
        Overwritten.
    grid : LogGrid
        n pixels.
    wavelength : (n_pixels,) array
        The library's own pixels in the order, Å.
    accuracy : Accuracy
    """
    mean = spectra.mean(axis=0)
    spectra -= mean
    most = min(accuracy.rank or accuracy.max_rank, *spectra.shape)
    eigenspectra = _eigenspectra(spectra, min(most + _N_NEXT, *spectra.shape))
    weights = spectra @ eigenspectra.T
    total = np.einsum("ij,ij->i", spectra, spectra)  # (N,): squared length of each spectrum
    unexplained = total[:, None] - np.cumsum(weights**2, axis=1)
    explained_variance = 1 - unexplained.sum(axis=0) / max(total.sum(), np.finfo(float).tiny)

    def max_residual(rank: int) -> float:
        return _max_residual(spectra, weights[:, :rank], eigenspectra[:rank])

    rank = most
    if accuracy.rank is None:
        sufficient = explained_variance >= accuracy.explained_variance - 1e-12
        least = int(np.argmax(sufficient[:most])) + 1 if sufficient[:most].any() else most
        rank = _smallest_rank(max_residual, accuracy.max_residual, least, most)
    beyond = slice(rank, rank + _N_NEXT)
    rms_weights = np.sqrt(np.mean(weights[:, beyond] ** 2, axis=0))
    return OrderEmulator(
        grid, wavelength, mean, eigenspectra[:rank].copy(), weights[:, :rank].copy(),
        _rms_residual(spectra, weights[:, :rank], eigenspectra[:rank]),
        rms_weights[:, None] * eigenspectra[beyond],
        float(explained_variance[rank - 1]), max_residual(rank),
    )  # fmt: skip


def _smallest_rank(
    max_residual: Callable[[int], float], allowed: float, least: int, most: int
) -> int:
    """Find by bisection the smallest rank whose largest residual is allowed, or `most`."""
    if least == most or max_residual(least) <= allowed:
        return least
    if max_residual(most) > allowed:
        return most
    while most - least > 1:  # `least` is too few, `most` is enough
        middle = (least + most) // 2
        least, most = (least, middle) if max_residual(middle) <= allowed else (middle, most)
    return most


def _eigenspectra(centred: Floats, most: int) -> Floats:
    """Leading right singular vectors (most, n), each with its largest element positive."""
    if most < min(centred.shape) / 2 and centred.any():  # ARPACK cannot start on zeros
        from scipy.sparse.linalg import svds  # takes a third of a second to import

        # Fixed, for reproducible results. A constant would be orthogonal to the centred spectra.
        start = np.random.default_rng(0).normal(size=min(centred.shape))
        _, singular_values, vectors = svds(centred, most, v0=start)
        vectors = vectors[np.argsort(singular_values)[::-1]]
    else:
        _, _, vectors = np.linalg.svd(centred, full_matrices=False)
        vectors = vectors[:most]
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    signed: Floats = vectors * np.sign(largest)
    return signed


def _max_residual(centred: Floats, weights: Floats, eigenspectra: Floats) -> float:
    """Largest absolute error at any pixel of any spectrum."""
    largest = 0.0
    for first in range(0, len(centred), _BATCH):
        batch = slice(first, first + _BATCH)
        residual = centred[batch] - weights[batch] @ eigenspectra
        largest = max(largest, float(residual.max()), -float(residual.min()))
    return largest


def _rms_residual(centred: Floats, weights: Floats, eigenspectra: Floats) -> Floats:
    """R.m.s. error over the pixels of every spectrum, (N,).

    From the residuals themselves: the difference of two sums of squares would cancel to 1e-8.
    """
    squares = np.empty(len(centred))
    for first in range(0, len(centred), _BATCH):
        batch = slice(first, first + _BATCH)
        residual = centred[batch] - weights[batch] @ eigenspectra
        squares[batch] = (residual**2).mean(axis=1)
    rms: Floats = np.sqrt(squares)
    return rms


@dataclass(frozen=True, eq=False)
class HeldOutResiduals:
    """Residuals of spectra that are predicted from the other values of one axis.

    Attributes
    ----------
    axis : str
        The parameter.
    rms : float
        r.m.s. residual over pixels and points, in units of a spectrum's mean.
    worst : float
        r.m.s. residual of the worst point.
    point : int
        Index of that point.
    factor : float
        Ratio of the errors between grid points to held-out errors.
    """

    axis: str
    rms: float
    worst: float
    point: int
    factor: float


def held_out_residuals(
    axes: Sequence[AxisFolds], emulator: OrderEmulator, factors: Mapping[str, float]
) -> list[HeldOutResiduals]:
    """Predict the spectra at the inner values of each axis from the other values.

    The eigenspectra are orthonormal, and the reconstruction error is orthogonal to them. The
    residuals over pixels therefore follow from the weights alone. The factors are those of a
    `mixjobs.model.joint_error.JointError`, by the name of the axis.
    """
    results = []
    for axis in axes:
        errors, points = axis.errors(emulator.weights), axis.predicted
        unexplained = emulator.reconstruction_error[points] ** 2
        squares = (errors**2).sum(axis=1) / emulator.grid.n_pixels + unexplained
        worst = int(squares.argmax())
        results.append(
            HeldOutResiduals(
                axis.name, float(np.sqrt(squares.mean())), float(np.sqrt(squares[worst])),
                int(points[worst]), factors[axis.name],
            )
        )  # fmt: skip
    return results
