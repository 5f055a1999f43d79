"""Invalid parameters and options of a mixture model."""

import numpy as np
import pytest
from astropy import units

import mixjobs
from mixjobs.errors import InvalidInput, MixjobsError, OrderError, OutsideGrid, StoreError
from mixjobs.limits import BLACKBODY_TEFF
from tests.helpers.mixture_stores import ORDERS, demo_library, some_pixels, store_of

# With a hole, like PHOENIX, which has no (8000, 0.5): the cell next to the hole is incomplete.
LIBRARY = demo_library(
    {"teff": (7000, 7500, 8000), "logg": (0.5, 1.0, 1.5), "feh": (-0.5, 0.0)}, holes="phoenix"
)
GOOD = {
    "teff_1": 7100, "teff_2": 7700, "logg_1": 0.6, "logg_2": 1.2, "feh_1": -0.2, "feh_2": -0.4,
    "vsini_1": 3.0, "vsini_2": 9.0, "rv_1": 10.0, "rv_2": -20.0, "c": 0.3,
}  # fmt: skip
INF = np.inf
# Invalid values, the parameter and the value in the error, and part of its text.
INVALID = [
    ({"teff_1": 6999.9}, "teff_1", 6999.9, "^component 1: "),
    ({"teff_2": 8000.1}, "teff_2", 8000.1, "^component 2: "),
    ({"logg_2": -INF}, "logg_2", -INF, "^component 2: "),
    ({"feh_1": 1e308}, "feh_1", 1e308, "^component 1: "),
    ({"teff_2": 7700, "logg_2": 0.7}, None, [7700, 0.7, -0.4],
     r"^component 2: \(teff=7700, logg=0.7, feh=-0.4\) needs \(teff=8000, logg=0.5, feh=-0.5\)"),
    ({"teff_1": 8000, "logg_1": 0.5, "feh_1": 0.0}, None, [8000, 0.5, 0.0],
     "^component 1: .* is a hole"),
    ({"c": -1e-9}, "c", [-1e-9], "filling factors"),
    ({"c": 1 + 1e-9}, "c", [1 + 1e-9], "filling factors"),
    ({"c": INF}, "c", [INF], "filling factors"),
    ({"vsini_1": -0.1}, "vsini_1", -0.1, "^component 1: .* negative"),
    ({"vsini_2": -INF}, "vsini_2", -INF, "^component 2: .* negative"),
    ({"rv_1": 200.0}, "rv_1", 200.0, "^component 1: .* exceed the emulator's buffer"),
    ({"rv_2": -INF}, "rv_2", -INF, "^component 2: .* exceed the emulator's buffer"),
    ({"vsini_2": 1e308, "rv_2": 1e308}, "rv_2", 1e308, "^component 2: .* exceed the emulator's"),
    ({"vsini_1": 80.0, "rv_1": -80.0}, "rv_1", -80.0, r"up to [\d.]+ km/s; build the store"),
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    assert len(LIBRARY.points) == 16
    return store_of(LIBRARY, tmp_path_factory.mktemp("refusals"))


@pytest.fixture(scope="module")
def silent(store):
    return mixjobs.load_mixture(store, shared=(), outside="nan")


@pytest.fixture(scope="module")
def loud(store):
    return mixjobs.load_mixture(store, shared=())


@pytest.mark.parametrize(("wrong", "name", "value", "text"), INVALID)
def test_outside_is_refused_with_the_component_and_the_reason(loud, wrong, name, value, text):
    for evaluate in (loud, loud.light, loud.parts, lambda values: list(loud.stream(values))):
        with pytest.raises(OutsideGrid, match=text) as error:
            evaluate(GOOD | wrong)
        assert error.value.name == name
        np.testing.assert_array_equal(error.value.value, value)
        assert "\n" not in str(error.value)


def test_outside_is_nan_in_exactly_the_invalid_samples(silent):
    """Neighbouring samples are unaffected, and there is no warning."""
    rows = [GOOD]
    for wrong, *_ in INVALID:
        rows += [GOOD | wrong, GOOD | {"teff_1": 7000 + 10 * len(rows)}]
    table = np.array([[row[name] for name in silent.parameters] for row in rows])
    bad = np.arange(len(rows)) % 2 == 1
    good = table[~bad]
    parts, light = silent.parts(table), silent.light(table)
    assert np.isnan(light[bad]).all()
    np.testing.assert_allclose(light[~bad], silent.light(good), rtol=1e-12)
    for m, f in enumerate(silent(table)):
        assert np.isnan(f[bad]).all()
        np.testing.assert_allclose(f[~bad], silent(good)[m], rtol=0, atol=1e-12)
        assert np.isnan(parts[m][bad]).all()
        np.testing.assert_allclose(parts[m][~bad], silent.parts(good)[m], rtol=0, atol=1e-12)
    for block in silent.stream(table, errors=True):
        wrong = bad[block.samples]
        assert np.isnan(block.error.columns[wrong]).any(axis=(1, 2)).all()
        for values in vars(block.error).values():
            assert np.isfinite(values[~wrong]).all()
        np.testing.assert_array_equal(np.isnan(block.level), wrong)


def test_faces_of_the_grid_and_of_holes_are_valid(silent):
    for theta in ([7000, 0.5, -0.5], [8000, 1.0, 0.0], [7500, 0.5, -0.3], [8000, 1.5, 0.0]):
        star = dict(zip(("teff_1", "logg_1", "feh_1"), theta, strict=True))
        for c in (0.0, 1.0):
            assert np.isfinite(silent(GOOD | star | {"c": c})[0]).all()


def test_the_buffer_limits_the_sum_of_both_velocities(silent):
    limit = silent.sources[0].max_velocity
    assert 90 < limit < 250  # max_rv and max_vsini, and the buffer for the instrument
    for vsini, rv in ((0.0, limit), (limit, 0.0), (limit / 2, -limit / 2)):
        within = {"vsini_1": vsini * (1 - 1e-9), "rv_1": rv * (1 - 1e-9)}
        assert np.isfinite(silent(GOOD | within)[0]).all()
        beyond = {"vsini_1": vsini * (1 + 1e-9), "rv_1": rv * (1 + 1e-9)}
        assert np.isnan(silent(GOOD | beyond)[0]).all()


@pytest.mark.parametrize("c", [(0.7, 0.4), (-0.1, 0.5), (np.inf, -np.inf), (0.5, np.inf)])
def test_filling_factors_sum_to_at_most_one(store, c):
    several = {f"teff_{k}": 7200 for k in (1, 2, 3)} | {"logg": 1, "feh": 0, "vsini": 0, "rv": 0}
    values = several | {"c_2": c[0], "c_3": c[1]}
    with pytest.raises(OutsideGrid, match="a sum of at most 1") as error:
        mixjobs.load_mixture(store, 3)(values)
    assert (error.value.name, error.value.value) == ("c", c)
    assert np.isnan(mixjobs.load_mixture(store, 3, outside="nan")(values)[0]).all()


def test_extreme_solid_angles(store):
    values = {"teff": 7200, "logg": 1, "feh": 0, "vsini": 0, "rv": 0}
    silent = mixjobs.load_mixture(store, 1, weighting="log_omega", outside="nan")
    f = silent(values | {"log_omega": [-np.inf, -400, -20, 90, 400, np.inf]})[0]
    assert np.isnan(f).all(axis=1).tolist() == [False] * 4 + [True] * 2
    assert (f[:2] == 0).all()
    list(silent.stream(values | {"log_omega": 90}, errors=True))
    with pytest.raises(OutsideGrid, match="at most 100") as error:
        mixjobs.load_mixture(store, 1, weighting="log_omega")(values | {"log_omega": 400})
    assert (error.value.name, error.value.value) == ("log_omega", (400,))


def test_a_blackbody_needs_a_temperature(store):
    model = mixjobs.load_mixture(store, ["library", "blackbody"], outside="nan")
    values = {"teff_1": 7100, "logg": 1, "feh": 0, "vsini": 0, "rv": 0, "c": 0.2}
    loud = mixjobs.load_mixture(store, ["library", "blackbody"])
    low, high = BLACKBODY_TEFF
    for teff in (0.0, -5.0, np.inf, low / 2, high * 2):
        assert np.isnan(model(values | {"teff_2": teff})[0]).all()
        with pytest.raises(OutsideGrid, match=r"^component 2: ") as error:
            loud(values | {"teff_2": teff})
        assert (error.value.name, error.value.value) == ("teff_2", teff)
    assert np.isfinite(model(values | {"teff_2": [low, high]})[0]).all()


@pytest.mark.parametrize(
    ("wrong", "name", "text"),
    [
        ({"c": None}, "c", r"the parameters are teff_1, teff_2, .*, c"),
        ({"teff_1": None, "rv_2": None}, "teff_1", r"missing teff_1, rv_2; "),
        ({"teff": 7100}, "teff", r"the parameters are teff_1, teff_2"),
        ({"rv_1": np.nan}, "rv_1", "NaN"),
        ({"logg_2": [1.0, np.nan]}, "logg_2", "NaN"),
        ({"c": "half"}, "c", "expected numbers"),
        ({"c": [0.1, 0.2], "rv_1": [1, 2, 3]}, "values", r"rv_1 \(3,\).*c \(2,\)"),
    ],
)
def test_parameters_that_are_not_valid(loud, silent, wrong, name, text):
    values = {k: v for k, v in (GOOD | wrong).items() if v is not None}
    for model in (loud, silent):
        with pytest.raises(InvalidInput, match=text) as error:
            model(values)
        assert error.value.name == name
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(), (10,), (12,), (11, 1), (3, 10)])
def test_parameters_of_a_wrong_shape(silent, shape):
    with pytest.raises(InvalidInput, match=r"expected \(\.\.\., 11\): teff_1, teff_2,") as error:
        silent(np.ones(shape))
    assert (error.value.name, error.value.value) == ("values", shape)


