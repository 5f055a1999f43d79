"""Readers of observed spectra: one file per format, and one line in `READERS`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mixjobs.observed.content import Content
from mixjobs.observed.readers.starfish import read_starfish
from mixjobs.observed.readers.tables import ENDINGS, read_table

# By the ending of the file name, in lower case; the longest that fits decides.
READERS: dict[str, Callable[[Path], Content]] = {
    **dict.fromkeys(ENDINGS, read_table),
    "": read_starfish,  # any other ending, such as .hdf5
}


def find_reader(path: Path) -> Callable[[Path], Content]:
    """Return the reader of a file, by the ending of its name."""
    name = path.name.lower()
    return READERS[max(filter(name.endswith, READERS), key=len)]
