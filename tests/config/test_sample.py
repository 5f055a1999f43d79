"""The job file of `mixjobs sample`: what it says, its defaults, its faults by name."""

import pytest

from mixjobs.config.sample import make_sample_job, read_sample_job
from mixjobs.errors import InvalidInput, MissingFile, UnreadableFile
from mixjobs.inference.parameters import make_parameters
from mixjobs.inference.priors import LogUniform, Normal, Uniform
from mixjobs.store.loading import SHARED

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
        "file": here + "star.hdf5", "medium": "air", "barycentric_velocity": 26.3,
        "orders": [21, 22], "resolution": 44000, "fwhm": None, "exclude": here + "tellurics.txt",
    }  # fmt: skip
    assert (second.file, second.fwhm, second.exclude) == (
        "/data/other.fits", [6.8, 7], [(6860, 6900.5)]
    )  # fmt: skip
    assert job.model.model_dump() == {
        "components": ["library", "blackbody", here + "dwarf.zarr", "/elsewhere/giant.zarr"],
        "shared": ["logg"], "method": "linear", "limb_darkening": 0.5,
        "library_resolution": 500000, "emulator_error": False, "per_epoch": ["rv"],
    }  # fmt: skip
    assert [job.continuum.of_order(number) for number in (21, 22)] == [3, 5]
    assert (job.continuum.prior_sd, job.noise.correlated) == (0.5, False)
    assert (job.parameters.constraints, job.parameters.dirichlet) == (
        ["teff_2 < teff_1"], [1, 2, 1.5, 1]
    )  # fmt: skip
    assert job.sampling.model_dump() == {
        "walkers": 32, "ensembles": 3, "max_steps": 500, "checkpoint": 50
    }  # fmt: skip
    assert (job.cluster.kind, job.cluster.workers) == ("local", 2)


def test_what_is_said_of_parameters_is_what_inference_takes(tmp_path):
    (tmp_path / "job.toml").write_text(EVERYTHING)
    said = read_sample_job(tmp_path / "job.toml").parameters.plain_settings
    assert said == {
        "teff_1": {"uniform": (4000, 7000)}, "rv": {"normal": (10, 20), "low": 0},
        "vsini": {"loguniform": (1, 50)}, "feh": 0.0, "settings": 2.5,
        "logg_2": "logg_1 + 0.1", "ln_noise": "optimum",
    }  # fmt: skip
    fit = (*said, "logg_1")
    found = make_parameters(fit, {"logg_1": Uniform(4, 5), "ln_noise": Normal(0, 1)}, said)
    assert found.names == ("teff_1", "rv", "vsini", "ln_noise", "logg_1")
    assert [found.rules[name] for name in found.names[:3]] == [
        Uniform(4000, 7000), Normal(10, 20, low=0), LogUniform(1, 50)
    ]  # fmt: skip


def test_the_least_that_is_needed():
    job = make_sample_job(LEAST, "here")
    assert (job.seed, job.cluster, job.per_epoch) == (1, None, [])
    assert job.spectra[0].model_dump(exclude_none=True) == STAR
    assert job.model.model_dump(exclude_none=True) == {
        "components": 2, "shared": list(SHARED), "limb_darkening": 0.6, "emulator_error": True
    }  # fmt: skip
    assert (job.continuum.of_order(3), job.continuum.prior_sd, job.noise.correlated) == (4, 1, True)
    assert (job.parameters.plain_settings, job.parameters.constraints) == ({}, None)
    assert job.parameters.dirichlet is None
    assert job.sampling.model_dump() == {
        "walkers": None, "ensembles": 2, "max_steps": 20000, "checkpoint": 100
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "epochs", "own"),
    [
        ({}, 1, []),
        ({}, 2, ["rv", "c"]),
        ({"components": 1}, 2, ["rv"]),
        ({"components": ["library"]}, 2, ["rv"]),
        ({"per_epoch": []}, 2, []),
        ({"per_epoch": ["c"]}, 1, ["c"]),
    ],
)
def test_what_each_epoch_has_for_itself(model, epochs, own):
    assert (
        make_sample_job(LEAST | {"spectra": [STAR] * epochs, "model": model}, "x").per_epoch == own
    )


def spectrum(**change):
    return {"spectra": [STAR, STAR | change]}


