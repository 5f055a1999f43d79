"""The two worker processes that the benchmarks of one run share."""

from __future__ import annotations

from functools import cache

from distributed import Client

from benchmarks.measure import at_end
from mixjobs.cluster import connect
from mixjobs.config import ClusterTable

WORKERS = 2


@cache
def workers() -> Client:
    """Return a client of a cluster of processes on this machine; it ends with the run."""
    return at_end.enter_context(connect(ClusterTable(workers=WORKERS)))
