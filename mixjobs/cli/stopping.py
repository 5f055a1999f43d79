"""SIGTERM, which Slurm sends before a time limit, stops the work as Ctrl-C does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mixjobs.errors import MixjobsError

_told: list[int] = []


class Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


@contextmanager
def termination() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM; a second one does not disturb the cleaning up.

    Where the first falls into a callback of the garbage collector, Python drops what is raised:
    so the work asks now and then (`stop_if_told`), and whatever it ends with is `Terminated`.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _told.append(number)
        raise Terminated

    _told.clear()
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except MixjobsError:
        stop_if_told()
        raise
    finally:
        if not _told:  # else we are about to end
            signal.signal(signal.SIGTERM, before)


def is_told() -> bool:
    """Whether SIGTERM was received."""
    return bool(_told)


def stop_if_told() -> None:
    """Raise `Terminated` if SIGTERM was received."""
    if _told:
        raise Terminated
