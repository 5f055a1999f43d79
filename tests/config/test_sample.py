"""The job file of `mixjobs sample`: its defaults, and errors that name the key."""

import re

import pytest

from mixjobs.config.sample import make_sample_job, read_sample_job
from mixjobs.errors import InvalidInput, MissingFile, UnreadableFile
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import LogUniform, Normal, Uniform

STAR = {"file": "star.hdf5"}
LEAST = {"output": "run", "store": "q.zarr", "spectra": [STAR]}

EVERYTHING = """
output = "run"
store = "/elsewhere/ratios.zarr"
seed = 7
[[spectra]]
file = "star.hdf5"
medium = "air"
barycentric_velocity = 26.3
orders = [21, 22]
resolution = 44000
exclude = "tellurics.txt"
[[spectra]]
file = "/data/other.fits"
fwhm = [6.8, 7]
exclude = [[6860, 6900.5]]
[model]
components = ["library", "blackbody", "dwarf.zarr", "/elsewhere/giant.zarr"]
shared = ["logg"]
method = "linear"
limb_darkening = 0.5
library_resolution = 500000
emulator_error = false
per_epoch = ["rv"]
[continuum]
degree = { 21 = 3, default = 5 }
prior_sd = 0.5
[noise]
correlated = false
[parameters]
teff_1 = { uniform = [4000, 7000] }
rv = { normal = [10, 20], low = 0 }
vsini = { loguniform = [1, 50] }
feh = 0
settings = 2.5
logg_2 = "logg_1 + 0.1"
ln_noise = "optimum"
constraints = ["teff_2 < teff_1"]
dirichlet = [1, 2, 1.5, 1]
[sampling]
walkers = 32
ensembles = 3
max_steps = 500
checkpoint = 50
[cluster]
kind = "local"
workers = 2
"""


def test_a_file_with_everything(tmp_path):
    (tmp_path / "job.toml").write_text(EVERYTHING)
    job = read_sample_job(tmp_path / "job.toml")
    here = f"{tmp_path}/"
    assert (job.output, job.store, job.seed) == (here + "run", "/elsewhere/ratios.zarr", 7)
    first, second = job.spectra
    assert first.model_dump() == {
        "file": here + "star.hdf5", "numbers": None, "medium": "air", "barycentric_velocity": 26.3,
        "orders": [21, 22], "resolution": 44000, "fwhm": None, "exclude": here + "tellurics.txt",
        "columns": None, "wavelength_unit": None, "snr": None, "format": None,
    }  # fmt: skip
    assert (second.file, second.fwhm, second.exclude) == (
        "/data/other.fits", [6.8, 7], [(6860, 6900.5)]
    )  # fmt: skip
    assert job.model.model_dump() == {
        "components": ["library", "blackbody", here + "dwarf.zarr", "/elsewhere/giant.zarr"],
        "shared": ["logg"], "method": "linear", "limb_darkening": 0.5,
        "library_resolution": 500000, "emulator_error": False, "per_epoch": ["rv"],
        "holes": None,
    }  # fmt: skip
    assert [job.continuum.of_order(number) for number in (21, 22)] == [3, 5]
    assert (job.continuum.prior_sd, job.noise.correlated) == (0.5, False)
    assert (job.parameters.constraints, job.parameters.dirichlet) == (
        ["teff_2 < teff_1"], [1, 2, 1.5, 1]
    )  # fmt: skip
    assert job.sampling.model_dump() == {
        "walkers": 32, "likelihood": "compressed", "by_order": False, "ensembles": 3,
        "max_steps": 500, "checkpoint": 50,
    }  # fmt: skip
    assert (job.cluster.kind, job.cluster.workers) == ("local", 2)


def test_settings_of_parameters_are_those_of_inference(tmp_path):
    (tmp_path / "job.toml").write_text(EVERYTHING)
    settings = read_sample_job(tmp_path / "job.toml").parameters.plain_settings
    assert settings == {
        "teff_1": {"uniform": (4000, 7000)}, "rv": {"normal": (10, 20), "low": 0},
        "vsini": {"loguniform": (1, 50)}, "feh": 0.0, "settings": 2.5,
        "logg_2": "logg_1 + 0.1", "ln_noise": "optimum",
    }  # fmt: skip
    fit = (*settings, "logg_1")
    found = make_parameters(fit, {"logg_1": Uniform(4, 5), "ln_noise": Normal(0, 1)}, settings)
    assert found.names == ("teff_1", "rv", "vsini", "ln_noise", "logg_1")
    assert [found.rules[name] for name in found.names[:3]] == [
        Uniform(4000, 7000), Normal(10, 20, low=0), LogUniform(1, 50)
    ]  # fmt: skip


