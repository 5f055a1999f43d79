"""Files that are written whole or not at all, and what a disk says that refuses them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mixjobs.errors import JobFailed

ASIDE = ".aside"  # ends the name of what is being written
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EROFS, errno.EPERM, errno.EEXIST, errno.ENOTDIR)


@contextmanager
def disk_faults_named(path: Path) -> Iterator[None]:
    """Turn what the disk says while `path` is written into an error of one line.

    Raises
    ------
    JobFailed
        The disk is full, or must not be written to.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise JobFailed(
                f"{path}: no space left on the disk; make room and start again, "
                "what is finished is kept"
            ) from None
        if error.errno in _REFUSED:
            raise JobFailed(f"{path}: cannot be written ({error.strerror})") from None
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, over one of its name."""
    aside = path.with_name(path.name + ASIDE)
    try:
        _write_synced(aside, content)
        aside.replace(path)
        _sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_new(path: Path, content: bytes) -> bool:
    """Write a file whole, and return whether it was: not where there is one of its name."""
    aside = path.with_name(f"{path.name}.{os.getpid()}{ASIDE}")
    try:
        _write_synced(aside, content)
        os.link(aside, path)
        _sync(path.parent)
    except FileExistsError:
        return False
    finally:
        aside.unlink(missing_ok=True)
    return True


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Have a new name survive a machine that fails, where the file system can do that."""
    number = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(number)
    finally:
        os.close(number)
