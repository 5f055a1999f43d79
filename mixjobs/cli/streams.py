"""Standard output and error: characters that they cannot encode, and streams that are closed."""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from contextlib import suppress

_PLAIN = {
    "µ": "u", "μ": "u", "±": "+-", "×": "x", "·": ".", "°": "deg", "χ": "chi", "−": "-", "–": "-",
    "—": "-", "…": "...", "≤": "<=", "≥": ">=", "→": "->", "█": "#", "▏": "|", "•": "*",
}  # fmt: skip
_LINES = {"─": "-", "━": "-", "═": "-", "╸": "-", "╺": "-", "│": "|", "┃": "|", "║": "|"}
_ERRORS = "mixjobs"  # name of the error handler


def prepare_streams() -> None:
    """Make standard output and error print anything, and exist.

    A character that the encoding lacks is replaced by a similar one: Å by A. Output to a stream
    that is closed (``>&-``) is dropped; without this, the first file that is opened would get it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number, this one
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    codecs.register_error(_ERRORS, _similar)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ERRORS)


def complain(text: str) -> None:
    """Print a line on standard error, unless nobody reads it any more."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def drop_output() -> None:
    """Drop what standard output still holds, which cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _similar(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that cannot be encoded; an error handler of `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    """Return ASCII characters in place of another character.

    Examples
    --------
    >>> "".join(map(_plain, "┃5 Å±µé²\\udcff"))
    '|5 A+-ue2\\\\xff'
    """
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file's name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if 0x2500 <= code < 0x2580:  # corners of tables
        return _LINES.get(character, "+")
    similar = _PLAIN.get(character) or unicodedata.normalize("NFKD", character)
    return similar.encode("ascii", "ignore").decode() or "?"
