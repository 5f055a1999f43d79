"""A store in the making: built aside, locked, resumed, and renamed into place when complete.

The folder ``NAME.partial`` holds the lock, the progress, and the Zarr group ``store``, which is
what gets the name in the end.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mixjobs.errors import InvalidInput, LibraryError, OutputExists, StoreError, StoreLocked
from mixjobs.files import disk_faults_named
from mixjobs.lock import Holder, JobLock, read_holder, refuse_living
from mixjobs.store import progress
from mixjobs.store.format import consolidate, is_group, partial_path, read_group
from mixjobs.store.progress import Done
from mixjobs.typing import Floats

GROUP = "store"


@dataclass(frozen=True, eq=False)
class Partial:
    """A partial store that this process has locked."""

    folder: Path
    lock: JobLock

    @property
    def group(self) -> Path:
        """The Zarr group that is being filled."""
        return self.folder / GROUP

    def finished(self) -> list[Done]:
        """Return the finished blocks of all stages."""
        return progress.read(self.folder)

    def record(self, stage: str, block: list[int], means: Floats | None = None) -> None:
        """Note that a block is finished, unless another job has taken this one over."""
        self.lock.check()
        progress.record(self.folder, stage, block, means)


@contextmanager
def partial_store(
    path: Path,
    identity: Mapping[str, str],
    create: Callable[[Path], None],
    overwrite: bool = False,
) -> Iterator[Partial]:
    """Build a store: on leaving, it has its name; after a fault, it can be resumed.

    Parameters
    ----------
    path : Path
        The store's name when it is complete.
    identity : mapping
        What makes this job this job; a partial store with the same is resumed.
    create : callable
        Creates the group in an empty folder.
    overwrite : bool
        Replace a complete store, or another job's partial one.

    Yields
    ------
    Partial
        Where to build, locked.

    Raises
    ------
    OutputExists, StoreLocked, StoreError
        The store is complete already, is being built, or a partial one is of another job.
    JobFailed
        The disk is full.
    """
    check_output(path, overwrite)
    folder = partial_path(path)
    with disk_faults_named(path):
        lock = _locked(folder)
        try:
            check_output(path, overwrite)  # another job may have finished it meanwhile
            _begin(folder, identity, create, overwrite)
            yield Partial(folder, lock)
            lock.check()
            _finish(folder, path)
        except BaseException as fault:
            if lock.is_held():
                _clear_if_useless(folder, fault)
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
            folder.rmdir()  # if it is empty
        raise
    return lock


def check_output(path: Path, overwrite: bool) -> None:
    """Refuse a store that exists already, or whose folder does not.

    Raises
    ------
    OutputExists, InvalidInput
    """
    if path.exists() and not overwrite:
        raise OutputExists(f"{path}: exists already; give another name, or --overwrite")
    if path.exists() and not is_group(path):
        raise OutputExists(f"{path}: is not a store, and is not overwritten; give another name")
    if not path.parent.is_dir():
        raise InvalidInput(f"{path}: there is no folder {path.parent}; make it first")


def check_not_in_use(path: Path) -> None:
    """Refuse a store that a live job is building, before a cluster is started for another.

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
    if (folder / GROUP).exists() and progress.read(folder):
        differs = _differences(folder, identity)
        if not differs:
            return
        if not overwrite:
            raise StoreError(
                f"{folder}: a half-written store of another job ({'; '.join(differs)}); "
                "start that job again, or give --overwrite to begin anew"
            )
    shutil.rmtree(folder / GROUP, ignore_errors=True)
    (folder / progress.NAME).unlink(missing_ok=True)
    create(folder / GROUP)


def _differences(folder: Path, identity: Mapping[str, str]) -> list[str]:
    """Say in what a partial store is of another job: "orders: 20 were there, 10 are asked for"."""
    try:
        there = read_group(folder / GROUP).attributes.get("identity", {})
    except StoreError as error:
        return [str(error)]
    return [
        f"{name}: {there.get(name)} there, {value} now"
        for name, value in identity.items()
        if there.get(name) != value
    ]


def _finish(folder: Path, path: Path) -> None:
    consolidate(folder / GROUP)
    old = path.with_name(f"{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    (folder / GROUP).rename(path)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # another job may be looking into it just now


def _clear_if_useless(folder: Path, fault: BaseException) -> None:
    """Leave nothing half-written unless there is something to resume."""
    if isinstance(fault, StoreLocked | StoreError):
        return
    if isinstance(fault, LibraryError) or not progress.read(folder):
        shutil.rmtree(folder, ignore_errors=True)
