"""``mixjobs demo --sample``: a simulated star, and the posterior of its parameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mixjobs.builder.emulator import EmulatorSettings
from mixjobs.builder.job import build
from mixjobs.cli.options import say
from mixjobs.cli.parser import parser
from mixjobs.cli.sample import sample
from mixjobs.demo.library import DemoLibrary
from mixjobs.demo.star import star_spectrum
from mixjobs.inference.convergence import assess
from mixjobs.inference.run import RunFolder
from mixjobs.orders import Orders
from mixjobs.store.spectra_files import write_spectrum

LIBRARY = DemoLibrary(
    {"teff": range(3900, 6301, 300), "logg": [4.5], "feh": [-0.5, 0.0, 0.5]},
    wave_min=5990.0, wave_max=6042.0, n_pixels=2600,
)  # fmt: skip
ORDERS = Orders.from_edges([6002.0, 6016.0, 6030.0])
EMULATOR = EmulatorSettings(max_rv=60.0, max_vsini=30.0, min_resolution=20_000.0)
TRUTH = {
    "teff_1": 5750.0, "teff_2": 4400.0, "feh": 0.1, "vsini": 8.0, "rv": 12.0, "c": 0.35,
}  # fmt: skip
_LOGG, _RESOLUTION, _SIGNAL_TO_NOISE = 4.5, 30_000.0, 100.0
_PIXEL = 1.5e-5  # in ln(wavelength): 4.5 km/s, a little under half the profile's FWHM

JOB = """\
# A simulated star: mixjobs sample sample.toml
output = "run"
store = "star.zarr"

[[spectra]]
file = "star.ecsv"
resolution = 30000

[continuum]
degree = 2

[noise]
correlated = false          # the simulated noise is white

[sampling]
max_steps = {max_steps}
"""


def sample_star(folder: Path, max_steps: int = 5000) -> None:
    """Simulate a spotted star, sample its parameters, and hold them against the truth."""
    library, store = folder / "star-library.hdf5", folder / "star.zarr"
    say(f"writing {library}: {len(LIBRARY.points)} spectra of {len(LIBRARY.wavelength)} pixels")
    LIBRARY.write(library)
    build(library, ORDERS, store, emulator=EMULATOR, table=False, overwrite=True)
    observe(folder / "star.ecsv")
    job = folder / "sample.toml"
    job.write_text(JOB.format(max_steps=max_steps), encoding="utf-8")
    say(f"mixjobs sample {job}")
    sample(parser().parse_args(["sample", str(job), "--overwrite"]))
    _compare(folder / "run")
    say(f"next: mixjobs summary {folder / 'run'}; mixjobs plot {folder / 'run'}")


def observe(path: Path, seed: int = 7) -> None:
    """Write the spectrum of a spotted star in two orders, with noise and a tilted continuum."""
    rng = np.random.default_rng(seed)
    thetas = [[TRUTH[name], _LOGG, TRUTH["feh"]] for name in ("teff_1", "teff_2")]
    fractions = [1 - TRUTH["c"], TRUTH["c"]]
    parts = []
    for number, low, high in zip(ORDERS.number, ORDERS.wave_min, ORDERS.wave_max, strict=True):
        wave = np.exp(np.arange(np.log(low) + _PIXEL, np.log(high) - _PIXEL, _PIXEL))
        flux = star_spectrum(
            LIBRARY, thetas, fractions, wave, TRUTH["rv"], TRUTH["vsini"], _RESOLUTION
        )
        flux *= (1 + 0.1 * np.linspace(-1, 1, len(wave))) / np.median(flux)
        sigma = np.full(len(wave), 1 / _SIGNAL_TO_NOISE)
        parts.append((int(number), wave, flux + sigma * rng.normal(size=len(wave)), sigma))
    write_spectrum(path, parts, {"medium": LIBRARY.medium, "barycentric_velocity": 0.0})


def _compare(run: Path) -> None:
    """Print the truth beside what was found."""
    folder = RunFolder.open(run)
    positions = folder.positions()
    later = positions[:, assess(positions).burn :].reshape(-1, positions.shape[-1])
    table = Table("parameter", "truth", "median", "68 %", "off by, in sigma")
    for name, values in zip(folder.names, later.T, strict=True):
        truth = TRUTH.get(name, 0.0)  # of ln_noise: the errors are what they are said to be
        low, middle, high = np.quantile(values, [0.16, 0.5, 0.84])
        off = (middle - truth) / values.std()
        table.add_row(
            name, f"{truth:g}", f"{middle:.5g}", f"{low:.5g} to {high:.5g}", f"{off:+.2f}"
        )
    Console().print(table)
