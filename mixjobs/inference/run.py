"""The run folder: what a sampler has done so far, on disk, so that it can go on from there.

    run.json                       whose chain it is, and notes
    job.lock                       who samples just now
    steps/00000000_00000000.npz    the start: step 0 of all ensembles
    steps/00000001_00000100.npz    a segment: the steps from one checkpoint to the next

A segment is written aside, synchronised with the disk and renamed, and never changed again: what
has a name is whole, whenever the sampler is killed, and can be read while it goes on.
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
from mixjobs.errors import InvalidInput, MissingFile, OutputExists, UnreadableFile
from mixjobs.files import ASIDE, disk_faults_named, write_new, write_whole
from mixjobs.inference.job import identity, load_free_log_probability
from mixjobs.inference.log_probability import LogProbability
from mixjobs.lock import JobLock
from mixjobs.typing import Floats

NAME = "run.json"
STEPS = "steps"
_SEGMENT = re.compile(r"(\d+)_(\d+)\.npz")

# The state of a numpy.random.RandomState (Mersenne Twister), whose numbers emcee draws.
RANDOM = np.dtype([("keys", "<u4", 624), ("place", "<i4"), ("has_gauss", "<i4"), ("gauss", "<f8")])


@dataclass(frozen=True, eq=False)
class Chain:
    """Steps of all ensembles, one after the other.

    Attributes
    ----------
    positions : ndarray (ensembles, n_steps, walkers, P)
    log_probability : ndarray (ensembles, n_steps, walkers)
    by_order : ndarray (ensembles, n_steps, walkers, M)
        What the log-probability told beside itself: the log-likelihood of each order.
    accepted : ndarray of int (ensembles, n_steps)
        Walkers that moved in a step.
    """

    positions: Floats
    log_probability: Floats
    by_order: Floats
    accepted: NDArray[np.int64]

    @property
    def n_steps(self) -> int:
        """Number of steps."""
        return int(self.positions.shape[1])


@dataclass(frozen=True, eq=False)
class Segment(Chain):
    """The steps from one checkpoint to the next; the last one is what the sampler goes on from.

    Attributes
    ----------
    random : ndarray of RANDOM (ensembles,)
        State of each ensemble's random numbers after the last step.
    """

    random: NDArray[np.void]


def is_run(path: str | Path) -> bool:
    """Whether there is a run folder."""
    return (Path(path) / NAME).is_file()


class RunFolder:
    """A run folder, made by `create`, or one that is there by `open` (to read) or `resume`.

    Attributes
    ----------
    path : Path
    identity : dict
        What makes this chain this chain: ``names`` of the P parameters, ``seed``, and whatever
        else the caller wants to be the same when the chain goes on: fingerprints of model, data
        and store, say.
    notes : dict
        What is kept beside it, and may differ when the chain goes on: versions, the job's text.
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
            The identity has no names or no seed, or there is no folder to make it in.
        OutputExists
            There is something of this name already.
        JobFailed
            The disk is full, or must not be written to.
        """
        path = Path(path)
        _check_identity(identity)
        if not path.parent.is_dir():
            raise InvalidInput(f"{path}: there is no folder {path.parent}; make it first")
        told = {"identity": dict(identity), "notes": dict(notes or {})}
        with disk_faults_named(path):
            if path.exists() and not (path.is_dir() and _is_bare(path)):
                raise OutputExists(f"{path}: exists already; go on with it, or give another name")
            (path / STEPS).mkdir(parents=True, exist_ok=True)
            if not write_new(path / NAME, json.dumps(told, indent=1).encode()):
                raise OutputExists(f"{path}: another process has just made it; give another name")
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Open a run folder to read it, while another process samples or not.

        Raises
        ------
        MissingFile, UnreadableFile
        """
        path = Path(path)
        try:
            there = json.loads((path / NAME).read_text(encoding="utf-8"))
            return cls(path, dict(there["identity"]), dict(there["notes"]))
        except (FileNotFoundError, NotADirectoryError):
            raise MissingFile(f"{path}: not a run folder, it has no {NAME}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UnreadableFile(
                f"{path / NAME}: cannot be read ({error}); start the run anew in another folder"
            ) from None

    @classmethod
    def resume(cls, path: str | Path, identity: Mapping[str, Any]) -> RunFolder:
        """Open a run folder to go on with its chain.

        Raises
        ------
        MissingFile, UnreadableFile
        InvalidInput
            The chain is another one: the message names the first thing that differs.
        """
        folder = cls.open(path)
        for key in dict.fromkeys([*identity, *folder.identity]):
            there, now = (_as_json(which.get(key)) for which in (folder.identity, identity))
            if there != now:
                raise InvalidInput(
                    f"{folder.path}: made with other {key}: {_differing(there, now)}; go on with "
                    "what it was made with, or give another name"
                )
        return folder

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(self.identity["names"])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from sampling into this folder; may be entered within itself.

        Raises
        ------
        StoreLocked
            Another live job samples into it.
        """
        if self._lock is not None:
            yield
            return
        lock = JobLock(self.path)
        with disk_faults_named(self.path):
            lock.acquire()
        self._lock = lock
        try:
            for left in self.path.rglob(f"*{ASIDE}"):
                left.unlink(missing_ok=True)
            yield
        finally:
            self._lock = None
            lock.release()

    def write(self, first: int, segment: Segment) -> None:
        """Write the steps from number `first` on, within `locked`.

        Raises
        ------
        StoreLocked
            Another job has taken the folder over.
        JobFailed
            The disk is full.
        """
        if self._lock is None:
            raise RuntimeError(f"{self.path}: is written to within `locked` alone")
        self._lock.check()
        made = io.BytesIO()  # zipfile is no friend of a disk that fills up as it writes
        np.savez(made, **{field.name: getattr(segment, field.name) for field in fields(segment)})
        path = self.path / STEPS / f"{first:08d}_{first + segment.n_steps - 1:08d}.npz"
        with disk_faults_named(self.path):
            write_whole(path, made.getvalue())

    def last_step(self) -> int | None:
        """Return the number of the last step that is on disk; None before the start."""
        segments = self._segments()
        return segments[-1][1] if segments else None

    def last_segment(self) -> Segment:
        """Return the last segment.

        Raises
        ------
        MissingFile, UnreadableFile
            There is none; it cannot be read.
        """
        first, _, path = self._some_segments()[-1]
        return Segment(**_read(path, first, [field.name for field in fields(Segment)]))

    def chain(self) -> Chain:
        """Return all steps but the start.

        Raises
        ------
        MissingFile, UnreadableFile
            There is not even a start; a segment cannot be read.
        """
        return Chain(**self._joined([field.name for field in fields(Chain)]))

    def positions(self) -> Floats:
        """Return the positions alone, (ensembles, n_steps, walkers, P)."""
        return np.asarray(self._joined(["positions"])["positions"])

    def _joined(self, names: list[str]) -> dict[str, NDArray[Any]]:
        parts = [_read(path, first, names) for first, _, path in self._some_segments()]
        return {name: np.concatenate([part[name] for part in parts], axis=1)[:, 1:]
                for name in names}  # fmt: skip

    def _some_segments(self) -> list[tuple[int, int, Path]]:
        segments = self._segments()
        if not segments:
            raise MissingFile(f"{self.path}: has no steps yet; sample first")
        return segments

    def _segments(self) -> list[tuple[int, int, Path]]:
        """First and last step and path of all segments, in order."""
        found = sorted(
            (int(match[1]), int(match[2]), path)
            for path in (self.path / STEPS).glob("*.npz")
            if (match := _SEGMENT.fullmatch(path.name))
        )
        expected = 0
        for first, last, path in found:
            if first != expected:
                raise UnreadableFile(
                    f"{path}: the steps from {expected} to {first - 1} are not there; bring them "
                    f"back, or remove {path.name} and all after it to go on from what is before"
                )
            expected = last + 1
        return found


def _check_identity(identity: Mapping[str, Any]) -> None:
    for key in ("names", "seed"):
        if key not in identity:
            raise InvalidInput(f"the identity of a run has no {key!r}; give it")


def _is_bare(path: Path) -> bool:
    """Whether a folder is what a process that was killed while it made a run folder leaves."""
    return all(
        (there.name == STEPS and not any(there.iterdir())) or there.name.endswith(ASIDE)
        for there in path.iterdir()
    )


def _read(path: Path, first: int, names: list[str]) -> dict[str, NDArray[Any]]:
    """Read arrays of a segment; the checksums of its parts are checked on the way."""
    try:
        # A file of our own: NumPy leaves open what it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as there:
            return {name: there[name] for name in names}
    except Exception as error:  # zipfile and NumPy say many things of damaged content
        before = f"step {first - 1}" if first else "a new start"
        raise UnreadableFile(
            f"{path}: damaged or out of reach ({error}); if it stays so, remove it, and those "
            f"after it if there are any, to go on from {before}"
        ) from None


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _differing(there: Any, now: Any) -> str:
    """Say the first parts of two values that differ."""
    if isinstance(there, dict) and isinstance(now, dict):
        key = next(key for key in {**there, **now} if there.get(key) != now.get(key))
        return f"{key} {_differing(there.get(key), now.get(key))}"
    rows = isinstance(there, list) and isinstance(now, list) and len(there) == len(now)
    if rows and any(isinstance(part, list | dict) for part in there):
        return _differing(
            *next(pair for pair in zip(there, now, strict=True) if pair[0] != pair[1])
        )
    return f"{_short(there)} there, {_short(now)} now"


def _short(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


START = "start.json"  # {"theta": {...}, "log_probability": x, "fixed": {...}, "starts": [{...}]}
POSTERIOR = "posterior.nc"
SINGLE = "single.json"


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder and its log-probability, made by `open_run`.

    Attributes
    ----------
    folder : RunFolder
    log_probability : LogProbability
        Of the parameters that were sampled.
    """

    folder: RunFolder
    log_probability: LogProbability


