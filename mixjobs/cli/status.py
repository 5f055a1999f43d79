"""``mixjobs status``: how far a build has come."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mixjobs.errors import InvalidInput
from mixjobs.inference.run_folder import is_run
from mixjobs.report.console import print_facts
from mixjobs.report.status import job_status, stage_line


def status(args: Namespace) -> dict[str, Any]:
    """Say what is done, what is missing, the rate and an estimate."""
    if is_run(args.store):
        raise InvalidInput(
            f"{args.store}: a run of mixjobs sample, not a store; see mixjobs summary {args.store}"
        )
    facts = job_status(Path(args.store))
    if not args.json:
        stages = facts.get("stages", {})
        lines = {name: stage_line(stage) for name, stage in stages.items()}
        print_facts({**{k: v for k, v in facts.items() if k != "stages"}, **lines})
    return facts