def test_a_minimal_job():
    job = make_sample_job(LEAST, "here")
    assert (job.seed, job.cluster, job.per_epoch) == (1, None, [])
    assert job.spectra[0].model_dump(exclude_none=True) == STAR
    assert job.model.model_dump(exclude_none=True) == {
        "components": 2, "limb_darkening": 0.6, "emulator_error": True
    }  # fmt: skip
    assert (job.continuum.of_order(3), job.continuum.prior_sd, job.noise.correlated) == (4, 1, True)
    assert (job.parameters.plain_settings, job.parameters.constraints) == ({}, None)
    assert job.parameters.dirichlet is None
    assert job.sampling.model_dump() == {
        "walkers": None, "likelihood": "compressed", "by_order": False, "ensembles": 2,
        "max_steps": 20000, "checkpoint": 100,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "epochs", "own"),
    [
        ({}, 1, []),
        ({}, 2, ["rv", "c"]),
        ({"components": 1}, 2, ["rv"]),
        ({"components": ["library"]}, 2, ["rv"]),
        ({"per_epoch": []}, 2, []),
        ({"per_epoch": ["c"]}, 2, ["c"]),
    ],
)
def test_parameters_of_each_epoch(model, epochs, own):
    assert (
        make_sample_job(LEAST | {"spectra": [STAR] * epochs, "model": model}, "x").per_epoch == own
    )


def spectrum(**change):
    return {"spectra": [STAR, STAR | change]}


PARAMETER = r"a prior such as \{ uniform = \[0, 1\] \}, a number, or an expression"
INVALID = [
    ({"spectra": "star.hdf5"}, "spectra", "star.hdf5", "a list"),
    ({"seed": -1}, "seed", -1, "greater than or equal to 0"),
    (spectrum(medium="water"), "spectra.1.medium", "water", "'air' or 'vacuum'"),
    (spectrum(resolution=0), "spectra.1.resolution", 0, "a positive number, or a list"),
    (spectrum(fwhm=[3, "x"]), "spectra.1.fwhm", [3, "x"], "a positive number, or a list"),
    (spectrum(orders=[]), "spectra.1.orders", [], "order numbers, each once"),
    (spectrum(orders=[2, 2]), "spectra.1.orders", [2, 2], "order numbers, each once"),
    (spectrum(exclude=[[2, 1]]), "spectra.1.exclude", [2, 1], r"\[LOW, HIGH\] in Å"),
    (spectrum(exclude=5), "spectra.1.exclude", 5, r"a file, or ranges \[\[LOW, HIGH\]"),
    ({"model": {"components": 0}}, "model.components", 0, "a number from 1 to 20, or a list"),
    ({"model": {"components": []}}, "model.components", [], "a number from 1 to 20, or a list"),
    ({"model": {"method": "pairwise"}}, "model.method", "pairwise", "'cubic', 'linear' or"),
    ({"model": {"limb_darkening": 1.5}}, "model.limb_darkening", 1.5, "less than or equal to 1"),
    ({"continuum": {"degree": -1}}, "continuum.degree", -1, "a whole number from 0 to 100"),
    ({"continuum": {"degree": {"m": 1}}}, "continuum.degree", "m", "order numbers and 'default'"),
    ({"continuum": {"prior_sd": 0}}, "continuum.prior_sd", 0, "greater than or equal to 0.000001"),
    ({"noise": {"correlated": 1}}, "noise.correlated", 1, "true or false"),
    ({"parameters": 3}, "parameters", 3, PARAMETER),
    ({"parameters": {"teff_1": [1, 2]}}, "parameters.teff_1", [1, 2], PARAMETER),
    ({"parameters": {"teff_1": True}}, "parameters.teff_1", True, PARAMETER),
    ({"parameters": {"feh": float("inf")}}, "parameters.feh", float("inf"), PARAMETER),
    ({"parameters": {"constraints": "a < b"}}, "parameters.constraints", "a < b", "a list"),
    ({"parameters": {"dirichlet": 1}}, "parameters.dirichlet", 1, "a list with a positive number"),
    ({"sampling": {"walkers": 33}}, "sampling.walkers", 33, "an even number"),
    ({"sampling": {"ensembles": 1}}, "sampling.ensembles", 1, "greater than or equal to 2"),
]

