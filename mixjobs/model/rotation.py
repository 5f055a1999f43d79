"""Rotation as a factor on a spectrum's Fourier coefficients: its transform, and a quick table."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import j1, jv, spherical_jn

from mixjobs.errors import InvalidInput
from mixjobs.typing import Floats

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
