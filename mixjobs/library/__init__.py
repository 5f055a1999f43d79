"""Raw spectra in: one small file a format behind one protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mixjobs.errors import InvalidInput, MissingFile
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
        Its format, a key of `FORMATS`; found by looking if it is not named.

    Raises
    ------
    MissingFile, UnreadableFile
        It is not there, or is not whole.
    LibraryError
        Its content cannot be used.
    InvalidInput
        The format is unknown or cannot be that of the path, or the path is a store.
    """
    if format is not None and format not in FORMATS:
        raise InvalidInput(f"format {format!r} is unknown; choose from {', '.join(FORMATS)}")
    if not Path(path).exists():
        raise MissingFile(f"{path}: no such library; check its name")
    is_folder = Path(path).is_dir()
    found = "phoenix" if is_folder else "starfish"
    if format not in (None, found):
        raise InvalidInput(
            f"{path}: a {'directory' if is_folder else 'file'}, which is not of format {format!r}: "
            "that is a Starfish HDF5 file or a PHOENIX directory; leave the format out"
        )
    if is_folder and (Path(path) / "zarr.json").is_file():
        raise InvalidInput(
            f"{path}: a Zarr store; expected a library of raw spectra: give the one that the store "
            "was made from (mixjobs info names it)"
        )
    return FORMATS[found](path)
