"""Ctrl-C, and SIGTERM, which Slurm sends before a time limit, stop the work alike."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mixjobs.errors import MixjobsError

_told: list[int] = []


class Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


@contextmanager
def termination() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, of which a second one does not disturb the cleaning up.

    Where a signal falls into a callback of the garbage collector, Python drops what is raised, and
    prints it, which is silenced here: the work asks now and then (`stop_if_told`), and whatever it
    ends with is what was dropped.
    """
    told_of = sys.unraisablehook

    def tell(dropped: sys.UnraisableHookArgs) -> None:
        if not isinstance(dropped.exc_value, KeyboardInterrupt):
            told_of(dropped)

    def stop(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _told.append(number)
        stop_if_told()

    _told.clear()
    sys.unraisablehook = tell
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except MixjobsError:
        stop_if_told()
        raise
    finally:
        sys.unraisablehook = told_of
        if signal.SIGTERM not in _told:  # else we are about to end
            for number, handler in before.items():
                signal.signal(number, handler)


def is_told() -> bool:
    """Whether Ctrl-C or SIGTERM was received."""
    return bool(_told)


def stop_if_told() -> None:
    """Raise `KeyboardInterrupt` if Ctrl-C was received, `Terminated` if SIGTERM was."""
    if _told:
        raise Terminated if _told[-1] == signal.SIGTERM else KeyboardInterrupt
