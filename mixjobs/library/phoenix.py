"""PHOENIX libraries: a directory of HiRes FITS files, such as that of the Göttingen server."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mixjobs.declarations import Declaration
from mixjobs.display import counted
from mixjobs.errors import LibraryError, UnreadableFile
from mixjobs.grid import Grid
from mixjobs.library.base import FluxCalibration, SummarisedLibrary, make_grid
from mixjobs.library.declared import flux_factor, read_flux_unit, read_medium, read_names
from mixjobs.library.options import LibraryOptions
from mixjobs.library.phoenix_files import (
    EXPECTED,
    check_sizes,
    find_spectra,
    find_wavelengths,
    parse_names,
)
from mixjobs.typing import Floats
from mixjobs.units import to_integers
from mixjobs.wavelengths import LibraryMedium, check_distinct, check_wavelength

# Of HiRes files (Husser et al. 2013); BUNIT is in the header of every spectrum.
_FLUX_UNIT = ("BUNIT", "erg/s/cm^2/cm")
_WAVELENGTH_UNIT = Declaration("wavelength unit", "PHOENIX HiRes files", "Å")
_SURFACE_FLUX = FluxCalibration(
    "raw", "PHOENIX HiRes files contain the flux at the stellar surface"
)


@dataclass(frozen=True)
class PhoenixSpectrum:
    """A memory-mapped spectrum."""

    name: str
    data: NDArray[np.floating[Any]]
    factor: float = 1.0

    def __call__(self, lo: int, hi: int) -> Floats:
        """Return the raw flux of pixels lo:hi as float64."""
        flux = self.data[lo:hi].astype(np.float64)
        return flux if self.factor == 1 else flux * self.factor


@dataclass(frozen=True)
class PhoenixReader:
    """Reader of some spectra of a directory; one file is open at a time."""

    folder: str
    names: tuple[str, ...]
    n_pixels: int
    factor: float = 1.0

    def __iter__(self) -> Iterator[PhoenixSpectrum]:
        """Open the spectra one by one."""
        for name in self.names:
            path = Path(self.folder) / name
            with open_image(path) as data:
                if len(data) != self.n_pixels:
                    raise LibraryError(
                        f"{path}: a spectrum with {len(data)} pixels; expected {self.n_pixels}, as "
                        "in the wavelength file; copy it again, or remove it to leave a hole",
                        path=path,
                        value=len(data),
                    )
                yield PhoenixSpectrum(name, data, self.factor)


@dataclass(frozen=True, eq=False, repr=False)
class PhoenixLibrary(SummarisedLibrary):
    """PHOENIX HiRes spectra (Husser et al. 2013, A&A 553, A6); see `mixjobs.library.Library`.

    The parameters are read from the file names. Missing files are holes of the grid.
    """

    path: str
    grid: Grid
    original_names: tuple[str, ...]
    wavelength: Floats
    names: tuple[str, ...]
    fingerprint: Mapping[str, str]
    medium: LibraryMedium
    flux_unit: str
    factor: float
    declarations: tuple[Declaration, ...]
    flux_calibration: FluxCalibration = _SURFACE_FLUX
    format: str = "phoenix"
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: str | Path, options: LibraryOptions | None = None) -> PhoenixLibrary:
        """List the spectra of a directory and read its wavelengths; no spectrum is opened."""
        options = options or LibraryOptions()
        folder = Path(path).resolve()
        files = find_spectra(folder)
        if not files:
            raise LibraryError(f"{path}: a folder without spectra; {EXPECTED}", path=path)
        names = tuple(files)
        points, parameters = parse_names(names, str(path))
        wavelength = _wavelength(find_wavelengths(folder, Path(path)))
        check_sizes(folder, files, len(wavelength))
        medium, of_medium = read_medium([("medium", "vacuum")], options, str(path))
        if options.medium is None:
            of_medium = replace(of_medium, declared="PHOENIX HiRes files")
        unit, of_flux = read_flux_unit(_FLUX_UNIT, options, str(path))
        known, of_names = read_names(parameters, points, options, str(path))
        return cls(
            path=str(folder),
            grid=make_grid(points, known, path),
            original_names=parameters,
            wavelength=wavelength,
            names=names,
            fingerprint=_fingerprint(files, wavelength),
            medium=medium,
            flux_unit=unit.text,
            factor=flux_factor(unit),
            declarations=(_WAVELENGTH_UNIT, of_medium, of_flux, of_names),
        )

    def flux(self, i: int, lo: int = 0, hi: int | None = None) -> Floats:
        """Return the raw flux of spectrum `i` on pixels lo:hi as float64."""
        stop = len(self.wavelength) if hi is None else hi
        (flux,) = [spectrum(lo, stop) for spectrum in self.reader([i])]
        return flux

    def reader(self, rows: Sequence[int]) -> PhoenixReader:
        """Return a reader of these spectra."""
        names = tuple(self.names[i] for i in to_integers(rows, "rows"))
        return PhoenixReader(self.path, names, len(self.wavelength), self.factor)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> PhoenixLibrary:
        """Return a library with only these spectra."""
        return replace(
            self,
            grid=self.grid.take(rows),
            names=tuple(self.names[i] for i in to_integers(rows, "rows")),
        )


@contextmanager
def open_image(path: Path) -> Iterator[NDArray[np.floating[Any]]]:
    """Memory-map the one-dimensional floating-point image of a FITS file.

    Raises
    ------
    UnreadableFile
        The file is missing, truncated or not FITS.
    LibraryError
        It has no such image.
    """
    with _stream(path) as stream:
        data = _map(stream, path)
        if data is None:
            raise LibraryError(f"{path}: no image in the first HDU; copy the file again", path=path)
        if data.ndim != 1 or data.dtype.kind != "f":
            raise LibraryError(
                f"{path}: an image of {data.dtype.name} with shape {data.shape}; "
                "expected a one-dimensional image of floating-point numbers",
                path=path,
                value=data.shape,
            )
        yield data


def _stream(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise UnreadableFile(
            f"{path}: cannot be opened ({error.strerror}), but existed when the directory was "
            "listed; restore it, or open the library again without it",
            path=path,
        ) from None


def _map(stream: BinaryIO, path: Path) -> Any:
    # Imported on demand: it takes half a second, and other formats do not need it.
    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a truncated file raises an error below
        try:
            return fits.open(stream, memmap=True)[0].data
        except Exception as error:  # a damaged header can raise any error in astropy
            reason = " ".join(str(error).split()).partition(". ")[0]
            raise UnreadableFile(
                f"{path}: not a complete FITS file ({reason}); copy it again", path=path
            ) from None


def _wavelength(path: Path) -> Floats:
    with open_image(path) as data:
        wavelength: Floats = data.astype(np.float64)
    if len(wavelength) < 2:
        raise LibraryError(
            f"{path}: {counted(len(wavelength), 'wavelength')}; expected at least 2",
            path=path,
            value=len(wavelength),
        )
    check_wavelength(wavelength, LibraryError, path=path)
    check_distinct(wavelength, path)
    return wavelength


def _fingerprint(files: Mapping[str, os.stat_result], wavelength: Floats) -> dict[str, str]:
    """Identify the files by name, size and time of modification, without opening them."""
    content = sha256()
    for name, status in files.items():
        content.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return {
        "files": f"{len(files)} ({content.hexdigest()[:16]})",
        "wavelengths": sha256(wavelength.tobytes()).hexdigest()[:16],
    }
