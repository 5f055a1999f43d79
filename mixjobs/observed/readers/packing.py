"""The bytes of a file, unpacked if it is gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from mixjobs.errors import UnreadableFile

_GZIP = b"\x1f\x8b"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def is_packed(path: Path) -> bool:
    """Whether a file is gzipped, by its first bytes."""
    with path.open("rb") as file:
        return file.read(2) == _GZIP


def read_bytes(path: Path, n_bytes: int = -1) -> bytes:
    """Return the first bytes of a file, or all of them, unpacked if it is gzipped.

    Raises
    ------
    UnreadableFile
        The file cannot be read or unpacked.
    """
    try:
        with gzip.open(path) if is_packed(path) else path.open("rb") as file:
            return file.read(n_bytes)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableFile(
            f"{path}: cannot be read ({reason}); download it again or check its permissions",
            path=path,
        ) from None


def as_text(content: bytes) -> str:
    """Return the text of a file in UTF-8, in UTF-16 with a mark of byte order, or in Latin-1."""
    if content.startswith(_UTF_16):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # an Å in a header line, in older encodings
