"""Ctrl-C and SIGTERM, deferred while a file is being written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM take effect at the end of the block.

    Libraries that write files drop an exception that arises inside one of their callbacks, or
    replace it by an error of their own. Outside the main thread, where Python handles no signals,
    nothing is deferred.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not None:  # None: another program's handler, which could not be restored
            signal.signal(number, lambda number, _frame: received.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
        for number in _SIGNALS:
            if number in received:
                signal.raise_signal(number)
