"""Checksums of a store: the files that belong to it, and what they contain.

The Zarr group ``checksums`` of a finished store lists every other file: the CRC-32C of each chunk,
which Zarr's codec has also appended to the chunk, and the SHA-256 of each ``zarr.json``. A file
that is missing, damaged, or a copy of another one is therefore noticed, and named.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest
from zarr.codecs import Crc32cCodec
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

from mixjobs.errors import StoreError
from mixjobs.files import atomic_write
from mixjobs.store.zarr_settings import default_settings

NODE = "checksums"
CODECS = (Crc32cCodec(),)  # of every array
ADVICE = "restore it from a copy, or delete the store and build it again"
_METADATA = "zarr.json"
_CRC_BYTES = 4


@dataclass(frozen=True, eq=False)
class Checksums:
    """The checksums of a finished store.

    Attributes
    ----------
    path : Path
        The store.
    chunks : mapping
        CRC-32C of each chunk, hexadecimal, by the file's path within the store.
    metadata : mapping
        SHA-256 of each ``zarr.json``, hexadecimal, by path.
    """

    path: Path
    chunks: Mapping[str, str]
    metadata: Mapping[str, str]

    @property
    def files(self) -> list[str]:
        """Paths of all files within the store."""
        return [*self.metadata, *self.chunks]

    def check_files(self, files: Iterable[str]) -> None:
        """Read some files, and compare them with their checksums.

        Raises
        ------
        StoreError
            A file is missing, cannot be read, or does not match.
        """
        for file in files:
            try:
                content = (self.path / file).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                raise missing(self.path, file) from None
            except OSError as error:
                reason = f"cannot be read ({file}: {error.strerror})"
                raise unusable(self.path, array_of(file), reason, file) from None
            self.check(file, np.frombuffer(content, np.uint8))

    def check_presence(self, files: Iterable[str]) -> None:
        """Check that files exist.

        Raises
        ------
        StoreError
        """
        for file in files:
            if not (self.path / file).is_file():
                raise missing(self.path, file)

    def check(self, file: str, content: NDArray[np.uint8]) -> None:
        """Compare the content of a file with its checksum; a file that is not listed passes.

        Raises
        ------
        StoreError
        """
        reason = ""
        if file in self.metadata:
            if sha256(content.tobytes()).hexdigest() != self.metadata[file]:
                reason = f"was changed after the build, or is damaged ({file})"
        elif file in self.chunks:
            stored = content[-_CRC_BYTES:].tobytes()
            computed = google_crc32c.value(content[:-_CRC_BYTES]).to_bytes(_CRC_BYTES, "little")
            if computed != stored:
                reason = f"is damaged ({file} does not match its checksum)"
            elif stored.hex() != self.chunks[file]:
                reason = f"was changed after the build ({file} has another checksum)"
        if reason:
            raise unusable(self.path, array_of(file), reason, file)


def write_checksums(path: Path) -> None:
    """List the checksums of a complete store in its group ``checksums``."""
    chunks, metadata = {}, {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_dir() or name.startswith(f"{NODE}/"):
            continue
        if file.name == _METADATA:
            metadata[name] = sha256(file.read_bytes()).hexdigest()
        else:
            chunks[name] = _last_bytes(file).hex()
    attributes: dict[str, Any] = {"chunks": chunks, "metadata": metadata}
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    attributes["sha256"] = _digest(group)
    (path / NODE).mkdir(exist_ok=True)
    with atomic_write(path / NODE / _METADATA) as temporary:
        temporary.write_text(json.dumps(group, indent=1), encoding="utf-8")


def read_checksums(path: Path) -> Checksums | None:
    """Read the checksums of a store; None if it has none.

    Raises
    ------
    StoreError
        They are damaged.
    """
    file = f"{NODE}/{_METADATA}"
    try:
        group = json.loads((path / file).read_bytes())
        attributes = dict(group["attributes"])
        group["attributes"] = {name: attributes[name] for name in ("chunks", "metadata")}
        if _digest(group) != attributes["sha256"]:
            raise ValueError("its digest does not match")
        return Checksums(path, dict(attributes["chunks"]), dict(attributes["metadata"]))
    except FileNotFoundError:
        return None
    except (KeyError, OSError, TypeError, ValueError) as error:
        reason = f"is damaged ({file}: {' '.join(str(error).split())})"
        raise unusable(path, NODE, reason, file) from None


@default_settings()
def check_listed(path: Path) -> None:
    """Check that the arrays in a store's consolidated metadata are there, with all their chunks.

    Zarr would read a missing chunk as fill values. This is the check of stores without checksums.

    Raises
    ------
    StoreError
    """
    group = zarr.open_group(path, mode="r")
    if group.metadata.consolidated_metadata is None:
        return
    for name, node in group.members(max_depth=None):
        if not isinstance(node, zarr.Array) or name == "order":  # a chunk of zeros was not written
            continue
        for chunk in np.ndindex(node.cdata_shape):
            file = "/".join([name, "c", *map(str, chunk)])
            if not (path / file).is_file():
                raise missing(path, file)


class VerifiedStore(WrapperStore[LocalStore]):
    """The files of a finished store, each compared with its checksum when Zarr reads it.

    Zarr itself reads a missing chunk as fill values, and does not name the array of a damaged one.
    """

    def __init__(self, store: LocalStore, checksums: Checksums) -> None:
        super().__init__(store)
        self._checksums = checksums

    @classmethod
    def of(cls, checksums: Checksums) -> VerifiedStore:
        """Open the files of a store for reading."""
        return cls(LocalStore(checksums.path, read_only=True), checksums)

    def _with_store(self, store: LocalStore) -> VerifiedStore:
        return type(self)(store, self._checksums)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read a file.

        Raises
        ------
        StoreError
            It is missing, or does not match its checksum.
        """
        content = await super().get(key, prototype, byte_range)
        if content is not None and byte_range is None:
            self._checksums.check(key, content.as_numpy_array().view(np.uint8))
        elif content is None and key in self._checksums.chunks:
            raise missing(self._checksums.path, key)
        return content


