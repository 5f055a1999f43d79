"""Raw spectra in: one small file a format behind one protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mixjobs.errors import InvalidInput, MissingFile
from mixjobs.library.protocol import Library, Rawness, Spectrum, SpectrumReader
from mixjobs.library.starfish import StarfishLibrary

__all__ = ["FORMATS", "Library", "Rawness", "Spectrum", "SpectrumReader", "open_library"]

FORMATS: dict[str, Callable[[str | Path], Library]] = {"starfish": StarfishLibrary.open}


def open_library(path: str | Path, format: str | None = None) -> Library:
    """Open a library of spectra.

    Parameters
    ----------
    path : str or Path
        The library.
    format : str, optional
        Its format, a key of `FORMATS`; found by looking if it is not named.

    Raises
    ------
    MissingFile, UnreadableFile
        It is not there, or is not whole.
    LibraryError
        Its content cannot be used.
    InvalidInput
        The format is unknown.
    """
    if format is not None and format not in FORMATS:
        raise InvalidInput(f"format {format!r} is unknown; choose from {', '.join(FORMATS)}")
    if not Path(path).exists():
        raise MissingFile(f"{path}: no such library")
    if Path(path).is_dir():
        raise InvalidInput(f"{path}: a directory; expected a Starfish HDF5 file")
    return FORMATS[format or "starfish"](path)
