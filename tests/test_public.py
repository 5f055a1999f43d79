"""The public names and their imports, and stores opened with other programs."""

import ast
import re
import subprocess
import sys
import tomllib
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import mixjobs
from mixjobs import Orders, errors
from mixjobs.store.format import SCHEMA

NAMES = {
    "BuildConfig", "SampleConfig", "SampleReport",
    "DemoLibrary", "EmulatorSettings", "FluxRatio", "Grid", "InvalidInput", "JobFailed", "Library",
    "LibraryError", "LogProbability", "MissingFile", "MixjobsError", "MixtureModel", "NotRaw",
    "ObservedSpectrum", "OrderError", "Orders", "OutputExists", "OutsideGrid", "Run", "Spectra",
    "Store",
    "StoreError", "StoreLocked", "UnreadableFile", "build", "build_job", "check_store",
    "estimate_coverage",
    "evaluate_spectra", "load_flux_ratio", "load_log_probability", "load_mixture", "mix",
    "open_library", "open_run", "open_spectrum", "open_store", "plan_job", "sample",
}  # fmt: skip
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def store(demo, tmp_path_factory):
    orders = Orders.from_edges([5001, 5009, 5024])
    return mixjobs.build(str(demo), orders, str(tmp_path_factory.mktemp("store") / "q.zarr"))


def test_public_names():
    assert set(mixjobs.__all__) == NAMES
    assert set(dir(mixjobs)) == NAMES | {"__version__"}
    for name in NAMES:
        assert getattr(mixjobs, name).__doc__
    with pytest.raises(AttributeError, match="module 'mixjobs' has no attribute 'make'"):
        mixjobs.make  # noqa: B018


def test_star_import():
    names: dict[str, object] = {}
    exec("from mixjobs import *", names)
    assert set(names) - {"__builtins__"} == NAMES


def test_type_checkers_import_the_same_objects():
    """The imports for type checkers give the same objects as attribute access."""
    tree = ast.parse(Path(mixjobs.__file__).read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If) and "TYPE" in ast.unparse(n.test))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    imported = {alias.name: node.module for node in imports for alias in node.names}
    assert set(imported) == NAMES
    for name, module in imported.items():
        assert getattr(mixjobs, name) is getattr(import_module(module), name)


def test_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert mixjobs.__version__ == project["version"]


def test_errors_are_public():
    every = {
        name for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.MixjobsError)
    }  # fmt: skip
    assert every <= NAMES


def test_the_module_docstring_names_existing_objects():
    """Every function and class in ``help(mixjobs)`` exists."""
    names = set(re.findall(r"\b([A-Za-z_]+)\(", mixjobs.__doc__))
    names |= set(re.findall(r"mixjobs\.(\w+)", mixjobs.__doc__))
    methods = {"q", "write", "corner", "summary", "log_spaced", "flux_ratio", "plot", "round"}
    methods |= {"tolist", "cleanup", "TemporaryDirectory", "from_edges"}
    assert names - methods <= NAMES
    assert {"open_library", "build", "load_flux_ratio", "load_log_probability"} <= names


def test_classes_work_with_isinstance(store, demo):
    assert isinstance(mixjobs.open_library(demo), mixjobs.Library)
    assert isinstance(store, mixjobs.Store)
    assert isinstance(store.orders, mixjobs.Orders)
    assert isinstance(mixjobs.load_flux_ratio(store.path), mixjobs.FluxRatio)
    assert not isinstance(store, mixjobs.Library)


def test_contents_of_a_store(store, demo):
    library = mixjobs.open_library(demo)
    assert store.grid.points.tolist() == library.grid.points.tolist()
    assert store.grid.names == ("teff", "logg", "feh")
    assert store.orders.wave_max.tolist() == [5009, 5024]
    lo, hi = store.orders.pixel_ranges(library.wavelength)
    assert store.n_pixels.tolist() == (hi - lo).tolist()
    assert store.mean_flux.shape == (2, 12)
    assert store.flux_ratio.shape == (2, 12, 12)
    assert mixjobs.open_store(str(store.path)).path == store.path
    first = library.flux(5, lo[1], hi[1])
    assert first.dtype == np.float64
    assert store.mean_flux[1, 5] == pytest.approx(first.mean(), rel=1e-14)


def test_flux_ratios_by_name(store):
    q = mixjobs.load_flux_ratio(store.path)
    ratio = q(
        {"teff": 5900, "logg": 4.5, "feh": 0}, {"teff": 5700, "logg": 4.5, "feh": np.zeros(4)}
    )
    assert ratio.shape == (4, 2)
    assert (ratio < 1).all()


SAMPLER = """
import sys
import mixjobs
assert "numpy" not in sys.modules
import mixjobs.model.flux_ratio, mixjobs.model.mixture, mixjobs.model.ratio_errors
import mixjobs.grid, mixjobs.orders, mixjobs.model.means, mixjobs.model.library_model
mixjobs.mix, mixjobs.Grid, mixjobs.Orders
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_model_imports_neither_dask_nor_zarr():
    done = subprocess.run([sys.executable, "-c", SAMPLER], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"mixjobs", "numpy", "scipy"} <= loaded
    assert not loaded & {"dask", "distributed", "zarr", "h5py", "xarray", "matplotlib", "rich"}


def test_plain_xarray_opens_a_store(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = xr.open_zarr(store.path)
        converted = store.to_xarray()
    assert dict(dataset.sizes) == {
        "order": 2, "point": 12, "parameter": 3, "point_1": 12, "point_2": 12,
    }  # fmt: skip
    assert dataset["mean_flux"].dims == ("order", "point")
    assert dataset["flux_ratio"].dims == ("order", "point_1", "point_2")
    assert dataset["grid_points"].dims == ("point", "parameter")
    for name in ("wave_min", "wave_max", "n_pixels"):
        assert dataset[name].dims == ("order",)
    assert [str(name) for name in dataset["parameter"].values] == ["teff", "logg", "feh"]
    assert (dataset["mean_flux"].values == store.mean_flux).all()
    q = dataset["flux_ratio"].sel(order=1).isel(point_1=3, point_2=8)
    assert float(q) == store.mean_flux[1, 8] / store.mean_flux[1, 3]
    assert dataset.attrs["schema_version"] == SCHEMA
    assert dataset.attrs["library"] == store.attributes["library"]
    assert converted.identical(dataset)
