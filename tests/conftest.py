"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real libraries and observed spectra; the test is skipped where it is absent."""
    folder = Path(os.environ.get("MIXJOBS_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (set MIXJOBS_DATA)")
    return folder
