"""Spectral libraries: one file per format, with one interface for all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mixjobs.errors import InvalidInput, MissingFile
from mixjobs.files import RUN, ZARR, kind_of
from mixjobs.library.base import FluxCalibration, Library, Spectrum, SpectrumReader
from mixjobs.library.phoenix import PhoenixLibrary
from mixjobs.library.starfish import StarfishLibrary

__all__ = ["FORMATS", "FluxCalibration", "Library", "Spectrum", "SpectrumReader", "open_library"]

FORMATS: dict[str, Callable[[str | Path], Library]] = {
    "phoenix": PhoenixLibrary.open,
    "starfish": StarfishLibrary.open,
}


def open_library(path: str | Path, format: str | None = None) -> Library:
    """Open a library of spectra.

    Parameters
    ----------
    path : str or Path
        The library: a Starfish HDF5 file, or a directory of PHOENIX HiRes FITS files.
    format : str, optional
        A key of `FORMATS`; detected from the path by default.

    Returns
    -------
    Library

    Raises
    ------
    MissingFile, UnreadableFile
        The library does not exist, or is damaged.
    LibraryError
        Its content is not valid.
    InvalidInput
        The format is unknown or does not fit the path, or the path is a store.
    """
    if format is not None and format not in FORMATS:
        raise InvalidInput(
            f"format {format!r} is unknown; choose from {', '.join(FORMATS)}",
            name="format",
            value=format,
        )
    if not Path(path).exists():
        raise MissingFile(f"{path}: no such library; check the path", path=path)
    is_folder = Path(path).is_dir()
    detected = "phoenix" if is_folder else "starfish"
    if format not in (None, detected):
        raise InvalidInput(
            f"{path}: a {'directory' if is_folder else 'file'}; expected a "
            f"{'Starfish HDF5 file' if is_folder else 'PHOENIX directory'} for the format "
            f"{format!r}; leave the format out",
            path=path,
            name="format",
            value=format,
        )
    if kind_of(path) == RUN:
        raise InvalidInput(f"{path}: this is {RUN}; expected a library of spectra", path=path)
    if kind_of(path) == ZARR:
        raise InvalidInput(
            f"{path}: this is {ZARR}; expected a library of spectra; `mixjobs info` names the "
            "library that the store was built from",
            path=path,
        )
    return FORMATS[detected](path)
