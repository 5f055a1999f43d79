"""The record of finished tasks in a partial store: one line of JSON for each.

Only the driver appends to the record. Other machines can read it, and a job resumes from it without
reading the store's arrays. A line of mean fluxes holds their values, so that none are lost and Zarr
is written once.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from mixjobs.typing import Floats

NAME = "progress.jsonl"
_CRC = "crc32"  # of the rest of a line


@dataclass(frozen=True)
class FinishedTask:
    """A finished task.

    Attributes
    ----------
    stage : str
    block : list of int
        Key of the task within its stage; for mean fluxes, the first order and the first point.
    time : float
        Unix time at which the task was finished.
    shape : list of int
        Number of orders and of points in a block of mean fluxes.
    means : str
        Values of a block of mean fluxes, as little-endian float64 in base64. JSON numbers would
        take longer than all other book-keeping.
    """

    stage: str
    block: list[int]
    time: float
    shape: list[int] = field(default_factory=list)
    means: str = ""

    def values(self) -> Floats:
        """Return the mean fluxes, (orders, points)."""
        return np.frombuffer(b64decode(self.means), dtype="<f8").reshape(self.shape)


def record(folder: Path, stage: str, block: list[int], means: Floats | None = None) -> None:
    """Append a finished task."""
    finished = FinishedTask(stage, block, round(time.time(), 3))
    if means is not None:
        encoded = b64encode(means.astype("<f8").tobytes()).decode()
        finished = replace(finished, shape=list(means.shape), means=encoded)
    line = json.dumps({**vars(finished), _CRC: _crc(vars(finished))})
    with (folder / NAME).open("a", encoding="utf-8") as file:
        file.write("\n" + line)  # the previous line may have been cut short


def read(folder: Path) -> list[FinishedTask]:
    """Return the finished tasks, skipping lines that were cut short or are damaged."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    finished = []
    for line in lines:
        try:
            content = dict(json.loads(line))
            if content.pop(_CRC) == _crc(content):
                finished.append(FinishedTask(**content))
        except (KeyError, TypeError, ValueError):
            continue
    return finished


def _crc(content: Mapping[str, Any]) -> str:
    return f"{crc32(json.dumps(content, sort_keys=True).encode()):08x}"


def recorded_means(finished: Iterable[FinishedTask], shape: tuple[int, int]) -> Floats:
    """Return the mean fluxes (M, N) on record, NaN where none is recorded."""
    means = np.full(shape, np.nan)
    for task in finished:
        if task.stage == "mean_flux":
            m, i = task.block
            means[m : m + task.shape[0], i : i + task.shape[1]] = task.values()
    return means
