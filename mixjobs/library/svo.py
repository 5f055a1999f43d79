"""Libraries from the SVO's theoretical services: folders of spectra as text or VOTables.

BT-Settl, Kurucz, SPHINX and others are distributed in this way at
http://svo2.cab.inta-csic.es/theory/newov2/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixjobs.declarations import Declaration, to_angstrom
from mixjobs.errors import LibraryError, MissingFile, UnreadableFile
from mixjobs.grid import Grid, describe
from mixjobs.library.base import FluxCalibration, SummarisedLibrary, make_grid
from mixjobs.library.calibration import DeclaredScale, UnitKnowledge, settle_scale
from mixjobs.library.declared import (
    Unit,
    flux_factor,
    read_flux_unit,
    read_medium,
    read_names,
    read_wavelength,
)
from mixjobs.library.options import LibraryOptions
from mixjobs.library.svo_files import SvoHeader, is_spectrum, read_header, read_spectrum
from mixjobs.parameter_names import parameter_name
from mixjobs.typing import Floats
from mixjobs.units import to_integers
from mixjobs.wavelengths import LibraryMedium, check_distinct, check_wavelength

_ROUNDING = 2e-7  # relative difference of wavelengths that are equal: those of float32
_UNDECLARED = FluxCalibration("undecided", "the files do not declare whether their spectra are raw")


@dataclass(frozen=True)
class SvoFile:
    """A file of the library, and how to convert it.

    Attributes
    ----------
    path : str
    wavelength_unit : str
    flux_factor : float
        erg/s/cm²/Å in one unit.
    """

    path: str
    wavelength_unit: str
    flux_factor: float

    def read(self) -> tuple[Floats, Floats]:
        """Return wavelengths (n_pixels,) in Å, ascending, and fluxes in erg/s/cm²/Å."""
        stored, flux = read_spectrum(Path(self.path))
        wavelength = to_angstrom(stored, self.wavelength_unit, path=self.path, name="wavelength")
        if self.flux_factor != 1:
            flux = flux * self.flux_factor
        is_reversed = len(wavelength) > 1 and wavelength[0] > wavelength[-1]
        return (wavelength[::-1], flux[::-1]) if is_reversed else (wavelength, flux)


@dataclass(frozen=True)
class SvoSpectrum:
    """A spectrum in memory."""

    name: str
    values: Floats

    def __call__(self, lo: int, hi: int) -> Floats:
        """Return the raw flux of pixels lo:hi as float64."""
        return self.values[lo:hi]


@dataclass(frozen=True)
class SvoReader:
    """Reader of some files, which compares their wavelengths with those of the first file."""

    files: tuple[SvoFile, ...]
    first: SvoFile

    def __iter__(self) -> Iterator[SvoSpectrum]:
        """Read the spectra one by one."""
        expected, _ = self.first.read()  # usually in memory
        for file in self.files:
            wavelength, flux = file.read()
            _check_same(wavelength, expected, file.path, self.first.path)
            yield SvoSpectrum(Path(file.path).name, flux)


@dataclass(frozen=True, eq=False, repr=False)
class SvoLibrary(SummarisedLibrary):
    """Spectra of the SVO's theoretical services; see `mixjobs.library.Library`.

    The parameters are those of the header lines, or of the elements PARAM of VOTables. A parameter
    that is not recognised and has the same value in every file is left out.
    """

    path: str
    grid: Grid
    original_names: tuple[str, ...]
    wavelength: Floats
    medium: LibraryMedium
    flux_unit: str
    files: tuple[SvoFile, ...]
    first: SvoFile
    fingerprint: Mapping[str, str]
    declarations: tuple[Declaration, ...]
    notes: tuple[str, ...] = ()
    flux_calibration: FluxCalibration = _UNDECLARED
    format: str = "svo"

    @classmethod
    def open(cls, path: str | Path, options: LibraryOptions | None = None) -> SvoLibrary:
        """Open a folder: read the headers of all its spectra, and one spectrum."""
        return cls.of_files(find_spectra(Path(path)), str(Path(path).resolve()), options)

    @classmethod
    def of_files(
        cls, paths: Sequence[Path], name: str, options: LibraryOptions | None = None
    ) -> SvoLibrary:
        """Open some files as a library.

        Parameters
        ----------
        paths : sequence of N Path
        name : str
            Path of the library, for messages.
        options : LibraryOptions, optional

        Raises
        ------
        UnreadableFile, LibraryError
            A file is not such a spectrum, or the files do not fit together.
        """
        options = options or LibraryOptions()
        headers = [read_header(path) for path in paths]
        original, points, notes = _parameters(paths, headers, options, name)
        names, of_names = read_names(original, points, options, name)
        medium, of_medium = _medium(paths, headers, options)
        wavelength_units = [_declared_unit(header, 0) for header in headers]
        stored, _ = read_spectrum(paths[0])
        wavelength, _, of_wave = read_wavelength(
            stored, wavelength_units[0], options, str(paths[0])
        )
        check_wavelength(wavelength, LibraryError, path=paths[0])
        check_distinct(wavelength, paths[0])
        units = [
            read_flux_unit(_declared_unit(header, 1), options, str(path))
            for path, header in zip(paths, headers, strict=True)
        ]
        files = tuple(
            SvoFile(
                str(path.absolute()),
                options.wavelength_unit or (unit[1] if unit else "Angstrom"),
                flux_factor(flux_unit),
            )
            for path, unit, (flux_unit, _) in zip(paths, wavelength_units, units, strict=True)
        )
        unit, of_flux = units[0]
        library = cls(
            path=name,
            grid=_grid(points, names, paths, name),
            original_names=original,
            wavelength=wavelength,
            medium=medium,
            flux_unit=unit.text or "not given",
            files=files,
            first=files[0],
            fingerprint=_fingerprint(paths, wavelength),
            declarations=(of_wave, of_medium, of_names),
            notes=notes,
        )
        known = UnitKnowledge.of(unit, of_flux, options)
        settled = settle_scale(library, DeclaredScale(None), None, known, options.flux_scale)
        return replace(
            library,
            flux_calibration=settled.calibration,
            files=tuple(
                replace(file, flux_factor=file.flux_factor * factor)
                for file, factor in zip(files, settled.factors.tolist(), strict=True)
            ),
            declarations=(*library.declarations, settled.unit, settled.scale),
        )

    def flux(self, i: int, lo: int = 0, hi: int | None = None) -> Floats:
        """Return the raw flux of spectrum `i` on pixels lo:hi as float64."""
        stop = len(self.wavelength) if hi is None else hi
        (flux,) = [spectrum(lo, stop) for spectrum in self.reader([i])]
        return flux

    def reader(self, rows: Sequence[int]) -> SvoReader:
        """Return a reader of these spectra."""
        return SvoReader(tuple(self.files[i] for i in to_integers(rows, "rows")), self.first)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> SvoLibrary:
        """Return a library with only these spectra."""
        files = tuple(self.files[i] for i in to_integers(rows, "rows"))
        return replace(self, grid=self.grid.take(rows), files=files)


def is_svo(folder: Path) -> bool:
    """Return whether a folder contains a spectrum of the SVO's services."""
    return any(is_spectrum(path) for path in _files_in(folder))


