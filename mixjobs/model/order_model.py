"""Spectra of one order from one library: weighted, broadened and resampled.

Everything that does not depend on the parameters is computed once. This includes the transforms of
the mean spectrum and eigenspectra, the instrumental profile, the prefilter of the spline, and the
matrix onto the pixels of the data. Each spectrum then takes a weighted sum of transforms, a factor
for rotation and velocity, one inverse transform, and a product with the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len
from scipy.sparse import csr_array

from mixjobs.interpolation.cells import Interpolation
from mixjobs.model.broadening import (
    RUN,
    FourierGrid,
    RotationTable,
    doppler_shift,
    gaussian_transform,
    shift_factors,
)
from mixjobs.model.emulator import OrderEmulator
from mixjobs.model.joint_error import OrderError
from mixjobs.model.resampling import fft_length, pad_ends, resampling_matrix, spline_prefilter
from mixjobs.typing import Complexes, Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT, LogGrid, pixel_edges

# Frequencies of which the instrument transmits less than _MIN_TRANSMISSION are dropped. The inverse
# transform has _PIXELS_PER_FREQUENCY pixels for each remaining frequency, enough for the spline
# between them. The error of the two approximations is at most 4e-7.
_MIN_TRANSMISSION, _PIXELS_PER_FREQUENCY = 1e-9, 2.2


@dataclass(frozen=True, eq=False)
class Broadening:
    """Rotation and velocity as factors in Fourier space.

    Attributes
    ----------
    fourier : FourierGrid
    rotation : RotationTable
    """

    fourier: FourierGrid
    rotation: RotationTable

    def __call__(self, rv: Floats, vsini: Floats) -> Complexes:
        """Return factors (n, n_freq) for rv and vsini (n,), km/s."""
        factors = shift_factors(doppler_shift(rv), self.fourier)
        if vsini.any():
            u_step = 2 * np.pi * vsini / SPEED_OF_LIGHT / self.fourier.period
            factors *= self.rotation(u_step, self.fourier.n_freq)
        return factors


@dataclass(frozen=True, eq=False)
class OrderBasis:
    """One order of one library, prepared for the pixels of the data.

    `order_basis` makes one.

    Attributes
    ----------
    nodes : (R, K + 1) float array
        The K emulator weights and ln(mean flux), prepared for the interpolation.
    transforms : (K + 1, n_freq) complex array
        Transforms of the mean spectrum and the K eigenspectra.
    error : OrderError
        The interpolation error of the emulator and of ln(mean flux).
    error_transforms : (R, n_freq) complex array
        Transforms of the R spectra in which the emulator errs.
    reconstruction_error : float
        r.m.s. residual of the emulator at the grid points, in units of a spectrum's mean.
    residual_transforms : (L, n_freq) complex array
        Transforms of the spectra that represent the reconstruction error.
    broadening : Broadening
    matrix : (n_pixels, n_out) sparse array
        From the inverse transform of length n_out to the pixels of the data.
    buffer : float
        Largest distance in ln(wavelength) from which light can reach the data.
    """

    nodes: Floats
    transforms: Complexes
    error: OrderError
    error_transforms: Complexes
    reconstruction_error: float
    residual_transforms: Complexes
    broadening: Broadening
    matrix: csr_array
    buffer: float

    @property
    def max_velocity(self) -> float:
        """Largest ``|rv| + vsini`` that the buffer allows: km/s."""
        return SPEED_OF_LIGHT * self.buffer

    def combine(self, coefficients: Floats, factors: Complexes) -> Complexes:
        """Sum the mean spectrum and the eigenspectra, and broaden the sums.

        Parameters
        ----------
        coefficients : (n, K + 1) array
        factors : (n, n_freq) array

        Returns
        -------
        (n, n_out // 2 + 1) complex array
            Zero from n_freq on, as padding for the inverse transform.
        """
        n_freq = factors.shape[1]
        spectra = np.zeros((len(factors), self.matrix.shape[1] // 2 + 1), dtype=np.complex128)
        real = spectra.view(np.float64)[:, : 2 * n_freq]
        np.matmul(coefficients, self.transforms.view(np.float64), out=real)
        spectra[:, :n_freq] *= factors
        return spectra

    def pixels(self, spectra: Complexes) -> Floats:
        """Return the values (..., n_pixels) of transforms (..., n_freq), which are overwritten."""
        n_out = self.matrix.shape[1]
        grid = irfft(spectra, n_out, axis=-1, overwrite_x=True, norm="forward")
        columns = np.ascontiguousarray(grid.reshape(-1, n_out).T)
        values: Floats = (self.matrix @ columns).T
        return values.reshape(*spectra.shape[:-1], len(values.T))


def order_basis(
    emulator: OrderEmulator,
    log_mean: Floats,
    interpolation: Interpolation,
    error: OrderError,
    *,
    wavelength: Floats | None,
    profile_sigma: float,
    limb_darkening: float,
) -> OrderBasis:
    """Prepare one order of one library.

    Parameters
    ----------
    emulator : OrderEmulator
    log_mean : (N,) array
        ln(mean flux) at the grid points.
    interpolation : Interpolation
    error : OrderError
    wavelength : (n_pixels,) array or None
        Pixels of the data, Å, in the library's medium; None for the library's own.
    profile_sigma : float
        Standard deviation of the instrumental profile, in ln(wavelength).
    limb_darkening : float
        Coefficient of the linear law.

    Raises
    ------
    OrderError, InvalidInput
        Wavelengths that are not ascending, or that extend beyond the emulator's grid.
    """
    grid = emulator.grid
    fourier, transmission = _frequencies(grid, profile_sigma)
    out = _output_grid(grid, fourier)
    n_out = _output_length(fourier)
    filters = transmission * spline_prefilter(n_out, fourier.n_freq) / fourier.n_fft

    def transform(spectra: Floats) -> Complexes:
        padded = pad_ends(spectra, fourier.n_fft)
        kept: Complexes = np.fft.rfft(padded)[:, : fourier.n_freq] * filters
        return np.ascontiguousarray(kept)

    pixels = emulator.wavelength if wavelength is None else wavelength
    max_point_width = np.inf if wavelength is None else grid.step
    buffer = _buffer(grid, pixels)
    u_max = np.pi * 2 * fourier.n_freq / fourier.period * max(buffer, grid.step)
    return OrderBasis(
        nodes=interpolation.prepare(np.column_stack([emulator.weights, log_mean])),
        transforms=transform(np.vstack([emulator.mean, emulator.eigenspectra])),
        error=error,
        error_transforms=transform(error.weights @ emulator.eigenspectra),
        reconstruction_error=float(np.sqrt(np.mean(emulator.reconstruction_error**2))),
        residual_transforms=transform(emulator.residual_spectra),
        broadening=Broadening(fourier, RotationTable(u_max, limb_darkening)),
        matrix=resampling_matrix(out, n_out, pixels, max_point_width),
        buffer=buffer - 5 * profile_sigma,
    )


def _frequencies(grid: LogGrid, profile_sigma: float) -> tuple[FourierGrid, Floats]:
    """The frequencies that the instrument transmits, and its transmission (n_freq,)."""
    n_fft = fft_length(grid.n_pixels)
    gaussian = gaussian_transform(profile_sigma, FourierGrid(grid.step, n_fft, n_fft // 2 + 1))
    n_freq = int(np.count_nonzero(gaussian > _MIN_TRANSMISSION))
    n_freq = min(-(-n_freq // RUN) * RUN, len(gaussian))  # whole runs avoid copies
    return FourierGrid(grid.step, n_fft, n_freq), gaussian[:n_freq]


def _output_length(fourier: FourierGrid) -> int:
    """Length of the inverse transform."""
    half = int(np.ceil(_PIXELS_PER_FREQUENCY / 2 * fourier.n_freq))
    return min(fourier.n_fft, 2 * int(next_fast_len(half, real=True)))


def _output_grid(grid: LogGrid, fourier: FourierGrid) -> LogGrid:
    """The pixels of the inverse transform, without the padding."""
    step = grid.step * fourier.n_fft / _output_length(fourier)
    return LogGrid(grid.start, step, int((_end(grid) - grid.start) / step) + 1)


def _end(grid: LogGrid) -> float:
    return grid.start + grid.step * (grid.n_pixels - 1)


def _buffer(grid: LogGrid, wavelength: Floats) -> float:
    """Distance in ln(wavelength) from the edges of the pixels to the nearer end of the grid."""
    edges = pixel_edges(wavelength)
    return float(min(edges[0] - grid.start, _end(grid) - edges[-1]))
