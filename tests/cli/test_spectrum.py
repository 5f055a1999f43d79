"""``mixjobs spectrum``: files equal to `load_mixture`, and errors of invalid input."""

import errno
import json
import re
import shlex

import h5py
import numpy as np
import pytest
from astropy.table import Table
from matplotlib.image import imread

import mixjobs
from mixjobs.cli import main
from mixjobs.cli.parser import parser
from mixjobs.demo.library import DemoLibrary
from mixjobs.errors import (
    InvalidInput,
    JobFailed,
    MissingFile,
    OrderError,
    OutputExists,
    OutsideGrid,
    StoreError,
)
from mixjobs.report.spectrum import draw_spectra
from mixjobs.store.spectra_files import write_files
from mixjobs.wavelengths import vacuum_to_air
from tests.helpers.command import error, finish, refuse, start

# More orders than one figure holds; the library goes on beyond them on both sides.
EDGES = np.linspace(5004, 5026, 15)
NUMBERS = list(range(20, 34))
FEW, ONE = ["--orders", "24,21"], ["--orders", "21"]
STAR = ["--theta1", "5900,4.5,-0.1,0.2"]
SPOT = [*STAR, "--theta2", "teff=5700", "--c", "0.3"]
THETA = {"teff_1": 5900, "teff_2": 5700, "logg": 4.5, "feh": -0.1, "vsini": 0, "rv": 0, "c": 0.3}


def build_store(folder):
    """Build a store of 14 orders; 11 points with a hole, and alpha the same for all."""
    axes = {"teff": (5600, 5800, 6000), "logg": (4.0, 4.5), "feh": (-0.5, 0.0), "alpha": (0.2,)}
    library = DemoLibrary(axes, wave_max=5030.0, n_pixels=1024).write(folder / "library.hdf5")
    with h5py.File(library, "r+") as file:
        del file["flux/t5600g4.0z-0.5a0.2"]
        points, attributes = file["grid_points"][:], dict(file["grid_points"].attrs)
        del file["grid_points"]
        file["grid_points"] = points[1:]
        file["grid_points"].attrs.update(attributes)
    orders = mixjobs.Orders(NUMBERS, EDGES[:-1], EDGES[1:])
    settings = mixjobs.EmulatorSettings(max_rv=50, max_vsini=30, min_resolution=20000)
    return mixjobs.build(library, orders, folder / "q.zarr", emulator=settings).path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return build_store(tmp_path_factory.mktemp("store"))


def write_observed(path, convert=np.asarray, **attributes):
    """An observed spectrum whose rows 20 to 26 are within orders of the store."""
    wave = np.linspace(EDGES[:7], EDGES[1:8], 12, axis=1)[:, 1:-1]
    rows = np.concatenate([np.linspace(4000, 4900, 200).reshape(20, 10), convert(wave)])
    with h5py.File(path, "w") as file:
        file.update({"waves": rows, "fluxes": np.ones_like(rows), "sigmas": np.ones_like(rows)})
        file.attrs.update(attributes)
    return path


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    """In air, and does not say so."""
    return write_observed(tmp_path_factory.mktemp("observed") / "star.hdf5", vacuum_to_air)


@pytest.fixture
def facts(store, capsys):
    """Run the command in this process, in a store: its JSON."""

    def facts(*words):
        capsys.readouterr()
        assert main(["spectrum", str(store), *map(str, words), "--json"]) == 0
        out, err = capsys.readouterr()
        assert (err, out.count("\n")) == ("", 1)
        return json.loads(out, parse_constant=pytest.fail)

    return facts


def read_hdf5(path):
    """The wavelengths, fluxes and parts of the orders, by number, and the attributes."""
    with h5py.File(path) as file:
        arrays = {int(n): {name: a[...] for name, a in g.items()} for n, g in file.items()}
        return arrays, dict(file.attrs), {int(n): dict(g.attrs) for n, g in file.items()}


