"""Fixtures that every test may use."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parent.parent


def unavailable(reason: str) -> NoReturn:
    """Skip a test for want of something; in CI, where everything is to be had, fail instead."""
    if os.environ.get("MIXJOBS_CI"):
        pytest.fail(f"CI must not skip: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real libraries and observed spectra; the test is skipped where it is absent."""
    folder = Path(os.environ.get("MIXJOBS_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        unavailable(f"no real data: {folder} is absent (set MIXJOBS_DATA)")
    return folder
