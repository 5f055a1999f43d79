"""What ``mixjobs sample`` prints before it starts: the data and the parameters."""

from __future__ import annotations

import numpy as np
from rich.console import Console
from rich.table import Table

from mixjobs.inference.order_likelihoods import LikelihoodPlan
from mixjobs.inference.parameters import Parameters


def data_table(plan: LikelihoodPlan) -> Table:
    """One row an order: its pixels, those used, the profile and the continuum."""
    table = Table("spectrum", "order", "Å", "pixels", "used", "median S/N", "profile", "degree")
    for order in plan.orders:
        ratio = float(np.median(order.flux[order.used] / order.flux_error[order.used]))
        profile = ", ".join(
            f"R {value:g}" if kind == "resolution" else f"{value:g} km/s"
            for kind, value in order.profile.given().items()
        )
        table.add_row(
            str(order.epoch + 1), str(order.number),
            f"{order.wavelength[0]:.6g} to {order.wavelength[-1]:.6g}",
            str(len(order.wavelength)), str(order.used.sum()), f"{ratio:.3g}",
            profile or "none", str(order.continuum.degree),
        )  # fmt: skip
    return table


def parameter_table(parameters: Parameters) -> Table:
    """One row a parameter: free, fixed or tied, and its prior."""
    table = Table("parameter", "", "prior or value")
    for entry in parameters.entries():
        table.add_row(*entry)
    for constraint in parameters.constraints:
        table.add_row("", "constraint", str(constraint))
    return table


def print_tables(*tables: Table, results: bool) -> None:
    """Print tables: on standard output where they are all that was asked for."""
    console = Console(stderr=not results)
    for table in tables:
        console.print(table)
