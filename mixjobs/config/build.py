"""The job file of ``mixjobs build``.

The command line makes the same object from its options; their help texts, units and defaults are
those of the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from mixjobs.config.cluster import EXPECTED, ClusterConfig
from mixjobs.config.toml import (
    Config,
    Expected,
    IntPair,
    Pair,
    PositiveInt,
    contradiction,
    read_toml,
    resolve,
    validate,
)

_VELOCITY = "a number in km/s, from 0 to less than a tenth of the speed of light"
# Used where pydantic's own wording does not help.
_EXPECTED: Expected = {
    **EXPECTED,
    ("emulator", "max_rv"): _VELOCITY,
    ("emulator", "max_vsini"): _VELOCITY,
    ("emulator", "step"): "a positive number in km/s",
    ("block",): "[ORDERS, POINTS], two whole numbers of at least 1",
    ("select",): "a range for each parameter, such as { teff = [3000, 4500] }",
    ("orders", "edges"): "edges [5000, 5500, 6000], or pairs [[5000, 5400], [5300, 5800]]",
    ("orders", "range"): "[LOW, HIGH] in Å",
}
_MAX_VELOCITY = 29979.2458  # km/s, a tenth of the speed of light
_ORDER_SOURCES = {"from_file": "from", "n": "n", "edges": "edges", "table": "table"}


class OrdersConfig(Config):
    """The source of the orders: exactly one of `from`, `n`, `edges` and `table`."""

    from_file: str | None = Field(
        default=None,
        alias="from",
        description="use the orders of an observed spectrum",
        json_schema_extra={"metavar": "FILE"},
    )
    numbers: list[int] | None = Field(
        default=None,
        description="keep only these orders of the observed spectrum",
        json_schema_extra={"metavar": "21,22,..."},
    )
    n: PositiveInt | None = Field(
        default=None,
        description="make N orders of equal width in log wavelength",
        json_schema_extra={"metavar": "N"},
    )
    range: Pair | None = Field(
        default=None,
        description="wavelength range of the N orders in Å (default: all of the library)",
        json_schema_extra={"metavar": "LOW:HIGH"},
    )
    edges: list[float] | list[Pair] | None = Field(
        default=None,
        description="edges of adjacent orders in Å",
        json_schema_extra={"metavar": "E0,E1,..."},
    )
    table: str | None = Field(
        default=None,
        description="read the orders from a text file with the columns number, "
        "wave_min and wave_max (Å)",
        json_schema_extra={"metavar": "FILE"},
    )
    skip_uncovered: bool = Field(
        default=False, description="skip the orders that the library does not cover"
    )

    @model_validator(mode="after")
    def _check(self) -> OrdersConfig:
        given = [key for name, key in _ORDER_SOURCES.items() if getattr(self, name) is not None]
        if len(given) != 1:
            raise contradiction(
                "",
                f"{' and '.join(given) or 'no source of orders'} given; expected exactly one of "
                f"{', '.join(_ORDER_SOURCES.values())}",
            )
        for key, needs in (("numbers", "from"), ("range", "n")):
            if getattr(self, key) is not None and needs not in given:
                raise contradiction(key, f"this needs orders.{needs}; give both, or leave this out")
        return self


class EmulatorConfig(Config):
    """What an emulator must handle, and how accurate it must be."""

    max_rv: float = Field(
        default=200.0,
        ge=0,
        lt=_MAX_VELOCITY,
        description="largest radial velocity the emulator must handle",
        json_schema_extra={"metavar": "KM/S"},
    )
    max_vsini: float = Field(
        default=150.0,
        ge=0,
        lt=_MAX_VELOCITY,
        description="largest projected rotation velocity the emulator must handle",
        json_schema_extra={"metavar": "KM/S"},
    )
    min_resolution: float = Field(
        default=10_000.0,
        gt=0,
        description="lowest resolving power the emulator must handle",
        json_schema_extra={"metavar": "R"},
    )
    step: float | None = Field(
        default=None,
        gt=0,
        description="pixel width of the emulator (default: that of the library)",
        json_schema_extra={"metavar": "KM/S"},
    )
    short_buffer: Literal["refuse", "skip", "shrink"] = Field(
        default="refuse",
        description="if the library does not cover the buffer around an order: refuse to build, "
        "skip the order, or shrink its buffer",
    )
    explained_variance: float = Field(
        default=0.999,
        gt=0,
        le=1,
        description="keep enough eigenspectra to explain this fraction of the variance",
        json_schema_extra={"metavar": "FRACTION"},
    )
    max_residual: float = Field(
        default=0.02,
        gt=0,
        description="keep enough eigenspectra that no pixel of a library spectrum is off by more "
        "than this fraction of the spectrum's mean flux",
        json_schema_extra={"metavar": "FRACTION"},
    )
    max_rank: PositiveInt = Field(
        default=64,
        description="largest number of eigenspectra per order",
        json_schema_extra={"metavar": "K"},
    )
    rank: PositiveInt | None = Field(
        default=None,
        description="exactly this number of eigenspectra per order",
        json_schema_extra={"metavar": "K"},
    )


class BuildConfig(Config):
    """Everything that ``mixjobs build`` needs to know."""

    library: str = Field(
        description="library of raw spectra: a Starfish HDF5 file or a folder of PHOENIX files"
    )
    output: str = Field(
        description="store to write, such as ratios.zarr", json_schema_extra={"metavar": "STORE"}
    )
    format: str | None = Field(
        default=None,
        description="format of the library: starfish or phoenix (default: detected)",
        json_schema_extra={"metavar": "NAME"},
    )
    orders: OrdersConfig
    select: dict[str, Pair] = Field(
        default_factory=dict,
        description="use only the grid points in this range",
        json_schema_extra={"metavar": "NAME=LOW:HIGH"},
    )
    block: IntPair | None = Field(
        default=None,
        description="orders and grid points in one task (default: chosen for the job)",
        json_schema_extra={"metavar": "ORDERS,POINTS"},
    )
    dtype: Literal["float64", "float32"] = Field(
        default="float64", description="number format of the ratio table"
    )
    table: bool = Field(
        default=True, description="store the N x N ratio table; a model needs only the mean fluxes"
    )
    assume_raw: bool = Field(
        default=False, description="treat the fluxes in the file as raw, whatever it declares"
    )
    emulator: EmulatorConfig | None = None
    overwrite: bool = Field(default=False, description="replace an existing store")
    workers: PositiveInt | None = Field(
        default=None,
        description="number of worker processes (default: one per core)",
        json_schema_extra={"metavar": "N"},
    )
    serial: bool = Field(default=False, description="run in this process, without workers")
    scheduler: str | None = Field(
        default=None,
        description="use a running Dask scheduler: its address or its scheduler file",
        json_schema_extra={"metavar": "ADDRESS"},
    )
    cluster: ClusterConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> BuildConfig:
        named = [name for name in ("workers", "scheduler", "cluster") if getattr(self, name)]
        named += ["serial"] if self.serial else []
        if len(named) > 1:
            raise contradiction(
                named[0],
                f"cannot be combined with {' and '.join(named[1:])}; give only one of serial, "
                "workers, scheduler and cluster",
            )
        return self

    @property
    def where(self) -> ClusterConfig | None:
        """The cluster that runs the job, however it was requested; None for this process."""
        if self.serial:
            return None
        if self.scheduler is not None:
            return ClusterConfig(kind="address", scheduler=self.scheduler)
        return self.cluster or ClusterConfig(workers=self.workers)


def read_build_job(path: str | Path) -> BuildConfig:
    """Read a job file. Its paths are relative to the file; `~` is the home folder.

    Raises
    ------
    MissingFile, UnreadableFile
        No such file, or not TOML.
    InvalidInput
        An unknown, missing or invalid key.
    """
    job = make_build_job(read_toml(path), str(path))
    folder = Path(path).expanduser().parent
    orders = job.orders.model_copy(
        update={
            "from_file": resolve(folder, job.orders.from_file),
            "table": resolve(folder, job.orders.table),
        }
    )
    paths = {"library": resolve(folder, job.library), "output": resolve(folder, job.output)}
    return job.model_copy(update={"orders": orders, **paths})


def make_build_job(data: Mapping[str, Any], source: str) -> BuildConfig:
    """Validate the data of a job; errors name their `source`."""
    return validate(BuildConfig, data, source, _EXPECTED)
