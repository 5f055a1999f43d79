"""The table `[cluster]` of a job file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mixjobs.config.limits import Workers
from mixjobs.config.toml import (
    Config,
    Expected,
    IntPair,
    contradiction,
    expand,
    invalid,
    read_toml,
    resolve,
    validate,
)
from mixjobs.errors import InvalidInput

_SUFFIXES = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15} | {
    "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40, "pi": 2**50,
}  # fmt: skip
_AMOUNT = re.compile(r"(\d+(?:\.\d*)?)\s*([kmgtp]i?)b?", re.IGNORECASE)
_MIN_MEMORY = 10**8  # bytes; the program alone needs more
_MEMORY = 'an amount of at least 100MB, such as "4GB"'
_ADDRESS = re.compile(r"(\[[\da-fA-F:]+\]|[\w.-]*):(\d{1,5})")
_DASHBOARD = 'HOST:PORT, such as "127.0.0.1:8787"; port 0 is any free one'
_MIN_WALLTIME = 60  # seconds
JOBS = "[MINIMUM, MAXIMUM], two whole numbers of at least 1"
EXPECTED: Expected = {
    ("cluster", "jobs"): JOBS,
    ("cluster", "walltime"): 'HOURS:MINUTES:SECONDS, such as "02:00:00"',
}
Walltime = Annotated[str, Field(pattern=r"^(\d+-)?\d{1,3}:\d\d:\d\d$")]


_REMOTE = {"kind", "interface", "dashboard", "logs", "scratch"}
_SLURM = {
    "workers", "memory", "jobs", "walltime", "queue", "account", "constraint", "request_memory",
    "prologue", "directives",
}  # fmt: skip
# The keys that each kind of cluster uses.
_USED = {
    "local": {"kind", "workers", "memory", "dashboard", "logs", "scratch"},
    "allocation": _REMOTE,
    "address": {"kind", "scheduler", "logs"},
    "slurm": _REMOTE | _SLURM,
}


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
    workers: Workers | None = Field(default=None, description="worker processes, per job on Slurm")
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

    @model_validator(mode="after")
    def _check(self) -> ClusterConfig:
        if (self.kind == "address") != (self.scheduler is not None):
            raise contradiction(
                "scheduler", 'give the address of a scheduler for kind = "address", and only then'
            )
        if self.jobs[0] > self.jobs[1]:
            raise invalid("jobs", list(self.jobs), JOBS)
        if self.memory is not None and memory_bytes(self.memory) < _MIN_MEMORY:
            raise invalid("memory", self.memory, _MEMORY)
        address = _ADDRESS.fullmatch(self.dashboard)
        if not address or int(address[2]) >= 2**16:
            raise invalid("dashboard", self.dashboard, _DASHBOARD)
        if walltime_seconds(self.walltime) < _MIN_WALLTIME:
            raise invalid("walltime", self.walltime, "a minute or more")
        for name, field in type(self).model_fields.items():
            default = field.get_default(call_default_factory=True)
            if name not in _USED[self.kind] and getattr(self, name) != default:
                raise contradiction(
                    name, f'this has no effect with kind = "{self.kind}"; leave it out'
                )
        return self


def memory_bytes(memory: str) -> int:
    """Return an amount of memory in bytes, or -1 if it cannot be understood.

    Examples
    --------
    >>> memory_bytes("4GB"), memory_bytes("1.5 GiB"), memory_bytes("lots")
    (4000000000, 1610612736, -1)
    """
    amount = _AMOUNT.fullmatch(memory.strip())
    return int(float(amount[1]) * _SUFFIXES[amount[2].lower()]) if amount else -1


def walltime_seconds(walltime: str) -> int:
    """Return a walltime in seconds.

    Examples
    --------
    >>> walltime_seconds("1-02:30:00")
    95400
    """
    days, _, clock = walltime.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


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
    return resolve_paths(expand(path).parent, make_cluster(data["cluster"], str(path)))


def resolve_paths(folder: Path, cluster: ClusterConfig) -> ClusterConfig:
    """Return a cluster whose paths are relative to the folder of its file; `~` is the home folder.

    A path that begins with a variable, such as ``"$TMPDIR"``, is left to the shell of the workers.
    """
    paths = {name: getattr(cluster, name) for name in ("logs", "scratch", "scheduler")}
    if not is_file_name(cluster.scheduler):
        del paths["scheduler"]
    update = {
        name: resolve(folder, path)
        for name, path in paths.items()
        if path is not None and not path.startswith("$")
    }
    return cluster.model_copy(update=update)


def is_file_name(scheduler: str | None) -> bool:
    """Whether a scheduler is given by its scheduler file instead of its address."""
    if scheduler is None or "://" in scheduler:
        return False
    return scheduler.endswith(".json") or expand(scheduler).is_file()


def make_cluster(data: Mapping[str, Any], source: str) -> ClusterConfig:
    """Validate the data of a cluster; errors name their `source`."""
    return validate(ClusterConfig, data, source, EXPECTED, ("cluster",))
