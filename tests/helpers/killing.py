"""Kill a process of a running job at a random moment, and repeat the command if the job ends.

All processes are real, and started as a user or a batch script starts them.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from distributed import Client

from mixjobs import Orders
from mixjobs.demo.library import DemoLibrary
from mixjobs.store import progress
from mixjobs.store.format import partial_path
from tests.helpers.command import complaints, finish, start, wait_for

VICTIMS = ("worker", "nanny", "client", "scheduler")
N_ORDERS, N_POINTS = 8, 36
N_BLOCKS = (
    N_ORDERS * N_POINTS + N_ORDERS
)  # one for each mean flux, and one for each order of the table
ORDERS = Orders.log_spaced(N_ORDERS, 5000, 5028)
PATIENCE = 180  # seconds, on a machine that others use too
WORDS = ("--n-orders", str(N_ORDERS), "--range", "5000:5028", "--block", "1,1")

# Loaded by each worker, to record the key of each task that it has computed.
_NOTING = """
from distributed import WorkerPlugin

class Noting(WorkerPlugin):
    def transition(self, key, start, finish, **more):
        if start == "executing" and finish == "memory":
            with open({path!r}, "a") as file:
                file.write(" ".join(map(str, key)) + "\\n")

async def dask_setup(worker):
    await worker.plugin_add(Noting())
"""


def large_library(folder):
    """36 points of 16384 pixels: reading them pair by pair takes a second or more."""
    return DemoLibrary(wave_max=5030).write(folder / "library.hdf5")


class Cluster:
    """A scheduler and two workers with nannies; they end on leaving the `with` statement."""

    def __init__(self, folder):
        self.folder, self.notes = folder, folder / "computed"
        self.port, self.started = 0, 0
        self.scheduler, self.nannies = None, []
        (folder / "noting.py").write_text(_NOTING.format(path=str(self.notes)))

    def __enter__(self):
        self.mend()
        return self

    def __exit__(self, *fault):
        for process in (self.scheduler, *self.nannies):
            _end(process)

    def mend(self):
        """Start what is missing. A new scheduler has the address of the old one, and new workers.

        Does not wait for the workers.
        """
        if self.scheduler is None or self.scheduler.poll() is not None:
            while self.nannies:
                _end(self.nannies.pop())
            self._start_scheduler()
        self.nannies = [nanny for nanny in self.nannies if nanny.poll() is None]
        while len(self.nannies) < 2:
            words = ("--nthreads", "1", "--preload", self.folder / "noting.py")
            self.nannies.append(self._start("worker", self.address, *words))

    def wait(self):
        """Wait for both workers, and return their process numbers."""
        with Client(self.address, timeout=60, set_as_default=False) as client:
            wait_for(lambda: len(client.scheduler_info()["workers"]) == 2, PATIENCE)
            return sorted(client.run(os.getpid).values())

    def computed(self):
        """Count how often each block of means or of the table was computed, by its Dask key."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return Counter(line for line in lines if line.startswith(("mean_flux", "flux_ratio")))

    def _start_scheduler(self):
        file = self.folder / f"scheduler-{self.started}.json"
        self.scheduler = self._start(
            "scheduler", "--scheduler-file", file, "--host", "127.0.0.1", "--port", self.port
        )
        wait_for(lambda: file.exists() and file.read_text().endswith("}"), PATIENCE)
        self.address = json.loads(file.read_text())["address"]
        self.port = int(self.address.rpartition(":")[2])

    def _start(self, part, *words):
        self.started += 1
        command = [sys.executable, "-m", f"distributed.cli.dask_{part}", *words, "--no-dashboard"]
        with (self.folder / f"{part}-{self.started}.log").open("w") as log:
            return subprocess.Popen(
                [str(word) for word in command], cwd=self.folder, start_new_session=True,
                stdout=log, stderr=log,
            )  # fmt: skip


def _end(process):
    """End a process and its children."""
    with suppress(ProcessLookupError):  # all have gone
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass(frozen=True)
class Outcome:
    """The course of a job.

    Attributes
    ----------
    at : int
        Blocks on record when the kill fell.
    first, last : (int, list of str)
        Exit status and complaints of the first command, and of the last.
    resumed : bool
        Whether a second command was needed.
    kept : int
        Blocks on record when the second was given.
    again : int
        Blocks that the second command computed.
    twice : int
        Blocks that were computed more than once, by the first or by both.
    recovery : float or None
        Seconds from the kill to the next block on record, or from the start of the second
        command; None where the job had all its blocks on record.
    """

    at: int
    first: tuple[int, list[str]]
    last: tuple[int, list[str]]
    resumed: bool
    kept: int
    again: int
    twice: int
    recovery: float | None


def strike(cluster, victim, seed, library, path):
    """Run a job, kill one of its parts at a moment drawn from the seed, and see it to its end."""
    chance = random.Random(f"{victim} {seed}")
    moment = chance.randrange(1, N_BLOCKS)
    before = cluster.computed()
    cluster.mend()
    words = ("build", library, "-o", path, *WORDS, "--scheduler", cluster.address)
    driver = start(*words, impatient=victim == "scheduler")
    numbers = {
        "worker": chance.choice(cluster.wait()),
        "nanny": chance.choice(cluster.nannies).pid,
        "client": driver.pid,
        "scheduler": cluster.scheduler.pid,
    }
    wait_for(lambda: on_record(path) >= moment or driver.poll() is not None, PATIENCE)
    at = on_record(path)
    os.kill(numbers[victim], signal.SIGKILL)
    recovery = _next_block(driver, path)
    first = last = _ended(driver)
    kept, resumed = on_record(path), not path.exists()
    if resumed:
        cluster.mend()
        cluster.wait()
    # Workers end what they were computing for a client that has died: it is no second time yet.
    stages = {_stage(key) for key in cluster.computed()}
    if resumed:
        driver = start(*words)
        recovery = _next_block(driver, path)
        last = _ended(driver)
    computed = cluster.computed() - before
    again = sum(n for key, n in computed.items() if _stage(key) not in stages)
    return Outcome(at, first, last, resumed, kept, again, computed.total() - N_BLOCKS, recovery)


def _stage(key):
    return key.split()[0]  # with a mark of its own in each command


def on_record(path):
    """Count the blocks on record of a store that is being built, or has been."""
    if path.exists():
        return N_BLOCKS
    try:
        return (partial_path(path) / progress.NAME).read_bytes().count(b"}")  # one ends each record
    except FileNotFoundError:
        return 0


def _next_block(driver, path):
    begun, there = time.monotonic(), on_record(path)
    wait_for(lambda: on_record(path) > there or driver.poll() is not None, PATIENCE)
    return time.monotonic() - begun if on_record(path) > there else None


def _ended(driver):
    status, _, err = finish(driver, PATIENCE)
    return status, complaints(err)
