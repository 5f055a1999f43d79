"""``mixjobs info``: say what a library or a store holds."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mixjobs.errors import MissingFile
from mixjobs.report.console import print_facts
from mixjobs.report.info import describe_path
from mixjobs.store.format import partial_path


def info(args: Namespace) -> dict[str, Any]:
    """Say what a library or a store holds."""
    path = Path(args.path)
    if not path.exists() and not partial_path(path).exists():
        raise MissingFile(f"{path}: no such library or store")
    facts = describe_path(path)
    if not args.json:
        print_facts(facts)
    return facts
