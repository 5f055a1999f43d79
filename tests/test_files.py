"""Files and folders that appear complete or not at all."""

import errno
import os

import pytest

from mixjobs.errors import JobFailed
from mixjobs.files import (
    ASIDE,
    RUN,
    ZARR,
    atomic_write,
    disk_faults_named,
    kind_of,
    write_new,
    write_whole,
)


def test_a_file_is_replaced_only_when_complete(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(ASIDE)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file"),
        (b"SIMPLE  =                    T", "a FITS file"),
        (b"# %ECSV 1.0\n# ---\n", "a text table (ECSV)"),
        ("5000 \N{PLUS-MINUS SIGN}1\n".encode(), "a text file"),
        (b"", "a file"),
        (b"\x00\x01", "a file"),
    ],
)
def test_the_kind_of_a_file(content, kind, tmp_path):
    (tmp_path / "a").write_bytes(content)
    assert kind_of(tmp_path / "a") == kind


@pytest.mark.parametrize(
    ("name", "kind"), [("run.json", RUN), ("zarr.json", ZARR), ("a.fits", "a folder")]
)
def test_the_kind_of_a_folder(name, kind, tmp_path):
    (tmp_path / name).touch()
    assert kind_of(tmp_path) == kind


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_error_leaves_nothing_behind(tmp_path, kind):
    def write_half(path):
        with atomic_write(path) as temporary:
            if kind == "folder":
                temporary.mkdir()
                (temporary / "b").write_text("half")
            else:
                temporary.write_text("half")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half"):
        write_half(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_does_not_replace_another(tmp_path):
    path = tmp_path / "a"
    path.mkdir()
    (path / "mine").touch()
    with pytest.raises(OSError, match="not empty"), atomic_write(path) as temporary:
        temporary.mkdir()
    assert [file.name for file in path.iterdir()] == ["mine"]


def test_leftovers_at_a_given_temporary_path_are_removed(tmp_path):
    temporary = tmp_path / "writing"
    temporary.mkdir()
    (temporary / "leftover").touch()
    with atomic_write(tmp_path / "a", temporary) as given:
        assert given == temporary
        assert not temporary.exists()
        temporary.mkdir()
    assert list((tmp_path / "a").iterdir()) == []
    assert not temporary.exists()


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "no space left"), (errno.EACCES, "cannot be written")]
)
def test_disk_errors_name_the_path(tmp_path, number, message):
    path = tmp_path / "a"
    with pytest.raises(JobFailed, match=message) as failed, disk_faults_named(path):
        raise OSError(number, os.strerror(number))
    assert failed.value.path == str(path)


def test_whole_and_new_files(tmp_path):
    path = tmp_path / "a"
    assert write_new(path, b"first")
    assert not write_new(path, b"second")
    assert path.read_bytes() == b"first"
    write_whole(path, b"third")
    assert path.read_bytes() == b"third"
    assert list(tmp_path.iterdir()) == [path]