def open_run(path: str | Path) -> Run:
    """Open a run folder, with the data and the model that it was made with.

    Raises
    ------
    MissingFile, UnreadableFile
        There is no run folder, or it has no job or no start; or what `load_log_probability` raises.
    InvalidInput
        The data, the store or the model are others than the chain's.
    """
    folder = RunFolder.open(path)
    job = read_job(folder)
    log_probability = load_free_log_probability(job)
    folder = RunFolder.resume(path, identity(job, log_probability))
    for name, value in read_start(folder)["fixed"].items():
        log_probability = log_probability.fix(name, value)
    return Run(folder, log_probability)


def read_job(folder: RunFolder) -> SampleConfig:
    """Return the job that a run was asked for.

    Raises
    ------
    MissingFile
        Its notes have none.
    """
    if "job" not in folder.notes:
        raise MissingFile(f"{folder.path}: its {NAME} has no job; it was made by another program")
    job = dict(folder.notes["job"])
    said = dict(job.get("parameters", {}))
    job["parameters"] = {**said.pop("settings", {}), **said}  # as the job file has them
    return make_sample_job(job, str(folder.path / NAME))


def read_start(folder: RunFolder) -> dict[str, Any]:
    """Return where a run has started from: `theta` (the best), `fixed` and `starts` by name.

    Raises
    ------
    MissingFile, UnreadableFile
    """
    found = read_json(folder.path / START)
    if found is None:
        raise MissingFile(f"{folder.path}: has no {START}; it has not begun to sample")
    return found


def read_json(path: Path) -> dict[str, Any] | None:
    """Return what a file of JSON has; None where there is no file.

    Raises
    ------
    UnreadableFile
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UnreadableFile(f"{path}: cannot be read ({error}); remove it") from None


def read_chain(folder: RunFolder) -> Chain:
    """Return the steps of a run so far.

    Raises
    ------
    MissingFile, UnreadableFile
        There is none yet; one cannot be read.
    """
    chain = folder.chain()
    if not chain.n_steps:
        raise MissingFile(f"{folder.path}: has no steps yet, only a start; go on sampling")
    return chain


def best_theta(chain: Chain) -> Floats:
    """Return the most probable theta, (P,), that a chain has come upon."""
    place = np.unravel_index(np.argmax(chain.log_probability), chain.log_probability.shape)
    theta: Floats = chain.positions[place]
    return theta
