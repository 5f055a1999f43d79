"""Interface of a spectral library, common to all formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mixjobs.declarations import Declaration
from mixjobs.display import Summarised
from mixjobs.errors import LibraryError
from mixjobs.grid import Grid
from mixjobs.sections import Section
from mixjobs.typing import Floats
from mixjobs.wavelengths import LibraryMedium

# What to do about a doubt in the absolute flux.
DOUBT_ADVICE = (
    "flux ratios are not affected, but a blackbody or a second library needs the true unit: build "
    "with --flux-unit, such as erg/s/cm2/AA or erg/s/cm2/AA/sr"
)
Status = Literal["raw", "rescaled", "assumed", "normalised", "undecided"]


@dataclass(frozen=True)
class FluxCalibration:
    """Flux calibration of a library: whether its spectra are raw, and the evidence for it.

    Parameters
    ----------
    status : {"raw", "rescaled", "assumed", "normalised", "undecided"}
        "rescaled": the fluxes are scaled in the file, and reading undoes the scaling. "assumed":
        the user declares them raw.
    evidence : str
        How the status is known, in one sentence.
    level : float or None
        Median ratio of the fluxes to those of blackbodies; None if it is unknown.
    doubt : str
        Why the absolute flux may be off by a factor, which flux ratios do not notice; empty if
        there is no doubt.
    by_numbers : bool
        Whether the numbers of the spectra decided.
    """

    status: Status
    evidence: str
    level: float | None = None
    doubt: str = ""
    by_numbers: bool = False


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
    def sections(self) -> Sequence[Section]:
        """Runs of pixels without a gap, from which the orders are read; a single file has one."""

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
    def declarations(self) -> tuple[Declaration, ...]:
        """Units, medium and parameter names: what the files declare, and how it is understood."""

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """A few short values that identify the content of the library."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or converted when the library was opened, one line each."""

    def flux(self, i: int, lo: int = 0, hi: int | None = None) -> Floats:
        """Return the raw flux of spectrum `i` on pixels lo:hi as float64.

        The pixels are those of `wavelength`, or those of the `sections`.
        """

    def reader(self, rows: Sequence[int]) -> SpectrumReader:
        """Return a reader of these spectra."""

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Library:
        """Return a library with only these spectra."""


class SummarisedLibrary(Summarised):
    """Mixin for libraries: a short `repr`, and the single section of a library in one file."""

    @property
    def sections(self: Any) -> Sequence[Section]:
        """Runs of pixels without a gap."""
        return (Section(0, self.wavelength),)

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
