"""``mixjobs build``: a store, from options or from a job file."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mixjobs.builder.job import build_job, plan_job
from mixjobs.cli.options import parse_select, say
from mixjobs.cli.signals import is_told, stop_if_told
from mixjobs.cluster.client import named_cluster
from mixjobs.config.build import BuildConfig, EmulatorConfig, make_build_job, read_build_job
from mixjobs.errors import InvalidInput
from mixjobs.progress_bar import reporter
from mixjobs.report.console import print_facts
from mixjobs.report.emulator import emulator_line
from mixjobs.report.status import job_status, progress_line
from mixjobs.store.emulator import emulated_orders
from mixjobs.store.format import Store, partial_path

_KEYS = (
    "output", "format", "block", "dtype", "table", "assume_raw", "overwrite", "workers", "serial",
    "scheduler",
)  # fmt: skip
_WITH_A_FILE = {"cluster", "overwrite"}


def build(args: Namespace) -> None:
    """Build a store, or print what the build would do."""
    job = job_from(args)
    if args.dry_run:
        print_facts(plan_job(job, say).facts())
        return
    run(job)


def run(job: BuildConfig) -> Store:
    """Build a store and print its progress; on a signal, print how far the build is."""
    try:
        with reporter() as show:

            def report(stage: str, done: int, total: int) -> None:
                show(stage, done, total)
                stop_if_told()

            store = build_job(job, report=report, note=say)
    except BaseException as fault:
        stopped = isinstance(fault, KeyboardInterrupt) or is_told()
        if stopped and partial_path(job.output).is_dir():
            say(f"{job.output}: {progress_line(job_status(Path(job.output)))}")
        raise
    say(f"flux level: {store.attributes['raw_numbers']}")
    if emulated_orders(store.path):
        say(emulator_line(store))
    say(f"{store.path}: {len(store.orders)} orders, {len(store.grid)} points; complete")
    return store


def job_from(args: Namespace) -> BuildConfig:
    """Return the job of a file, or of the options."""
    given = {name: getattr(args, name) for name in _KEYS if getattr(args, name) is not None}
    orders = _orders_from(args)
    options = {name: getattr(args, name) for name in EmulatorConfig.model_fields}
    options = {name: value for name, value in options.items() if value is not None}
    if args.emulator or options:
        given["emulator"] = options
    if args.cluster is not None:
        given["cluster"] = named_cluster(args.cluster)
    if args.source.endswith(".toml"):
        extra = sorted({*given, *orders, *(["select"] if args.select else [])} - _WITH_A_FILE)
        if extra:
            raise InvalidInput(
                f"{args.source}: set {', '.join(extra)} in this job file, not as options; only "
                "--cluster, --overwrite and --dry-run can be added to a job file",
                path=args.source,
                name=extra[0],
            )
        return read_build_job(args.source).model_copy(update=given)
    if args.output is None:
        raise InvalidInput("no output; name the store to write with --output", name="output")
    given["select"] = parse_select(args.select or ())
    data = {"library": args.source, "orders": orders, **given}
    return make_build_job(data, "mixjobs build")


def _orders_from(args: Namespace) -> dict[str, Any]:
    orders = {
        "from": args.orders_from,
        "numbers": args.numbers,
        "n": args.n_orders,
        "range": args.range,
        "edges": args.edges,
        "table": args.order_table,
        "skip_uncovered": args.skip_uncovered,
    }
    return {name: value for name, value in orders.items() if value is not None}
