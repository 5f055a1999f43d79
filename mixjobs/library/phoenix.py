"""A directory of PHOENIX HiRes FITS files, as the Göttingen server lays it out."""

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

from mixjobs.errors import LibraryError, UnreadableFile
from mixjobs.grid import Grid
from mixjobs.library.base import FluxCalibration, make_grid
from mixjobs.typing import Floats
from mixjobs.wavelengths import LibraryMedium, check_wavelength

# The server has the wavelengths one folder above those of the spectra, and Starfish wants them
# beside: either folder serves, in either arrangement.
_WAVELENGTHS = "WAVE_PHOENIX-*.fits"
_SPECTRA = ("Z*/lte*HiRes.fits", "PHOENIX-*/Z*/lte*HiRes.fits")
_EXAMPLE = "lte05000-4.50-0.0.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits"
_EXPECTED = (
    f"expected a PHOENIX directory, with {_WAVELENGTHS} beside files such as Z-0.0/lte*.fits"
)
# lte05000-4.50-0.5.Alpha=+0.20.PHOENIX-...: Teff, log g after a minus sign, [Fe/H], [alpha/Fe]
_NAME = re.compile(
    r"lte(?P<teff>\d{5})(?P<logg>[+-]\d\.\d+)(?P<feh>[+-]\d\.\d+)"
    r"(?:\.Alpha=(?P<alpha>[+-]\d\.\d+))?\.PHOENIX-.*HiRes\.fits"
)
_PIXEL_BYTES = 4  # at least
_AT_THE_SURFACE = FluxCalibration("raw", "PHOENIX HiRes files hold the flux at the star's surface")


@dataclass(frozen=True)
class PhoenixSpectrum:
    """One spectrum, memory-mapped."""

    name: str
    data: NDArray[np.floating[Any]]

    def __call__(self, lo: int, hi: int) -> Floats:
        """Return the raw flux of pixels lo:hi, float64."""
        return self.data[lo:hi].astype(np.float64)


@dataclass(frozen=True)
class PhoenixReader:
    """Reads some spectra of a directory, one file open at a time."""

    folder: str
    names: tuple[str, ...]
    n_pixels: int

    def __iter__(self) -> Iterator[PhoenixSpectrum]:
        """Open the spectra one after the other."""
        for name in self.names:
            path = Path(self.folder) / name
            with open_image(path) as data:
                if len(data) != self.n_pixels:
                    raise LibraryError(
                        f"{path}: a spectrum of {len(data)} pixels; expected {self.n_pixels}, as "
                        "the wavelengths have; copy it again, or move it away to leave a hole"
                    )
                yield PhoenixSpectrum(name, data)


@dataclass(frozen=True, eq=False)
class PhoenixLibrary:
    """PHOENIX HiRes spectra (Husser et al. 2013, A&A 553, A6); see `mixjobs.library.Library`.

    Parameters come from the file names. Files that are missing are holes of the grid.
    """

    path: str
    grid: Grid
    original_names: tuple[str, ...]
    wavelength: Floats
    names: tuple[str, ...]
    fingerprint: Mapping[str, str]
    flux_calibration: FluxCalibration = _AT_THE_SURFACE
    flux_unit: str = "erg/s/cm^2/cm"
    medium: LibraryMedium = "vacuum"
    format: str = "phoenix"

    @classmethod
    def open(cls, path: str | Path) -> PhoenixLibrary:
        """Read the wavelengths and find the spectra of a directory; no spectrum is opened."""
        folder = Path(path).resolve()
        files = _find_spectra(folder)
        if not files:
            raise LibraryError(f"{path}: a directory without spectra; {_EXPECTED}")
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
        """Return the raw flux of spectrum `i` on pixels lo:hi, float64."""
        stop = len(self.wavelength) if hi is None else hi
        (flux,) = [spectrum(lo, stop) for spectrum in self.reader([i])]
        return flux

    def reader(self, rows: Sequence[int]) -> PhoenixReader:
        """Return a reader of these spectra, for a task."""
        return PhoenixReader(self.path, tuple(self.names[i] for i in rows), len(self.wavelength))

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> PhoenixLibrary:
        """Return the library of these spectra alone."""
        return replace(self, grid=self.grid.take(rows), names=tuple(self.names[i] for i in rows))

    def assume_raw(self) -> PhoenixLibrary:
        """Return the library with its spectra taken as raw, just as they are in the files."""
        evidence = f"taken as raw on request; by the format: {self.flux_calibration.evidence}"
        return replace(self, flux_calibration=FluxCalibration("assumed", evidence))


