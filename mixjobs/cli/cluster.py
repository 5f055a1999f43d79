"""``mixjobs cluster``: test a cluster, or show how its workers are started."""

from __future__ import annotations

from argparse import Namespace

from mixjobs.cli.options import say
from mixjobs.cluster.client import first_workers, named_cluster, start_command


def cluster(args: Namespace) -> None:
    """Start a cluster, print where its first workers run, and leave; or show how they start."""
    config = named_cluster(args.cluster)
    if args.show:
        print(start_command(config), end="")
        return
    for line in first_workers(config, say):
        print(line)
