"""Sample the posterior of a job."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mixjobs.config.sample import SampleConfig, read_sample_job
from mixjobs.errors import InvalidInput, OutputExists
from mixjobs.files import refuse_inside
from mixjobs.inference.by_order import fit_orders
from mixjobs.inference.job import load_free_log_probability
from mixjobs.inference.run import Run
from mixjobs.inference.run_folder import is_run
from mixjobs.inference.run_job import run_job
from mixjobs.inference.sample_report import SampleReport

if TYPE_CHECKING:
    from distributed import Client


def sample(
    job: str | Path | SampleConfig,
    client: Client | None = None,
    report: SampleReport | Literal[False] | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> Run:
    """Sample the posterior of a job, and write it into a run folder.

    The job searches for the optimum, and samples until the chain has converged or reaches its
    limit. It then compares one component with all, and writes the posterior. With ``by_order`` in
    the job, it also fits every order on its own, and pools the results.

    The chain depends only on the job and its seed. It is the same, bit for bit, after an
    interruption and on any number of workers.

    Parameters
    ----------
    job : str, Path or SampleConfig
        A job file, or its contents.
    client : Client, optional
        A Dask client. Its workers evaluate the orders, and must be able to read the store. None
        evaluates in this process.
    report : SampleReport or False, optional
        Called as the job proceeds. By default, progress is shown on standard error; False shows
        nothing.
    resume : bool
        Continue the run if it exists.
    overwrite : bool
        Replace the run if it exists.

    Returns
    -------
    Run

    Raises
    ------
    InvalidInput
        The job, the data or the model is invalid, or differs from that of the run to resume.
    OutputExists
        The output exists, and neither `resume` nor `overwrite` is set, or it is not a run folder.
    JobFailed
        The log-probability is NaN, or the disk is full.
    StoreLocked
        Another live job is sampling into the folder.

    Examples
    --------
    ::

        run = mixjobs.sample("job.toml")
        print(run.summary())
        run.plot.corner(["teff_1", "teff_2", "c"])

        # Continue it with more steps, on a Dask cluster, without progress
        run = mixjobs.sample("job.toml", client, report=False, resume=True)
    """
    config = job if isinstance(job, SampleConfig) else read_sample_job(job)
    check_output(config.output, resume=resume, overwrite=overwrite)
    reporter: SampleReport
    if report is None:
        reporter = import_module("mixjobs.report.job").ConsoleReport()
    else:
        reporter = report or SampleReport()
    try:
        free = load_free_log_probability(config, client)
        reporter.loaded(config, free)
        run = run_job(config, free, client, reporter, overwrite=overwrite)
        if config.sampling.by_order:
            fit_orders(run, free.plan, client, reporter)
        return run
    finally:
        reporter.close()


def check_output(path: str | Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse an output that exists, unless it is a run to be resumed or replaced.

    Raises
    ------
    InvalidInput
        Both `resume` and `overwrite` are set; the output is inside a store or another run, or its
        folder does not exist.
    OutputExists
    """
    if resume and overwrite:
        raise InvalidInput("resume and overwrite exclude each other; choose one", name="resume")
    path = Path(path)
    refuse_inside(path)
    if not path.parent.is_dir():
        raise InvalidInput(
            f"{path}: the folder {path.parent} does not exist; create it first",
            path=path,
            name="output",
        )
    if is_run(path):
        if not (resume or overwrite):
            raise OutputExists(
                f"{path}: this run already exists; resume it, allow overwriting, or choose another "
                "output",
                path=path,
                name="resume",
            )
    elif path.exists() and any(path.iterdir() if path.is_dir() else [path]):
        raise OutputExists(
            f"{path}: exists and is not a run; choose another output", path=path, name="output"
        )
