"""Real libraries and observed spectra, where they are available."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent


class Skipped(Exception):
    """A script or benchmark that cannot run on this machine, with the reason."""


def real_data(name: str) -> Path:
    """Return the path of a real library or spectrum.

    Raises
    ------
    Skipped
        If the file is not in the folder that the environment variable `MIXJOBS_DATA` names.
    """
    folder = Path(os.environ.get("MIXJOBS_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / name).is_file():
        raise Skipped(f"no real data: {name} is missing (set MIXJOBS_DATA)")
    return folder / name
