"""Spectra of one order from one library: components weighted, broadened and resampled.

All that does not depend on the parameters is done once: the Fourier transforms of the emulator's
components, the instrumental profile, the spline's prefilter, the matrix onto the data's pixels.
Per spectrum there remain weights times transforms, one factor for rotation and velocity, one
inverse transform, and the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len
from scipy.sparse import csr_array

from mixjobs.interpolation.cells import Interpolation
from mixjobs.model.broadening import (
    RUN,
    RotationTable,
    doppler_shift,
    gaussian_transform,
    shift_factors,
)
from mixjobs.model.emulator import OrderEmulator
from mixjobs.model.resampling import fft_length, pad_ends, resampling_matrix, spline_prefilter
from mixjobs.typing import Complexes, Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT, LogGrid, pixel_edges

# Frequencies that the instrument passes by less than this are left out; the inverse transform has
# so many pixels for each that is left, for the spline between them. Together they cost up to 4e-7.
_NOTHING, _ROOM = 1e-9, 2.2
_KEPT = 0.999  # of the emulator's variance is kept in its error columns


@dataclass(frozen=True, eq=False)
class Kernels:
    """Rotation and velocity on one grid, as factors in Fourier space.

    Attributes
    ----------
    step : float
        Of the grid, in ln(wavelength).
    n_fft, n_freq : int
    table : RotationTable
    """

    step: float
    n_fft: int
    n_freq: int
    table: RotationTable

    def __call__(self, rv: Floats, vsini: Floats) -> Complexes:
        """Factors (n, n_freq) for rv and vsini (n,), km/s."""
        factors = shift_factors(doppler_shift(rv), self.step, self.n_fft, self.n_freq)
        if vsini.any():
            u_step = 2 * np.pi * vsini / SPEED_OF_LIGHT / (self.n_fft * self.step)
            factors *= self.table(u_step, self.n_freq)
        return factors


@dataclass(frozen=True, eq=False)
class OrderBasis:
    """One order of one library, ready to be evaluated on a data spectrum's pixels.

    Made by `order_basis`.

    Attributes
    ----------
    table : (R, K + 1) float array
        What interpolation weights act on, giving the K emulator weights and ln(mean flux).
    transforms : (K + 1, n_freq) complex array
        Of the mean spectrum and the K components.
    errors : (J, n_freq) complex array
        Of the emulator's error: the J columns that matter.
    log_mean_error : float
        Standard error of ln(mean flux).
    reconstruction_error : float
        r.m.s. of what the emulator leaves out at the grid points, over a spectrum's mean.
    kernels : Kernels
    matrix : (n_pixels, n_out) sparse array
        From the inverse transform of length n_out to the data's pixels.
    buffer : float
        How far, in ln(wavelength), light may come from beyond the data.
    """

    table: Floats
    transforms: Complexes
    errors: Complexes
    log_mean_error: float
    reconstruction_error: float
    kernels: Kernels
    matrix: csr_array
    buffer: float

    @property
    def max_velocity(self) -> float:
        """How far velocities may take light from: km/s."""
        return SPEED_OF_LIGHT * self.buffer

    def combine(self, coefficients: Floats, factors: Complexes) -> Complexes:
        """Add up the mean spectrum and the components, and broaden the sums.

        Parameters
        ----------
        coefficients : (n, K + 1) array
        factors : (n, n_freq) array

        Returns
        -------
        (n, n_out // 2 + 1) complex array
            Zero from n_freq on, for the inverse transform.
        """
        n_freq = factors.shape[1]
        spectra = np.zeros((len(factors), self.matrix.shape[1] // 2 + 1), dtype=np.complex128)
        real = spectra.view(np.float64)[:, : 2 * n_freq]
        np.matmul(coefficients, self.transforms.view(np.float64), out=real)
        spectra[:, :n_freq] *= factors
        return spectra

    def pixels(self, spectra: Complexes) -> Floats:
        """Values on the data's pixels, (..., n_pixels), of spectra (..., n_freq); overwritten."""
        n_out = self.matrix.shape[1]
        grid = irfft(spectra, n_out, axis=-1, overwrite_x=True, norm="forward")
        columns = np.ascontiguousarray(grid.reshape(-1, n_out).T)
        values: Floats = (self.matrix @ columns).T
        return values.reshape(*spectra.shape[:-1], len(values.T))


def order_basis(
    emulator: OrderEmulator,
    log_mean: Floats,
    between: Interpolation,
    covariance: Floats,
    log_mean_error: float,
    wavelength: Floats | None,
    sigma: float,
    limb_darkening: float,
) -> OrderBasis:
    """Prepare one order of one library.

    Parameters
    ----------
    emulator : OrderEmulator
    log_mean : (N,) array
        ln(mean flux) at the grid points.
    between : Interpolation
    covariance : (K, K) array
        Of the emulator's weights between the grid points.
    log_mean_error : float
    wavelength : (n_pixels,) array or None
        The data's pixels, Å, in the library's medium; None for values at the library's own.
    sigma : float
        Of the instrumental profile, in ln(wavelength).
    limb_darkening : float

    Raises
    ------
    OrderError, InvalidInput
        Wavelengths that are not ascending, or beyond the emulator's grid.
    """
    grid = emulator.grid
    n_fft = fft_length(grid.n_pixels)
    gaussian = gaussian_transform(sigma, grid.step, n_fft, n_fft // 2 + 1)
    n_freq = int(np.count_nonzero(gaussian > _NOTHING))
    n_freq = min(-(-n_freq // RUN) * RUN, len(gaussian))  # whole runs need no copies
    n_out = min(n_fft, 2 * int(next_fast_len(int(np.ceil(_ROOM / 2 * n_freq)), real=True)))
    filters = gaussian[:n_freq] * spline_prefilter(n_out, n_freq) / n_fft

    def transform(spectra: Floats) -> Complexes:
        found: Complexes = np.fft.rfft(pad_ends(spectra, n_fft))[:, :n_freq] * filters
        return np.ascontiguousarray(found)

    pixels, point_like = emulator.wavelength, np.inf
    if wavelength is not None:
        pixels, point_like = wavelength, grid.step
    edges = pixel_edges(pixels)
    end = grid.start + grid.step * (grid.n_pixels - 1)
    buffer = float(min(edges[0] - grid.start, end - edges[-1]))
    step_out = grid.step * n_fft / n_out
    out = LogGrid(grid.start, step_out, int((end - grid.start) / step_out) + 1)
    u_max = np.pi * 2 * n_freq / (n_fft * grid.step) * max(buffer, grid.step)
    return OrderBasis(
        table=between.prepare(np.column_stack([emulator.weights, log_mean])),
        transforms=transform(np.vstack([emulator.mean, emulator.eigenspectra])),
        errors=transform(error_columns(covariance) @ emulator.eigenspectra),
        log_mean_error=log_mean_error,
        reconstruction_error=float(np.sqrt(np.mean(emulator.reconstruction_error**2))),
        kernels=Kernels(grid.step, n_fft, n_freq, RotationTable(u_max, limb_darkening)),
        matrix=resampling_matrix(out, n_out, pixels, point_like),
        buffer=buffer - 5 * sigma,
    )


def error_columns(covariance: Floats) -> Floats:
    """Factor (J, K) of a covariance (K, K): the J leading axes, which hold 99.9 % of its trace.

    Examples
    --------
    >>> error_columns(np.diag([4.0, 1.0, 1e-9])).round(3).tolist()
    [[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    total = values.sum()
    n_kept = int(np.searchsorted(np.cumsum(values), _KEPT * total)) + 1 if total > 0 else 0
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
    columns: Floats = (vectors * signs * np.sqrt(values)).T[:n_kept]
    return columns