@default_settings()
def open_node(path: Path, node: str = "", **options: Any) -> zarr.Group:
    """Open a group of a store for reading, verified if the store has checksums.

    Raises
    ------
    StoreError
        A file does not match its checksum.
    """
    checksums = read_checksums(path)
    store = path if checksums is None else VerifiedStore.of(checksums)
    return zarr.open_group(store, path=node, mode="r", **options)


def _digest(group: Mapping[str, Any]) -> str:
    return sha256(json.dumps(group, sort_keys=True).encode()).hexdigest()


def _last_bytes(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - _CRC_BYTES))
        return opened.read()


def array_of(file: str) -> str:
    """Return the array or group to which a file belongs.

    Examples
    --------
    >>> array_of("emulator/7/mean/c/0"), array_of("emulator/7/zarr.json"), array_of("zarr.json")
    ('emulator/7/mean', 'emulator/7', 'zarr.json')
    """
    parts = file.split("/")
    if parts[-1] == _METADATA:
        return "/".join(parts[:-1]) or file
    return "/".join(parts[: parts.index("c")]) if "c" in parts else file


def missing(path: Path, file: str) -> StoreError:
    """Return the error about a missing file, which names the array or group if that is missing."""
    array, parts = array_of(file), file.split("/")
    for stop in range(1, array.count("/") + 2):
        node = "/".join(parts[:stop])
        if not (path / node).exists():
            return unusable(path, node, "is missing", file)
    return unusable(path, array, f"is incomplete ({file} is missing)", file)


def unusable(path: Path, array: str, reason: str, value: object = None) -> StoreError:
    """Return the error about an array or group that cannot be used."""
    parts = array.split("/")
    order = parts[1] if parts[0] == "emulator" and len(parts) > 1 else ""
    return StoreError(
        f"{path}: {array} {reason}; {ADVICE}",
        path=path,
        name=array,
        value=value,
        order=int(order) if order.lstrip("-").isdigit() else None,
    )
