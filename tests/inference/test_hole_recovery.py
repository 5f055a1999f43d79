"""A star in a cell with a missing corner: refused, filled, and with the complete library."""

import json

import numpy as np
import pytest

import mixjobs
from mixjobs.config.sample import make_sample_job
from mixjobs.demo.library import DemoLibrary
from mixjobs.demo.star import star_spectrum
from mixjobs.demo.writers import write_starfish
from mixjobs.observed.writer import write_spectrum

LIBRARY = DemoLibrary(
    {"teff": range(2700, 3301, 100), "logg": [4.0, 4.5, 5.0]},
    wave_min=7990.0, wave_max=8028.0, n_pixels=1500,
)  # fmt: skip
HOLES = [{"teff": 3000.0, "logg": 4.0}, {"teff": 3000.0, "logg": 5.0}]
TRUTH = {"teff": 2950.0, "logg": 4.9}
RV, VSINI, RESOLUTION = 5.0, 6.0, 30_000
ORDERS = mixjobs.Orders([7], [8002.0], [8016.0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A star, and the stores of the complete library and of the one with holes."""
    folder = tmp_path_factory.mktemp("holes")
    points = LIBRARY.points
    missing = [list(hole.values()) for hole in HOLES]
    emulator = mixjobs.EmulatorSettings(max_rv=40, max_vsini=20, min_resolution=20_000)
    for name, kept in (
        ("full", points),
        ("holed", np.array([p for p in points.tolist() if p not in missing])),
    ):
        library = write_starfish(
            folder / f"{name}.hdf5", LIBRARY.names, kept, LIBRARY.wavelength,
            map(LIBRARY.spectrum, kept), dv=LIBRARY.dv, attributes={"norm": False},
        )  # fmt: skip
        mixjobs.build(library, ORDERS, folder / name, emulator=emulator, table=False)
    wave = np.exp(np.arange(np.log(8002.2), np.log(8015.8), 1.5e-5))
    theta = list(TRUTH.values())
    flux = star_spectrum(LIBRARY, [theta], [1.0], wave, RV, VSINI, RESOLUTION)
    flux /= np.median(flux)
    error = np.full(len(wave), 0.01)
    noise = error * np.random.default_rng(5).normal(size=len(wave))
    write_spectrum(folder / "star.ecsv", [(7, wave, flux + noise, error)], {"medium": "vacuum"})
    return folder


def sampled(folder, name, store, **model):
    job = {
        "output": str(folder / name), "store": str(folder / store),
        "spectra": [{"file": str(folder / "star.ecsv"), "resolution": RESOLUTION}],
        "model": {"components": 1, **model}, "continuum": {"degree": 1},
        "noise": {"correlated": False},
        "parameters": {"rv": RV, "vsini": VSINI, "ln_noise": 0.0},
        "sampling": {"max_steps": 300, "walkers": 12},
    }  # fmt: skip
    run = mixjobs.sample(make_sample_job(job, "job.toml"), report=False)
    posterior = run.posterior
    draws = posterior["posterior"]
    values = {name: draws[name].values.ravel() for name in TRUTH}
    return run, values, json.loads(posterior.attrs["holes"])


@pytest.fixture(scope="module")
def full(folder):
    return sampled(folder, "run_full", "full")


def test_a_complete_library_is_silent(full):
    run, values, holes = full
    assert (run.folder.notes["holes"], holes, run.summary().holes) == ([], [], ())
    for name, true in TRUTH.items():
        assert abs(values[name].mean() - true) < 4 * values[name].std()


def test_a_posterior_that_ends_at_a_hole_is_reported(folder):
    run, values, holes = sampled(folder, "run_refuse", "holed")
    assert not ((values["teff"] > 2900) & (values["teff"] < 3100)).any()
    (before,) = run.folder.notes["holes"]
    assert sorted(before["points"], key=lambda point: point["logg"]) == HOLES
    assert before["fraction"] == pytest.approx(1 / 3, abs=0.01)  # 2 of 6 steps in teff
    (after,) = run.summary().holes
    assert (after.of, after.points, after.n_fillable) == ("posterior", (HOLES[1],), 1)
    assert after.fraction > 0.9
    assert [after.to_dict()] == holes
    assert str(after) in run.summary().notes


def test_filled_holes_give_the_posterior_of_the_complete_library(folder, full):
    run, values, holes = sampled(folder, "run_filled", "holed", holes="interpolate")
    for name, draws in values.items():
        expected = full[1][name]
        assert draws.mean() == pytest.approx(expected.mean(), abs=0.3 * expected.std())
        assert draws.std() == pytest.approx(expected.std(), rel=0.3)
    (before,), (after,) = run.folder.notes["holes"], holes
    for report in (before, after):
        median, percentile = report["error"]
        assert 0 < median < percentile < 0.01
    assert after["fraction"] == pytest.approx(np.mean(values["teff"] > 2900), abs=0.01)
