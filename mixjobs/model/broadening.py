"""Instrument and velocity as factors on a spectrum's Fourier coefficients; see `rotation.py` too.

On a grid uniform in x = ln(wavelength) each of the three is a convolution, so a multiplication of
``numpy.fft.rfft`` of the spectrum. Coefficient k of n_fft pixels has the frequency
``nu = k / (n_fft * step)``, cycles per unit of x; n_freq is n_fft // 2 + 1, or less where the rest
is not wanted.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput
from mixjobs.typing import Complexes, Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT

_FWHM = 2 * math.sqrt(2 * math.log(2))  # of a Gaussian, in sigma
RUN = 64  # about the root of n_freq, so that both factors of the outer product are short


def doppler_shift(rv: ArrayLike) -> Floats:
    """Shift in ln(wavelength) of light from a source that recedes.

    ``ln(lambda / lambda_0) = atanh(rv / c)``: the logarithm of the relativistic Doppler factor for
    motion along the line of sight (Rybicki & Lightman 1979, equation 4.11).

    Parameters
    ----------
    rv : (...) array
        Radial velocity, km/s, positive away from us.

    Returns
    -------
    (...) array

    Raises
    ------
    InvalidInput
        A velocity that is not below that of light.

    Examples
    --------
    >>> f"{float(doppler_shift(30.0)):.10f}"
    '0.0001000692'
    """
    velocity = np.asarray(rv, dtype=np.float64)
    bad = velocity[~(np.abs(velocity) < SPEED_OF_LIGHT)]
    if bad.size:
        raise InvalidInput(
            f"rv = {bad.flat[0]:g} km/s: expected less than the speed of light, "
            f"{SPEED_OF_LIGHT:g} km/s either way; give a radial velocity in km/s"
        )
    shift: Floats = np.arctanh(velocity / SPEED_OF_LIGHT)
    return shift


def shift_factors(shift: ArrayLike, step: float, n_fft: int, n_freq: int) -> Complexes:
    """Factors that move a spectrum by `shift` towards longer wavelengths.

    ``exp(-2 pi i nu shift)``, the shift theorem (Bracewell 2000, chapter 6). It is a geometric
    progression in k: with k = 64 p + q the outer product of a short one in p and one in q.

    Parameters
    ----------
    shift : (b,) array
        Shifts in ln(wavelength).
    step : float
        The grid's step in ln(wavelength).
    n_fft, n_freq : int
        Pixels of the transform; how many frequencies to return.

    Returns
    -------
    (b, n_freq) complex array
        Good to 1e-13 for shifts of some hundred pixels.

    Examples
    --------
    >>> factors = shift_factors([3e-5], step=1e-5, n_fft=8, n_freq=5)  # three pixels
    >>> pixels = np.array([5.0, 6.0, 7.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    >>> np.fft.irfft(np.fft.rfft(pixels) * factors)[0, 3:6].round(12).tolist()
    [5.0, 6.0, 7.0]
    """
    turns = np.asarray(shift, dtype=np.float64)[:, None] / (n_fft * step)
    coarse = _phase(turns * (RUN * np.arange(-(-n_freq // RUN))))
    fine = _phase(turns * np.arange(RUN))
    factors: Complexes = coarse[:, :, None] * fine[:, None, :]
    return factors.reshape(len(turns), -1)[:, :n_freq]


def _phase(turns: Floats) -> Complexes:
    angle = -2 * np.pi * (turns - np.rint(turns))  # whole turns cost digits
    phase = np.empty(angle.shape, dtype=np.complex128)
    phase.real, phase.imag = np.cos(angle), np.sin(angle)
    return phase


def gaussian_transform(sigma: float, step: float, n_fft: int, n_freq: int) -> Floats:
    """Fourier transform of a Gaussian instrumental profile.

    ``exp(-2 pi² sigma² nu²)`` (Bracewell 2000, chapter 6, for unit area).

    Parameters
    ----------
    sigma : float
        Standard deviation in ln(wavelength): see `instrument_sigma`.
    step : float
        The grid's step in ln(wavelength).
    n_fft, n_freq : int
        Pixels of the transform; how many frequencies to return.

    Returns
    -------
    (n_freq,) array

    Raises
    ------
    InvalidInput
        A sigma that is negative or not finite.

    Examples
    --------
    >>> gaussian_transform(2e-5, 1e-5, 8, 5).round(6).tolist()
    [1.0, 0.291213, 0.007192, 1.5e-05, 0.0]
    """
    if not 0 <= sigma < math.inf:
        raise InvalidInput(f"sigma {sigma:g}: expected a finite number from 0; change it")
    nu = np.arange(n_freq) / (n_fft * step)
    transform: Floats = np.exp(-2 * (np.pi * sigma * nu) ** 2)
    return transform


def instrument_sigma(
    resolution: float | None = None,
    fwhm: float | None = None,
    library_resolution: float | None = None,
) -> float:
    """Width of the Gaussian that takes a library's spectra to an instrument's resolution.

    ``FWHM = 2 sqrt(2 ln 2) sigma``; the FWHM in ln(wavelength) is 1 / resolution, or fwhm / c. The
    library's own Gaussian is taken off in quadrature, since variances of convolutions add.

    Parameters
    ----------
    resolution : float, optional
        The instrument's resolving power, wavelength / FWHM.
    fwhm : float, optional
        The same as a velocity, km/s. Give one of the two, or neither for no broadening.
    library_resolution : float, optional
        The library's resolving power, where it has one that matters.

    Returns
    -------
    float
        Sigma in ln(wavelength); 0.0 for no broadening.

    Raises
    ------
    InvalidInput
        Both widths given, a number that is not positive and finite, or a library that is coarser
        than the instrument.

    Examples
    --------
    >>> f"{instrument_sigma(resolution=50000):.4e}"
    '8.4932e-06'
    >>> f"{instrument_sigma(fwhm=6.0, library_resolution=100000):.4e}"
    '7.3621e-06'
    """
    given = {"resolution": resolution, "fwhm": fwhm, "library_resolution": library_resolution}
    for name, value in given.items():
        if value is not None and not 0 < value < math.inf:
            raise InvalidInput(f"{name} = {value:g}: expected a finite number above 0; change it")
    if resolution is not None and fwhm is not None:
        raise InvalidInput(
            f"resolution = {resolution:g} and fwhm = {fwhm:g} km/s: expected one of them; "
            "leave the other out"
        )
    if resolution is None and fwhm is None:
        if library_resolution is not None:
            raise InvalidInput(
                f"library_resolution = {library_resolution:g} is taken off the instrument's, which "
                "is not given: give resolution or fwhm too"
            )
        return 0.0
    width = 1 / resolution if resolution is not None else (fwhm or 0.0) / SPEED_OF_LIGHT
    own = 1 / library_resolution if library_resolution is not None else 0.0
    if own > width * (1 + 1e-12):
        raise InvalidInput(
            f"an instrument of resolving power {1 / width:g} on a library of {1 / own:g}: expected "
            "a library at least as sharp; take another library, or correct the number"
        )
    return math.sqrt(max(width**2 - own**2, 0.0)) / _FWHM


def reach(vsini: ArrayLike, rv: ArrayLike, sigma: ArrayLike) -> Floats:
    """How far away in ln(wavelength) the light of a pixel may come from.

    ``|shift| + vsini/c + 5 sigma``; beyond lie 6e-7 of the Gaussian.

    Parameters
    ----------
    vsini, rv : (...) arrays
        km/s.
    sigma : (...) array
        The instrument's sigma in ln(wavelength).

    Returns
    -------
    (...) array

    Raises
    ------
    InvalidInput
        A radial velocity that is not below that of light.

    Examples
    --------
    >>> f"{float(reach(15.0, -30.0, 1e-5)):.6f}"
    '0.000200'
    """
    width = np.asarray(vsini, dtype=np.float64) / SPEED_OF_LIGHT
    return np.abs(doppler_shift(rv)) + width + 5 * np.asarray(sigma, dtype=np.float64)
