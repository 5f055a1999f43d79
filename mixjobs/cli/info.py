"""``mixjobs info``: say what a library or a store holds."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mixjobs.errors import MissingFile
from mixjobs.library import open_library
from mixjobs.report.describe import describe_library, describe_store
from mixjobs.report.tables import print_facts
from mixjobs.tables.store import partial_path


def info(args: Namespace) -> dict[str, Any]:
    """Say what a library or a store holds."""
    path = Path(args.path)
    if not path.exists() and not partial_path(path).exists():
        raise MissingFile(f"{path}: no such library or store")
    is_store = path.is_dir() or not path.exists()
    facts = describe_store(path) if is_store else describe_library(open_library(path))
    if not args.json:
        print_facts(facts)
    return facts
