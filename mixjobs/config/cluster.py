"""The table `[cluster]` of a job file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from mixjobs.config.toml import Expected, IntPair, PositiveInt, Table, first_fault, read_toml
from mixjobs.errors import InvalidInput

EXPECTED: Expected = {
    ("cluster", "jobs"): "[LEAST, MOST], two whole numbers from 1 up",
    ("cluster", "walltime"): 'HOURS:MINUTES:SECONDS, such as "02:00:00"',
}
Walltime = Annotated[str, Field(pattern=r"^(\d+-)?\d{1,3}:\d\d:\d\d$")]


class ClusterConfig(Table):
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


def read_cluster(path: str | Path) -> ClusterConfig:
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


def make_cluster(data: Mapping[str, Any], source: str) -> ClusterConfig:
    """Check the data of a cluster; `source` names them in an error."""
    try:
        table = ClusterConfig.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(
            f"{source}: {first_fault(error, data, ClusterConfig, EXPECTED, ('cluster',))}"
        ) from None
    check_cluster(table, source)
    return table


def check_cluster(table: ClusterConfig, source: str) -> None:
    """Refuse a cluster whose keys contradict each other."""
    if (table.kind == "address") != (table.scheduler is not None):
        raise InvalidInput(f'{source}: cluster kind "address" and scheduler go together')
    if table.jobs[0] > table.jobs[1]:
        raise InvalidInput(f"{source}: cluster jobs = {list(table.jobs)}; expected [LEAST, MOST]")
