"""The job file: TOML, validated. The command line makes the same object from its options."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError

from mixjobs.errors import InvalidInput, MissingFile, UnreadableFile, nearest

Pair = Annotated[tuple[float, float], Strict(False)]
PositiveInt = Annotated[int, Field(gt=0)]
Walltime = Annotated[str, Field(pattern=r"^(\d+-)?\d{1,3}:\d\d:\d\d$")]
IntPair = Annotated[tuple[PositiveInt, PositiveInt], Strict(False)]
Expected = Mapping[tuple[str, ...], str]

# What a value of several parts should be; pydantic's own words for these do not help.
_EXPECTED: Expected = {
    ("block",): "[ORDERS, POINTS], two whole numbers from 1 up",
    ("select",): "a range for each parameter, such as { teff = [3000, 4500] }",
    ("orders", "edges"): "edges [5000, 5500, 6000], or pairs [[5000, 5400], [5300, 5800]]",
    ("orders", "range"): "[LOW, HIGH] in Å",
    ("cluster", "jobs"): "[LEAST, MOST], two whole numbers from 1 up",
    ("cluster", "walltime"): 'HOURS:MINUTES:SECONDS, such as "02:00:00"',
}
_ORDER_SOURCES = {
    "from_file": "from (--orders-from)",
    "n": "n (--n-orders)",
    "edges": "edges (--edges)",
    "table": "table (--order-table)",
}


class Table(BaseModel):
    """A table of a job file: no key but its own, no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class OrdersTable(Table):
    """Where the orders come from: exactly one of `from`, `n`, `edges`, `table`."""

    from_file: str | None = Field(None, alias="from")
    numbers: list[int] | None = None
    n: PositiveInt | None = None
    range: Pair | None = None
    edges: list[float] | list[Pair] | None = None
    table: str | None = None
    skip_uncovered: bool = False


class ClusterTable(Table):
    """Where the tasks run, and how that is asked for."""

    kind: Literal["local", "allocation", "address", "slurm"] = "local"
    scheduler: str | None = None
    workers: PositiveInt | None = None
    memory: str | None = None
    jobs: IntPair = (1, 4)
    walltime: Walltime = "01:00:00"
    queue: str | None = None
    account: str | None = None
    constraint: str | None = None
    request_memory: bool = True
    interface: str | None = None
    prologue: list[str] = Field(default_factory=list)
    directives: list[str] = Field(default_factory=list)
    dashboard: str = "127.0.0.1:0"
    logs: str | None = None
    scratch: str | None = None


class EmulatorTable(Table):
    """What the emulator is made for, and how well; what is left out has its default."""

    max_rv: float | None = None
    max_vsini: float | None = None
    min_resolution: float | None = None
    step: float | None = None
    short_buffer: Literal["refuse", "skip", "shrink"] | None = None
    variance: float | None = None
    worst: float | None = None
    max_rank: PositiveInt | None = None
    rank: PositiveInt | None = None


class BuildJob(Table):
    """What ``mixjobs build`` is asked to do."""

    library: str
    output: str
    format: str | None = None
    orders: OrdersTable
    select: dict[str, Pair] = Field(default_factory=dict)
    block: IntPair | None = None
    dtype: Literal["float64", "float32"] = "float64"
    table: bool = True
    assume_raw: bool = False
    emulator: EmulatorTable | None = None
    overwrite: bool = False
    workers: PositiveInt | None = None
    serial: bool = False
    scheduler: str | None = None
    cluster: ClusterTable | None = None

    @property
    def where(self) -> ClusterTable | None:
        """The cluster that is asked for, in whatever way; None for this process."""
        if self.serial:
            return None
        if self.scheduler is not None:
            return ClusterTable(kind="address", scheduler=self.scheduler)
        return self.cluster or ClusterTable(workers=self.workers)


def read_build_job(path: str | Path) -> BuildJob:
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


