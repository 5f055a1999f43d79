"""Invalid input: one line with what was given, what was expected and what to do; status 2.

Each table has the name of a fault, how to produce it, and the type and facts of its error.
`tests/messages` lists the lines themselves.
"""

import re
import shutil

import h5py
import numpy as np
import pytest
import zarr

import mixjobs
from mixjobs.builder.probe import probe_rows
from mixjobs.cli import main
from mixjobs.demo.library import DemoLibrary
from mixjobs.errors import (
    InvalidInput,
    LibraryError,
    MissingFile,
    MixjobsError,
    NotRaw,
    OrderError,
    OutputExists,
    OutsideGrid,
    StoreError,
    UnreadableFile,
)
from tests.helpers.command import complaints, error, finish, refuse, start

TWO_ORDERS = ["--edges", "5002,5008,5020"]


def contents(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


# -- libraries --------------------------------------------------------------------------------


@pytest.fixture
def library(demo, tmp_path):
    """A copy of the demo library, to spoil."""
    return shutil.copy(demo, tmp_path / "library.hdf5")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


def to_folder(path):
    path.unlink()
    path.mkdir()


def change(edit):
    """Make a fault of an edit of the open file."""

    def fault(path):
        with h5py.File(path, "r+") as file:
            edit(file)

    return fault


def replace(file, name, values):
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = values
    file[name].attrs.update(attributes)


def in_flux(value, first=300, last=310):
    """Put a value into some pixels of one spectrum that is not looked at before the work."""

    def edit(file):
        file["flux/t5800g4.5z-0.5"][first:last] = value

    return change(edit)


def each_spectrum(function, norm):
    def edit(file):
        for spectrum in file["flux"].values():
            spectrum[...] = function(spectrum[:])
        del file.attrs["norm"]
        if norm is not None:
            file.attrs["norm"] = norm

    return change(edit)


def spoil_wavelength(edit):
    def fault(file):
        wavelength = file["wl"][:]
        edit(wavelength)
        file["wl"][...] = wavelength

    return change(fault)


def swap(wavelength):
    wavelength[[5, 6]] = wavelength[[6, 5]]


def repeat(wavelength):
    wavelength[6] = wavelength[5]


def nearly_repeat(wavelength):
    wavelength[400] = np.nextafter(wavelength[399], np.inf)


def no_number(wavelength):
    wavelength[6] = np.nan


def damage(path):
    """Overwrite the compressed pixels of one spectrum."""
    with h5py.File(path) as file:
        place = file["flux/t5800g4.5z-0.5"].id.get_chunk_info(0)
    with path.open("r+b") as raw:
        raw.seek(place.byte_offset)
        raw.write(b"\xff" * place.size)


def points(edit):
    return change(lambda file: replace(file, "grid_points", edit(file["grid_points"][:])))


def not_finite(values):
    values[3, 0] = np.nan
    return values


LIBRARY = {"path": "library.hdf5"}
SPECTRUM = {**LIBRARY, "name": "t5800g4.5z-0.5"}
INCOMPLETE = error(UnreadableFile, "HDF5", **LIBRARY)
RAW = "--flux-scale"
LIBRARIES = {
    "missing": (lambda path: path.unlink(), error(MissingFile, **LIBRARY)),
    "truncated": (cut, INCOMPLETE),
    "empty": (lambda path: path.write_bytes(b""), INCOMPLETE),
    "zero-filled": (zeros, INCOMPLETE),
    "text": (lambda path: path.write_text("no HDF5\n" * 999), INCOMPLETE),
    "a folder": (to_folder, error(LibraryError, "PHOENIX", "WAVE_PHOENIX", **LIBRARY)),
    "another kind of HDF5": (
        change(lambda file: file.move("wl", "lambda")),
        error(LibraryError, "Starfish", "'wl'", "flux, grid_points, lambda", name="wl", **LIBRARY),
    ),
    "no spectra": (
        change(lambda file: file["flux"].clear()), error(LibraryError, name="flux", **LIBRARY)
    ),
    "a lost key": (
        change(lambda file: file["flux"].pop("t5800g4.5z-0.5")),
        error(LibraryError, "1 of 12", "'t5800g4.5z-0.5'", value="t5800g4.5z-0.5", **LIBRARY),
    ),
    "one point": (
        points(lambda values: values[:1]),
        error(LibraryError, "1 point", "2", name="points", value=1, **LIBRARY),
    ),
    "duplicate points": (
        points(lambda values: values[[0, *range(12)]]),
        error(LibraryError, "5600", value="t5600g4.0z-0.5", **LIBRARY),
    ),
    "a point that is no number": (points(not_finite), error(LibraryError, "nan", **LIBRARY)),
    "NaN flux": (in_flux(np.nan), error(LibraryError, order=1, **SPECTRUM)),
    "infinite flux": (in_flux(np.inf), error(LibraryError, order=1, **SPECTRUM)),
    "negative flux": (in_flux(-2.5), error(LibraryError, "-2.5", order=1, **SPECTRUM)),
    "all-zero flux": (in_flux(0, 0, None), error(LibraryError, "zero", order=0, **SPECTRUM)),
    "damaged pixels": (damage, error(UnreadableFile, **SPECTRUM)),
    "spectra of unequal length": (
        change(lambda file: replace(file, "flux/t5800g4.5z-0.5", np.ones(1000))),
        error(LibraryError, "(1000,)", "(1024,)", value=(1000,), **SPECTRUM),
    ),
    "unsorted wavelengths": (
        spoil_wavelength(swap),
        error(LibraryError, "ascending", name="wavelength", pixel=6, **LIBRARY),
    ),
    "repeated wavelengths": (
        spoil_wavelength(repeat),
        error(LibraryError, "ascending", name="wavelength", pixel=6, **LIBRARY),
    ),
    "nearly repeated wavelengths": (
        spoil_wavelength(nearly_repeat),
        error(LibraryError, "too close", name="wavelength", pixel=400, **LIBRARY),
    ),
    "a wavelength that is no number": (
        spoil_wavelength(no_number),
        error(LibraryError, "nan", name="wavelength", pixel=6, **LIBRARY),
    ),
    "normalised, and it says so": (
        each_spectrum(lambda f: f / f.mean(), norm=True),
        error(NotRaw, RAW, name="flux_scale", value="normalised", **LIBRARY),
    ),
    "normalised, and it does not say": (
        each_spectrum(lambda f: f / f.mean(), norm=None),
        error(NotRaw, "1.2e-07", RAW, name="flux_scale", value="normalised", **LIBRARY),
    ),
    "normalised, and it denies it": (
        each_spectrum(lambda f: f / f.mean(), norm=False),
        error(NotRaw, "1.2e-07", RAW, name="flux_scale", value="normalised", **LIBRARY),
    ),
    "of one luminosity, and it denies it": (
        each_spectrum(lambda f: 1e6 * f / f.mean(), norm=False),
        error(NotRaw, "0.12", RAW, name="flux_scale", **LIBRARY),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", LIBRARIES)
def test_libraries(fault, library, tmp_path):
    spoil, expected = LIBRARIES[fault]
    spoil(library)
    before = contents(tmp_path)
    words = ["build", library, "-o", tmp_path / "q.zarr", "--serial", *TWO_ORDERS]
    expected.check(refuse(words))
    assert contents(tmp_path) == before
    assert main(["info", str(library)]) in (0, 2)  # `info` does not read every pixel


def test_normalised_spectra_that_are_not_probed(library, tmp_path):
    """The few spectra that are read before the build starts are raw; the others are not."""
    probed = probe_rows(mixjobs.open_library(library).grid)
    with h5py.File(library, "r+") as file:
        for i, theta in enumerate(file["grid_points"][:]):
            spectrum = file["flux"][file["flux"].attrs["key_name"].format(*theta)]
            if i not in probed:
                spectrum[...] = spectrum[:] / spectrum[:].mean()
    words = ["build", library, "-o", tmp_path / "q.zarr", "--serial", *TWO_ORDERS]
    error(NotRaw, RAW, name="flux_scale", **LIBRARY).check(refuse(words))
    assert contents(tmp_path) == [library.relative_to(tmp_path)]


@pytest.mark.parametrize("fault", ["NaN flux", "all-zero flux", "damaged pixels"])
def test_libraries_read_by_workers(fault, library, tmp_path, client):
    spoil, expected = LIBRARIES[fault]
    spoil(library)
    before = contents(tmp_path)
    words = ["build", library, "-o", tmp_path / "q.zarr", *TWO_ORDERS]
    expected.check(refuse([*words, "--scheduler", client.scheduler.address]))
    assert contents(tmp_path) == before


def test_a_fault_in_a_worker_process_is_one_line(library, tmp_path):
    """Dask adds no lines of its own."""
    spoil, _ = LIBRARIES["NaN flux"]
    spoil(library)
    process = start("build", library, "-o", tmp_path / "q.zarr", *TWO_ORDERS, "--workers", "2")
    status, out, err = finish(process)
    assert (status, out) == (2, "")
    (line,) = complaints(err)
    assert re.search(r"library\.hdf5.* t5800g4\.5z-0\.5 .*order 1", line.replace(":", " "))
    assert contents(tmp_path) == [library.relative_to(tmp_path)]


def test_normalised_spectra_may_be_forced(library, tmp_path):
    LIBRARIES["normalised, and it says so"][0](library)
    words = [
        "build",
        library,
        "-o",
        tmp_path / "q.zarr",
        "--serial",
        *TWO_ORDERS,
        "--flux-scale",
        "raw",
    ]
    assert main([str(word) for word in words]) == 0
    np.testing.assert_allclose(mixjobs.open_store(tmp_path / "q.zarr").mean_flux, 1, rtol=0.2)


# -- options of a build -----------------------------------------------------------------------


def write_star(path):
    """Write an observed spectrum in air; the demo library is in vacuum."""
    with h5py.File(path, "w") as file:
        file["waves"] = np.linspace(5001, 5020, 50)[None]
        file["fluxes"] = file["sigmas"] = np.ones((1, 50))
        file["waves"].attrs["air"] = True
    return path


@pytest.fixture
def star(tmp_path):
    return write_star(tmp_path / "star.hdf5")


SOURCES = "--orders-from, --n-orders, --edges and --order-table"
BUILDS = {
    "no orders": ("", error(InvalidInput, "from, n, edges", SOURCES, name="orders")),
    "two kinds of orders": (
        "--n-orders 2 --edges 5001,5002", error(InvalidInput, "n and edges", SOURCES, name="orders")
    ),
    "numbers without a file": (
        "--n-orders 2 --numbers 1", error(InvalidInput, "--numbers", name="orders.numbers")
    ),
    "a range without a number": (
        "--edges 5001,5002 --range 1:2", error(InvalidInput, "--range", name="orders.range")
    ),
    "an order without a pixel": (
        "--edges 5001,5005.001,5005.002",
        error(OrderError, "5005.001", "5005.002", order=1, value=(5005.001, 5005.002)),
    ),
    "a reversed order": (
        "--edges 5010,5005", error(OrderError, "5010", "5005", order=0, value=(5010, 5005))
    ),
    "a reversed range": (
        "--n-orders 2 --range 5010:5005", error(OrderError, "5010", value=(5010, 5005))
    ),
    "orders wholly outside": (
        "--edges 7000,7100,7200",
        error(OrderError, "7000 to 7100", "5000 to 5030", "1 more", order=0, value=(7000, 7100)),
    ),
    "an order partly outside": (
        "--edges 5010,5020,5040",
        error(OrderError, "5020 to 5040", "5000 to 5030", order=1, value=(5020, 5040)),
    ),
    "nothing left of the orders": (
        "--edges 7000,7100 --skip-uncovered",
        error(InvalidInput, SOURCES, name="orders", value=[0], **LIBRARY),
    ),
    "one edge": ("--edges 5010", error(OrderError, "--edges", name="edges", value=(1,))),
    "edges that are no numbers": ("--edges a,b", error(InvalidInput, "--edges", "'a,b'")),
    "edges with a unit": ("--edges 500.5nm,502.5nm", error(InvalidInput, "--edges", "in Å")),
    "edges in nm": ("--edges 500.3,501.2,502.0", error(OrderError, "nm", "Å", order=0)),
    "a range in nm": ("--n-orders 2 --range 500.3:502", error(OrderError, "nm", "Å", order=0)),
    "edges in nm, skipped": (
        "--edges 500.3,501.2,502.0 --skip-uncovered",
        error(InvalidInput, "nm", "Å", name="orders"),
    ),
    "a selection with units": (
        "--edges 5001,5012 --select teff=5600K:5800K",
        error(InvalidInput, "--select", "without a unit", name="select"),
    ),
    "no such order table": ("--order-table no.txt", error(MissingFile, path="no.txt")),
    "no such spectrum": ("--orders-from no.hdf5", error(MissingFile, path="no.hdf5")),
    "a spectrum that is a library": (
        "--orders-from library.hdf5",
        error(UnreadableFile, "library of model spectra", value=["flux", "grid_points", "wl"],
              **LIBRARY),
    ),
    "a range that is none": (
        "--n-orders 2 --range 5001", error(InvalidInput, "--range", "'5001'", "LOW:HIGH")
    ),
    "a selection that is none": (
        "--select teff --n-orders 2",
        error(InvalidInput, "--select", "NAME=LOW:HIGH", name="select", value="teff"),
    ),
    "a selection twice": (
        "--n-orders 2 --select teff=1:2 teff=3:4",
        error(InvalidInput, "--select", "teff", name="select", value="teff=3:4"),
    ),
    "an unknown parameter": (
        "--n-orders 2 --select vsini=1:2",
        error(InvalidInput, "teff, logg, feh", name="vsini", value=(1, 2)),
    ),
    "a reversed selection": (
        "--n-orders 2 --select teff=9:1", error(InvalidInput, name="teff", value=(9, 1))
    ),
    "a selection of one": (
        "--n-orders 2 --select teff=5600:5600 logg=4:4 feh=0:0",
        error(InvalidInput, "1 of 12", "--select", name="select", value=1),
    ),
    "an unknown format": (
        "--n-orders 2 --format votable",
        error(InvalidInput, "phoenix", "starfish", "--format", name="format", value="votable"),
    ),
    "an unknown dtype": (
        "--n-orders 2 --dtype int8", error(InvalidInput, "--dtype", "'int8'", "float32")
    ),
    "no workers": ("--n-orders 2 --workers 0", error(InvalidInput, "--workers", "'0'")),
    "no orders in number": ("--n-orders 0", error(InvalidInput, "--n-orders", "'0'")),
    "an empty block": (
        "--n-orders 2 --block 0,1",
        error(InvalidInput, "[ORDERS, POINTS]", "--block", name="block.0", value=0),
    ),
    "a block of one": (
        "--n-orders 2 --block 4",
        error(InvalidInput, "[ORDERS, POINTS]", "--block", name="block", value=[4]),
    ),
    "a block of words": ("--n-orders 2 --block all", error(InvalidInput, "--block", "'all'")),
    "two ways to run": (
        "--n-orders 2 --workers 2",
        error(InvalidInput, "serial", "--workers", name="workers"),
    ),
    "an unknown option": ("--n-orders 2 --quick", error(InvalidInput, "--quick", "--help")),
}  # fmt: skip


@pytest.mark.parametrize("fault", BUILDS)
def test_options_of_build(fault, library, star, tmp_path, monkeypatch):
    options, expected = BUILDS[fault]
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    words = ["build", "library.hdf5", "-o", "q.zarr", "--serial", *options.split()]
    expected.check(refuse(words))
    assert contents(tmp_path) == before


TAKEN = error(OutputExists, "--overwrite", path="star.hdf5")
NOT_A_STORE = "build library.hdf5 --n-orders 2 --overwrite -o"
WORDS = {
    "": error(InvalidInput, "COMMAND", "mixjobs --help"),
    "buidl": error(InvalidInput, "buidl", "did you mean build?"),
    "build": error(InvalidInput, "LIBRARY|JOB.toml", "mixjobs build --help"),
    "build library.hdf5 --n-orders 2": error(InvalidInput, "--output", name="output"),
    "build library.hdf5 --n-orders 2 -o no/q.zarr": error(
        InvalidInput, "--output", name="output", value="no/q.zarr", path="q.zarr"
    ),
    "build library.hdf5 --n-orders 2 -o star.hdf5": TAKEN,
    f"{NOT_A_STORE} star.hdf5": error(OutputExists, "not a store", path="star.hdf5"),
    f"{NOT_A_STORE} library.hdf5": error(OutputExists, "not a store", path="library.hdf5"),
    f"{NOT_A_STORE} .": error(OutputExists, "not a store", path=""),
    "demo star.hdf5": error(InvalidInput, "File exists", path="star.hdf5"),
    "info": error(InvalidInput, "PATH", "mixjobs info --help"),
    "ratio q.zarr --theta1 1,2,3": error(InvalidInput, "--theta2"),
    "plot q.zarr": error(MissingFile, "store, run or spectrum", path="q.zarr"),
    "summary q.zarr": error(MissingFile, "no such run", path="q.zarr"),
    "plot star.hdf5": error(InvalidInput, "star.hdf5", "--output", name="output"),
    "plot library.hdf5 -o figures": error(
        UnreadableFile, "library", "observed spectrum", path="library.hdf5"
    ),
    "check star.hdf5": error(StoreError, "HDF5 file", path="star.hdf5"),
    "build library.hdf5 --emulater": error(InvalidInput, "--emulater", "mean --emulator?"),
    "sample job.toml --reusme": error(InvalidInput, "--reusme", "mean --resume?"),
    "smaple job.toml": error(InvalidInput, "smaple", "mean sample?"),
}


@pytest.mark.parametrize("words", WORDS)
def test_words(words, library, star, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    WORDS[words].check(refuse(words.split()))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "ftp://here:1"])
def test_no_scheduler(address, library, tmp_path, monkeypatch):
    monkeypatch.setattr("mixjobs.cluster.address._CONNECT_SECONDS", 1)
    before = contents(tmp_path)
    words = ["build", library, "-o", tmp_path / "q.zarr", *TWO_ORDERS, "--scheduler", address]
    error(InvalidInput, repr(address), name="scheduler", value=address).check(refuse(words))
    assert contents(tmp_path) == before


# -- job files --------------------------------------------------------------------------------

GOOD = 'library = "library.hdf5"\noutput = "q.zarr"\nserial = true\n[orders]\nn = 2\n'
JOBS = {
    "a wrong type": (
        GOOD.replace("true", '"yes"'), error(InvalidInput, name="serial", value="yes")
    ),
    "a wrong type in a table": (
        GOOD.replace("n = 2", 'n = "2"'), error(InvalidInput, name="orders.n", value="2")
    ),
    "an unknown key": (
        "worker = 2\n" + GOOD, error(InvalidInput, "did you mean workers?", name="worker", value=2)
    ),
    "an unknown key in a table": (
        GOOD + "numbrs = [1]\n",
        error(InvalidInput, "did you mean numbers?", name="orders.numbrs", value=[1]),
    ),
    "a strange key": (
        "xyz = 2\n" + GOOD, error(InvalidInput, "library, output, ", name="xyz", value=2)
    ),
    "broken syntax": (GOOD + "n = = 3\n", error(UnreadableFile, "line 6", path="job.toml")),
    "no library": (GOOD.partition("\n")[2], error(InvalidInput, name="library")),
    "no orders": (GOOD.partition("[orders]")[0], error(InvalidInput, name="orders")),
    "a block of three": (
        "block = [1, 2, 3]\n" + GOOD,
        error(InvalidInput, "[ORDERS, POINTS]", name="block", value=[1, 2, 3]),
    ),
    "a range of one": (
        "select = { teff = [1] }\n" + GOOD, error(InvalidInput, name="select.teff", value=[1])
    ),
    "edges of words": (
        GOOD.replace("n = 2", 'edges = [[5001, "x"]]'),
        error(InvalidInput, name="orders.edges.0", value=[5001, "x"]),
    ),
    "no such library": (GOOD.replace("library.h", "no.h"), error(MissingFile, path="no.hdf5")),
}  # fmt: skip


@pytest.mark.parametrize("fault", JOBS)
def test_job_files(fault, library, tmp_path):
    text, expected = JOBS[fault]
    job = tmp_path / "job.toml"
    job.write_text(text)
    before = contents(tmp_path)
    refusal = refuse(["build", job])
    expected.check(refusal)
    if fault != "no such library":
        assert refusal.line.startswith(f"mixjobs: {job}: ")
    assert contents(tmp_path) == before


def test_unreadable_job_files(tmp_path):
    job = tmp_path / "job.toml"
    error(MissingFile, path="job.toml").check(refuse(["build", job]))
    for content in (b"\xff\xfe\x00", b"\xe5 = 1", b"library = "):
        job.write_bytes(content)
        error(UnreadableFile, path="job.toml").check(refuse(["build", job]))


def test_options_that_a_job_file_does_not_allow(tmp_path):
    job = tmp_path / "job.toml"
    job.write_text(GOOD)
    refusal = refuse(["build", job, "--workers", "2", "--select", "teff=1:2"])
    error(InvalidInput, "select, workers", name="select", path="job.toml").check(refusal)


# -- stores and theta -------------------------------------------------------------------------


def holed_store(folder):
    """Build a store of 4 Teff x 3 log g x 3 [Fe/H] without (5600, 4.0, -1.0)."""
    path = DemoLibrary(wave_max=5010.0, n_pixels=512).write(folder / "library.hdf5")
    with h5py.File(path, "r+") as file:
        del file["flux/t5600g4.0z-1.0"]
        replace(file, "grid_points", file["grid_points"][1:])
    return mixjobs.build(path, mixjobs.Orders.log_spaced(2, 5000, 5010), folder / "q.zarr").path


@pytest.fixture(scope="module")
def holed(tmp_path_factory):
    return holed_store(tmp_path_factory.mktemp("holed"))


HOLE = "(teff=5600, logg=4, feh=-1)"
NAMES = "teff, logg, feh"
THETAS = {
    "too short": ("6000,4.0", error(InvalidInput, "2", "3", NAMES, name="theta1")),
    "too long": ("6000,4.0,0,0", error(InvalidInput, "4", "3", NAMES, name="theta1")),
    "outside": (
        "6300,4.0,0",
        error(OutsideGrid, "theta1", "5600 to 6200", name="teff", value=6300),
    ),
    "infinite": ("6000,inf,0", error(InvalidInput, "--theta1", "finite")),
    "in a hole": ("5600,4.0,-1", error(OutsideGrid, "theta1", HOLE, "hole")),
    "beside a hole": (
        "teff=5650,logg=4.2,feh=-0.8",
        error(OutsideGrid, "theta1", "teff=5650", HOLE),
    ),
    "NaN": ("6000,nan,0", error(InvalidInput, "--theta1", "finite")),
    "an unknown name": ("teff=6000,logg=4,mh=0", error(InvalidInput, "'mh'", NAMES)),
    "a name missing": ("teff=6000,logg=4", error(InvalidInput, "feh", NAMES, name="theta1")),
    "a name twice": ("teff=6000,teff=5900,logg=4,feh=0", error(InvalidInput, "teff", "twice")),
    "no number": ("teff=6000,logg=4,feh=x", error(InvalidInput, "'x'")),
    "words": ("hot,4,0", error(InvalidInput, "'hot,4,0'")),
    "nothing": ("", error(InvalidInput, "''")),
}


@pytest.mark.parametrize("fault", THETAS)
def test_theta(fault, holed, tmp_path):
    theta, expected = THETAS[fault]
    refusal = refuse(["ratio", holed, "--theta1", theta, "--theta2", "6000,4.5,0"])
    expected.check(refusal)
    if isinstance(refusal.error, InvalidInput):
        assert "--theta1" in refusal.line
    if theta:
        expected.check(refuse(["plot", holed, "-o", tmp_path / "figures", "--theta1", theta]))
    assert contents(tmp_path) == []


def test_theta_of_the_second_component(holed):
    refusal = refuse(["ratio", holed, "--theta1", "6000,4,0", "--theta2", "9,4,0", "--json"])
    error(OutsideGrid, "theta2", "5600 to 6200", name="teff", value=9).check(refusal)


def test_an_unknown_method(holed):
    words = ["ratio", holed, "--theta1", "6000,4,0", "--theta2", "6000,4,0", "--method", "spline"]
    error(InvalidInput, "--method", "'spline'", "cubic").check(refuse(words))


def to_partial(path):
    path.rename(path.with_name("q.zarr.partial"))


def other_schema(path):
    zarr.open_group(path).attrs["schema_version"] = 99
    zarr.consolidate_metadata(path)


def no_schema(path):
    shutil.rmtree(path)
    zarr.create_group(path)


def to_file(path):
    shutil.rmtree(path)
    path.write_text("no store")


STORE = {"path": "q.zarr"}
SCHEMA = {"name": "schema_version", **STORE}
STORES = {
    "missing": (shutil.rmtree, error(MissingFile, **STORE)),
    "half-written": (to_partial, error(StoreError, "q.zarr.partial")),
    "of another schema": (other_schema, error(StoreError, "99", "2", value=99, **SCHEMA)),
    "of another program": (no_schema, error(StoreError, "not a", **SCHEMA)),
    "an empty folder": (lambda p: [shutil.rmtree(p), p.mkdir()], error(StoreError, **STORE)),
    "a file": (to_file, error(StoreError, "file", **STORE)),
    "with an array lost": (lambda p: shutil.rmtree(p / "wave_min"), error(StoreError, **STORE)),
    "with its means lost": (
        lambda p: shutil.rmtree(p / "mean_flux" / "c"),
        error(StoreError, "mean_flux", name="mean_flux", **STORE),
    ),
}  # fmt: skip
# `info` also describes libraries, and both commands take a file for an observed spectrum.
A_SPECTRUM = error(UnreadableFile, "wavelength", **STORE)
OTHER_KINDS = {
    ("info", "an empty folder"): error(InvalidInput, "Starfish", "PHOENIX", **STORE),
    ("info", "a file"): A_SPECTRUM,
    ("plot", "a file"): A_SPECTRUM,
}
COMMANDS = {
    "info": ["info", "q.zarr"],
    "ratio": ["ratio", "q.zarr", "--theta1", "6000,4,0", "--theta2", "6000,4,0"],
    "check": ["check", "q.zarr"],
    "plot": ["plot", "q.zarr", "-o", "figures"],
}


@pytest.mark.filterwarnings("ignore:Consolidated metadata")  # from Zarr 3, about its own metadata
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", STORES)
def test_stores(fault, command, holed, tmp_path, monkeypatch):
    spoil, expected = STORES[fault]
    monkeypatch.chdir(tmp_path)
    shutil.copytree(holed, tmp_path / "q.zarr")
    spoil(tmp_path / "q.zarr")
    before = contents(tmp_path)
    refusal = refuse(COMMANDS[command])
    OTHER_KINDS.get((command, fault), expected).check(refusal)
    assert contents(tmp_path) == before


def test_a_store_given_as_a_library(holed, tmp_path):
    refusal = refuse(["build", holed, "-o", tmp_path / "q.zarr", *TWO_ORDERS])
    error(InvalidInput, "store", "library", path=holed.name).check(refusal)
    assert contents(tmp_path) == []


def test_a_phoenix_directory_given_as_a_store(tmp_path):
    truth = DemoLibrary({"teff": (5000, 5100)}, n_pixels=64)
    folder = truth.write(tmp_path / "HiRes", layout="phoenix")
    before = contents(folder)
    error(StoreError, path="HiRes").check(refuse(["check", folder]))
    words = ["build", folder, "-o", folder, "--edges", "5010,5200", "--overwrite"]
    error(OutputExists, "not a store", path="HiRes").check(refuse(words))
    assert contents(folder) == before


def test_python_raises_the_same_error(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        mixjobs.load_flux_ratio(tmp_path / "q.zarr")
    assert type(caught.value) is MissingFile
    assert caught.value.path == str(tmp_path / "q.zarr")


@pytest.mark.parametrize("c", [-0.1, 1.0001, np.nan, np.inf, [0.5, 2]])
def test_filling_factors(c):
    with pytest.raises(InvalidInput) as caught:
        mixjobs.mix([1.0, 1.0], [1.0, 1.0], c, 1.0)
    assert caught.value.name == "c"
    np.testing.assert_equal(caught.value.value, np.max(c))  # the first one that is not valid


def test_errors_are_also_built_in_errors(tmp_path):
    with pytest.raises(MixjobsError) as caught:
        mixjobs.open_library(tmp_path / "no.hdf5")
    assert isinstance(caught.value, FileNotFoundError)
