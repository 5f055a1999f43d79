"""The demo's spotted star: its library, its true parameters and a simulated observation."""

from __future__ import annotations

import numpy as np

from mixjobs.demo.library import DemoLibrary
from mixjobs.demo.star import star_spectrum
from mixjobs.orders import Orders
from mixjobs.typing import Floats

LIBRARY = DemoLibrary(
    {"teff": range(3900, 6301, 300), "logg": [4.5], "feh": [-0.5, 0.0, 0.5]},
    wave_min=5990.0, wave_max=6042.0, n_pixels=2600,
)  # fmt: skip
ORDERS = Orders.from_edges([6002.0, 6016.0, 6030.0])
MAX_RV, MAX_VSINI, MIN_RESOLUTION = 60.0, 30.0, 20_000.0  # of the store's emulator
TRUTH = {
    "teff_1": 5750.0, "teff_2": 4400.0, "feh": 0.1, "vsini": 8.0, "rv": 12.0, "c": 0.35,
}  # fmt: skip
_LOGG, _RESOLUTION, _SIGNAL_TO_NOISE = 4.5, 30_000.0, 100.0
_PIXEL = 1.5e-5  # in ln(wavelength): 4.5 km/s, a little under half the profile's FWHM

JOB = """\
# A simulated spotted star: mixjobs sample sample.toml
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


def observe(seed: int = 7) -> list[tuple[int, Floats, Floats, Floats]]:
    """Simulate an observation in two orders, with white noise and a tilted continuum.

    Returns
    -------
    list of (number, wavelength, flux, flux_error)
        One tuple for each order: Å in vacuum, and flux over its median.
    """
    rng = np.random.default_rng(seed)
    thetas = [[TRUTH[name], _LOGG, TRUTH["feh"]] for name in ("teff_1", "teff_2")]
    fractions = [1 - TRUTH["c"], TRUTH["c"]]
    orders = []
    for number, low, high in zip(ORDERS.number, ORDERS.wave_min, ORDERS.wave_max, strict=True):
        wave = np.exp(np.arange(np.log(low) + _PIXEL, np.log(high) - _PIXEL, _PIXEL))
        flux = star_spectrum(
            LIBRARY, thetas, fractions, wave, TRUTH["rv"], TRUTH["vsini"], _RESOLUTION
        )
        flux *= (1 + 0.1 * np.linspace(-1, 1, len(wave))) / np.median(flux)
        flux_error = np.full(len(wave), 1 / _SIGNAL_TO_NOISE)
        orders.append(
            (int(number), wave, flux + flux_error * rng.normal(size=len(wave)), flux_error)
        )
    return orders
