"""One job a folder: a lock that says who works in it, and a heartbeat that says that they live."""

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
STALE = 30.0  # seconds without a heartbeat after which the holder is taken for dead
_NAME = "job.lock"


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    host: str
    process: int
    slurm_job: str
    slurm_restart: int

    @classmethod
    def this_process(cls) -> Holder:
        """Return the holder that this process would be."""
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
    """The lock of a folder that one job works in; held from `acquire` to `release`.

    Parameters
    ----------
    folder : Path
        A partial store or a run folder, which must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.me = Holder.this_process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def acquire(self) -> None:
        """Take the lock, from a dead holder too.

        Raises
        ------
        StoreLocked
            Its holder is alive.
        """
        try:
            mine = self._write_aside()
            try:
                os.link(mine, self.folder / _NAME)  # fails if there is one: atomic on NFS too
            except FileExistsError:
                self._take_over(mine)
            finally:
                mine.unlink(missing_ok=True)
        except FileNotFoundError:
            raise StoreLocked(
                f"{self.folder}: another job has finished or given up just now; start again"
            ) from None
        self._thread.start()

    def release(self) -> None:
        """Stop the heartbeat and give the lock back."""
        self._stop.set()
        self._thread.join()
        if self.is_held():
            (self.folder / _NAME).unlink(missing_ok=True)

    def is_held(self) -> bool:
        """Whether it is still this job that holds the lock."""
        return read_holder(self.folder) == self.me

    def check(self) -> None:
        """Raise StoreLocked if another job has taken the lock over in the meantime."""
        if not self.is_held():
            raise StoreLocked(
                f"{self.folder}: {read_holder(self.folder) or 'someone'} has taken this job over "
                f"(no heartbeat from {self.me} for {STALE:g} s); this one stops"
            )

    def _write_aside(self) -> Path:
        path = self.folder / f".lock-{uuid4().hex}"
        try:
            path.write_text(json.dumps(asdict(self.me)), encoding="utf-8")
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    def _take_over(self, mine: Path) -> None:
        lock = self.folder / _NAME
        dead = lock.stat()
        holder = read_holder(self.folder)
        if holder is not None:
            refuse_living(holder, self.me, self.folder)
        try:  # of several that have found this very lock dead, one gets this name
            os.link(mine, self.folder / f".after-{dead.st_ino}-{dead.st_mtime_ns}")
        except FileExistsError:
            raise StoreLocked(
                f"{self.folder}: another job is taking it over just now; "
                f"wait for it, or remove {lock} if there is none"
            ) from None
        mine.replace(lock)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            with suppress(OSError):  # gone, or out of reach for now; `check` will say
                if self.is_held():
                    os.utime(self.folder / _NAME)


def read_holder(folder: Path) -> Holder | None:
    """Return who holds a folder's lock; None where there is none, or it is not legible."""
    try:
        there = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        return Holder(
            str(there["host"]),
            int(there["process"]),
            str(there["slurm_job"]),
            int(there["slurm_restart"]),
        )
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return None


def refuse_living(holder: Holder, me: Holder, folder: Path) -> None:
    """Raise StoreLocked if a lock's holder lives."""
    if is_alive(holder, me, folder):
        raise StoreLocked(
            f"{folder}: {holder} is at work on it; wait for it, or stop it and start again"
        )


def is_alive(holder: Holder, me: Holder, folder: Path) -> bool:
    """Whether a lock's holder lives: by its process here, by its heartbeat elsewhere."""
    same_job = holder.slurm_job and holder.slurm_job == me.slurm_job
    if same_job and holder.slurm_restart < me.slurm_restart:
        return False  # this very job, before it was requeued
    if holder.host == me.host and not _process_exists(holder.process):
        return False
    return heartbeat_age(folder) < STALE


def heartbeat_age(folder: Path) -> float:
    """Seconds since the last heartbeat, by the file system's own clock where we may ask it."""
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
