"""Summary of a run: medians, intervals, upper limits, convergence and model comparison."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from importlib import import_module
from typing import Any

import numpy as np

from mixjobs.display import counted
from mixjobs.inference.convergence import assess
from mixjobs.inference.holes import HoleReport
from mixjobs.inference.interval import Interval
from mixjobs.inference.limit import LEVEL, LimitCurve, LimitSlice, prior_excludes_0
from mixjobs.inference.medium_hint import MEDIUM_SHIFT, MediumShift
from mixjobs.inference.model_comparison import Comparison, is_fraction, stored_comparison
from mixjobs.inference.orders_alone import OrdersAlone
from mixjobs.inference.posterior import BOUNDS, NOISE_HELD, stored_posterior
from mixjobs.inference.run_folder import RunFolder
from mixjobs.inference.segments import Chain

_NO_ORDERS = "the orders are not all fitted on their own yet; resume the run to fit them"


@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """Summary of a run; prints as a table.

    Attributes
    ----------
    n_steps, burn_in, walkers, ensembles : int
        Number of steps, of those in the burn-in, of walkers in each ensemble, and of ensembles.
    acceptance : float
        Fraction of the proposals accepted after the burn-in.
    tau : float
        Longest autocorrelation time, in steps.
    shortfall : str
        The convergence criterion that the chain fails; empty if it has converged.
    parameters : dict of Interval
        Of each free parameter, after the burn-in.
    effective_size : dict of float
        Effective number of independent draws: steps times walkers over the autocorrelation time,
        summed over the ensembles; 0 for a parameter that does not move.
    r_hat : dict of float
        Agreement of the ensembles; 1 if they agree.
    upper_limits : dict of float
        95 % upper limit of each filling factor.
    run : str
        Path of the run folder.
    tied : dict of Interval
        Of each tied parameter; this and the next three are empty before sampling has ended.
    orders : tuple of str
        Labels of the orders.
    by_order : dict of list of Interval
        Of each derived quantity, such as `q` and `light_fraction_2`, in every order.
    noise : dict of list of float
        Noise that is held constant in every order: `ln_noise`, and with correlated noise
        `log_amplitude` and `log_length`. Empty if its parameters are sampled.
    bounds : dict of (float, float)
        Bounds of the prior of each free parameter.
    limit : tuple of LimitSlice
        Upper limits against `teff_2`; empty if c is detected, or if its prior excludes 0. See
        `mixjobs.inference.limit`.
    comparison : Comparison or None
        One component against all.
    holes : tuple of HoleReport
        Holes of the grid at which the posterior ends.
    has_digests : bool
        Whether the files of the run have digests; those of an earlier version have none.
    hints : tuple of str
        Errors in the input that the medians suggest, such as air taken for vacuum.
    orders_alone : OrdersAlone or None
        Every order fitted on its own, if the job asks for it.
    """

    n_steps: int
    burn_in: int
    walkers: int
    ensembles: int
    acceptance: float
    tau: float
    shortfall: str
    parameters: dict[str, Interval]
    effective_size: dict[str, float]
    r_hat: dict[str, float]
    upper_limits: dict[str, float]
    run: str = ""
    tied: dict[str, Interval] = field(default_factory=dict)
    orders: tuple[str, ...] = ()
    by_order: dict[str, list[Interval]] = field(default_factory=dict)
    noise: dict[str, list[float]] = field(default_factory=dict)
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    limit: tuple[LimitSlice, ...] = ()
    comparison: Comparison | None = None
    holes: tuple[HoleReport, ...] = ()
    has_digests: bool = True
    hints: tuple[str, ...] = ()
    orders_alone: OrdersAlone | None = None

    @property
    def converged(self) -> bool:
        """Whether the chain has converged, by `mixjobs.inference.convergence.assess`."""
        return not self.shortfall

    @property
    def finished(self) -> bool:
        """Whether there is a posterior of all steps."""
        return bool(self.orders)

    @property
    def truncated(self) -> dict[str, float]:
        """Parameters that are truncated by their priors, with the bound.

        Filling factors are left out; their upper limits are listed instead.
        """
        bounds = {
            name: self.parameters[name].truncated_at(bounds) for name, bounds in self.bounds.items()
        }
        return {n: bound for n, bound in bounds.items() if bound is not None and not is_fraction(n)}

    @property
    def notes(self) -> list[str]:
        """Caveats, one sentence each."""
        notes = []
        if not self.finished:
            notes.append(f"unfinished run: summary of the first {counted(self.n_steps, 'step')}")
        if not self.converged:
            notes.append(
                f"NOT CONVERGED: {self.shortfall}; the intervals may be too narrow. "
                "Raise max_steps and resume the run"
            )
        if self.truncated:
            names = ", ".join(f"{name} (at {bound:g})" for name, bound in self.truncated.items())
            notes.append(
                f"truncated by its prior: {names}. The interval is only a limit. If the library "
                "ends at this value, it may not cover the star"
            )
        if {"c", "teff_2"} <= self.bounds.keys() and prior_excludes_0(self.bounds["c"]):
            notes.append(
                f"no upper limits at each teff_2: the prior of c begins at "
                f"{self.bounds['c'][0]:g}, so c cannot be 0"
            )
        if not self.has_digests:
            notes.append(
                "an earlier version began this run, without digests: damage to its files may go "
                "unnoticed"
            )
        alone = [] if self.orders_alone is None else self.orders_alone.notes
        return [*notes, *map(str, self.holes), *self.hints, *alone]

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain numbers and text, for JSON, with None for NaN and inf."""
        content = asdict(self)
        parameters = {
            name: interval | {key: content[key][name] for key in ("effective_size", "r_hat")}
            for name, interval in content.pop("parameters").items()
        }
        for key in ("effective_size", "r_hat", "bounds"):
            del content[key]
        content |= {
            "parameters": parameters,
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
            "finished": self.finished,
            "converged": self.converged,
            "notes": self.notes,
            "holes": [report.to_dict() for report in self.holes],
        }
        return dict(_finite(content))

    def __str__(self) -> str:
        return str(import_module("mixjobs.report.summary").summary_text(self))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def summarise_run(folder: RunFolder) -> Summary:
    """Summarise a run folder, without its data or its store.

    Raises
    ------
    MissingFile, UnreadableFile
        There are no steps yet, or a file is damaged.
    """
    chain = folder.sampled_chain()
    summary, alone = summarise_chain(chain, folder.names), OrdersAlone.stored(folder)
    missing = [] if alone is not None or not _orders_wanted(folder) else [_NO_ORDERS]
    return replace(
        summary,
        hints=(*_hints(folder, summary), *missing),
        run=str(folder.path),
        has_digests=folder.has_digests,
        comparison=stored_comparison(folder),
        orders_alone=alone,
        **_posterior_facts(folder, chain.n_steps),
    )


