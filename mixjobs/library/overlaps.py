"""Comparison of the files of a library where their wavelengths overlap."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import inf, log, pi
from typing import NamedTuple

import numpy as np

from mixjobs.errors import LibraryError
from mixjobs.grid import describe
from mixjobs.library.base import Library
from mixjobs.typing import Floats

_N_SPECTRA = 5
_TOLERANCE = 0.004  # of ln(mean flux), beyond the error that the sampling causes
_FACTOR_TOLERANCE = 0.01  # of the logarithm
_KNOWN_FACTORS = {
    10.0: "W/m2/um, or per nm, in one of them",
    1e8: "one of them per cm, the other per Å",
    pi: "one of them per steradian",
    4 * pi: "one of them integrated over the sphere",
}


class Level(NamedTuple):
    """Mean flux of a spectrum over a range, and its relative error due to the sampling."""

    mean: float
    error: float


def check_overlaps(
    files: Sequence[Library], wavelengths: Sequence[Floats], names: Sequence[str]
) -> None:
    """Check that the files of a library agree where they overlap.

    The mean flux over the common range is compared, for five spectra spread over the grid. The
    files may have different pixels.

    Parameters
    ----------
    files : sequence of K Library
        With the same grid points, in the same sequence.
    wavelengths : sequence of K (n_pixels,) arrays
        Å, all in the same medium.
    names : sequence of K str
        Names of the files, for the error.

    Raises
    ------
    LibraryError
        Two files disagree.
    """
    n_points = len(files[0].grid)
    rows = np.unique(np.linspace(0, n_points - 1, _N_SPECTRA).round().astype(int)).tolist()
    for pair in combinations(range(len(files)), 2):
        low = max(wavelengths[k][0] for k in pair)
        high = min(wavelengths[k][-1] for k in pair)
        if low > high:
            continue
        same_pixels = _same_pixels(wavelengths[pair[0]], wavelengths[pair[1]], low, high)
        first, second = (_levels(files[k], wavelengths[k], rows, low, high) for k in pair)
        for row, a, b in zip(rows, first, second, strict=True):
            if a.mean == b.mean:  # both may be 0, in the ultraviolet
                continue
            point = describe(files[0].grid.points[row], files[0].grid.names)
            for k, level in zip(pair, (a, b), strict=True):
                _check_usable(names[k], level, low, high, point)
            factor = b.mean / a.mean
            allowed = _TOLERANCE + (0 if same_pixels else a.error + b.error)
            if abs(log(factor)) > allowed:
                raise LibraryError(
                    f"{names[pair[0]]} and {names[pair[1]]} disagree where they overlap, from "
                    f"{low:.6g} to {high:.6g} Å: at {point}, the mean flux of the second is "
                    f"{factor:.4g} times that of the first{_hint(factor)}; expected the same flux: "
                    "check the unit and the scale of both files, or leave one out",
                    path=names[pair[1]],
                    name=names[pair[0]],
                    value=float(factor),
                )


def _hint(factor: float) -> str:
    """Return what a factor between two files may mean, if it is a known one."""
    for known, meaning in _KNOWN_FACTORS.items():
        if abs(abs(log(factor)) / log(known) - 1) < _FACTOR_TOLERANCE:
            return f" ({meaning}?)"
    return ""


def _check_usable(path: str, level: Level, low: float, high: float, point: str) -> None:
    if not 0 < level.mean < inf:
        raise LibraryError(
            f"{path}: the mean flux at {point} is {level.mean:g} from {low:.6g} to {high:.6g} Å, "
            "where another file has the same wavelengths; expected a positive number: fix the "
            "spectrum, or leave out this file or this grid point",
            path=path,
            name="flux",
            value=level.mean,
        )


def _same_pixels(first: Floats, second: Floats, low: float, high: float) -> bool:
    """Return whether the pixels of two files coincide in a range, to rounding."""
    a, b = (wave[(wave >= low) & (wave <= high)] for wave in (first, second))
    return len(a) == len(b) and np.allclose(a, b, rtol=1e-9, atol=0)


def _levels(
    library: Library, wavelength: Floats, rows: Sequence[int], low: float, high: float
) -> list[Level]:
    """Return the mean flux of each spectrum from `low` to `high`."""
    lo = max(int(np.searchsorted(wavelength, low, side="right")) - 1, 0)
    hi = min(int(np.searchsorted(wavelength, high)) + 1, len(wavelength))
    pixels = wavelength[lo:hi]
    reader = library.reader(rows)
    return [_level(pixels, spectrum(lo, hi), low, high) for spectrum in reader]


def _level(wavelength: Floats, flux: Floats, low: float, high: float) -> Level:
    """Return the mean of linearly interpolated flux over a range within the wavelengths.

    The error is the change of the mean if every second pixel is left out, and the part of one pixel
    in the scatter, because the two files have different pixels at the ends of the range.
    """
    inside = (wavelength > low) & (wavelength < high)
    x = np.concatenate([[low], wavelength[inside], [high]])
    y = np.interp(x, wavelength, flux)
    if low == high:
        return Level(float(y[0]), 0.0)
    mean = float(np.trapezoid(y, x) / (high - low))
    half = np.unique(np.append(np.arange(0, len(x), 2), len(x) - 1))
    coarse = float(np.trapezoid(y[half], x[half]) / (high - low))
    scatter = float(y.std()) / len(x)
    return Level(mean, (abs(coarse - mean) + scatter) / mean if mean > 0 else 0.0)
