"""``mixjobs ratio``: the flux ratio of two components in every order."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from rich.console import Console

from mixjobs.cli.options import parse_theta
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.report.store import ratio_table
from mixjobs.store.format import Store, open_store
from mixjobs.typing import Floats


def ratio(args: Namespace) -> dict[str, Any]:
    """Print q of every order."""
    store = open_store(args.store)
    grid = store.grid
    theta1, theta2 = (parse_theta(getattr(args, n), grid, n) for n in ("theta1", "theta2"))
    q = flux_ratio(grid, store.orders, store.mean_flux, args.method)(theta1, theta2)
    direct = direct_ratio(store, theta1, theta2)
    if not args.json:
        Console().print(ratio_table(store.orders, q, direct))
    return {
        "method": args.method,
        "theta1": theta1.tolist(),
        "theta2": theta2.tolist(),
        "orders": store.orders.number.tolist(),
        "q": q.tolist(),
        "direct": None if direct is None else direct.tolist(),
    }


def direct_ratio(store: Store, theta1: Floats, theta2: Floats) -> Floats | None:
    """Return q (M,) from the means themselves, None unless both theta are grid points."""
    rows = store.grid.row(theta1), store.grid.row(theta2)
    if rows[0] is None or rows[1] is None:
        return None
    direct: Floats = store.mean_flux[:, rows[1]] / store.mean_flux[:, rows[0]]
    return direct
