"""``mixjobs summary``: medians, intervals, convergence and model comparison of a run."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from mixjobs.inference.run import open_run


def summary(args: Namespace) -> dict[str, Any]:
    """Print the summary of a run."""
    content = open_run(args.run).summary()
    if not args.json:
        print(content)
    return content.to_dict()
