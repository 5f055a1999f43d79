"""Damage to real files: flipped bits, lost files, and files as an earlier version wrote them."""

import json
from contextlib import contextmanager

import numpy as np
import zarr
from hypothesis import strategies as st

from mixjobs.inference.digests import json_digest, with_digest
from mixjobs.store.format import consolidate


def files_of(folder):
    """Paths of all files in a folder, by name within it."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def bits(files):
    """Draw one of some files and a bit of it."""
    sizes = {name: 8 * path.stat().st_size for name, path in files.items()}
    return st.sampled_from(sorted(files)).flatmap(
        lambda name: st.tuples(st.just(name), st.integers(0, sizes[name] - 1))
    )


@contextmanager
def flipped(path, bit):
    """Flip one bit of a file, and restore the file at the end."""
    content = path.read_bytes()
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    with replaced(path, bytes(changed)):
        yield


@contextmanager
def replaced(path, content):
    """Replace the content of a file (None removes it), and restore it at the end."""
    before = path.read_bytes()
    try:
        path.unlink() if content is None else path.write_bytes(content)
        yield
    finally:
        path.write_bytes(before)


@contextmanager
def removed(path):
    """Move a file or folder away, and restore it at the end."""
    aside = path.parent.parent / "aside"
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


def to_schema_2(path):
    """Turn a store into one of schema 2, which has no checksums anywhere."""
    (path / "checksums" / "zarr.json").unlink()
    (path / "checksums").rmdir()
    for name, file in files_of(path).items():
        if file.name != "zarr.json":
            file.write_bytes(file.read_bytes()[:-4])
            continue
        described = json.loads(file.read_text(encoding="utf-8"))
        described.pop("consolidated_metadata", None)
        if described["node_type"] == "array":
            assert described["codecs"].pop() == {"name": "crc32c"}
        if name == "zarr.json":
            described["attributes"]["schema_version"] = 2
        file.write_text(json.dumps(described), encoding="utf-8")
    consolidate(path)
    assert "crc32c" not in str(zarr.open_group(path, mode="r")["mean_flux"].metadata.codecs)
    return path


def rewrite(path, **changes):
    """Change the content of a run's run.json, with a valid digest."""
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["digest"]
    content |= changes
    path.write_text(json.dumps(with_digest(content, json_digest(content["identity"]))))


def to_run_without_digests(folder):
    """Turn a run into one of the version before digests."""
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        del content["digest"]
        content.pop("format", None)
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    for path in (folder / "steps").glob("*.npz"):
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "seal"}
        np.savez(path, **arrays)
    posterior = folder / "posterior.nc"
    content = posterior.read_bytes()
    assert content[-73:].startswith(b"\nsha256 ")
    posterior.write_bytes(content[:-73])
    return folder