def test_a_fixed_parameter_cannot_be_given(store):
    model = mixjobs.load_mixture(store, shared=(), fixed={"c": 0.3})
    with pytest.raises(InvalidInput, match=r"fixed at 0.3") as error:
        model(GOOD)
    assert error.value.name == "c"


def test_quantities_by_name_are_converted(loud):
    with_units = GOOD | {
        "teff_1": 7.1 * units.kK, "rv_1": 10_000 * units.m / units.s, "c": 30 * units.percent,
        "logg_1": 0.6 * units.dex(units.cm / units.s**2), "feh_1": -0.2 * units.dex,
    }  # fmt: skip
    for got, expected in zip(loud(with_units), loud(GOOD), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("teff_1", 7100 * units.km / units.s),
        ("rv_2", -20 * units.AA),
        ("feh_1", -0.2 * units.K),
        ("c", 0.3 * units.dex),
    ],
)
def test_quantities_of_another_kind_are_refused(loud, name, value):
    with pytest.raises(InvalidInput) as error:
        loud(GOOD | {name: value})
    assert error.value.name == name


def test_an_array_of_all_parameters_has_no_unit(loud):
    with pytest.raises(InvalidInput) as error:
        loud(np.ones(11) * units.K)
    assert error.value.name == "values"


def test_options_with_units(store):
    def spectra(**options):
        return mixjobs.load_mixture(store, shared=(), **options)(GOOD)

    plain = spectra(wavelengths=PIXELS, fwhm=10.0)
    in_nm = {number: wave / 10 * units.nm for number, wave in PIXELS.items()}
    with_units = spectra(wavelengths=in_nm, fwhm=1e4 * units.m / units.s)
    for got, expected in zip(with_units, plain, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)
    fixed = mixjobs.load_mixture(store, fixed={"rv": 500 * units.m / units.s})
    assert fixed.layout.fixed == {"rv": 0.5}
    for wrong in ({"fixed": {"rv": 5 * units.K}}, {"resolution": 3e4 * units.AA}):
        with pytest.raises(InvalidInput) as error:
            mixjobs.load_mixture(store, **wrong)
        assert error.value.name in ("rv", "resolution")


