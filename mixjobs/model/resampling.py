"""From a log-wavelength grid to a data spectrum's pixels: a fixed sparse matrix on B-splines.

Between the grid's pixels a spectrum is the periodic cardinal spline through them. The matrix acts
on its B-spline coefficients, which are had from the values by one more real factor in Fourier
space, `spline_prefilter`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len
from scipy.interpolate import BSpline
from scipy.sparse import csr_array

from mixjobs.errors import InvalidInput, OrderError
from mixjobs.typing import Floats
from mixjobs.wavelengths import LogGrid, pixel_edges

_DEGREE = 7
_REACH = (_DEGREE + 1) / 2  # pixels from a B-spline's centre to where it ends
_SPLINE = BSpline.basis_element(np.arange(_DEGREE + 2) - _REACH)
_INTEGRAL = _SPLINE.antiderivative()
_ROUNDING = 1e-6  # of a grid pixel, allowed to edges that are computed
_SAME_PIXEL = 1e-8  # of a grid pixel: about the rounding of ln(wavelength) on a fine grid


def fft_length(n_pixels: int) -> int:
    """Length of the Fourier transform for a grid: even, quick, and with room for `pad_ends`.

    The room is at least 1/32 of the grid and at least 32 pixels: the way from the last value back
    to the first is a gentle one, and the prefilter, whose response falls by 0.54 a pixel (3e-9 in
    32), does not see one end from the other.

    Parameters
    ----------
    n_pixels : int

    Returns
    -------
    int

    Examples
    --------
    >>> fft_length(8192)
    8640
    """
    least = n_pixels + max(32, -(-n_pixels // 32))
    return 2 * int(next_fast_len(-(-least // 2), real=True))


def pad_ends(values: ArrayLike, n_fft: int) -> Floats:
    """Continue spectra periodically, without a jump or a kink.

    Each end goes on as its own mirror image through its last point, and the one fades into the
    other along half a cosine. Value and slope are continuous: a kink would ring, falling only as
    1/distance, where a spectrum is moved without being broadened.

    Parameters
    ----------
    values : (..., n_pixels) array
    n_fft : int
        See `fft_length`.

    Returns
    -------
    (..., n_fft) array
        The values, then the padding: linear in the values.

    Raises
    ------
    InvalidInput
        An n_fft below n_pixels.

    Examples
    --------
    >>> pad_ends([0.0, 1.0, 2.0], 6).round(3).tolist()
    [0.0, 1.0, 2.0, 2.268, 1.0, -0.268]
    """
    spectra = np.asarray(values, dtype=np.float64)
    n_pixels = spectra.shape[-1]
    away = np.arange(1, _n_padding(n_pixels, n_fft) + 1)
    back = away[::-1]
    after = 2 * spectra[..., -1:] - spectra[..., np.maximum(n_pixels - 1 - away, 0)]
    before = 2 * spectra[..., :1] - spectra[..., np.minimum(back, n_pixels - 1)]
    fading = 0.5 + 0.5 * np.cos(np.pi * away / (len(away) + 1))
    return np.concatenate([spectra, before + (after - before) * fading], axis=-1)


def _n_padding(n_pixels: int, n_fft: int) -> int:
    if n_fft < n_pixels:
        raise InvalidInput(
            f"n_fft {n_fft} for {n_pixels} pixels: expected at least as many; use fft_length"
        )
    return n_fft - n_pixels


def spline_prefilter(n_fft: int, n_freq: int) -> Floats:
    """Factors that turn the Fourier coefficients of values into those of B-spline coefficients.

    ``1 / sum_k b(k) exp(-2 pi i k nu)``, b the B-spline of degree 7 at the whole numbers, nu in
    cycles a pixel (Unser, Aldroubi & Eden 1993, IEEE Trans. Signal Processing 41, 821). Real,
    since b is even.

    Parameters
    ----------
    n_fft, n_freq : int
        Pixels of the transform; how many frequencies to return.

    Returns
    -------
    (n_freq,) array
        From 1 at frequency 0 to 18.5 at half a cycle a pixel.

    Examples
    --------
    >>> spline_prefilter(4, 3).round(3).tolist()
    [1.0, 2.316, 18.529]
    """
    k = np.arange(1, math.ceil(_REACH))
    angle = 2 * np.pi / n_fft * np.outer(np.arange(n_freq), k)
    factor: Floats = 1 / (_SPLINE(0.0) + 2 * np.cos(angle) @ _SPLINE(k))
    return factor


def resampling_matrix(
    grid: LogGrid, n_fft: int, wavelength: ArrayLike, point_like: float | None = None
) -> csr_array:
    """Matrix that turns a grid's B-spline coefficients into the values of data pixels.

    A data pixel that is wider than the grid's step, or than `point_like`, by more than 1 part in
    1000 has the exact average of the spline over it, in ln(wavelength): sum(value * width) over
    pixels side by side is the spline's integral. Any other has the spline's value at its
    wavelength. The B-splines are those of Schoenberg (1946, Quart. Appl. Math. 4, 45), of degree 7.

    Parameters
    ----------
    grid : LogGrid
    n_fft : int
        Length of the Fourier transform: the grid's pixels and their padding.
    wavelength : (n,) array
        The data's pixels, Å, as for `pixel_edges`.
    point_like : float, optional
        Up to this width, in ln(wavelength), a pixel has the value at its wavelength.

    Returns
    -------
    (n, n_fft) sparse array
        8 entries a row, or about 8 more than a pixel's width in steps.

    Raises
    ------
    InvalidInput
        An n_fft below the grid's pixels; wavelengths that `pixel_edges` refuses.
    OrderError
        Data pixels that reach beyond the grid's.

    Examples
    --------
    >>> grid = LogGrid(math.log(5000.0), 1e-5, 64)
    >>> matrix = resampling_matrix(grid, 96, grid.wavelength[10:20])
    >>> matrix.shape, matrix.sum(axis=1).round(12).tolist()
    ((10, 96), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    """
    _n_padding(grid.n_pixels, n_fft)
    edges = (pixel_edges(wavelength) - grid.start) / grid.step
    _check_covered(grid, edges)
    low, high = edges[:-1], edges[1:]
    centre = _centres(grid, np.asarray(wavelength, dtype=np.float64))
    wide = high - low > 1.001 * (1.0 if point_like is None else point_like / grid.step)
    row, column = _touched(np.where(wide, low, centre), np.where(wide, high, centre))
    data = np.empty(len(row))
    of_wide = wide[row]
    i, j = row[of_wide], column[of_wide]
    data[of_wide] = (_below(high[i] - j) - _below(low[i] - j)) / (high - low)[i]
    i, j = row[~of_wide], column[~of_wide]
    data[~of_wide] = _SPLINE(np.clip(centre[i] - j, -_REACH, _REACH))
    place = (row.astype(np.int32), (column % n_fft).astype(np.int32))
    return csr_array((data, place), shape=(len(low), n_fft))


def _centres(grid: LogGrid, wavelength: Floats) -> Floats:
    """Wavelengths (n,) in pixels of the grid; those of its own pixels are whole numbers."""
    centre = (np.log(wavelength) - grid.start) / grid.step
    whole = np.rint(centre)
    return np.where(np.abs(centre - whole) < _SAME_PIXEL, whole, centre)


def _touched(low: Floats, high: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of all B-splines that are not zero somewhere from low (n,) to high (n,)."""
    first = np.floor(low - _REACH).astype(np.int64) + 1
    count = np.ceil(high + _REACH).astype(np.int64) - first
    row = np.repeat(np.arange(len(low)), count)
    begin = np.cumsum(count) - count
    return row, first[row] + np.arange(len(row)) - begin[row]


def _below(x: Floats) -> Floats:
    """Integral of the B-spline about 0 up to x (...)."""
    integral: Floats = _INTEGRAL(np.clip(x, -_REACH, _REACH))
    return integral


def _check_covered(grid: LogGrid, edges: Floats) -> None:
    """Refuse pixels with edges (n + 1,), in grid pixels, beyond those of the grid."""
    if edges[0] >= -0.5 - _ROUNDING and edges[-1] <= grid.n_pixels - 0.5 + _ROUNDING:
        return
    have = np.exp(grid.start + grid.step * np.array([-0.5, grid.n_pixels - 0.5]))
    need = np.exp(grid.start + grid.step * edges[[0, -1]])
    raise OrderError(
        f"data pixels from {need[0]:.8g} to {need[1]:.8g} Å on a grid from {have[0]:.8g} to "
        f"{have[1]:.8g} Å: expected pixels within the grid; cut the data or take a wider grid"
    )
