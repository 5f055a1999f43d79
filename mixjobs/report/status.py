"""How far a build has come, from its partial store alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import MissingFile
from mixjobs.lock import STALE, heartbeat_age, read_holder
from mixjobs.store import progress
from mixjobs.store.emulator import n_planned
from mixjobs.store.format import open_store, partial_path, read_group
from mixjobs.store.partial import GROUP
from mixjobs.store.progress import Done
from mixjobs.typing import Floats

_RECENT = 600.0  # seconds over which the rate is taken


def job_status(path: Path) -> dict[str, Any]:
    """What is done and what is missing of the store `path`, which need not be complete.

    Returns
    -------
    dict
        ``complete``; who is building it and when they were last heard of; and for each stage
        the units (of the means), orders (of the emulator) or rows (of the tables) that are
        ``done`` and ``total``, the ``rate`` a second, and the ``seconds_left`` at that rate.

    Raises
    ------
    MissingFile
        There is no such store, complete or not.
    """
    folder = partial_path(path)
    if not folder.is_dir():
        if not path.exists():
            raise MissingFile(f"{path}: no such store, and none is being built")
        open_store(path)
        return {"path": str(path), "complete": True}
    store, done = read_group(folder / GROUP), folder_progress(folder)
    n_orders, n_points = store.mean_flux.shape
    stages = {"mean_flux": _stage(done, "mean_flux", n_orders * n_points)}
    n_emulated = n_planned(store.path)
    if n_emulated:
        stages["emulator"] = _stage(done, "emulator", n_emulated)
    if store.flux_ratio is not None:
        n_blocks = int(np.prod(store.flux_ratio.cdata_shape))
        stages["flux_ratio"] = _stage(done, "flux_ratio", n_blocks)
    return {"path": str(path), "complete": False, **_who(folder), "stages": stages}


def folder_progress(folder: Path) -> list[Done]:
    """Finished blocks of a partial store, in the order of time."""
    return sorted(progress.read(folder), key=lambda block: block.time)


def progress_line(status: dict[str, Any]) -> str:
    """Return one line on how far a build has come.

    Examples
    --------
    >>> stage = {"done": 3, "total": 8, "rate": None, "seconds_left": None}
    >>> progress_line({"complete": False, "stages": {"mean_flux": stage}})
    'mean_flux 3 of 8 done and kept'
    """
    stages = status.get("stages", {})
    told = ", ".join(
        f"{name} {stage['done']} of {stage['total']}" for name, stage in stages.items()
    )
    return f"{told} done and kept" if told else "complete"


def stage_line(stage: dict[str, Any]) -> str:
    """Return one line on a stage: done, rate, estimate.

    Examples
    --------
    >>> stage_line({"done": 30, "total": 130, "rate": 0.5, "seconds_left": 200.0})
    '30 of 130, 0.5 a second, 0:03:20 left'
    """
    line = f"{stage['done']} of {stage['total']}"
    if stage["rate"]:
        left = timedelta(seconds=round(stage["seconds_left"]))
        line += f", {stage['rate']:.3g} a second, {left} left"
    return line


def _who(folder: Path) -> dict[str, Any]:
    holder = read_holder(folder)
    if holder is None:
        return {"running": False, "by": None, "heard_of": None}
    age = heartbeat_age(folder)
    return {"running": age < STALE, "by": str(holder), "heard_of": f"{age:.0f} s ago"}


def _stage(done: Sequence[Done], stage: str, total: int) -> dict[str, Any]:
    blocks = [block for block in done if block.stage == stage]
    sizes = np.array([int(np.prod(block.shape)) for block in blocks], dtype=np.int64)
    rate = _rate(np.array([block.time for block in blocks]), sizes)
    n_done = min(int(sizes.sum()), total)
    return {
        "done": n_done,
        "total": total,
        "rate": rate,
        "seconds_left": (total - n_done) / rate if rate else None,
    }


def _rate(times: Floats, sizes: NDArray[np.int64]) -> float | None:
    """Units a second over the last minutes in which anything was done; None if unknown."""
    if len(times) < 2 or times[-1] == times[0]:
        return None
    first = int(np.searchsorted(times, max(times[-1] - _RECENT, times[0])))
    span = times[-1] - times[first]
    return float(sizes[first + 1 :].sum() / span) if span > 0 else None