def values_of(model, **values):
    return [values[name] for name in model.parameters]


# -- contents of the files ----------------------------------------------------------------------


def test_the_files_hold_the_mixture(store, facts, tmp_path):
    table, arrays = tmp_path / "a.ecsv", tmp_path / "a.h5"
    says = facts(*SPOT, *FEW, "-o", table, "-o", arrays)
    model = mixjobs.load_mixture(store, orders=[24, 21])
    at = values_of(model, **THETA)
    flux, parts = model(at), model.parts(at)
    read = Table.read(table)
    assert read.colnames == ["order", "wavelength", "flux", "component_1", "component_2"]
    assert str(read["wavelength"].unit) == "Angstrom"
    held, attributes, of_orders = read_hdf5(arrays)
    for m, number in enumerate((24, 21)):
        rows = read[read["order"] == number]
        assert (rows["wavelength"] == model.wavelength[m]).all()
        assert (rows["flux"] == flux[m]).all()
        assert (rows["component_1"] == parts[m][0]).all()
        assert (rows["component_2"] == parts[m][1]).all()
        assert (held[number]["wavelength"] == model.wavelength[m]).all()
        assert (held[number]["flux"] == flux[m][None]).all()
        assert (held[number]["parts"] == parts[m][None]).all()
        assert of_orders[number]["q"] == says["q"][m] == read.meta["q"][number]
    assert len(read) == sum(map(len, flux))
    assert set(held) == {21, 24}
    assert says["parameters"] == read.meta["parameters"] == THETA
    assert {name: attributes[name] for name in THETA} == THETA
    assert list(attributes["parameters"]) == list(model.parameters)
    assert says["store"] == read.meta["store"] == attributes["store"] == str(store)
    assert says["versions"]["mixjobs"] == read.meta["versions"]["mixjobs"]
    assert says["files"] == [str(table), str(arrays)]


def test_q_and_light_of_the_orders(store, facts, tmp_path):
    says = facts(*SPOT, "-o", tmp_path / "a.h5")
    q = mixjobs.load_flux_ratio(store)([5900, 4.5, -0.1, 0.2], [5700, 4.5, -0.1, 0.2])
    assert says["orders"] == NUMBERS
    np.testing.assert_allclose(says["q"], q, rtol=1e-12)
    np.testing.assert_allclose(says["light_fraction"], 0.3 * q / (0.7 + 0.3 * q), rtol=1e-12)
    np.testing.assert_allclose(says["mean"], 0.7 + 0.3 * q, rtol=1e-3)
    assert (says["wave_min"], says["medium"], says["varied"]) == (
        EDGES[:-1].tolist(), "vacuum", None,
    )  # fmt: skip
    none = facts(*SPOT[:-1], "0", "-o", tmp_path / "b.h5")
    np.testing.assert_allclose(none["q"], q, rtol=1e-12)  # q is there without any light too
    assert none["light_fraction"] == [0] * 14


def test_a_single_star(store, facts, tmp_path):
    path = tmp_path / "a.ecsv"
    says = facts(*STAR, *FEW, "--rv=-12.5", "--vsini", "5", "--fwhm", "6", "-o", path)
    model = mixjobs.load_mixture(store, 1, orders=[24, 21], fwhm=6)
    at = values_of(model, teff=5900, logg=4.5, feh=-0.1, vsini=5, rv=-12.5)
    assert (np.concatenate(model(at)) == Table.read(path)["flux"]).all()
    assert "q" not in says
    assert "c" not in says["parameters"]


