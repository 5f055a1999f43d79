"""Library without files, of any size, whose spectra take a given time to read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from benchmarks.libraries import planck, points
from mixjobs.declarations import Declaration
from mixjobs.grid import Grid
from mixjobs.library.base import FluxCalibration
from mixjobs.orders import Orders
from mixjobs.sections import Section
from mixjobs.typing import Floats, Ints
from mixjobs.wavelengths import LibraryMedium

PHOENIX_SECONDS = 0.037  # to decode a gzip spectrum of 1.5 million pixels
_ENDS = (9_500.0, 24_500.0)  # Å
_PIXELS = 1080


@dataclass
class Spent:
    """Cost of reading spectra and taking their means, in this process.

    `wall` also runs while the task waits because others have the core; `cpu` does not. `first` is
    when the first reader started (Unix time).
    """

    wall: float = 0.0
    cpu: float = 0.0
    first: float = np.inf


_spent = Spent()


def spent() -> Spent:
    """Return the cost since the last call, and reset it; for ``client.run``."""
    global _spent
    cost, _spent = _spent, Spent()
    return cost


@contextmanager
def _recorded() -> Iterator[None]:
    _spent.first = min(_spent.first, time.time())
    wall, cpu = time.perf_counter(), time.thread_time()
    yield
    _spent.wall += time.perf_counter() - wall
    _spent.cpu += time.thread_time() - cpu


def spin(seconds: float) -> None:
    """Keep the CPU busy for a time, measured by the CPU clock of this thread."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@cache
def wavelengths() -> Floats:
    """Return the wavelengths of every virtual library, Å."""
    return np.geomspace(*_ENDS, _PIXELS)


def fluxes(thetas: Floats, lo: int = 0, hi: int | None = None) -> Floats:
    """Return raw fluxes (n, n_pixels) at points (n, 3): blackbodies tilted by log g and [Fe/H]."""
    wavelength = wavelengths()[lo:hi]
    teff, logg, feh = thetas.T[:, :, None]
    tilt = np.log(wavelength / _ENDS[0])
    raw: Floats = planck(wavelength, teff) * (1 + 0.05 * tilt * (logg - 4) + 0.1 * tilt**2 * feh)
    return raw


@dataclass(frozen=True, eq=False)
class VirtualSpectrum:
    """One spectrum, which takes `seconds` to read, whatever part of it is read."""

    theta: Floats
    seconds: float

    @property
    def name(self) -> str:
        """Its parameters."""
        return " ".join(f"{value:g}" for value in self.theta)

    def __call__(self, lo: int, hi: int) -> Floats:
        """Return the raw flux of pixels lo:hi."""
        spin(self.seconds)
        flux: Floats = fluxes(self.theta[None], lo, hi)[0]
        return flux


@dataclass(frozen=True, eq=False)
class VirtualReader:
    """Make the spectra of (n, 3) `thetas`, and record the cost, including that of their means."""

    thetas: Floats
    seconds: float

    def __iter__(self) -> Iterator[VirtualSpectrum]:
        """Make the spectra one after the other."""
        with _recorded():
            for theta in self.thetas:
                yield VirtualSpectrum(theta, self.seconds)


@dataclass(frozen=True, eq=False)
class VirtualLibrary:
    """A library of a full product grid; see `mixjobs.library.Library`.

    Attributes
    ----------
    grid : Grid
    seconds : float
        CPU time that it takes to read a spectrum.
    """

    grid: Grid
    seconds: float
    path: str = "virtual library"
    format: str = "virtual"
    original_names: tuple[str, ...] = ("T", "logg", "Z")
    medium: LibraryMedium = "vacuum"
    flux_unit: str = "erg/s/cm^2/AA"
    declarations: tuple[Declaration, ...] = ()
    flux_calibration: FluxCalibration = field(
        default=FluxCalibration("raw", "made as the flux at the star's surface")
    )

    notes: tuple[str, ...] = ()

    @classmethod
    def of_shape(cls, shape: tuple[int, int, int], seconds: float) -> VirtualLibrary:
        """Return a library with this number of Teff x log g x [Fe/H]."""
        return cls(Grid(points(shape), ("teff", "logg", "feh")), seconds)

    @property
    def wavelength(self) -> Floats:
        """Wavelengths (n_pixels,) in Å."""
        return wavelengths()

    @property
    def sections(self) -> Sequence[Section]:
        """All pixels are in one section."""
        return (Section(0, self.wavelength),)

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """The property that distinguishes it from another."""
        return {"cost": f"{self.seconds:g} s per spectrum"}

    def flux(self, i: int, lo: int = 0, hi: int | None = None) -> Floats:
        """Return the raw flux of spectrum `i` on pixels lo:hi."""
        flux: Floats = fluxes(self.grid.points[i : i + 1], lo, hi)[0]
        return flux

    def reader(self, rows: Sequence[int]) -> VirtualReader:
        """Return a reader of these spectra, for a task."""
        return VirtualReader(self.grid.points[list(rows)], self.seconds)

    def take(self, rows: Sequence[int] | Ints) -> VirtualLibrary:
        """Return the library of only these spectra."""
        return replace(self, grid=self.grid.take(rows))

    def means(self, orders: Orders) -> Floats:
        """Return the means (M, N) that a store of this library must contain, at no cost."""
        flux = fluxes(self.grid.points)
        ranges = zip(*orders.pixel_ranges(self.wavelength), strict=True)
        return np.stack([flux[:, lo:hi].mean(axis=1) for lo, hi in ranges])
