"""The expected coverage of a planned fit as a table."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from mixjobs.display import counted
from mixjobs.store.coverage import CoverageEstimate


def print_coverage(estimate: CoverageEstimate) -> None:
    """Print the estimate: a table of the parameters, then the joint regions and the verdict."""
    console = Console()
    star = ", ".join(f"{name} {value:g}" for name, value in estimate.star.items())
    orders, epochs = counted(len(estimate.orders), "order"), counted(estimate.epochs, "epoch")
    print(f"star: {star}; {orders}, {epochs}, S/N {estimate.snr:g}, resolution", end=" ")
    print(f"{estimate.resolution:g}")
    if estimate.held:
        print(f"held: {', '.join(f'{name} = {value:g}' for name, value in estimate.held.items())}")
    if estimate.assumed:
        print(f"assumed: {', '.join(estimate.assumed)}")
    print("standard error, r.m.s. shift by the interpolation, and coverage of the 68 % and 95 %")
    print("regions in per cent; denser: with two more values on each axis")
    console.print(coverage_table(estimate))
    print(estimate.verdict)


def coverage_table(estimate: CoverageEstimate) -> Table:
    """List standard error, shift by interpolation and coverage, now and with a denser grid."""
    heads = ("error", "shift", "coverage")
    table = Table("parameter", *heads, *(f"{head}, denser" for head in heads))
    for column in table.columns[1:]:
        column.justify = "right"
    both = estimate.now, estimate.denser
    for p, name in enumerate(estimate.parameters):
        cells = [
            (f"{c.sd[p]:.3g}", f"{c.bias[p]:.2g}", _percent(c.single[p].tolist())) for c in both
        ]
        table.add_row(name, *cells[0], *cells[1])
    now, then = (_percent(c.joint.tolist()) for c in both)
    table.add_row("together", "", "", now, "", "", then)
    return table


def _percent(fractions: list[float]) -> str:
    return ", ".join(f"{100 * fraction:.0f}" for fraction in fractions)
