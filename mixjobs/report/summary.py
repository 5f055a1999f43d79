"""What ``mixjobs summary`` says of a run, in tables and in plain facts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from mixjobs.inference.model_comparison import Comparison
from mixjobs.inference.posterior import BOUNDS
from mixjobs.inference.run import POSTERIOR, SINGLE, RunFolder, read_chain, read_json
from mixjobs.inference.summary import Interval, Summary, is_fraction, summarise
from mixjobs.typing import Floats


@dataclass(frozen=True, eq=False)
class Facts:
    """All that is said of a run.

    Attributes
    ----------
    run : str
    summary : Summary
    of_orders : dict
        Spreads of what is derived in every order (`q`, `light_fraction_2`), one for each of
        `orders`; empty where there is no posterior of all the steps yet.
    tied : dict of Interval
        Of the tied parameters, from the same.
    orders : tuple of str
    bounds : dict of array
        The two ends of the prior of each free parameter, from the same.
    comparison : Comparison or None
    """

    run: str
    summary: Summary
    of_orders: dict[str, list[Interval]]
    tied: dict[str, Interval]
    orders: tuple[str, ...]
    bounds: dict[str, Floats]
    comparison: Comparison | None

    @property
    def finished(self) -> bool:
        """Whether there is a posterior of all the steps."""
        return bool(self.orders)

    @property
    def notes(self) -> list[str]:
        """Lines that qualify what the tables say."""
        summary, said = self.summary, []
        if not self.finished:
            said.append(f"not finished: from the {summary.n_steps} steps so far")
        if summary.lacks:
            said.append(f"NOT CONVERGED: {summary.lacks}; intervals may be too narrow")
        if self.ends:
            told = ", ".join(f"{name} ({end:g})" for name, end in self.ends.items())
            said.append(
                f"piled up at the end of its prior: {told}; its interval is a limit, and where the "
                "library ends there, it may not reach the star"
            )
        return said

    @property
    def ends(self) -> dict[str, float]:
        """Ends of priors that the draws pile up against; of fractions there is the limit."""
        intervals = self.summary.intervals
        found = {name: intervals[name].end(bounds.tolist()) for name, bounds in self.bounds.items()}
        return {n: end for n, end in found.items() if end is not None and not is_fraction(n)}


def run_facts(folder: RunFolder) -> Facts:
    """Gather what a run folder has; neither data nor store are needed.

    Raises
    ------
    MissingFile, UnreadableFile
        There are no steps yet; something cannot be read.
    """
    chain = read_chain(folder)
    derived = _derived(folder.path / POSTERIOR, folder.names, chain.n_steps)
    single = read_json(folder.path / SINGLE)
    return Facts(
        str(folder.path), summarise(chain, folder.names), *derived,
        comparison=None if single is None else Comparison.from_dict(single),
    )  # fmt: skip


def _derived(
    path: Path, names: Sequence[str], n_steps: int
) -> tuple[dict[str, list[Interval]], dict[str, Interval], tuple[str, ...], dict[str, Floats]]:
    """Read what the posterior has beside the free parameters' draws; nothing of fewer steps."""
    if not path.exists():
        return {}, {}, (), {}
    from xarray import open_dataset  # ArviZ takes seconds, and only adds to this

    with open_dataset(path, engine="h5netcdf") as known:
        if known.attrs["n_steps"] != n_steps:
            return {}, {}, (), {}
    with (
        open_dataset(path, group="posterior", engine="h5netcdf") as draws,
        open_dataset(path, group="log_likelihood", engine="h5netcdf") as by_order,
    ):
        labels = tuple(map(str, by_order["order"].values))
        values = {str(n): draws[n].values for n in draws.data_vars if n not in names}
        bounds = {n: draws[n].attrs[BOUNDS] for n in names if BOUNDS in draws[n].attrs}
    of_orders = {n: [Interval.of(v[..., m]) for m in range(len(labels))]
                 for n, v in values.items() if v.ndim == 3}  # fmt: skip
    tied = {n: Interval.of(v) for n, v in values.items() if v.ndim == 2}
    return of_orders, tied, labels, bounds


