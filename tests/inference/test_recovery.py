"""Recovery of two components from spectra that the emulator was not built from."""

import numpy as np

import mixjobs
from mixjobs.demo.library import DemoLibrary
from mixjobs.demo.star import star_spectrum
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.log_probability import make_log_probability
from mixjobs.inference.optimum import find_starts, start_walkers
from mixjobs.inference.order_likelihoods import (
    Epoch,
    EpochOrder,
    InstrumentProfile,
    LikelihoodPlan,
    ModelOptions,
)
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import Uniform
from mixjobs.inference.run_folder import RunFolder
from mixjobs.inference.sampler import run_ensembles
from tests.helpers.small_fits import PRIORS

STEPS = 180


def assert_found(plan, priors, settings, truth, folder):
    """Sample, and check that the 99.7 % intervals contain the truth."""
    names = (*mixjobs.load_mixture(plan.store).parameters, "ln_noise")
    parameters = make_parameters(names, priors, settings, constraints=["teff_2 < teff_1"])
    logp = make_log_probability(parameters, plan)
    start = start_walkers(logp, find_starts(logp, 2, seed=1), 20, seed=1)
    run = RunFolder.create(folder / "run", {"names": list(logp.names), "seed": 1})
    run_ensembles(
        logp.by_order, run, start, bounds=logp.parameters.bounds, checkpoint=STEPS, max_steps=STEPS
    )
    draws = run.positions()[:, STEPS // 2 :].reshape(-1, len(logp.names))
    for name, values in zip(logp.names, draws.T, strict=True):
        low, high = np.quantile(values, [0.0015, 0.9985])
        assert low < truth[name] < high, (name, truth[name], low, high)
        prior = parameters.rules[name]
        if isinstance(prior, Uniform):  # narrower than the prior
            assert values.std() < 0.5 * (prior.high - prior.low) / np.sqrt(12), name


def noisy(rng, number, wave, flux, signal_to_noise, degree, profile):
    """Simulate an order with a tilted continuum and noise."""
    flux = flux * (1 + 0.05 * np.linspace(-1, 1, len(wave)))
    flux_error = np.full(len(wave), np.median(flux) / signal_to_noise)
    used = np.ones(len(wave), bool)
    flux = flux + flux_error * rng.normal(size=len(wave))
    return EpochOrder(0, number, wave, flux, flux_error, used, Continuum(degree, 1.0), profile)


def test_held_out_real_spectra(data, tmp_path):
    """BT-Settl, a cool spot with molecular bands; 2900 and 3900 K are not in the store."""
    library = mixjobs.open_library(data / "btsettl_prism.hdf5")
    teff, logg, feh = library.grid.points.T
    near = (logg == 4.5) & (feh == 0.0)
    rows = np.flatnonzero(near & ~np.isin(teff, [2900, 3900]))
    orders = mixjobs.Orders.log_spaced(20, 7000, 50000).take([1, 5, 9, 13])
    settings = mixjobs.EmulatorSettings(min_resolution=50)
    mixjobs.build(library.take(rows), orders, tmp_path / "s", emulator=settings, table=False)
    cool, warm = (library.flux(int(np.flatnonzero(near & (teff == t))[0])) for t in (2900, 3900))
    lo, hi = orders.pixel_ranges(library.wavelength)
    rng = np.random.default_rng(4)
    pixels = [(n, slice(a + 1, b - 1)) for n, a, b in zip(orders.number, lo, hi, strict=True)]
    observed = [
        noisy(
            rng,
            int(n),
            library.wavelength[at],
            (0.7 * warm + 0.3 * cool)[at],
            100,
            1,
            InstrumentProfile(),
        )
        for n, at in pixels
    ]
    plan = LikelihoodPlan(str(tmp_path / "s"), 2, ModelOptions(), [Epoch()], observed)
    priors = PRIORS | {"teff_1": Uniform(2600, 4500), "teff_2": Uniform(2600, 4500)}
    truth = {"teff_1": 3900.0, "teff_2": 2900.0, "c": 0.3, "ln_noise": 0.0}
    assert_found(plan, priors, {"rv": 0.0, "vsini": 0.0}, truth, tmp_path)


def test_true_spectra_between_the_grid_points(tmp_path):
    """The demo library, rotating and receding; the truth is the generator's, in real space."""
    library = DemoLibrary(
        {"teff": range(4200, 6001, 300), "logg": [4.5], "feh": [0.0, 0.25, 0.5]},
        wave_min=5990.0, wave_max=6022.0, n_pixels=1600,
    )  # fmt: skip
    settings = mixjobs.EmulatorSettings(max_rv=60, max_vsini=30, min_resolution=20_000)
    orders = mixjobs.Orders.from_edges([6002.0, 6010.0])
    path = library.write(tmp_path / "library.hdf5")
    mixjobs.build(path, orders, tmp_path / "s", emulator=settings, table=False)
    truth = {"teff_1": 5650.0, "teff_2": 4550.0, "feh": 0.2, "vsini": 9.0, "rv": -7.0, "c": 0.4}
    wave = np.exp(np.arange(np.log(6002.3), np.log(6009.7), 1e-5))
    thetas = [[truth["teff_1"], 4.5, 0.2], [truth["teff_2"], 4.5, 0.2]]
    flux = star_spectrum(library, thetas, [0.6, 0.4], wave, -7.0, 9.0, 30_000)
    rng = np.random.default_rng(2)
    observed = [noisy(rng, 0, wave, flux, 150, 2, InstrumentProfile(resolution=30_000))]
    plan = LikelihoodPlan(str(tmp_path / "s"), 2, ModelOptions(), [Epoch()], observed)
    priors = PRIORS | {
        "teff_1": Uniform(4200, 6000), "teff_2": Uniform(4200, 6000), "feh": Uniform(0, 0.5)
    }  # fmt: skip
    assert_found(plan, priors, {}, truth | {"ln_noise": 0.0}, tmp_path)
