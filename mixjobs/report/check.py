"""Check of a store: its invariants, and the errors at held-out grid points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from mixjobs.display import counted
from mixjobs.interpolation import METHODS, Method
from mixjobs.interpolation.filling import Filling
from mixjobs.model.flux_ratio import MAX_PAIRWISE_PARAMETERS, MAX_PAIRWISE_POINTS, has_pairwise
from mixjobs.model.outliers import suspects
from mixjobs.model.ratio_errors import RANKED, HeldOutErrors, best_method, held_out_errors
from mixjobs.report.emulator import (
    OrderQuality,
    emulator_quality,
    held_out_spectra_table,
    quality_table,
)
from mixjobs.report.store import held_out_by_order, held_out_table, invariants_table
from mixjobs.store.filling import filling_lines, store_filling
from mixjobs.store.format import Store, open_store, verify_table
from mixjobs.store.invariants import Invariant, check_invariants
from mixjobs.store.joint_error import joint_error_notes
from mixjobs.typing import Floats

_MIN_POINTS = 10  # held-out points for a reliable ranking of the methods


@dataclass(frozen=True, eq=False)
class StoreCheck:
    """The results of `check_store`.

    Attributes
    ----------
    store : Store
    invariants : list of Invariant
    held_out : list of HeldOutErrors
        Errors of the flux ratio, for each axis and interpolation method.
    emulator : list of OrderQuality
        Accuracy of the emulator in each order; empty without an emulator.
    filling : Filling or None
        The filled points of the store; None if it refuses holes.
    suspects : list of str
        Grid points whose mean flux their neighbours contradict, and jumps along an axis.
    """

    store: Store
    invariants: list[Invariant]
    held_out: list[HeldOutErrors]
    emulator: list[OrderQuality]
    filling: Filling | None
    suspects: list[str]

    @property
    def broken(self) -> list[str]:
        """Names of the invariants that do not hold."""
        return [invariant.name for invariant in self.invariants if not invariant.holds]

    @property
    def best_method(self) -> Method | None:
        """The interpolation method with the smallest error; see `best_method`."""
        return best_method(self.held_out)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "invariants": [
                {key: getattr(invariant, key) for key in ("name", "deviation", "holds")}
                for invariant in self.invariants
            ],
            "held_out": [_held_out_facts(result) for result in self.held_out],
            "orders": self.store.orders.number.tolist(),
            "best_method": self.best_method,
            "emulator": [order.facts() for order in self.emulator],
            "emulator_notes": joint_error_notes(self.store),
            "suspects": self.suspects,
            "checksums": self.store.n_checksums,
            "filling": [] if self.filling is None else filling_lines(self.filling),
            "ok": not self.broken,
        }


def check_store(store: str | Path | Store) -> StoreCheck:
    """Check the files and the invariants of a store, and the errors at held-out grid points.

    Every file of the store is compared with its checksum. The points with one value of an axis are
    held out and predicted from their neighbours along that axis, by every interpolation method. The
    emulator is tested in the same way.

    Parameters
    ----------
    store : str, Path or Store

    Raises
    ------
    MissingFile, StoreError
        The store cannot be read, or a file does not match its checksum.
    """
    store = open_store(store.path if isinstance(store, Store) else store)
    verify_table(store)
    methods = [m for m in METHODS if m != "pairwise" or has_pairwise(store.grid)]
    errors = held_out_errors(store.grid, store.orders, store.mean_flux, methods)
    invariants, quality = check_invariants(store), emulator_quality(store)
    found = suspects(store.grid, store.mean_flux)
    return StoreCheck(store, invariants, errors, quality, store_filling(store), found)


def print_check(check: StoreCheck) -> None:
    """Print the tables of a check."""
    console = Console()
    print(f"checksums: {check.store.checksums_line}")
    console.print(invariants_table(check.invariants))
    _print_held_out(console, check)
    if not has_pairwise(check.store.grid):
        print(
            f"pairwise skipped: more than {MAX_PAIRWISE_POINTS} points or "
            f"{MAX_PAIRWISE_PARAMETERS} parameters"
        )
    if check.emulator:
        _print_emulator(console, check)
    for line in check.suspects:
        print(line)
    for line in [] if check.filling is None else filling_lines(check.filling):
        print(line)


def _print_held_out(console: Console, check: StoreCheck) -> None:
    results = check.held_out
    if not results:
        console.print("no axis has three values, so no grid point can be held out")
        return
    console.print("error of q at held-out grid points, |predicted/true - 1|; each is predicted")
    console.print("from its neighbours along one axis, which are two grid steps apart")
    console.print(held_out_table(results))
    for table in held_out_by_order(results, check.store.orders):
        console.print(table)
    n_points = min(result.error.shape[1] for result in results)
    caution = f"; not reliable with {counted(n_points, 'point')}" if n_points < _MIN_POINTS else ""
    console.print(
        f"best method: {check.best_method} (of {', '.join(RANKED)}: the smallest geometric mean, "
        f"over the axes, of the median error){caution}"
    )


def _print_emulator(console: Console, check: StoreCheck) -> None:
    quality = check.emulator
    console.print("emulator at the grid points; residuals are fractions of a spectrum's mean flux")
    console.print(quality_table(quality))
    if not quality[0].held_out:
        return
    console.print("emulator at held-out grid points; residuals as above")
    console.print(held_out_spectra_table(quality, check.store.grid))
    factors = ", ".join(
        f"{result.factor:.2g} along {result.axis}" for result in quality[0].held_out
    )
    console.print(f"expected between the grid points: r.m.s. times {factors}")
    for line in joint_error_notes(check.store):
        print(line)


def _held_out_facts(result: HeldOutErrors) -> dict[str, Any]:
    return {
        "axis": result.axis,
        "method": result.method,
        "median": float(np.nanmedian(result.error)),
        "percentile95": float(np.nanpercentile(result.error, 95)),
        "median_by_order": _finite(result.median),
        "percentile95_by_order": _finite(result.percentile95),
        "n_points": result.error.shape[1],
    }


def _finite(values: Floats) -> list[float | None]:
    """Replace NaN, which JSON does not have."""
    return [v if math.isfinite(v) else None for v in values.tolist()]
