"""The job file of ``mixjobs build``.

The command line makes the same object from its options; their help texts, units and defaults are
those of the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mixjobs.config.cluster import EXPECTED, ClusterConfig, is_file_name, resolve_paths
from mixjobs.config.limits import Columns, OrderNumber, PositiveInt, Resolution, Workers
from mixjobs.config.toml import (
    Config,
    Expected,
    IntPair,
    Pair,
    contradiction,
    expand,
    invalid,
    read_toml,
    resolve,
    resolve_all,
    validate,
)

_VELOCITY = "a number in km/s, from 0 to less than a tenth of the speed of light"
# Used where pydantic's own wording does not help.
_EXPECTED: Expected = {
    **EXPECTED,
    ("emulator", "max_rv"): _VELOCITY,
    ("emulator", "max_vsini"): _VELOCITY,
    ("emulator", "step"): "a positive number in km/s, from 0.001 to 1000",
    ("block",): "[ORDERS, POINTS], two whole numbers of at least 1",
    ("names",): 'a name for each parameter, such as { Gravity = "logg" }',
    ("select",): "a range for each parameter, such as { teff = [3000, 4500] }",
    ("orders", "from"): "a file, a pattern, or a list of them, one for each epoch",
    ("orders", "margin"): _VELOCITY,
    ("orders", "edges"): "edges [5000, 5500, 6000], or pairs [[5000, 5400], [5300, 5800]]",
    ("orders", "range"): "[LOW, HIGH] in Å",
}
MAX_VELOCITY = 29979.2458  # km/s, a tenth of the speed of light
_NEEDS = {"numbers": "from", "columns": "from", "wavelength_unit": "from", "range": "n"}
_ORDER_SOURCES = {"from_file": "from", "n": "n", "edges": "edges", "table": "table"}


class OrdersConfig(Config):
    """The source of the orders: exactly one of `from`, `n`, `edges` and `table`."""

    from_file: str | Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None,
        alias="from",
        description="use the orders of an observed spectrum (its file, or a pattern of the files "
        "of its orders), or of several epochs",
        json_schema_extra={"metavar": "FILE"},
    )
    numbers: list[OrderNumber] | None = Field(
        default=None,
        description="keep only these orders of the observed spectra",
        json_schema_extra={"metavar": "21,22,..."},
    )
    n: Annotated[int, Field(gt=0, le=100_000)] | None = Field(
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
    medium: Literal["air", "vacuum"] | None = Field(
        default=None,
        description="medium of these wavelengths, where a spectrum does not declare it (default: "
        "the library's)",
    )
    margin: float = Field(
        default=0.0,
        ge=0,
        lt=MAX_VELOCITY,
        description="widen every order on both sides, for epochs to come",
        json_schema_extra={"metavar": "KM/S"},
    )
    columns: Columns | None = Field(
        default=None,
        description="names or numbers of columns or extensions of the observed spectra, such as "
        "wavelength=LAM",
        json_schema_extra={"metavar": "QUANTITY=NAME"},
    )
    wavelength_unit: str | None = Field(
        default=None,
        description="unit of the wavelengths of the observed spectra, if their files do not state "
        "it",
        json_schema_extra={"metavar": "UNIT"},
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
        for key, needs in _NEEDS.items():
            if getattr(self, key) is not None and needs not in given:
                raise contradiction(key, f"this needs orders.{needs}; give both, or leave this out")
        numbers = self.numbers
        if numbers is not None and (not numbers or len(set(numbers)) < len(numbers)):
            raise invalid("numbers", numbers, "order numbers, each once")
        if self.medium is not None and self.n is not None and self.range is None:
            raise contradiction("medium", "this needs orders.range; give both, or leave this out")
        return self


class EmulatorConfig(Config):
    """What an emulator must handle, and how accurate it must be."""

    max_rv: float = Field(
        default=200.0,
        ge=0,
        lt=MAX_VELOCITY,
        description="largest radial velocity the emulator must handle",
        json_schema_extra={"metavar": "KM/S"},
    )
    max_vsini: float = Field(
        default=150.0,
        ge=0,
        lt=MAX_VELOCITY,
        description="largest projected rotation velocity the emulator must handle",
        json_schema_extra={"metavar": "KM/S"},
    )
    min_resolution: Resolution = Field(
        default=10_000.0,
        description="lowest resolving power the emulator must handle",
        json_schema_extra={"metavar": "R"},
    )
    step: float | None = Field(
        default=None,
        ge=1e-3,
        le=1e3,
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
        ge=0.01,
        le=1,
        description="keep enough eigenspectra to explain this fraction of the variance",
        json_schema_extra={"metavar": "FRACTION"},
    )
    max_residual: float = Field(
        default=0.02,
        ge=1e-12,
        le=1,
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

    @model_validator(mode="after")
    def _check(self) -> EmulatorConfig:
        fields = type(self).model_fields
        limits = ("explained_variance", "max_residual", "max_rank")
        other = [name for name in limits if getattr(self, name) != fields[name].default]
        if self.rank is not None and other:
            raise contradiction(
                other[0], "rank already gives the number of eigenspectra; leave one of them out"
            )
        return self


class BuildConfig(Config):
    """Everything that ``mixjobs build`` needs to know."""

    library: str | list[str] = Field(
        description="library of raw spectra: a Starfish HDF5 file, a folder of PHOENIX files or of "
        "spectra from the SVO, or a list or a quoted pattern of files, such as 'grid_m*.hdf5'"
    )
    output: str = Field(
        description="store to write, such as ratios.zarr", json_schema_extra={"metavar": "STORE"}
    )
    format: str | None = Field(
        default=None,
        description="format of the library: starfish, phoenix or svo (default: detected)",
        json_schema_extra={"metavar": "NAME"},
    )
    flux_unit: str | None = Field(
        default=None,
        description="flux unit of the library, in place of the one its files declare",
        json_schema_extra={"metavar": "UNIT"},
    )
    wavelength_unit: str | None = Field(
        default=None,
        description="wavelength unit of the library, in place of the one its files declare",
        json_schema_extra={"metavar": "UNIT"},
    )
    medium: Literal["air", "vacuum"] | None = Field(
        default=None,
        description="medium of the library's wavelengths, in place of the one its files declare",
    )
    names: dict[str, str] = Field(
        default_factory=dict,
        description="names of the library's parameters: the name in its files, and the one to use",
        json_schema_extra={"metavar": "NAME=PARAMETER"},
    )
    flux_scale: Literal["raw", "scaled"] | None = Field(
        default=None,
        description="whether the spectra are raw, or scaled to one luminosity, which is undone "
        "(default: as their numbers say)",
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
    holes: Literal["refuse", "interpolate"] = Field(
        default="refuse",
        description="holes of the grid: refuse, or interpolate them from their neighbours",
    )
    emulator: EmulatorConfig | None = None
    overwrite: bool = Field(default=False, description="replace an existing store")
    workers: Workers | None = Field(
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
        if not self.table and self.dtype != type(self).model_fields["dtype"].default:
            raise contradiction("dtype", "there is no ratio table to which it applies (no table)")
        return self

    @property
    def library_options(self) -> dict[str, Any]:
        """Keywords of `mixjobs.open_library`."""
        names = ("format", "flux_unit", "wavelength_unit", "medium", "names", "flux_scale")
        return {name: getattr(self, name) for name in names}

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
    folder = expand(path).parent
    orders = job.orders.model_copy(
        update={
            "from_file": resolve_all(folder, job.orders.from_file),
            "table": resolve(folder, job.orders.table),
        }
    )
    library = job.library
    paths = {
        "library": [resolve(folder, file) for file in library]
        if isinstance(library, list)
        else resolve(folder, library),
        "output": resolve(folder, job.output),
    }
    if is_file_name(job.scheduler):
        paths["scheduler"] = resolve(folder, job.scheduler)
    cluster = job.cluster and resolve_paths(folder, job.cluster)
    return job.model_copy(update={"orders": orders, "cluster": cluster, **paths})


def make_build_job(data: Mapping[str, Any], source: str) -> BuildConfig:
    """Validate the data of a job; errors name their `source`."""
    return validate(BuildConfig, data, source, _EXPECTED)
