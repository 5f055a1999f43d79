"""The job file: TOML, validated. The command line makes the same object from its options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from mixjobs.config.cluster import EXPECTED, ClusterConfig, check_cluster
from mixjobs.config.toml import (
    Expected,
    IntPair,
    Pair,
    PositiveInt,
    Table,
    beside,
    first_fault,
    read_toml,
)
from mixjobs.errors import InvalidInput

# What a value of several parts should be; pydantic's own words for these do not help.
_EXPECTED: Expected = {
    **EXPECTED,
    ("block",): "[ORDERS, POINTS], two whole numbers from 1 up",
    ("select",): "a range for each parameter, such as { teff = [3000, 4500] }",
    ("orders", "edges"): "edges [5000, 5500, 6000], or pairs [[5000, 5400], [5300, 5800]]",
    ("orders", "range"): "[LOW, HIGH] in Å",
}
_MAX_VELOCITY = 29979.2458  # km/s, a tenth of the speed of light
_ORDER_SOURCES = {
    "from_file": "from (--orders-from)",
    "n": "n (--n-orders)",
    "edges": "edges (--edges)",
    "table": "table (--order-table)",
}


class OrdersConfig(Table):
    """Where the orders come from: exactly one of `from`, `n`, `edges`, `table`."""

    from_file: str | None = Field(None, alias="from")
    numbers: list[int] | None = None
    n: PositiveInt | None = None
    range: Pair | None = None
    edges: list[float] | list[Pair] | None = None
    table: str | None = None
    skip_uncovered: bool = False


class EmulatorConfig(Table):
    """The velocities and instruments that an emulator must cover, and its accuracy."""

    max_rv: float = Field(
        200.0, ge=0, lt=_MAX_VELOCITY, description="Largest radial velocity, km/s."
    )
    max_vsini: float = Field(
        150.0, ge=0, lt=_MAX_VELOCITY, description="Largest projected rotation velocity, km/s."
    )
    min_resolution: float = Field(10_000.0, gt=0, description="Lowest resolving power.")
    step: float | None = Field(
        None, gt=0, description="Step of the wavelength grid, km/s; by default the library's own."
    )
    short_buffer: Literal["refuse", "skip", "shrink"] = Field(
        "refuse",
        description="What to do with an order whose buffer extends beyond the library: refuse the "
        "job, leave the order out, or shrink its buffer.",
    )
    explained_variance: float = Field(
        0.999,
        gt=0,
        le=1,
        description="Least fraction of the variance that the eigenspectra explain.",
    )
    max_residual: float = Field(
        0.02,
        gt=0,
        description="Largest residual of any pixel at the grid points, as a fraction of the mean "
        "flux.",
    )
    max_rank: PositiveInt = Field(64, description="Largest number of eigenspectra.")
    rank: PositiveInt | None = Field(None, description="Exactly this number of eigenspectra.")


class BuildConfig(Table):
    """What ``mixjobs build`` is asked to do."""

    library: str
    output: str
    format: str | None = None
    orders: OrdersConfig
    select: dict[str, Pair] = Field(default_factory=dict)
    block: IntPair | None = None
    dtype: Literal["float64", "float32"] = "float64"
    table: bool = True
    assume_raw: bool = False
    emulator: EmulatorConfig | None = None
    overwrite: bool = False
    workers: PositiveInt | None = None
    serial: bool = False
    scheduler: str | None = None
    cluster: ClusterConfig | None = None

    @property
    def where(self) -> ClusterConfig | None:
        """The cluster that is asked for, in whatever way; None for this process."""
        if self.serial:
            return None
        if self.scheduler is not None:
            return ClusterConfig(kind="address", scheduler=self.scheduler)
        return self.cluster or ClusterConfig(workers=self.workers)


def read_build_job(path: str | Path) -> BuildConfig:
    """Read and check a job file; paths in it are relative to the file.

    Raises
    ------
    MissingFile, UnreadableFile
        It is not there, or is not TOML.
    InvalidInput
        A key is unknown or missing, or has a wrong type.
    """
    job = make_build_job(read_toml(path), str(path))
    folder = Path(path).parent
    orders = job.orders.model_copy(
        update={
            "from_file": beside(folder, job.orders.from_file),
            "table": beside(folder, job.orders.table),
        }
    )
    places = {"library": beside(folder, job.library), "output": beside(folder, job.output)}
    return job.model_copy(update={"orders": orders, **places})


def make_build_job(data: Mapping[str, Any], source: str) -> BuildConfig:
    """Check the data of a job; `source` names them in an error."""
    try:
        job = BuildConfig.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(
            f"{source}: {first_fault(error, data, BuildConfig, _EXPECTED)}"
        ) from None
    given = [name for name in _ORDER_SOURCES if getattr(job.orders, name) is not None]
    if len(given) != 1:
        raise InvalidInput(
            f"{source}: {len(given)} sources of orders were given; give exactly one of "
            f"{', '.join(_ORDER_SOURCES.values())}"
        )
    for key, needs in (("numbers", "from_file"), ("range", "n")):
        if getattr(job.orders, key) is not None and getattr(job.orders, needs) is None:
            raise InvalidInput(f"{source}: orders {key} goes with {_ORDER_SOURCES[needs]}")
    named = (job.workers, job.scheduler, job.cluster)
    if job.serial + sum(name is not None for name in named) > 1:
        raise InvalidInput(f"{source}: give only one of serial, workers, scheduler, cluster")
    if job.cluster is not None:
        check_cluster(job.cluster, source)
    return job