@pytest.mark.parametrize(
    ("words", "share", "own"),
    [
        (["--theta2", "logg=4.5, teff=5700"], ("logg", "feh", "vsini", "rv"), {}),
        (["--theta2", "5700,4.5,-0.1,0.2"], ("logg", "feh", "vsini", "rv"), {}),
        (["--theta2", "teff=5700,feh=0"], ("logg", "vsini", "rv"), {"feh_1": -0.1, "feh_2": 0}),
        (
            ["--theta2", "5700,4.3,0,0.2", "--rv", "3,-20"],
            ("vsini",),
            {"logg_1": 4.5, "logg_2": 4.3, "feh_1": -0.1, "feh_2": 0, "rv_1": 3, "rv_2": -20},
        ),
        (["--theta2", "teff=5700", "--vsini", "5,5"], ("logg", "feh", "rv"),
         {"vsini_1": 5, "vsini_2": 5}),
    ],
)  # fmt: skip
def test_shared_parameters(words, share, own, store, facts, tmp_path):
    path = tmp_path / "a.ecsv"
    says = facts(*STAR, *words, *FEW, "--c", "0.3", "--resolution", "50000", "-o", path)
    model = mixjobs.load_mixture(store, shared=share, orders=[24, 21], resolution=50000)
    assert list(says["parameters"]) == list(model.parameters)
    at = values_of(model, **THETA | own)
    assert (np.concatenate(model(at)) == Table.read(path)["flux"]).all()


def test_parameters_of_one_value_may_be_omitted(facts, tmp_path):
    by_name = ["--theta1", "feh=-0.1,teff=5900,logg=4.5", *SPOT[2:]]
    one = facts(*by_name, *ONE, "-o", tmp_path / "a.h5")
    assert one["parameters"] == THETA


def test_blackbodies(store, facts, tmp_path):
    path = tmp_path / "a.h5"
    words = [*SPOT[:-1], "0.3,0.1", *FEW, "--blackbody", "4000"]
    says = facts(*words, "--method", "linear", "-o", path)
    kinds = ["library", "library", "blackbody"]
    model = mixjobs.load_mixture(store, kinds, orders=[24, 21], method="linear")
    given = {k: v for k, v in THETA.items() if k != "c"} | {"teff_3": 4000, "c_2": 0.3, "c_3": 0.1}
    at = values_of(model, **given)
    held, _, _ = read_hdf5(path)
    for number, parts in zip((24, 21), model.parts(at), strict=True):
        assert (held[number]["parts"][0] == parts).all()
    light = model.light(at)
    np.testing.assert_allclose(says["q_3"], light[2] / 0.1, rtol=1e-12)
    np.testing.assert_allclose(says["light_fraction_2"], light[1] / light.sum(axis=0), rtol=1e-12)
    veiled = facts(*STAR, *FEW, "--blackbody", "4000", "--c", "0.5", "-o", tmp_path / "b.h5")
    assert veiled["parameters"]["teff_2"] == 4000
    assert veiled["q"] == pytest.approx(says["q_3"], rel=0.01)  # cubic and linear differ


# -- a varied parameter ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name", "low", "high"),
    [("teff_2", "teff_2", 5650, 5950), ("teff2", "teff_2", 5650, 5950), ("c", "c", 0, 1),
     ("rv", "rv", -20, 20), ("rv_2", "rv_2", -20, 20)],
)  # fmt: skip
def test_varied_parameter(given, name, low, high, store, facts, tmp_path):
    table, arrays = tmp_path / "a.ecsv", tmp_path / "a.hdf5"
    words = SPOT if name != "c" else SPOT[:-2]
    says = facts(*words, *FEW, "--vary", f"{given}={low}:{high}:4", "-o", table, arrays)
    share = ("logg", "feh", "vsini") if name == "rv_2" else ("logg", "feh", "vsini", "rv")
    model = mixjobs.load_mixture(store, shared=share, orders=[24, 21])
    scan = np.linspace(low, high, 4)
    values = {"rv_1": 0} | THETA | {name: scan}
    mixed = model({parameter: values[parameter] for parameter in model.parameters})
    assert says["varied"] == name
    assert says["parameters"][name] == scan.tolist()
    assert np.shape(says["q"]) == np.shape(says["mean"]) == (4, 2)
    read = Table.read(table)
    assert read.colnames == ["order", "wavelength", *(f"flux_{n}" for n in range(4))]
    assert read.meta["parameters"][name] == scan.tolist()
    assert np.transpose([read.meta["q"][n] for n in (24, 21)]).tolist() == says["q"]
    for n in range(4):
        assert (read[f"flux_{n}"] == np.concatenate([flux[n] for flux in mixed])).all()
    held, attributes, of_orders = read_hdf5(arrays)
    assert attributes[name].tolist() == scan.tolist()
    for m, number in enumerate((24, 21)):
        n_pixels = len(model.wavelength[m])
        assert (held[number]["flux"] == mixed[m]).all()
        assert held[number]["parts"].shape == (4, 2, n_pixels)
        np.testing.assert_allclose(held[number]["parts"].sum(axis=1), mixed[m], rtol=1e-10)
        assert of_orders[number]["light_fraction"].shape == (4,)


