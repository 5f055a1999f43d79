"""Double loop of the notebook in which this method originated, against a build."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np

import mixjobs
from benchmarks.measure import Row, in_turn, interval, ratio, same, seconds
from mixjobs.demo.library import DemoLibrary
from mixjobs.typing import Floats

AIM = 50


def run(small: bool) -> list[Row]:
    """Measure the loop over all pairs, and a serial build with its table."""
    axes = {"teff": (5800.0, 6000.0), "logg": (4.0, 5.0)}
    demo = DemoLibrary(axes, n_pixels=2048) if small else DemoLibrary()
    with TemporaryDirectory(prefix="mixjobs-benchmark-") as folder:
        path = demo.write(Path(folder) / "library.hdf5")
        first, last = demo.wavelength[[0, -1]]
        orders = mixjobs.Orders.from_edges([first, np.nextafter(last, np.inf)])  # every pixel
        tables: dict[str, Floats] = {}

        def loop() -> float:
            return seconds(lambda: tables.update(loop=double_loop(path, demo.points)))

        def job() -> float:
            elapsed = seconds(
                lambda: mixjobs.build(path, orders, Path(folder) / "store.zarr", overwrite=True)
            )
            tables["job"] = mixjobs.open_store(Path(folder) / "store.zarr").flux_ratio[0]
            return elapsed

        times = in_turn(1 if small else 4, loop=loop, job=job)
        same("notebook", tables["job"], 1 / tables["loop"], rtol=1e-6)
    gain = ratio(times["loop"], times["job"])
    size = f"{len(demo.points)} points x {demo.n_pixels} px, 1 order, serial"
    return [
        Row(
            f"double loop over pairs / mixjobs.build; {size}",
            f"{gain:.0f} ({interval(times['loop'], times['job'])})",
            f">= {AIM}",
            gain >= AIM,
        )
    ]


@dataclass(frozen=True)
class Interface:
    """The part of Starfish's `HDF5Interface` that the notebook used: the file and its keys."""

    path: Path
    key_name: str

    def load_flux(self, theta: Floats) -> Floats:
        """Open the file and load one spectrum, as Starfish does at every call."""
        with h5py.File(self.path, "r") as file:
            flux: Floats = file["flux"][self.key_name.format(*theta)][:]
        return flux


def double_loop(path: Path, points: Floats) -> Floats:
    """Load two spectra and take two means for every pair: mean_i / mean_j, as the notebook does."""
    with h5py.File(path, "r") as file:
        interface = Interface(path, file["flux"].attrs["key_name"])
    table = np.empty((len(points), len(points)))
    for i, theta1 in enumerate(points):
        for j, theta2 in enumerate(points):
            flux1 = interface.load_flux(theta1)
            flux2 = interface.load_flux(theta2)
            table[i, j] = np.mean(flux1) / np.mean(flux2)
    return table