def parameters_table(facts: Facts) -> Table:
    """One row a parameter: median, intervals, effective size, agreement."""
    table = Table("parameter", "median", "68 %", "95 %", "effective size", "R-hat")
    for column in table.columns[1:]:
        column.justify = "right"
    summary = facts.summary
    for name, spread in summary.intervals.items():
        size, r_hat = summary.effective[name], summary.r_hat[name]
        table.add_row(name, *_cells(spread), f"{size:.0f}", f"{r_hat:.3f}")
    for name, spread in facts.tied.items():
        table.add_row(name, *_cells(spread), "tied", "")
    return table


def orders_table(facts: Facts) -> Table:
    """One row an order: median and 68 % interval of what is derived from the parameters."""
    table = Table("order", *facts.of_orders)
    for m, label in enumerate(facts.orders):
        intervals = [intervals[m] for intervals in facts.of_orders.values()]
        table.add_row(label, *(_short(spread) for spread in intervals))
    return table


def lines(facts: Facts) -> list[str]:
    """Sentences that follow the tables."""
    summary = facts.summary
    said = [_limit(facts, name, limit) for name, limit in summary.upper_limits.items()]
    if facts.comparison is not None:
        said.append(facts.comparison.meaning)
    said.append(
        f"{summary.ensembles} ensembles of {summary.walkers} walkers, {summary.n_steps} steps, "
        f"the first {summary.burn} left out; autocorrelation time {summary.tau:.3g} steps, "
        f"acceptance {summary.acceptance:.2f}"
    )
    said.append("long enough, and the ensembles agree" if summary.converged else "")
    return [line for line in [*said, *facts.notes] if line]


def _limit(facts: Facts, name: str, limit: float) -> str:
    """Say an upper limit, and for which temperatures of its component it is."""
    _, number, *_ = (*name.split("_"), "2")
    known = facts.summary.intervals | facts.tied
    teff = f"teff_{number if number.isdigit() else 2}"
    where = f"; {teff} {_cells(known[teff])[2]} in 95 %" if teff in known else ""
    return f"{name} < {limit:.3g} (95 % upper limit{where})"


def plain(facts: Facts) -> dict[str, Any]:
    """Return the same for JSON; null where a number is infinite or there is none."""
    summary = asdict(facts.summary)
    intervals = summary.pop("intervals")
    parameters = {
        name: spread | {key: summary[key][name] for key in ("effective", "r_hat")}
        for name, spread in intervals.items()
    }
    found = {
        "run": facts.run,
        "finished": facts.finished,
        "converged": facts.summary.converged,
        **{key: value for key, value in summary.items() if key not in ("effective", "r_hat")},
        "parameters": parameters,
        "tied": {name: asdict(spread) for name, spread in facts.tied.items()},
        "orders": list(facts.orders),
        "by_order": {n: [asdict(s) for s in intervals] for n, intervals in facts.of_orders.items()},
        "single": None if facts.comparison is None else facts.comparison.to_dict(),
        "notes": facts.notes,
    }
    return dict(_finite(found))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cells(spread: Interval) -> list[str]:
    digits = _digits(spread)
    ranges = [
        f"{low:.{digits}f} to {high:.{digits}f}" for low, high in (spread.of_68, spread.of_95)
    ]
    return [f"{spread.median:.{digits}f}", *ranges]


def _short(spread: Interval) -> str:
    digits, middle, (low, high) = _digits(spread), spread.median, spread.of_68
    return f"{middle:.{digits}f} +{high - middle:.{digits}f} −{middle - low:.{digits}f}"


def _digits(spread: Interval) -> int:
    """Decimals that show half of the 68 % interval with two digits."""
    half = (spread.of_68[1] - spread.of_68[0]) / 2
    if not 0 < half < math.inf:
        return 4
    return min(8, max(0, 1 - math.floor(math.log10(half))))
