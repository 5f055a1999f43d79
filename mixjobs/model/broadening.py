"""Doppler shift, rotation and instrumental profile as factors in Fourier space.

On a grid uniform in x = ln(wavelength), each of the three is a convolution. In Fourier space it is
a factor that multiplies ``numpy.fft.rfft`` of the spectrum; see `FourierGrid`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import j1, jv, spherical_jn

from mixjobs.errors import InvalidInput
from mixjobs.limits import FWHM, MAX_LIBRARY_RESOLUTION, RESOLUTION
from mixjobs.typing import Complexes, Floats
from mixjobs.units import to_value
from mixjobs.wavelengths import SPEED_OF_LIGHT

_FWHM = 2 * math.sqrt(2 * math.log(2))  # of a Gaussian, in sigma
Range = tuple[float, float]
RUN = 64  # about sqrt(n_freq), so that both factors of the outer product are short


class FourierGrid(NamedTuple):
    """The frequencies of a real Fourier transform on a log-wavelength grid.

    Coefficient k has the frequency ``nu = k / period``, in cycles per unit of ln(wavelength).

    Attributes
    ----------
    step : float
        Step of the grid in ln(wavelength).
    n_fft : int
        Pixels of the transform.
    n_freq : int
        Frequencies that are kept, from 0: ``n_fft // 2 + 1``, or fewer.

    Examples
    --------
    >>> FourierGrid(step=0.5, n_fft=8, n_freq=3).frequency.tolist()
    [0.0, 0.25, 0.5]
    """

    step: float
    n_fft: int
    n_freq: int

    @property
    def period(self) -> float:
        """Length of the transform in ln(wavelength)."""
        return self.n_fft * self.step

    @property
    def frequency(self) -> Floats:
        """The frequencies that are kept: (n_freq,)."""
        return np.arange(self.n_freq) / self.period


def doppler_shift(rv: ArrayLike) -> Floats:
    """Doppler shift of a moving source in ln(wavelength).

    ``ln(lambda / lambda_0) = atanh(rv / c)`` is the logarithm of the relativistic Doppler factor
    for motion along the line of sight (Rybicki & Lightman 1979, equation 4.11).

    Parameters
    ----------
    rv : (...) array or quantity
        Radial velocity, km/s, positive for a receding source.

    Returns
    -------
    (...) array

    Raises
    ------
    InvalidInput
        A velocity that is not below the speed of light.

    Examples
    --------
    >>> f"{float(doppler_shift(30.0)):.10f}"
    '0.0001000692'
    """
    velocity = np.asarray(to_value(rv, "km/s", "rv"), dtype=np.float64)
    bad = velocity[~(np.abs(velocity) < SPEED_OF_LIGHT)]
    if bad.size:
        raise InvalidInput(
            f"rv = {bad.flat[0]:g} km/s: expected a speed below that of light, "
            f"{SPEED_OF_LIGHT:g} km/s; give a radial velocity in km/s",
            name="rv",
            value=float(bad.flat[0]),
        )
    shift: Floats = np.arctanh(velocity / SPEED_OF_LIGHT)
    return shift


def shift_factors(shift: ArrayLike, fourier: FourierGrid) -> Complexes:
    """Factors that shift a spectrum towards longer wavelengths.

    ``exp(-2 pi i nu shift)`` by the shift theorem (Bracewell 2000, chapter 6). This is a geometric
    progression in k. With k = 64 p + q it is the outer product of a short progression in p and one
    in q.

    Parameters
    ----------
    shift : (b,) array
        Shifts in ln(wavelength).
    fourier : FourierGrid

    Returns
    -------
    (b, n_freq) complex array
        Accurate to 1e-13 for shifts of a few hundred pixels.

    Examples
    --------
    >>> factors = shift_factors([3e-5], FourierGrid(step=1e-5, n_fft=8, n_freq=5))  # three pixels
    >>> pixels = np.array([5.0, 6.0, 7.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    >>> np.fft.irfft(np.fft.rfft(pixels) * factors)[0, 3:6].round(12).tolist()
    [5.0, 6.0, 7.0]
    """
    turns = np.asarray(shift, dtype=np.float64)[:, None] / fourier.period
    coarse = _phase(turns * (RUN * np.arange(-(-fourier.n_freq // RUN))))
    fine = _phase(turns * np.arange(RUN))
    factors: Complexes = coarse[:, :, None] * fine[:, None, :]
    return factors.reshape(len(turns), -1)[:, : fourier.n_freq]


def _phase(turns: Floats) -> Complexes:
    angle = -2 * np.pi * (turns - np.rint(turns))  # whole turns would lose digits
    phase = np.empty(angle.shape, dtype=np.complex128)
    phase.real, phase.imag = np.cos(angle), np.sin(angle)
    return phase


def gaussian_transform(profile_sigma: float, fourier: FourierGrid) -> Floats:
    """Fourier transform of a Gaussian instrumental profile of unit area.

    ``exp(-2 pi² sigma² nu²)`` (Bracewell 2000, chapter 6).

    Parameters
    ----------
    profile_sigma : float
        Standard deviation in ln(wavelength): see `profile_sigma`.
    fourier : FourierGrid

    Returns
    -------
    (n_freq,) array

    Raises
    ------
    InvalidInput
        A width that is negative or not finite.

    Examples
    --------
    >>> gaussian_transform(2e-5, FourierGrid(1e-5, 8, 5)).round(6).tolist()
    [1.0, 0.291213, 0.007192, 1.5e-05, 0.0]
    """
    if not 0 <= profile_sigma < math.inf:
        raise InvalidInput(
            f"profile_sigma = {profile_sigma:g}: expected a finite number, 0 or more",
            name="profile_sigma",
            value=profile_sigma,
        )
    transform: Floats = np.exp(-2 * (np.pi * profile_sigma * fourier.frequency) ** 2)
    return transform


def profile_sigma(
    resolution: float | None = None,
    fwhm: float | None = None,
    library_resolution: float | None = None,
) -> float:
    """Width of the Gaussian that brings library spectra to the resolution of an instrument.

    ``FWHM = 2 sqrt(2 ln 2) sigma``. The FWHM in ln(wavelength) is 1 / resolution, or fwhm / c. The
    library's own Gaussian is subtracted in quadrature, because variances of convolutions add.

    Parameters
    ----------
    resolution : float, optional
        Resolving power of the instrument, wavelength / FWHM.
    fwhm : float or quantity, optional
        FWHM of the instrumental profile, km/s. Give `resolution`, `fwhm`, or neither for no
        broadening.
    library_resolution : float, optional
        Resolving power of the library, if it is not much higher than the instrument's.

    Returns
    -------
    float
        Standard deviation in ln(wavelength); 0.0 for no broadening.

    Raises
    ------
    InvalidInput
        Both widths, a number outside the limits of `mixjobs.limits`, or a library of lower
        resolution than the instrument.

    Examples
    --------
    >>> f"{profile_sigma(resolution=50000):.4e}"
    '8.4932e-06'
    >>> f"{profile_sigma(fwhm=6.0, library_resolution=100000):.4e}"
    '7.3621e-06'
    """
    resolution = _limited(resolution, "", "resolution", RESOLUTION)
    fwhm = _limited(fwhm, "km/s", "fwhm", FWHM)
    limits = (RESOLUTION[0], MAX_LIBRARY_RESOLUTION)
    library_resolution = _limited(library_resolution, "", "library_resolution", limits)
    if resolution is not None and fwhm is not None:
        raise InvalidInput(
            f"resolution = {resolution:g} and fwhm = {fwhm:g} km/s: expected one of the two; "
            "leave the other out",
            name="resolution",
            value=resolution,
        )
    if resolution is None and fwhm is None:
        if library_resolution is not None:
            raise InvalidInput(
                f"library_resolution = {library_resolution:g} without the resolution of the "
                "instrument; give resolution or fwhm as well",
                name="library_resolution",
                value=library_resolution,
            )
        return 0.0
    width = 1 / resolution if resolution is not None else (fwhm or 0.0) / SPEED_OF_LIGHT
    library_width = 1 / library_resolution if library_resolution is not None else 0.0
    if library_width > width * (1 + 1e-12):
        raise InvalidInput(
            f"the instrument's resolving power is {1 / width:g}, the library's only "
            f"{1 / library_width:g}: expected a library of higher resolution; "
            "use another library, or correct the number",
            name="library_resolution",
            value=library_resolution,
        )
    return math.sqrt(max(width**2 - library_width**2, 0.0)) / _FWHM


def _limited(given: float | None, unit: str, name: str, limits: Range) -> float | None:
    value: float | None = to_value(given, unit, name)
    if value is not None and not limits[0] <= value <= limits[1]:
        expected = " ".join(filter(None, [f"{limits[0]:g} to {limits[1]:g}", unit]))
        raise InvalidInput(
            f"{name} = {value:g}; expected a number from {expected}", name=name, value=value
        )
    return value


def half_width(vsini: ArrayLike, rv: ArrayLike, profile_sigma: ArrayLike) -> Floats:
    """Largest distance in ln(wavelength) from which light reaches a pixel.

    ``|shift| + vsini/c + 5 profile_sigma``; 6e-7 of the Gaussian lies beyond.

    Parameters
    ----------
    vsini, rv : (...) arrays
        km/s.
    profile_sigma : (...) array
        Standard deviation of the instrumental profile in ln(wavelength).

    Returns
    -------
    (...) array

    Raises
    ------
    InvalidInput
        A radial velocity that is not below the speed of light.

    Examples
    --------
    >>> f"{float(half_width(15.0, -30.0, 1e-5)):.6f}"
    '0.000200'
    """
    width = np.asarray(vsini, dtype=np.float64) / SPEED_OF_LIGHT
    return np.abs(doppler_shift(rv)) + width + 5 * np.asarray(profile_sigma, dtype=np.float64)


_TABLE_STEP = 0.06  # in u; the error of the table is at most step**4 / 384 * 1/8 = 4.2e-9
_TINY_U = 1e-9  # below this, u² is lost in the rounding of 1


def rotation_transform(u: ArrayLike, limb_darkening: float = 0.6) -> Floats:
    """Fourier transform of the rotation profile of a limb-darkened star.

    ``[(1 - e) 2 J1(u)/u + (2e/3) 3 (sin u - u cos u)/u³] / (1 - e/3)``, the transform of equation
    18.14 of Gray (2005, The Observation and Analysis of Stellar Photospheres). The second term is
    evaluated with the spherical Bessel function ``j1(u) = (sin u - u cos u)/u²``, which avoids
    cancellation at small u.

    Parameters
    ----------
    u : (...) array
        ``2 pi nu vsini / c``, where nu is the frequency.
    limb_darkening : float
        Coefficient e of the linear law ``1 - e + e cos(angle)``, 0 to 1.

    Returns
    -------
    (...) array
        1 at u = 0, because the profile has unit area.

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
    """Derivative of `rotation_transform` at u (...), 0 or more; uses (J1/u)' = -J2/u."""
    return _with_limit(0.0, u, -(1 - e) * 2 * jv(2, u) - 2 * e * spherical_jn(2, u), 1 - e / 3)


def _with_limit(limit: float, u: Floats, numerator: Floats, area: float) -> Floats:
    """``numerator / (u area)``, or its limit for u = 0."""
    tiny = u < _TINY_U
    value: Floats = np.where(tiny, limit, numerator / np.where(tiny, 1.0, u * area))
    return value


def _limb_darkening(e: float) -> float:
    if not 0 <= e <= 1:
        raise InvalidInput(
            f"limb_darkening = {e:g}: expected the coefficient of the linear law, 0 to 1",
            name="limb_darkening",
            value=e,
        )
    return float(e)


class RotationTable:
    """A table of `rotation_transform`, with cubic Hermite interpolation on uniform cells in u.

    The nodes hold values and exact derivatives, so the first derivative is continuous. The error is
    below 1e-8 everywhere: for cubic Hermite interpolation it is at most h⁴/384 times the largest
    fourth derivative (Fritsch & Carlson 1980, SIAM J. Numer. Anal. 17, 238). Here that derivative
    is at most the mean of (v/vsini)⁴ over the profile, 1/8.

    Parameters
    ----------
    u_max : float
        Largest u of the table, which takes 530 bytes per unit of u.
    limb_darkening : float
        Coefficient of the linear law, 0 to 1.

    Raises
    ------
    InvalidInput
        A u_max that is not positive and finite, or a limb darkening outside 0 to 1.

    Examples
    --------
    >>> table = RotationTable(u_max=100.0)
    >>> table([0.0, 1.5], n_freq=3).round(6).tolist()
    [[1.0, 1.0, 1.0], [1.0, 0.768131, 0.285858]]
    """

    def __init__(self, u_max: float, limb_darkening: float = 0.6) -> None:
        e = _limb_darkening(limb_darkening)
        if not 0 < u_max < math.inf:
            raise InvalidInput(
                f"u_max = {u_max:g}: expected a positive, finite number", name="u_max", value=u_max
            )
        self.u_max = float(u_max)
        nodes: Floats = _TABLE_STEP * np.arange(math.ceil(u_max / _TABLE_STEP) + 2.0)
        value, slope = rotation_transform(nodes, e), _TABLE_STEP * _rotation_slope(nodes, e)
        rise = np.diff(value)
        # one row per cell: the coefficients of 1, t, t², t³, with t from 0 to 1 within the cell
        self._cubics = np.stack([
            value[:-1],
            slope[:-1],
            3 * rise - 2 * slope[:-1] - slope[1:],
            slope[:-1] + slope[1:] - 2 * rise,
        ], axis=1)  # fmt: skip

    def __call__(self, u_step: ArrayLike, n_freq: int) -> Floats:
        """Evaluate the transform at u = u_step * k for k = 0 to n_freq - 1.

        Parameters
        ----------
        u_step : (b,) array
            ``2 pi vsini / (c period)``: u of the first frequency above 0.
        n_freq : int
            Number of frequencies.

        Returns
        -------
        (b, n_freq) array

        Raises
        ------
        InvalidInput
            A u that is negative or exceeds the table's u_max.
        """
        steps = np.asarray(u_step, dtype=np.float64)
        self._check(steps, n_freq)
        result = np.empty((len(steps), n_freq))
        k = np.arange(n_freq, dtype=np.float64)
        t, floor, cell = np.empty(n_freq), np.empty(n_freq), np.empty(n_freq, dtype=np.intp)
        cubics = np.empty((n_freq, 4))
        for row, step in zip(result, steps / _TABLE_STEP, strict=True):
            np.multiply(k, step, out=t)
            np.floor(t, out=floor)
            np.copyto(cell, floor, casting="unsafe")
            t -= floor
            self._cubics.take(cell, axis=0, out=cubics, mode="clip")  # faster than "raise"
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
                "make the table for the largest vsini",
                name="u_step",
                value=float(bad.flat[0]),
            )