# -- an observed spectrum's pixels ------------------------------------------------------------


def test_the_pixels_of_an_observed_spectrum(store, observed, tmp_path, capsys):
    path = tmp_path / "a.h5"
    words = ["spectrum", store, *SPOT, "--wavelengths", observed, "--medium", "air", "-o", path]
    assert main([str(word) for word in words]) == 0
    out, err = capsys.readouterr()
    assert f"{observed}: wavelengths in air" in err
    assert f"{observed}: orders skipped" in err
    assert "0 to 19" in err
    assert str(path) in out
    spectrum = mixjobs.open_spectrum(observed)
    waves = dict(enumerate(spectrum.wavelength))
    model = mixjobs.load_mixture(store, orders=range(20, 27), wavelengths=waves, medium="air")
    held, attributes, _ = read_hdf5(path)
    assert set(held) == set(range(20, 27))
    assert attributes["medium"] == "air"
    for number, flux in zip(range(20, 27), model(values_of(model, **THETA)), strict=True):
        assert (held[number]["wavelength"] == spectrum.wavelength[number]).all()
        assert (held[number]["flux"][0] == flux).all()


@pytest.mark.parametrize(
    ("convert", "attributes", "medium"),
    [
        (vacuum_to_air, {"air": True}, "air"),
        (np.asarray, {"air": False}, "vacuum"),
        (np.asarray, {}, "vacuum"),
    ],
)
def test_the_medium_of_an_observed_spectrum(convert, attributes, medium, facts, tmp_path):
    star = write_observed(tmp_path / "star.hdf5", convert, **attributes)
    says = facts(*SPOT, *FEW, "--wavelengths", star, "-o", tmp_path / "a.h5")
    assert says["medium"] == medium
    (note,) = says["notes"]
    assert note.startswith(f"{star}: wavelengths in {medium}, ")
    assert says["orders"] == [24, 21]
    assert says["n_pixels"] == [10, 10]


# -- figures ----------------------------------------------------------------------------------


def test_figures(facts, tmp_path):
    files = [tmp_path / f"a.{ending}" for ending in ("PNG", "pdf", "svg")]
    facts(*SPOT, *ONE, "-o", *files)
    assert [file.read_bytes()[:5] for file in files] == [b"\x89PNG\r", b"%PDF-", b"<?xml"]
    facts(*SPOT, *ONE, "--vary", "rv=-20:20:3", "-o", tmp_path / "v.png")
    whole, family = imread(files[0]), imread(tmp_path / "v.png")
    assert min(whole.std(), family.std()) > 0.05  # not blank
    assert whole.shape != family.shape or (whole != family).any()


def test_a_figure_has_at_most_twelve_panels(facts, tmp_path):
    names = facts(*STAR, "-o", tmp_path / "a.png")["files"]
    assert names == [str(tmp_path / f"a_orders_{x}.png") for x in ("20_to_31", "32_to_33")]
    assert {str(path) for path in tmp_path.iterdir()} == set(names)
    assert imread(names[0]).shape[0] > imread(names[1]).shape[0]


