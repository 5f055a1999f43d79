import pytest
from small_fits import build_store


@pytest.fixture(scope="session")
def fit_store(tmp_path_factory):
    """A store that `small_fits` makes; read-only."""
    return build_store(tmp_path_factory.mktemp("fit"))
