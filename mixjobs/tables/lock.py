"""One job a store: a lock that says who builds it, and a heartbeat that says that they live."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

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
            slurm_restart=int(os.environ.get("SLURM_RESTART_COUNT", "0")),
        )

    def __str__(self) -> str:
        slurm = f", Slurm job {self.slurm_job}" if self.slurm_job else ""
        return f"process {self.process} on {self.host}{slurm}"


class JobLock:
    """The lock of a store that is being built; held from `acquire` to `release`.

    Parameters
    ----------
    folder : Path
        The partial store, which must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.me = Holder.this_process()
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def acquire(self) -> None:
        """Take the lock, from a dead holder too.

        Raises
        ------
        StoreLocked
            Its holder is alive.
        """
        mine = self._write_aside()
        try:
            os.link(mine, self.folder / _NAME)  # fails if there is one: atomic on NFS too
        except FileExistsError:
            self._take_over(mine)
        finally:
            mine.unlink(missing_ok=True)
        self._thread.start()

    def release(self) -> None:
        """Stop the heartbeat and give the lock back."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if read_holder(self.folder) == self.me:
            (self.folder / _NAME).unlink(missing_ok=True)

    def check(self) -> None:
        """Raise StoreLocked if another job has taken the lock over in the meantime."""
        if self._lost.is_set():
            raise StoreLocked(
                f"{self.folder}: {read_holder(self.folder)} has taken this job over "
                f"(no heartbeat from {self.me} for {STALE:g} s); this one stops"
            )

    def _write_aside(self) -> Path:
        with NamedTemporaryFile(
            "w", dir=self.folder, prefix=".lock-", delete=False, encoding="utf-8"
        ) as file:
            json.dump(asdict(self.me), file)
        return Path(file.name)

    def _take_over(self, mine: Path) -> None:
        holder = read_holder(self.folder)
        if holder is not None and is_alive(holder, self.me, self.folder):
            raise StoreLocked(
                f"{self.folder}: {holder} is building this store; "
                "wait for it, or stop it and start again"
            )
        mine.replace(self.folder / _NAME)
        time.sleep(0.2)  # two may have found the lock stale: the one who wrote last has it
        if read_holder(self.folder) != self.me:
            raise StoreLocked(f"{self.folder}: another job has just taken this store over")

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            if read_holder(self.folder) != self.me:
                self._lost.set()
                return
            os.utime(self.folder / _NAME)


def read_holder(folder: Path) -> Holder | None:
    """Return who holds a store's lock, or None."""
    try:
        return Holder(**json.loads((folder / _NAME).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def is_alive(holder: Holder, me: Holder, folder: Path) -> bool:
    """Whether a lock's holder lives: by its process here, by its heartbeat elsewhere."""
    same_job = holder.slurm_job and holder.slurm_job == me.slurm_job
    if same_job and holder.slurm_restart < me.slurm_restart:
        return False  # this very job, before it was requeued
    if holder.host == me.host and not _process_exists(holder.process):
        return False
    return heartbeat_age(folder) < STALE


def heartbeat_age(folder: Path) -> float:
    """Seconds since the last heartbeat, by the file system's own clock."""
    with NamedTemporaryFile(dir=folder, prefix=".clock-") as now:
        return Path(now.name).stat().st_mtime - (folder / _NAME).stat().st_mtime


def _process_exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
