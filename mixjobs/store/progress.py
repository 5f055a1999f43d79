"""What a job has done, and when: one line a finished block, appended by the driver alone.

It lies in the partial store, so that it can be read from another machine, and so that a job is
resumed without reading the tables back. The line of a block of means holds the means: none that
was computed is lost, and Zarr need not be written to for each.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mixjobs.typing import Floats

NAME = "progress.jsonl"


@dataclass(frozen=True)
class Done:
    """One finished block.

    Attributes
    ----------
    stage : str
    block : list of int
        Its name within the stage: for the means the first order row and the first point.
    time : float
        When it was finished (Unix time).
    shape : list of int
        Of a block of means: orders, points.
    means : str
        Of a block of means: its values, float64, little endian, in base64. As numbers they would
        take JSON longer than all the rest of a block's book-keeping.
    """

    stage: str
    block: list[int]
    time: float
    shape: list[int] = field(default_factory=list)
    means: str = ""

    def values(self) -> Floats:
        """Return the means, (orders, points)."""
        return np.frombuffer(b64decode(self.means), dtype="<f8").reshape(self.shape)


def record(folder: Path, stage: str, block: list[int], means: Floats | None = None) -> None:
    """Append one finished block."""
    done = Done(stage, block, round(time.time(), 3))
    if means is not None:
        encoded = b64encode(means.astype("<f8").tobytes()).decode()
        done = replace(done, shape=list(means.shape), means=encoded)
    line = json.dumps(vars(done))
    with (folder / NAME).open("a", encoding="utf-8") as file:
        file.write("\n" + line)  # the line before may have been cut short, without an end


def read(folder: Path) -> list[Done]:
    """Return the finished blocks; a line that was cut short does not count."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    done = []
    for line in lines:
        try:
            done.append(Done(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return done


def recorded_means(done: Iterable[Done], shape: tuple[int, int]) -> Floats:
    """Means (M, N) that are on record, NaN where there are none yet."""
    means = np.full(shape, np.nan)
    for block in done:
        if block.stage == "mean_flux":
            m, i = block.block
            means[m : m + block.shape[0], i : i + block.shape[1]] = block.values()
    return means
