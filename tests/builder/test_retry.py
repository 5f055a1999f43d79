"""Reads that fail: attempted again, and reported with the name of the task if they keep failing."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Timer

import pytest

import mixjobs
from mixjobs import Orders
from mixjobs.errors import LibraryError, MissingFile, MixjobsError, UnreadableFile
from mixjobs.library.starfish import StarfishLibrary, StarfishReader
from mixjobs.store import progress
from mixjobs.store.format import partial_path
from tests.helpers.small_stores import assert_same

ORDERS = Orders.log_spaced(3, 5000, 5028).take([2])
TASK_7 = "mean flux of point 7, order 2"
N_POINTS = 12


@dataclass(frozen=True)
class FailingReader(StarfishReader):
    """The first reads fail, in any process; a file counts the attempts, one byte each."""

    attempts: Path
    times: int
    error: MixjobsError

    def __iter__(self):
        with self.attempts.open("ab") as file:
            file.write(b".")
        if self.attempts.stat().st_size <= self.times:
            raise self.error
        return super().__iter__()


class FailingLibrary(StarfishLibrary):
    """A library whose spectrum of point 7 fails to be read a few times."""

    def reader(self, rows):
        reader = super().reader(rows)
        if 7 not in rows:
            return reader
        return FailingReader(*vars(reader).values(), *self.failing)


def failing(path, attempts, times, error):
    original = mixjobs.open_library(path)
    library = FailingLibrary(**{f.name: getattr(original, f.name) for f in fields(original)})
    object.__setattr__(library, "failing", (attempts, times, error))
    return library


@pytest.fixture(params=["serial", "processes"])
def where(request):
    """Where a job runs: in this process, or on two workers."""
    return None if request.param == "serial" else request.getfixturevalue("client")


@pytest.fixture
def attempts(tmp_path):
    return tmp_path / "attempts"


@pytest.fixture(scope="module")
def reference(demo, tmp_path_factory):
    return mixjobs.build(demo, ORDERS, tmp_path_factory.mktemp("reference") / "q.zarr")


def test_a_read_that_fails_twice(where, demo, reference, attempts, tmp_path):
    library = failing(demo, attempts, 2, UnreadableFile("the network is away"))
    store = mixjobs.build(library, ORDERS, tmp_path / "q.zarr", where)
    assert_same(store.path, reference)
    assert attempts.stat().st_size == 3


@pytest.mark.parametrize("kind", [UnreadableFile, MissingFile])
def test_a_read_that_always_fails(kind, where, demo, reference, attempts, tmp_path):
    path = tmp_path / "q.zarr"
    with pytest.raises(kind) as failed:
        mixjobs.build(failing(demo, attempts, 99, kind("a.h5: gone")), ORDERS, path, where)
    assert type(failed.value) is kind
    assert failed.value.name == TASK_7
    assert str(failed.value).startswith(f"{TASK_7}: a.h5: gone (3 attempts); start again ")
    assert attempts.stat().st_size == 3
    n_kept = len(progress.read(partial_path(path)))
    assert n_kept >= 7
    reports = []
    resumed = mixjobs.build(demo, ORDERS, path, where, report=lambda *r: reports.append(r))
    assert reports[0] == ("mean_flux", n_kept, N_POINTS)
    assert_same(resumed.path, reference)


def test_unusable_content_is_not_read_again(where, demo, attempts, tmp_path):
    """A spectrum with the wrong length or NaN will not change."""
    library = failing(demo, attempts, 99, LibraryError("of 7 pixels"))
    with pytest.raises(LibraryError, match=r"^of 7 pixels$"):
        mixjobs.build(library, ORDERS, tmp_path / "q.zarr", where)
    assert attempts.stat().st_size == 1
    assert [p.name for p in tmp_path.iterdir()] == ["attempts"]


class Damaged:
    """A copy of a library that is cut short while a job reads it."""

    def __init__(self, path, copy):
        self.path, self.content, self.status = copy, path.read_bytes(), path.stat()
        copy.write_bytes(self.content)
        self.restore()

    def cut(self, stage, done, total):
        """Truncate the file to half its size once four blocks are done."""
        if (stage, done) == ("mean_flux", 4):
            os.truncate(self.path, len(self.content) // 2)

    def restore(self):
        """Restore the file's content and its modification time."""
        self.path.write_bytes(self.content)
        os.utime(self.path, ns=(self.status.st_atime_ns, self.status.st_mtime_ns))


@pytest.fixture
def damaged(demo, tmp_path):
    return Damaged(demo, tmp_path / "library.hdf5")


def test_a_file_restored_between_two_attempts(damaged, reference, tmp_path):
    begun = []

    def report(*stage):
        damaged.cut(*stage)
        if stage[:2] == ("mean_flux", 4):
            begun.append(Timer(0.1, damaged.restore))
            begun[0].start()

    store = mixjobs.build(damaged.path, ORDERS, tmp_path / "q.zarr", report=report)
    begun[0].join()
    assert_same(store.path, reference)


def test_a_file_restored_after_the_job_has_failed(damaged, reference, tmp_path):
    path = tmp_path / "q.zarr"
    with pytest.raises(UnreadableFile) as failed:
        mixjobs.build(damaged.path, ORDERS, path, report=damaged.cut)
    message = str(failed.value)
    assert failed.value.name == "mean flux of point 4, order 2"
    assert failed.value.path == str(damaged.path)
    assert "not a complete HDF5 file (" in message
    assert "\n" not in message
    assert len(progress.read(partial_path(path))) == 4
    with pytest.raises(UnreadableFile, match="not a complete HDF5 file"):
        mixjobs.build(damaged.path, ORDERS, path)
    damaged.restore()
    reports = []
    store = mixjobs.build(damaged.path, ORDERS, path, report=lambda *r: reports.append(r))
    assert reports[0] == ("mean_flux", 4, N_POINTS)
    assert_same(store.path, reference)