def read_cluster(path: str | Path) -> ClusterTable:
    """Read the table `[cluster]` of a TOML file; other tables are left alone.

    Raises
    ------
    MissingFile, UnreadableFile
        It is not there, or is not TOML.
    InvalidInput
        It has no such table, or a key is unknown or has a wrong type.
    """
    data = read_toml(path)
    if not isinstance(data.get("cluster"), dict):
        raise InvalidInput(f"{path}: has no table [cluster]")
    return make_cluster(data["cluster"], str(path))


def make_cluster(data: Mapping[str, Any], source: str) -> ClusterTable:
    """Check the data of a cluster; `source` names them in an error."""
    try:
        table = ClusterTable.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(
            f"{source}: {first_fault(error, data, ClusterTable, _EXPECTED, ('cluster',))}"
        ) from None
    check_cluster(table, source)
    return table


def make_build_job(data: Mapping[str, Any], source: str) -> BuildJob:
    """Check the data of a job; `source` names them in an error."""
    try:
        job = BuildJob.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(f"{source}: {first_fault(error, data, BuildJob, _EXPECTED)}") from None
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


def check_cluster(table: ClusterTable, source: str) -> None:
    """Refuse a cluster whose keys contradict each other."""
    if (table.kind == "address") != (table.scheduler is not None):
        raise InvalidInput(f'{source}: cluster kind "address" and scheduler go together')
    if table.jobs[0] > table.jobs[1]:
        raise InvalidInput(f"{source}: cluster jobs = {list(table.jobs)}; expected [LEAST, MOST]")


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file; `MissingFile` or `UnreadableFile` where that cannot be done."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingFile(f"{path}: no such file; check its name") from None
    except IsADirectoryError:
        raise UnreadableFile(f"{path}: is a folder; give a job file (TOML)") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UnreadableFile(f"{path}: not a TOML job file: {error}") from None


def beside(folder: Path, path: str | None) -> str | None:
    """Return a path that is relative to the job file's folder."""
    return None if path is None else str(folder / path)


def first_fault(
    error: ValidationError,
    data: Any,
    root: type[BaseModel],
    expected: Expected,
    within: tuple[str, ...] = (),
) -> str:
    """Say in one line what is wrong with the data of a job.

    Parameters
    ----------
    error : ValidationError
        What pydantic found in `data`.
    root : type
        The model of the data.
    expected : mapping
        What should be at a place, in better words than pydantic's; by one or two keys.
    within : tuple of str
        Where in the file the data are.
    """
    faults = error.errors()  # a key that is mistyped before one that is missing for it
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    location = within + _keys_of_data(fault["loc"], data, fault["type"] == "missing")
    place = ".".join(location)
    if fault["type"] == "extra_forbidden":
        return f"unknown key {place!r}{nearest(location[-1], _keys(_model_at(root, fault['loc'])))}"
    words = tuple(part for part in location if not part.isdigit())
    said = expected.get(words[:2]) or expected.get(words[:1])
    if fault["type"] == "missing" and not said:
        return f"{place!r} is missing"
    if not said:
        said = fault["msg"].removeprefix("Input should be ").partition(" or instance of")[0]
    return f"{place} = {fault['input']!r}; expected {said}"


def _keys_of_data(location: Sequence[str | int], data: Any, missing: bool) -> tuple[str, ...]:
    """Keep what the data's writer knows of pydantic's location: its own keys and places."""
    kept = []
    for part in location:
        if isinstance(data, Mapping) and part in data:
            data = data[str(part)]
        elif isinstance(data, Sequence) and isinstance(part, int) and part < len(data):
            data = data[part]
        elif not (missing and part == location[-1] and isinstance(part, str)):
            continue
        kept.append(str(part))
    return tuple(kept)


def _model_at(root: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel]:
    model = root
    for part in location[:-1]:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if part in fields:
            model = _model_in(fields[str(part)].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Find the table that an annotation speaks of, if any: itself, or a part of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _keys(table: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in table.model_fields.items()]
