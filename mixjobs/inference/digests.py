"""Digests of the files of a run: they show that a file was damaged, changed, or is another's.

A JSON file holds the SHA-256 of its content and of the run's identity. A segment holds those of its
arrays and of the segment before it, so that the segments form a chain, which a copied, renamed or
exchanged file breaks. The posterior ends with a line of its SHA-256, which readers of HDF5 ignore.

Each function raises a ValueError that states the difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEY = "digest"  # of a JSON file
_LINE = b"\nsha256 "  # at the end of a file, followed by 64 digits and a line feed
_LINE_LENGTH = len(_LINE) + 64 + 1
_NONE = "it has no digest, but the other files of the run have"


def json_digest(content: Any) -> str:
    """Return the digest of the content of a JSON file, whatever its layout.

    Examples
    --------
    >>> json_digest({"a": 1, "b": [2.5]}) == json_digest({"b": [2.5], "a": 1})
    True
    """
    plain = json.loads(json.dumps(content))  # tuples become lists, and keys text
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def with_digest(content: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Add its digest to the content of a JSON file; `run` is the digest of the run's identity."""
    return {**content, KEY: json_digest([run, content])}


def without_digest(content: Mapping[str, Any], run: str, required: bool) -> dict[str, Any]:
    """Check the digest of a JSON file, and remove it."""
    rest = {name: value for name, value in content.items() if name != KEY}
    if KEY not in content:
        if required:
            raise ValueError(_NONE)
    elif json_digest([run, rest]) != content[KEY]:
        raise ValueError("it was changed, or belongs to another run: its digest does not match")
    return rest


def append_digest(path: Path) -> None:
    """Append the digest of a file as its last line."""
    digest = sha256(path.read_bytes()).hexdigest()
    with path.open("ab") as file:
        file.write(_LINE + digest.encode() + b"\n")


def check_appended(path: Path, required: bool) -> None:
    """Check the digest in the last line of a file."""
    content = path.read_bytes()
    body, line = content[:-_LINE_LENGTH], content[-_LINE_LENGTH:]
    if not line.startswith(_LINE):
        if required:
            raise ValueError(f"truncated or damaged: {_NONE}")
    elif line != _LINE + sha256(body).hexdigest().encode() + b"\n":
        raise ValueError("it is damaged or was changed: its digest does not match")


def make_seal(first: int, previous: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the seal of a segment: its first step, the seal before it, and its arrays' digests."""
    digests = {name: _array_digest(array) for name, array in arrays.items()}
    return json.dumps({"first": first, "previous": previous, "arrays": digests}, sort_keys=True)


def seal_digest(seal: str) -> str:
    """Return the digest of a seal, which the next seal contains."""
    return sha256(seal.encode()).hexdigest()


def check_seal(seal: str, first: int, previous: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Check a seal against the place of its segment in the chain, and against some arrays."""
    content = json.loads(seal)
    if content["first"] != first:
        raise ValueError(f"it is that of step {content['first']}, renamed or copied")
    if content["previous"] != previous:
        raise ValueError("it does not follow the segment before it: one of them is another's")
    for name, array in arrays.items():
        if content["arrays"][name] != _array_digest(array):
            raise ValueError(f"{name} was changed: its digest does not match")


def _array_digest(array: NDArray[Any]) -> str:
    described = f"{np.lib.format.dtype_to_descr(array.dtype)} {array.shape}"
    return sha256(described.encode() + np.ascontiguousarray(array).tobytes()).hexdigest()
