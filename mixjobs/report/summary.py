"""The summary of a run as text."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from io import StringIO

from rich.console import Console
from rich.table import Table

from mixjobs.display import counted
from mixjobs.inference.interval import Interval
from mixjobs.inference.orders_alone import OrdersAlone
from mixjobs.inference.pool import Pooled
from mixjobs.inference.run import Run
from mixjobs.inference.summary import Summary, summarise_run

_WIDTH = 100  # characters, without a terminal
_MIN_SCATTER = 0.4  # quantile 0.16 over the median, of a scatter that is not 0
_LIMIT_TITLE = "95 % upper limits at each teff_2, because c is not detected"


def summary_text(summary: Summary) -> str:
    """Write a summary as tables and sentences."""
    width = shutil.get_terminal_size((_WIDTH, 0)).columns
    text = StringIO()
    console = Console(file=text, width=width)
    console.print(parameters_table(summary))
    if summary.by_order or summary.noise:
        console.print(orders_table(summary))
    if summary.limit:
        console.print(limit_table(summary))
    if summary.orders_alone is not None:
        console.print(orders_alone_table(summary, summary.orders_alone))
    return "\n".join([text.getvalue().rstrip(), *sentences(summary)])


def parameters_table(summary: Summary) -> Table:
    """List median, intervals, effective size and R-hat of each parameter."""
    table = Table("parameter", "median", "68 %", "95 %", "effective size", "R-hat")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, interval in summary.parameters.items():
        size, r_hat = summary.effective_size[name], summary.r_hat[name]
        table.add_row(name, *_cells(interval), f"{size:.0f}", f"{r_hat:.3f}")
    for name, interval in summary.tied.items():
        table.add_row(name, *_cells(interval), "tied", "")
    return table


def orders_table(summary: Summary) -> Table:
    """List median and 68 % interval of the derived quantities of each order, and its noise."""
    table = Table("order", *summary.by_order, *_noise_cells(summary, 0))
    for m, label in enumerate(summary.orders):
        values = [_short(intervals[m]) for intervals in summary.by_order.values()]
        table.add_row(label, *values, *_noise_cells(summary, m).values())
    return table


def orders_alone_table(summary: Summary, alone: OrdersAlone) -> Table:
    """List median and 68 % interval of every order on its own, then all orders."""
    table = Table("order", *alone.names, title="every order on its own")
    for fit in alone.fits:
        estimates = [fit.estimates.get(name) for name in alone.names]
        table.add_row(
            str(fit.number), *("" if e is None else _short(e.interval) for e in estimates)
        )
    pooled = [alone.pooled.get(name) for name in alone.names]
    table.add_section()
    table.add_row("pooled", *("" if p is None else _with_sd(p.mean, p.sd) for p in pooled))
    table.add_row("scatter", *("" if p is None else _scatter(p) for p in pooled))
    joint = [summary.parameters.get(name) for name in alone.names]
    table.add_row("joint fit", *("" if i is None else _short(i) for i in joint))
    return table


def _scatter(pooled: Pooled) -> str:
    """State the scatter between orders, or its limit where it may be 0."""
    median, low, high = pooled.scatter
    interval = Interval(median, (low, high), (low, high))
    if low < _MIN_SCATTER * median:
        return f"< {pooled.scatter_limit:.{_digits(interval)}f} (95 %)"
    return _short(interval)


def _with_sd(mean: float, sd: float) -> str:
    digits = _digits(Interval(mean, (mean - sd, mean + sd), (mean, mean)))
    return f"{mean:.{digits}f} ± {sd:.{digits}f}"


def _noise_cells(summary: Summary, m: int) -> dict[str, str]:
    """Describe the noise of an order that is held constant, by the titles of its columns."""
    cells = {}
    if "ln_noise" in summary.noise:
        cells["flux errors times"] = f"{math.exp(summary.noise['ln_noise'][m] / 2):.2f}"
    if "log_amplitude" in summary.noise:
        amplitude, length = (10 ** summary.noise[n][m] for n in ("log_amplitude", "log_length"))
        cells["correlated noise"] = f"{100 * amplitude:.2g} %, {length:.3g} km/s"
    return cells


def limit_table(summary: Summary) -> Table:
    """List the upper limits in slices of `teff_2`, without those that the model excludes.

    A slice with few effective draws is marked.
    """
    table = Table("teff_2", "c <", "light_fraction_2 <", "effective size", title=_LIMIT_TITLE)
    for column in table.columns:
        column.justify = "right"
    for row in summary.limit:
        if math.isfinite(row.c):
            light = row.light_fraction_2
            ends = dict.fromkeys(f"{fraction:.3g}" for fraction in (min(light), max(light)))
            marks = {"fixed teff_2": row.sampled_again, "uncertain": row.uncertain}
            text = ", ".join(mark for mark, applies in marks.items() if applies)
            size = f"{row.n_draws} ({text})" if text else f"{row.n_draws}"
            table.add_row(f"{row.teff_2:.0f}", f"{row.c:.3g}", " to ".join(ends), size)
    return table


def truth_table(run: Run, truth: Mapping[str, float]) -> Table:
    """Compare the posterior of a simulated star with its true parameters, by default 0."""
    summary = summarise_run(run.folder)
    samples = run.chain.positions[:, summary.burn_in :].reshape(-1, len(run.names))
    table = Table("parameter", "truth", "median", "68 %", "difference (sd)")
    for name, sd in zip(run.names, samples.std(axis=0), strict=True):
        true, interval = truth.get(name, 0.0), summary.parameters[name]
        difference = f"{(interval.median - true) / sd:+.2f}"
        table.add_row(name, f"{true:g}", *_cells(interval)[:2], difference)
    return table


def sentences(summary: Summary) -> list[str]:
    """Write the sentences that follow the tables."""
    lines = [_limit(summary, name, limit) for name, limit in summary.upper_limits.items()]
    if summary.comparison is not None:
        lines.append(str(summary.comparison))
    lines.append(
        f"{counted(summary.ensembles, 'ensemble')} of {counted(summary.walkers, 'walker')}, "
        f"{counted(summary.n_steps, 'step')}, "
        f"burn-in {counted(summary.burn_in, 'step')}; "
        f"autocorrelation time {summary.tau:.3g} steps, "
        f"acceptance {summary.acceptance:.2f} after the burn-in"
    )
    if summary.converged:
        lines.append("converged")
    return lines + summary.notes


def _limit(summary: Summary, name: str, limit: float) -> str:
    """State an upper limit, with the temperatures of the component to which it applies."""
    _, number, *_ = (*name.split("_"), "2")
    intervals = summary.parameters | summary.tied
    teff = f"teff_{number if number.isdigit() else 2}"
    text = f"{name} < {limit:.3g} (95 % upper limit"
    if teff in intervals:
        text += f"; 95 % interval of {teff}: {_cells(intervals[teff])[2]}"
    return text + ")"


def _cells(interval: Interval) -> list[str]:
    digits = _digits(interval)
    ranges = [
        f"{low:.{digits}f} to {high:.{digits}f}"
        for low, high in (interval.interval_68, interval.interval_95)
    ]
    return [f"{interval.median:.{digits}f}", *ranges]


def _short(interval: Interval) -> str:
    digits, median, (low, high) = _digits(interval), interval.median, interval.interval_68
    return f"{median:.{digits}f} +{high - median:.{digits}f} −{median - low:.{digits}f}"


def _digits(interval: Interval) -> int:
    """Decimals that show half of the 68 % interval with two digits."""
    half = (interval.interval_68[1] - interval.interval_68[0]) / 2
    if not 0 < half < math.inf:
        return 4
    return min(8, max(0, 1 - math.floor(math.log10(half))))