def test_the_keys_of_the_wavelengths_are_the_orders(store):
    model = mixjobs.load_mixture(store, wavelengths={8: PIXELS[8]})
    assert model.orders.number.tolist() == [8]
    turned = mixjobs.load_mixture(store, wavelengths={8: PIXELS[8], 7: PIXELS[7]})
    assert turned.orders.number.tolist() == [8, 7]
    np.testing.assert_array_equal(turned.wavelength[0], PIXELS[8])
    with pytest.raises(InvalidInput, match="no order 9"):
        mixjobs.load_mixture(store, wavelengths={9: PIXELS[8]})


def test_it_describes_itself_in_a_few_lines(loud):
    lines = repr(loud).splitlines()
    assert lines[0] == "<MixtureModel>"
    assert len(lines) < 10
    assert "teff_1, teff_2" in repr(loud)
    assert "2 (7 to 8)" in repr(loud)
    assert "<table>" in loud._repr_html_()


PIXELS = {7: some_pixels(7, 2.0, 50), 8: some_pixels(8, 2.0, 50)}
BOTH = tuple(PIXELS.values())


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"components": 0}, "components", 0),
        ({"components": []}, "components", []),
        ({"components": "library"}, "components", "library"),
        ({"components": 2.0}, "components", 2.0),
        ({"shared": ("rv", "logg", "rv")}, "shared", "rv"),
        ({"shared": ("mass",)}, "shared", "mass"),
        ({"fixed": {"rv_1": 0}}, "rv_1", 0),
        ({"fixed": {"rv": np.nan}}, "rv", np.nan),
        ({"fixed": {"rv": [1, 2]}}, "rv", [1, 2]),
        ({"fixed": {"rv": "x"}}, "rv", "x"),
        ({"fixed": dict.fromkeys(("teff_1", "teff_2", "logg", "feh", "vsini", "rv", "c"), 0)},
         "fixed", None),
        ({"orders": 7}, "orders", 7),
        ({"method": "nearest"}, "method", "nearest"),
        ({"method": "pairwise"}, "method", "pairwise"),
        ({"weighting": "light"}, "weighting", "light"),
        ({"outside": "zero"}, "outside", "zero"),
        ({"limb_darkening": 1.2}, "limb_darkening", 1.2),
        ({"resolution": 30_000, "library_resolution": 20_000}, "library_resolution", 20_000),
        ({"resolution": 30_000, "fwhm": 5.0}, "resolution", 30_000),
        ({"resolution": [1e4, 2e4, 3e4]}, "resolution", [1e4, 2e4, 3e4]),
        ({"resolution": 300}, "resolution", None),
        ({"fwhm": -1.0}, "fwhm", -1.0),
        ({"medium": "Air"}, "medium", "Air"),
        ({"wavelengths": BOTH[:1]}, "wavelengths", 1),
        ({"wavelengths": 5.0}, "wavelengths", 5.0),
        ({"wavelengths": ["a", "b"]}, "wavelengths", "a"),
    ],
)  # fmt: skip
def test_options_that_are_not_valid(store, options, name, value):
    with pytest.raises(InvalidInput) as error:
        mixjobs.load_mixture(store, **options)
    assert error.value.name == name
    assert error.value.value == pytest.approx(value, nan_ok=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("wavelengths", "error", "order"),
    [
        (BOTH[::-1], OrderError, 7),
        ([np.append(5003.9, BOTH[0]), BOTH[1]], OrderError, 7),
        ([BOTH[0], np.append(BOTH[1], np.nan)], OrderError, 8),
        ([BOTH[0][::-1], BOTH[1]], InvalidInput, None),
        ([BOTH[0], BOTH[1][:1]], InvalidInput, None),
    ],
)
def test_wavelengths_that_are_not_valid(store, wavelengths, error, order):
    with pytest.raises(error) as caught:
        mixjobs.load_mixture(store, wavelengths=wavelengths)
    assert caught.value.order == order
    assert isinstance(caught.value, MixjobsError)
    assert "\n" not in str(caught.value)


