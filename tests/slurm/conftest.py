"""The `slurm` fixture and mark of the tests in this folder."""

import shutil
from collections.abc import Iterator

import pytest

from tests.conftest import unavailable
from tests.helpers.slurm_cluster import PACKAGES, PATH, Slurm, running


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker("slurm")


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A real Slurm of two nodes with two CPUs each."""
    missing = [PACKAGES[name] for name in PACKAGES if not shutil.which(name, path=PATH)]
    if missing:
        unavailable(f"no Slurm: apt-get install {' '.join(missing)}")
    with running(tmp_path_factory.mktemp("slurm")) as slurm:
        yield slurm


@pytest.fixture(autouse=True)
def _empty_queue(slurm: Slurm) -> Iterator[None]:
    """Keep the jobs of a test that failed out of the next one's way."""
    yield
    slurm.clear()
