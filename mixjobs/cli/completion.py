"""Completion of the values of options: files only where a file is expected."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any, get_args

from argcomplete.completers import FilesCompleter

from mixjobs.cli.options import takes_path
from mixjobs.config.cluster import ClusterConfig


def set_completers(parsers: Iterable[argparse.ArgumentParser]) -> None:
    """Give every argument that has no choices a completer."""
    for action in (action for parser in parsers for action in parser._actions):
        if action.dest == "cluster":
            completer: Any = _clusters
        elif takes_path(action):
            completer = FilesCompleter()
        else:
            completer = _nothing
        if action.choices is None:
            action.completer = completer  # type: ignore[attr-defined]


def _clusters(prefix: str, **_: Any) -> list[str]:
    """Complete the kinds of clusters, and the job files that describe one."""
    kinds = get_args(ClusterConfig.model_fields["kind"].annotation)
    complete = [kind for kind in kinds if kind != "address"]  # which needs a file for the address
    return [*complete, *FilesCompleter(("toml",))(prefix)]


def _nothing(**_: Any) -> list[str]:
    return []