def _orders_wanted(folder: RunFolder) -> bool:
    """Whether the job of a run asks for every order on its own."""
    job = folder.notes.get("job")
    return bool(job and job.get("sampling", {}).get("by_order"))


def _hints(folder: RunFolder, summary: Summary) -> tuple[str, ...]:
    """Return hints that the medians suggest an error in the input."""
    if MEDIUM_SHIFT not in folder.notes:  # an earlier version began the run
        return ()
    shift = MediumShift.from_dict(folder.notes[MEDIUM_SHIFT])
    return tuple(shift.hints({n: interval.median for n, interval in summary.parameters.items()}))


def summarise_chain(chain: Chain, names: Sequence[str]) -> Summary:
    """Summarise a chain of at least one step."""
    convergence = assess(chain.positions)
    burn_in = convergence.burn_in
    ensembles, _, walkers, n_free = chain.positions.shape
    samples = chain.positions[:, burn_in:]
    draws = dict(zip(names, samples.reshape(-1, n_free).T, strict=True))
    effective_size = (samples.shape[1] * walkers / convergence.tau).sum(axis=0)
    return Summary(
        n_steps=convergence.n_steps,
        burn_in=burn_in,
        walkers=walkers,
        ensembles=ensembles,
        acceptance=float(chain.accepted[:, burn_in:].mean() / walkers),
        tau=convergence.max_tau,
        shortfall=convergence.shortfall,
        parameters={name: Interval.of(values) for name, values in draws.items()},
        effective_size=dict(zip(names, effective_size.tolist(), strict=True)),
        r_hat=dict(zip(names, convergence.r_hat.tolist(), strict=True)),
        upper_limits={
            name: float(np.quantile(values, LEVEL))
            for name, values in draws.items()
            if is_fraction(name)
        },
    )


def _posterior_facts(folder: RunFolder, n_steps: int) -> dict[str, Any]:
    """Summarise the tied and derived quantities; empty unless the posterior has all steps."""
    tree = stored_posterior(folder)
    if tree is None or tree.attrs["n_steps"] != n_steps:
        return {}
    from xarray import Dataset

    draws, names = tree.children["posterior"].to_dataset(), folder.names
    labels = tuple(map(str, tree.children["log_likelihood"].coords["order"].values))
    curve = LimitCurve.of_posterior(tree)
    noise = tree.children[NOISE_HELD].to_dataset() if NOISE_HELD in tree.children else Dataset()
    values = {str(name): draws[name].values for name in draws.data_vars if name not in names}
    return {
        "orders": labels,
        "bounds": {name: tuple(map(float, draws[name].attrs[BOUNDS]))
                   for name in names if BOUNDS in draws[name].attrs},
        "noise": {str(name): noise[name].values.tolist() for name in noise.data_vars},
        "tied": {name: Interval.of(v) for name, v in values.items() if v.ndim == 2},
        "limit": () if curve is None or curve.detected else curve.slices,
        "holes": tuple(map(HoleReport.from_dict, json.loads(tree.attrs.get("holes", "[]")))),
        "by_order": {name: [Interval.of(v[..., m]) for m in range(len(labels))]
                     for name, v in values.items() if v.ndim == 3},
    }  # fmt: skip


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