def test_the_drawn_curves(store):
    """The lines of each panel are the evaluated spectra."""
    theta1, theta2 = (5900, 4.5, -0.1, 0.2), {"teff": 5700}
    for vary, n_lines in (({}, 3), ({"teff_2": np.linspace(5600, 6000, 5)}, 5)):
        spectra = mixjobs.evaluate_spectra(store, theta1, theta2, c=0.3, vary=vary, orders=[24, 21])
        figure = draw_spectra(spectra, [0, 1])
        panels = [axes for axes in figure.axes if axes.get_title()]
        assert len(figure.axes) == 2 + bool(vary)  # and a colour bar
        for m, panel in enumerate(panels):
            drawn = np.array([line.get_ydata() for line in panel.lines])
            assert len(drawn) == n_lines
            expected = spectra.flux[m] if vary else [spectra.flux[m][0], *spectra.parts[m][0]]
            assert (drawn == expected).all()
            assert panel.get_title().startswith(f"order {(24, 21)[m]}: c q = ")


# -- invalid input --------------------------------------------------------------------------

NAMES = "teff, logg, feh, alpha"
HOLE = "(teff=5600, logg=4, feh=-0.5, alpha=0.2)"
SCAN = error(InvalidInput, "--vary", "NAME=LOW:HIGH:N")
PROFILE = {"name": "resolution"}
REFUSED = {
    "a parameter that is missing": (
        ["--theta1", "teff=5900"], error(InvalidInput, "logg, feh", "--theta1", name="theta1")
    ),
    "an unknown parameter": (
        ["--theta1", "teff=5900,logg=4,z=0"], error(InvalidInput, "'z'", NAMES, name="theta1")
    ),
    "a repeated one": (
        ["--theta1", "teff=5900,teff=5800"], error(InvalidInput, "--theta1", "teff", "twice")
    ),
    "a short theta": (
        ["--theta1", "5900,4.5"],
        error(InvalidInput, "2", "4", NAMES, "--theta1", name="theta1", value=[5900, 4.5]),
    ),
    "theta2 without Teff": (
        [*SPOT, "--theta2", "logg=4.2"], error(InvalidInput, "teff", "--theta2", name="theta2")
    ),
    "theta2 unknown": (
        [*SPOT, "--theta2", "teff=5700,z=1"], error(InvalidInput, "'z'", NAMES, name="theta2")
    ),
    "theta2 repeated": (
        [*SPOT, "--theta2", "teff=5700,teff=5600"], error(InvalidInput, "--theta2", "twice")
    ),
    "no numbers": (["--theta1", "a,b,c"], error(InvalidInput, "--theta1", "'a,b,c'")),
    "theta1 outside": (
        ["--theta1", "7000,4.5,0,0.2"],
        error(OutsideGrid, "component 1", "5600 to 6000", name="teff", value=7000),
    ),
    "theta2 outside": (
        [*SPOT, "--theta2", "teff=3000"],
        error(OutsideGrid, "component 2", "5600 to 6000", name="teff_2", value=3000),
    ),
    "a fixed parameter": (
        ["--theta1", "5900,4.5,0,0.4"],
        error(OutsideGrid, "component 1", "0.2", name="alpha", value=0.4),
    ),
    "a hole": (["--theta1", "5600,4,-0.5,0.2"], error(OutsideGrid, "component 1", HOLE, "hole")),
    "beside a hole": (
        ["--theta1", "5700,4.2,-0.2,0.2"], error(OutsideGrid, "component 1", "teff=5700", HOLE)
    ),
    "rv too large": (
        [*STAR, "--rv", "200"],
        error(OutsideGrid, "component 1", "buffer", "139.4 km/s", name="rv", value=200),
    ),
    "vsini too large": (
        [*STAR, "--vsini", "200"],
        error(OutsideGrid, "component 1", "buffer", "139.4 km/s", name="vsini", value=200),
    ),
    "vsini negative": (
        [*STAR, "--vsini", "-3"], error(OutsideGrid, "component 1", name="vsini", value=-3)
    ),
    "two rv of one star": (
        [*STAR, "--rv", "1,2"], error(InvalidInput, "--rv", name="rv", value=[1, 2])
    ),
    "three rv": (
        [*SPOT, "--rv", "1,2,3"], error(InvalidInput, "2", "--rv", name="rv", value=[1, 2, 3])
    ),
    "rv no number": ([*SPOT, "--rv", "fast"], error(InvalidInput, "--rv", "'fast'")),
    "rv nan": ([*SPOT, "--rv", "nan"], error(InvalidInput, "'nan'", "--rv", "finite")),
    "c of a single star": (
        [*STAR, "--c", "0.3"], error(InvalidInput, "second component", "--c", name="c", value=0.3)
    ),
    "no c": (SPOT[:-2], error(InvalidInput, "component 2", "--c", name="c")),
    "c above 1": (
        [*SPOT, "--c", "1.2"], error(OutsideGrid, "from 0 to 1", "--c", name="c", value=(1.2,))
    ),
    "c below 0": (
        [*SPOT, "--c=-0.1"], error(OutsideGrid, "from 0 to 1", "--c", name="c", value=(-0.1,))
    ),
    "two c": (
        [*SPOT, "--c", "0.1,0.2"], error(InvalidInput, "1", "--c", name="c", value=[0.1, 0.2])
    ),
    "c beyond 1 together": (
        [*SPOT, "--c", "0.6,0.6", "--blackbody", "3000"],
        error(OutsideGrid, "sum", "--c", name="c", value=(0.6, 0.6)),
    ),
    "a cold blackbody": (
        [*STAR, "--c", "0.1", "--blackbody=-5"],
        error(OutsideGrid, "component 2", "blackbody", "-5 K", name="teff_2", value=-5),
    ),
    "resolution and fwhm": (
        [*STAR, "--resolution", "5e4", "--fwhm", "6"],
        error(InvalidInput, "--fwhm", "--resolution"),
    ),
    "no resolution": (
        [*STAR, "--resolution", "0"], error(InvalidInput, "--resolution", value=0, **PROFILE)
    ),
    "a low resolution": (
        [*STAR, "--resolution", "50"],
        error(InvalidInput, "buffer", order=21, path="q.zarr", **PROFILE),
    ),
    "an unknown order": (
        [*STAR, "--orders", "7"],
        error(InvalidInput, "20 to 33", "--orders", name="orders", value=[7], order=7),
    ),
    "an order twice": ([*STAR, "--orders", "21,21"], error(OrderError, "21", order=21)),
    "an unknown method": (
        [*STAR, "--method", "spline"], error(InvalidInput, "--method", "'spline'", "cubic")
    ),
    "a medium alone": (
        [*STAR, "--medium", "air"], error(InvalidInput, "--medium", name="medium", value="air")
    ),
    "vary no name": ([*STAR, "--vary", "5600:5800:5"], SCAN),
    "vary empty name": ([*STAR, "--vary", "=5600:5800:5"], SCAN),
    "vary no number": ([*STAR, "--vary", "teff=5600:5800"], SCAN),
    "vary a broken number": ([*STAR, "--vary", "teff=5600:5800:2.5"], SCAN),
    "vary a single one": ([*STAR, "--vary", "teff=5600:5800:1"], SCAN),
    "vary too many": ([*STAR, "--vary", "teff=5600:5800:1001"], SCAN),
    "vary reversed": ([*STAR, "--vary", "teff=5800:5600:5"], SCAN),
    "vary nan": ([*STAR, "--vary", "teff=nan:5600:5"], SCAN),
    "vary unknown": (
        [*SPOT, "--vary", "teff_3=5600:5800:5"],
        error(InvalidInput, "teff_1, teff_2, logg, feh, vsini, rv, c", "--vary",
              name="vary", value="teff_3"),
    ),
    "vary c of a single star": (
        [*STAR, "--vary", "c=0:1:5"], error(InvalidInput, "--vary", name="vary", value="c")
    ),
    "vary outside": (
        [*SPOT, "--vary", "teff2=5000:5800:5"],
        error(OutsideGrid, "component 2", "5600 to 6000", name="teff_2", value=5000),
    ),
    "vary twice": (
        [*SPOT, "--vary", "teff_2=5600:5800:5", "--vary", "teff2=5600:5700:5"],
        error(InvalidInput, "--vary", "teff_2", "twice", name="vary"),
    ),
    "vary two": (
        [*SPOT, "--vary", "teff_2=5600:5800:5", "--vary", "c=0:1:5"],
        error(InvalidInput, "--vary", name="vary", value=["teff_2", "c"]),
    ),
}  # fmt: skip


