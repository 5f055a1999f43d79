"""A run as it was made: its folder, its job, and the log-probability that was sampled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.config.sample import SampleJob, make_sample_job
from mixjobs.errors import MissingFile, UnreadableFile
from mixjobs.inference.job import identity, load_log_probability
from mixjobs.inference.run_folder import NAME, Chain, RunFolder
from mixjobs.inference.target import LogProbability
from mixjobs.typing import Floats

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
    log_probability = load_log_probability(job)
    folder = RunFolder.resume(path, identity(job, log_probability))
    for name, value in read_start(folder)["fixed"].items():
        log_probability = log_probability.fix(name, value)
    return Run(folder, log_probability)


def read_job(folder: RunFolder) -> SampleJob:
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
