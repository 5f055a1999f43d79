"""A job: what is asked for, checked as far as that can be done before the work, and planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.builder.plan import Block, EmulatorPlan, Plan, make_plan, plan_emulator, probe
from mixjobs.builder.rawness import Plausibility, check_raw
from mixjobs.builder.segments import EmulatorSettings
from mixjobs.errors import InvalidInput, NotRaw
from mixjobs.library import Library, open_library
from mixjobs.orders import Orders
from mixjobs.typing import Floats


@dataclass(frozen=True, eq=False)
class Job:
    """A job that has been found possible: its library, plan and attributes."""

    library: Library
    orders: Orders
    plan: Plan
    attributes: dict[str, Any]
    looks: Plausibility
    seconds: float
    emulator: EmulatorPlan | None = None

    @property
    def worker_bytes(self) -> int:
        """Memory that a task needs beyond the program itself, about."""
        needed = self.plan.worker_bytes
        return (
            max(needed, self.emulator.worker_bytes(self.plan.block[1])) if self.emulator else needed
        )

    def check(self, means: Floats, rows: NDArray[np.int64]) -> Plausibility:
        """Check that means (M, n) of these points can be raw."""
        return _looks_raw(self.library, self.orders, means, rows)


def prepare(
    library: Library | str | Path,
    orders: Orders,
    n_workers: int = 1,
    select: Mapping[str, tuple[float, float]] | None = None,
    block: Block | None = None,
    table_dtype: str | None = "float64",
    assume_raw: bool = False,
    emulator: EmulatorSettings | None = None,
) -> Job:
    """Check everything that can be checked before the work, and plan it.

    Parameters and errors are those of `mixjobs.build`.
    """
    if table_dtype not in (None, "float64", "float32"):
        raise InvalidInput(f"dtype {table_dtype!r} is unknown; choose float64 or float32")
    chosen = open_library(library) if isinstance(library, str | Path) else library
    if select:
        chosen = chosen.take(chosen.grid.select(select))
    if assume_raw:
        chosen = chosen.assume_raw()
    if chosen.flux_calibration.status == "normalised":
        raise NotRaw(
            f"{chosen.path}: {chosen.flux_calibration.evidence}; flux ratios need raw spectra: "
            "give the raw library, or --assume-raw if you know that it is raw"
        )
    planned = None
    if emulator is not None:
        planned = plan_emulator(chosen.wavelength, orders, emulator, len(chosen.grid))
    probed = probe(chosen, orders)
    looks = _looks_raw(chosen, orders, probed.mean_flux, probed.rows)
    literal = planned is None  # a unit alone would be a file in the emulator's scratch array
    plan = make_plan(chosen, orders, probed.seconds, n_workers, block, table_dtype, literal)
    attributes = _attributes(chosen, orders, table_dtype)
    attributes["identity"]["emulator"] = planned.identity if planned else "none"
    return Job(chosen, orders, plan, attributes, looks, probed.seconds, planned)


def _looks_raw(
    library: Library, orders: Orders, means: Floats, rows: NDArray[np.int64]
) -> Plausibility:
    if library.flux_calibration.status == "assumed":
        return Plausibility(library.flux_unit, "not checked, taken as raw on request")
    try:
        looks = check_raw(library.grid.take(rows), orders, means, library.flux_unit)
    except NotRaw as error:
        raise NotRaw(f"{library.path}: {error}") from None
    if library.flux_calibration.status == "unknown" and "teff" not in library.grid.names:
        raise NotRaw(
            f"{library.path}: {library.flux_calibration.evidence}, "
            "and without a Teff the numbers cannot tell; "
            "give --assume-raw if you know that it is raw"
        )
    return looks


def _attributes(library: Library, orders: Orders, table_dtype: str | None) -> dict[str, Any]:
    grid = library.grid
    windows = np.stack([orders.number, orders.wave_min, orders.wave_max])
    identity = {f"library {name}": value for name, value in library.fingerprint.items()}
    identity |= {
        "grid points": f"{len(grid)} ({_digest(grid.points)})",
        "orders": f"{len(orders)} ({_digest(windows)})",
        "ratio table": table_dtype or "none",
        "spectra": library.flux_calibration.status,
    }
    return {
        "mixjobs_version": version("mixjobs"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "library": library.path,
        "library_format": library.format,
        "library_parameters": list(library.original_names),
        "flux_unit_declared": library.flux_unit,
        "raw": library.flux_calibration.status,
        "raw_how": library.flux_calibration.evidence,
        "medium": library.medium,
        "identity": identity,
    }


def _digest(array: NDArray[Any]) -> str:
    return sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:8]
