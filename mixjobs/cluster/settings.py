"""Dask with its own default settings and ours, whatever the user has set for other programs.

The user's settings, in files and in environment variables, apply only where the user names a
scheduler that is already running.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dask.config

from mixjobs.errors import InvalidInput, UnreadableFile
from mixjobs.package_settings import try_import, unusable_file, without_variables

_INHERITED = "DASK_INTERNAL_INHERIT_CONFIG"  # settings that outrank the files, in child processes


@contextmanager
def default_settings(ours: Mapping[str, Any]) -> Iterator[None]:
    """Use Dask's default settings and `ours`, also in processes that are started meanwhile.

    Raises
    ------
    UnreadableFile
        A file of the user has a value in place of a table, or a table in place of a value, which
        would reach those processes all the same.
    """
    defaults = dask.config.merge(*dask.config.defaults)
    _check_files(defaults)
    loggers = dask.config.get("distributed.logging", None) or {}
    levels = loggers if "version" in loggers else dict.fromkeys(loggers, "critical")
    with without_variables("DASK_"), _only(defaults):
        dask.config.set(ours)
        with dask.config.set({"distributed.logging": levels}):
            os.environ[_INHERITED] = dask.config.serialize(dask.config.config)
        try:
            yield
        finally:
            os.environ.pop(_INHERITED, None)


def _check_files(defaults: Mapping[str, Any]) -> None:
    try:
        files = list(dask.config.collect_yaml(dask.config.paths, return_paths=True))
    except ValueError as error:  # a file that was changed after the import
        raise unusable_file("Dask", error) from None
    for path, content in files:
        _check(path, content, defaults)


def _check(path: Path, content: Mapping[Any, Any], defaults: Mapping[str, Any], *keys: str) -> None:
    for key, value in content.items():
        name = dask.config.canonical_name(str(key), defaults)  # type: ignore[arg-type]
        if value is None or name not in defaults:
            continue
        default, nested = defaults[name], isinstance(value, Mapping)
        if nested != isinstance(default, Mapping):
            dotted = ".".join([*keys, name])
            expected = "a single value" if nested else "a table"
            raise UnreadableFile(
                f"{path}: Dask's setting {dotted} is {value!r}; expected {expected}: correct it",
                path=path, name=dotted, value=value,
            )  # fmt: skip
        if nested:
            _check(path, value, default, *keys, name)


@contextmanager
def _only(settings: Mapping[str, Any]) -> Iterator[None]:
    """Replace all of Dask's settings."""
    config = dask.config.config
    users = dask.config.merge(config)
    _replace(config, settings)
    try:
        yield
    finally:
        _replace(config, users)
        for defaults in dask.config.defaults:  # of packages that were imported meanwhile
            dask.config.update(config, defaults, priority="old")


def users_settings(ours: Mapping[str, Any]) -> AbstractContextManager[Any]:
    """Use the user's settings, and `ours`, in a ``with`` block.

    Raises
    ------
    InvalidInput
        The user's settings cannot be used.
    """
    try:
        return dask.config.set(ours)
    except Exception as error:  # a value in place of a table, for instance
        reason = " ".join(str(error).split())
        raise InvalidInput(
            f"Dask's settings cannot be used ({reason}); check its files and the environment "
            "variables DASK_*",
            name="scheduler",
        ) from None


def _replace(config: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Replace all settings; at no time is one missing that both have."""
    config.update(other)
    for key in config.keys() - other.keys():
        del config[key]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Dask's messages about lost workers and schedulers, which the job reports itself."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    loggers = [logging.getLogger(name) for name in (*names, "tornado.application")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def import_distributed() -> None:
    """Import Dask's scheduler and client, which read some settings only here.

    Raises
    ------
    UnreadableFile
        Settings in the user's files cannot be used. Unusable environment variables have no effect.
    """
    if try_import("distributed") is None:
        return
    with _only(dask.config.merge(*dask.config.defaults, dask.config.collect(env={}))):
        error = try_import("distributed")
    if error is not None:
        raise unusable_file("Dask", error)
