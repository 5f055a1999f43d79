"""``mixjobs build``: from options or a job file to a store."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.builder.job import Job, prepare
from mixjobs.builder.segments import EmulatorSettings
from mixjobs.builder.stages import run as run_job
from mixjobs.cli.client import client_of, n_workers
from mixjobs.cli.options import parse_floats, parse_range, parse_select, say
from mixjobs.cli.signals import is_told, stop_if_told
from mixjobs.config.build import (
    BuildConfig,
    EmulatorConfig,
    OrdersConfig,
    make_build_job,
    read_build_job,
)
from mixjobs.config.cluster import ClusterConfig, make_cluster, read_cluster
from mixjobs.errors import InvalidInput
from mixjobs.library import Library, open_library
from mixjobs.model.emulator import Accuracy
from mixjobs.observed.spectrum import open_spectrum
from mixjobs.orders import Orders
from mixjobs.report.console import print_facts
from mixjobs.report.emulator import emulator_line
from mixjobs.report.progress_bar import reporter
from mixjobs.report.status import job_status, progress_line
from mixjobs.store.format import Store, is_group, open_store, partial_path
from mixjobs.store.partial import check_not_in_use, check_output
from mixjobs.wavelengths import SPEED_OF_LIGHT

# Options that are keys of a job file too.
_SAME = (
    "output", "format", "block", "dtype", "table", "assume_raw", "overwrite", "workers", "serial",
    "scheduler",
)  # fmt: skip
_EMULATOR = (
    "max_rv", "max_vsini", "min_resolution", "step", "short_buffer",
    "explained_variance", "max_residual", "max_rank", "rank",
)  # fmt: skip
_ACCURACY = ("explained_variance", "max_residual", "max_rank", "rank")
_BESIDE_A_FILE = {"cluster", "overwrite"}


def build(args: Namespace) -> None:
    """Build a store, or print what would be done."""
    job = job_from(args)
    path = Path(job.output)
    there = is_group(path) and not job.overwrite
    if not (args.dry_run or there):
        check_output(path, job.overwrite)
        check_not_in_use(path)
    planned, source = plan(job)
    if args.dry_run:
        print_facts(dry_run_facts(planned, n_workers(job.where)))
        return
    if there and open_store(path).attributes.get("identity") == planned.attributes["identity"]:
        say(f"{path}: complete already, made by this very job; nothing to do")
        return
    check_output(path, job.overwrite)
    store = run(job, planned, source)
    say(f"{store.path}: {len(store.orders)} orders, {len(store.grid)} points; done")


def job_from(args: Namespace) -> BuildConfig:
    """Read the job from its file, or from the options."""
    given = {name: getattr(args, name) for name in _SAME if getattr(args, name) is not None}
    orders = _orders_from(args)
    emulator = {n: getattr(args, n) for n in _EMULATOR if getattr(args, n) is not None}
    if args.emulator or emulator:
        given["emulator"] = emulator
    if args.cluster is not None:
        given["cluster"] = named_cluster(args.cluster)
    if args.source.endswith(".toml"):
        extra = sorted({*given, *orders, *(["select"] if args.select else [])} - _BESIDE_A_FILE)
        if extra:
            raise InvalidInput(
                f"{args.source}: with a job file, only --cluster, --overwrite and --dry-run may be "
                f"given beside it, not {', '.join(extra)}; put it into the file"
            )
        return read_build_job(args.source).model_copy(update=given)
    if args.output is None:
        raise InvalidInput("no store is named; give -o STORE")
    given["select"] = parse_select(args.select or ())
    data = {"library": args.source, "orders": orders, **given}
    return make_build_job(data, "mixjobs build")


def named_cluster(name: str) -> ClusterConfig:
    """Return the cluster of a TOML file, or of a kind with nothing else asked for."""
    if name.endswith(".toml"):
        return read_cluster(name)
    return make_cluster({"kind": name}, f"--cluster {name} (a kind, or a file FILE.toml)")


def _orders_from(args: Namespace) -> dict[str, Any]:
    orders = {
        "from": args.orders_from,
        "numbers": args.numbers,
        "n": args.n_orders,
        "range": args.range and parse_range(args.range),
        "edges": args.edges and parse_floats(args.edges),
        "table": args.order_table,
        "skip_uncovered": args.skip_uncovered,
    }
    return {name: value for name, value in orders.items() if value is not None}


def choose_orders(table: OrdersConfig, library: Library) -> tuple[Orders, str]:
    """Return the orders of a job, and a sentence on where they come from."""
    orders, source = _named_orders(table, library)
    if table.skip_uncovered:
        dropped = orders.uncovered(library.wavelength)
        if len(dropped) == len(orders):
            raise InvalidInput("the library covers none of the orders; choose others")
        if dropped:
            numbers = ", ".join(str(n) for n in orders.number[dropped])
            say(f"left out {len(dropped)} orders that the library does not cover: {numbers}")
            orders = orders.take(np.delete(np.arange(len(orders)), dropped))
    return orders, source


def _named_orders(table: OrdersConfig, library: Library) -> tuple[Orders, str]:
    if table.from_file is not None:
        return _observed_orders(table.from_file, table.numbers, library)
    if table.n is not None:
        whole = library.wavelength[0], float(np.nextafter(library.wavelength[-1], np.inf))
        low, high = table.range or whole
        text = f"{table.n} equal in log wavelength, {low:.6g} to {high:.6g} Å"
        return Orders.log_spaced(table.n, low, high), text
    if table.edges is not None:
        return Orders.from_edges(table.edges), "edges"
    assert table.table is not None  # the job was validated
    return Orders.from_table(table.table), table.table


def _observed_orders(path: str, numbers: list[int] | None, library: Library) -> tuple[Orders, str]:
    spectrum = open_spectrum(path)
    if spectrum.medium is None:
        medium = f"taken as {library.medium}, like the library's: the file does not say"
    elif spectrum.medium == library.medium or library.medium == "unknown":
        medium = spectrum.medium
    else:
        raise InvalidInput(
            f"{path}: its wavelengths are in {spectrum.medium}, the library's in "
            f"{library.medium}; give the orders' edges in the library's medium"
        )
    say(f"{path}: {len(spectrum.orders)} orders; wavelengths: {medium}")
    for note in spectrum.notes:
        say(f"{path}: {note}")
    orders = spectrum.orders.select(numbers) if numbers else spectrum.orders
    return orders, f"{path} ({medium})"


def plan(job: BuildConfig) -> tuple[Job, str]:
    """Check everything that can be checked before a cluster is started.

    Returns the planned job, and where its orders come from.
    """
    settings = emulator_settings(job.emulator)  # refused before anything is read
    library = open_library(job.library, job.format)
    _say_what(library)
    orders, source = choose_orders(job.orders, library)
    dtype = job.dtype if job.table else None
    planned = prepare(
        library, orders, n_workers(job.where), job.select, job.block, dtype, job.assume_raw,
        settings,
    )  # fmt: skip
    for note in planned.emulator.notes if planned.emulator else ():
        say(f"emulator: {note}")
    return planned, source


def emulator_settings(table: EmulatorConfig | None) -> EmulatorSettings | None:
    """Return what the emulator is made for; None for no emulator."""
    if table is None:
        return None
    given = {name: value for name, value in table if value is not None}
    accuracy = {name: given.pop(name) for name in _ACCURACY if name in given}
    return EmulatorSettings(**given, accuracy=Accuracy(**accuracy))


def run(job: BuildConfig, planned: Job, source: str) -> Store:
    """Run a planned job to its end, saying on standard error how it goes."""
    notes = {"orders_from": source}
    try:
        with client_of(job.where, job.output) as client, reporter() as show:

            def report(stage: str, done: int, total: int) -> None:
                show(stage, done, total)
                stop_if_told()

            store = run_job(
                planned, job.output, client, overwrite=job.overwrite, notes=notes, report=report
            )
    except BaseException as fault:
        stopped = isinstance(fault, KeyboardInterrupt) or is_told()
        if stopped and partial_path(job.output).is_dir():
            say(f"{job.output}: {progress_line(job_status(Path(job.output)))}")
        raise
    say(f"raw by the numbers: {store.attributes['raw_numbers']}")
    if planned.emulator:
        say(emulator_line(store))
    return store


def _say_what(library: Library) -> None:
    grid = library.grid
    holes = "" if grid.is_product else ", irregular"
    if len(grid.holes):
        named = "; ".join(", ".join(f"{v:g}" for v in hole) for hole in grid.holes[:3])
        more = ", ..." if len(grid.holes) > 3 else ""
        holes = f", {len(grid.holes)} hole(s): ({named}){more}"
    say(f"{library.path}: {len(grid)} points in {', '.join(grid.names)}{holes}; {library.medium}")
    say(f"raw or not: {library.flux_calibration.evidence}")


def dry_run_facts(planned: Job, n_workers: int) -> dict[str, Any]:
    """What a job would do and need."""
    plan, orders, emulator = planned.plan, planned.orders, planned.emulator
    n_bytes = plan.table_bytes + 8 * plan.n_points * len(orders)
    seconds = planned.seconds * plan.n_points / n_workers
    return {
        "orders": f"{len(orders)}, {orders.wave_min.min():.6g} to {orders.wave_max.max():.6g} Å",
        "points": f"{plan.n_points} ({len(planned.library.grid.holes)} holes)",
        "raw": f"{planned.library.flux_calibration.evidence}; {planned.looks.how}",
        "tasks of the means": f"{plan.n_tasks}, of {plan.block[0]} orders x {plan.block[1]} points",
        "tasks of the table": str(len(orders) * len(plan.table_rows)),
        "memory of a task": f"about {_size(planned.worker_bytes)}, beyond the program itself",
        "disk": f"{_size(n_bytes)} in about {plan.n_files} files",
        "emulator": emulator
        and f"{emulator.n_orders} orders, {emulator.n_pixels} pixels "
        f"with a buffer of {emulator.settings.buffer * SPEED_OF_LIGHT:.0f} km/s; "
        f"{_size(emulator.scratch_bytes)} of scratch space while it is made, at most "
        f"{_size(emulator.stored_bytes)} in the store",
        "time to read": f"about {seconds:.2g} s with {n_workers} worker(s), at "
        f"{1000 * planned.seconds:.3g} ms a spectrum, once they have started",
    }


def _size(n_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"
