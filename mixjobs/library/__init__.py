"""Spectral libraries: one file per format, with one interface for all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixjobs.errors import InvalidInput, MissingFile
from mixjobs.file_patterns import is_pattern, matching_files
from mixjobs.files import FOLDER, RUN, ZARR, kind_of
from mixjobs.library.base import FluxCalibration, Library, Spectrum, SpectrumReader
from mixjobs.library.files import FilesLibrary
from mixjobs.library.options import FluxScale, LibraryOptions
from mixjobs.library.phoenix import PhoenixLibrary
from mixjobs.library.phoenix_files import is_phoenix
from mixjobs.library.starfish import StarfishLibrary, is_starfish
from mixjobs.library.svo import SvoLibrary, is_svo
from mixjobs.library.svo_files import is_spectrum
from mixjobs.wavelengths import Medium

__all__ = [
    "FORMATS", "FluxCalibration", "FluxScale", "Library", "LibraryLike", "Spectrum",
    "SpectrumReader", "as_library", "is_library", "open_library",
]  # fmt: skip

FORMATS: dict[str, Callable[[str | Path, LibraryOptions], Library]] = {
    "phoenix": PhoenixLibrary.open,
    "starfish": StarfishLibrary.open,
    "svo": SvoLibrary.open,
}
_DESCRIPTIONS = {
    "phoenix": "a folder of PHOENIX files",
    "starfish": "a Starfish HDF5 file",
    "svo": "spectra of the SVO's services",
}
Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
LibraryLike = Library | Paths  # what functions accept as a library
_HDF5 = (".hdf5", ".h5", ".hdf")


def open_library(
    path: Paths,
    format: str | None = None,
    *,
    flux_unit: str | None = None,
    wavelength_unit: str | None = None,
    medium: Medium | None = None,
    names: Mapping[str, str] | None = None,
    flux_scale: FluxScale | None = None,
) -> Library:
    """Open a library of spectra.

    Parameters
    ----------
    path : str, Path or sequence of them
        The library: a Starfish HDF5 file, a directory of PHOENIX HiRes FITS files, or a directory
        or pattern of spectra from the SVO's theoretical services. A list of HDF5 files, a pattern
        such as ``"grid_m*.hdf5"`` or a directory of HDF5 files is one library in several files,
        with the same grid at different wavelengths.
    format : str, optional
        A key of `FORMATS`; detected from the path by default.
    flux_unit, wavelength_unit : str, optional
        Units of the files, such as ``"W/m2/um"`` and ``"nm"``, where these do not declare them or
        declare them wrongly.
    medium : {"air", "vacuum"}, optional
        Medium of the wavelengths, likewise.
    names : mapping, optional
        Names of parameters by their names in the library, such as ``{"Gravity": "logg"}``.
    flux_scale : {"raw", "scaled"}, optional
        Whether the spectra are raw, or were scaled to one luminosity, which is then undone. By
        default their numbers decide. A statement is not checked.

    Returns
    -------
    Library

    Raises
    ------
    MissingFile, UnreadableFile
        The library does not exist, or is damaged.
    LibraryError
        Its content is not valid, or its files do not fit together.
    InvalidInput
        The format is unknown or does not fit the path, or the path is a store.
    """
    options = LibraryOptions(flux_unit, wavelength_unit, medium, names or {}, flux_scale)
    if format is not None and format not in FORMATS:
        raise InvalidInput(
            f"format {format!r} is unknown; choose from {', '.join(FORMATS)}",
            name="format",
            value=format,
        )
    files = _find_files(path)
    if len(files) == 1:
        return _open_file(files[0], format, options)
    label = f"{files[0].absolute()} and {len(files) - 1} more"
    if isinstance(path, str | os.PathLike):
        label = os.path.abspath(Path(path).expanduser())  # noqa: PTH100 # keeps a pattern
    if format == "svo" or all(file.is_file() and is_spectrum(file) for file in files):
        return SvoLibrary.of_files(files, label, options)
    return FilesLibrary.join([_open_file(file, format, options) for file in files], label)


def as_library(library: LibraryLike, **options: Any) -> Library:
    """Return an open library; open it with these options if it is given by its path or paths.

    Raises
    ------
    InvalidInput
        Options for a library that is open already.
    """
    if not isinstance(library, Library):
        return open_library(library, **options)
    given = [name for name, value in options.items() if value]
    if given:
        raise InvalidInput(
            f"{library.path}: {given[0]} is given for a library that is open already; give it to "
            "open_library",
            path=library.path, name=given[0], value=options[given[0]],
        )  # fmt: skip
    return library


def is_library(path: Paths) -> bool:
    """Return whether a path or paths hold a library: a file, a folder, or the files of a pattern.

    A single text file with a spectrum is none.

    Raises
    ------
    MissingFile
        No file matches the pattern.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else path
    files = [file for item in paths for file in _expand(item)]
    folder = files[0]
    if len(files) == 1 and folder.is_dir():
        return kind_of(folder) == FOLDER and (
            is_phoenix(folder) or bool(_hdf5_files(folder)) or is_svo(folder)
        )
    return any(map(is_starfish, files)) or (len(files) > 1 and is_spectrum(folder))


