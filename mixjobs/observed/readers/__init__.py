"""Readers of observed spectra: one file per format, and one line in `READERS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from mixjobs.errors import UnreadableFile
from mixjobs.files import kind_of
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.fits import read_fits
from mixjobs.observed.readers.packing import as_text, read_bytes
from mixjobs.observed.readers.specutils_objects import read_with_specutils
from mixjobs.observed.readers.starfish import read_starfish
from mixjobs.observed.readers.text import read_ecsv, read_text
from mixjobs.observed.readers.votable import is_votable, read_votable

Read = Callable[[Path, ReaderOptions], Content]

FORMATS = "HDF5 (Starfish), FITS (tables or images), ECSV, VOTable, or text with columns"
_N_BYTES = 2048
_HDF5 = b"\x89HDF\r\n\x1a\n"


class Reader(NamedTuple):
    """A format: whether a file has it, by its first bytes (unpacked if gzipped), and its reader."""

    matches: Callable[[bytes], bool]
    read: Read


def _is_text(start: bytes) -> bool:
    printable = all(byte >= ord(" ") or byte in b"\t\r\n\f" for byte in start)
    return bool(start.strip()) and printable and not start.lstrip().startswith((b"<", b"{"))


# The first that matches.
READERS = (
    Reader(lambda start: start.startswith(_HDF5), read_starfish),
    Reader(lambda start: start.startswith(b"SIMPLE  ="), read_fits),
    Reader(lambda start: start.removeprefix(b"\xef\xbb\xbf").startswith(b"# %ECSV"), read_ecsv),
    Reader(is_votable, read_votable),
    Reader(_is_text, read_text),
)


def find_reader(path: Path, options: ReaderOptions) -> Read:
    """Return the reader of a file, by its content, or the one that the options ask for.

    Raises
    ------
    UnreadableFile
        No format fits, or the file cannot be read.
    """
    if options.format == "specutils":
        return read_with_specutils
    start = read_bytes(path, _N_BYTES)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, as some editors write text
        start = as_text(start[: len(start) // 2 * 2]).encode()
    for reader in READERS:
        if reader.matches(start):
            return reader.read
    kind = kind_of(path) if start else "an empty file"
    raise UnreadableFile(
        f"{path}: this is {kind}, in an unknown format; expected {FORMATS}", path=path
    )
