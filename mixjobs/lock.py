"""Locks of folders: one job at a time, with a heartbeat while it is alive."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from uuid import uuid4

from mixjobs.errors import StoreLocked

HEARTBEAT = 5.0  # seconds
STALE = 30.0  # seconds without a heartbeat after which the holder is considered dead
_NAME = "job.lock"


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    host: str
    process: int
    slurm_job: str
    slurm_restart: int

    @classmethod
    def this_process(cls) -> Holder:
        """Return a description of this process."""
        return cls(
            host=socket.gethostname(),
            process=os.getpid(),
            slurm_job=os.environ.get("SLURM_JOB_ID", ""),
            slurm_restart=int(os.environ.get("SLURM_RESTART_COUNT") or 0),
        )

    def __str__(self) -> str:
        slurm = f", Slurm job {self.slurm_job}" if self.slurm_job else ""
        return f"process {self.process} on {self.host}{slurm}"


class JobLock:
    """Lock of a folder that only one job may use, held from `acquire` to `release`.

    Parameters
    ----------
    folder : Path
        A partial store or a run folder, which must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.this_process = Holder.this_process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def acquire(self) -> None:
        """Take the lock, from a dead holder if necessary.

        Raises
        ------
        StoreLocked
            The holder of the lock is alive.
        """
        try:
            draft = self._write_aside()
            try:
                os.link(draft, self.folder / _NAME)  # fails if the lock exists; atomic, also on NFS
            except FileExistsError:
                self._take_over(draft)
            finally:
                draft.unlink(missing_ok=True)
        except FileNotFoundError:
            raise StoreLocked(
                f"{self.folder}: another job has just finished or stopped; start again",
                path=self.folder,
            ) from None
        self._thread.start()

    def release(self) -> None:
        """Stop the heartbeat and release the lock."""
        self._stop.set()
        self._thread.join()
        if self.is_held():
            (self.folder / _NAME).unlink(missing_ok=True)

    def is_held(self) -> bool:
        """Whether this job still holds the lock."""
        return read_holder(self.folder) == self.this_process

    def check(self) -> None:
        """Raise StoreLocked if another job has taken over the lock."""
        if not self.is_held():
            holder = read_holder(self.folder) or "another process"
            raise StoreLocked(
                f"{self.folder}: {holder} has taken over this "
                f"job (no heartbeat from {self.this_process} for {STALE:g} s); this process stops",
                path=self.folder,
            )

    def _write_aside(self) -> Path:
        path = self.folder / f".lock-{uuid4().hex}"
        try:
            path.write_text(json.dumps(asdict(self.this_process)), encoding="utf-8")
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    def _take_over(self, draft: Path) -> None:
        lock = self.folder / _NAME
        stale = lock.stat()
        holder = read_holder(self.folder)
        if holder is not None:
            refuse_living(holder, self.this_process, self.folder)
        try:  # of several jobs that found this lock stale, only one can create this file
            os.link(draft, self.folder / f".after-{stale.st_ino}-{stale.st_mtime_ns}")
        except FileExistsError:
            raise StoreLocked(
                f"{self.folder}: another job is taking over the lock; "
                f"wait for it, or remove {lock} if there is no such job",
                path=self.folder,
            ) from None
        draft.replace(lock)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            with suppress(OSError):  # missing or unreachable; `check` reports it
                if self.is_held():
                    os.utime(self.folder / _NAME)


def read_holder(folder: Path) -> Holder | None:
    """Return the holder of a folder's lock; None if there is no lock or it is not readable."""
    try:
        stored = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        return Holder(
            str(stored["host"]),
            int(stored["process"]),
            str(stored["slurm_job"]),
            int(stored["slurm_restart"]),
        )
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return None


def refuse_living(holder: Holder, this_process: Holder, folder: Path) -> None:
    """Raise StoreLocked if the holder of a lock is alive."""
    if is_alive(holder, this_process, folder):
        raise StoreLocked(
            f"{folder}: in use by {holder}; wait until it finishes, or stop it and start again",
            path=folder,
            value=holder,
        )


def is_alive(holder: Holder, this_process: Holder, folder: Path) -> bool:
    """Whether the holder of a lock is alive: by its process on this machine, else by heartbeat."""
    same_job = holder.slurm_job and holder.slurm_job == this_process.slurm_job
    if same_job and holder.slurm_restart < this_process.slurm_restart:
        return False  # the same job, before it was requeued
    if holder.host == this_process.host and not _process_exists(holder.process):
        return False
    return heartbeat_age(folder) < STALE


def heartbeat_age(folder: Path) -> float:
    """Return the seconds since the last heartbeat, by the file system's clock if possible."""
    beat = (folder / _NAME).stat().st_mtime
    try:
        with NamedTemporaryFile(dir=folder, prefix=".clock-") as now:
            return Path(now.name).stat().st_mtime - beat
    except PermissionError:
        return time.time() - beat


def _process_exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
