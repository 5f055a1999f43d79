"""A short run on a star that is simulated from the demo library."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

import mixjobs
from mixjobs.config.sample import make_sample_job
from mixjobs.demo.library import DemoLibrary
from mixjobs.inference.bayes_factor import Estimate, combined
from mixjobs.inference.job import identity, load_free_log_probability
from mixjobs.inference.model_comparison import Comparison, Optimum
from mixjobs.inference.optimum import start_walkers
from mixjobs.inference.posterior import make_posterior, write_posterior
from mixjobs.inference.run import open_run
from mixjobs.inference.run_folder import COMPARISON, POSTERIOR, START, RunFolder
from mixjobs.inference.sampler import run_ensembles

KMS = 1 / 299792.458
AXES = {"teff": (4400, 4800, 5200, 5600, 6000), "logg": (4.5,), "feh": (0.0,)}
ORDERS = mixjobs.Orders([21, 22], [5004, 5009], [5009, 5014])
TRUTH = {"teff_1": 5700.0, "teff_2": 4700.0, "vsini": 6.0, "rv": 5.0, "c": 0.4}
NOISE = {"ln_noise": 0.0}
FIXED = {"log_amplitude": -2.5}
PARAMETERS = {"vsini": "rv + 1", "log_amplitude": "optimum", "log_length": 1.0}
STEPS, WALKERS, ENSEMBLES = 80, 10, 2
BAYES_FACTOR = combined([Estimate("c -> 0", -5.5, None), Estimate("c -> 1", -6.0, None)])
ONE_COMPONENT = Optimum({"teff_1": 5000.0, "rv": 5.0, "ln_noise": 0.1}, 4300.0)


def store_in(folder):
    """Build a store of two orders."""
    n = 1100
    end = 5000 * np.exp((n - 1) * KMS)
    library = DemoLibrary(AXES, wave_min=5000.0, wave_max=end, n_pixels=n)
    emulator = mixjobs.EmulatorSettings(max_rv=40, max_vsini=20, min_resolution=20_000)
    mixjobs.build(
        library.write(folder / "library.hdf5"), ORDERS, folder / "q", emulator=emulator, table=False
    )
    return folder / "q"


def spectrum_in(folder, store, name="star.ecsv", seed=4):
    """Write a spectrum of the star: 1 % noise, a tilted continuum, one bad pixel."""
    from astropy.table import Table

    rng = np.random.default_rng(seed)
    waves = [low * np.exp(np.arange(70) * 2.6 * KMS) for low in (5005.0, 5009.5)]
    model = mixjobs.load_mixture(store, wavelengths=waves, resolution=30_000)
    rows = []
    for number, wave, flux in zip((21, 22), waves, model(TRUTH), strict=True):
        observed = 3e-14 * flux * (1 + 0.1 * np.linspace(-1, 1, len(wave)))
        sigma = np.full(len(wave), 3e-16)
        observed += sigma * rng.normal(size=len(wave))
        bad = (np.arange(len(wave)) == 30) & (number == 21)
        rows.append((np.full(len(wave), number), wave, observed * (1 + 2 * bad), sigma, 1 - bad))
    names = ("order", "wavelength", "flux", "sigma", "mask")
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    table = Table(dict(zip(names, columns, strict=True)))
    table["wavelength"].unit = "Angstrom"
    table.write(folder / name, format="ascii.ecsv")
    return folder / name


def job_in(folder, store, **more):
    """The job of fitting the star."""
    spectrum = folder / "star.ecsv"
    if not spectrum.exists():
        spectrum_in(folder, store)
    star = {"file": str(spectrum), "medium": "vacuum", "resolution": 30_000}
    job = {
        "output": str(folder / "run"), "store": str(store), "seed": 3, "spectra": [star],
        "continuum": {"degree": 1}, "noise": {"shared": True}, "parameters": PARAMETERS,
    }  # fmt: skip
    return make_sample_job(job | more, "job.toml")


def begin_in(folder, job):
    """Create the run folder of a job, with the truth as its start."""
    free = load_free_log_probability(job)
    notes = {"job": job.model_dump(mode="json")}
    folder = RunFolder.create(job.output, identity(job, free), notes)
    start = {"optimum": TRUTH | NOISE, "log_probability": 0.0, "fixed": FIXED, "starts": []}
    folder.write_json(START, start)
    return open_run(folder.path)


def sample_run(run, steps, checkpoint=100):
    """Sample, starting at the truth."""
    logp = run.log_probability
    best = np.array([(TRUTH | NOISE)[name] for name in logp.names])
    start = start_walkers(logp, np.tile(best, (ENSEMBLES, 1)), WALKERS, 1)
    return run_ensembles(
        logp.by_order,
        run.folder,
        start,
        bounds=logp.parameters.bounds,
        checkpoint=checkpoint,
        max_steps=steps,
    )


@cache
def finished():
    """Return a run that has ended."""
    folder = Path(mkdtemp(prefix="mixjobs-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    run = begin_in(folder, job_in(folder, store_in(folder)))
    sample_run(run, STEPS)
    write_posterior(run.folder.path / POSTERIOR, make_posterior(run.folder, run.log_probability))
    optimum = Optimum(TRUTH | NOISE, 4400.0)
    comparison = Comparison(2, 139, ONE_COMPONENT, optimum, BAYES_FACTOR)
    run.folder.write_json(COMPARISON, comparison.to_dict())
    return run
