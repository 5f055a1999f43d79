"""PHOENIX libraries: a directory of HiRes FITS files, arranged as on the Göttingen server."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mixjobs.display import counted
from mixjobs.errors import LibraryError, UnreadableFile
from mixjobs.grid import Grid
from mixjobs.library.base import FluxCalibration, SummarisedLibrary, make_grid
from mixjobs.typing import Floats
from mixjobs.units import to_integers
from mixjobs.wavelengths import LibraryMedium, check_wavelength

# The server keeps the wavelengths one folder above the spectra; Starfish expects both in the same
# folder. Both arrangements are read, from either folder.
_WAVELENGTHS = "WAVE_PHOENIX-*.fits"
_SPECTRA = ("Z*/lte*HiRes.fits", "PHOENIX-*/Z*/lte*HiRes.fits")
_EXAMPLE = "lte05000-4.50-0.0.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits"
_EXPECTED = f"expected a PHOENIX folder with {_WAVELENGTHS} and files such as Z-0.0/lte*.fits"
# lte05000-4.50-0.5.Alpha=+0.20.PHOENIX-...: Teff, log g after a minus sign, [Fe/H], [alpha/Fe]
_NAME = re.compile(
    r"lte(?P<teff>\d{5})(?P<logg>[+-]\d\.\d+)(?P<feh>[+-]\d\.\d+)"
    r"(?:\.Alpha=(?P<alpha>[+-]\d\.\d+))?\.PHOENIX-.*HiRes\.fits"
)
_MIN_PIXEL_BYTES = 4
_SURFACE_FLUX = FluxCalibration(
    "raw", "PHOENIX HiRes files contain the flux at the stellar surface"
)


@dataclass(frozen=True)
class PhoenixSpectrum:
    """A memory-mapped spectrum."""

    name: str
    data: NDArray[np.floating[Any]]

    def __call__(self, lo: int, hi: int) -> Floats:
        """Return the raw flux of pixels lo:hi as float64."""
        return self.data[lo:hi].astype(np.float64)


@dataclass(frozen=True)
class PhoenixReader:
    """Reader of some spectra of a directory; one file is open at a time."""

    folder: str
    names: tuple[str, ...]
    n_pixels: int

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
                yield PhoenixSpectrum(name, data)


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
    flux_calibration: FluxCalibration = _SURFACE_FLUX
    flux_unit: str = "erg/s/cm^2/cm"
    medium: LibraryMedium = "vacuum"
    format: str = "phoenix"

    @classmethod
    def open(cls, path: str | Path) -> PhoenixLibrary:
        """List the spectra of a directory and read its wavelengths; no spectrum is opened."""
        folder = Path(path).resolve()
        files = _find_spectra(folder)
        if not files:
            raise LibraryError(f"{path}: a folder without spectra; {_EXPECTED}", path=path)
        names = tuple(files)
        points, parameters = parse_names(names, str(path))
        wavelength = _wavelength(folder, str(path))
        _check_sizes(folder, files, len(wavelength))
        return cls(
            path=str(folder),
            grid=make_grid(points, parameters, path),
            original_names=parameters,
            wavelength=wavelength,
            names=names,
            fingerprint=_fingerprint(files, wavelength),
        )

    def flux(self, i: int, lo: int = 0, hi: int | None = None) -> Floats:
        """Return the raw flux of spectrum `i` on pixels lo:hi as float64."""
        stop = len(self.wavelength) if hi is None else hi
        (flux,) = [spectrum(lo, stop) for spectrum in self.reader([i])]
        return flux

    def reader(self, rows: Sequence[int]) -> PhoenixReader:
        """Return a reader of these spectra."""
        return PhoenixReader(
            self.path, tuple(self.names[i] for i in to_integers(rows, "rows")), len(self.wavelength)
        )

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> PhoenixLibrary:
        """Return a library with only these spectra."""
        return replace(
            self,
            grid=self.grid.take(rows),
            names=tuple(self.names[i] for i in to_integers(rows, "rows")),
        )

    def assume_raw(self) -> PhoenixLibrary:
        """Return the library with its fluxes taken as raw, exactly as stored in the files."""
        return replace(self, flux_calibration=self.flux_calibration.assumed())


def is_phoenix(folder: Path) -> bool:
    """Return whether a folder contains any file of a PHOENIX library."""
    return any(True for pattern in (_WAVELENGTHS, *_SPECTRA) for _ in folder.glob(pattern))


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


def parse_names(names: Sequence[str], path: str = "") -> tuple[Floats, tuple[str, ...]]:
    """Read the parameters from file names.

    Parameters
    ----------
    names : sequence of N str
    path : str
        The library's path, for the error.

    Returns
    -------
    points : (N, D) array
    parameters : tuple of D str
        `alpha` is a parameter if it is not 0 in every file.

    Raises
    ------
    LibraryError
        A name does not follow the PHOENIX pattern.

    Examples
    --------
    >>> parse_names(["Z-0.5/lte05000-4.50-0.5.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits"])
    (array([[ 5.0e+03,  4.5e+00, -5.0e-01]]), ('teff', 'logg', 'feh'))
    """
    rows = []
    for name in names:
        match = _NAME.fullmatch(Path(name).name)
        if match is None:
            raise LibraryError(
                f"{path}: {name}: expected a file name such as {_EXAMPLE}; "
                "rename the file or move it elsewhere",
                path=path,
                value=name,
            )
        teff, logg, feh, alpha = match.group("teff", "logg", "feh", "alpha")
        # file names contain the negative of log g: -4.50 means 4.5, +0.50 means -0.5
        rows.append([float(teff), -float(logg), float(feh), float(alpha or 0)])
    points = np.array(rows) + 0.0  # no negative zero
    if not points[:, 3].any():
        return points[:, :3], ("teff", "logg", "feh")
    return points, ("teff", "logg", "feh", "alpha")


def _find_spectra(folder: Path) -> dict[str, os.stat_result]:
    """Return the spectrum files: their status by their path in the folder, sorted."""
    paths = sorted(path for pattern in _SPECTRA for path in folder.glob(pattern))
    try:
        return {path.relative_to(folder).as_posix(): path.stat() for path in paths}
    except OSError as error:
        raise UnreadableFile(
            f"{error.filename}: cannot be accessed ({error.strerror}); "
            "restore it, or remove it to leave a hole",
            path=error.filename,
        ) from None


def _wavelength(folder: Path, path: str) -> Floats:
    files = list(folder.glob(_WAVELENGTHS)) or list(folder.parent.glob(_WAVELENGTHS))
    if len(files) != 1:
        raise LibraryError(
            f"{path}: {len(files)} files match {_WAVELENGTHS}, expected exactly one; {_EXPECTED}",
            path=path,
            value=len(files),
        )
    with open_image(files[0]) as data:
        wavelength: Floats = data.astype(np.float64)
    if len(wavelength) < 2:
        raise LibraryError(
            f"{files[0]}: {counted(len(wavelength), 'wavelength')}; expected at least 2",
            path=files[0],
            value=len(wavelength),
        )
    check_wavelength(wavelength, LibraryError, path=files[0])
    return wavelength


def _check_sizes(folder: Path, files: Mapping[str, os.stat_result], n_pixels: int) -> None:
    """Check that the files are large enough, to detect an incomplete copy before the job."""
    min_size = _MIN_PIXEL_BYTES * n_pixels
    truncated = [name for name, status in files.items() if status.st_size < min_size]
    if truncated:
        raise UnreadableFile(
            f"{folder / truncated[0]}: truncated to {files[truncated[0]].st_size} bytes "
            f"({len(truncated)} of {len(files)} files are truncated); expected {min_size} or more "
            f"for {n_pixels} pixels: copy the files again, or remove them to leave holes",
            path=folder / truncated[0],
            value=files[truncated[0]].st_size,
        )


def _fingerprint(files: Mapping[str, os.stat_result], wavelength: Floats) -> dict[str, str]:
    """Identify the files by name, size and time of modification, without opening them."""
    content = sha256()
    for name, status in files.items():
        content.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return {
        "files": f"{len(files)} ({content.hexdigest()[:16]})",
        "wavelengths": sha256(wavelength.tobytes()).hexdigest()[:16],
    }