BY_NAME = [
    ({"spectra": []}, "spectra", r"give one \[\[spectra\]\] table per epoch"),
    ({"spectra": STAR}, "spectra", r"is a single table; write \[\[spectra\]\]"),
    ({"spectra": [{}]}, "spectra.0.file", "is missing"),
    ({"sed": 1}, "sed", "did you mean seed"),
    (spectrum(fil="x"), "spectra.1.fil", "did you mean file"),
    (spectrum(fwhm=3, resolution=5), "spectra.1.fwhm", "either resolution or fwhm, not both"),
    (spectrum(barycentric_velocity=float("nan")), "spectra.1.barycentric_velocity", "nan"),
    ({"model": {"metod": "cubic"}}, "model.metod", "did you mean method"),
    ({"continuum": {"degree": {"2": 1.5}}}, "continuum.degree", "a whole number from 0 to 100"),
    ({"continuum": {"sigma": 1.0}}, "continuum.sigma", "degree, prior_sd"),
    ({"parameters": {"feh": {"uniform": [1]}}}, "parameters.feh.uniform", "a prior such as"),
    ({"parameters": {"feh": {"unifrm": [1, 2]}}}, "parameters.feh.unifrm", "did you mean uniform"),
    ({"sampling": {"max_stps": 1}}, "sampling.max_stps", "did you mean max_steps"),
    ({"cluster": {"kind": "address"}}, "cluster.scheduler", "address"),
    ({"model": {"per_epoch": ["rv"]}}, "model.per_epoch", "only one spectrum"),
    ({"model": {"components": 1, "shared": ["rv"]}}, "model.shared", "only one component"),
    ({"continuum": {"degree": {}}}, "continuum.degree", "one for each order"),
    ({"parameters": {"dirichlet": []}}, "parameters.dirichlet", "a list with a positive number"),
    ({"cluster": {"wrkers": 2}}, "cluster.wrkers", "did you mean workers"),
    ({"workers": 2}, "workers", "unknown key"),
]


def error_of(data):
    with pytest.raises(InvalidInput, match=r"^here: ") as error:
        make_sample_job(data, "here")
    assert "\n" not in str(error.value)
    return error.value


@pytest.mark.parametrize(("change", "name", "value", "expected"), INVALID)
def test_invalid_values(change, name, value, expected):
    error = error_of(LEAST | change)
    assert error.name == name
    assert re.search(f"^here: {name} = .*; expected {expected}", str(error))
    assert error.value == value


@pytest.mark.parametrize(("change", "name", "hint"), BY_NAME)
def test_other_errors(change, name, hint):
    error = error_of(LEAST | change)
    assert error.name == name
    assert re.search(hint, str(error))


@pytest.mark.parametrize("key", LEAST)
def test_missing_keys(key):
    assert error_of({k: v for k, v in LEAST.items() if k != key}).name == key


def test_unreadable_files(tmp_path):
    path = tmp_path / "job.toml"
    with pytest.raises(MissingFile) as error:
        read_sample_job(path)
    assert error.value.path == str(path)
    path.write_text("store = ")
    with pytest.raises(UnreadableFile, match="Invalid value") as error:
        read_sample_job(path)
    assert error.value.path == str(path)


def test_the_home_folder_in_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = 'output = "~/run"\nstore = "q.zarr"\n[[spectra]]\nfile = "~/star.fits"\n'
    (tmp_path / "job.toml").write_text(text, encoding="utf-8-sig")
    job = read_sample_job(tmp_path / "job.toml")
    assert job.output == str(tmp_path / "home" / "run")
    assert job.spectra[0].file == str(tmp_path / "home" / "star.fits")