@pytest.fixture
def refused(store, tmp_path):
    """Run the command, which must refuse its input and leave every file as it was."""

    def refused(*words, store=store):
        before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
        refusal = refuse(["spectrum", store, *words])
        assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before
        return refusal

    return refused


@pytest.mark.parametrize("fault", REFUSED)
def test_invalid_input(fault, refused, tmp_path):
    words, expected = REFUSED[fault]
    orders = [] if "--orders" in words else ONE
    expected.check(refused(*words, *orders, "-o", tmp_path / "a.ecsv"))


def test_unsuitable_stores(refused, demo, tmp_path, tmp_path_factory):
    plain = tmp_path_factory.mktemp("plain") / "q.zarr"
    mixjobs.build(demo, mixjobs.Orders.from_edges([5005, 5010]), plain)
    words = ["--theta1", "5900,4.5,0", "-o", tmp_path / "a.ecsv"]
    no_emulator = error(StoreError, "emulator", path="q.zarr")
    no_emulator.check(refused(*words, store=plain))
    words += ["--wavelengths", write_observed(tmp_path / "star.hdf5")]
    no_emulator.check(refused(*words, store=plain))
    error(MissingFile, path="none.zarr").check(refused(*words, store=tmp_path / "none.zarr"))


def write_far(path):
    """Write an observed spectrum of one order, number 0, which the store does not have."""
    with h5py.File(path, "w") as file:
        rows = np.array([[4000.0, 4001.0]])
        file.update({"waves": rows, "fluxes": rows, "sigmas": rows})
    return path


