"""Segments: the steps of a chain from one checkpoint to the next, and their files."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.display import Summarised, counted
from mixjobs.errors import UnreadableFile
from mixjobs.files import write_whole
from mixjobs.inference.digests import check_seal, make_seal, seal_digest
from mixjobs.typing import Floats, Ints

# The state of numpy.random.RandomState (Mersenne Twister), from which emcee draws.
RANDOM = np.dtype([("keys", "<u4", 624), ("place", "<i4"), ("has_gauss", "<i4"), ("gauss", "<f8")])
_NAME = re.compile(r"(\d+)_(\d+)\.npz")


@dataclass(frozen=True, eq=False, repr=False)
class Chain(Summarised):
    """Consecutive steps of all ensembles.

    Attributes
    ----------
    positions : ndarray (ensembles, n_steps, walkers, P)
        Free parameters.
    log_probability : ndarray (ensembles, n_steps, walkers)
    by_order : ndarray (ensembles, n_steps, walkers, M)
        Log-likelihood of each order.
    accepted : ndarray of int (ensembles, n_steps)
        Number of walkers that moved.
    """

    positions: Floats
    log_probability: Floats
    by_order: Floats
    accepted: Ints

    @property
    def n_steps(self) -> int:
        """Number of steps."""
        return int(self.positions.shape[1])

    def best(self) -> Floats:
        """Return the sample with the highest log-probability, (P,)."""
        index = np.unravel_index(np.argmax(self.log_probability), self.log_probability.shape)
        x: Floats = self.positions[index]
        return x

    def _facts(self) -> Mapping[str, object]:
        ensembles, n_steps, walkers, n_parameters = self.positions.shape
        return {
            "steps": n_steps,
            "sampler": f"{counted(ensembles, 'ensemble')} of {counted(walkers, 'walker')}",
            "parameters": n_parameters,
            "orders": self.by_order.shape[-1],
        }


@dataclass(frozen=True, eq=False, repr=False)
class Segment(Chain):
    """The steps from one checkpoint to the next; the sampler continues from the last segment.

    Attributes
    ----------
    random : ndarray of RANDOM (ensembles,)
        State of each ensemble's random number generator after the last step.
    """

    random: NDArray[np.void]


@dataclass(frozen=True)
class SegmentFile:
    """The file of a segment, named by its first and last step."""

    first: int
    last: int
    path: Path

    def read(self, names: Sequence[str]) -> tuple[dict[str, NDArray[Any]], str | None]:
        """Read arrays, and the seal of the segment; None if it has none.

        Raises
        ------
        UnreadableFile
        """
        try:
            # NumPy does not close a file that it cannot read. zipfile verifies its own checksums.
            with self.path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in names}
                seal = str(stored["seal"]) if "seal" in stored else None
        except Exception as error:  # zipfile and NumPy raise many types for damaged content
            raise self.unreadable(f"damaged or unreadable ({error})") from None
        n_steps = self.last - self.first + 1
        lengths = {array.shape[1:2] for name, array in arrays.items() if name != "random"}
        if lengths - {(n_steps,)}:
            raise self.unreadable(f"does not hold the {counted(n_steps, 'step')} of its name")
        return arrays, seal

    def unreadable(self, reason: str) -> UnreadableFile:
        """Return the error about this file."""
        restart = f"step {self.first - 1}" if self.first else "a new start"
        return UnreadableFile(
            f"{self.path}: {reason}; restore it, or remove it and all later files to continue from "
            f"{restart}",
            path=self.path,
        )


def write_segment(folder: Path, first: int, segment: Segment, previous: str) -> None:
    """Write a segment into a folder, completely or not at all; `previous` is the seal before it."""
    arrays: dict[str, Any] = {field.name: getattr(segment, field.name) for field in fields(segment)}
    buffer = io.BytesIO()  # zipfile fails if the disk fills up while it writes
    np.savez(buffer, **arrays, seal=np.array(make_seal(first, previous, arrays)))
    write_whole(folder / f"{first:08d}_{first + segment.n_steps - 1:08d}.npz", buffer.getvalue())


def segment_files(folder: Path) -> list[SegmentFile]:
    """Return the files of all segments, in sequence.

    Raises
    ------
    UnreadableFile
        Steps are missing between two segments, or are there twice.
    """
    files = sorted(
        (int(match[1]), int(match[2]), path)
        for path in folder.glob("*.npz")
        if (match := _NAME.fullmatch(path.name))
    )
    expected = 0
    for first, last, path in files:
        if first > expected:
            raise UnreadableFile(
                f"{path}: steps {expected} to {first - 1} are missing; restore them, or remove "
                f"{path.name} and all later files to continue from the steps before",
                path=path,
            )
        if first < expected or last < first:
            raise UnreadableFile(
                f"{path}: the steps of its name are those of another file; it was copied or "
                "renamed: restore the original names",
                path=path,
            )
        expected = last + 1
    return [SegmentFile(*file) for file in files]


def read_segments(
    files: Sequence[SegmentFile], names: Sequence[str], start: str | None
) -> Iterator[dict[str, NDArray[Any]]]:
    """Read arrays of consecutive segments, and verify their seals.

    Parameters
    ----------
    files : sequence of SegmentFile
        From step 0.
    names : sequence of str
        The arrays; none to verify only the sequence of the segments.
    start : str or None
        What the first seal contains as the seal before it. None in a run of an earlier version,
        whose first segments have no seals.

    Raises
    ------
    UnreadableFile
        A segment is damaged, was changed, or does not follow the one before it.
    """
    previous = start
    for file in files:
        arrays, seal = file.read(names)
        try:
            if seal is not None:
                check_seal(seal, file.first, previous or "", arrays)
                previous = seal_digest(seal)
            elif previous is not None:
                raise ValueError("it has no digests, but the other segments have")
        except (KeyError, TypeError, ValueError) as error:
            raise file.unreadable(f"not the file that was written ({error})") from None
        yield arrays
