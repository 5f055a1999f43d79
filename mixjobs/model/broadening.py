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
from scipy.special import j1, jv, spherical_jn

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
        Standard deviation in ln(wavelength): see `profile_sigma`.
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


def profile_sigma(
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
    >>> f"{profile_sigma(resolution=50000):.4e}"
    '8.4932e-06'
    >>> f"{profile_sigma(fwhm=6.0, library_resolution=100000):.4e}"
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


def half_width(vsini: ArrayLike, rv: ArrayLike, sigma: ArrayLike) -> Floats:
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
    >>> f"{float(half_width(15.0, -30.0, 1e-5)):.6f}"
    '0.000200'
    """
    width = np.asarray(vsini, dtype=np.float64) / SPEED_OF_LIGHT
    return np.abs(doppler_shift(rv)) + width + 5 * np.asarray(sigma, dtype=np.float64)


_CELL = 0.06  # of RotationTable, in u: its error is at most _CELL**4 / 384 * 1/8 = 4.2e-9
_TINY = 1e-9  # a u whose square is lost beside 1


def rotation_transform(u: ArrayLike, limb_darkening: float = 0.6) -> Floats:
    """Fourier transform of the profile of a rotating, limb-darkened star.

    ``[(1 - e) 2 J1(u)/u + (2e/3) 3 (sin u - u cos u)/u³] / (1 - e/3)``, the transform of Gray
    (2005, The Observation and Analysis of Stellar Photospheres), equation 18.14. The second term is
    written with the spherical Bessel function, ``j1(u) = (sin u - u cos u)/u²``, which does not
    cancel at small u.

    Parameters
    ----------
    u : (...) array
        ``2 pi nu vsini / c``, nu the frequency.
    limb_darkening : float
        e of the linear law ``1 - e + e cos(angle)``, 0 to 1.

    Returns
    -------
    (...) array
        1 at u = 0, where the profile's area is.

    Raises
    ------
    InvalidInput
        A limb darkening outside 0 to 1.

    Examples
    --------
    >>> rotation_transform([0.0, 1e-9, 3.0]).round(6).tolist()
    [1.0, 1.0, 0.285858]
    """
    e = _limb_darkening(limb_darkening)
    x = np.abs(np.asarray(u, dtype=np.float64))
    return _with_limit(1.0, x, (1 - e) * 2 * j1(x) + 2 * e * spherical_jn(1, x), 1 - e / 3)


def _rotation_slope(u: Floats, e: float) -> Floats:
    """Derivative of `rotation_transform` for u (...) from 0, from (J1/u)' = -J2/u."""
    return _with_limit(0.0, u, -(1 - e) * 2 * jv(2, u) - 2 * e * spherical_jn(2, u), 1 - e / 3)


def _with_limit(limit: float, u: Floats, numerator: Floats, area: float) -> Floats:
    tiny = u < _TINY
    value: Floats = np.where(tiny, limit, numerator / np.where(tiny, 1.0, u * area))
    return value


def _limb_darkening(e: float) -> float:
    if not 0 <= e <= 1:
        raise InvalidInput(
            f"limb darkening {e:g}: expected 0 to 1, the coefficient of the linear law; change it"
        )
    return float(e)


class RotationTable:
    """`rotation_transform` from a table: cubic Hermite on uniform cells in u.

    Values and exact derivatives at the nodes, so the first derivative is continuous; the error is
    below 1e-8 everywhere. (That of cubic Hermite interpolation is at most h⁴/384 of the largest
    fourth derivative: Fritsch & Carlson 1980, SIAM J. Numer. Anal. 17, 238. Here that is the
    profile's mean of (v/vsini)⁴, at most 1/8.)

    Parameters
    ----------
    u_max : float
        The largest u that will be asked for. The table has 530 bytes a unit of u.
    limb_darkening : float
        0 to 1.

    Raises
    ------
    InvalidInput
        A u_max that is not finite and positive, a limb darkening outside 0 to 1.

    Examples
    --------
    >>> table = RotationTable(u_max=100.0)
    >>> table([0.0, 1.5], n_freq=3).round(6).tolist()
    [[1.0, 1.0, 1.0], [1.0, 0.768131, 0.285858]]
    """

    def __init__(self, u_max: float, limb_darkening: float = 0.6) -> None:
        e = _limb_darkening(limb_darkening)
        if not 0 < u_max < math.inf:
            raise InvalidInput(f"u_max {u_max:g}: expected a finite number above 0; change it")
        self.u_max = float(u_max)
        nodes: Floats = _CELL * np.arange(math.ceil(u_max / _CELL) + 2.0)
        value, slope = rotation_transform(nodes, e), _CELL * _rotation_slope(nodes, e)
        rise = np.diff(value)
        # a row a cell: the coefficients of 1, t, t², t³; t goes from 0 to 1 within the cell
        self._cubics = np.stack([
            value[:-1],
            slope[:-1],
            3 * rise - 2 * slope[:-1] - slope[1:],
            slope[:-1] + slope[1:] - 2 * rise,
        ], axis=1)  # fmt: skip

    def __call__(self, u_step: ArrayLike, n_freq: int) -> Floats:
        """The transform at u = u_step * k, k = 0 to n_freq - 1.

        Parameters
        ----------
        u_step : (b,) array
            ``2 pi vsini / (c n_fft step)``: u of the first frequency above 0.
        n_freq : int
            How many frequencies.

        Returns
        -------
        (b, n_freq) array

        Raises
        ------
        InvalidInput
            A u that is negative or beyond the table's u_max.
        """
        steps = np.asarray(u_step, dtype=np.float64)
        self._check(steps, n_freq)
        result = np.empty((len(steps), n_freq))
        k = np.arange(n_freq, dtype=np.float64)
        t, floor, cell = np.empty(n_freq), np.empty(n_freq), np.empty(n_freq, dtype=np.intp)
        cubics = np.empty((n_freq, 4))
        for row, step in zip(result, steps / _CELL, strict=True):
            np.multiply(k, step, out=t)
            np.floor(t, out=floor)
            np.copyto(cell, floor, casting="unsafe")
            t -= floor
            self._cubics.take(cell, axis=0, out=cubics, mode="clip")  # quicker than "raise"
            np.multiply(cubics[:, 3], t, out=row)
            for power in (2, 1):
                row += cubics[:, power]
                row *= t
            row += cubics[:, 0]
        return result

    def _check(self, steps: Floats, n_freq: int) -> None:
        u = steps * (n_freq - 1)
        bad = u[~((u >= 0) & (u <= self.u_max * (1 + 1e-12)))]
        if bad.size:
            raise InvalidInput(
                f"u = {bad.flat[0]:g} at the highest frequency: expected 0 to {self.u_max:g}; "
                "make the table for the largest vsini"
            )
