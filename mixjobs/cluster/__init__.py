"""Clusters: connect to Dask on one machine, in a Slurm allocation, or at an address."""

from mixjobs.package_settings import import_package

import_package("dask", "DASK_")  # whatever the user's settings

from mixjobs.cluster.settings import import_distributed  # noqa: E402

import_distributed()

from mixjobs.cluster.connection import connect  # noqa: E402

__all__ = ["connect"]
