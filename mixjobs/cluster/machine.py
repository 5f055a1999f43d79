"""What this machine, or the Slurm allocation that we run in, really grants."""

from __future__ import annotations

import os

from dask.system import CPU_COUNT
from dask.utils import parse_bytes
from distributed.system import MEMORY_LIMIT

from mixjobs.errors import InvalidInput

# Of glibc, for workers: what is freed is kept for the next spectrum. By Dask's own setting it goes
# back to the system at once, and a step of sampling then takes 1.7 times as long.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**27), "MALLOC_MMAP_THRESHOLD_": str(2**25)}


def workers_here(workers: int | None = None) -> int:
    """Return how many workers this machine gets: as asked for, else all cores we may use.

    Those are the cores of our affinity and control group, and of the Slurm allocation where
    we run in one.
    """
    granted = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE")
    cores = int(CPU_COUNT)
    return workers or (min(cores, int(granted)) if granted else cores)


def memory_here() -> int:
    """Return the bytes we may use: of the machine, our control group, and Slurm's grant."""
    each = slurm_memory_per_cpu()
    limit = int(MEMORY_LIMIT)
    return min(limit, each * workers_here()) if each else limit


def slurm_memory_per_cpu() -> int | None:
    """Return the bytes that Slurm grants us for each CPU; None if it does not say."""
    mebibytes = int(os.environ.get("SLURM_MEM_PER_CPU") or 0)
    if not mebibytes:  # then by node, where 0 is all of it
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
        raise InvalidInput(f"memory = {memory!r}; expected an amount such as '4GB'") from None
