"""Exceptions: each is a MixjobsError and the matching built-in exception."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches


class MixjobsError(Exception):
    """Base class of every error caused by a user's input, files or computer.

    The message is one line: what was given, what was expected, what to do. The facts are attributes
    as well, so that programs need not parse the message.

    Attributes
    ----------
    path : str or None
        The file or folder.
    name : str or None
        The argument, key or parameter.
    value : object
        The value that was given.
    order : int or None
        Number of the spectral order.
    pixel : int or None
        Index of the pixel, from 0.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        value: object = None,
        order: int | None = None,
        pixel: int | None = None,
    ) -> None:
        super().__init__(message)
        self.path = None if path is None else os.fspath(path)
        self.name, self.value, self.order, self.pixel = name, value, order, pixel


class InvalidInput(MixjobsError, ValueError):
    """An argument, an option or an entry of a job file is not valid."""


class MissingFile(MixjobsError, FileNotFoundError):
    """A file or store does not exist."""


class UnreadableFile(MixjobsError, OSError):
    """A file exists but cannot be read: it is truncated, empty or in another format."""


class LibraryError(MixjobsError, ValueError):
    """The content of a library is not valid: a missing spectrum, NaN, a repeated point."""


class NotRaw(LibraryError):
    """The spectra of a library are normalised, or there is no evidence that they are raw."""


class OrderError(MixjobsError, ValueError):
    """A spectral order is not valid: empty, reversed, or not covered by the library."""


class OutsideGrid(MixjobsError, ValueError):
    """A theta lies outside the grid, or needs a grid point that is missing from the library."""


class StoreError(MixjobsError, ValueError):
    """A store is not usable: another schema, incomplete, or built from another library."""


class OutputExists(MixjobsError, FileExistsError):
    """The output exists already, and overwriting was not allowed."""


class StoreLocked(MixjobsError, RuntimeError):
    """Another job is running in the same store or run folder."""


class JobFailed(MixjobsError, RuntimeError):
    """A job could not finish: a worker kept dying, or the disk is full."""


def nearest(word: str, choices: Iterable[str], *, listed: bool = True) -> str:
    """Return a hint for an error message: the most similar choice, or else all of them if `listed`.

    Examples
    --------
    >>> nearest("overwite", ["output", "overwrite"])
    '; did you mean overwrite?'
    """
    names = list(choices)
    close = get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; choose from {', '.join(names)}" if listed else ""
