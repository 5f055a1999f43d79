"""Run folders: the chain of a sampling job on disk.

    run.json                       identity of the chain, the job and the versions
    job.lock                       the process that is sampling
    steps/00000000_00000000.npz    the start: step 0 of every ensemble
    steps/00000001_00000100.npz    a segment: the steps from one checkpoint to the next
    start.json                     the optima from which the ensembles start
    comparison.json                one component against all
    posterior.nc                   the posterior

A segment is written to a temporary file, flushed to disk and renamed, and never changes afterwards.
A segment in `steps` is therefore complete, even if the sampler is killed, and can be read while
sampling continues.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.config.sample import SampleConfig, make_sample_job
from mixjobs.display import Summarised, counted
from mixjobs.errors import InvalidInput, MissingFile, OutputExists, UnreadableFile
from mixjobs.files import ASIDE, RUN, disk_faults_named, kind_of, write_new, write_whole
from mixjobs.lock import JobLock
from mixjobs.typing import Floats, Ints

NAME = "run.json"
STEPS = "steps"
START = "start.json"  # {"optimum": {...}, "log_probability": x, "fixed": {...}, "starts": [{...}]}
POSTERIOR = "posterior.nc"
COMPARISON = "comparison.json"

_SEGMENT = re.compile(r"(\d+)_(\d+)\.npz")
_MAX_TEXT = 100  # characters of a value in an error

# The state of numpy.random.RandomState (Mersenne Twister), from which emcee draws.
RANDOM = np.dtype([("keys", "<u4", 624), ("place", "<i4"), ("has_gauss", "<i4"), ("gauss", "<f8")])


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
    """

    def __init__(self, path: Path, identity: dict[str, Any], notes: dict[str, Any]) -> None:
        self.path, self.identity, self.notes = path, identity, notes
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
        content = {"identity": dict(identity), "notes": dict(notes or {})}
        with disk_faults_named(path):
            if path.exists() and not (path.is_dir() and _is_unfinished(path)):
                raise OutputExists(f"{path}: exists; resume it or choose another name", path=path)
            (path / STEPS).mkdir(parents=True, exist_ok=True)
            if not write_new(path / NAME, json.dumps(content, indent=1).encode()):
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
            return cls(path, dict(content["identity"]), dict(content["notes"]))
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
                f"{path / NAME}: cannot be read ({error}); start a new run in another folder",
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
            old, new = _as_json(folder.identity.get(key)), _as_json(identity.get(key))
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
        buffer = io.BytesIO()  # zipfile fails if the disk fills up while it writes
        np.savez(buffer, **{field.name: getattr(segment, field.name) for field in fields(segment)})
        path = self.path / STEPS / f"{first:08d}_{first + segment.n_steps - 1:08d}.npz"
        with disk_faults_named(self.path):
            write_whole(path, buffer.getvalue())

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file into the folder.

        Raises
        ------
        JobFailed
            The disk is full.
        """
        with disk_faults_named(self.path):
            write_whole(self.path / name, json.dumps(content, indent=1).encode())

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Read a JSON file of the folder; None if it does not exist.

        Raises
        ------
        UnreadableFile
        """
        path = self.path / name
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise UnreadableFile(
                f"{path}: cannot be read ({error}); remove it", path=path
            ) from None

    def start(self) -> dict[str, Any]:
        """Return the start of the sampling: `optimum`, `fixed` and `starts`, each by name.

        Raises
        ------
        MissingFile, UnreadableFile
        """
        content = self.read_json(START)
        if content is None:
            raise MissingFile(f"{self.path}: sampling has not started (no {START})", path=self.path)
        return content

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
        return segments[-1][1] if segments else None

    def last_segment(self) -> Segment:
        """Return the last segment.

        Raises
        ------
        MissingFile, UnreadableFile
        """
        first, _, path = self._existing_segments()[-1]
        return Segment(**_read(path, first, [field.name for field in fields(Segment)]))

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
        segments = [_read(path, first, names) for first, _, path in self._existing_segments()]
        return {name: np.concatenate([s[name] for s in segments], axis=1)[:, 1:] for name in names}

    def _existing_segments(self) -> list[tuple[int, int, Path]]:
        segments = self._segments()
        if not segments:
            raise MissingFile(f"{self.path}: no steps yet; sample first", path=self.path)
        return segments

    def _segments(self) -> list[tuple[int, int, Path]]:
        """First step, last step and path of every segment, in order."""
        segments = sorted(
            (int(match[1]), int(match[2]), path)
            for path in (self.path / STEPS).glob("*.npz")
            if (match := _SEGMENT.fullmatch(path.name))
        )
        expected = 0
        for first, last, path in segments:
            if first != expected:
                raise UnreadableFile(
                    f"{path}: steps {expected} to {first - 1} are missing; restore them, or remove "
                    f"{path.name} and all later files to continue from the steps before",
                    path=path,
                )
            expected = last + 1
        return segments


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


def _read(path: Path, first: int, names: list[str]) -> dict[str, NDArray[Any]]:
    """Read arrays of a segment; zipfile verifies their checksums."""
    try:
        # NumPy does not close a file that it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except Exception as error:  # zipfile and NumPy raise many types for damaged content
        restart = f"step {first - 1}" if first else "a new start"
        raise UnreadableFile(
            f"{path}: damaged or unreadable ({error}); if this persists, remove it and all later "
            f"files to continue from {restart}",
            path=path,
        ) from None


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _difference(old: Any, new: Any) -> str:
    """Describe the first difference between two values."""
    if isinstance(old, dict) and isinstance(new, dict):
        key = next(key for key in {**old, **new} if old.get(key) != new.get(key))
        return f"{key} {_difference(old.get(key), new.get(key))}"
    lists = isinstance(old, list) and isinstance(new, list) and len(old) == len(new)
    if lists and any(isinstance(part, list | dict) for part in old):
        return _difference(*next(pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]))
    return f"{_shortened(old)} in the run, {_shortened(new)} now"


def _shortened(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 3]}..."
