"""A small file system that tests can fill."""

import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest

PAGE = 4096  # bytes that a file of one byte takes on a tmpfs


@contextmanager
def mounted(folder, options):
    """Mount a tmpfs at a new folder, which only root can do."""
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("a full disk needs a small tmpfs, which only root can mount")
    folder.mkdir()
    command = [mount, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounting = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounting.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounting.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill_up(folder, leave=0):
    """Fill a disk, except for some bytes."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "ballast").write_bytes(bytes(free - leave))
