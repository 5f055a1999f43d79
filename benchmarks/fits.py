"""Simulated orders for the benchmarks: a store of the demo library, data, and a plan of the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import mixjobs
from mixjobs.builder.emulator import EmulatorSettings
from mixjobs.demo.library import Axes, DemoLibrary
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.order_likelihoods import (
    Epoch,
    EpochOrder,
    InstrumentProfile,
    LikelihoodPlan,
    ModelOptions,
)
from mixjobs.orders import Orders
from mixjobs.typing import Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT

RESOLUTION = 44_000.0  # of TRES
PIXEL, LIBRARY_PIXEL = 2.3, 1.1  # km/s, of TRES and of the library
NOISE = ("ln_noise", "log_amplitude", "log_length")


def pixels(first: float, n: int) -> Floats:
    """Return the wavelengths of `n` pixels that start at `first`, Å."""
    waves: Floats = first * np.exp(np.arange(n) * PIXEL / SPEED_OF_LIGHT)
    return waves


def ranges(waves: Mapping[int, Floats]) -> Orders:
    """Return orders that contain these pixels."""
    low = [wave[0] - 0.1 for wave in waves.values()]
    return Orders(list(waves), low, [wave[-1] + 0.1 for wave in waves.values()])


def build_store(axes: Axes, orders: Orders, settings: EmulatorSettings, path: Path) -> DemoLibrary:
    """Build the emulator of the orders from a demo library that covers their margins."""
    margin = np.exp(2 * settings.buffer)
    first, last = orders.wave_min.min() / margin, orders.wave_max.max() * margin
    n_pixels = int(np.log(last / first) * SPEED_OF_LIGHT / LIBRARY_PIXEL)
    library = DemoLibrary(axes, wave_min=first, wave_max=last, n_pixels=n_pixels)
    written = library.write(path.with_name("library.hdf5"))
    mixjobs.build(written, orders, path, table=False, emulator=settings)
    return library


def observe(
    store: Path, waves: Mapping[int, Floats], truth: Mapping[str, float], continuum: Continuum
) -> list[EpochOrder]:
    """Simulate orders with the model itself, on a sloping continuum, with 1 % noise."""
    rng = np.random.default_rng(1)
    model = mixjobs.load_mixture(
        store, orders=list(waves), wavelengths=waves, resolution=RESOLUTION, medium="vacuum"
    )
    orders = []
    for (number, wave), spectrum in zip(waves.items(), model(truth), strict=True):
        flux = 3e-14 * spectrum * (1 + 0.1 * np.linspace(-1, 1, len(wave)))
        flux_error = np.full(len(wave), 0.01 * flux.mean())
        flux = flux + flux_error * rng.normal(size=len(wave))
        used = np.ones(len(wave), dtype=bool)
        profile = InstrumentProfile(resolution=RESOLUTION)
        orders.append(EpochOrder(0, number, wave, flux, flux_error, used, continuum, profile))
    return orders


def plan(
    store: Path, orders: Sequence[EpochOrder], emulator_error: bool = True, **options: Any
) -> LikelihoodPlan:
    """Plan the fit of two components to one spectrum; `options` are those of `ModelOptions`."""
    return LikelihoodPlan(
        str(store), 2, ModelOptions(**options), [Epoch("vacuum")], orders, emulator_error
    )
