"""Interface of a spectral library, common to all formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mixjobs.display import Summarised
from mixjobs.errors import LibraryError
from mixjobs.grid import Grid
from mixjobs.typing import Floats
from mixjobs.wavelengths import LibraryMedium


@dataclass(frozen=True)
class FluxCalibration:
    """Flux calibration of a library: whether its spectra are raw, and the evidence for it.

    Parameters
    ----------
    status : {"raw", "rescaled", "assumed", "normalised", "unknown"}
        "rescaled": the fluxes are scaled in the file, and reading undoes the scaling.
    evidence : str
        How the status is known, in one sentence.
    """

    status: Literal["raw", "rescaled", "assumed", "normalised", "unknown"]
    evidence: str

    def assumed(self) -> FluxCalibration:
        """Return the calibration of spectra that the user declares raw."""
        return FluxCalibration(
            "assumed", f"taken as raw on request; according to the library: {self.evidence}"
        )


class Spectrum(Protocol):
    """A spectrum that is open for reading."""

    @property
    def name(self) -> str:
        """Name in the library, for messages."""

    def __call__(self, lo: int, hi: int) -> Floats:
        """Return the raw flux of pixels lo:hi as float64."""


class SpectrumReader(Protocol):
    """A small, picklable description of some spectra, which opens them when iterated over."""

    def __iter__(self) -> Iterator[Spectrum]:
        """Open the spectra one by one."""


@runtime_checkable
class Library(Protocol):
    """A library of raw spectra that share one wavelength array."""

    @property
    def path(self) -> str:
        """Absolute path of the file or folder."""

    @property
    def format(self) -> str:
        """Name of the format."""

    @property
    def grid(self) -> Grid:
        """The N grid points."""

    @property
    def original_names(self) -> tuple[str, ...]:
        """Parameter names as spelled in the file."""

    @property
    def wavelength(self) -> Floats:
        """Wavelengths (n_pixels,) in Å, ascending."""

    @property
    def medium(self) -> LibraryMedium:
        """Medium of the wavelengths."""

    @property
    def flux_unit(self) -> str:
        """Flux unit as declared in the file."""

    @property
    def flux_calibration(self) -> FluxCalibration:
        """Flux calibration as declared in the file."""

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """A few short values that identify the content of the library."""

    def flux(self, i: int, lo: int = 0, hi: int | None = None) -> Floats:
        """Return the raw flux of spectrum `i` on pixels lo:hi as float64."""

    def reader(self, rows: Sequence[int]) -> SpectrumReader:
        """Return a reader of these spectra."""

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Library:
        """Return a library with only these spectra."""

    def assume_raw(self) -> Library:
        """Return the library with its fluxes taken as raw, exactly as stored in the file."""


class SummarisedLibrary(Summarised):
    """Mixin for libraries: a short `repr`."""

    def _facts(self: Any) -> Mapping[str, object]:
        wave = self.wavelength
        calibration = self.flux_calibration
        return {
            "path": Path(self.path),
            "format": self.format,
            "grid": self.grid.summary(),
            "wavelength": f"{wave[0]:.8g} to {wave[-1]:.8g} Å ({len(wave)} pixels)",
            "medium": self.medium,
            "flux unit": self.flux_unit,
            "flux calibration": f"{calibration.status}: {calibration.evidence.partition(';')[0]}",
        }


def make_grid(points: Floats, names: tuple[str, ...], path: str | Path) -> Grid:
    """Return the grid of these points (N, D); errors name the library's path.

    Raises
    ------
    LibraryError
        There are fewer than two points, or a point is repeated or not finite.
    """
    try:
        return Grid(points, names)
    except LibraryError as error:
        raise LibraryError(
            f"{path}: {error}", path=path, name=error.name, value=error.value
        ) from None
