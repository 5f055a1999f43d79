"""Write the demo library as a Starfish HDF5 file (the layout of Starfish 0.3 and 0.4)."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from mixjobs.errors import InvalidInput

if TYPE_CHECKING:
    from mixjobs.demo.library import DemoLibrary


STARFISH_NAMES = {"teff": "T", "logg": "logg", "feh": "Z", "alpha": "alpha"}
KEY_LETTERS = {"teff": "t", "logg": "g", "feh": "z", "alpha": "a"}
FEWEST_DECIMALS = {"teff": 0, "logg": 1, "feh": 1, "alpha": 1}  # Starfish's own keys
MOST_DECIMALS = 6
GZIP_9 = {"compression": "gzip", "compression_opts": 9}


def write_starfish(library: DemoLibrary, path: str | os.PathLike[str], version: int) -> Path:
    """Write `library` to `path`, made aside in the same folder and renamed; return the path.

    Raises
    ------
    InvalidInput
        When the folder does not exist or the path is a folder.
    """
    target = Path(path)
    if not target.parent.is_dir() or target.is_dir():
        raise InvalidInput(
            f"cannot write the demo library to {str(target)!r}: expected a file name in a folder "
            "that exists; make the folder first or give another name"
        )
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        with h5py.File(aside, "x") as file:
            _fill(file, library, version)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return target


def _fill(file: h5py.File, library: DemoLibrary, version: int) -> None:
    file.attrs.update(
        {
            "grid_name": "mixjobs demo",
            "norm": False,
            "demo_seed": library.seed,
            "demo_version": version,
        }
    )
    wl = file.create_dataset("wl", data=library.wavelength, **GZIP_9)
    wl.attrs.update({"units": "AA", "air": False, "dv": library.dv})
    points = file.create_dataset("grid_points", data=library.points, **GZIP_9)
    names = [STARFISH_NAMES[name] for name in library.names]
    points.attrs.create("names", names, dtype=h5py.string_dtype())
    flux = file.create_group("flux")
    key_name = _key_name(library)
    flux.attrs.update({"units": "erg/s/cm^2/AA", "key_name": key_name})
    for theta in library.points:
        spectrum = library.spectrum(theta).astype(np.float32)
        flux.create_dataset(key_name.format(*theta), data=spectrum, **GZIP_9)


def _key_name(library: DemoLibrary) -> str:
    """A format string for the keys, with as many decimals as the values have (six at most)."""
    parts = []
    for column, name in enumerate(library.names):
        values = np.unique(library.points[:, column])
        decimals = FEWEST_DECIMALS[name]
        while decimals < MOST_DECIMALS and np.any(np.round(values, decimals) != values):
            decimals += 1
        parts.append(f"{KEY_LETTERS[name]}{{{column}:.{decimals}f}}")
    return "".join(parts)
