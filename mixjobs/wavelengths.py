"""Wavelengths: logarithmic grids, air and vacuum, checks, and the edges of pixels."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixjobs.errors import InvalidInput, LibraryError, MixjobsError
from mixjobs.typing import Floats

SPEED_OF_LIGHT = 299792.458  # km/s

Medium = Literal["air", "vacuum"]
LibraryMedium = Literal["air", "vacuum", "unknown"]
MEDIA: tuple[Medium, ...] = ("air", "vacuum")

_SHORTEST = 2000.0  # Å, in vacuum
_CONVERGED = 1e-10  # Å
_MIN_STEP = 1e-9  # of the wavelength, between neighbouring pixels of a library


class LogGrid(NamedTuple):
    """Pixels uniform in ln(wavelength / Å): a radial velocity shifts a spectrum by a constant.

    Parameters
    ----------
    start : float
        ln(wavelength / Å) of the first pixel.
    step : float
        Spacing of the pixels in ln(wavelength).
    n_pixels : int

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


def check_wavelength(
    wavelength: Floats,
    error: type[MixjobsError] = InvalidInput,
    *,
    path: str | os.PathLike[str] | None = None,
    order: int | None = None,
) -> None:
    """Check that wavelengths are finite, positive and strictly ascending.

    Parameters
    ----------
    wavelength : (n_pixels,) array
        Å.
    error : type
        Class of the error to raise.
    path : str or path, optional
        File that the wavelengths come from, for the error.
    order : int, optional
        Number of their spectral order, for the error.

    Raises
    ------
    error
        With the first offending wavelength as `value` and its index as `pixel`.

    Examples
    --------
    >>> check_wavelength(np.array([5000.0, 5002.0, 5001.0]), order=7)
    Traceback (most recent call last):
    mixjobs.errors.InvalidInput: order 7: wavelength 5001 Å at pixel 2 follows 5002 Å; expected ...
    """
    invalid = np.flatnonzero(~(np.isfinite(wavelength) & (wavelength > 0)))
    steps_back = np.flatnonzero(np.diff(wavelength) <= 0)
    if not len(invalid) and not len(steps_back):
        return
    pixel = int(invalid[0] if len(invalid) else steps_back[0] + 1)
    value = float(wavelength[pixel])
    if len(invalid):
        fault = f"wavelength {value:g} at pixel {pixel}; expected finite, positive wavelengths: "
        remedy = "remove such pixels"
    else:
        before = f"{wavelength[pixel - 1]:.10g} Å"
        fault = f"wavelength {value:.10g} Å at pixel {pixel} follows {before}; expected strictly "
        remedy = "ascending wavelengths: sort the pixels and remove repeats"
    source = f"{os.fspath(path)}: " if path is not None else ""
    source += f"order {order}: " if order is not None else ""
    raise error(
        source + fault + remedy, path=path, name="wavelength", value=value, order=order, pixel=pixel
    )


def check_distinct(wavelength: Floats, path: str | os.PathLike[str]) -> None:
    """Check that the wavelengths of a library are distinct enough for interpolation.

    Neighbours must differ by 1e-9 of the wavelength or more. If they are closer, their flux
    determines an arbitrary slope.

    Parameters
    ----------
    wavelength : (n_pixels,) array
        Å, ascending.
    path : str or path
        File that the wavelengths come from, for the error.

    Raises
    ------
    LibraryError
        With the second wavelength of the first such pair as `value`, and its index as `pixel`.

    Examples
    --------
    >>> check_distinct(np.array([5000.0, 5001.0, np.nextafter(5001.0, 6000)]), "grid.hdf5")
    Traceback (most recent call last):
    mixjobs.errors.LibraryError: grid.hdf5: wavelengths 5001.0 and 5001.000000000001 Å at ...
    """
    close = np.flatnonzero(np.diff(wavelength) < _MIN_STEP * wavelength[1:])
    if not len(close):
        return
    pixel = int(close[0]) + 1
    before, value = (float(w) for w in wavelength[pixel - 1 : pixel + 1])
    raise LibraryError(
        f"{os.fspath(path)}: wavelengths {before!r} and {value!r} Å at pixels {pixel - 1} and "
        f"{pixel} are too close for interpolation; expected a difference of at least "
        f"{_MIN_STEP * value:.1g} Å: remove one of the two pixels",
        path=path, name="wavelength", value=value, pixel=pixel,
    )  # fmt: skip


