"""Spectra from Python: arguments, the attributes of errors, and files."""

import h5py
import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table

import mixjobs
from mixjobs.errors import InvalidInput, OutputExists, OutsideGrid
from mixjobs.wavelengths import vacuum_to_air

EDGES = [5005.0, 5012.0, 5020.0, 5025.0]
THETA1 = {"teff": 5900, "logg": 4.3, "feh": -0.1}
SPOT = {"theta1": THETA1, "theta2": {"teff": 5700}, "c": 0.3}


@pytest.fixture(scope="module")
def store(demo, tmp_path_factory):
    settings = mixjobs.EmulatorSettings(max_rv=40, max_vsini=20, min_resolution=20000)
    orders = mixjobs.Orders.from_edges(EDGES)
    path = tmp_path_factory.mktemp("store") / "q.zarr"
    return mixjobs.build(demo, orders, path, emulator=settings)


def test_a_mixture_is_that_of_the_model(store):
    spectra = mixjobs.evaluate_spectra(store, **SPOT, rv=-12.5, vsini=8, resolution=50000)
    model = mixjobs.load_mixture(store.path, resolution=50000)
    values = {"teff_1": 5900, "teff_2": 5700, "logg": 4.3, "feh": -0.1, "vsini": 8, "rv": -12.5}
    expected = model(values | {"c": 0.3})
    for flux, parts, order in zip(spectra.flux, spectra.parts, expected, strict=True):
        assert (flux[0] == order).all()
        np.testing.assert_allclose(parts.sum(axis=1), flux, rtol=1e-12)
    assert spectra.number.tolist() == [0, 1, 2]
    assert spectra.varied is None


def test_a_path_and_theta_by_position(store):
    theta2 = np.array([5700, 4.3, -0.1])
    named = mixjobs.evaluate_spectra(store, **SPOT)
    by_position = mixjobs.evaluate_spectra(str(store.path), [5900, 4.3, -0.1], theta2, c=[0.3])
    for one, other in zip(named.flux, by_position.flux, strict=True):
        assert (one == other).all()


def test_one_parameter_may_vary(store):
    spectra = mixjobs.evaluate_spectra(store, **SPOT, vary={"rv": [-20, 0, 20]}, orders=[2])
    assert spectra.varied == "rv"
    assert spectra.parameters["rv"].tolist() == [-20, 0, 20]
    at_rest = mixjobs.evaluate_spectra(store, **SPOT, orders=[2])
    np.testing.assert_allclose(spectra.flux[0][1], at_rest.flux[0][0], rtol=1e-12)


def test_quantities_are_converted(store):
    plain = mixjobs.evaluate_spectra(store, **SPOT, rv=0.5, blackbodies=())
    quantity = mixjobs.evaluate_spectra(store, **SPOT, rv=500 * u.m / u.s)
    assert (plain.flux[0] == quantity.flux[0]).all()
    with pytest.raises(InvalidInput) as error:
        mixjobs.evaluate_spectra(store, **SPOT, rv=5 * u.K)
    assert error.value.name == "rv"


def test_wavelengths_of_a_spectrum_in_air(store):
    vacuum = np.linspace(5006.0, 5011.0, 40)
    spectra = [
        mixjobs.evaluate_spectra(store, **SPOT, wavelengths={0: wave}, medium=medium)
        for wave, medium in ((vacuum, "vacuum"), (vacuum_to_air(vacuum), "air"), (vacuum, None))
    ]
    assert [one.notes["medium"] for one in spectra] == ["vacuum", "air", "vacuum"]
    assert (spectra[0].flux[0] == spectra[2].flux[0]).all()
    np.testing.assert_allclose(spectra[1].flux[0], spectra[0].flux[0], rtol=1e-6)
    assert spectra[1].wavelength[0][0] < vacuum[0]


@pytest.mark.parametrize(
    ("change", "kind", "name"),
    [
        ({"theta1": {"teff": 5900}}, InvalidInput, "theta1"),
        ({"theta1": [[5900, 4.3, 0]] * 2}, InvalidInput, "theta1"),
        ({"theta2": {"teff": 5700, "z": 1}}, InvalidInput, "theta2"),
        ({"theta2": {"logg": 4.2}}, InvalidInput, "theta2"),
        ({"c": None}, InvalidInput, "c"),
        ({"c": [0.1, 0.2]}, InvalidInput, "c"),
        ({"c": "much"}, InvalidInput, "c"),
        ({"theta2": None}, InvalidInput, "c"),
        ({"rv": [1, 2, 3]}, InvalidInput, "rv"),
        ({"vsini": "fast"}, InvalidInput, "vsini"),
        ({"medium": "air"}, InvalidInput, "medium"),
        ({"vary": {"teff_3": [1, 2]}}, InvalidInput, "vary"),
        ({"vary": {"rv": [1, np.nan]}}, InvalidInput, "vary"),
        ({"vary": {"rv": [1, 2], "c": [0, 1]}}, InvalidInput, "vary"),
        ({"wavelengths": {9: [5000.0, 5001.0]}}, InvalidInput, "orders"),
        ({"theta1": [7000, 4.3, 0]}, OutsideGrid, None),
    ],
)
def test_invalid_arguments(change, kind, name, store):
    with pytest.raises(kind) as error:
        mixjobs.evaluate_spectra(store, **SPOT | change)
    assert "--" not in str(error.value)
    assert "\n" not in str(error.value)
    if name is not None:
        assert error.value.name == name


def test_files(store, tmp_path):
    spectra = mixjobs.evaluate_spectra(store, **SPOT)
    for ending in ("ecsv", "h5", "hdf5"):
        spectra.write(tmp_path / f"spot.{ending}")
    table = Table.read(tmp_path / "spot.ecsv")
    assert (table["flux"] == np.concatenate(spectra.flux, axis=1)[0]).all()
    with h5py.File(tmp_path / "spot.h5") as file:
        assert (file["1/flux"][...] == spectra.flux[1]).all()
        assert file["1"].attrs["range"].tolist() == [5012.0, 5020.0]
    with pytest.raises(OutputExists) as error:
        spectra.write(tmp_path / "spot.h5")
    assert error.value.path == str(tmp_path / "spot.h5")
    spectra.write(tmp_path / "spot.h5", overwrite=True)
    with pytest.raises(InvalidInput):
        spectra.write(tmp_path / "spot.fits")


def test_repr(store):
    text = repr(mixjobs.evaluate_spectra(store, **SPOT))
    assert text.splitlines()[0] == "<Spectra>"
    assert "component 2  (teff=5700, logg=4.3, feh=-0.1, vsini=0, rv=0)" in text
    assert len(text) < 600


def test_spectra_describe_themselves(store):
    facts = mixjobs.evaluate_spectra(store, **SPOT, orders=[2], resolution=50000)._facts()
    assert facts["spectra"] == "1"
    assert facts["c"] == "0.3"
    assert facts["orders"] == "1 (2)"
    assert facts["resolution"] == 50000
    vary = {"c": [0.1, 0.2]}
    facts = mixjobs.evaluate_spectra(store, **SPOT, vary=vary, fwhm=6)._facts()
    assert facts["spectra"] == "2, one for each value of c"
    assert (facts["c"], facts["fwhm"]) == ("varies", "6 km/s")
