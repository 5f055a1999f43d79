"""Black bodies: the Planck function and its mean over an order."""

from __future__ import annotations

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput
from mixjobs.typing import Floats

# CODATA 2018, exact, in cgs: 2 h c^2 (erg cm^2/s) and h c / k (cm K).
_H, _C, _K = 6.62607015e-27, 2.99792458e10, 1.380649e-16
_TWO_H_C2 = 2 * _H * _C**2
_HC_K = _H * _C / _K
_CM = 1e-8  # an Å in cm
_NODES, _WEIGHTS = leggauss(16)


def planck(wavelength: ArrayLike, teff: ArrayLike) -> Floats:
    """Surface flux of a black body, pi B_lambda, in erg/s/cm²/Å.

    Planck's law: ``pi B = 2 pi h c² / lambda⁵ / (exp(h c / (lambda k T)) - 1)``
    (Rybicki & Lightman 1979, equation 1.52).

    Parameters
    ----------
    wavelength : (...) array
        Å.
    teff : (...) array
        K; broadcast against `wavelength`.

    Raises
    ------
    InvalidInput
        A temperature or a wavelength that is not positive.

    Examples
    --------
    >>> f"{planck(5000, 5772):.3e}"
    '8.243e+06'
    """
    wave = np.asarray(wavelength, dtype=np.float64) * _CM
    t = np.asarray(teff, dtype=np.float64)
    if not ((wave > 0).all() and (t > 0).all()):
        raise InvalidInput("a black body needs a positive temperature (K) and wavelength (Å)")
    x = np.minimum(_HC_K / (wave * t), 700.0)  # beyond that the flux is 0 in float64
    flux: Floats = np.pi * _TWO_H_C2 / wave**5 / np.expm1(x) * _CM
    return flux


def planck_mean(wave_min: ArrayLike, wave_max: ArrayLike, teff: ArrayLike) -> Floats:
    """Mean of `planck` over windows of wavelength, by 16-point Gauss-Legendre quadrature.

    The nodes are in log wavelength, where a black body is smooth: good to 1e-8 from 3000 to
    60000 Å in one window, and to 1e-3 from 1000 Å to 100 µm.

    Parameters
    ----------
    wave_min, wave_max : (M,) arrays
        Å.
    teff : (...) array
        K.

    Returns
    -------
    (..., M) array
        erg/s/cm²/Å.
    """
    low = np.asarray(wave_min, dtype=np.float64)[:, None]
    high = np.asarray(wave_max, dtype=np.float64)[:, None]
    half = 0.5 * np.log(high / low)
    nodes = np.sqrt(low * high) * np.exp(half * _NODES)
    values = planck(nodes, np.asarray(teff, dtype=np.float64)[..., None, None])
    mean: Floats = (values * (nodes * _WEIGHTS * half / (high - low))).sum(axis=-1)
    return mean
