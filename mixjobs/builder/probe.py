"""The probe of a library: a few spectra that show its flux level and its reading time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixjobs.errors import LibraryError
from mixjobs.grid import Grid
from mixjobs.library import Library
from mixjobs.library.flux_scale import lines_along
from mixjobs.model.means import mean_flux
from mixjobs.orders import Orders
from mixjobs.typing import Floats, Ints

_N_SPECTRA = 5


@dataclass(frozen=True, eq=False)
class Probe:
    """The mean fluxes of a few spectra, and the time that reading them takes.

    Attributes
    ----------
    rows : (n,) int array
        Grid points of the spectra: see `probe_rows`.
    mean_flux : (M, n) array
    seconds : float
        Shortest time to read a spectrum.
    """

    rows: Ints
    mean_flux: Floats
    seconds: float


def probe_rows(grid: Grid) -> Ints:
    """Return a few grid points that differ only in Teff, or in the first parameter without Teff.

    Between such points, the trend with Teff reveals whether spectra are raw. If no two points
    differ in that parameter alone, the points are spread over the whole grid.
    """
    along = grid.names.index("teff") if "teff" in grid.names else 0
    line = lines_along(grid, along)
    n_points = np.bincount(line)
    longest = np.flatnonzero(n_points == n_points.max())
    on_line = line == longest[len(longest) // 2]
    rows = np.flatnonzero(on_line | (n_points.max() == 1))
    rows = rows[np.argsort(grid.points[rows, along], kind="stable")]
    evenly = np.linspace(0, len(rows) - 1, min(_N_SPECTRA, len(rows))).round().astype(int)
    chosen: Ints = rows[evenly]
    return chosen


def probe(library: Library, orders: Orders) -> Probe:
    """Read a few spectra of a library.

    Raises
    ------
    OrderError
        The library does not cover an order.
    LibraryError
        A spectrum cannot be used.
    """
    lo, hi = orders.pixel_ranges(library.sections)
    rows = probe_rows(library.grid)
    seconds, means = [], []
    for spectrum in library.reader([int(i) for i in rows]):
        start = time.perf_counter()
        try:
            means.append(mean_flux(spectrum, orders.number, lo, hi))
        except LibraryError as error:
            named = in_spectrum(error, library.path, spectrum.name)
            raise with_wavelengths(named, library) from None
        seconds.append(time.perf_counter() - start)
    return Probe(rows, np.stack(means, axis=1), min(seconds))


def in_spectrum(error: LibraryError, library: str, spectrum: str) -> LibraryError:
    """Add the names of the library and of the spectrum to an error."""
    message = f"{library}: spectrum {spectrum}: {error}"
    return _copy(error, message, path=library, name=spectrum)


def with_wavelengths(error: LibraryError, library: Library) -> LibraryError:
    """Add the wavelengths of the pixels that an error names, if it names any."""
    if error.pixel is None or not isinstance(error.value, tuple):
        return error
    first, last = (_wavelength(library, pixel) for pixel in error.value)
    return _copy(error, f"{error} ({first:.8g} to {last:.8g} Å)", value=(first, last))


def _wavelength(library: Library, pixel: int) -> float:
    section = max((s for s in library.sections if s.start <= pixel), key=lambda s: s.start)
    return float(section.wavelength[pixel - section.start])


def _copy(error: LibraryError, message: str, **changed: Any) -> LibraryError:
    facts = {name: getattr(error, name) for name in ("path", "name", "value", "order", "pixel")}
    return LibraryError(message, **{**facts, **changed})
