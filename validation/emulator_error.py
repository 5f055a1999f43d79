"""Ratio of the measured to the stated variance of the emulator between grid points.

``python -m validation.emulator_error [--small] [--processes N] [--out FOLDER] [--report]``: on the
demo library, whose true spectrum is known everywhere, at random theta; and on BT-Settl, where an
emulator of every other value of one axis predicts the spectra that were left out. An interrupted
run continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import mixjobs
from mixjobs.builder.emulator import EmulatorSettings
from mixjobs.demo.library import DemoLibrary
from mixjobs.grid import Grid
from mixjobs.interpolation import Method, interpolation
from mixjobs.interpolation.cross_validation import axis_folds
from mixjobs.model.emulator import OrderEmulator, decompose
from mixjobs.model.error_size import measured_factors
from mixjobs.model.joint_error import joint_error
from mixjobs.model.reference import ReferenceOrder
from mixjobs.typing import Floats
from validation.real_data import Skipped, real_data
from validation.trials import Options, Trial, read_options, read_results, run_trials, table

MAX_FACTOR = 5.0  # largest accepted factor between the variances, either way
AXES = {
    "7 Teff x 3 log g x 3 [Fe/H]": ((3600, 4801, 200), (4.0, 5.1, 0.5), (-1.0, 0.1, 0.5)),
    "13 x 5 x 5": ((4000, 6401, 200), (3.5, 5.6, 0.5), (-1.5, 0.6, 0.5)),
    "11 x 7 x 7": ((4000, 6001, 200), (3.0, 6.1, 0.5), (-2.0, 1.1, 0.5)),
    "4 x 3 x 3": ((5600, 6201, 200), (4.0, 5.1, 0.5), (-1.0, 0.1, 0.5)),
}
RESOLUTION = 20_000  # at which the size of the error is measured
ORDERS = (1, 5, 9, 13, 17)  # of 20, uniform in log wavelength from 0.7 to 5 µm


def trials(small: bool) -> Iterator[Trial]:
    """Yield the demo grids, each with two methods, and the axes of BT-Settl."""
    for name in list(AXES)[-1 if small else 0 :]:
        for method in ("cubic", "linear"):
            yield {"library": "demo", "grid": name, "method": method}
    try:
        real_data("btsettl_prism.hdf5")
    except Skipped as reason:
        print(f"BT-Settl skipped: {reason}")
        return
    for axis in ("teff", "feh"):
        yield {"library": "BT-Settl", "grid": axis, "method": "cubic"}


def run_one(small: bool, trial: Trial) -> Trial:
    """Compare the variances on one grid."""
    if trial["library"] == "demo":
        return trial | on_demo(trial["grid"], trial["method"], small)
    path = real_data("btsettl_prism.hdf5")
    return trial | on_library(path, trial["grid"], ORDERS[-1:] if small else ORDERS)


def on_demo(name: str, method: Method, small: bool) -> Trial:
    """Compare the variances on a grid of the demo library, at random theta."""
    n_pixels, n_theta = (300, 20) if small else (1500, 200)
    names = ("teff", "logg", "feh")
    values = {n: np.arange(*ends).round(3) for n, ends in zip(names, AXES[name], strict=True)}
    library = DemoLibrary(values, wave_max=5000 * np.exp(n_pixels * 4e-6), n_pixels=n_pixels)
    grid, spectra = Grid(library.points, names), library.spectrum(library.points)
    log_mean = np.log(spectra.mean(axis=1))
    shapes = spectra / np.exp(log_mean)[:, None]
    emulator = decompose(shapes, library._log_grid, library.wavelength, EmulatorSettings())
    low, high = grid.points.min(axis=0), grid.points.max(axis=0)
    theta = low + (high - low) * np.random.default_rng(0).random((n_theta, 3))
    true = library.spectrum(theta)
    true /= true.mean(axis=1, keepdims=True)
    ratio, chi2 = compared(grid, emulator, log_mean, method, theta, true)
    return {"ratios": [ratio], "chi2": chi2, "rank": emulator.rank}


def compared(
    grid: Grid, emulator: OrderEmulator, log_mean: Floats, method: Method, theta: Floats,
    true: Floats,
) -> tuple[float, float]:  # fmt: skip
    """Return the ratio of measured to stated variance of spectra, and the weights' chi²."""
    n_pixels = emulator.grid.n_pixels
    axes, reference = axis_folds(grid, method), ReferenceOrder.of_emulator(emulator, RESOLUTION)
    factors = measured_factors(grid, axes, [reference])
    error = joint_error(axes, [emulator.weights], [log_mean], [n_pixels], factors)
    columns = error.columns[0][:, :-1]
    inverse = np.linalg.pinv(columns.T @ columns, rcond=1e-9)
    between = interpolation(grid, method)
    weights = between.weights(theta)[0] @ between.prepare(emulator.weights)
    residual = true - emulator.mean - weights @ emulator.eigenspectra
    stated = np.sum(columns**2) / residual.shape[1]
    stated += np.mean(emulator.reconstruction_error**2)
    weight_error = (true - emulator.mean) @ emulator.eigenspectra.T - weights
    chi2 = np.einsum("ni,ij,nj->n", weight_error, inverse, weight_error)
    return float((residual**2).mean() / stated), float(chi2.mean() / len(columns))


def on_library(path: Path, axis: str, numbers: tuple[int, ...]) -> Trial:
    """Compare the variances on a real library: every other value of one axis is predicted."""
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
        np.square(block.error.columns).sum(axis=2).mean()
        for block in model.stream(library.grid.points[:1], errors=True)
    ]
    ratios = []
    for m, (lo, hi) in enumerate(zip(*orders.pixel_ranges(library.wavelength), strict=True)):
        true = np.stack([library.flux(int(i), lo, hi) for i in np.flatnonzero(~kept)])
        residual = emulated[m] - true / true.mean(axis=1, keepdims=True)
        ratios.append(float(np.nanmean(residual**2) / stated[m]))
    return {"ratios": ratios, "orders": list(numbers)}


def report(results: Sequence[Trial]) -> str:
    """Write the table."""
    rows = []
    for result in results:
        ratios = ", ".join(f"{ratio:.2f}" for ratio in result["ratios"])
        accepted = all(1 / MAX_FACTOR < ratio < MAX_FACTOR for ratio in result["ratios"])
        if result["library"] == "demo":
            grid, numbers = f"{result['grid']}, {result['rank']} eigenspectra", ""
            ratios += f" (chi² per eigenspectrum {result['chi2']:.2g})"
        else:
            grid = f"every other {result['grid']} left out"
            numbers = ", ".join(map(str, result["orders"]))
        verdict = "met" if accepted else "missed"
        rows.append([result["library"], grid, result["method"], numbers, ratios, verdict])
    goal = f"goal: {1 / MAX_FACTOR:g} to {MAX_FACTOR:g}"
    header = ("library", "grid", "method", "orders", "measured / stated variance", goal)
    return table(header, rows)


def main(options: Options) -> None:
    """Run the missing trials, and print the table."""
    path = options.folder / "results.jsonl"
    if not options.report:
        every = list(trials(options.small))
        run_trials(every, partial(run_one, options.small), path, options.processes)
    print(report(read_results(path)))


if __name__ == "__main__":
    main(read_options("emulator_error", __doc__.split("\n")[0]))
