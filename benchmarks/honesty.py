"""Whether the emulator's stated error is honest: found over stated variance between grid points.

On the demo library, whose true spectrum is known everywhere, at random theta; and on BT-Settl,
where an emulator of every other value of an axis predicts the spectra that were left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import mixjobs
from benchmarks.libraries import real_data
from benchmarks.measure import Row, Skipped
from mixjobs.demo.library import DemoLibrary
from mixjobs.grid import Grid
from mixjobs.interpolation import Method, interpolation
from mixjobs.interpolation.cross_validation import axis_folds
from mixjobs.model.emulator import OrderEmulator, decompose, emulator_error
from mixjobs.typing import Floats

AIM = 5.0  # either way
AXES = {
    "7 Teff x 3 log g x 3 [Fe/H]": ((3600, 4801, 200), (4.0, 5.1, 0.5), (-1.0, 0.1, 0.5)),
    "13 x 5 x 5": ((4000, 6401, 200), (3.5, 5.6, 0.5), (-1.5, 0.6, 0.5)),
    "11 x 7 x 7": ((4000, 6001, 200), (3.0, 6.1, 0.5), (-2.0, 1.1, 0.5)),
    "4 x 3 x 3": ((5600, 6201, 200), (4.0, 5.1, 0.5), (-1.0, 0.1, 0.5)),
}
ORDERS = (1, 5, 9, 13, 17)  # of 20, equal in log wavelength from 0.7 to 5 µm


def run(small: bool) -> Iterator[Row]:
    """Compare found with stated variances."""
    n_pixels, n_theta = (300, 20) if small else (1500, 200)
    for name, axes in list(AXES.items())[-1 if small else 0 :]:
        yield from on_demo(name, axes, n_pixels, n_theta)
    try:
        path = real_data("btsettl_prism.hdf5")
    except Skipped as reason:
        yield Row(f"BT-Settl skipped: {reason}", "")
        return
    for axis in ("teff", "feh"):
        yield on_library(path, axis, ORDERS[-1:] if small else ORDERS)


def on_demo(
    name: str, axes: tuple[tuple[float, ...], ...], n_pixels: int, n_theta: int
) -> Iterator[Row]:
    """Rows of one demo grid, one a method."""
    names = ("teff", "logg", "feh")
    values = {n: np.arange(*ends).round(3) for n, ends in zip(names, axes, strict=True)}
    library = DemoLibrary(values, wave_max=5000 * np.exp(n_pixels * 4e-6), n_pixels=n_pixels)
    grid, spectra = Grid(library.points, names), library.spectrum(library.points)
    log_mean = np.log(spectra.mean(axis=1))
    emulator = decompose(
        spectra / np.exp(log_mean)[:, None],
        library._log_grid,
        library.wavelength,
        EmulatorSettings(),
    )
    low, high = grid.points.min(axis=0), grid.points.max(axis=0)
    theta = low + (high - low) * np.random.default_rng(0).random((n_theta, 3))
    true = library.spectrum(theta)
    true /= true.mean(axis=1, keepdims=True)
    for method in ("cubic", "linear"):
        found, chi2 = compared(grid, emulator, log_mean, method, theta, true)
        yield Row(
            f"demo, {name}, {emulator.rank} components, {method}: variance found / stated "
            "(chi² a component)",
            f"{found:.2f} ({chi2:.2g})", f"{1 / AIM:g} to {AIM:g}", 1 / AIM < found < AIM,
        )  # fmt: skip


def compared(
    grid: Grid, emulator: OrderEmulator, log_mean: Floats, method: Method, theta: Floats,
    true: Floats,
) -> tuple[float, float]:  # fmt: skip
    """Variance of emulated minus true spectra over the stated one, and the weights' chi²."""
    error = emulator_error(axis_folds(grid, method), emulator.weights, log_mean)
    between = interpolation(grid, method)
    weights = between.weights(theta)[0] @ between.prepare(emulator.weights)
    left = true - emulator.mean - weights @ emulator.eigenspectra
    stated = np.trace(error.covariance) / left.shape[1] + np.mean(emulator.reconstruction_error**2)
    off = (true - emulator.mean) @ emulator.eigenspectra.T - weights
    chi2 = np.einsum("ni,ij,nj->n", off, np.linalg.inv(error.covariance), off)
    return float((left**2).mean() / stated), float(chi2.mean() / emulator.rank)


def on_library(path: Path, axis: str, numbers: tuple[int, ...]) -> Row:
    """Row of one axis of a real library: every other of its values is left out and predicted."""
    library = mixjobs.open_library(path)
    orders = mixjobs.Orders.log_spaced(20, 7000, 50000).select(numbers)
    d = library.grid.names.index(axis)
    values, column = library.grid.axes[d], library.grid.points[:, d]
    kept = np.isin(column, [*values[::2], values[-1]])
    with TemporaryDirectory() as folder:
        store = mixjobs.build(
            library.take(np.flatnonzero(kept)), orders, Path(folder) / "q.zarr",
            emulator=mixjobs.EmulatorSettings(min_resolution=50), table=False,
        )  # fmt: skip
        model = mixjobs.load_mixture(store.path, 1, fixed={"vsini": 0, "rv": 0}, outside="nan")
    emulated = model(library.grid.points[~kept])
    stated = [
        np.square(block.error).sum(axis=2).mean()
        for block in model.stream(library.grid.points[:1], errors=True)
    ]
    ratios = []
    for m, (lo, hi) in enumerate(zip(*orders.pixel_ranges(library.wavelength), strict=True)):
        true = np.stack([library.flux(i, lo, hi) for i in np.flatnonzero(~kept)])
        left = emulated[m] - true / true.mean(axis=1, keepdims=True)
        ratios.append(np.nanmean(left**2) / (stated[m] + model.reconstruction_error[0, m] ** 2))
    return Row(
        f"BT-Settl, every other {axis} left out, in the middle of the cells: variance found / "
        f"stated in orders {', '.join(map(str, numbers))}",
        ", ".join(f"{ratio:.2f}" for ratio in ratios),
        f"{1 / AIM:g} to {AIM:g}",
        all(1 / AIM < ratio < AIM for ratio in ratios),
    )
