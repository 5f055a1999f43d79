"""CPUs and memory available on this machine or in the current Slurm allocation."""

from __future__ import annotations

import os

from dask.system import CPU_COUNT
from dask.utils import parse_bytes
from distributed.system import MEMORY_LIMIT

from mixjobs.errors import InvalidInput

# Settings of glibc that let workers keep freed memory for the next spectrum. Dask's own setting
# returns memory to the system immediately, and a step of sampling takes 1.7 times as long.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**27), "MALLOC_MMAP_THRESHOLD_": str(2**25)}


def workers_here(workers: int | None = None) -> int:
    """Return the number of workers: as requested, or one per available core.

    Available cores are those in the process's affinity and control group, and in the Slurm
    allocation if there is one.
    """
    granted = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE")
    cores = int(CPU_COUNT)
    return workers or (min(cores, int(granted)) if granted else cores)


def memory_here() -> int:
    """Return the available memory in bytes: the machine's, the control group's or Slurm's limit."""
    each = slurm_memory_per_cpu()
    limit = int(MEMORY_LIMIT)
    return min(limit, each * workers_here()) if each else limit


def slurm_memory_per_cpu() -> int | None:
    """Return the memory per CPU that Slurm grants, in bytes; None if it is not set."""
    mebibytes = int(os.environ.get("SLURM_MEM_PER_CPU") or 0)
    if not mebibytes:  # the limit may be per node instead, where 0 means all of it
        node = int(os.environ.get("SLURM_MEM_PER_NODE") or 0)
        mebibytes = node // int(os.environ.get("SLURM_CPUS_ON_NODE") or 1)
    return mebibytes * 2**20 or None


def to_bytes(memory: str) -> int:
    """Read an amount of memory such as ``"4GB"``.

    Examples
    --------
    >>> to_bytes("4GB")
    4000000000
    """
    try:
        return int(parse_bytes(memory))
    except ValueError:
        raise InvalidInput(
            f"memory = {memory!r}; expected an amount such as '4GB'", name="memory", value=memory
        ) from None
