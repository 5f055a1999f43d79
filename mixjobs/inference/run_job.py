"""A sampling job: search, sampling, model comparison and posterior."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.config.sample import SampleConfig, absolute
from mixjobs.errors import JobFailed, MixjobsError, StoreLocked
from mixjobs.inference.job import has_order_noise, identity, n_walkers, pixels_needed
from mixjobs.inference.limit import limit_curve, with_limit
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.medium_hint import MEDIUM_SHIFT, MediumShift
from mixjobs.inference.model_comparison import compare
from mixjobs.inference.optimum import find_starts, optimum_values, start_walkers
from mixjobs.inference.posterior import make_posterior, write_posterior
from mixjobs.inference.preparation import (
    CompressionCheck,
    Preparation,
    check_compression,
    hold_order_noise,
    prepare_compressed,
)
from mixjobs.inference.run import Run, fixed_at_optimum, stored_preparation, verify
from mixjobs.inference.run_folder import COMPARISON, NOISE, POSTERIOR, START, RunFolder, is_run
from mixjobs.inference.sample_report import SampleReport
from mixjobs.inference.sampler import run_ensembles

if TYPE_CHECKING:
    from distributed import Client

_VERSIONS = ("mixjobs", "numpy", "scipy", "emcee", "celerite2")


def run_job(
    job: SampleConfig,
    free: LogProbability,
    client: Client | None = None,
    report: SampleReport | None = None,
    *,
    overwrite: bool = False,
) -> Run:
    """Sample a job into its run folder, or continue the run that exists.

    Parameters
    ----------
    job : SampleConfig
    free : LogProbability
        From `mixjobs.inference.job.load_free_log_probability`.
    client : Client, optional
        With which `free` was loaded.
    report : SampleReport, optional
    overwrite : bool
        Replace the run if it exists.

    Raises
    ------
    InvalidInput, JobFailed, StoreLocked
        As `mixjobs.sample` does.
    """
    folder = _open_folder(job, free, overwrite)
    with folder.locked():
        return _sample(folder, job, free, client, report or SampleReport())


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
        preparation = _prepared(folder, job, free, client, report)
        target, check = _sample_steps(folder, job, preparation, client, report)
    if check is not None:
        report.checked(check)
    report.concluding()
    chain, exact = folder.chain(), preparation.log_probability
    if chain.n_steps:
        compressed = preparation.compression is not None
        comparison = compare(exact, chain, job.seed, client, compressed=compressed)
        if comparison is not None:
            folder.write_json(COMPARISON, comparison.to_dict())
    posterior = make_posterior(folder, target, check)
    curve = limit_curve(target, chain, job.seed) if chain.n_steps else None
    if curve is not None:
        posterior = with_limit(posterior, curve)
    write_posterior(folder.path / POSTERIOR, posterior)
    return Run(folder, exact if client is None else None)


def _sample_steps(
    folder: RunFolder,
    job: SampleConfig,
    preparation: Preparation,
    client: Client | None,
    report: SampleReport,
) -> tuple[LogProbability, CompressionCheck | None]:
    """Sample until the chain ends and, without pixels, agrees with the exact log-probability."""
    while True:
        target, start = preparation.target(), None
        if folder.last_step() is None:
            walkers = n_walkers(job, preparation.log_probability)
            start = start_walkers(target, preparation.starts, walkers, job.seed)
        run_ensembles(
            target.by_order if preparation.compression is None else target.total, folder, start,
            bounds=target.parameters.bounds, checkpoint=job.sampling.checkpoint,
            max_steps=job.sampling.max_steps, report=report.sampling,
            client=None if preparation.compression is None else client,
        )  # fmt: skip
        if preparation.compression is None or not folder.last_step():
            return target, None
        check = check_compression(preparation, target, folder.chain(), job.seed)
        if check.passed:
            return target, check
        report.repeating(check)
        preparation = check.improved(preparation)
        folder.restart(preparation.to_dict())


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


def _prepared(
    folder: RunFolder,
    job: SampleConfig,
    free: LogProbability,
    client: Client | None,
    report: SampleReport,
) -> Preparation:
    """Find optimum, noise and boxes, or read them."""
    stored = (folder.path / START).exists() and (folder.path / NOISE).exists()
    if not stored and not pixels_needed(job, free):
        return _prepare_compressed(folder, job, free, client, report)
    if not (folder.path / START).exists():
        _search(folder, job, free, report)
    fixed = fixed_at_optimum(folder, free)
    preparation = stored_preparation(folder, fixed)
    if preparation is None:
        starts = [[start[name] for name in fixed.names] for start in folder.start()["starts"]]
        preparation = Preparation(fixed, np.array(starts))
        if has_order_noise(job, free):
            preparation = hold_order_noise(
                fixed, free, preparation.starts, n_walkers(job, free), job.seed
            )
            report.holding(preparation.log_probability.noise)
        folder.write_json(NOISE, preparation.to_dict())
    return preparation


def _prepare_compressed(
    folder: RunFolder,
    job: SampleConfig,
    free: LogProbability,
    client: Client | None,
    report: SampleReport,
) -> Preparation:
    preparation = prepare_compressed(
        free, job.sampling.ensembles, n_walkers(job, free), job.seed,
        lambda _stage, done, total: report.searching(done, total), client,
    )  # fmt: skip
    exact = preparation.log_probability
    starts = [dict(zip(exact.names, x, strict=True)) for x in preparation.starts.tolist()]
    heights = exact(preparation.starts).tolist()
    fixed = {name: exact.parameters.rules[name] for name in free.parameters.optimum}
    _write_start(folder, starts, heights, fixed)
    folder.write_json(NOISE, preparation.to_dict())
    report.starting(starts, heights)
    if exact.noise:
        report.holding(exact.noise)
    _hint(free, starts[int(np.argmax(heights))], report)
    return preparation


def _write_start(
    folder: RunFolder,
    starts: Sequence[Mapping[str, float]],
    heights: Sequence[float],
    fixed: Mapping[str, Any],
) -> None:
    best = int(np.argmax(heights))
    content = {"optimum": starts[best], "log_probability": heights[best], "fixed": fixed}
    folder.write_json(START, content | {"starts": starts})


def _hint(free: LogProbability, best: Mapping[str, float], report: SampleReport) -> None:
    for hint in MediumShift.of(free.parameters, free.plan).hints(best):
        report.hinting(hint)


def _search(
    folder: RunFolder, job: SampleConfig, free: LogProbability, report: SampleReport
) -> None:
    x = find_starts(
        free, job.sampling.ensembles, job.seed,
        lambda _stage, done, total: report.searching(done, total),
    )  # fmt: skip
    starts = [dict(zip(free.names, start, strict=True)) for start in x.tolist()]
    heights = free(x).tolist()
    _write_start(folder, starts, heights, optimum_values(free, x))
    report.starting(starts, heights)
    _hint(free, starts[int(np.argmax(heights))], report)
