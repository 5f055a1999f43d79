"""Fixtures and settings for all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

# Set before Dask is imported, and inherited by the processes that the tests start: many clusters
# run at the same time, so each monitors itself less often than by default (10 ms to 0.5 s).
os.environ |= {
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "2s",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "1s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL": "1s",
}

import dask
import pytest
from distributed import Client
from hypothesis import HealthCheck, settings

from mixjobs.cluster import connect
from mixjobs.config.cluster import ClusterConfig
from mixjobs.demo.library import DemoLibrary
from tests.helpers.small_fits import build_store

ROOT = Path(__file__).parent.parent

# Files whose tests kill processes, start clusters, fill disks, sample to convergence, or run the
# benchmarks, longest first; `pytest -m "not slow"` leaves them out. They also come first in a whole
# run: each file is run by one process, and a long file that starts late leaves other cores idle.
SLOW = (
    "cli/test_sample.py", "inference/test_compressed_run.py", "inference/test_order_noise.py",
    "inference/test_by_order.py",
    "builder/test_random_kills.py", "test_benchmarks.py",
    "inference/test_sampler.py", "builder/test_faults.py", "test_validation.py",
    "cli/test_cluster.py", "slurm/test_builds.py", "slurm/test_sample_script.py",
    "slurm/test_slurm_itself.py", "inference/test_recovery.py", "builder/test_disk_full.py",
    "inference/test_distributed.py", "builder/test_retry.py", "cluster/test_cluster.py",
    "inference/test_hole_recovery.py", "inference/test_limit.py", "test_project.py",
    "messages/test_messages.py",
    "test_docs.py", "inference/test_log_probability.py", "library/test_files.py",
    "inference/test_digests.py", "report/test_observed.py", "cli/test_streams.py",
    "report/test_posterior.py", "cli/test_outputs.py", "cli/test_cli.py", "report/test_plots.py",
    "builder/test_emulator.py", "builder/test_stages.py", "builder/test_job.py",
    "inference/test_distributed_mixture.py", "report/test_summary.py", "inference/test_run.py",
    "store/test_zarr_settings.py", "cluster/test_waiting.py", "model/test_mixture_errors.py",
    "model/test_mixture_real.py", "inference/test_run_folder.py", "cli/test_spectrum.py",
)  # fmt: skip

# No deadline, because other programs may use the cores. Few examples for each of many properties.
settings.register_profile(
    "mixjobs", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("mixjobs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(SLOW)}
    for item in items:
        if item.path in ranks:
            item.add_marker("slow")
    items.sort(key=lambda item: ranks.get(item.path, len(SLOW)))


def unavailable(reason: str) -> NoReturn:
    """Skip a test that lacks something; fail in CI, where everything must be available."""
    if os.environ.get("MIXJOBS_CI"):
        pytest.fail(f"CI must not skip: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real libraries and observed spectra; tests are skipped without it."""
    folder = Path(os.environ.get("MIXJOBS_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        unavailable(f"no real data: {folder} is absent (set MIXJOBS_DATA)")
    return folder


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """A client with two worker processes of 2 GB each, started like those of `mixjobs build`."""
    with connect(ClusterConfig(workers=2, memory="4GB")) as client:
        yield client


@pytest.fixture(scope="session")
def fit_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of `tests.helpers.small_fits`; do not change it."""
    return build_store(tmp_path_factory.mktemp("fit"))


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of 36 points and 16384 pixels: one task per pair takes a second or more."""
    return DemoLibrary(wave_max=5030).write(tmp_path_factory.mktemp("large") / "library.hdf5")


@pytest.fixture
def trusted(client: Client) -> Iterator[None]:
    """Put the certificates of `client` into Dask's settings, so that its address is sufficient."""
    names = {"ca-file": "tls_ca_file", "client.cert": "tls_client_cert",
             "client.key": "tls_client_key"}  # fmt: skip
    files = {f"distributed.comm.tls.{k}": getattr(client.security, v) for k, v in names.items()}
    with dask.config.set(files):
        yield


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo library: 12 points (3 Teff x 2 log g x 2 [Fe/H]) of 1024 pixels."""
    axes = {"teff": (5600, 5800, 6000), "logg": (4.0, 4.5), "feh": (-0.5, 0.0)}
    path = tmp_path_factory.mktemp("demo") / "library.hdf5"
    return DemoLibrary(axes, wave_max=5030.0, n_pixels=1024).write(path)
