"""What a job has done, and when: one line a finished block, appended by the driver alone.

It lies in the partial store, so that it can be read from another machine, and so that a job is
resumed without reading the tables back.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

NAME = "progress.jsonl"


@dataclass(frozen=True)
class Done:
    """One finished block: its stage, its name within it, and when it was finished (Unix time)."""

    stage: str
    block: str
    time: float


def record(folder: Path, stage: str, block: str) -> None:
    """Append one finished block."""
    line = json.dumps({"stage": stage, "block": block, "time": round(time.time(), 3)})
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
