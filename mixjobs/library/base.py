"""What every library offers, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import LibraryError
from mixjobs.grid import Grid
from mixjobs.typing import Floats

Medium = Literal["vacuum", "air", "unknown"]


@dataclass(frozen=True)
class Rawness:
    """Whether a library's spectra are raw, and how that is known.

    Parameters
    ----------
    status : {"raw", "rescaled", "assumed", "normalised", "unknown"}
        "rescaled": they were scaled in the file, and reading undoes it.
    how : str
        One sentence for a reader.
    """

    status: Literal["raw", "rescaled", "assumed", "normalised", "unknown"]
    how: str


class Spectrum(Protocol):
    """One spectrum, open for reading."""

    @property
    def name(self) -> str:
        """Its name in the library, for messages."""

    def __call__(self, lo: int, hi: int) -> Floats:
        """Return the raw flux of pixels lo:hi, float64."""


class SpectrumReader(Protocol):
    """What a task needs to read some spectra: small, picklable, nothing open in it."""

    def __iter__(self) -> Iterator[Spectrum]:
        """Open the spectra one after the other."""


@runtime_checkable
class Library(Protocol):
    """A library of raw spectra on one wavelength array."""

    @property
    def path(self) -> str:
        """Where it is."""

    @property
    def format(self) -> str:
        """The name of its format."""

    @property
    def grid(self) -> Grid:
        """The N points at which it has spectra."""

    @property
    def original_names(self) -> tuple[str, ...]:
        """The parameter names as the file has them."""

    @property
    def wavelength(self) -> Floats:
        """Wavelengths (n_pixels,) in Å, ascending."""

    @property
    def medium(self) -> Medium:
        """In which medium the wavelengths are."""

    @property
    def flux_unit(self) -> str:
        """The flux unit as the file declares it."""

    @property
    def raw(self) -> Rawness:
        """Whether its spectra are raw, by its own word."""

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """What tells this library from another: a few short values."""

    def flux(self, i: int, lo: int = 0, hi: int | None = None) -> Floats:
        """Return the raw flux of spectrum `i` on pixels lo:hi, float64."""

    def reader(self, rows: Sequence[int]) -> SpectrumReader:
        """Return a reader of these spectra, for a task."""

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Library:
        """Return the library of these spectra alone."""

    def assumed_raw(self) -> Library:
        """Return the library with its spectra taken as raw, just as they are in the file."""


def make_grid(points: Floats, names: tuple[str, ...], path: str | Path) -> Grid:
    """Return the grid of these points (N, D).

    Raises
    ------
    LibraryError
        What `Grid` refuses, with the library's name before it.
    """
    try:
        return Grid(points, names)
    except LibraryError as error:
        raise LibraryError(f"{path}: {error}") from None
