"""What a mixture model does not answer, and what it is not made from."""

import re

import numpy as np
import pytest

import mixjobs
from mixjobs.errors import InvalidInput, MixjobsError, OrderError, OutsideGrid, StoreError
from tests.helpers.mixture_stores import ORDERS, demo_library, some_pixels, store_of

# With a hole: PHOENIX has no (8000, 0.5), and so no cell beside it.
LIBRARY = demo_library(
    {"teff": (7000, 7500, 8000), "logg": (0.5, 1.0, 1.5), "feh": (-0.5, 0.0)}, holes="phoenix"
)
GOOD = {
    "teff_1": 7100, "teff_2": 7700, "logg_1": 0.6, "logg_2": 1.2, "feh_1": -0.2, "feh_2": -0.4,
    "vsini_1": 3.0, "vsini_2": 9.0, "rv_1": 10.0, "rv_2": -20.0, "c": 0.3,
}  # fmt: skip
BEYOND = r"go beyond the emulator's buffer, which leaves [\d.]+ km/s for both; build it"
UNANSWERED = [
    ({"teff_1": 6999.9}, r"component 1: teff = 6999.9 is outside the grid, 7000 to 8000"),
    ({"teff_2": 8000.1}, r"component 2: teff = 8000.1 is outside the grid"),
    ({"logg_2": -np.inf}, r"component 2: logg = -inf is outside the grid"),
    ({"feh_1": 1e308}, r"component 1: feh = 1e\+308 is outside the grid"),
    ({"teff_2": 7700, "logg_2": 0.7}, r"component 2: \(teff=7700, logg=0.7, feh=-0.4\) needs "
                                      r"\(teff=8000, logg=0.5, feh=-0.5\), which the library"),
    ({"teff_1": 8000, "logg_1": 0.5, "feh_1": 0.0}, r"component 1: .* is a hole"),
    ({"c": -1e-9}, r"c = -1e-09: expected fractions, from 0 to 1"),
    ({"c": 1 + 1e-9}, r"c = 1: expected fractions"),
    ({"c": np.inf}, r"c = inf: expected fractions"),
    ({"vsini_1": -0.1}, r"component 1: vsini = -0.1 km/s is negative"),
    ({"vsini_2": -np.inf}, r"component 2: vsini = -inf km/s is negative"),
    ({"rv_1": 200.0}, r"component 1: rv = 200 and vsini = 3 km/s " + BEYOND),
    ({"rv_2": -np.inf}, r"component 2: rv = -inf and vsini = 9 km/s " + BEYOND),
    ({"vsini_2": 1e308, "rv_2": 1e308}, r"component 2: rv = 1e\+308 and vsini = 1e\+308 km/s "
                                        + BEYOND),
    ({"vsini_1": 80.0, "rv_1": -80.0}, r"component 1: rv = -80 and vsini = 80 km/s " + BEYOND),
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


@pytest.mark.parametrize(("wrong", "said"), UNANSWERED)
def test_outside_is_refused_with_the_component_and_the_reason(loud, wrong, said):
    for ask in (loud, loud.light, loud.parts, lambda values: list(loud.stream(values))):
        with pytest.raises(OutsideGrid, match=said) as error:
            ask(GOOD | wrong)
        assert "\n" not in str(error.value)


def test_outside_is_nan_in_the_rows_that_deserve_it(silent):
    """And only there, whatever their neighbours; no warning, for these are errors here."""
    rows = [GOOD]
    for wrong, _ in UNANSWERED:
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
        wrong = bad[block.rows]
        assert np.isnan(block.error[wrong]).all()
        assert np.isfinite(block.error[~wrong]).all()
        np.testing.assert_array_equal(np.isnan(block.level), wrong)


def test_the_faces_of_the_grid_and_beside_a_hole_are_inside(silent):
    for theta in ([7000, 0.5, -0.5], [8000, 1.0, 0.0], [7500, 0.5, -0.3], [8000, 1.5, 0.0]):
        star = dict(zip(("teff_1", "logg_1", "feh_1"), theta, strict=True))
        for c in (0.0, 1.0):
            assert np.isfinite(silent(GOOD | star | {"c": c})[0]).all()


def test_what_is_left_for_both_velocities(silent):
    reach = silent.sources[0].max_velocity
    assert 90 < reach < 250  # max_rv and max_vsini, and what is kept for the instrument
    for vsini, rv in ((0.0, reach), (reach, 0.0), (reach / 2, -reach / 2)):
        within = {"vsini_1": vsini * (1 - 1e-9), "rv_1": rv * (1 - 1e-9)}
        assert np.isfinite(silent(GOOD | within)[0]).all()
        beyond = {"vsini_1": vsini * (1 + 1e-9), "rv_1": rv * (1 + 1e-9)}
        assert np.isnan(silent(GOOD | beyond)[0]).all()


@pytest.mark.parametrize("c", [(0.7, 0.4), (-0.1, 0.5), (np.inf, -np.inf), (0.5, np.inf)])
def test_fractions_that_are_none_together(store, c):
    several = {f"teff_{k}": 7200 for k in (1, 2, 3)} | {"logg": 1, "feh": 0, "vsini": 0, "rv": 0}
    values = several | {"c_2": c[0], "c_3": c[1]}
    with pytest.raises(OutsideGrid, match=r"c = \S+, \S+: expected fractions.* together too"):
        mixjobs.load_mixture(store, 3)(values)
    assert np.isnan(mixjobs.load_mixture(store, 3, outside="nan")(values)[0]).all()


def test_a_solid_angle_without_bounds(store):
    values = {"teff": 7200, "logg": 1, "feh": 0, "vsini": 0, "rv": 0}
    silent = mixjobs.load_mixture(store, 1, weighting="log_omega", outside="nan")
    f = silent(values | {"log_omega": [-np.inf, -400, -20, 90, 400, np.inf]})[0]
    assert np.isnan(f).all(axis=1).tolist() == [False] * 4 + [True] * 2
    assert (f[:2] == 0).all()
    list(silent.stream(values | {"log_omega": 90}, errors=True))
    with pytest.raises(OutsideGrid, match="log_omega = 400: expected at most 100"):
        mixjobs.load_mixture(store, 1, weighting="log_omega")(values | {"log_omega": 400})


def test_a_black_body_without_a_temperature(store):
    model = mixjobs.load_mixture(store, ["library", "blackbody"], outside="nan")
    values = {"teff_1": 7100, "logg": 1, "feh": 0, "vsini": 0, "rv": 0, "c": 0.2}
    loud = mixjobs.load_mixture(store, ["library", "blackbody"])
    for teff in (0.0, -5.0, np.inf):
        assert np.isnan(model(values | {"teff_2": teff})[0]).all()
        with pytest.raises(OutsideGrid, match="component 2: a black body has no temperature of"):
            loud(values | {"teff_2": teff})
    assert np.isfinite(model(values | {"teff_2": [1.0, 1e9]})[0]).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"c": None}, r"parameters lack c; there are teff_1, teff_2, .*, c"),
        ({"teff_1": None, "rv_2": None}, r"parameters lack teff_1, rv_2; there are"),
        ({"teff": 7100}, r"unknown parameter 'teff'; there are teff_1, teff_2"),
        ({"rv_1": np.nan}, r"rv_1 is NaN; expected a number"),
        ({"logg_2": [1.0, np.nan]}, r"logg_2 is NaN"),
        ({"c": "half"}, r"parameters 'half' are not made of numbers"),
        ({"c": [0.1, 0.2], "rv_1": [1, 2, 3]}, r"do not broadcast: .*rv_1 \(3,\).*c \(2,\)"),
    ],
)
def test_parameters_that_cannot_be_read(loud, silent, wrong, said):
    values = {k: v for k, v in (GOOD | wrong).items() if v is not None}
    for model in (loud, silent):
        with pytest.raises(InvalidInput, match=said) as error:
            model(values)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(), (10,), (12,), (11, 1), (3, 10)])
