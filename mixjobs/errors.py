"""The errors of mixjobs: each is a MixjobsError and the built-in that fits."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches


class MixjobsError(Exception):
    """Base of every error that mixjobs raises for a user's input or surroundings.

    The message is one line: what was given, what was expected, what to do. Programs need not parse
    it: the facts are attributes.

    Attributes
    ----------
    path : str or None
        The file or folder.
    name : str or None
        The argument, key or parameter.
    value : object
        What was given.
    order : int or None
        Number of the spectral order.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        value: object = None,
        order: int | None = None,
    ) -> None:
        super().__init__(message)
        self.path = None if path is None else os.fspath(path)
        self.name, self.value, self.order = name, value, order


class InvalidInput(MixjobsError, ValueError):
    """An argument, an option or a job file has a value that cannot be used."""


class MissingFile(MixjobsError, FileNotFoundError):
    """A file or store that was named is not there."""


class UnreadableFile(MixjobsError, OSError):
    """A file is there but cannot be read: truncated, empty, or not of the format."""


class LibraryError(MixjobsError, ValueError):
    """A spectral library's content cannot be used: a lost spectrum, NaN, a repeated point."""


class NotRaw(LibraryError):
    """A library's spectra are normalised, or cannot be shown to be raw."""


class OrderError(MixjobsError, ValueError):
    """A spectral order cannot be used: empty, reversed, or not covered by the library."""


class OutsideGrid(MixjobsError, ValueError):
    """A theta lies outside the grid or needs a grid point that the library has not."""


class StoreError(MixjobsError, ValueError):
    """A store cannot be used: another schema, half-written, or of another library."""


class OutputExists(MixjobsError, FileExistsError):
    """The output is already there, and overwriting was not asked for."""


class StoreLocked(MixjobsError, RuntimeError):
    """Another live job is at work on the same store or run folder."""


class JobFailed(MixjobsError, RuntimeError):
    """A job could not be finished: a worker kept dying, or the disk is full."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest of the known words, for an error message.

    Examples
    --------
    >>> nearest("overwite", ["output", "overwrite"])
    '; did you mean overwrite?'
    """
    names = list(known)
    close = get_close_matches(word, names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(names)}"
