"""Wavelengths in vacuum and in standard air."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixjobs.errors import InvalidInput

Floats = NDArray[np.float64]

_SHORTEST = 2000.0  # Å, in vacuum
_CONVERGED = 1e-10  # Å


def vacuum_to_air(wavelength: ArrayLike) -> Floats:
    """Wavelengths in standard air of given ones in vacuum.

    ``n = 1 + 0.05792105 / (238.0185 - s²) + 0.00167917 / (57.362 - s²)``, s the wavenumber in
    1/µm, for dry air at 15 °C, 1013.25 hPa and 450 ppm of CO2 (Ciddor 1996, Applied Optics 35,
    1566, equation 1), as PHOENIX has it (Husser et al. 2013, A&A 553, A6, equations 8 to 10).

    Parameters
    ----------
    wavelength : (...) array
        Å, in vacuum, from 2000.

    Returns
    -------
    (...) array
        Å, in air.

    Raises
    ------
    InvalidInput
        A wavelength below 2000 Å, where the equation does not hold, or not finite.

    Examples
    --------
    >>> f"{float(vacuum_to_air(5000.0)):.4f}"
    '4998.6055'
    """
    vacuum = np.asarray(wavelength, dtype=np.float64)
    _check(vacuum, _SHORTEST, "vacuum")
    air: Floats = vacuum / _refractive_index(vacuum)
    return air


def air_to_vacuum(wavelength: ArrayLike) -> Floats:
    """Wavelengths in vacuum of given ones in standard air: the inverse of `vacuum_to_air`.

    By fixed point, ``vacuum = n(vacuum) air``, to 1e-9 Å: n changes so little with wavelength
    that each round adds four digits.

    Parameters
    ----------
    wavelength : (...) array
        Å, in air, from 1999.352: 2000 in vacuum.

    Returns
    -------
    (...) array
        Å, in vacuum.

    Raises
    ------
    InvalidInput
        A wavelength below that, or not finite.

    Examples
    --------
    >>> f"{float(air_to_vacuum(4998.6055)):.4f}"
    '5000.0000'
    """
    air = np.asarray(wavelength, dtype=np.float64)
    _check(air, _SHORTEST / float(_refractive_index(np.array(_SHORTEST))), "air")
    vacuum, change = air, np.inf
    while change > _CONVERGED:
        closer = air * _refractive_index(vacuum)
        change = float(np.max(np.abs(closer - vacuum), initial=0.0))
        vacuum = closer
    return vacuum


def _refractive_index(vacuum: Floats) -> Floats:
    s2 = (1e4 / vacuum) ** 2
    index: Floats = 1 + 0.05792105 / (238.0185 - s2) + 0.00167917 / (57.362 - s2)
    return index


def _check(wavelength: Floats, shortest: float, medium: str) -> None:
    bad = wavelength[~((wavelength >= shortest) & (wavelength < np.inf))]
    if bad.size:
        raise InvalidInput(
            f"wavelength {bad.flat[0]:.10g} Å in {medium}: expected {shortest:.10g} Å or more, "
            "where Ciddor's equation holds; leave shorter ones out"
        )
