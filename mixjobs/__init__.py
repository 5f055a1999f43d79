"""Fit stars whose light comes from two photospheres.

Spots, unresolved companions and accretion veiling all add the light of a
second photosphere to the spectrum of a star. From a library of raw model
spectra, mixjobs works out how bright each photosphere is in every echelle
order. It then samples the temperatures, the filling factor and the velocities
of the mixture::

    f_mix = (1 - c) f1/f1bar + c q f2/f2bar,    q(theta1, theta2) = f2bar/f1bar

Here f1 and f2 are the raw spectra of the components in one order, and a bar is
the mean over the pixels of the order. The filling factor c is the
solid-angle fraction of component 2. The parameters theta of a component are the
axes of the library's grid: teff, logg, feh and so on.

From a library to a posterior
-----------------------------
1. Open a library of model spectra: ``library = open_library("grid.hdf5")``.
2. Choose the orders: ``orders = Orders.log_spaced(20, 7000, 50000)``,
   ``Orders.from_edges``, ``Orders.from_table``, or the orders of an observed
   spectrum, ``open_spectrum("star.hdf5").orders``.
3. Build a store, once for all stars: ``build(library, orders, "ratios.zarr",
   emulator=True)``. It holds the mean flux and the flux ratios of
   all grid points, and an emulator of the spectra. Open it again with
   ``store = open_store("ratios.zarr")``.
4. Evaluate the model: ``q = load_flux_ratio("ratios.zarr")`` gives the flux
   ratio of two components in every order, and ``load_mixture("ratios.zarr")``
   the spectrum of their mixture. ``evaluate_spectra`` writes and draws mixtures,
   and ``mix`` adds two spectra of your own.
5. Sample the parameters of a star: ``run = sample("job.toml")``. To use another
   sampler, start from ``load_log_probability("job.toml")``.
6. Read the posterior: ``run.posterior``, ``run.summary()`` and
   ``run.plot.corner()``. Open the run again with ``open_run("run")``.

Parameters are given as arrays or by name; a row of a table counts as names.
Wavelengths are in Å, velocities in km/s and temperatures in K. Astropy
quantities are converted; give those of parameters by name, or in a list of one
value per parameter. Masked values are refused. Libraries, spectra, stores and
runs print as a summary, and have figures: ``spectrum.plot()``,
``store.plot.flux_ratio()``. Every error is a `MixjobsError`, and also a built-in
exception such as `ValueError`.

Examples
--------
This example uses a small synthetic library.

>>> import tempfile
>>> import mixjobs
>>> folder = tempfile.TemporaryDirectory()
>>> demo = mixjobs.DemoLibrary(n_pixels=2048, wave_max=5040)
>>> library = mixjobs.open_library(demo.write(f"{folder.name}/library.hdf5"))
>>> orders = mixjobs.Orders.from_edges([5005, 5020, 5035])
>>> store = mixjobs.build(library, orders, f"{folder.name}/ratios.zarr")
>>> q = mixjobs.load_flux_ratio(store.path)
>>> star = {"teff": 6100, "logg": 4.5, "feh": 0}
>>> spot = {"teff": 5650, "logg": 4.5, "feh": 0}
>>> q(star, spot).round(2).tolist()  # in each of the two orders
[0.66, 0.67]
>>> folder.cleanup()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixjobs.builder.emulator import EmulatorSettings
    from mixjobs.builder.job import build, build_job, plan_job
    from mixjobs.config.build import BuildConfig
    from mixjobs.config.sample import SampleConfig
    from mixjobs.demo.library import DemoLibrary
    from mixjobs.errors import (
        InvalidInput,
        JobFailed,
        LibraryError,
        MissingFile,
        MixjobsError,
        NotRaw,
        OrderError,
        OutputExists,
        OutsideGrid,
        StoreError,
        StoreLocked,
        UnreadableFile,
    )
    from mixjobs.grid import Grid
    from mixjobs.inference.job import load_log_probability
    from mixjobs.inference.log_probability import LogProbability
    from mixjobs.inference.run import Run, open_run
    from mixjobs.inference.sample import sample
    from mixjobs.inference.sample_report import SampleReport
    from mixjobs.library import Library, open_library
    from mixjobs.model.flux_ratio import FluxRatio
    from mixjobs.model.mixture import MixtureModel, mix
    from mixjobs.observed.opening import open_spectrum
    from mixjobs.observed.spectrum import ObservedSpectrum
    from mixjobs.orders import Orders
    from mixjobs.report.check import check_store
    from mixjobs.store.coverage import estimate_coverage
    from mixjobs.store.format import Store, open_store
    from mixjobs.store.loading import load_mixture
    from mixjobs.store.ratios import load_flux_ratio
    from mixjobs.store.spectra import Spectra, evaluate_spectra

    __version__: str

# Imported on first use, so that a program imports only what it needs.
_MODULES = {
    "builder.emulator": ("EmulatorSettings",),
    "builder.job": ("build", "build_job", "plan_job"),
    "config.build": ("BuildConfig",),
    "config.sample": ("SampleConfig",),
    "demo.library": ("DemoLibrary",),
    "errors": (
        "InvalidInput", "JobFailed", "LibraryError", "MissingFile", "MixjobsError", "NotRaw",
        "OrderError", "OutputExists", "OutsideGrid", "StoreError", "StoreLocked", "UnreadableFile",
    ),
    "grid": ("Grid",),
    "inference.job": ("load_log_probability",),
    "inference.log_probability": ("LogProbability",),
    "inference.run": ("Run", "open_run"),
    "inference.sample": ("sample",),
    "inference.sample_report": ("SampleReport",),
    "library": ("Library", "open_library"),
    "model.flux_ratio": ("FluxRatio",),
    "model.mixture": ("MixtureModel", "mix"),
    "observed.opening": ("open_spectrum",),
    "observed.spectrum": ("ObservedSpectrum",),
    "orders": ("Orders",),
    "store.coverage": ("estimate_coverage",),
    "store.format": ("Store", "open_store"),
    "store.loading": ("load_mixture",),
    "store.ratios": ("load_flux_ratio",),
    "store.spectra": ("Spectra", "evaluate_spectra"),
    "report.check": ("check_store",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BuildConfig",
    "DemoLibrary",
    "EmulatorSettings",
    "FluxRatio",
    "Grid",
    "InvalidInput",
    "JobFailed",
    "Library",
    "LibraryError",
    "LogProbability",
    "MissingFile",
    "MixjobsError",
    "MixtureModel",
    "NotRaw",
    "ObservedSpectrum",
    "OrderError",
    "Orders",
    "OutputExists",
    "OutsideGrid",
    "Run",
    "SampleConfig",
    "SampleReport",
    "Spectra",
    "Store",
    "StoreError",
    "StoreLocked",
    "UnreadableFile",
    "build",
    "build_job",
    "check_store",
    "estimate_coverage",
    "evaluate_spectra",
    "load_flux_ratio",
    "load_log_probability",
    "load_mixture",
    "mix",
    "open_library",
    "open_run",
    "open_spectrum",
    "open_store",
    "plan_job",
    "sample",
]


if not TYPE_CHECKING:  # type checkers see the imports above, and report unknown names

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("mixjobs")
        if name not in _MODULE_OF:
            raise AttributeError(f"module 'mixjobs' has no attribute {name!r}")
        return getattr(import_module(f"mixjobs.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
