"""``mixjobs info``, ``status``, ``check`` and ``ratio``: what a library or a store contains."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console

from mixjobs.cli.options import say
from mixjobs.errors import InvalidInput


def info(args: Namespace) -> dict[str, Any]:
    """Describe a library or a store."""
    from mixjobs.report.console import print_facts
    from mixjobs.report.info import describe_path

    facts = describe_path(args.path)
    if not args.json:
        print_facts(facts)
    return facts


def status(args: Namespace) -> dict[str, Any]:
    """Show the progress of a build."""
    from mixjobs.inference.run_folder import is_run
    from mixjobs.report.console import print_facts
    from mixjobs.report.status import job_status, stage_line

    if is_run(args.store):
        raise InvalidInput(
            f"{args.store}: this is a run, not a store; use mixjobs summary {args.store}",
            path=args.store,
        )
    facts = job_status(Path(args.store))
    if not args.json:
        stages = facts.get("stages", {})
        lines = {name: stage_line(stage) for name, stage in stages.items()}
        print_facts({**{k: v for k, v in facts.items() if k != "stages"}, **lines})
    return facts


def check(args: Namespace) -> dict[str, Any]:
    """Check the invariants of a store, and the errors at held-out grid points."""
    from mixjobs.report.check import check_store, print_check

    result = check_store(args.store)
    if not args.json:
        print_check(result)
    if result.broken:
        broken = ", ".join(result.broken)
        say(f"mixjobs: {args.store}: does not satisfy {broken}; build the store again")
    return result.to_dict()


def ratio(args: Namespace) -> dict[str, Any]:
    """Print the flux ratio of component 2 to component 1 in every order."""
    from mixjobs.report.store import ratio_table
    from mixjobs.store.ratios import evaluate_ratios

    ratios = evaluate_ratios(args.store, args.theta1, args.theta2, args.method)
    if not args.json:
        Console().print(ratio_table(ratios.orders, ratios.q, ratios.direct))
    return ratios.to_dict()
