"""Flux-ratio tables and two-component mixtures from raw stellar spectral libraries."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixjobs.builder.segments import EmulatorSettings
    from mixjobs.builder.stages import build
    from mixjobs.errors import MixjobsError
    from mixjobs.grid import Grid
    from mixjobs.inference.job import load_log_probability
    from mixjobs.library import open_library
    from mixjobs.model.mixture import mix
    from mixjobs.observed.spectrum import open_spectrum
    from mixjobs.orders import Orders
    from mixjobs.store.format import open_store
    from mixjobs.store.loading import load_flux_ratio, load_mixture
    from mixjobs.store.spectra import evaluate_spectra

# Imported when first used, so that what a sampler calls needs neither Dask nor Zarr.
_HOME = {
    "EmulatorSettings": "builder.segments",
    "Grid": "grid",
    "MixjobsError": "errors",
    "Orders": "orders",
    "build": "builder.stages",
    "evaluate_spectra": "store.spectra",
    "load_flux_ratio": "store.loading",
    "load_log_probability": "inference.job",
    "load_mixture": "store.loading",
    "mix": "model.mixture",
    "open_library": "library",
    "open_spectrum": "observed.spectrum",
    "open_store": "store.format",
}

__all__ = [
    "EmulatorSettings",
    "Grid",
    "MixjobsError",
    "Orders",
    "build",
    "evaluate_spectra",
    "load_flux_ratio",
    "load_log_probability",
    "load_mixture",
    "mix",
    "open_library",
    "open_spectrum",
    "open_store",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mixjobs' has no attribute {name!r}")
    return getattr(import_module(f"mixjobs.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
