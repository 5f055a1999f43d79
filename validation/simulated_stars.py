"""Simulated stars of the demo library: true spectra, data and fits.

The true spectrum comes from the demo generator at the star's theta, never from the emulator. It is
rotated, convolved and averaged over pixels in real space, by the integrals that define these steps.
This code shares nothing with the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebval
from scipy import constants
from scipy.interpolate import make_interp_spline

import mixjobs
from mixjobs.demo.library import DemoLibrary
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.log_probability import LogProbability, make_log_probability
from mixjobs.inference.order_likelihoods import (
    Epoch,
    EpochOrder,
    InstrumentProfile,
    LikelihoodPlan,
    ModelOptions,
)
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import Prior
from mixjobs.typing import Floats

Ranges = Mapping[int, tuple[float, float]]

C = constants.c / 1e3  # km/s
LIMB_DARKENING = 0.6  # the default of load_mixture
RESOLUTION = 30000
PIXEL = 2.3  # km/s, of the data; a pixel of the library is 1 km/s wide
CONTINUUM = Continuum(degree=2, prior_sd=0.2)
RANGES = {1: (6002.0, 6016.0), 2: (6016.0, 6030.0)}  # Å; 300 pixels each
N_LIBRARY = 2600
LOGG = 4.5
PARAMETERS = ("teff_1", "teff_2", "feh", "vsini", "rv", "c")


def demo_library(
    teff: Sequence[float], feh: Sequence[float], n_pixels: int = N_LIBRARY
) -> DemoLibrary:
    """Return the demo library around the orders, at one log g."""
    axes = {"teff": tuple(teff), "logg": (LOGG,), "feh": tuple(feh)}
    end = 5990 * np.exp((n_pixels - 1) / C)
    return DemoLibrary(axes, wave_min=5990.0, wave_max=end, n_pixels=n_pixels)


def make_store(folder: Path, library: DemoLibrary, ranges: Ranges = RANGES) -> str:
    """Build the library's store with its emulator, unless it exists."""
    store = folder / "store.zarr"
    if not store.exists():
        folder.mkdir(parents=True, exist_ok=True)
        low, high = zip(*ranges.values(), strict=True)
        emulator = mixjobs.EmulatorSettings(max_rv=60, max_vsini=30, min_resolution=20000)
        path = library.write(folder / "library.hdf5")
        orders = mixjobs.Orders(list(ranges), low, high)
        mixjobs.build(path, orders, store, emulator=emulator, table=False)
    return str(store)


def true_mixture(library: DemoLibrary, star: Mapping[str, float], edges: Floats) -> Floats:
    """Average the star's spectrum over pixels (n,) with edges (n + 1,) in ln(wavelength)."""
    thetas = [[star[f"teff_{k}"], LOGG, star["feh"]] for k in (1, 2)]
    first, second = library.spectrum(thetas)
    raw = (1 - star["c"]) * first + star["c"] * second
    x = np.log(library.wavelength)
    emitted = rotate(x, raw, star["vsini"])
    profile_sigma = 1 / RESOLUTION / np.sqrt(8 * np.log(2))
    spectrum = make_interp_spline(x, convolve(x, emitted, profile_sigma), k=5)
    node, weight = np.polynomial.legendre.leggauss(8)
    points = (edges[1:] + edges[:-1])[:, None] / 2 + np.diff(edges)[:, None] / 2 * node
    pixel_means: Floats = spectrum(points - shift(star["rv"])) @ weight / 2
    return pixel_means


def shift(velocity: float) -> float:
    """Return the shift in ln(wavelength) of a receding source; `velocity` in km/s."""
    return float(np.arctanh(velocity / C))


def rotate(x: Floats, flux: Floats, vsini: float) -> Floats:
    """Sum strips of the stellar disc, each at its own velocity (Gray 2005, equation 18.14)."""
    spectrum = make_interp_spline(x, flux, k=5)
    angle, weight = np.polynomial.legendre.leggauss(64)
    angle, weight = np.pi / 2 * angle, np.pi / 2 * weight
    e, height = LIMB_DARKENING, np.cos(angle)
    profile = (2 * (1 - e) * height + np.pi * e / 2 * height**2) / (np.pi * (1 - e / 3))
    total = np.zeros(len(x))
    for v, p in zip(vsini * np.sin(angle), weight * height * profile, strict=True):
        total += p * spectrum(np.clip(x - shift(v), x[0], x[-1]))
    return total


def convolve(x: Floats, flux: Floats, profile_sigma: float) -> Floats:
    """Convolve with a Gaussian sampled on the grid; within 7 sigma of the ends it is not valid."""
    step = (x[-1] - x[0]) / (len(x) - 1)
    n = int(7 * profile_sigma / step)
    weight = np.exp(-0.5 * (step * np.arange(-n, n + 1) / profile_sigma) ** 2)
    return np.convolve(flux, weight / weight.sum(), mode="same")


def observe(
    library: DemoLibrary, star: Mapping[str, float], noise: float, rng: np.random.Generator,
    factor: float = 1.0, ranges: Ranges = RANGES, epoch: int = 0,
) -> list[EpochOrder]:  # fmt: skip
    """Observe a star: a continuum drawn from its prior, and pixels with normal errors.

    Parameters
    ----------
    noise : float
        Stated standard error, relative to the order's median flux.
    factor : float
        Ratio of the true variances to the stated ones.
    ranges : dict
        Ends of each order in Å, by its number.
    epoch : int
    """
    orders = []
    for number, (low, high) in ranges.items():
        edges = np.arange(np.log(low + 0.2), np.log(high - 0.2), PIXEL / C)
        wave = np.exp((edges[1:] + edges[:-1]) / 2)
        flux = true_mixture(library, star, edges)
        flux = flux / np.median(flux) * draw_continuum(wave, rng)
        flux_error = np.full(len(wave), noise * np.median(flux))
        flux = flux + np.sqrt(factor) * flux_error * rng.normal(size=len(wave))
        used, profile = np.ones(len(wave), dtype=bool), InstrumentProfile(resolution=RESOLUTION)
        orders.append(EpochOrder(epoch, number, wave, flux, flux_error, used, CONTINUUM, profile))
    return orders


def draw_continuum(wave: Floats, rng: np.random.Generator) -> Floats:
    """Draw a continuum from its prior, until it stays above 0.3."""
    x = 2 * (wave - wave[0]) / (wave[-1] - wave[0]) - 1
    while True:
        coefficients = CONTINUUM.prior_sd * rng.normal(size=CONTINUUM.degree + 1)
        continuum: Floats = 1 + chebval(x, coefficients)
        if continuum.min() > 0.3:
            return continuum


def make_fit(
    store: str, orders: Sequence[EpochOrder], priors: Mapping[str, Prior],
    emulator_error: bool = True, settings: Mapping[str, Any] | None = None, **options: Any,
) -> LogProbability:  # fmt: skip
    """Return the fit of two components to one star; `options` are those of `ModelOptions`."""
    names = (*PARAMETERS, "ln_noise")
    n_epochs = 1 + max((order.epoch for order in orders), default=0)
    parameters = make_parameters(
        names, priors, settings, n_epochs=n_epochs, constraints=["teff_2 < teff_1"]
    )
    epochs = [Epoch("vacuum")] * n_epochs
    plan = LikelihoodPlan(store, 2, ModelOptions(**options), epochs, orders, emulator_error)
    return make_log_probability(parameters, plan)
