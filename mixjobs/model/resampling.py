"""Resampling from a log-wavelength grid to the pixels of the data, by a fixed sparse matrix.

Between the pixels of the grid, a spectrum is the periodic cardinal spline through them. The matrix
multiplies its B-spline coefficients, which `spline_prefilter` obtains in Fourier space.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import next_fast_len
from scipy.interpolate import BSpline
from scipy.sparse import csr_array

from mixjobs.errors import InvalidInput, OrderError
from mixjobs.typing import Floats, Ints
from mixjobs.wavelengths import LogGrid, pixel_edges

_DEGREE = 7
_HALF_WIDTH = (_DEGREE + 1) / 2  # of a B-spline, in pixels
_SPLINE = BSpline.basis_element(np.arange(_DEGREE + 2) - _HALF_WIDTH)
_INTEGRAL = _SPLINE.antiderivative()
_EDGE_TOLERANCE = 1e-6  # of a grid pixel, for the rounding of computed edges
_SAME_PIXEL = 1e-8  # of a grid pixel: about the rounding of ln(wavelength) on a fine grid


def fft_length(n_pixels: int) -> int:
    """Length of the Fourier transform for a grid: even, fast, and with room for `pad_ends`.

    The padding is at least 1/32 of the grid and at least 32 pixels. The spectrum then returns
    smoothly from its last value to its first. The response of the prefilter falls by a factor of
    0.54 per pixel (3e-9 over 32 pixels), so it does not connect the two ends.

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
    """Pad spectra so that they continue periodically, without a jump or a kink.

    Each end continues as its mirror image through its last point, and one fades into the other
    along half a cosine. Value and slope are continuous. A kink would cause ringing that decays only
    as 1/distance in a spectrum that is shifted but not broadened.

    Parameters
    ----------
    values : (..., n_pixels) array
    n_fft : int
        Length of the Fourier transform: see `fft_length`.

    Returns
    -------
    (..., n_fft) array
        The values, followed by the padding, which is linear in the values.

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
    from_last = np.arange(1, _n_padding(n_pixels, n_fft) + 1)
    from_first = from_last[::-1]
    after = 2 * spectra[..., -1:] - spectra[..., np.maximum(n_pixels - 1 - from_last, 0)]
    before = 2 * spectra[..., :1] - spectra[..., np.minimum(from_first, n_pixels - 1)]
    taper = 0.5 + 0.5 * np.cos(np.pi * from_last / (len(from_last) + 1))
    return np.concatenate([spectra, before + (after - before) * taper], axis=-1)


def _n_padding(n_pixels: int, n_fft: int) -> int:
    if n_fft < n_pixels:
        raise InvalidInput(
            f"n_fft = {n_fft} for {n_pixels} pixels: expected at least as many; use fft_length",
            name="n_fft",
            value=n_fft,
        )
    return n_fft - n_pixels


def spline_prefilter(n_fft: int, n_freq: int) -> Floats:
    """Factors from the Fourier coefficients of values to those of B-spline coefficients.

    ``1 / sum_k b(k) exp(-2 pi i k nu)``, where b is the B-spline of degree 7 at the integers and nu
    is in cycles per pixel (Unser, Aldroubi & Eden 1993, IEEE Trans. Signal Processing 41, 821). The
    factors are real because b is even.

    Parameters
    ----------
    n_fft : int
        Pixels of the transform.
    n_freq : int
        Number of frequencies, from 0.

    Returns
    -------
    (n_freq,) array
        From 1 at frequency 0 to 18.5 at half a cycle per pixel.

    Examples
    --------
    >>> spline_prefilter(4, 3).round(3).tolist()
    [1.0, 2.316, 18.529]
    """
    k = np.arange(1, math.ceil(_HALF_WIDTH))
    angle = 2 * np.pi / n_fft * np.outer(np.arange(n_freq), k)
    factor: Floats = 1 / (_SPLINE(0.0) + 2 * np.cos(angle) @ _SPLINE(k))
    return factor


def resampling_matrix(
    grid: LogGrid, n_fft: int, wavelength: ArrayLike, max_point_width: float | None = None
) -> csr_array:
    """Matrix from the B-spline coefficients of a grid to the values of data pixels.

    A wide pixel gets the exact average of the spline over the pixel, in ln(wavelength). The sum of
    value * width over adjacent pixels is therefore the integral of the spline. A narrow pixel gets
    the value of the spline at its wavelength. A pixel is wide if its width exceeds the step of the
    grid, or `max_point_width`, by more than 1 part in 1000. The B-splines are those of Schoenberg
    (1946, Quart. Appl. Math. 4, 45), of degree 7.

    Parameters
    ----------
    grid : LogGrid
    n_fft : int
        Length of the Fourier transform: the pixels of the grid and their padding.
    wavelength : (n,) array
        The pixels of the data, Å, as for `pixel_edges`.
    max_point_width : float, optional
        Largest width in ln(wavelength) of a narrow pixel; the step of the grid if not given.

    Returns
    -------
    (n, n_fft) sparse array
        A row has 8 entries, plus about one for each step of the grid within a wide pixel.

    Raises
    ------
    InvalidInput
        An n_fft smaller than the grid, or wavelengths that `pixel_edges` refuses.
    OrderError
        Data pixels that extend beyond the grid.

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
    wide = high - low > 1.001 * (1.0 if max_point_width is None else max_point_width / grid.step)
    row, column = _overlaps(np.where(wide, low, centre), np.where(wide, high, centre))
    data = np.empty(len(row))
    averaged = wide[row]
    i, j = row[averaged], column[averaged]
    data[averaged] = (_integral(high[i] - j) - _integral(low[i] - j)) / (high - low)[i]
    i, j = row[~averaged], column[~averaged]
    data[~averaged] = _SPLINE(np.clip(centre[i] - j, -_HALF_WIDTH, _HALF_WIDTH))
    index = (row.astype(np.int32), (column % n_fft).astype(np.int32))
    return csr_array((data, index), shape=(len(low), n_fft))


