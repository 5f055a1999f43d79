"""Progress of a build, read from its partial store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.errors import MissingFile
from mixjobs.lock import STALE, heartbeat_age, read_holder
from mixjobs.store import progress
from mixjobs.store.emulator import n_planned
from mixjobs.store.format import open_store, partial_path, read_group
from mixjobs.store.partial import GROUP
from mixjobs.store.progress import FinishedTask
from mixjobs.typing import Floats, Ints

_RATE_SECONDS = 600.0  # over which the rate is measured


def job_status(path: Path) -> dict[str, Any]:
    """Return the progress of the store `path`, which need not be complete.

    Returns
    -------
    dict
        Values for JSON: ``complete``; which job is building the store, and the age of its last
        heartbeat; and for each stage ``done`` and ``total``, the ``rate`` per second, and the
        ``seconds_left`` at that rate. The stages count (order, point) pairs, orders of the
        emulator, and Zarr chunks of the ratio table.

    Raises
    ------
    MissingFile
        There is no such store, neither complete nor partial.
    """
    folder = partial_path(path)
    if not folder.is_dir():
        if not path.exists():
            raise MissingFile(
                f"{path}: no such store, and no job is building it; check the path", path=path
            )
        open_store(path)
        return {"path": str(path), "complete": True}
    store, finished = read_group(folder / GROUP), finished_tasks(folder)
    n_orders, n_points = store.mean_flux.shape
    stages = {"mean_flux": _stage(finished, "mean_flux", n_orders * n_points)}
    n_emulated = n_planned(store.path)
    if n_emulated:
        stages["emulator"] = _stage(finished, "emulator", n_emulated)
        stages["joint_error"] = _stage(finished, "joint_error", 1)
    if store.flux_ratio is not None:
        n_chunks = int(np.prod(store.flux_ratio.cdata_shape))
        stages["flux_ratio"] = _stage(finished, "flux_ratio", n_chunks)
    return {"path": str(path), "complete": False, **_builder(folder), "stages": stages}


def finished_tasks(folder: Path) -> list[FinishedTask]:
    """Return the finished tasks of a partial store, sorted by time."""
    return sorted(progress.read(folder), key=lambda task: task.time)


def progress_line(status: dict[str, Any]) -> str:
    """Describe the progress of a build in one line.

    Examples
    --------
    >>> stage = {"done": 3, "total": 8, "rate": None, "seconds_left": None}
    >>> progress_line({"complete": False, "stages": {"mean_flux": stage}})
    'mean_flux 3 of 8 done, and kept'
    """
    stages = status.get("stages", {})
    counts = ", ".join(
        f"{name} {stage['done']} of {stage['total']}" for name, stage in stages.items()
    )
    return f"{counts} done, and kept" if counts else "complete"


def stage_line(stage: dict[str, Any]) -> str:
    """Describe a stage in one line: its progress, its rate, and the time left.

    Examples
    --------
    >>> stage_line({"done": 30, "total": 130, "rate": 0.5, "seconds_left": 200.0})
    '30 of 130, 0.5 per second, 0:03:20 left'
    """
    line = f"{stage['done']} of {stage['total']}"
    if stage["rate"]:
        time_left = timedelta(seconds=round(stage["seconds_left"]))
        line += f", {stage['rate']:.3g} per second, {time_left} left"
    return line


def _builder(folder: Path) -> dict[str, Any]:
    holder = read_holder(folder)
    if holder is None:
        return {"running": False, "by": None, "last_heartbeat": None}
    age = heartbeat_age(folder)
    return {"running": age < STALE, "by": str(holder), "last_heartbeat": f"{age:.0f} s ago"}


def _stage(finished: Sequence[FinishedTask], stage: str, total: int) -> dict[str, Any]:
    tasks = [task for task in finished if task.stage == stage]
    sizes = np.array([int(np.prod(task.shape)) for task in tasks], dtype=np.int64)
    rate = _rate(np.array([task.time for task in tasks]), sizes)
    n_done = min(int(sizes.sum()), total)
    return {
        "done": n_done,
        "total": total,
        "rate": rate,
        "seconds_left": (total - n_done) / rate if rate else None,
    }


def _rate(times: Floats, sizes: Ints) -> float | None:
    """Return the rate per second in the ten minutes before the last task; None if unknown."""
    if len(times) < 2 or times[-1] == times[0]:
        return None
    first = int(np.searchsorted(times, max(times[-1] - _RATE_SECONDS, times[0])))
    span = times[-1] - times[first]
    return float(sizes[first + 1 :].sum() / span) if span > 0 else None
