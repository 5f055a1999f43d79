"""Run folders: the chain of a sampling job on disk.

    run.json                       identity of the chain, the job and the versions
    job.lock                       the process that is sampling
    steps/00000000_00000000.npz    the start: step 0 of every ensemble
    steps/00000001_00000100.npz    a segment: the steps from one checkpoint to the next
    start.json                     the optima of the search
    noise.json                     the noise held for each order, and the starts of the ensembles
    comparison.json                one component against all
    posterior.nc                   the posterior
    orders/4, orders/5, ...        the run of each order on its own, if the job asks for them
    by_order.json                  their results, pooled

A segment is written to a temporary file, flushed to disk and renamed, and never changes afterwards.
A segment in `steps` is therefore complete, even if the sampler is killed, and can be read while
sampling continues. Every file has a digest; see `mixjobs.inference.digests`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.config.sample import SampleConfig, make_sample_job
from mixjobs.errors import InvalidInput, MissingFile, OutputExists, UnreadableFile
from mixjobs.files import ASIDE, RUN, disk_faults_named, kind_of, write_new, write_whole
from mixjobs.inference.digests import json_digest, seal_digest, with_digest, without_digest
from mixjobs.inference.segments import (
    Chain,
    Segment,
    SegmentFile,
    read_segments,
    segment_files,
    write_segment,
)
from mixjobs.lock import JobLock
from mixjobs.typing import Floats

NAME = "run.json"
STEPS = "steps"
START = "start.json"  # {"optimum": {...}, "log_probability": x, "fixed": {...}, "starts": [{...}]}
NOISE = "noise.json"  # {"orders": [{"epoch": 1, "number": m, ...}], "starts": [{...}]}
POSTERIOR = "posterior.nc"
COMPARISON = "comparison.json"
BY_ORDER = "by_order.json"

_FORMAT = 2  # with digests; earlier runs have none
_MAX_TEXT = 100  # characters of a value in an error


def is_run(path: str | Path) -> bool:
    """Whether a path is a run folder."""
    return (Path(path) / NAME).is_file()


class RunFolder:
    """A run folder: `create` makes one, `open` reads one, `resume` continues one.

    Attributes
    ----------
    path : Path
    identity : dict
        Everything that determines the chain: ``names`` of the P free parameters, ``seed``, and
        fingerprints of the model, the data and the store. It must not change on resuming.
    notes : dict
        Records that may differ on resuming, such as the job and the versions.
    has_digests : bool
        Whether all files have digests; those of an earlier version have none.
    """

    def __init__(
        self, path: Path, identity: dict[str, Any], notes: dict[str, Any], has_digests: bool
    ) -> None:
        self.path, self.identity, self.notes = path, identity, notes
        self.has_digests = has_digests
        self._digest = json_digest(identity)
        self._lock: JobLock | None = None

    @classmethod
    def create(
        cls, path: str | Path, identity: Mapping[str, Any], notes: Mapping[str, Any] | None = None
    ) -> RunFolder:
        """Make a run folder.

        Raises
        ------
        InvalidInput
            The identity lacks names or a seed, or the parent folder does not exist.
        OutputExists
            The path exists already.
        JobFailed
            The disk is full or read-only.
        """
        path = Path(path)
        _check_identity(identity)
        if not path.parent.is_dir():
            raise InvalidInput(
                f"{path}: the folder {path.parent} does not exist; create it first", path=path
            )
        content = {"format": _FORMAT, "identity": dict(identity), "notes": dict(notes or {})}
        with disk_faults_named(path):
            if path.exists() and not (path.is_dir() and _is_unfinished(path)):
                raise OutputExists(f"{path}: exists; resume it or choose another name", path=path)
            (path / STEPS).mkdir(parents=True, exist_ok=True)
            if not write_new(path / NAME, _as_file(content, json_digest(content["identity"]))):
                raise OutputExists(
                    f"{path}: another process has just created it; choose another name", path=path
                )
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open a run folder to read it, even while another process is sampling.

        Raises
        ------
        MissingFile, UnreadableFile
        """
        path = Path(path)
        try:
            content = json.loads((path / NAME).read_text(encoding="utf-8"))
            identity, notes = dict(content["identity"]), dict(content["notes"])
            _check_identity(identity)
            has_digests = set(content) != {"identity", "notes"}
            without_digest(content, json_digest(identity), required=has_digests)
            return cls(path, identity, notes, has_digests)
        except (FileNotFoundError, NotADirectoryError):
            if not path.exists():
                raise MissingFile(f"{path}: no such run; check the path", path=path) from None
            raise MissingFile(
                f"{path}: this is {kind_of(path)}; expected {RUN}, which contains {NAME}: "
                "check the path",
                path=path,
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnreadableFile(
                f"{path / NAME}: cannot be read ({_reason(error)}); restore the original, or start "
                "a new run in another folder",
                path=path / NAME,
            ) from None

    @classmethod
    def resume(cls, path: str | Path, identity: Mapping[str, Any]) -> RunFolder:
        """Open a run folder to continue its chain.

        Raises
        ------
        MissingFile, UnreadableFile
        InvalidInput
            The folder holds a different chain. The message and the attribute `name` give the first
            difference.
        """
        folder = cls.open(path)
        for key in dict.fromkeys([*identity, *folder.identity]):
            old, new = _comparable(folder.identity.get(key)), _comparable(identity.get(key))
            if old != new:
                raise InvalidInput(
                    f"{folder.path}: the job differs from the run in its {key}: "
                    f"{_difference(old, new)}; restore the job or choose another output",
                    path=folder.path,
                    name=key,
                    value=new,
                )
        return folder

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the free parameters."""
        return tuple(self.identity["names"])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from sampling into this folder; can be nested.

        Raises
        ------
        StoreLocked
            Another live job is sampling into it.
        """
        if self._lock is not None:
            yield
            return
        lock = JobLock(self.path)
        with disk_faults_named(self.path):
            lock.acquire()
        self._lock = lock
        try:
            for leftover in self.path.rglob(f"*{ASIDE}"):
                leftover.unlink(missing_ok=True)
            yield
        finally:
            self._lock = None
            lock.release()

    def write(self, first: int, segment: Segment) -> None:
        """Write a segment that begins with step number `first`; call it within `locked`.

        A segment may be written twice: an interrupt can fall between its file and the record that
        it is written.

        Raises
        ------
        StoreLocked
            Another job has taken over the folder.
        JobFailed
            The disk is full.
        """
        if self._lock is None:
            raise RuntimeError(f"{self.path}: write only within `locked`")
        self._lock.check()
        with disk_faults_named(self.path):
            write_segment(self.path / STEPS, first, segment, self._seal_before(first))

    def restart(self, noise: Mapping[str, Any]) -> None:
        """Discard all steps, and replace the noise and the starts; call it within `locked`.

        Raises
        ------
        JobFailed
            The disk is full.
        """
        with disk_faults_named(self.path):
            for segment in reversed(self._segments()):
                segment.path.unlink()
            write_whole(self.path / NOISE, _as_file(noise, self._digest))

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file into the folder.

        Raises
        ------
        JobFailed
            The disk is full.
        """
        with disk_faults_named(self.path):
            write_whole(self.path / name, _as_file(content, self._digest))

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Read a JSON file of the folder; None if it does not exist.

        Raises
        ------
        UnreadableFile
        """
        path = self.path / name
        try:
            content = dict(json.loads(path.read_text(encoding="utf-8")))
            return without_digest(content, self._digest, self.has_digests)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise unreadable_result(path, error) from None

    def start(self) -> dict[str, Any]:
        """Return the start of the sampling: `optimum`, `fixed` and `starts`, each by name.

        Raises
        ------
        MissingFile, UnreadableFile
        """
        content = self.read_json(START)
        if content is None:
            raise MissingFile(f"{self.path}: sampling has not started (no {START})", path=self.path)
        if not {"fixed", "starts"} <= set(content):
            raise unreadable_result(self.path / START, KeyError("fixed, starts"))
        return content

    def verify_sequence(self) -> None:
        """Verify that the segments are those that were written, without reading their arrays.

        Raises
        ------
        UnreadableFile
            A segment is missing in between, damaged, was renamed, or is another's.
        """
        for _ in self._read(self._segments(), []):
            pass

    def job(self) -> SampleConfig:
        """Return the job of the run.

        Raises
        ------
        MissingFile
            The notes hold no job.
        """
        if "job" not in self.notes:
            raise MissingFile(
                f"{self.path}: {NAME} holds no job; `mixjobs.sample` did not make this run",
                path=self.path,
            )
        job = dict(self.notes["job"])
        parameters = dict(job.get("parameters", {}))
        # `settings` are keys of [parameters] in a job file
        job["parameters"] = {**parameters.pop("settings", {}), **parameters}
        return make_sample_job(job, str(self.path / NAME))

    def last_step(self) -> int | None:
        """Return the number of the last step on disk; None before the start."""
        segments = self._segments()
        return segments[-1].last if segments else None

    def last_segment(self) -> Segment:
        """Return the last segment.

        Raises
        ------
        MissingFile, UnreadableFile
        """
        names = [field.name for field in fields(Segment)]
        (arrays,) = deque(self._read(self._existing_segments(), names), maxlen=1)
        return Segment(**arrays)

    def chain(self) -> Chain:
        """Return all steps after the start; there may be none.

        Raises
        ------
        MissingFile
            There is no start.
        UnreadableFile
            A segment is damaged.
        """
        return Chain(**self._concatenated([field.name for field in fields(Chain)]))

    def sampled_chain(self) -> Chain:
        """Return all steps after the start, at least one.

        Raises
        ------
        MissingFile
            There are no steps yet.
        UnreadableFile
            A segment is damaged.
        """
        chain = self.chain()
        if not chain.n_steps:
            raise MissingFile(
                f"{self.path}: no steps yet, only a start; resume the run", path=self.path
            )
        return chain

    def positions(self) -> Floats:
        """Return the positions only, (ensembles, n_steps, walkers, P)."""
        return np.asarray(self._concatenated(["positions"])["positions"])

    def _concatenated(self, names: list[str]) -> dict[str, NDArray[Any]]:
        files, segments = self._existing_segments(), []
        # `random` is not needed, but verified as well
        for file, arrays in zip(files, self._read(files, [*names, "random"]), strict=True):
            segments.append(arrays)
            if [_shape(arrays[n]) for n in names] != [_shape(segments[0][n]) for n in names]:
                raise file.unreadable("other walkers or parameters than in the segments before")
        return {name: np.concatenate([s[name] for s in segments], axis=1)[:, 1:] for name in names}

    def _read(
        self, files: Sequence[SegmentFile], names: Sequence[str]
    ) -> Iterator[dict[str, NDArray[Any]]]:
        return read_segments(files, names, self._digest if self.has_digests else None)

    def _seal_before(self, first: int) -> str:
        """Return the digest of the seal before step `first`; "" if that segment has none."""
        segments = [file for file in self._segments() if file.last < first]
        if not segments:
            return self._digest if self.has_digests else ""
        _, seal = segments[-1].read([])
        return "" if seal is None else seal_digest(seal)

    def _existing_segments(self) -> list[SegmentFile]:
        segments = self._segments()
        if not segments:
            raise MissingFile(f"{self.path}: no steps yet; sample first", path=self.path)
        return segments

    def _segments(self) -> list[SegmentFile]:
        return segment_files(self.path / STEPS)


def _shape(array: NDArray[Any]) -> tuple[int, ...]:
    """Return the shape of an array of a segment, without the axis of steps."""
    return array.shape[:1] + array.shape[2:]


def unreadable_result(path: Path, error: Exception) -> UnreadableFile:
    """Return the error about a file that a resumed run writes again."""
    return UnreadableFile(
        f"{path}: cannot be read ({_reason(error)}); restore the original, or remove it and resume "
        "the run, which writes it again",
        path=path,
    )


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{text} is missing" if isinstance(error, KeyError) else text or type(error).__name__


def _as_file(content: Mapping[str, Any], run: str) -> bytes:
    return json.dumps(with_digest(content, run), indent=1).encode()


def _check_identity(identity: Mapping[str, Any]) -> None:
    for key in ("names", "seed"):
        if key not in identity:
            raise InvalidInput(f"the identity of a run needs the key {key!r}", name=key)


def _is_unfinished(path: Path) -> bool:
    """Whether a folder is what remains if a process is killed while it creates a run."""
    return all(
        (entry.name == STEPS and not any(entry.iterdir())) or entry.name.endswith(ASIDE)
        for entry in path.iterdir()
    )


def _comparable(value: Any) -> Any:
    """Return a value as JSON has it, without settings of None, which earlier versions lacked."""

    def given(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: item for name, item in pairs if item is not None}

    return json.loads(json.dumps(value), object_pairs_hook=given)


def _difference(old: Any, new: Any) -> str:
    """Describe the first difference between two values."""
    if isinstance(old, dict) and isinstance(new, dict):
        key = next(k for k in {**old, **new} if old.get(k) != new.get(k))
        return f"{key} {_difference(old.get(key), new.get(key))}"
    lists = isinstance(old, list) and isinstance(new, list) and len(old) == len(new)
    if lists and any(isinstance(part, list | dict) for part in old):
        return _difference(*next(pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]))
    return f"{_shortened(old)} in the run, {_shortened(new)} now"


def _shortened(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."