AIR = ["--medium", "air"]
WAVELENGTHS = {
    "missing": (["none.hdf5"], error(MissingFile, path="none.hdf5")),
    "air taken for vacuum": (
        ["star.hdf5", "--orders", "20"],
        error(OrderError, "5004 ", path="star.hdf5", name="wavelengths", order=20),
    ),
    "an order that the spectrum lacks": (
        ["star.hdf5", *AIR, "--orders", "20,30"],
        error(InvalidInput, "30", "0 to 26", name="orders", value=[20, 30]),
    ),
    "an order that the store lacks": (
        ["star.hdf5", *AIR, "--orders", "3"],
        error(InvalidInput, "20 to 33", "--orders", name="orders", value=[3], order=3),
    ),
    "another medium than it declares": (
        ["declares.hdf5", "--medium", "vacuum"],
        error(InvalidInput, "air", "--medium", name="medium", value="vacuum"),
    ),
    "no common order": (["far.hdf5"], error(InvalidInput, "far.hdf5", "20 to 33", name="orders")),
}


@pytest.mark.parametrize("fault", WAVELENGTHS)
def test_unsuitable_wavelengths(fault, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_observed("star.hdf5", vacuum_to_air)
    write_observed("declares.hdf5", vacuum_to_air, air=True)
    write_far("far.hdf5")
    words, expected = WAVELENGTHS[fault]
    expected.check(refused(*STAR, "-o", "a.ecsv", "--wavelengths", *words))


OUTPUTS = {
    "an unknown ending": (["a.fits"], error(InvalidInput, ".ecsv", path="a.fits", value=".fits")),
    "no ending": (["a"], error(InvalidInput, ".ecsv", path="a", value="")),
    "no such folder": (["none/a.h5"], error(InvalidInput, "none", path="a.h5")),
    "one file twice": (["a.h5", "a.h5"], error(InvalidInput, "twice", path="a.h5")),
    "a folder": (["folder.h5", "--overwrite"], error(InvalidInput, "folder", path="folder.h5")),
    "the observed spectrum": (
        ["declares.hdf5", "--wavelengths", "declares.hdf5", "--overwrite"],
        error(InvalidInput, "observed", path="declares.hdf5"),
    ),
    "an existing file": (
        ["other.h5", "mine.h5"], error(OutputExists, "--overwrite", path="mine.h5")
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", OUTPUTS)
def test_unsuitable_output_files(fault, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "mine.h5").write_text("mine")
    write_observed("declares.hdf5", vacuum_to_air, air=True)
    words, expected = OUTPUTS[fault]
    expected.check(refused(*STAR, *ONE, "-o", *words))


@pytest.mark.parametrize("name", ["a.ecsv", "a.h5", "a.png"])
def test_a_file_is_replaced_only_on_request(name, refused, facts, tmp_path):
    path = tmp_path / name
    path.write_text("mine")
    refusal = refused(*STAR, *ONE, "-o", tmp_path / "other.h5", path)
    error(OutputExists, "--overwrite", path=name).check(refusal)
    facts(*STAR, *ONE, "-o", path, "--overwrite")
    assert path.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [path]


def test_the_files_of_a_figure_are_not_replaced_either(refused, tmp_path):
    name = "a_orders_32_to_33.png"
    (tmp_path / name).write_text("mine")
    error(OutputExists, path=name).check(refused(*STAR, "-o", tmp_path / "a.png"))


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, JobFailed), (errno.EIO, InvalidInput)])
def test_all_files_or_none(number, kind, tmp_path):
    """If the second of two files fails, neither is left."""

    def complete(path):
        path.write_text("complete")

    def incomplete(path):
        path.write_text("half")
        raise OSError(number, "fault")

    with pytest.raises(kind) as caught:
        write_files({tmp_path / "a.h5": complete, tmp_path / "b.h5": incomplete})
    assert type(caught.value) is kind
    assert caught.value.path == str(tmp_path / "b.h5")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.ecsv", "a.h5", "a.svg"])
def test_a_folder_that_cannot_be_written(name, refused):
    """Not even by root."""
    refusal = refused(*STAR, *ONE, "-o", f"/proc/{name}")
    error(InvalidInput, f"/proc/{name}: ", path=name).check(refusal)


# -- the command itself -----------------------------------------------------------------------


def test_the_real_command(store, tmp_path):
    path = tmp_path / "a.ecsv"
    status, out, err = finish(start("spectrum", store, *SPOT, *FEW, "-o", path))
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == str(path)
    assert re.search(r"│ 24 +│ 5010\.29 +│ 5011\.86 +│ 0\.\d{6} │ 0\.\d{6} +│ 0\.\d{6} ", out)
    assert len(Table.read(path)) > 50


def test_the_examples_of_the_help_are_commands(capsys):
    with pytest.raises(SystemExit):
        main(["spectrum", "--help"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    shown = [line for line in lines if line.startswith("mixjobs spectrum ")]
    assert len(shown) == 3
    for line in shown:
        assert parser().parse_args(shlex.split(line)[1:]).command == "spectrum"
