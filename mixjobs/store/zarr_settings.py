"""Zarr with its own default settings, whatever the user has set for other programs.

They decide, for instance, about the format of new arrays, their codecs, and which of their chunks
are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from threading import Lock
from typing import Any

import zarr

_LOCK = Lock()
_users: list[Any] = []  # one for each call that has not ended; the first can restore the settings


@contextmanager
def default_settings() -> Iterator[None]:
    """Use Zarr's default settings in a ``with`` block, or in a function that this decorates.

    The settings of a process are common to its threads: the first that enters sets them, and the
    last that leaves restores the user's.
    """
    with _LOCK:
        _users.append(None if _users else zarr.config.set(deepcopy(zarr.config.defaults[0])))
    try:
        yield
    finally:
        with _LOCK:
            if len(_users) == 1:
                _users[0].__exit__(None, None, None)
            _users.pop()