def find_spectra(folder: Path) -> list[Path]:
    """Return the spectra in a folder: all files whose names end like that of one of them.

    Raises
    ------
    MissingFile, LibraryError
        There is no such folder, or it contains none.
    """
    if not folder.is_dir():
        raise MissingFile(f"{folder}: no such folder; check the path", path=folder)
    files = _files_in(folder)
    endings = {_ending(path) for path in files if is_spectrum(path)}
    if not endings:
        raise LibraryError(
            f"{folder}: a folder without spectra of the SVO's services; expected text files with "
            "header lines such as '# teff = 3000 K', or VOTables",
            path=folder,
        )
    return [path for path in files if _ending(path) in endings]


def _files_in(folder: Path) -> list[Path]:
    """Return the files in a folder that are not hidden; a broken link is an error."""
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in paths:
        if path.is_symlink() and not path.exists():
            raise UnreadableFile(
                f"{path}: a broken link, to {path.readlink()}; restore it, or remove it to leave "
                "a hole",
                path=path,
            )
    return [path for path in paths if path.is_file()]


def _ending(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _declared_unit(header: SvoHeader, index: int) -> Unit | None:
    column = header.columns[index]
    return (f"column {column.name}".rstrip(), column.unit) if column.unit else None


def _parameters(
    paths: Sequence[Path], headers: Sequence[SvoHeader], options: LibraryOptions, name: str
) -> tuple[tuple[str, ...], Floats, tuple[str, ...]]:
    """Return the names of the grid's parameters, the points (N, D), and notes on the others."""
    names, constants = [], []
    for key in dict.fromkeys(key for header in headers for key in header.parameters):
        values = [header.parameters.get(key) for header in headers]
        known = options.names.get(key) or parameter_name(key)
        is_constant = len(set(values) - {None}) == 1
        if is_constant and (known is None or (known == "alpha" and set(values) <= {0.0, None})):
            constants.append(f"{key} = {max(v for v in values if v is not None):g}")
            continue
        if None in values:
            path = paths[values.index(None)]
            raise LibraryError(
                f"{path}: its header lacks the parameter {key}, which other files of {name} have; "
                "correct the file, or move it elsewhere",
                path=path,
                name=key,
            )
        names.append(key)
    points = np.array([[header.parameters[key] for key in names] for header in headers]) + 0.0
    note = f"{name}: the same in every file, so not parameters of the grid: {', '.join(constants)}"
    return tuple(names), points, (note,) if constants else ()


def _medium(
    paths: Sequence[Path], headers: Sequence[SvoHeader], options: LibraryOptions
) -> tuple[LibraryMedium, Declaration]:
    """Return the medium that all files declare."""
    first, declaration = read_medium(headers[0].keywords, options, str(paths[0]))
    for path, header in zip(paths, headers, strict=True):
        medium, _ = read_medium(header.keywords, options, str(path))
        if medium != first:
            raise LibraryError(
                f"{path}: the medium of its wavelengths is {medium}, but {first} in {paths[0]}; "
                "expected one medium: correct the file, or give --medium",
                path=path,
                name="medium",
                value=medium,
            )
    return first, declaration


def _grid(points: Floats, names: tuple[str, ...], paths: Sequence[Path], path: str) -> Grid:
    """Return the grid of the points (N, D); two files of one point are named."""
    rows: dict[tuple[float, ...], Path] = {}
    for point, file in zip(points.tolist(), paths, strict=True):
        other = rows.setdefault(tuple(point), file)
        if other != file:
            raise LibraryError(
                f"{file} and {other.name} have the same parameters, {describe(point, names)}; "
                "remove one of them",
                path=file,
                name="points",
                value=point,
            )
    return make_grid(points, names, path)


def _check_same(wavelength: Floats, expected: Floats, path: str, first: str) -> None:
    """Check that the wavelengths of a file are those of the first file."""
    if len(wavelength) != len(expected):
        difference = f"{len(wavelength)} wavelengths, but {first} has {len(expected)}"
        value: object = len(wavelength)
    else:
        differ = np.flatnonzero(~(np.abs(wavelength / expected - 1) <= _ROUNDING))
        if not len(differ):
            return
        k = int(differ[0])
        difference = f"{wavelength[k]:.10g} Å at pixel {k}, but {first} has {expected[k]:.10g} Å"
        value = float(wavelength[k])
    raise LibraryError(
        f"{path}: the spectrum has {difference}; expected the same wavelengths in every file: "
        "resample the spectra to common wavelengths, or move this file elsewhere",
        path=path,
        name="wavelength",
        value=value,
    )


def _fingerprint(paths: Sequence[Path], wavelength: Floats) -> dict[str, str]:
    """Identify the files by name, size and time of modification."""
    content = sha256()
    for path in paths:
        status = path.stat()
        content.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return {
        "files": f"{len(paths)} ({content.hexdigest()[:16]})",
        "wavelengths": sha256(wavelength.tobytes()).hexdigest()[:16],
    }
