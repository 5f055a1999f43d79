"""The table `[cluster]` of a job file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mixjobs.config.toml import (
    Config,
    Expected,
    IntPair,
    PositiveInt,
    contradiction,
    invalid,
    read_toml,
    validate,
)
from mixjobs.errors import InvalidInput

JOBS = "[MINIMUM, MAXIMUM], two whole numbers of at least 1"
EXPECTED: Expected = {
    ("cluster", "jobs"): JOBS,
    ("cluster", "walltime"): 'HOURS:MINUTES:SECONDS, such as "02:00:00"',
}
Walltime = Annotated[str, Field(pattern=r"^(\d+-)?\d{1,3}:\d\d:\d\d$")]


class ClusterConfig(Config):
    """The cluster that runs the tasks."""

    kind: Literal["local", "allocation", "address", "slurm"] = Field(
        default="local",
        description="processes on this machine, all of the current Slurm allocation, a running "
        "Dask scheduler, or Slurm jobs submitted for the purpose",
    )
    scheduler: str | None = Field(
        default=None, description='address of a running Dask scheduler, for kind "address"'
    )
    workers: PositiveInt | None = Field(
        default=None, description="worker processes, per job on Slurm"
    )
    memory: str | None = Field(default=None, description='memory of the workers, such as "32GB"')
    jobs: IntPair = Field(default=(1, 4), description="minimum and maximum number of Slurm jobs")
    walltime: Walltime = Field(default="01:00:00", description="time limit of each Slurm job")
    queue: str | None = Field(default=None, description="Slurm partition")
    account: str | None = Field(default=None, description="Slurm account")
    constraint: str | None = Field(default=None, description="Slurm constraint on the nodes")
    request_memory: bool = Field(default=True, description="request the memory from Slurm")
    interface: str | None = Field(default=None, description='network interface, such as "ib0"')
    prologue: list[str] = Field(
        default_factory=list, description="shell commands that run before the workers start"
    )
    directives: list[str] = Field(default_factory=list, description="further #SBATCH options")
    dashboard: str = Field(default="127.0.0.1:0", description="address of the Dask dashboard")
    logs: str | None = Field(default=None, description="folder for the workers' log files")
    scratch: str | None = Field(default=None, description="local scratch folder of the workers")

    @field_validator("logs", "scratch")
    @classmethod
    def _expand(cls, path: str | None) -> str | None:
        return str(Path(path).expanduser()) if path and path.startswith("~") else path

    @model_validator(mode="after")
    def _check(self) -> ClusterConfig:
        if (self.kind == "address") != (self.scheduler is not None):
            raise contradiction(
                "scheduler", 'give the address of a scheduler for kind = "address", and only then'
            )
        if self.jobs[0] > self.jobs[1]:
            raise invalid("jobs", list(self.jobs), JOBS)
        return self


def read_cluster(path: str | Path) -> ClusterConfig:
    """Read the table `[cluster]` of a TOML file; other tables are ignored.

    Raises
    ------
    MissingFile, UnreadableFile
        No such file, or not TOML.
    InvalidInput
        No such table in the file, or an unknown or invalid key.
    """
    data = read_toml(path)
    if not isinstance(data.get("cluster"), dict):
        raise InvalidInput(
            f"{path}: no [cluster] table; expected one that describes the cluster",
            path=path,
            name="cluster",
        )
    return make_cluster(data["cluster"], str(path))


def make_cluster(data: Mapping[str, Any], source: str) -> ClusterConfig:
    """Validate the data of a cluster; errors name their `source`."""
    return validate(ClusterConfig, data, source, EXPECTED, ("cluster",))
