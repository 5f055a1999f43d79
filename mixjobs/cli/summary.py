"""``mixjobs summary``: what a run says of the parameters, and how far it can be trusted."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from mixjobs.inference.run import RunFolder
from mixjobs.report.summary import lines, orders_table, parameters_table, plain, run_facts


def summary(args: Namespace) -> dict[str, Any]:
    """Print medians and intervals, agreement, upper limits, and one component against all."""
    facts = run_facts(RunFolder.open(args.run))
    if not args.json:
        console = Console()
        console.print(parameters_table(facts))
        if facts.of_orders:
            console.print(orders_table(facts))
        for line in lines(facts):
            print(line)
    return plain(facts)