FAULTS = [
    ({"spectra": []}, r"there is no spectrum; give a table \[\[spectra\]\] an epoch"),
    ({"spectra": STAR}, r"\[spectra\] is one table; write \[\[spectra\]\] for each spectrum$"),
    ({"spectra": "star.hdf5"}, "spectra = 'star.hdf5'; expected a valid list"),
    ({"spectra": [{}]}, "'spectra.0.file' is missing"),
    ({"seed": -1}, "seed = -1; expected greater than or equal to 0"),
    ({"sed": 1}, r"unknown key 'sed'; did you mean seed\?"),
    (spectrum(fil="x"), r"unknown key 'spectra.1.fil'; did you mean file\?"),
    (spectrum(medium="water"), "spectra.1.medium = 'water'; expected 'air' or 'vacuum'"),
    (spectrum(resolution=0), "spectra.1.resolution = 0; expected a positive number, or a list"),
    (spectrum(fwhm=[3, "x"]), r"spectra.1.fwhm.*; expected a positive number, or a list of one"),
    (spectrum(fwhm=3, resolution=5), "spectra.1 has both resolution and fwhm; give only one"),
    (spectrum(orders=[]), r"spectra.1.orders = \[\]; expected order numbers, each once"),
    (spectrum(orders=[2, 2]), r"spectra.1.orders = \[2, 2\]; expected order numbers, each once"),
    (spectrum(exclude=[[2, 1]]), r"spectra.1.exclude has \[2.*, 1.*\]; expected \[LOW, HIGH\] in"),
    (spectrum(exclude=5), r"spectra.1.exclude = 5; expected a file, or windows \[\[LOW, HIGH\]"),
    (spectrum(barycentric_velocity=float("nan")), "spectra.1.barycentric_velocity = nan; expected"),
    ({"model": {"components": 0}}, "model.components = 0; expected a number from 1 up, or a list"),
    ({"model": {"components": []}}, "model.components = .*; expected a number from 1 up"),
    ({"model": {"method": "pairwise"}}, "model.method = 'pairwise'; expected 'cubic', 'linear' or"),
    ({"model": {"metod": "cubic"}}, r"unknown key 'model.metod'; did you mean method\?"),
    ({"model": {"limb_darkening": 1.5}}, "model.limb_darkening = 1.5; expected less than or equal"),
    ({"continuum": {"degree": -1}}, "continuum.degree = -1; expected a whole number from 0 up"),
    ({"continuum": {"degree": {"2": 1.5}}}, r"continuum.degree.*; expected a whole number from 0"),
    ({"continuum": {"degree": {"m": 1}}}, "continuum.degree has 'm'; expected order numbers and"),
    ({"continuum": {"prior_sd": 0}}, "continuum.prior_sd = 0; expected greater than 0"),
    ({"noise": {"correlated": 1}}, "noise.correlated = 1; expected a valid boolean"),
    ({"parameters": 3}, "parameters = 3; expected a prior such as"),
    ({"parameters": {"teff_1": [1, 2]}}, r"parameters.teff_1 = \[1, 2\]; expected a prior such as"),
    ({"parameters": {"teff_1": True}}, "parameters.teff_1 = True; expected a prior such as"),
    ({"parameters": {"feh": float("inf")}}, "parameters.feh = inf; expected a prior such as"),
    ({"parameters": {"feh": {"uniform": [1]}}}, r"parameters.feh.uniform = .*; expected a prior"),
    ({"parameters": {"feh": {"unifrm": [1, 2]}}},
     r"unknown key 'parameters.feh.unifrm'; did you mean uniform\?"),
    ({"parameters": {"constraints": "a < b"}}, "parameters.constraints = 'a < b'; expected a list"),
    ({"parameters": {"dirichlet": 1}}, "parameters.dirichlet = 1; expected a list of a positive"),
    ({"sampling": {"walkers": 33}}, "sampling.walkers = 33; expected an even number"),
    ({"sampling": {"ensembles": 1}}, "sampling.ensembles = 1; expected greater than or equal to 2"),
    ({"sampling": {"max_stps": 1}}, r"unknown key 'sampling.max_stps'; did you mean max_steps\?"),
    ({"cluster": {"kind": "address"}}, 'cluster kind "address" and scheduler go together'),
    ({"cluster": {"wrkers": 2}}, r"unknown key 'cluster.wrkers'; did you mean workers\?"),
    ({"workers": 2}, "unknown key 'workers'; "),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_faults(change, message):
    with pytest.raises(InvalidInput, match=f"^here: {message}") as error:
        make_sample_job(LEAST | change, "here")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", LEAST)
def test_what_is_missing(key):
    with pytest.raises(InvalidInput, match=f"^here: '{key}' is missing$"):
        make_sample_job({k: v for k, v in LEAST.items() if k != key}, "here")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(MissingFile, match=r"job\.toml: no such file; check its name"):
        read_sample_job(tmp_path / "job.toml")
    (tmp_path / "job.toml").write_text("store = ")
    with pytest.raises(UnreadableFile, match=r"job\.toml: not a TOML job file: Invalid value"):
        read_sample_job(tmp_path / "job.toml")
