"""Every order fitted on its own, and the results pooled.

Each order of a run is fitted as a job of its own, with the same model and the same priors, into the
folder `orders` of the run. The orders agree if the model is right; the fits also show which of them
decides the result of the joint fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.config.sample import SampleConfig, absolute
from mixjobs.errors import InvalidInput, OutputExists
from mixjobs.inference.coupling import most_probable_error
from mixjobs.inference.distributed import as_completed
from mixjobs.inference.job import load_free_log_probability, orders_of_all_epochs
from mixjobs.inference.order_likelihoods import LikelihoodPlan
from mixjobs.inference.orders_alone import OrderEstimate, OrderFit, OrdersAlone
from mixjobs.inference.pool import NormalPrior, response
from mixjobs.inference.priors import Dirichlet, Normal, Prior
from mixjobs.inference.run import Run
from mixjobs.inference.run_folder import BY_ORDER
from mixjobs.inference.run_job import run_job
from mixjobs.inference.sample_report import SampleReport
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from distributed import Client

    from mixjobs.inference.sampler import Progress

FOLDER = "orders"

_MAX_DRAWS = 400  # at which the response to the shared error is evaluated
_MAX_WIDTH = 0.8  # of the prior's standard deviation, of an estimate that the data decide
_QUANTILES = (np.arange(1000) + 0.5) / 1000
_OF_ORDER = re.compile(r"_m(\d+)$")  # the name of a parameter of one order


class _OfOneOrder(SampleReport):
    """Show the progress of the fit of one order, but not its details."""

    def __init__(self, report: SampleReport) -> None:
        self._report = report

    def searching(self, done: int, total: int) -> None:
        self._report.searching(done, total)

    def sampling(self, progress: Progress) -> None:
        self._report.sampling(progress)

    def concluding(self) -> None:
        self._report.close()


def fit_orders(
    run: Run, plan: LikelihoodPlan, client: Client | None, report: SampleReport
) -> OrdersAlone:
    """Fit every order of a run on its own, and write the pooled results into the run.

    Fits that exist are continued.

    Parameters
    ----------
    run : Run
        The joint fit.
    plan : LikelihoodPlan
        Of the joint fit.
    client : Client, optional
        Its workers fit the orders, one each. None fits them one after another in this process.
    report : SampleReport

    Raises
    ------
    JobFailed, StoreLocked, OutputExists, UnreadableFile
        As `mixjobs.sample` does. An order whose fit is impossible is listed with the reason.
    """
    folder = run.path / FOLDER
    with run.folder.locked():
        if folder.exists() and not folder.is_dir():
            raise OutputExists(
                f"{folder}: not a folder, but the runs of the orders belong there; remove it",
                path=folder,
            )
        folder.mkdir(exist_ok=True)
        jobs = [order_job(run.job, plan, number, folder) for number in orders_of_all_epochs(plan)]
        fits = []
        for fit in _fitted(jobs, client, report):
            fits.append(fit)
            report.fitted_alone(fit, len(fits), len(jobs))
        alone = OrdersAlone.of(fits)
        run.folder.write_json(BY_ORDER, asdict(alone))
    return alone


def _fitted(
    jobs: Sequence[SampleConfig], client: Client | None, report: SampleReport
) -> Iterator[OrderFit]:
    """Yield the fits as they end."""
    if client is None:
        yield from (fit_order(job, _OfOneOrder(report)) for job in jobs)
        return
    yield from as_completed(client, fit_order, jobs)


def order_job(job: SampleConfig, plan: LikelihoodPlan, number: int, folder: Path) -> SampleConfig:
    """Return the job that fits one order, in all epochs, into a folder of its number."""
    spectra = []
    for epoch, config in enumerate(job.spectra):
        numbers = [order.number for order in plan.orders if order.epoch == epoch]
        widths = {
            name: [values[numbers.index(number)]]
            for name, values in (("resolution", config.resolution), ("fwhm", config.fwhm))
            if isinstance(values, list)
        }
        spectra.append(config.model_copy(update={"orders": [number], **widths}))
    sampled = [number] if number in (job.noise.sample or []) else None
    settings = {
        name: setting
        for name, setting in job.parameters.settings.items()
        if (match := _OF_ORDER.search(name)) is None or int(match[1]) == number
    }
    parts: dict[str, Any] = {
        "output": str(folder / str(number)),
        "spectra": spectra,
        "continuum": job.continuum.model_copy(update={"degree": job.continuum.of_order(number)}),
        "noise": job.noise.model_copy(update={"sample": sampled}),
        "parameters": job.parameters.model_copy(update={"settings": settings}),
        "sampling": job.sampling.model_copy(update={"by_order": False}),
        "cluster": None,
    }
    return absolute(job.model_copy(update=parts))


def fit_order(job: SampleConfig, report: SampleReport | None = None) -> OrderFit:
    """Fit the order of a job from `order_job`; a reason why this is impossible is in the result."""
    [number] = job.spectra[0].orders or [0]
    try:
        run = run_job(job, load_free_log_probability(job), report=report)
    except InvalidInput as error:  # other errors end the job, which can then be resumed
        return OrderFit(number, {}, failure=str(error))
    return OrderFit(number, _estimates(run), run.summary().shortfall)


def _estimates(run: Run) -> dict[str, OrderEstimate]:
    summary, draws = run.summary(), run.posterior["posterior"].to_dataset()
    x = np.stack([draws[name].values.ravel() for name in run.names], axis=1)
    some = x[:: max(1, len(x) // _MAX_DRAWS)]
    shared = response(some, _shared_error(run, some))
    estimates = {}
    for p, name in enumerate(run.names):
        interval, bounds = summary.parameters[name], summary.bounds.get(name, ())
        prior = run.log_probability.parameters.prior(name)
        estimates[name] = OrderEstimate(
            interval=interval,
            mean=float(x[:, p].mean()),
            sd=float(x[:, p].std(ddof=1)),
            shared=tuple(shared[p].tolist()),
            truncated=interval.truncated_at(bounds) is not None,
            unconstrained=float(x[:, p].std()) > _MAX_WIDTH * _sd(prior),
            prior=NormalPrior(prior.mean, prior.sd) if isinstance(prior, Normal) else None,
        )
    return estimates


def _sd(prior: Prior | Dirichlet) -> float:
    """Return the standard deviation of a prior; inf for filling factors that share one."""
    if isinstance(prior, Dirichlet):
        return np.inf
    return float(np.std(prior.quantile(_QUANTILES)))


def _shared_error(run: Run, x: Floats) -> Floats:
    """Return the most probable z, the error that all orders share, at draws x: (n, Z)."""
    log_probability = run.log_probability
    params = log_probability.parameters.params(x)
    return most_probable_error(
        log_probability.evaluate(methodcaller("terms", params, log_probability.noise))
    )
