"""Invalid input: one line with what was given, what was expected and what to do; status 2.

Each table has the name of a fault, how to produce it, and its message, as a regular expression.
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
from mixjobs.errors import InvalidInput, MixjobsError
from tests.helpers.command import complaints, finish, start

TWO_ORDERS = ["--edges", "5002,5008,5020"]


def refused(words, capsys):
    """Run a command with invalid input, and return its one line of error."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = complaints(err)
    assert line.startswith(("mixjobs: ", "mixjobs build: "))
    return line


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


LIBRARIES = {
    "missing": (lambda path: path.unlink(), r"library\.hdf5: no such library"),
    "truncated": (cut, r"not a complete HDF5 file \(.*truncated.*\); copy it again"),
    "empty": (lambda path: path.write_bytes(b""), r"not a complete HDF5 file .*; copy it again"),
    "zero-filled": (zeros, r"not a complete HDF5 file .*; copy it again"),
    "text": (lambda path: path.write_text("no HDF5\n" * 999), r"not a complete HDF5 file"),
    "a folder": (
        to_folder, r"library\.hdf5: a directory without spectra; expected a PHOENIX directory"
    ),
    "another kind of HDF5": (
        change(lambda file: file.move("wl", "lambda")),
        r"not a Starfish library: .*'wl' among flux, grid_points, lambda",
    ),
    "no spectra": (change(lambda file: file["flux"].clear()), r"has no spectra"),
    "a lost key": (
        change(lambda file: file["flux"].pop("t5800g4.5z-0.5")),
        r"1 of 12 grid points have no spectrum, starting with 't5800g4\.5z-0\.5'",
    ),
    "one point": (points(lambda values: values[:1]), r"1 point\(s\).* at least 2"),
    "duplicate points": (points(lambda values: values[[0, *range(12)]]), r"5600.*twice|repeated"),
    "a point that is no number": (points(not_finite), r"nan|not finite"),
    "NaN flux": (
        in_flux(np.nan),
        r"library\.hdf5: spectrum t5800g4\.5z-0\.5: order 1 has a flux that is not finite",
    ),
    "infinite flux": (in_flux(np.inf), r"order 1 has a flux that is not finite"),
    "negative flux": (
        in_flux(-2.5), r"spectrum t5800g4\.5z-0\.5: order 1 has negative flux \(-2\.5\)"
    ),
    "all-zero flux": (in_flux(0, 0, None), r"t5800g4\.5z-0\.5: order 0 has no flux at all"),
    "damaged pixels": (
        damage, r"spectrum t5800g4\.5z-0\.5 cannot be read .* damaged or truncated"
    ),
    "spectra of unequal length": (
        change(lambda file: replace(file, "flux/t5800g4.5z-0.5", np.ones(1000))),
        r"spectrum t5800g4\.5z-0\.5 has .*\(1000,\); expected \(1024,\)",
    ),
    "unsorted wavelengths": (spoil_wavelength(swap), r"expected strictly ascending"),
    "repeated wavelengths": (spoil_wavelength(repeat), r"expected strictly ascending"),
    "a wavelength that is no number": (spoil_wavelength(no_number), r"expected finite, positive"),
    "normalised, and it says so": (
        each_spectrum(lambda f: f / f.mean(), norm=True),
        r"normalised \(norm = True\), without PHX headers; .* declare the spectra to be raw",
    ),
    "normalised, and it does not say": (
        each_spectrum(lambda f: f / f.mean(), norm=None), r"normalised.* declare the spectra"
    ),
    "normalised, and it denies it": (
        each_spectrum(lambda f: f / f.mean(), norm=False), r"normalised.* declare the spectra"
    ),
    "of one luminosity, and it denies it": (
        each_spectrum(lambda f: 1e6 * f / f.mean(), norm=False), r"declare the spectra"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", LIBRARIES)
def test_libraries(fault, library, tmp_path, capsys):
    spoil, message = LIBRARIES[fault]
    spoil(library)
    before = contents(tmp_path)
    words = ["build", library, "-o", tmp_path / "q.zarr", "--serial", *TWO_ORDERS]
    line = refused(words, capsys)
    assert re.search(message, line), line
    assert contents(tmp_path) == before
    assert main(["info", str(library)]) in (0, 2)  # some faults lie deeper than it looks


def test_normalised_spectra_that_the_first_look_misses(library, tmp_path, capsys):
    """The few spectra that are read before the build starts are raw; the others are not."""
    looked_at = probe_rows(mixjobs.open_library(library).grid)
    with h5py.File(library, "r+") as file:
        for i, theta in enumerate(file["grid_points"][:]):
            spectrum = file["flux"][file["flux"].attrs["key_name"].format(*theta)]
            if i not in looked_at:
                spectrum[...] = spectrum[:] / spectrum[:].mean()
    words = ["build", library, "-o", tmp_path / "q.zarr", "--serial", *TWO_ORDERS]
    assert "normalised or in another unit" in refused(words, capsys)
    assert contents(tmp_path) == [library.relative_to(tmp_path)]


@pytest.mark.parametrize("fault", ["NaN flux", "all-zero flux", "damaged pixels"])
def test_libraries_read_by_workers(fault, library, tmp_path, capsys, client):
    spoil, message = LIBRARIES[fault]
    spoil(library)
    before = contents(tmp_path)
    words = ["build", library, "-o", tmp_path / "q.zarr", *TWO_ORDERS]
    line = refused([*words, "--scheduler", client.scheduler.address], capsys)
    assert re.search(message, line), line
    assert contents(tmp_path) == before


def test_a_fault_in_a_worker_process_is_one_line(library, tmp_path):
    """With nothing from Dask around it."""
    spoil, message = LIBRARIES["NaN flux"]
    spoil(library)
    process = start("build", library, "-o", tmp_path / "q.zarr", *TWO_ORDERS, "--workers", "2")
    status, out, err = finish(process)
    assert (status, out) == (2, "")
    (line,) = complaints(err)
    assert re.search(message, line), err
    assert contents(tmp_path) == [library.relative_to(tmp_path)]


def test_normalised_spectra_may_be_forced(library, tmp_path):
    LIBRARIES["normalised, and it says so"][0](library)
    words = ["build", library, "-o", tmp_path / "q.zarr", "--serial", *TWO_ORDERS, "--assume-raw"]
    assert main([str(word) for word in words]) == 0
    np.testing.assert_allclose(mixjobs.open_store(tmp_path / "q.zarr").mean_flux, 1, rtol=0.2)


# -- options of a build -----------------------------------------------------------------------


@pytest.fixture
def star(tmp_path):
    """An observed spectrum in air, which the demo library is not."""
    path = tmp_path / "star.hdf5"
    with h5py.File(path, "w") as file:
        file["waves"] = np.linspace(5001, 5020, 50)[None]
        file["fluxes"] = file["sigmas"] = np.ones((1, 50))
        file["waves"].attrs["air"] = True
    return path


BUILDS = {
    "no orders": ("", r"exactly one source of orders: .*none\) \(see --orders-from, --n-"),
    "two kinds of orders": ("--n-orders 2 --edges 5001,5002", r"one source .*\(given: n, edges\)"),
    "numbers without a file": ("--n-orders 2 --numbers 1", r"numbers: .* with from \(see --n"),
    "a range without a number": ("--edges 5001,5002 --range 1:2", r"range: .* with n \(see --r"),
    "an order without a pixel": (
        "--edges 5001,5005.001,5005.002",
        r"order 1 \(5005 to 5005 Å\) contains no pixel of the library; widen",
    ),
    "a reversed order": ("--edges 5010,5005", r"order 0 extends from 5010 to 5005 Å; expected"),
    "a reversed range": ("--n-orders 2 --range 5010:5005", r"5010 to 5005 Å: expected"),
    "orders wholly outside": (
        "--edges 7000,7100,7200",
        r"order 0 \(7000 to 7100 Å\) \(and 1 more\) is not covered by the library, 5000 to 5030 Å",
    ),
    "an order partly outside": (
        "--edges 5010,5020,5040",
        r"order 1 \(5020 to 5040 Å\) is not covered .* 5000 to 5030 Å; .* skip the orders",
    ),
    "nothing left of the orders": (
        "--edges 7000,7100 --skip-uncovered", r"the library covers none of the orders"
    ),
    "one edge": ("--edges 5010", r"order edges of shape \(1,\)"),
    "edges that are no numbers": ("--edges a,b", r"'a,b' is not a list of numbers such as"),
    "no such order table": ("--order-table no.txt", r"no\.txt: no such order table"),
    "no such spectrum": ("--orders-from no.hdf5", r"no\.hdf5: no such file"),
    "a spectrum that is a library": ("--orders-from library.hdf5", r"layout of an observed spec"),
    "a range that is none": ("--n-orders 2 --range 5001", r"'5001' is not a range; expected LOW:"),
    "a selection that is none": ("--select teff --n-orders 2", r"'teff': expected NAME=.*--select"),
    "a selection twice": ("--n-orders 2 --select teff=1:2 teff=3:4", r"two ranges for teff"),
    "an unknown parameter": (
        "--n-orders 2 --select vsini=1:2", r"'vsini'; the library has teff, logg, feh"
    ),
    "a reversed selection": ("--n-orders 2 --select teff=9:1", r"reversed; put the lower"),
    "a selection of one": (
        "--n-orders 2 --select teff=5600:5600 logg=4:4 feh=0:0", r"leaves 1 of 12 points"
    ),
    "an unknown format": ("--n-orders 2 --format votable", r"'votable' is unknown; choose from"),
    "an unknown dtype": ("--n-orders 2 --dtype int8", r"--dtype: invalid choice: 'int8'"),
    "no workers": ("--n-orders 2 --workers 0", r"--workers: '0' is not a whole number"),
    "no orders in number": ("--n-orders 0", r"--n-orders: '0' is not a whole number"),
    "an empty block": ("--n-orders 2 --block 0,1", r"block.* expected \[ORDERS, POINTS\]"),
    "a block of one": ("--n-orders 2 --block 4", r"block.* expected \[ORDERS, POINTS\]"),
    "a block of words": ("--n-orders 2 --block all", r"'all' is not a list of whole numbers"),
    "two ways to run": ("--n-orders 2 --workers 2", r"only one of serial, workers, scheduler"),
    "an unknown option": ("--n-orders 2 --quick", r"unrecognized arguments: --quick; see .*--help"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BUILDS)
def test_options_of_build(fault, library, star, tmp_path, capsys, monkeypatch):
    options, message = BUILDS[fault]
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    words = ["build", "library.hdf5", "-o", "q.zarr", "--serial", *options.split()]
    line = refused(words, capsys)
    assert re.search(message, line), line
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", r"arguments are required: COMMAND; see mixjobs --help"),
        ("buidl", r"invalid choice: 'buidl'"),
        ("build", r"arguments are required: LIBRARY\|JOB.toml"),
        ("build library.hdf5 --n-orders 2", r"no output: name the store with -o STORE"),
        ("build library.hdf5 --n-orders 2 -o no/q.zarr", r"the folder no does not exist"),
        ("build library.hdf5 --n-orders 2 -o star.hdf5", r"star\.hdf5: already exists"),
        (
            "build library.hdf5 --n-orders 2 -o star.hdf5 --overwrite",
            r"star\.hdf5: not a store, so it is not overwritten",
        ),
        ("build library.hdf5 --n-orders 2 -o library.hdf5 --overwrite", r"not a store"),
        ("build library.hdf5 --n-orders 2 -o . --overwrite", r"not a store"),
        ("demo star.hdf5", r"star\.hdf5: cannot create this folder \(File exists\)"),
        ("info", r"arguments are required: PATH"),
        ("ratio q.zarr --theta1 1,2,3", r"arguments are required: --theta2"),
        ("plot q.zarr", r"q\.zarr: no folder for the figures; give one with -o FOLDER"),
    ],
)  # fmt: skip
def test_words(words, message, library, star, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    line = refused(words.split(), capsys)
    assert re.search(message, line), line
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "tcp://127.0.0.1:9",
            r"no scheduler answers at 'tcp://127\.0\.0\.1:9' \(.*\); expected an",
        ),
        (
            "nowhere",
            r"no scheduler answers at 'nowhere' \(.*\); expected an address such as tls://",
        ),
        ("ftp://here:1", r"no scheduler answers at 'ftp://here:1'"),
    ],
)
def test_no_scheduler(address, message, library, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mixjobs.cluster.address._CONNECT_SECONDS", 1)
    before = contents(tmp_path)
    words = ["build", library, "-o", tmp_path / "q.zarr", *TWO_ORDERS, "--scheduler", address]
    line = refused(words, capsys)
    assert re.search(message, line), line
    assert contents(tmp_path) == before


# -- job files --------------------------------------------------------------------------------

GOOD = 'library = "library.hdf5"\noutput = "q.zarr"\nserial = true\n[orders]\nn = 2\n'
JOBS = {
    "a wrong type": (GOOD.replace("true", '"yes"'), r"serial = 'yes'; expected a valid boolean"),
    "a wrong type in a table": (GOOD.replace("n = 2", 'n = "2"'), r"orders\.n = '2'; expected a v"),
    "an unknown key": ("worker = 2\n" + GOOD, r"unknown key 'worker'; did you mean workers\?"),
    "an unknown key in a table": (
        GOOD + "numbrs = [1]\n", r"unknown key 'orders\.numbrs'; did you mean numbers\?"
    ),
    "a strange key": ("xyz = 2\n" + GOOD, r"unknown key 'xyz'; choose from library, output, "),
    "broken syntax": (GOOD + "n = = 3\n", r"not a TOML job file: .*line 6"),
    "no library": (GOOD.partition("\n")[2], r"'library' is missing"),
    "no orders": (GOOD.partition("[orders]")[0], r"'orders' is missing"),
    "a block of three": ("block = [1, 2, 3]\n" + GOOD, r"expected \[ORDERS, POINTS\]"),
    "a range of one": ("select = { teff = [1] }\n" + GOOD, r"select\.teff.* expected a range for"),
    "edges of words": (
        GOOD.replace("n = 2", 'edges = [[5001, "x"]]'), r"orders\.edges.*; expected edges \["
    ),
    "no such library": (GOOD.replace("library.h", "no.h"), r"/no\.hdf5: no such library"),
}  # fmt: skip


@pytest.mark.parametrize("fault", JOBS)
def test_job_files(fault, library, tmp_path, capsys):
    text, message = JOBS[fault]
    job = tmp_path / "job.toml"
    job.write_text(text)
    before = contents(tmp_path)
    line = refused(["build", job], capsys)
    assert re.search(message, line), line
    if fault != "no such library":
        assert line.startswith(f"mixjobs: {job}: ")
    assert contents(tmp_path) == before


def test_unreadable_job_files(tmp_path, capsys):
    job = tmp_path / "job.toml"
    assert "job.toml: no such file; check the name" in refused(["build", job], capsys)
    job.write_bytes(b"\xff\xfe")
    assert "job.toml: not a TOML job file" in refused(["build", job], capsys)
    job.write_text(GOOD)
    line = refused(["build", job, "--workers", "2", "--select", "teff=1:2"], capsys)
    assert "and --dry-run, not select, workers; put these into the file" in line


# -- stores and theta -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def holed(tmp_path_factory):
    """A store of 4 Teff x 3 log g x 3 [Fe/H] without (5600, 4.0, -1.0)."""
    folder = tmp_path_factory.mktemp("holed")
    path = DemoLibrary(wave_max=5010.0, n_pixels=512).write(folder / "library.hdf5")
    with h5py.File(path, "r+") as file:
        del file["flux/t5600g4.0z-1.0"]
        replace(file, "grid_points", file["grid_points"][1:])
    return mixjobs.build(path, mixjobs.Orders.log_spaced(2, 5000, 5010), folder / "q.zarr").path


HOLE = r"\(teff=5600, logg=4, feh=-1\)"
THETAS = {
    "too short": (
        "6000,4.0",
        r"theta has shape \(2,\); expected \(\.\.\., 3\) with teff, logg, feh",
    ),
    "too long": ("6000,4.0,0,0", r"theta has shape \(4,\); expected"),
    "outside": ("6300,4.0,0", r"theta1: teff = 6300 is outside the grid, 5600 to 6200"),
    "infinite": ("6000,inf,0", r"theta1: logg = inf is outside the grid, 4 to 5"),
    "in a hole": ("5600,4.0,-1", rf"theta1: {HOLE} is a hole: the library has no spectrum there"),
    "beside a hole": (
        "teff=5650,logg=4.2,feh=-0.8",
        rf"theta1: .*needs {HOLE}, where the library has no spectrum",
    ),
    "NaN": ("6000,nan,0", r"theta \(teff=6000, logg=nan, feh=0\) contains NaN; expected numbers"),
    "an unknown name": ("teff=6000,logg=4,mh=0", r"unknown parameter 'mh'; the library has teff,"),
    "a name missing": ("teff=6000,logg=4", r"theta lacks feh; the library has teff, logg, feh"),
    "a name twice": ("teff=6000,teff=5900,logg=4,feh=0", r"gives teff twice; give it once"),
    "no number": ("teff=6000,logg=4,feh=x", r"'x' is not a list of numbers"),
    "words": ("hot,4,0", r"'hot,4,0' is not a list of numbers such as"),
    "nothing": ("", r"'' is not a list of numbers"),
}


@pytest.mark.parametrize("fault", THETAS)
def test_theta(fault, holed, tmp_path, capsys):
    theta, message = THETAS[fault]
    line = refused(["ratio", holed, "--theta1", theta, "--theta2", "6000,4.5,0"], capsys)
    assert re.search(message, line), line
    if theta:
        line = refused(["plot", holed, "-o", tmp_path / "figures", "--theta1", theta], capsys)
        assert re.search(message, line), line
    assert contents(tmp_path) == []


def test_theta_of_the_second_component(holed, capsys):
    line = refused(["ratio", holed, "--theta1", "6000,4,0", "--theta2", "9,4,0", "--json"], capsys)
    assert "theta2: teff = 9 is outside the grid" in line


def test_an_unknown_method(holed, capsys):
    words = ["ratio", holed, "--theta1", "6000,4,0", "--theta2", "6000,4,0", "--method", "spline"]
    assert "--method: invalid choice: 'spline'" in refused(words, capsys)


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


STORES = {
    "missing": (shutil.rmtree, r"q\.zarr: no such (library or )?store"),
    "half-written": (to_partial, r"incomplete.*start the same|damaged"),
    "of another schema": (other_schema, r"a store of schema 99; this version"),
    "of another program": (no_schema, r"not a store of mixjobs; this version"),
    "an empty folder": (
        lambda p: [shutil.rmtree(p), p.mkdir()],
        r"damaged, or not a store|neither a library nor a store; expected a Starfish HDF5",
    ),
    "a file": (to_file, r"q\.zarr: (a file; expected the folder of a store|not a whole HDF5)"),
    "with an array lost": (lambda p: shutil.rmtree(p / "wave_min"), r"damaged, or not a store"),
    "with its means lost": (
        lambda p: shutil.rmtree(p / "mean_flux" / "c"), r"damaged, or not a store"
    ),
}  # fmt: skip
COMMANDS = {
    "info": ["info", "q.zarr"],
    "ratio": ["ratio", "q.zarr", "--theta1", "6000,4,0", "--theta2", "6000,4,0"],
    "check": ["check", "q.zarr"],
    "plot": ["plot", "q.zarr", "-o", "figures"],
}


@pytest.mark.filterwarnings("ignore:Consolidated metadata")  # Zarr 3 has it, and warns of it
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", STORES)
def test_stores(fault, command, holed, tmp_path, capsys, monkeypatch):
    spoil, message = STORES[fault]
    monkeypatch.chdir(tmp_path)
    shutil.copytree(holed, tmp_path / "q.zarr")
    spoil(tmp_path / "q.zarr")
    before = contents(tmp_path)
    line = refused(COMMANDS[command], capsys)
    assert re.search(message, line), line
    assert contents(tmp_path) == before


def test_a_store_given_as_a_library(holed, tmp_path, capsys):
    line = refused(["build", holed, "-o", tmp_path / "q.zarr", *TWO_ORDERS], capsys)
    assert "a Zarr store; expected a library of spectra" in line
    assert contents(tmp_path) == []


def test_a_phoenix_directory_given_as_a_store(tmp_path, capsys):
    truth = DemoLibrary({"teff": (5000, 5100)}, n_pixels=64)
    folder = truth.write(tmp_path / "HiRes", layout="phoenix")
    before = contents(folder)
    assert "damaged, or not a store" in refused(["check", folder], capsys)
    words = ["build", folder, "-o", folder, "--edges", "5010,5200", "--overwrite"]
    assert "not a store, so it is not overwritten" in refused(words, capsys)
    assert contents(folder) == before


def test_python_raises_the_same_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such store"):
        mixjobs.load_flux_ratio(tmp_path / "q.zarr")


@pytest.mark.parametrize("c", [-0.1, 1.0001, np.nan, np.inf, [0.5, 2]])
def test_fractions(c):
    with pytest.raises(InvalidInput, match="is not a fraction; expected values from 0 to 1"):
        mixjobs.mix([1.0, 1.0], [1.0, 1.0], c, 1.0)


def test_errors_are_also_built_in_errors(tmp_path):
    with pytest.raises(MixjobsError) as caught:
        mixjobs.open_library(tmp_path / "no.hdf5")
    assert isinstance(caught.value, FileNotFoundError)