def _find_files(path: Paths) -> list[Path]:
    """Return the files of a library, or its folder; a pattern and a folder of HDF5 files expand.

    Raises
    ------
    MissingFile, InvalidInput
        A file does not exist, no file matches a pattern, or a file is given twice.
    """
    if isinstance(path, str | os.PathLike):
        paths: Iterable[Path] = _expand(path)
        folder = Path(path)
        if folder.is_dir() and kind_of(folder) == FOLDER and not is_phoenix(folder):
            paths = _hdf5_files(folder) or [folder]
    else:
        paths = [file for item in path for file in _expand(item)]
    files: dict[Path, Path] = {}
    for file in paths:
        if not file.exists():
            raise MissingFile(f"{file}: no such library; check the path", path=file)
        if file.resolve() in files:
            raise InvalidInput(
                f"{file}: this file of the library is given twice; give each file once",
                path=file,
                name="library",
                value=str(file),
            )
        files[file.resolve()] = file
    if not files:
        raise InvalidInput(
            "no files of a library are given; expected one or more", name="library", value=path
        )
    return list(files.values())


def _expand(path: str | os.PathLike[str]) -> list[Path]:
    """Return the files that match a pattern; the path itself if it is none."""
    path = Path(path).expanduser()
    return matching_files(path) if is_pattern(path) else [path]


def _hdf5_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in _HDF5 and file.is_file())


def _open_file(path: Path, format: str | None, options: LibraryOptions) -> Library:
    if kind_of(path) == RUN:
        raise InvalidInput(f"{path}: this is {RUN}; expected a library of spectra", path=path)
    if kind_of(path) == ZARR:
        raise InvalidInput(
            f"{path}: this is {ZARR}; expected a library of spectra; `mixjobs info` names the "
            "library that the store was built from",
            path=path,
        )
    detected = _detect(path)
    if format not in (None, detected):
        raise InvalidInput(
            f"{path}: {_DESCRIPTIONS[detected]}; expected {_DESCRIPTIONS[format]} for the format "
            f"{format!r}; leave the format out",
            path=path,
            name="format",
            value=format,
        )
    if path.is_file() and is_spectrum(path):
        raise InvalidInput(
            f"{path}: a single spectrum of the SVO's services; expected a library: give the folder "
            "or a pattern of all its spectra",
            path=path,
            name="library",
        )
    return FORMATS[detected](path, options)


def _detect(path: Path) -> str:
    """Return the format of a file or folder."""
    if not path.is_dir():
        return "svo" if is_spectrum(path) else "starfish"
    return "svo" if not is_phoenix(path) and is_svo(path) else "phoenix"