def vacuum_to_air(wavelength: ArrayLike) -> Floats:
    """Convert wavelengths from vacuum to standard air.

    ``air = vacuum / n``,
    ``n = 1 + 0.05792105 / (238.0185 - s²) + 0.00167917 / (57.362 - s²)``, s the wavenumber in
    1/µm, for dry air at 15 °C, 1013.25 hPa and 450 ppm of CO2 (Ciddor 1996, Applied Optics 35,
    1566, equation 1). PHOENIX uses the same formula (Husser et al. 2013, A&A 553, A6, equations 8
    to 10).

    Parameters
    ----------
    wavelength : (...) array
        Å, in vacuum; 2000 Å or longer.

    Returns
    -------
    (...) array
        Å, in air.

    Raises
    ------
    InvalidInput
        A wavelength is shorter than 2000 Å, where the formula does not hold, or not finite.

    Examples
    --------
    >>> f"{float(vacuum_to_air(5000.0)):.4f}"
    '4998.6055'
    """
    vacuum = np.asarray(wavelength, dtype=np.float64)
    _check_range(vacuum, _SHORTEST, "vacuum")
    air: Floats = vacuum / _refractive_index(vacuum)
    return air


def air_to_vacuum(wavelength: ArrayLike) -> Floats:
    """Convert wavelengths from standard air to vacuum: the inverse of `vacuum_to_air`.

    Solved by fixed-point iteration of ``vacuum = n(vacuum) * air``, to 1e-9 Å. The refractive
    index n varies so slowly with wavelength that each iteration adds four digits.

    Parameters
    ----------
    wavelength : (...) array
        Å, in air; 1999.352 Å (2000 Å in vacuum) or longer.

    Returns
    -------
    (...) array
        Å, in vacuum.

    Raises
    ------
    InvalidInput
        A wavelength is shorter than that, or not finite.

    Examples
    --------
    >>> f"{float(air_to_vacuum(4998.6055)):.4f}"
    '5000.0000'
    """
    air = np.asarray(wavelength, dtype=np.float64)
    _check_range(air, _SHORTEST / float(_refractive_index(np.array(_SHORTEST))), "air")
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


def _check_range(wavelength: Floats, shortest: float, medium: str) -> None:
    short = wavelength[~((wavelength >= shortest) & (wavelength < np.inf))]
    if short.size:
        raise InvalidInput(
            f"wavelength {short.flat[0]:.10g} Å in {medium}: expected {shortest:.10g} Å or longer, "
            "where the refractive index of air is known; remove shorter wavelengths",
            name="wavelength",
            value=float(short.flat[0]),
        )


def in_library_medium(wave: Floats, medium: str | None, library_medium: str) -> Floats:
    """Convert wavelengths to the library's medium; unchanged if either medium is unknown.

    Parameters
    ----------
    wave : (...) array
        Å.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths.
    library_medium : {"air", "vacuum", "unknown"}

    Returns
    -------
    (...) array
        Å.

    Examples
    --------
    >>> float(in_library_medium(np.array(5000.0), "vacuum", "air").round(2))
    4998.61
    """
    if (medium, library_medium) == ("air", "vacuum"):
        return air_to_vacuum(wave)
    return vacuum_to_air(wave) if (medium, library_medium) == ("vacuum", "air") else wave


