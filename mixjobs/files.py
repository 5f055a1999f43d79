"""Files and folders written completely or not at all, and errors of the disk."""

from __future__ import annotations

import codecs
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from mixjobs.errors import InvalidInput, JobFailed, UnreadableFile

PARTIAL = ".partial"  # suffix of a store that is being built
ASIDE = ".aside"  # suffix of a file or folder that is still being written
HDF5, FITS = "an HDF5 file", "a FITS file"
FOLDER, RUN, ZARR = "a folder", "the folder of a run", "a Zarr store"
_SIGNATURES = {b"\x89HDF\r\n\x1a\n": HDF5, b"SIMPLE  =": FITS, b"# %ECSV": "a text table (ECSV)"}
_FOLDERS = {"run.json": RUN, "zarr.json": ZARR}  # by a file that they contain
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_N_BYTES = 512  # of a file, enough to recognise it
# Byte order marks, that of UTF-32 before that of UTF-16, with which it begins.
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
_NOT_WRITABLE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.EEXIST, errno.ENOTDIR)


def kind_of(path: str | Path) -> str:
    """Describe what exists at a path, from its first bytes or the files of a folder, for an error.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "star.txt").write_text("5000 1.0 0.1")
    ...     kind_of(folder), kind_of(Path(folder, "star.txt"))
    ('a folder', 'a text file')
    """
    path = Path(path)
    if path.is_dir():
        kinds = [kind for name, kind in _FOLDERS.items() if (path / name).is_file()]
        return kinds[0] if kinds else FOLDER
    try:
        with path.open("rb") as file:
            start = file.read(_N_BYTES)
    except OSError:
        return "a file"
    for signature, kind in _SIGNATURES.items():
        if start.startswith(signature):
            return kind
    is_text = start and all(byte >= ord(" ") or byte in b"\t\r\n" for byte in start)
    return "a text file" if is_text else "a file"


def refuse_inside(path: str | Path) -> None:
    """Refuse to write into a store, a partial store or a run, wherever links lead.

    Raises
    ------
    InvalidInput
    """
    for folder in Path(path).resolve().parents:
        partial = folder.name.endswith(PARTIAL) and (folder / "store").is_dir()
        run = (folder / "run.json").is_file() and (folder / "steps").is_dir()
        if partial or run or (folder / "zarr.json").is_file():
            kind = "a partial store" if partial else kind_of(folder)
            raise InvalidInput(
                f"{path}: this is inside {kind} ({folder}); choose a path outside it",
                path=path,
                name="output",
                value=str(path),
            )


def make_folder(path: str | Path) -> Path:
    """Create a folder for output if it does not exist.

    Raises
    ------
    InvalidInput
        It cannot be created, or the path is a file.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"{folder}: this folder cannot be created ({error.strerror}); choose another name",
            path=folder,
        ) from None
    return folder


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8, or in the encoding of its byte order mark, with any line ends.

    Raises
    ------
    UnreadableFile
        The file is not text in such an encoding.
    OSError
        It does not exist, or cannot be read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.txt").write_bytes("5000 Å\\r\\n".encode("utf-16"))
    ...     read_text(Path(folder, "a.txt"))
    '5000 Å\\n'
    """
    content = Path(path).read_bytes()
    marks = (mark for mark in _ENCODINGS if content.startswith(mark))
    encoding = _ENCODINGS.get(next(marks, b""), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            f"{path}: this is {kind_of(path)}; expected text in UTF-8 (byte {error.start} is not)",
            path=path,
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_disk_fault(error: OSError) -> bool:
    """Whether an error means that a disk is full, read-only or broken."""
    return error.errno in (*_DISK_FULL, errno.EROFS, errno.EIO, errno.EFBIG)


@contextmanager
def disk_faults_named(path: Path) -> Iterator[None]:
    """Turn an error of the disk into a one-line error that names `path`.

    Raises
    ------
    JobFailed
        The disk is full, or `path` is not writable.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise JobFailed(
                f"{path}: no space left on the disk; make room and start again "
                "(finished work is kept)",
                path=path,
            ) from None
        if error.errno in _NOT_WRITABLE:
            raise JobFailed(
                f"{path}: cannot be written ({error.strerror}); "
                "check its permissions or choose another path",
                path=path,
            ) from None
        raise


@contextmanager
def atomic_write(path: Path, temporary: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path, and rename it to `path` when the block ends without an error.

    The file or folder written there appears at `path` completely or not at all. A file is flushed
    to the disk first, and replaces an older file. A folder replaces only an empty folder.

    Parameters
    ----------
    path : Path
    temporary : Path, optional
        On the same file system as `path`; a hidden sibling with the suffix `ASIDE` by default.
        Anything that an interrupted process left there is removed first.

    Yields
    ------
    Path
        The temporary path. Nothing exists there yet.

    Raises
    ------
    JobFailed
        The disk is full, or `path` is not writable.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with atomic_write(Path(folder, "table.txt")) as temporary:
    ...         _ = temporary.write_text("5000 5100")
    ...     [path.name for path in Path(folder).iterdir()]
    ['table.txt']
    """
    if temporary is None:
        temporary = path.with_name(f".{path.name}.{uuid4().hex}{ASIDE}")
    _remove(temporary)
    try:
        with disk_faults_named(path):
            yield temporary
            if temporary.is_file():
                _flush(temporary)
            temporary.replace(path)
            _flush_name(path)
    finally:
        _remove(temporary)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file completely or not at all; an older file of the same name is replaced."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_new(path: Path, content: bytes) -> bool:
    """Write a new file completely or not at all; return False if one of that name exists."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{ASIDE}")
    try:
        temporary.write_bytes(content)
        _flush(temporary)
        os.link(temporary, path)  # unlike a rename, it fails if the name is taken
        _flush_name(path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _flush(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _flush_name(path: Path) -> None:
    """Make a new name survive a power failure, on file systems that support it."""
    number = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(number)
    finally:
        os.close(number)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
