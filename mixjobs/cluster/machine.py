"""CPUs and memory available on this machine or in the current Slurm allocation."""

from __future__ import annotations

import os

from dask.system import CPU_COUNT
from distributed.system import MEMORY_LIMIT

from mixjobs.config.cluster import ClusterConfig, memory_bytes

# Settings of glibc that let workers keep freed memory for the next spectrum. Dask's own setting
# returns memory to the system immediately, and a step of sampling takes 1.7 times as long.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**27), "MALLOC_MMAP_THRESHOLD_": str(2**25)}

PROGRAM_BYTES = 150e6  # of a worker; 135 MB were measured after reading and writing
USABLE_MEMORY = 0.8  # fraction of its limit, above which Dask pauses a worker


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


def worker_memory(config: ClusterConfig) -> int:
    """Return the memory of each worker on this machine, in bytes."""
    memory = memory_bytes(config.memory) if config.memory else memory_here()
    return memory // workers_here(config.workers)


def slurm_memory_per_cpu() -> int | None:
    """Return the memory per CPU that Slurm grants, in bytes; None if it is not set."""
    mebibytes = int(os.environ.get("SLURM_MEM_PER_CPU") or 0)
    if not mebibytes:  # the limit may be per node instead, where 0 means all of it
        node = int(os.environ.get("SLURM_MEM_PER_NODE") or 0)
        mebibytes = node // int(os.environ.get("SLURM_CPUS_ON_NODE") or 1)
    return mebibytes * 2**20 or None