def is_phoenix(folder: Path) -> bool:
    """Whether a folder holds something of a PHOENIX library, be it whole or not."""
    return any(True for pattern in (_WAVELENGTHS, *_SPECTRA) for _ in folder.glob(pattern))


@contextmanager
def open_image(path: Path) -> Iterator[NDArray[np.floating[Any]]]:
    """Memory-map the image of a FITS file, one row of floating-point numbers.

    Raises
    ------
    UnreadableFile
        It is not there, not FITS, or cut short.
    LibraryError
        It holds something else.
    """
    with _stream(path) as stream:
        data = _map(stream, path)
        if data is None:
            raise LibraryError(f"{path}: has no image in its first HDU; copy it again")
        if data.ndim != 1 or data.dtype.kind != "f":
            raise LibraryError(
                f"{path}: an image of {data.dtype.name} with shape {data.shape}; "
                "expected one row of floating-point numbers"
            )
        yield data


def _stream(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise UnreadableFile(
            f"{path}: cannot be opened ({error.strerror}), and was there when the directory was "
            "listed; put it back, or open the library again without it"
        ) from None


def _map(stream: BinaryIO, path: Path) -> Any:
    # Half a second, which a worker that reads another format, or none, does not need.
    from astropy.io import fits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is cut short cannot be mapped, and that is told
        try:
            return fits.open(stream, memmap=True)[0].data
        except Exception as error:  # whatever a damaged header leads astropy into
            reason = " ".join(str(error).split()).partition(". ")[0]
            raise UnreadableFile(
                f"{path}: not a whole FITS file ({reason}); copy it again"
            ) from None


def parse_names(names: Sequence[str], path: str = "") -> tuple[Floats, tuple[str, ...]]:
    """Read the parameters off file names: points (N, D) and their names.

    `alpha` is a parameter if any file has one; the others have alpha 0.

    Raises
    ------
    LibraryError
        A name is not such a one; `path` is the library's, for the message.

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
                f"{path}: {name} has no name such as {_EXAMPLE}; rename it or move it elsewhere"
            )
        teff, logg, feh, alpha = match.group("teff", "logg", "feh", "alpha")
        # the sign before log g is that of the file name: -4.50 is log g 4.5, +0.50 is -0.5
        rows.append([float(teff), -float(logg), float(feh), float(alpha or 0)])
    points = np.array(rows) + 0.0  # no negative zero
    if not points[:, 3].any():
        return points[:, :3], ("teff", "logg", "feh")
    return points, ("teff", "logg", "feh", "alpha")


def _find_spectra(folder: Path) -> dict[str, os.stat_result]:
    """The spectra by their path in the folder, sorted, and what the file system says of them."""
    paths = sorted(path for pattern in _SPECTRA for path in folder.glob(pattern))
    try:
        return {path.relative_to(folder).as_posix(): path.stat() for path in paths}
    except OSError as error:
        raise UnreadableFile(
            f"{error.filename}: cannot be looked at ({error.strerror}); "
            "put it back, or remove it to leave a hole"
        ) from None


def _wavelength(folder: Path, path: str) -> Floats:
    files = list(folder.glob(_WAVELENGTHS)) or list(folder.parent.glob(_WAVELENGTHS))
    if len(files) != 1:
        raise LibraryError(f"{path}: has {len(files)} files {_WAVELENGTHS}, not one; {_EXPECTED}")
    with open_image(files[0]) as data:
        wavelength: Floats = data.astype(np.float64)
    if len(wavelength) < 2:
        raise LibraryError(f"{files[0]}: has {len(wavelength)} wavelength(s); expected 2 or more")
    check_wavelength(wavelength, files[0])
    return wavelength


def _check_sizes(folder: Path, files: Mapping[str, os.stat_result], n_pixels: int) -> None:
    """Refuse files that cannot hold a spectrum; an interrupted copy is found before the work."""
    least = _PIXEL_BYTES * n_pixels
    short = [name for name, status in files.items() if status.st_size < least]
    if short:
        raise UnreadableFile(
            f"{folder / short[0]}: cut short, of {files[short[0]].st_size} bytes, as are "
            f"{len(short)} of {len(files)} files; {n_pixels} pixels take {least} or more: "
            "copy them again, or move them away to leave holes"
        )


def _fingerprint(files: Mapping[str, os.stat_result], wavelength: Floats) -> dict[str, str]:
    """Tell the files by name, size and time of change, without opening them."""
    content = sha256()
    for name, status in files.items():
        content.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return {
        "files": f"{len(files)} ({content.hexdigest()[:16]})",
        "wavelengths": sha256(wavelength.tobytes()).hexdigest()[:16],
    }