def test_every_order_needs_wavelengths(store):
    with pytest.raises(InvalidInput) as error:
        mixjobs.load_mixture(store, orders=[7, 8], wavelengths={7: BOTH[0]})
    assert (error.value.name, error.value.order) == ("wavelengths", 8)


def test_an_order_that_the_store_does_not_have(store):
    with pytest.raises(InvalidInput, match="no order 9"):
        mixjobs.load_mixture(store, orders=[7, 9])


@pytest.mark.parametrize("options", [{"medium": "air"}, {"orders": [8]}])
def test_wavelengths_that_are_valid(store, options):
    mixjobs.load_mixture(store, wavelengths=PIXELS, **options)


def test_an_order_without_an_emulator(tmp_path):
    orders = mixjobs.Orders([7, 3], [5004, 5000.5], [5011, 5004])
    store = store_of(LIBRARY, tmp_path, orders=orders, short_buffer="skip")
    assert mixjobs.load_mixture(store).orders.number.tolist() == [7]
    with pytest.raises(InvalidInput, match=r"^order 3 has no emulator: order 3 ") as error:
        mixjobs.load_mixture(store, orders=[7, 3])
    assert (error.value.name, error.value.order) == ("orders", 3)


def test_a_store_without_an_emulator(tmp_path):
    path = LIBRARY.write(tmp_path / "library.hdf5")
    mixjobs.build(path, ORDERS, tmp_path / "store", table=False)
    with pytest.raises(StoreError, match="has no emulator") as error:
        mixjobs.load_mixture(tmp_path / "store")
    assert error.value.path == str(tmp_path / "store")