def _centres(grid: LogGrid, wavelength: Floats) -> Floats:
    """Wavelengths (n,) in pixels of the grid; integers for the grid's own pixels."""
    centre = (np.log(wavelength) - grid.start) / grid.step
    nearest = np.rint(centre)
    return np.where(np.abs(centre - nearest) < _SAME_PIXEL, nearest, centre)


def _overlaps(low: Floats, high: Floats) -> tuple[Ints, Ints]:
    """Rows and columns of the B-splines that overlap each range from low (n,) to high (n,)."""
    first = np.floor(low - _HALF_WIDTH).astype(np.int64) + 1
    count = np.ceil(high + _HALF_WIDTH).astype(np.int64) - first
    row = np.repeat(np.arange(len(low)), count)
    begin = np.cumsum(count) - count
    return row, first[row] + np.arange(len(row)) - begin[row]


def _integral(x: Floats) -> Floats:
    """Integral up to x (...) of the B-spline centred at 0."""
    integral: Floats = _INTEGRAL(np.clip(x, -_HALF_WIDTH, _HALF_WIDTH))
    return integral


def _check_covered(grid: LogGrid, edges: Floats) -> None:
    """Refuse data pixels whose edges (n + 1,), in grid pixels, lie beyond the grid."""
    if edges[0] >= -0.5 - _EDGE_TOLERANCE and edges[-1] <= grid.n_pixels - 0.5 + _EDGE_TOLERANCE:
        return
    available = np.exp(grid.start + grid.step * np.array([-0.5, grid.n_pixels - 0.5]))
    needed = np.exp(grid.start + grid.step * edges[[0, -1]])
    raise OrderError(
        f"the data extend from {needed[0]:.8g} to {needed[1]:.8g} Å, the grid only from "
        f"{available[0]:.8g} to {available[1]:.8g} Å: expected data within the grid; "
        "trim the data or use a wider grid",
        name="wavelength",
        value=(float(needed[0]), float(needed[1])),
    )
