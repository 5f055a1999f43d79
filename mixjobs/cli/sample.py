"""``mixjobs sample``: sample the posterior of a job."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from mixjobs.cli.options import say
from mixjobs.cli.signals import stop_if_told
from mixjobs.cluster.client import job_client, n_workers, named_cluster
from mixjobs.cluster.waiting import await_workers
from mixjobs.config.cluster import ClusterConfig, make_cluster
from mixjobs.config.sample import SampleConfig, read_sample_job
from mixjobs.display import counted
from mixjobs.errors import InvalidInput, OutputExists
from mixjobs.inference.job import identity, load_free_log_probability
from mixjobs.inference.run_folder import RunFolder, is_run
from mixjobs.inference.sample import check_output
from mixjobs.inference.sample import sample as run_sampling
from mixjobs.report.job import ConsoleReport

if TYPE_CHECKING:
    from distributed import Client

_MAX_WAIT = 60  # seconds, for all workers: each keeps its orders until the end


def sample(args: Namespace) -> None:
    """Sample the posterior of a job and print the summary, or continue a run."""
    if args.resume and args.overwrite:
        raise InvalidInput("--resume and --overwrite exclude each other; choose one")
    job = read_sample_job(args.job)
    cluster = cluster_of(args, job)
    if args.dry_run:
        _dry_run(job, resume=args.resume, overwrite=args.overwrite)
        return
    check_output(job.output, resume=args.resume, overwrite=args.overwrite)
    with job_client(cluster, job.output, say) as client:
        _await_workers(client, cluster)
        try:
            run = run_sampling(
                job, client, ConsoleReport(tables=True, stop=stop_if_told),
                resume=args.resume, overwrite=args.overwrite,
            )  # fmt: skip
        except KeyboardInterrupt:
            if is_run(job.output):
                n_steps = RunFolder.open(job.output).last_step() or 0
                say(f"{job.output}: {counted(n_steps, 'step')} kept; --resume continues the run")
            raise
    print(run.summary())


def cluster_of(args: Namespace, job: SampleConfig) -> ClusterConfig | None:
    """Return the cluster from the options or the job; None for this process."""
    given = [name for name in ("workers", "serial", "cluster") if getattr(args, name)]
    if len(given) > 1:
        raise InvalidInput(f"give only one of {', '.join('--' + name for name in given)}")
    if args.serial:
        return None
    if args.cluster is not None:
        return named_cluster(args.cluster)
    if args.workers:
        return make_cluster({"workers": args.workers}, "mixjobs sample")
    return job.cluster


def _await_workers(client: Client | None, cluster: ClusterConfig | None) -> None:
    """Wait for all workers: the orders are distributed among those that have started."""
    if client is None or cluster is None or cluster.kind == "address":
        return
    await_workers(client, n_workers(cluster), timeout=_MAX_WAIT)


def _dry_run(job: SampleConfig, *, resume: bool, overwrite: bool) -> None:
    """Print the data, the parameters and the settings, and check the output; write nothing."""
    log_probability = load_free_log_probability(job)
    ConsoleReport(tables=True, stdout=True).loaded(job, log_probability)
    try:
        check_output(job.output, resume=resume, overwrite=overwrite)
    except OutputExists as error:
        say(f"would be refused: {error}")
    if resume and is_run(job.output):
        RunFolder.resume(job.output, identity(job, log_probability))
