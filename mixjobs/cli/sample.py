"""``mixjobs sample``: from a job file to the posterior of a mixture's parameters."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.cli.build import named_cluster
from mixjobs.cli.client import client_of, n_workers
from mixjobs.cli.options import say
from mixjobs.cli.signals import stop_if_told
from mixjobs.cli.summary import summary
from mixjobs.config.cluster import ClusterConfig
from mixjobs.config.sample import SampleConfig, absolute, read_sample_job
from mixjobs.errors import InvalidInput, OutputExists
from mixjobs.files import disk_faults_named, write_whole
from mixjobs.inference.job import identity, load_log_probability, walkers
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.model_comparison import compare
from mixjobs.inference.optimum import find_starts, start_walkers
from mixjobs.inference.posterior import make_posterior, write_posterior
from mixjobs.inference.run import (
    POSTERIOR,
    SINGLE,
    START,
    RunFolder,
    best_theta,
    is_run,
    read_start,
)
from mixjobs.inference.sampler import sample as run_sampling
from mixjobs.report.job import data_table, parameter_table, print_tables
from mixjobs.report.progress_bar import reporter
from mixjobs.report.sampling_bar import sampling_reporter
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from distributed import Client

_WORKERS_SECONDS = 60  # to wait for all workers, which have their shares of the orders for good


def sample(args: Namespace) -> None:
    """Sample the posterior of a job, or go on with it."""
    if args.resume and args.overwrite:
        raise InvalidInput("--resume goes on with a run, --overwrite begins anew; give only one")
    job = read_sample_job(args.job)
    table = cluster_of(args, job)
    path = Path(job.output)
    if not args.dry_run:
        check_folder(path, args)
    with client_of(None if args.dry_run else table, path) as client:
        _await_workers(client, table)
        log_probability = load_log_probability(job, client)
        announce(job, log_probability, args.dry_run)
        if args.dry_run:
            if args.resume and is_run(path):
                RunFolder.resume(path, identity(job, log_probability))
            return
        run = open_run(path, job, log_probability, args)
        with run.locked():
            with nothing_left(run):
                sampled, start = started(run, job, log_probability)
            go_on(run, job, sampled, start)
            conclude(run, job, log_probability, sampled, client)


def cluster_of(args: Namespace, job: SampleConfig) -> ClusterConfig | None:
    """Return the cluster that is asked for; None for this process."""
    given = [name for name in ("workers", "serial", "cluster") if getattr(args, name)]
    if len(given) > 1:
        raise InvalidInput(f"give only one of {', '.join('--' + name for name in given)}")
    if args.serial:
        return None
    if args.cluster is not None:
        return named_cluster(args.cluster)
    return ClusterConfig(workers=args.workers) if args.workers else job.cluster


def _await_workers(client: Client | None, table: ClusterConfig | None) -> None:
    """Wait a while for all workers: orders are shared out among those that are there."""
    if client is None or table is None or table.kind == "address":
        return
    with suppress(TimeoutError):
        client.wait_for_workers(n_workers(table), timeout=_WORKERS_SECONDS)


def check_folder(path: Path, args: Namespace) -> None:
    """Refuse a run that is there already, unless it is to be resumed or replaced."""
    there = is_run(path)
    if there and not (args.resume or args.overwrite):
        raise OutputExists(f"{path}: holds a run already; --resume to go on, or --overwrite")
    if path.exists() and not there and any(path.iterdir() if path.is_dir() else [path]):
        raise OutputExists(f"{path}: is there and is no run folder; name another output")


def announce(job: SampleConfig, log_probability: LogProbability, dry_run: bool) -> None:
    """Say what was read and noticed, and print data and parameters, before anything is started."""
    for note in log_probability.notes:
        say(note)
    tables = data_table(log_probability.plan), parameter_table(log_probability.parameters)
    print_tables(*tables, results=dry_run)
    n, walking = len(log_probability.plan.orders), walkers(job, log_probability)
    ensembles, most = job.sampling.ensembles, job.sampling.max_steps
    say(f"{n} order(s), {ensembles} ensembles of {walking} walkers, at most {most} steps")
    plan, noise = log_probability.plan, "correlated" if job.noise.correlated else "diagonal"
    settings = ", ".join(f"{name} {value}" for name, value in plan.options.items() if value)
    say(f"{settings}; emulator's error {'in' if plan.emulator_error else 'not in'} the covariance; "
        f"{noise} noise; continuum sigma {job.continuum.prior_sd:g}; seed {job.seed}")  # fmt: skip


def open_run(
    path: Path, job: SampleConfig, log_probability: LogProbability, args: Namespace
) -> RunFolder:
    """Make the run folder, or open it to go on."""
    known = identity(job, log_probability)
    if args.overwrite and is_run(path):
        with RunFolder.open(path).locked():
            shutil.rmtree(path / "steps")
        shutil.rmtree(path)
    if is_run(path):
        return RunFolder.resume(path, known)
    versions = {name: version(name) for name in ("mixjobs", "numpy", "scipy", "emcee", "celerite2")}
    notes = {"job": absolute(job).model_dump(mode="json"), "versions": versions}
    return RunFolder.create(path, known, notes)


@contextmanager
def nothing_left(run: RunFolder) -> Iterator[None]:
    """Remove a run that could not begin: the job is to be mended, and would be another one."""
    try:
        yield
    except InvalidInput:
        if run.last_step() is None:
            shutil.rmtree(run.path)
        raise


def started(
    run: RunFolder, job: SampleConfig, free: LogProbability
) -> tuple[LogProbability, Floats | None]:
    """Look for the optimum, or read it; fix what is to stay there, and place the walkers."""
    if not (run.path / START).exists():
        _write_start(run, job, free)
    known = read_start(run)
    log_probability = free
    for name, value in known["fixed"].items():
        log_probability = log_probability.fix(name, value)
    if run.last_step() is not None:
        return log_probability, None
    names = log_probability.names
    starts = np.array([[start[name] for name in names] for start in known["starts"]])
    return log_probability, start_walkers(log_probability, starts, walkers(job, free), job.seed)


def _write_start(run: RunFolder, job: SampleConfig, free: LogProbability) -> None:
    with reporter("generations") as show:

        def report(stage: str, done: int, total: int) -> None:
            show(stage, done, total)
            stop_if_told()

        found = find_starts(free, job.sampling.ensembles, job.seed, report)
    starts = [dict(zip(free.names, start, strict=True)) for start in found.tolist()]
    heights = free(found).tolist()
    best = int(np.argmax(heights))
    fixed = {name: starts[best][name] for name in free.parameters.optimum}
    content = {"theta": starts[best], "log_probability": heights[best], "fixed": fixed}
    _write_json(run, START, content | {"starts": starts})
    for height, start in zip(heights, starts, strict=True):
        said = ", ".join(f"{name} {value:.5g}" for name, value in start.items())
        say(f"start: ln P = {height:.2f} at {said}")


def _write_json(run: RunFolder, name: str, content: dict[str, Any]) -> None:
    with disk_faults_named(run.path):
        write_whole(run.path / name, json.dumps(content, indent=1).encode())


def go_on(
    run: RunFolder, job: SampleConfig, log_probability: LogProbability, start: Floats | None
) -> None:
    """Sample until the chain is long enough, or at its limit; say how far it came if stopped."""
    try:
        with sampling_reporter() as report:
            judged = run_sampling(
                log_probability.by_order, run, start,
                bounds=log_probability.parameters.bounds, checkpoint=job.sampling.checkpoint,
                max_steps=job.sampling.max_steps, report=report, stop=stop_if_told,
            )  # fmt: skip
    except KeyboardInterrupt:
        say(f"{run.path}: {run.last_step() or 0} steps done and kept; --resume goes on")
        raise
    if not judged.enough:
        say(f"{run.path}: {judged.n_steps} steps, the limit, and not long enough: {judged.lacks}; "
            "raise max_steps and go on with --resume")  # fmt: skip


def conclude(
    run: RunFolder, job: SampleConfig, free: LogProbability, sampled: LogProbability,
    client: Client | None,
) -> None:  # fmt: skip
    """Compare with one component, write the posterior, and print the summary."""
    say("comparing with one component, and writing the posterior")
    chain = run.chain()
    if chain.n_steps:
        best = dict(zip(sampled.names, best_theta(chain).tolist(), strict=True))
        best |= read_start(run)["fixed"]
        theta = np.array([best[name] for name in free.names])
        compared = compare(free, theta, job.seed, client)
        if compared is not None:
            _write_json(run, SINGLE, compared.to_dict())
    write_posterior(run.path / POSTERIOR, make_posterior(run, sampled))
    summary(Namespace(run=str(run.path), json=False))
