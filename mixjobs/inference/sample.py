"""A sampling job: search, sampling, model comparison and posterior."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mixjobs.config.sample import SampleConfig, absolute, read_sample_job
from mixjobs.errors import InvalidInput, JobFailed, MixjobsError, OutputExists, StoreLocked
from mixjobs.files import refuse_inside
from mixjobs.inference.first_draws import hold_order_noise, noise_content
from mixjobs.inference.job import has_order_noise, identity, load_free_log_probability, n_walkers
from mixjobs.inference.limit import limit_curve, with_limit
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.medium_hint import MEDIUM_SHIFT, MediumShift
from mixjobs.inference.model_comparison import compare
from mixjobs.inference.optimum import find_starts, optimum_values, start_walkers
from mixjobs.inference.posterior import make_posterior, write_posterior
from mixjobs.inference.run import Run, fixed_at_optimum, verify
from mixjobs.inference.run_folder import COMPARISON, NOISE, POSTERIOR, START, RunFolder, is_run
from mixjobs.inference.sampler import Progress, run_ensembles
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from distributed import Client

    from mixjobs.inference.order_noise import OrderNoise

_VERSIONS = ("mixjobs", "numpy", "scipy", "emcee", "celerite2")


class SampleReport:
    """Callbacks of a sampling job; a subclass overrides those it needs. This class prints nothing.

    An exception that a method raises ends the job, like Ctrl-C. The run can be resumed.
    """

    def loaded(self, job: SampleConfig, log_probability: LogProbability) -> None:
        """The data and the model are loaded."""

    def searching(self, done: int, total: int) -> None:
        """The search for the optimum has finished `done` of at most `total` generations."""

    def starting(self, starts: Sequence[dict[str, float]], heights: Sequence[float]) -> None:
        """The search has ended; `starts` and `heights` hold each ensemble's start and its ln P."""

    def holding(self, noise: Sequence[OrderNoise]) -> None:
        """The noise of each order has been found, and is held from now on."""

    def hinting(self, hint: str) -> None:
        """The optimum suggests an error in the input, which `hint` describes."""

    def sampling(self, progress: Progress) -> None:
        """A step has been completed."""

    def concluding(self) -> None:
        """Sampling has ended; the model comparison and the posterior follow."""

    def close(self) -> None:
        """The job has ended, or failed."""


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
    limit. It then compares one component with all, and writes the posterior.

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
        folder = _open_folder(config, free, overwrite)
        with folder.locked():
            return _sample(folder, config, free, client, reporter)
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


def _open_folder(job: SampleConfig, free: LogProbability, overwrite: bool) -> RunFolder:
    """Create the run folder, or open it to resume the run."""
    path = Path(job.output)
    chain_identity = identity(job, free)
    if overwrite and is_run(path):
        with RunFolder.open(path).locked():
            shutil.rmtree(path / "steps")
        shutil.rmtree(path)
    if is_run(path):
        folder = RunFolder.resume(path, chain_identity)
        verify(folder)
        return folder
    versions = {name: version(name) for name in _VERSIONS}
    notes = {
        "job": absolute(job).model_dump(mode="json"),
        "versions": versions,
        "assumptions": list(free.notes),
        "holes": [report.to_dict() for report in free.holes],
        MEDIUM_SHIFT: MediumShift.of(free.parameters, free.plan).to_dict(),
    }
    return RunFolder.create(path, chain_identity, notes)


def _sample(
    folder: RunFolder,
    job: SampleConfig,
    free: LogProbability,
    client: Client | None,
    report: SampleReport,
) -> Run:
    with _removed_if_unusable(folder):
        sampled, start = _find_start(folder, job, free, report)
        run_ensembles(
            sampled.by_order, folder, start, bounds=sampled.parameters.bounds,
            checkpoint=job.sampling.checkpoint, max_steps=job.sampling.max_steps,
            report=report.sampling,
        )  # fmt: skip
    report.concluding()
    chain = folder.chain()
    if chain.n_steps:
        comparison = compare(sampled, chain, job.seed, client)
        if comparison is not None:
            folder.write_json(COMPARISON, comparison.to_dict())
    posterior = make_posterior(folder, sampled)
    curve = limit_curve(sampled, chain, job.seed) if chain.n_steps else None
    if curve is not None:
        posterior = with_limit(posterior, curve)
    write_posterior(folder.path / POSTERIOR, posterior)
    return Run(folder, sampled if client is None else None)


@contextmanager
def _removed_if_unusable(folder: RunFolder) -> Iterator[None]:
    """Remove a run that cannot start, because the corrected job will be a different run."""
    try:
        yield
    except (JobFailed, StoreLocked):  # the same job may succeed later
        raise
    except MixjobsError:
        if not folder.last_step():  # no step beyond the walkers' initial positions
            shutil.rmtree(folder.path)
        raise


def _find_start(
    folder: RunFolder, job: SampleConfig, free: LogProbability, report: SampleReport
) -> tuple[LogProbability, Floats | None]:
    """Search for the optimum or read it, fix parameters at it, and place the walkers."""
    if not (folder.path / START).exists():
        _search(folder, job, free, report)
    sampled, walkers = fixed_at_optimum(folder, free), n_walkers(job, free)
    if folder.last_step() is not None:
        return sampled, None
    starts = _starts(folder.start(), sampled.names)
    if has_order_noise(job, free):
        noise = folder.read_json(NOISE)
        if noise is None:
            sampled, starts = hold_order_noise(sampled, free.parameters, starts, walkers, job.seed)
            folder.write_json(NOISE, noise_content(sampled, starts))
            report.holding(sampled.noise)
        else:
            starts = _starts(noise, sampled.names)
    return sampled, start_walkers(sampled, starts, walkers, job.seed)


def _starts(content: Mapping[str, Any], names: Sequence[str]) -> Floats:
    return np.array([[start[name] for name in names] for start in content["starts"]])


def _search(
    folder: RunFolder, job: SampleConfig, free: LogProbability, report: SampleReport
) -> None:
    x = find_starts(
        free, job.sampling.ensembles, job.seed,
        lambda _stage, done, total: report.searching(done, total),
    )  # fmt: skip
    starts = [dict(zip(free.names, start, strict=True)) for start in x.tolist()]
    heights = free(x).tolist()
    best = int(np.argmax(heights))
    fixed = optimum_values(free, x)
    content = {"optimum": starts[best], "log_probability": heights[best], "fixed": fixed}
    folder.write_json(START, content | {"starts": starts})
    report.starting(starts, heights)
    for hint in MediumShift.of(free.parameters, free.plan).hints(starts[best]):
        report.hinting(hint)
