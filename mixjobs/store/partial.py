"""Partial stores: locked, resumed after an interruption, and renamed when complete.

The folder ``NAME.partial`` holds the lock, the record of finished tasks, and the Zarr group
``store``, which is finally renamed to ``NAME``.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mixjobs.errors import InvalidInput, LibraryError, OutputExists, StoreError, StoreLocked
from mixjobs.files import disk_faults_named
from mixjobs.lock import Holder, JobLock, read_holder, refuse_living
from mixjobs.store import progress
from mixjobs.store.format import SCHEMA, finish, is_group, partial_path, read_group
from mixjobs.store.progress import FinishedTask
from mixjobs.typing import Floats

GROUP = "store"
_DELETE_ATTEMPTS = 20


@dataclass(frozen=True, eq=False)
class PartialStore:
    """A partial store, locked by this process."""

    folder: Path
    lock: JobLock

    @property
    def group(self) -> Path:
        """The Zarr group that is being filled."""
        return self.folder / GROUP

    def finished(self) -> list[FinishedTask]:
        """Return the finished tasks of all stages."""
        return progress.read(self.folder)

    def record(self, stage: str, block: list[int], means: Floats | None = None) -> None:
        """Record that a task is finished, unless another job has taken over the store."""
        self.lock.check()
        progress.record(self.folder, stage, block, means)


@contextmanager
def partial_store(
    path: Path,
    identity: Mapping[str, str],
    create: Callable[[Path], None],
    overwrite: bool = False,
) -> Iterator[PartialStore]:
    """Lock a partial store, and rename it at the end; after an error, the job can be resumed.

    Parameters
    ----------
    path : Path
        The store's path when it is complete.
    identity : mapping
        Facts that identify the job, which resumes a partial store of the same identity.
    create : callable
        Creates the Zarr group at a path.
    overwrite : bool
        Replace a finished store, or the partial store of another job.

    Yields
    ------
    PartialStore

    Raises
    ------
    OutputExists, StoreLocked, StoreError
        The store exists, another job is building it, or the partial store is another job's.
    JobFailed
        The disk is full or cannot be written to.
    """
    check_output(path, overwrite)
    folder = partial_path(path)
    with disk_faults_named(path):
        lock = _locked(folder)
        try:
            check_output(path, overwrite)  # another job may have finished it in the meantime
            _begin(folder, identity, create, overwrite)
            yield PartialStore(folder, lock)
            lock.check()
            _finish(folder, path)
        except BaseException as error:
            if lock.is_held():
                _delete_if_useless(folder, error)
            raise
        finally:
            lock.release()


def _locked(folder: Path) -> JobLock:
    folder.mkdir(exist_ok=True)
    lock = JobLock(folder)
    try:
        lock.acquire()
    except OSError:
        with suppress(OSError):
            folder.rmdir()  # fails if the folder is not empty
        raise
    return lock


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse a path that is taken, or whose folder does not exist.

    Raises
    ------
    OutputExists, InvalidInput
    """
    if path.exists() and not overwrite:
        raise OutputExists(
            f"{path}: already exists; choose another name or allow overwriting", path=path
        )
    if path.exists() and not is_group(path):
        raise OutputExists(
            f"{path}: not a store, so it is not overwritten; choose another name", path=path
        )
    if not path.parent.is_dir():
        raise InvalidInput(
            f"{path}: the folder {path.parent} does not exist; create it first",
            path=path,
            name="output",
            value=str(path),
        )


def check_not_in_use(path: Path) -> None:
    """Refuse a store that a running job is building, before a cluster is started.

    Raises
    ------
    StoreLocked
    """
    folder = partial_path(path)
    holder = read_holder(folder)
    if holder is not None:
        refuse_living(holder, Holder.this_process(), folder)


def _begin(
    folder: Path, identity: Mapping[str, str], create: Callable[[Path], None], overwrite: bool
) -> None:
    """Resume the partial store of the same job, or create a new one."""
    if (folder / GROUP).exists() and progress.read(folder):
        differences = _differences(folder, identity)
        if not differences:
            return
        if not overwrite:
            listed = "; ".join(f"{name}: {difference}" for name, difference in differences.items())
            raise StoreError(
                f"{folder}: the partial store of another job ({listed}); "
                "finish that job, choose another name, or allow overwriting",
                path=folder,
                name="identity",
                value=differences,
            )
    shutil.rmtree(folder / GROUP, ignore_errors=True)
    (folder / progress.NAME).unlink(missing_ok=True)
    create(folder / GROUP)


def _differences(folder: Path, identity: Mapping[str, str]) -> dict[str, str]:
    """Return the facts in which the job of a partial store differs, by name."""
    try:
        attributes = read_group(folder / GROUP).attributes
    except StoreError as error:
        return {"store": str(error)}
    stored = {**attributes.get("identity", {}), "schema": str(attributes["schema_version"])}
    identity = {**identity, "schema": str(SCHEMA)}
    return {
        name: f"{stored.get(name)} in the partial store, {value} now"
        for name, value in identity.items()
        if stored.get(name) != value
    }


def _finish(folder: Path, path: Path) -> None:
    finish(folder / GROUP)
    old = path.with_name(f"{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    (folder / GROUP).rename(path)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # another job may be reading it at this moment


def _delete_if_useless(folder: Path, error: BaseException) -> None:
    """Delete the partial store unless a job can resume it."""
    if isinstance(error, StoreLocked | StoreError):
        return
    if isinstance(error, LibraryError) or not progress.read(folder):
        _delete(folder)


def _delete(folder: Path) -> None:
    """Delete a folder into which Zarr's threads may still be writing for a moment."""
    for _ in range(_DELETE_ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
