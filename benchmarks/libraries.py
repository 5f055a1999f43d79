"""Libraries and grids for the benchmarks."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import h5py
import numpy as np

from mixjobs.grid import Grid
from mixjobs.typing import Floats

NAMES = ("T", "logg", "Z")
KEY_NAME = "t{0:.2f}g{1:.3f}z{2:.3f}"
ROOT = Path(__file__).parent.parent


def points(shape: tuple[int, int, int]) -> Floats:
    """Return the points (N, 3) of a full product grid of Teff, log g and [Fe/H]."""
    axes = zip((3000.0, 3.5, -2.0), (6800.0, 5.0, 0.0), shape, strict=True)
    return np.array(list(product(*(np.linspace(a, b, n).round(3) for a, b, n in axes))))


def smooth_means(grid: Grid, n_orders: int, seed: int = 1) -> Floats:
    """Return positive, smooth means of the orders at the points of a grid: (M, N)."""
    rng = np.random.default_rng(seed)
    low, high = grid.points.min(axis=0), grid.points.max(axis=0)
    x = (grid.points - low) / (high - low)
    slopes = rng.normal(size=(n_orders, x.shape[1]))
    means: Floats = np.exp(slopes @ x.T + 0.3 * np.sin(slopes @ x.T * 4))
    return means


def write_library(path: Path, shape: tuple[int, int, int], n_pixels: int) -> list[str]:
    """Write a library in Starfish's current layout, and return the keys of its points.

    The spectra are blackbodies with random lines, float32, in one gzip-9 dataset each. They
    compress like PHOENIX (to 84 % of the size), and are read as fast.
    """
    rng = np.random.default_rng(1)
    wavelength = np.geomspace(7000.0, 9000.0, n_pixels)
    lines = 1 - 0.3 * np.convolve(rng.random(n_pixels) ** 8, np.hanning(9), "same") / 4
    grid = points(shape)
    with h5py.File(path, "w") as file:
        file.attrs["norm"] = False
        file.create_dataset("wl", data=wavelength).attrs.update({"units": "AA", "air": False})
        file.create_dataset("grid_points", data=grid).attrs["names"] = NAMES
        flux = file.create_group("flux")
        flux.attrs.update({"units": "erg/s/cm^2/AA", "key_name": KEY_NAME})
        for point in grid:
            spectrum = planck(wavelength, point[0]) * np.roll(lines, rng.integers(n_pixels))
            flux.create_dataset(
                KEY_NAME.format(*point), data=spectrum.astype(np.float32),
                compression="gzip", compression_opts=9,
            )  # fmt: skip
    return [KEY_NAME.format(*point) for point in grid]


def planck(wavelength: Floats, teff: float) -> Floats:
    """Return the surface flux pi B_lambda of a blackbody, erg/s/cm²/Å; `wavelength` in Å."""
    # 2 pi h c² in erg/s/cm² Å⁴, and h c / k in Å K
    flux: Floats = 3.741771852e27 / wavelength**5 / np.expm1(1.438776877e8 / (wavelength * teff))
    return flux
