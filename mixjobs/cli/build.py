"""``mixjobs build``: a store, from options or from a job file."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from mixjobs.builder.job import build_job, finished_store, plan_job
from mixjobs.cli.options import parse_columns, parse_names, parse_select, say
from mixjobs.cli.signals import is_told, stop_if_told
from mixjobs.cluster.client import named_cluster
from mixjobs.config.build import BuildConfig, EmulatorConfig, make_build_job, read_build_job
from mixjobs.display import counted
from mixjobs.errors import InvalidInput, OutputExists
from mixjobs.library.base import DOUBT_ADVICE
from mixjobs.progress_bar import reporter
from mixjobs.report.console import print_facts
from mixjobs.report.emulator import emulator_line
from mixjobs.report.status import job_status, progress_line
from mixjobs.store.emulator import emulated_orders
from mixjobs.store.format import Store, partial_path

_KEYS = (
    "output", "format", "flux_unit", "wavelength_unit", "medium", "flux_scale", "block", "dtype",
    "table", "holes", "overwrite", "workers", "serial", "scheduler",
)  # fmt: skip
_WITH_A_FILE = {"cluster", "overwrite"}


def build(args: Namespace) -> None:
    """Build a store, or print what the build would do."""
    job = job_from(args)
    if args.dry_run:
        plan = plan_job(job, say)
        print_facts(plan.facts())
        try:
            finished_store(plan, Path(job.output), job.overwrite, say)
        except OutputExists as error:
            say(f"would be refused: {error}")
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
    say(f"flux level: {store.attributes['flux_level']}")
    if store.attributes["absolute_flux_doubt"]:
        say(f"absolute flux: {store.attributes['absolute_flux_doubt']}; {DOUBT_ADVICE}")
    if emulated_orders(store.path):
        say(emulator_line(store))
    say(f"{store.path}: {counted(len(store.orders), 'order')}, {len(store.grid)} points; complete")
    return store


def job_from(args: Namespace) -> BuildConfig:
    """Return the job of a file, or of the options."""
    given = {name: getattr(args, name) for name in _KEYS if getattr(args, name) is not None}
    orders = _orders_from(args)
    options = {name: getattr(args, name) for name in EmulatorConfig.model_fields}
    options = {name: value for name, value in options.items() if value is not None}
    if args.emulator or options:
        given["emulator"] = options
    if args.names:
        given["names"] = parse_names(args.names)
    if args.cluster is not None:
        given["cluster"] = named_cluster(args.cluster)
    job_files = [path for path in args.source if path.endswith(".toml")]
    if job_files:
        return _job_of_file(job_files[0], args, given, orders)
    if args.output is None:
        raise InvalidInput("no output; name the store to write with --output", name="output")
    given["select"] = parse_select(args.select or ())
    library = args.source if len(args.source) > 1 else args.source[0]
    data = {"library": library, "orders": orders, **given}
    return make_build_job(data, "mixjobs build")


def _job_of_file(
    path: str, args: Namespace, given: dict[str, Any], orders: dict[str, Any]
) -> BuildConfig:
    """Return the job of a file; refuse options and libraries, which belong in the file."""
    extra = sorted({*given, *orders, *(["select"] if args.select else [])} - _WITH_A_FILE)
    extra += ["library"] if len(args.source) > 1 else []
    if extra:
        raise InvalidInput(
            f"{path}: set {', '.join(extra)} in this job file, not as options; only "
            "--cluster, --overwrite and --dry-run can be added to a job file",
            path=path,
            name=extra[0],
        )
    return read_build_job(path).model_copy(update=given)


def _orders_from(args: Namespace) -> dict[str, Any]:
    orders = {
        "from": _only_or_all(args.orders_from),
        "numbers": args.numbers,
        "columns": None if args.orders_columns is None else parse_columns(args.orders_columns),
        "wavelength_unit": args.orders_wavelength_unit,
        "n": args.n_orders,
        "range": args.range,
        "edges": args.edges,
        "table": args.order_table,
        "medium": args.orders_medium,
        "margin": args.margin,
        "skip_uncovered": args.skip_uncovered,
    }
    return {name: value for name, value in orders.items() if value is not None}


def _only_or_all(paths: list[str] | None) -> str | list[str] | None:
    """Return a single path as such, for messages."""
    return paths[0] if paths and len(paths) == 1 else paths
