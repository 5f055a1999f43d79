"""Reports of a sampling job: its data, its parameters and its progress."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict

import numpy as np
from rich.console import Console
from rich.table import Table

from mixjobs.config.sample import SampleConfig
from mixjobs.display import counted
from mixjobs.inference.job import n_walkers, pixels_needed
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.order_likelihoods import LikelihoodPlan
from mixjobs.inference.order_noise import OrderNoise
from mixjobs.inference.orders_alone import OrderFit
from mixjobs.inference.parameters import Parameters
from mixjobs.inference.preparation import CompressionCheck
from mixjobs.inference.sample_report import SampleReport
from mixjobs.inference.sampler import Progress
from mixjobs.progress_bar import Report as ReportSearch
from mixjobs.progress_bar import reporter
from mixjobs.report.sampling_bar import Report as ReportStep
from mixjobs.report.sampling_bar import sampling_reporter


class ConsoleReport(SampleReport):
    """Progress of a sampling job on standard error.

    Parameters
    ----------
    tables : bool
        Whether to print the data and the parameters too.
    stdout : bool
        Whether to print them to standard output.
    stop : callable, optional
        Called after each step; an exception that it raises ends the job.
    """

    def __init__(
        self,
        *,
        tables: bool = False,
        stdout: bool = False,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._tables, self._stop = tables, stop
        self._console = Console(stderr=not stdout)
        self._bars = ExitStack()
        self._search: ReportSearch | None = None
        self._step: ReportStep | None = None

    def loaded(self, job: SampleConfig, log_probability: LogProbability) -> None:
        """Print the notes on the data, the tables and the settings."""
        for note in log_probability.notes:
            _print(note)
        if self._tables:
            self._console.print(data_table(log_probability.plan))
            self._console.print(parameter_table(log_probability.parameters))
        for line in settings_lines(job, log_probability):
            _print(line)

    def searching(self, done: int, total: int) -> None:
        """Show the progress of the search."""
        if self._search is None:
            self._search = self._bars.enter_context(reporter("generation"))
        self._search("search", done, total)
        self._stop()

    def starting(self, starts: Sequence[dict[str, float]], heights: Sequence[float]) -> None:
        """Print the optima."""
        self.close()
        for start, height in zip(starts, heights, strict=True):
            values = ", ".join(f"{name} {value:.5g}" for name, value in start.items())
            _print(f"start: ln P = {height:.2f} at {values}")

    def holding(self, noise: Sequence[OrderNoise]) -> None:
        """Print the range of the noise of the orders."""
        factors = [math.exp(order.ln_noise / 2) for order in noise]
        line = f"noise of each order: flux errors times {_range(factors, '.2f')}"
        amplitudes = [100 * 10**order.log_amplitude for order in noise]
        if max(amplitudes):
            line += f", correlated noise of {_range(amplitudes, '.2g')} % of the continuum"
        _print(line)

    def hinting(self, hint: str) -> None:
        """Print a hint."""
        _print(hint)

    def sampling(self, progress: Progress) -> None:
        """Show the progress of the sampling."""
        if self._step is None:
            self._step = self._bars.enter_context(sampling_reporter())
        self._step(progress)
        self._stop()

    def repeating(self, check: CompressionCheck) -> None:
        """Say why sampling begins again."""
        self.close()
        _print(f"{check}; sampling again with a better compression")

    def checked(self, check: CompressionCheck) -> None:
        """Print the comparison with the pixels."""
        self.close()
        _print(str(check))

    def concluding(self) -> None:
        """Announce the last stage."""
        self.close()
        _print("comparing with one component and writing the posterior")

    def fitted_alone(self, fit: OrderFit, done: int, total: int) -> None:
        """Say that an order has been fitted on its own."""
        self.close()
        outcome = f": {fit.failure}" if fit.failure else ""
        _print(f"order {fit.number} on its own, {done} of {total}{outcome}")
        self._stop()

    def close(self) -> None:
        """Remove the progress bars."""
        self._bars.close()
        self._search = self._step = None


def _range(values: Sequence[float], digits: str) -> str:
    """State the range of some values, or the value that all of them have."""
    return " to ".join(dict.fromkeys(f"{value:{digits}}" for value in (min(values), max(values))))


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def settings_lines(job: SampleConfig, log_probability: LogProbability) -> list[str]:
    """Describe the sampler and the likelihood."""
    plan = log_probability.plan
    options = asdict(plan.options)
    if plan.options.shared is None and job.model.n_components > 1:
        options["shared"] = "all but teff"
    settings = [
        f"{name.replace('_', ' ')} {_text(value)}" for name, value in options.items() if value
    ]
    reason = pixels_needed(job, log_probability)
    return [
        f"{counted(len(plan.orders), 'order')}, {counted(job.sampling.ensembles, 'ensemble')} of "
        f"{counted(n_walkers(job, log_probability), 'walker')}, up to "
        f"{counted(job.sampling.max_steps, 'step')}",
        f"{'; '.join(settings)}; {'with' if plan.emulator_error else 'without'} emulator errors; "
        f"{'correlated' if job.noise.correlated else 'white'} noise; "
        f"continuum prior sd {job.continuum.prior_sd:g}; seed {job.seed}",
        f"ln P from pixels: {reason}" if reason else "ln P from sufficient statistics",
    ]


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def data_table(plan: LikelihoodPlan) -> Table:
    """List the orders: pixels, median S/N, instrumental profile and continuum."""
    table = Table("epoch", "order", "range (Å)", "pixels used", "S/N", "profile", "continuum")
    for order in plan.orders:
        ratio = float(np.median(order.flux[order.used] / order.flux_error[order.used]))
        profile = ", ".join(
            f"R {value:g}" if kind == "resolution" else f"{value:g} km/s"
            for kind, value in order.profile.given().items()
        )
        table.add_row(
            str(order.epoch + 1), str(order.number),
            f"{order.wavelength[0]:.6g}–{order.wavelength[-1]:.6g}",
            f"{order.used.sum()}/{len(order.wavelength)}", f"{ratio:.3g}",
            profile or "none", f"degree {order.continuum.degree}",
        )  # fmt: skip
    return table


def parameter_table(parameters: Parameters) -> Table:
    """List the parameters: free, fixed or tied, with their priors or values."""
    table = Table("parameter", "status", "prior or value")
    for entry in parameters.entries():
        table.add_row(*entry)
    for constraint in parameters.constraints:
        table.add_row("", "constraint", str(constraint))
    return table