def settle_medium(
    path: str | os.PathLike[str],
    declared: Medium | None,
    requested: str | None,
    library_medium: str,
) -> tuple[Medium | None, str]:
    """Choose the medium of a spectrum: declared by its file, else requested, else the library's.

    Parameters
    ----------
    path : str or path
        The spectrum's file, for the error.
    declared : {"air", "vacuum"} or None
    requested : {"air", "vacuum"} or None
    library_medium : {"air", "vacuum", "unknown"}

    Returns
    -------
    medium : {"air", "vacuum"} or None
        None if all three are unknown.
    note : str
        The medium and how it is known.

    Raises
    ------
    InvalidInput
        The request contradicts the file, or is neither air nor vacuum.

    Examples
    --------
    >>> settle_medium("star.fits", None, "air", "vacuum")
    ('air', 'wavelengths in air, as requested')
    """
    problem = ""
    if requested not in (None, *MEDIA):
        problem = "expected air or vacuum"
    elif declared and requested not in (None, declared):
        problem = f"{os.fspath(path)} declares {declared}; leave the medium out"
    if problem:
        raise InvalidInput(
            f"medium {requested!r}: {problem}", path=path, name="medium", value=requested
        )
    for medium in MEDIA:
        if medium == (declared or requested or library_medium):
            source = "as its file declares" if declared else "as requested" if requested else ""
            source = source or "like the library's (assumed; its file does not say)"
            unknown = "" if library_medium in MEDIA else "; not converted: the library's is unknown"
            return medium, f"wavelengths in {medium}, {source}{unknown}"
    return None, "wavelengths in an unknown medium, taken to be the library's"


def check_common_medium(
    paths: Sequence[str | os.PathLike[str]], media: Sequence[str | None], library_medium: str
) -> None:
    """Check that spectra in different media are not compared with a library of unknown medium.

    Parameters
    ----------
    paths : sequence of str or path
        Files of the spectra, for the error.
    media : sequence of "air", "vacuum" or None
    library_medium : {"air", "vacuum", "unknown"}

    Raises
    ------
    InvalidInput
        One spectrum is in air and another in vacuum, and the library's medium is unknown.
    """
    if library_medium in MEDIA or not {"air", "vacuum"} <= set(media):
        return
    air, vacuum = (os.fspath(paths[media.index(medium)]) for medium in MEDIA)
    raise InvalidInput(
        f"{air} is in air and {vacuum} in vacuum, but the medium of the library is unknown; state "
        "that of the library",
        path=vacuum,
        name="medium",
        value=library_medium,
    )


def pixel_edges(wavelength: ArrayLike) -> Floats:
    """Return the edges of pixels in ln(wavelength), midway between the pixels' centres.

    The first and the last pixel are as wide as their neighbours.

    Parameters
    ----------
    wavelength : (n,) array
        Å, ascending. Include masked pixels: a gap would be taken for a wide pixel.

    Returns
    -------
    (n + 1,) array

    Raises
    ------
    InvalidInput
        There are fewer than two wavelengths, or they are not positive, finite and strictly
        ascending.

    Examples
    --------
    >>> np.exp(pixel_edges([1000.0, 1010.0, 1020.1])).round(2).tolist()
    [995.04, 1004.99, 1015.04, 1025.19]
    """
    wave = np.asarray(wavelength, dtype=np.float64)
    if wave.ndim != 1 or len(wave) < 2:
        raise InvalidInput(
            f"wavelengths of shape {wave.shape}: expected (n,) with at least two pixels",
            name="wavelength",
            value=wave.shape,
        )
    check_wavelength(wave)
    x = np.log(wave)
    if not (np.diff(x) > 0).all():
        raise InvalidInput(
            "wavelengths of neighbouring pixels differ by rounding only; remove one of each pair",
            name="wavelength",
        )
    middle = (x[:-1] + x[1:]) / 2
    width = np.diff(middle) if len(middle) > 1 else np.diff(x)
    return np.concatenate([[middle[0] - width[0]], middle, [middle[-1] + width[-1]]])


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
