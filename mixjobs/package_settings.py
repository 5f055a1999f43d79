"""Import packages whatever their settings, which a user may have made for other programs."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from mixjobs.errors import UnreadableFile

_FILE = re.compile(r"config file at '(?P<path>.*?)' is malformed")


def import_package(name: str, prefix: str) -> None:
    """Import a package that reads settings from files and environment variables.

    If it cannot use its environment variables, it is imported without them.

    Parameters
    ----------
    name : str
    prefix : str
        What its environment variables begin with, such as ``"DASK_"``.

    Raises
    ------
    UnreadableFile
        It cannot use a file of settings.
    """
    if try_import(name) is not None:
        with without_variables(prefix):
            error = try_import(name)
        if isinstance(error, ImportError):
            raise error
        if error is not None:
            raise unusable_file(name, error) from None


def try_import(name: str) -> Exception | None:
    """Import a package; return the error if that fails, and leave no part of it imported."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about settings that were renamed
            import_module(name)
    except Exception as error:  # whatever a setting leads to
        for module in list(sys.modules):
            if module == name or module.startswith(f"{name}."):
                del sys.modules[module]
        return error
    return None


def unusable_file(name: str, error: Exception) -> UnreadableFile:
    """Return the error about a file of settings that a package cannot use."""
    reason = " ".join(str(error).split())
    file = _FILE.search(reason)
    path = file["path"] if file else None
    reason = reason.rpartition("error message: ")[2]
    return UnreadableFile(
        f"{path or 'a file of settings'}: {name} cannot use these settings ({reason}); "
        "correct or remove the file",
        path=path,
    )


@contextmanager
def without_variables(prefix: str) -> Iterator[None]:
    """Hide environment variables, also from the processes that are started meanwhile."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(prefix)}
    try:
        yield
    finally:
        os.environ.update(hidden)