def test_parameters_of_a_wrong_shape(silent, shape):
    said = re.escape(f"parameters of shape {shape}; expected (..., 11): teff_1, teff_2,")
    with pytest.raises(InvalidInput, match=said):
        silent(np.ones(shape))


def test_a_fixed_parameter_is_not_given_again(store):
    model = mixjobs.load_mixture(store, shared=(), fixed={"c": 0.3})
    with pytest.raises(InvalidInput, match=r"c is fixed at 0.3; leave it out"):
        model(GOOD)


PIXELS = {7: some_pixels(7, 2.0, 50), 8: some_pixels(8, 2.0, 50)}
BOTH = tuple(PIXELS.values())


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"components": 0}, InvalidInput, r"0 components; expected 1 or more"),
        ({"components": []}, InvalidInput, r"components \[\]: expected a number, or a list of"),
        ({"components": "library"}, InvalidInput, r"components 'library': expected a number"),
        ({"shared": ("rv", "logg", "rv")}, InvalidInput, r"'rv' is there twice; there are teff"),
        ({"shared": ("mass",)}, InvalidInput, r"unknown 'mass'; there are teff, logg, feh"),
        ({"fixed": {"rv_1": 0}}, InvalidInput, r"cannot fix 'rv_1'; there are .*, rv, c"),
        ({"fixed": {"rv": np.nan}}, InvalidInput, r"rv fixed at nan; expected one finite number"),
        ({"fixed": {"rv": [1, 2]}}, InvalidInput, r"rv fixed at \[1, 2\]; expected one finite"),
        ({"fixed": {"rv": "x"}}, InvalidInput, r"'x' are not made of numbers"),
        ({"fixed": dict.fromkeys(("teff_1", "teff_2", "logg", "feh", "vsini", "rv", "c"), 0)},
         InvalidInput, r"every parameter is fixed; leave at least one free"),
        ({"orders": [7, 9]}, InvalidInput, r"there is no order 9; choose from 7, 8"),
        ({"method": "nearest"}, InvalidInput, r"method 'nearest': expected cubic, linear, simplex"),
        ({"weighting": "light"}, InvalidInput, r"weighting 'light' is unknown; choose c or log_"),
        ({"outside": "zero"}, InvalidInput, r"outside 'zero' is unknown; choose raise or nan"),
        ({"limb_darkening": 1.2}, InvalidInput, r"limb darkening 1.2: expected 0 to 1"),
        ({"resolution": 30_000, "library_resolution": 20_000}, InvalidInput,
         r"an instrument of resolving power 30000 on a library of 20000"),
        ({"resolution": 30_000, "fwhm": 5.0}, InvalidInput, r"expected one of them"),
        ({"resolution": [1e4, 2e4, 3e4]}, InvalidInput, r"expected one number, or one for each of "
                                                        r"2 orders"),
        ({"fwhm": -1.0}, InvalidInput, r"fwhm = -1: expected a finite number above 0"),
        ({"wavelengths": BOTH[:1]}, InvalidInput, r"1 arrays of wavelengths for 2 orders"),
        ({"wavelengths": {7: BOTH[0]}}, InvalidInput, r"wavelengths lack order 8"),
        ({"wavelengths": BOTH[::-1]}, OrderError, r"order 7 goes from 5004 to 5011 Å, its wave"),
        ({"wavelengths": [np.append(5003.9, BOTH[0]), BOTH[1]]}, OrderError,
         r"order 7 goes from 5004 to 5011 Å, its wavelengths from 5003.9 to .* \(vacuum\); cut"),
        ({"wavelengths": [BOTH[0][::-1], BOTH[1]]}, InvalidInput, r"expected strictly ascending"),
        ({"wavelengths": [BOTH[0], BOTH[1][:1]]}, InvalidInput, r"at least two pixels"),
        ({"wavelengths": [BOTH[0], np.append(BOTH[1], np.nan)]}, OrderError, r"order 8 .* nan"),
        ({"wavelengths": 5.0}, InvalidInput, r"wavelengths 5.0: expected one array an order"),
        ({"wavelengths": ["a", "b"]}, InvalidInput, r"wavelengths 'a': expected arrays of numbers"),
        ({"medium": "Air"}, InvalidInput, r"medium 'Air': expected air or vacuum"),
        ({"orders": 7}, InvalidInput, r"orders 7: expected a list of order numbers"),
        ({"components": 2.0}, InvalidInput, r"components 2.0: expected a number, or a list"),
        ({"method": "pairwise"}, InvalidInput, r"method 'pairwise': expected cubic, linear"),
        ({"resolution": 300}, InvalidInput, r"too short for this resolution; .*--min-resolution"),
        ({"wavelengths": BOTH, "medium": "air"}, None, None),
        ({"wavelengths": PIXELS, "orders": [8]}, None, None),
    ],
)  # fmt: skip
def test_what_a_model_is_not_made_from(store, options, error, said):
    if error is None:
        mixjobs.load_mixture(store, **options)
        return
    with pytest.raises(error, match=said) as caught:
        mixjobs.load_mixture(store, **options)
    assert isinstance(caught.value, MixjobsError)
    assert "\n" not in str(caught.value)


def test_an_order_without_an_emulator(tmp_path):
    orders = mixjobs.Orders([7, 3], [5004, 5000.5], [5011, 5004])
    store = store_of(LIBRARY, tmp_path, orders=orders, short_buffer="skip")
    assert mixjobs.load_mixture(store).orders.number.tolist() == [7]
    said = (
        r"^order 3 has no emulator: order 3 needs 4998\.\d+ to 5006\.\d+ Å with its buffer of "
        r"122 km/s; the library covers 5000 to 5021"
    )
    with pytest.raises(InvalidInput, match=said):
        mixjobs.load_mixture(store, orders=[7, 3])


def test_a_store_without_an_emulator(tmp_path):
    path = LIBRARY.write(tmp_path / "library.hdf5")
    mixjobs.build(path, ORDERS, tmp_path / "store", table=False)
    with pytest.raises(StoreError, match="has no emulator; build it with mixjobs build --emul"):
        mixjobs.load_mixture(tmp_path / "store")
