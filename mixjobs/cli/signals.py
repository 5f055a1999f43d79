"""Handling of Ctrl-C and of SIGTERM, which Slurm sends before a time limit."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mixjobs.errors import MixjobsError

_received: list[int] = []


class Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


@contextmanager
def termination() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM; a second SIGTERM does not disturb the cleanup.

    If a signal arrives during a callback of the garbage collector, Python prints the exception and
    drops it. The print is suppressed here, and long-running work calls `stop_if_told` from time to
    time, which raises the exception again.
    """
    original_hook = sys.unraisablehook

    def report(dropped: sys.UnraisableHookArgs) -> None:
        if not isinstance(dropped.exc_value, KeyboardInterrupt):
            original_hook(dropped)

    def stop(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _received.append(number)
        stop_if_told()

    _received.clear()
    sys.unraisablehook = report
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except MixjobsError:
        stop_if_told()
        raise
    finally:
        sys.unraisablehook = original_hook
        if signal.SIGTERM not in _received:  # otherwise the program is about to end
            for number, handler in before.items():
                signal.signal(number, handler)


def is_told() -> bool:
    """Whether Ctrl-C or SIGTERM was received."""
    return bool(_received)


def stop_if_told() -> None:
    """Raise `KeyboardInterrupt` if Ctrl-C was received, `Terminated` if SIGTERM was."""
    if _received:
        raise Terminated if _received[-1] == signal.SIGTERM else KeyboardInterrupt
