"""A sampling run: its posterior, its summary and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mixjobs.display import PlotAccessor, Summarised, counted
from mixjobs.inference.run_folder import NOISE, POSTERIOR, START, RunFolder, unreadable_result
from mixjobs.inference.segments import Chain

if TYPE_CHECKING:
    from distributed import Client
    from xarray import DataTree

    from mixjobs.config.sample import SampleConfig
    from mixjobs.inference.log_probability import LogProbability
    from mixjobs.inference.model_comparison import Comparison
    from mixjobs.inference.preparation import Preparation
    from mixjobs.inference.summary import Summary


class Run(Summarised):
    """A sampling run on disk; `mixjobs.sample` and `mixjobs.open_run` return one.

    For example::

        run = mixjobs.open_run("run")
        print(run.summary())
        run.posterior["posterior"]["teff_2"]
        run.plot.corner(["teff_1", "teff_2", "c"])

    The chain, the summary and the posterior are read from the run folder. The data and the store
    are opened only for `log_probability`, `compare` and `plot.fits`.

    Attributes
    ----------
    folder : RunFolder
    plot : RunPlots
        Figures: ``run.plot.corner()``, ``run.plot.traces()``, ``run.plot.limit()`` and
        ``run.plot.fits()``.
    """

    plot = PlotAccessor("mixjobs.report.posterior", "RunPlots")

    def __init__(self, folder: RunFolder, log_probability: LogProbability | None = None) -> None:
        self.folder = folder
        self._log_probability = log_probability

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the P free parameters."""
        return self.folder.names

    @property
    def chain(self) -> Chain:
        """All steps so far, burn-in included."""
        return self.folder.sampled_chain()

    @cached_property
    def job(self) -> SampleConfig:
        """The job of the run, with absolute paths."""
        return self.folder.job()

    @property
    def log_probability(self) -> LogProbability:
        """The log-probability of the free parameters, from the data and the store.

        Raises
        ------
        InvalidInput
            The data, the store or the model has changed since the run was created.
        MissingFile, UnreadableFile
            The run has no job or no start, or the data or the store cannot be opened.
        """
        if self._log_probability is None:
            self._log_probability = fixed_at_optimum(self.folder, self._free_log_probability())
        return self._log_probability

    @property
    def posterior(self) -> DataTree:
        """The posterior of all steps, thinned, with the burn-in discarded.

        `mixjobs.inference.posterior.make_posterior` describes its groups. Before sampling has
        ended it is made from the steps so far, for which the data and the store are opened.
        """
        from mixjobs.inference.posterior import make_posterior, stored_posterior

        posterior = stored_posterior(self.folder)
        if posterior is not None and posterior.attrs["n_steps"] == self.folder.last_step():
            return posterior
        return make_posterior(self.folder, self.log_probability)

    def summary(self) -> Summary:
        """Return medians, intervals, upper limits and convergence; print it for a table."""
        from mixjobs.inference.summary import summarise_run

        return summarise_run(self.folder)

    def compare(self, client: Client | None = None) -> Comparison | None:
        """Compare component 1 alone with all components.

        The comparison is read from the run folder. If it is not stored yet, this method searches
        for the optimum of one component, and estimates the Bayes factor from the chain.

        Parameters
        ----------
        client : Client, optional
            A Dask client, for the search.

        Returns
        -------
        Comparison or None
            None if component 1 cannot stand alone.
        """
        from mixjobs.inference.model_comparison import compare, stored_comparison

        stored = stored_comparison(self.folder)
        if stored is not None:
            return stored
        sampled = fixed_at_optimum(self.folder, self._free_log_probability(client))
        preparation = stored_preparation(self.folder, sampled)
        compressed = preparation is not None and preparation.compression is not None
        return compare(sampled, self.chain, self.job.seed, client, compressed=compressed)

    def _free_log_probability(self, client: Client | None = None) -> LogProbability:
        """Load the log-probability with the noise free, and check that it is that of the run."""
        from mixjobs.inference.job import identity, load_free_log_probability

        free = load_free_log_probability(self.job, client)
        RunFolder.resume(self.path, identity(self.job, free))
        return free

    def _facts(self) -> Mapping[str, object]:
        n_steps = self.folder.last_step() or 0
        ensembles, walkers = map(self.folder.identity.get, ("ensembles", "walkers"))
        facts: dict[str, object] = {"path": self.path, "parameters": ", ".join(self.names)}
        if ensembles is not None and walkers is not None:
            facts["sampler"] = f"{counted(ensembles, 'ensemble')} of {counted(walkers, 'walker')}"
        facts["steps"] = n_steps
        facts["converged"] = self.converged
        facts["posterior"] = "yes" if (self.path / POSTERIOR).exists() else "not yet"
        return facts if self.folder.has_digests else facts | {"digests": "none; see summary()"}

    @property
    def converged(self) -> str:
        """What the posterior of all steps says, without reading the chain."""
        from mixjobs.inference.posterior import stored_posterior

        posterior = stored_posterior(self.folder)
        if posterior is None or posterior.attrs["n_steps"] != (self.folder.last_step() or 0):
            return "not known before sampling ends; see summary()"
        return "no; see summary()" if posterior.attrs["shortfall"] else "yes"


def open_run(path: str | Path) -> Run:
    """Open a run folder that `mixjobs.sample` has written.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Run

    Raises
    ------
    MissingFile, UnreadableFile
        The path is not a run folder, or one of its files is missing in between, damaged, or was
        changed. The arrays of the steps are verified when they are read.
    """
    folder = RunFolder.open(path)
    verify(folder)
    return Run(folder)


def verify(folder: RunFolder) -> None:
    """Verify the files of a run, but not the arrays of its segments.

    Raises
    ------
    UnreadableFile
        A file is missing in between, damaged, was changed, or is another's.
    """
    from mixjobs.inference.model_comparison import stored_comparison
    from mixjobs.inference.posterior import stored_posterior

    if folder.read_json(START) is not None:
        folder.start()
    folder.read_json(NOISE)
    stored_comparison(folder)
    folder.verify_sequence()
    stored_posterior(folder)


def fixed_at_optimum(folder: RunFolder, free: LogProbability) -> LogProbability:
    """Fix the parameters that the job sets to "optimum", and hold the noise of each order.

    Raises
    ------
    MissingFile, UnreadableFile
        The run has no start, or a file is damaged.
    """
    log_probability = free
    for name, value in folder.start()["fixed"].items():
        log_probability = log_probability.fix(name, value)
    preparation = stored_preparation(folder, log_probability)
    return log_probability if preparation is None else preparation.log_probability


def stored_preparation(folder: RunFolder, log_probability: LogProbability) -> Preparation | None:
    """Read the noise, the starts and the boxes of a run; None if they are not stored.

    Parameters
    ----------
    folder : RunFolder
    log_probability : LogProbability
        With the noise parameters fixed.

    Raises
    ------
    UnreadableFile
    """
    from mixjobs.inference.preparation import Preparation

    content = folder.read_json(NOISE)
    try:
        return None if content is None else Preparation.from_dict(log_probability, content)
    except (KeyError, TypeError) as error:
        raise unreadable_result(folder.path / NOISE, error) from None
