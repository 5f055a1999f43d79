"""Fits of two real stars: Gl 51 with BT-Settl, and LkCa 15 with PHOENIX-ACES.

``python -m validation.real_star [gl51] [lkca15] [--small] [--out FOLDER]``: this exercises every
step on real pixels, but is not a claim about the stars, because these grids are too coarse or too
narrow. The spectrum of Gl 51 is averaged over the pixels of BT-Settl, which are ten times wider, so
that both have the same resolution. An interrupted run continues where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import mixjobs
from mixjobs.cli import main as mixjobs_command
from mixjobs.observed.writer import write_spectrum
from validation.real_data import real_data

GL51 = """\
output = "gl51"
store = "gl51.zarr"
[[spectra]]
file = "gl51.ecsv"
[continuum]
degree = 2
[parameters]
vsini = 0.0
rv = 0.0
ln_noise = "optimum"
log_amplitude = "optimum"
log_length = "optimum"
[sampling]
max_steps = {steps}
walkers = 20
"""
LKCA15 = """\
output = "lkca15"
store = "lkca15.zarr"
[[spectra]]
file = "{star}"
resolution = 44000
[parameters]
rv = {{ normal = [18, 10] }}
vsini = {{ uniform = [0, 40] }}
ln_noise = "optimum"
log_amplitude = "optimum"
log_length = "optimum"
[sampling]
max_steps = {steps}
walkers = 16
checkpoint = 50
"""
ORDERS = mixjobs.Orders.log_spaced(20, 7000, 50000).take(range(2, 12))
_MIN_PIXELS = 5  # of Gl 51 in one pixel of the library


def write_averaged_spectrum(folder: Path) -> None:
    """Write the spectrum of Gl 51 averaged over the library's pixels, order by order."""
    star = mixjobs.open_spectrum(real_data("Gl51.hdf5"))
    library = mixjobs.open_library(real_data("btsettl_prism.hdf5"))
    columns = (star.wavelength, star.flux, star.flux_error)
    wave, flux, sigma = (column[0][star.mask[0]] for column in columns)
    middle = np.log(library.wavelength)
    edges = np.exp((middle[1:] + middle[:-1]) / 2)
    pixel = np.digitize(wave, edges)
    n = np.bincount(pixel, minlength=len(middle))
    weight = np.bincount(pixel, 1 / sigma**2, len(middle))
    mean = np.bincount(pixel, flux / sigma**2, len(middle)) / np.maximum(weight, 1e-300)
    error = 1 / np.sqrt(np.maximum(weight, 1e-300))
    inside = (n >= _MIN_PIXELS) & (library.wavelength > wave[0]) & (library.wavelength < wave[-1])
    orders = []
    for number, lo, hi in zip(ORDERS.number, *ORDERS.pixel_ranges(library.wavelength), strict=True):
        pixels = np.flatnonzero(inside[lo:hi])[1:-1] + lo  # complete pixels only
        if len(pixels) > 10:
            values = (library.wavelength[pixels], mean[pixels], error[pixels])
            orders.append((int(number), *values))
    write_spectrum(folder / "gl51.ecsv", orders, {"medium": "vacuum"})


def fit_gl51(folder: Path, small: bool) -> None:
    """Fit Gl 51 with BT-Settl."""
    write_averaged_spectrum(folder)
    store = folder / "gl51.zarr"
    if not store.is_dir():
        settings = mixjobs.EmulatorSettings(min_resolution=50)
        library = mixjobs.open_library(real_data("btsettl_prism.hdf5"))
        mixjobs.build(library, ORDERS, store, emulator=settings, table=False,
                      select={"feh": (-0.5, 0.5), "logg": (4.0, 5.5)})  # fmt: skip
    run(folder / "gl51.toml", GL51.format(steps=4 if small else 12000))


def fit_lkca15(folder: Path, small: bool) -> None:
    """Fit the ten orders of LkCa 15 that PHOENIX-ACES covers."""
    star = real_data("LkCa15-2013-10-12.hdf5")
    store = folder / "lkca15.zarr"
    if not store.is_dir():
        orders = mixjobs.open_spectrum(star).orders.select(range(21, 31))
        library = real_data("PHOENIX_ACES_test.hdf5")
        mixjobs.build(library, orders, store, emulator=mixjobs.EmulatorSettings(), table=False)
    run(folder / "lkca15.toml", LKCA15.format(star=star, steps=4 if small else 6000))


def run(job: Path, text: str) -> None:
    """Sample, or resume a run, and draw its figures."""
    job.write_text(text, encoding="utf-8")
    status = mixjobs_command(["sample", str(job), "--resume"])
    if status == 0:
        mixjobs_command(["plot", str(job.with_suffix(""))])


def main() -> None:
    """Fit the stars named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m validation.real_star", description=__doc__)
    parser.add_argument("stars", nargs="*", metavar="STAR", help="gl51 or lkca15 (default: both)")
    parser.add_argument("--small", action="store_true", help="a few steps, to check that it runs")
    parser.add_argument("--out", type=Path, default=Path("real_star"), help="folder for the runs")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.stars or ("gl51", "lkca15"):
        {"gl51": fit_gl51, "lkca15": fit_lkca15}[name](arguments.out, arguments.small)


if __name__ == "__main__":
    main()
