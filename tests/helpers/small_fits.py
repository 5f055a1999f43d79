"""Fits of simulated spectra on the demo library, small enough for tests."""

import numpy as np

import mixjobs
from mixjobs.demo.library import DemoLibrary
from mixjobs.inference.likelihood import Continuum
from mixjobs.inference.log_probability import make_log_probability
from mixjobs.inference.order_likelihoods import (
    Epoch,
    EpochOrder,
    InstrumentProfile,
    LikelihoodPlan,
    ModelOptions,
)
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import Normal, Uniform
from mixjobs.observed.writer import write_spectrum

KMS = 1 / 299792.458
AXES = {"teff": (4500, 5000, 5500, 6000), "logg": (4.5,), "feh": (-0.5, 0.0, 0.5)}
ORDERS = mixjobs.Orders([4, 5], [5004, 5009], [5010, 5015])
NOISE = ("ln_noise", "log_amplitude", "log_length")
TRUTH = {"teff_1": 5700.0, "teff_2": 4800.0, "feh": 0.1, "vsini": 6.0, "rv": 5.0, "c": 0.3}
PRIORS = {
    "teff_1": Uniform(4500, 6000), "teff_2": Uniform(4500, 6000), "feh": Uniform(-0.5, 0.5),
    "teff": Uniform(4500, 6000), "rv": Uniform(-30, 30), "vsini": Uniform(0, 20),
    "c": Uniform(0, 1), "ln_noise": Normal(0, 1), "log_amplitude": Uniform(-4, -0.5),
    "log_length": Uniform(0.5, 2),
}  # fmt: skip
# A job file of `mixjobs sample`; fill in output, store, star and steps.
JOB = """
output = "{output}"
store = "{store}"
seed = 3

[[spectra]]
file = "{star}"
barycentric_velocity = 0.5
resolution = 30000

[continuum]
degree = 2

[parameters]
teff_1 = 5700.0
feh = 0.1
vsini = 6.0
teff_2 = {{ uniform = [4600, 5000] }}
rv = {{ normal = [5, 2] }}
log_amplitude = {{ uniform = [-4, -2] }}
log_length = 1.2
ln_noise = "optimum"

[sampling]
walkers = 10
max_steps = {steps}
checkpoint = 5
"""
NOISE_TRUTH = {"ln_noise": 0.1, "log_amplitude": -2.0, "log_length": 1.2}


def build_store(folder):
    """Build a store with an emulator of two orders."""
    end = 4996 * np.exp(1600 * KMS)
    library = DemoLibrary(AXES, wave_min=4996.0, wave_max=end, n_pixels=1600)
    emulator = mixjobs.EmulatorSettings(max_rv=60, max_vsini=25, min_resolution=20_000)
    path = library.write(folder / "library.hdf5")
    mixjobs.build(path, ORDERS, folder / "store.zarr", emulator=emulator, table=False)
    return folder / "store.zarr"


def observed(store, values=None, epoch=0, seed=1, signal_to_noise=100.0, continuum=None, tilt=0.1):
    """Simulate both orders of a star from the model, with noise."""
    rng = np.random.default_rng([seed, epoch])
    waves = [low + np.arange(80) * 0.06 for low in (5004.2, 5009.2)]
    model = mixjobs.load_mixture(store, wavelengths=waves, resolution=30_000)
    orders = []
    for number, wave, flux in zip((4, 5), waves, model(values or TRUTH), strict=True):
        flux = 3e-14 * flux * (1 + tilt * np.linspace(-1, 1, len(wave)))
        flux_error = np.full(len(wave), flux.mean() / signal_to_noise)
        order = EpochOrder(
            epoch,
            number,
            wave,
            flux + flux_error * rng.normal(size=len(wave)),
            flux_error,
            np.ones(len(wave), bool),
            continuum or Continuum(2, 1.0),
            InstrumentProfile(resolution=30_000),
        )
        orders.append(order)
    return orders


def write_star(path, store):
    """Write a spectrum as a file; its barycentric velocity is wrong on purpose."""
    orders = [(o.number, o.wavelength, o.flux, o.flux_error) for o in observed(store)]
    write_spectrum(path, orders, {"medium": "vacuum", "barycentric_velocity": 9.0})
    return path


def plan_of(store, orders, components=2, emulator_error=True, velocities=(0.0,), **options):
    """A plan of the fit of some orders."""
    epochs = [Epoch("vacuum", velocity) for velocity in velocities]
    options = ModelOptions(**options)
    return LikelihoodPlan(str(store), components, options, epochs, orders, emulator_error)


def log_probability(plan, settings=None, client=None, correlated=True, **options):
    """The log-probability of a plan, with broad priors."""
    names = plan.load_model(plan.components).parameters
    base_names = (*names, *(NOISE if correlated else NOISE[:1]))
    parameters = make_parameters(base_names, PRIORS, settings, n_epochs=len(plan.epochs), **options)
    return make_log_probability(parameters, plan, client)


def true_x(logp, **values):
    """The truth as free parameters (P,), some values replaced."""
    values = TRUTH | NOISE_TRUTH | values
    return np.array([values[name] for name in logp.names])


def around(logp, n, seed=0, scale=0.02, **values):
    """Samples (n, P) near the truth."""
    x = true_x(logp, **values)
    rng = np.random.default_rng(seed)
    return x * (1 + scale * rng.uniform(-1, 1, (n, len(x))))
