"""The lock of a folder, held by real processes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from mixjobs import lock as lock_module
from mixjobs.errors import StoreLocked
from mixjobs.lock import STALE, Holder, JobLock, heartbeat_age, read_holder

NAME = "job.lock"
CHILD = """
import sys, time
from pathlib import Path
from mixjobs.errors import StoreLocked
from mixjobs import lock
lock.HEARTBEAT = 0.05
held = lock.JobLock(Path(sys.argv[1]))
held.acquire()
print("held", flush=True)
for line in sys.stdin:
    try:
        held.check() if line == "check\\n" else held.release()
        print("yes", flush=True)
    except StoreLocked as error:
        print(error, flush=True)
"""
RACE = """
import sys, time
from pathlib import Path
from mixjobs.errors import StoreLocked
from mixjobs.lock import JobLock
print("ready", flush=True)
start = float(sys.stdin.readline())
for k, folder in enumerate(sys.argv[1:]):
    while time.time() < start + 0.02 * k:
        pass
    try:
        JobLock(Path(folder)).acquire()
        print("won", flush=True)
    except StoreLocked:
        print("lost", flush=True)
sys.stdin.readline()
"""


class Child:
    """A process that runs a script and replies to each line with one line."""

    def __init__(self, script, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def read_line(self):
        return self.process.stdout.readline().strip()

    def request(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read_line()

    def end(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()


@pytest.fixture
def other(tmp_path):
    """A second process that holds the lock."""
    child = Child(CHILD, tmp_path)
    assert child.read_line() == "held"
    yield child
    child.end()


@pytest.fixture
def job(tmp_path):
    lock = JobLock(tmp_path)
    yield lock
    if lock._thread.ident is not None:
        lock.release()


NO_PROCESS = 2**31 - 1  # no process has this number
ELSEWHERE = Holder("elsewhere", NO_PROCESS, "", 0)


def leave_lock(folder, holder=ELSEWHERE, age=0.0):
    """Write a lock whose last heartbeat is `age` seconds old."""
    (folder / NAME).write_text(json.dumps(asdict(holder)))
    os.utime(folder / NAME, (time.time() - age,) * 2)


def test_the_lock_names_its_holder(tmp_path, job, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4242")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    job = JobLock(tmp_path)
    job.acquire()
    holder = Holder(socket.gethostname(), os.getpid(), "4242", 2)
    assert read_holder(tmp_path) == holder
    assert str(holder) == f"process {os.getpid()} on {socket.gethostname()}, Slurm job 4242"
    job.release()


def test_release_leaves_no_files(tmp_path, job):
    job.acquire()
    assert [p.name for p in tmp_path.iterdir()] == [NAME]
    job.check()
    job.release()
    assert list(tmp_path.iterdir()) == []
    second = JobLock(tmp_path)
    second.acquire()
    second.release()


class TestSecondJob:
    def test_is_refused_while_the_first_is_alive(self, tmp_path, other, job):
        message = f"in use by process {other.process.pid} on {socket.gethostname()}"
        with pytest.raises(StoreLocked, match=message):
            job.acquire()
        assert [p.name for p in tmp_path.iterdir()] == [NAME]
        assert other.request("check") == "yes"
        assert other.request("release") == "yes"
        job.acquire()

    def test_is_refused_in_the_same_process(self, tmp_path, job):
        job.acquire()
        with pytest.raises(StoreLocked, match="in use by"):
            JobLock(tmp_path).acquire()

    def test_takes_over_at_once_from_a_dead_process(self, tmp_path, other, job):
        other.end()
        assert heartbeat_age(tmp_path) < STALE
        job.acquire()
        assert read_holder(tmp_path) == job.this_process

    def test_takes_over_from_a_hanging_process_which_notices(
        self, tmp_path, other, job, monkeypatch
    ):
        monkeypatch.setattr(lock_module, "STALE", 0.5)
        other.process.send_signal(signal.SIGSTOP)
        with pytest.raises(StoreLocked):
            job.acquire()
        time.sleep(0.6)
        job.acquire()
        other.process.send_signal(signal.SIGCONT)
        assert f"process {os.getpid()} on" in other.request("check")
        assert other.request("release") == "yes"
        job.check()  # released by the other process, but not removed

    def test_on_another_host_depends_on_the_heartbeat(self, tmp_path, job):
        leave_lock(tmp_path, age=STALE - 5)
        with pytest.raises(StoreLocked, match=f"in use by process {NO_PROCESS} on elsewhere"):
            job.acquire()
        leave_lock(tmp_path, age=STALE + 1)
        job.acquire()
        assert heartbeat_age(tmp_path) < 5

    @pytest.mark.parametrize("process", [NO_PROCESS, 10**15])
    def test_takes_over_from_a_nonexistent_process(self, tmp_path, job, process):
        leave_lock(tmp_path, replace(ELSEWHERE, host=socket.gethostname(), process=process))
        job.acquire()

    def test_takes_over_if_the_process_number_was_reused(self, tmp_path, job):
        """The process is alive, but never held the lock, and the heartbeat has stopped."""
        leave_lock(
            tmp_path, replace(ELSEWHERE, host=socket.gethostname(), process=1), age=STALE + 1
        )
        job.acquire()


class TestSlurm:
    @pytest.fixture(autouse=True)
    def restarted(self, monkeypatch):
        monkeypatch.setenv("SLURM_JOB_ID", "4242")
        monkeypatch.setenv("SLURM_RESTART_COUNT", "1")

    def test_a_requeued_job_takes_over_its_own_lock_at_once(self, tmp_path):
        leave_lock(tmp_path, Holder("elsewhere", NO_PROCESS, "4242", 0))
        job = JobLock(tmp_path)
        job.acquire()
        job.release()

    @pytest.mark.parametrize(
        ("number", "restart"), [("4242", 1), ("4242", 2), ("4243", 0), ("", 0)]
    )
    def test_other_jobs_depend_on_the_heartbeat(self, tmp_path, number, restart):
        leave_lock(tmp_path, Holder("elsewhere", NO_PROCESS, number, restart))
        with pytest.raises(StoreLocked):
            JobLock(tmp_path).acquire()

    def test_empty_variables(self, monkeypatch):
        monkeypatch.setenv("SLURM_RESTART_COUNT", "")
        assert Holder.this_process().slurm_restart == 0


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"17", b"\xff\xfe", bytes(40), b'{"host": "a"}',
     b'{"host": "a", "process": "x", "slurm_job": "", "slurm_restart": 0}'],
    ids=repr,
)  # fmt: skip
def test_an_unreadable_lock_is_taken_over(tmp_path, job, content):
    (tmp_path / NAME).write_bytes(content)
    job.acquire()
    assert read_holder(tmp_path) == job.this_process


class TestHeartbeat:
    def test_continues_while_the_lock_is_held(self, tmp_path, job, monkeypatch):
        monkeypatch.setattr(lock_module, "HEARTBEAT", 0.02)
        job.acquire()
        for _ in range(2):
            os.utime(tmp_path / NAME, (0, 0))
            until = time.monotonic() + 5
            while (tmp_path / NAME).stat().st_mtime == 0 and time.monotonic() < until:
                time.sleep(0.01)
            assert heartbeat_age(tmp_path) < 5

    def test_stops_at_release(self, tmp_path, job):
        job.acquire()
        job.release()
        assert not job._thread.is_alive()

    def test_does_not_touch_the_lock_of_another_job(self, tmp_path, job, monkeypatch):
        monkeypatch.setattr(lock_module, "HEARTBEAT", 0.02)
        job.acquire()
        leave_lock(tmp_path, age=1000)
        time.sleep(0.2)
        assert heartbeat_age(tmp_path) > 900

    @pytest.mark.parametrize("instead", ["nothing", "no folder either", "a folder"])
    def test_survives_the_loss_of_the_lock(self, tmp_path, monkeypatch, instead):
        """A dying thread would cause a warning, which is an error in the test suite."""
        monkeypatch.setattr(lock_module, "HEARTBEAT", 0.02)
        folder = tmp_path / "a"
        folder.mkdir()
        job = JobLock(folder)
        job.acquire()
        (folder / NAME).unlink()
        if instead == "no folder either":
            folder.rmdir()
        elif instead == "a folder":
            (folder / NAME).mkdir()
        time.sleep(0.1)
        assert job._thread.is_alive()
        shutil.rmtree(folder, ignore_errors=True)
        job.release()


class TestLostLock:
    def test_taken_by_another_job(self, tmp_path, job):
        job.acquire()
        leave_lock(tmp_path)
        with pytest.raises(StoreLocked, match=f"process {NO_PROCESS} on elsewhere has taken over"):
            job.check()
        job.release()
        assert read_holder(tmp_path) == ELSEWHERE

    def test_removed_by_an_unknown_process(self, tmp_path, job):
        job.acquire()
        (tmp_path / NAME).unlink()
        with pytest.raises(StoreLocked, match="another process has taken over"):
            job.check()

    def test_folder_removed_by_another_job(self, tmp_path):
        with pytest.raises(StoreLocked, match="has just finished or stopped; start again"):
            JobLock(tmp_path / "gone").acquire()


class TestRace:
    def test_exactly_one_of_two_processes_wins(self, tmp_path):
        folders = [tmp_path / f"{k:02}" for k in range(25)]
        for k, folder in enumerate(folders):
            folder.mkdir()
            if k:  # the first folder has no lock, the others a dead one
                leave_lock(folder, age=1000)
        children = [Child(RACE, *folders) for _ in range(2)]
        assert [c.read_line() for c in children] == ["ready"] * 2
        start = str(time.time() + 0.1)
        answers = [[c.request(start)] for c in children]
        for child, child_answers in zip(children, answers, strict=True):
            child_answers += [child.read_line() for _ in folders[1:]]
        for child in children:  # at the end, because the lock of a dead process can be taken over
            child.end(signal.SIGTERM)
        assert [set(pair) for pair in zip(*answers, strict=True)] == [{"won", "lost"}] * 25

    def test_exactly_one_of_many_takes_over_a_dead_lock(self, tmp_path, monkeypatch):
        leave_lock(tmp_path, age=1000)
        barrier, won, lost = threading.Barrier(8), [], []
        is_alive = lock_module.is_alive

        def is_alive_together(*arguments):
            alive = is_alive(*arguments)
            barrier.wait(10)
            return alive

        monkeypatch.setattr(lock_module, "is_alive", is_alive_together)

        def run():
            job = JobLock(tmp_path)
            try:
                job.acquire()
                won.append(job)
            except StoreLocked as error:
                lost.append(str(error))

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 7)
        assert all("taking over the lock" in message for message in lost)
        won[0].release()
