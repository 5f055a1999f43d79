"""Components from this library or another, weighted by solid angles, and blackbodies."""

import shutil

import numpy as np
import pytest
import zarr
from scipy.integrate import quad

import mixjobs
from mixjobs.errors import InvalidInput
from mixjobs.model.layout import lay_out
from mixjobs.store.checksums import write_checksums
from tests.helpers.mixture_stores import ORDERS, WINDOWS, demo_library, store_of
from tests.helpers.plain_mixture import mean_flux, normalised, own_pixels

LIBRARY = demo_library()
# Another library, with different lines and axes, a single [Fe/H], and its own pixels.
OTHER = demo_library({"teff": (3000, 3200), "logg": (4.0, 4.5, 5.0), "feh": (0.0,)}, seed=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("components")


@pytest.fixture(scope="module")
def store(folder):
    return store_of(LIBRARY, folder)


@pytest.fixture(scope="module")
def other(folder):
    return store_of(OTHER, folder, "other")


def planck(wave, teff):
    """Surface flux of a blackbody, erg/s/cm²/Å, from SI constants."""
    h, c, k = 6.62607015e-34, 2.99792458e8, 1.380649e-23
    metres = wave * 1e-10
    si = 2 * np.pi * h * c**2 / metres**5 / (np.exp(h * c / (metres * k * teff)) - 1)
    return si * 1e7 * 1e-4 * 1e-10


def test_solid_angles_agree_with_filling_factors(store):
    """``(1 - c) / f1bar`` and ``c / f1bar``: light in units of component 1's mean flux."""
    by_fraction = mixjobs.load_mixture(store, resolution=50_000)
    by_angle = mixjobs.load_mixture(store, resolution=50_000, weighting="log_omega")
    assert by_angle.parameters[-2:] == ("log_omega_1", "log_omega_2")
    c, theta = 0.35, [5600, 5800, 4.0, -0.5, 6.0, -20.0]
    expected = by_fraction([*theta, c])
    for m, order in enumerate(WINDOWS.values()):
        f1bar = mean_flux(LIBRARY, order, [5600, 4.0, -0.5])
        omega = np.array([1 - c, c]) / f1bar
        got = by_angle([*theta, *np.log10(omega)])[m]
        np.testing.assert_allclose(got, expected[m], rtol=0, atol=1e-6)
        light = by_angle.light([*theta, *np.log10(omega)])[:, m]
        f2bar = mean_flux(LIBRARY, order, [5800, 4.0, -0.5])
        np.testing.assert_allclose(light, omega * [f1bar, f2bar], rtol=1e-6)


def test_one_star_in_absolute_flux(store):
    star = mixjobs.load_mixture(store, 1, weighting="log_omega", fixed={"vsini": 0, "rv": 0})
    assert star.parameters == ("teff", "logg", "feh", "log_omega")
    omega = (6.957e8 / (10 * 3.0857e16)) ** 2  # the sun's radius at 10 pc
    fluxes = star([5800, 4.5, 0.0, np.log10(omega)])
    for order, f in zip(WINDOWS.values(), fluxes, strict=True):
        raw = normalised(LIBRARY, order, [5800, 4.5, 0]) * mean_flux(LIBRARY, order, [5800, 4.5, 0])
        np.testing.assert_allclose(f, omega * raw, rtol=1e-5)


def test_components_of_two_libraries(store, other):
    model = mixjobs.load_mixture(store, ["library", other], shared=("logg", "vsini", "rv"))
    assert model.parameters == ("teff_1", "teff_2", "logg", "feh_1", "vsini", "rv", "c")
    c = 0.8
    fluxes = model([5800, 3200, 5.0, -0.5, 0, 0, c])
    star1, star2 = (5800, 5.0, -0.5), (3200, 5.0, 0.0)
    for order, f in zip(WINDOWS.values(), fluxes, strict=True):
        q = mean_flux(OTHER, order, star2) / mean_flux(LIBRARY, order, star1)
        shape1, shape2 = normalised(LIBRARY, order, star1), normalised(OTHER, order, star2)
        np.testing.assert_allclose(f, (1 - c) * shape1 + c * q * shape2, rtol=0, atol=1e-6)


def test_the_first_store_is_not_always_the_first_component(store, other):
    turned = mixjobs.load_mixture(other, [store, "library", store], shared=("vsini", "rv"))
    plain = mixjobs.load_mixture(store, ["library", other, "library"], shared=("vsini", "rv"))
    assert turned.parameters == plain.parameters
    assert [s is turned.sources[0] for s in turned.sources] == [True, False, True]
    values = [5700, 3100, 5900, 4.2, 4.4, 4.6, -0.3, -0.6, 8.0, 20.0, 0.3, 0.3]
    for f, expected in zip(turned(values), plain(values), strict=True):
        np.testing.assert_allclose(f, expected, rtol=0, atol=1e-12)


def test_components_of_two_libraries_have_separate_velocities(store, other):
    model = mixjobs.load_mixture(store, ["library", other], shared=())
    one = mixjobs.load_mixture(store, 1)
    two = mixjobs.load_mixture(other, 1)
    assert model.parameters[-5:] == ("vsini_1", "vsini_2", "rv_1", "rv_2", "c")
    values = [5700, 3100, 4.2, 4.6, -0.3, 3.0, 12.0, -40.0, 25.0, 0.6]
    parts, light = model.parts(values), model.light(values)
    alone = one([5700, 4.2, -0.3, 3.0, -40.0]), two([3100, 4.6, 12.0, 25.0])
    for m in range(2):
        for k in range(2):
            np.testing.assert_allclose(parts[m][k], light[k, m] * alone[k][m], atol=1e-12)


def test_a_blackbody(store):
    model = mixjobs.load_mixture(store, ["library", "blackbody"])
    assert model.parameters == ("teff_1", "teff_2", "logg", "feh", "vsini", "rv", "c")
    c, theta = 0.4, (5800, 4.5, -0.5)
    fluxes = model([5800, 7300, 4.5, -0.5, 0, 0, c])
    for order, f in zip(WINDOWS.values(), fluxes, strict=True):
        f1bar = mean_flux(LIBRARY, order, theta)
        wave = own_pixels(LIBRARY, order)
        expected = (1 - c) * normalised(LIBRARY, order, theta) + c * planck(wave, 7300) / f1bar
        np.testing.assert_allclose(f, expected, rtol=0, atol=1e-6)


def test_the_light_of_a_blackbody_is_its_mean_over_the_order(store):
    first = mixjobs.load_mixture(store, ["blackbody", "library"])
    c, theta = 0.4, (5800, 4.5, -0.5)
    values = [7300, 5800, 4.5, -0.5, 0, 0, c]
    for m, (low, high) in enumerate(WINDOWS.values()):
        mean = quad(planck, low, high, args=(7300,), epsrel=1e-10)[0] / (high - low)
        q = mean_flux(LIBRARY, (low, high), theta) / mean
        np.testing.assert_allclose(first.light(values)[:, m], [1 - c, c * q], rtol=1e-6)
        # pixels are even in ln(wavelength), which is not quite even in wavelength
        assert first(values)[m].mean() == pytest.approx(1 - c + c * q, rel=1e-5)


def test_a_blackbody_in_absolute_flux(store):
    model = mixjobs.load_mixture(store, ["library", "blackbody"], weighting="log_omega")
    values = [5800, 7300, 4.5, -0.5, 0, 0, -19.0, -20.0]
    for part, wave in zip(model.parts(values), model.wavelength, strict=True):
        np.testing.assert_allclose(part[1], 1e-20 * planck(wave, 7300), rtol=1e-8)


def test_two_blackbodies_and_a_star(store):
    model = mixjobs.load_mixture(store, ["library", "blackbody", "blackbody"])
    assert model.parameters[:3] == ("teff_1", "teff_2", "teff_3")
    values = [5800, 4000, 7300, 4.5, -0.5, 3.0, 9.0, 0.2, 0.5]
    for m, parts in enumerate(model.parts(values)):
        ratio = 2.5 * planck(model.wavelength[m], 7300) / planck(model.wavelength[m], 4000)
        np.testing.assert_allclose(parts[2] / parts[1], ratio, rtol=1e-8)
        np.testing.assert_allclose(parts.sum(axis=0), model(values)[m], rtol=1e-12)


def changed(store, folder, **attributes):
    """A copy of a store with other attributes."""
    copy = folder / f"changed_{len(list(folder.iterdir()))}"
    shutil.copytree(store, copy)
    group = zarr.open_group(copy, mode="a", use_consolidated=False)
    group.attrs.update(attributes)
    zarr.consolidate_metadata(copy)
    write_checksums(copy)
    return copy


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize(("name", "value"), [("flux_unit", "erg/s/cm2/cm"), ("medium", "air")])
def test_libraries_that_do_not_match(store, other, tmp_path, name, value):
    copy = changed(other, tmp_path, **{name: value})
    with pytest.raises(InvalidInput, match="need the same") as error:
        mixjobs.load_mixture(store, ["library", copy])
    facts = error.value
    assert (facts.path, facts.name, facts.value) == (str(copy), name, value)


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_a_blackbody_in_the_librarys_unit(store, tmp_path):
    values = [5800, 7300, 4.5, -0.5, 0, 0, 0, 0]
    per_cm = changed(store, tmp_path, flux_unit="erg/s/cm2/cm")
    model = mixjobs.load_mixture(per_cm, ["library", "blackbody"], weighting="log_omega")
    wave = model.wavelength[0]
    np.testing.assert_allclose(model.parts(values)[0][1], 1e8 * planck(wave, 7300), rtol=1e-8)
    unknown = changed(store, tmp_path, flux_unit="counts ")
    with pytest.raises(InvalidInput, match="a blackbody needs") as error:
        mixjobs.load_mixture(unknown, ["library", "blackbody"])
    assert (error.value.name, error.value.value) == ("flux_unit", "counts ")


def test_libraries_with_other_orders(store, folder):
    shifted = mixjobs.Orders([7, 8], [5004, 5009.5], [5011, 5018])
    wrong = store_of(OTHER, folder, "shifted", orders=shifted)
    with pytest.raises(InvalidInput, match="build both stores with the same orders") as error:
        mixjobs.load_mixture(store, ["library", wrong])
    assert (error.value.path, error.value.name) == (str(wrong), "orders")
    model = mixjobs.load_mixture(store, ["library", wrong], orders=[7])
    assert len(model.wavelength) == 1
    fewer = store_of(OTHER, folder, "fewer", orders=ORDERS.take([0]))
    with pytest.raises(InvalidInput, match="there is no order 8"):
        mixjobs.load_mixture(store, ["library", fewer])


def test_only_blackbodies_are_refused(store):
    with pytest.raises(InvalidInput) as error:
        mixjobs.load_mixture(store, ["blackbody", "blackbody"])
    assert error.value.name == "components"


def test_a_grid_parameter_with_one_value_is_not_a_parameter(other):
    star = mixjobs.load_mixture(other, 1)
    assert star.parameters == ("teff", "logg", "vsini", "rv")
    assert "feh" in OTHER.names


def test_all_but_teff_are_shared_unless_chosen():
    names = ["teff", "logg", "alpha", "vsini", "rv"]
    assert lay_out([names, names], None, "c", {}).names == ("teff_1", "teff_2", *names[1:], "c")
    assert lay_out([names, ["teff"]], None, "c", {}).names == ("teff_1", "teff_2", *names[1:], "c")
    assert lay_out([names], None, "c", {}).names == tuple(names)
    unknown = lay_out([["wibble", "logg", "rv"]] * 2, None, "c", {}).names
    assert unknown == ("wibble_1", "wibble_2", "logg", "rv", "c")
