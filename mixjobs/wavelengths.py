"""LogGrid: pixels uniform in the logarithm of wavelength, on which a velocity is a shift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixjobs.errors import InvalidInput, LibraryError
from mixjobs.typing import Floats

SPEED_OF_LIGHT = 299792.458  # km/s


class LogGrid(NamedTuple):
    """Pixels uniform in ln(wavelength / Å): the first, the step, how many.

    Examples
    --------
    >>> grid = LogGrid(math.log(5000.0), 1e-3, 3)
    >>> grid.wavelength.round(3).tolist()
    [5000.0, 5005.003, 5010.01]
    """

    start: float
    step: float
    n_pixels: int

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """Wavelengths of the pixels, (n_pixels,), Å."""
        wavelength: NDArray[np.float64] = np.exp(self.start + self.step * np.arange(self.n_pixels))
        return wavelength

    @property
    def dv(self) -> float:
        """Width of a pixel, km/s."""
        return SPEED_OF_LIGHT * math.expm1(self.step)


def check_wavelength(wavelength: Floats, path: str | Path) -> None:
    """Refuse wavelengths (n_pixels,) that are not finite, positive and ascending.

    Raises
    ------
    LibraryError
    """
    if not (np.isfinite(wavelength) & (wavelength > 0)).all():
        raise LibraryError(f"{path}: wavelengths must be finite and positive; mend the file")
    wrong = np.flatnonzero(np.diff(wavelength) <= 0)
    if len(wrong):
        raise LibraryError(
            f"{path}: wavelengths must ascend, and do not at pixel {wrong[0] + 1} "
            f"({wavelength[wrong[0]]:.6f} then {wavelength[wrong[0] + 1]:.6f} Å)"
        )


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


def in_library_medium(wave: Floats, medium: str | None, library_medium: str) -> Floats:
    """Wavelengths as the library has them; untouched where one of the two is not known."""
    if (medium, library_medium) == ("air", "vacuum"):
        return air_to_vacuum(wave)
    return vacuum_to_air(wave) if (medium, library_medium) == ("vacuum", "air") else wave


def pixel_edges(wavelength: ArrayLike) -> Floats:
    """Edges of pixels in ln(wavelength): midway to the neighbours.

    The first and the last pixel are as wide as their neighbours.

    Parameters
    ----------
    wavelength : (n,) array
        Å, ascending: all pixels of a spectrum, masked ones too, since a gap is taken for width.

    Returns
    -------
    (n + 1,) array

    Raises
    ------
    InvalidInput
        Fewer than two wavelengths, or not positive, finite and strictly ascending.

    Examples
    --------
    >>> np.exp(pixel_edges([1000.0, 1010.0, 1020.1])).round(2).tolist()
    [995.04, 1004.99, 1015.04, 1025.19]
    """
    wave = np.asarray(wavelength, dtype=np.float64)
    if wave.ndim != 1 or len(wave) < 2:
        raise InvalidInput(
            f"wavelengths of shape {wave.shape}: expected (n,), two pixels or more; give all pixels"
        )
    bad = ~(np.isfinite(wave) & (wave > 0))
    if bad.any():
        i = int(bad.argmax())
        raise InvalidInput(
            f"wavelength {wave[i]:g} of pixel {i}: expected a finite number above 0; correct it"
        )
    x = np.log(wave)
    falls = np.diff(x) <= 0
    if falls.any():
        i = int(falls.argmax())
        raise InvalidInput(
            f"wavelengths {wave[i]:.10g}, {wave[i + 1]:.10g} Å of pixels {i}, {i + 1}: expected "
            "strictly ascending ones; sort the pixels and remove repeats"
        )
    middle = (x[:-1] + x[1:]) / 2
    width = np.diff(middle) if len(middle) > 1 else np.diff(x)
    return np.concatenate([[middle[0] - width[0]], middle, [middle[-1] + width[-1]]])


Medium = Literal["air", "vacuum"]


def ranges_of_pixels(
    wavelength: Sequence[Floats], medium: str | None, library_medium: str
) -> tuple[Floats, Floats]:
    """Return the half-open range of each order's pixels, in the medium of a library.

    A range extends from the first pixel to just past the last. Whole arrays are converted, as when
    a spectrum is compared with a model: every pixel lies in its range to the last bit.

    Parameters
    ----------
    wavelength : sequence of M (n_pixels,) arrays
        Å, ascending.
    medium : "air", "vacuum" or None
        Medium of these wavelengths. Nothing is converted where one of the two media is unknown.
    library_medium : "air", "vacuum" or "unknown"

    Returns
    -------
    wave_min, wave_max : (M,) arrays

    Examples
    --------
    >>> low, high = ranges_of_pixels([np.array([4998.6055, 5008.0])], "air", "vacuum")
    >>> f"{low[0]:.4f}, {high[0]:.4f}"
    '5000.0000, 5009.3970'
    """
    converted = [in_library_medium(wave, medium, library_medium) for wave in wavelength]
    low = np.array([wave[0] for wave in converted])
    return low, np.array([np.nextafter(wave[-1], np.inf) for wave in converted])
