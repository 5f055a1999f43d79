"""The coverage of a planned fit, estimated from a store."""

import json
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest

import mixjobs
from mixjobs.errors import InvalidInput, OutsideGrid
from mixjobs.model.linear_mixture import linear_orders
from mixjobs.store.coverage import estimate_coverage
from mixjobs.store.emulator import read_order
from mixjobs.store.joint_error import read_joint_error
from tests.helpers.command import run
from tests.helpers.mixture_stores import demo_library, store_of

STAR = {"teff_1": 5750.0, "teff_2": 5150.0, "feh": -0.1}
FULL_ORDER = ("teff_1", "teff_2", "feh", "vsini", "rv", "c")
FULL_STAR = STAR | {"c": 0.3, "vsini": 5.0, "rv": 0.0}


def a_store(folder, step):
    axes = {"teff": range(4400, 6401, step), "logg": (4.5,), "feh": (-0.5, -0.25, 0.0, 0.25, 0.5)}
    return store_of(demo_library(axes), folder, accuracy={"rank": 10})


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return a_store(tmp_path_factory.mktemp("coverage"), 250)


def test_more_signal_makes_the_grid_too_coarse(path):
    faint, bright = (estimate_coverage(path, STAR, snr=snr) for snr in (10, 20_000))
    assert faint.parameters == FULL_ORDER
    assert faint.held == {}
    assert faint.dense_enough
    np.testing.assert_allclose(faint.now.joint, (0.68, 0.95), atol=0.01)
    assert not bright.dense_enough
    assert (bright.now.sd < faint.now.sd).all()
    assert (bright.now.bias / bright.now.sd).max() > 1
    assert faint.verdict != bright.verdict
    assert (bright.denser.bias < bright.now.bias).all()


def test_epochs_add_up(path):
    """Without an error of the spectrum, four epochs are worth twice the signal."""
    four = estimate_coverage(path, STAR, snr=10, epochs=4)
    once = estimate_coverage(path, STAR, snr=20)
    np.testing.assert_allclose(four.now.sd, once.now.sd, rtol=0.02)


def test_fewer_parameters_have_smaller_errors(path):
    everything = estimate_coverage(path, STAR, snr=100)
    some = estimate_coverage(path, STAR, snr=100, parameters=["teff_1", "c"], orders=[7, 8])
    assert some.parameters == ("teff_1", "c")
    assert some.held == {name: FULL_STAR[name] for name in ("teff_2", "feh", "vsini", "rv")}
    assert some.now.sd[0] < everything.now.sd[0]
    assert some.now.sd[1] < everything.now.sd[-1]
    assert some.assumed == ("c = 0.3", "vsini = 5", "rv = 0", "resolution = 20000")


def test_derivatives_and_errors_are_those_of_the_mixture(path):
    """Errors of the nodes' weights change the mixture as a store with these weights would."""
    store, numbers = mixjobs.open_store(path), [7, 8]
    emulators = [read_order(path, number)[0] for number in numbers]
    model = mixjobs.load_mixture(path, resolution=20_000, outside="nan")
    _, joint = read_joint_error(store, "cubic")
    rng = np.random.default_rng(1)
    errors = [[1e-6 * rng.normal(size=(2, e.rank + 1)) for e in emulators] for _ in range(2)]
    steps = {"teff_1": 1.0, "c": 1e-3, "rv": 0.1}
    orders = linear_orders(model, FULL_STAR, steps, joint.columns, errors, degree=2)
    samples, _ = model.read({name: [value] for name, value in FULL_STAR.items()})
    for m, order in enumerate(orders):
        for p, (name, step) in enumerate(steps.items()):
            ends = []
            for sign in (1, -1):
                values = FULL_STAR | {name: FULL_STAR[name] + sign * step}
                light = model.light(values)[:, m].sum()
                ends.append(model(values)[m] / light)
            np.testing.assert_allclose(
                order.slopes[:, p], (ends[0] - ends[1]) / (2 * step), atol=1e-10
            )
        light = model.light(FULL_STAR)[:, m]
        parts = model.parts(FULL_STAR)[m] / light[:, None]
        changed = []
        for e in range(2):
            components = model.order(samples, m).components
            spectra = []
            for k, component in enumerate(components):
                component.coefficients[:, 1:] += errors[k][m][e, :-1]
                spectra.append(component.spectrum(np.ones(1), slice(0, 1))[0])
                component.coefficients[:, 1:] -= errors[k][m][e, :-1]
            new_light = light * np.exp([errors[k][m][e, -1] for k in range(2)])
            changed.append(new_light @ spectra / new_light.sum() - light @ parts / light.sum())
        np.testing.assert_allclose(order.errors, np.array(changed).T, atol=1e-11)
        np.testing.assert_allclose(order.design[:, 0], light @ parts / light.sum(), rtol=1e-10)


def test_the_stated_error_is_that_of_the_likelihood(path):
    model = mixjobs.load_mixture(path, resolution=20_000, outside="nan")
    store, ranks = mixjobs.open_store(path), [read_order(path, n)[0].rank for n in (7, 8)]
    _, joint = read_joint_error(store, "cubic")
    none = [[np.zeros((1, rank + 1)) for rank in ranks]] * 2
    orders = linear_orders(model, FULL_STAR, {"c": 1e-3}, joint.columns, none, degree=2)
    for batch in model.stream(FULL_STAR, errors=True):
        order, error, level = orders[batch.order_index], batch.error, batch.level[0]
        flux = batch.flux[0] / level
        columns = (error.columns[0] - np.outer(flux, error.level[0])) / level
        n_common = error.common.shape[2]
        for mine, part in (
            (order.common, columns[:, :n_common]),
            (order.own, columns[:, n_common:]),
        ):
            expected = part @ part.T
            scale = np.abs(expected).max()
            np.testing.assert_allclose(mine @ mine.T, expected, atol=2e-3 * scale)


@pytest.mark.parametrize(
    ("star", "options", "error", "name"),
    [
        (STAR | {"teff_2": 4400.0}, {}, InvalidInput, "teff_2"),
        (STAR | {"teff_2": 4300.0}, {}, OutsideGrid, "teff_2"),
        (STAR | {"rv": 500.0}, {}, OutsideGrid, "rv"),
        (STAR | {"c": 0.0}, {}, InvalidInput, "c"),
        (STAR | {"logz": 0.0}, {}, InvalidInput, "logz"),
        (STAR | {"logg": 4.0}, {}, InvalidInput, "logg"),
        (STAR | {"logg_2": 4.0}, {}, InvalidInput, "logg_2"),
        ({"teff_1": 5000.0}, {}, InvalidInput, "teff_2"),
        (STAR | {"teff_2": STAR["teff_1"]}, {}, InvalidInput, "parameters"),
        (STAR, {"parameters": ["teff_1", "teff_1"]}, InvalidInput, "parameters"),
        (STAR, {"parameters": ["logg"]}, InvalidInput, "parameters"),
        (STAR, {"parameters": []}, InvalidInput, "parameters"),
        (STAR, {"snr": 0.5}, InvalidInput, "snr"),
        (STAR, {"snr": np.nan}, InvalidInput, "snr"),
        (STAR, {"snr": "100"}, InvalidInput, "snr"),
        (STAR, {"snr": 100 * u.km}, InvalidInput, "snr"),
        (STAR, {"epochs": 1.5}, InvalidInput, "epochs"),
        (STAR, {"degree": -1}, InvalidInput, "degree"),
        (STAR, {"parameters": "teff_1"}, InvalidInput, "parameters"),
        (STAR | {"teff_1": "5750"}, {}, InvalidInput, "teff_1"),
        (STAR | {"teff_1": [5750.0, 5800.0]}, {}, InvalidInput, "teff_1"),
        (STAR | {"teff_1": np.nan}, {}, InvalidInput, "teff_1"),
        (STAR | {"teff_1": 5750 * u.km}, {}, InvalidInput, "teff_1"),
        ([5750.0, 5150.0], {}, InvalidInput, "star"),
        (STAR, {"epochs": 0}, InvalidInput, "epochs"),
        (STAR, {"orders": [99]}, InvalidInput, "orders"),
        (STAR, {"resolution": 100.0}, InvalidInput, "resolution"),
    ],
)
def test_a_plan_that_cannot_be(path, star, options, error, name):
    with pytest.raises(error) as refused:
        estimate_coverage(path, star, **{"snr": 100, **options})
    assert refused.value.name == name


@pytest.mark.parametrize("constants", [{"logg": 4.5}, {"logg_1": 4.5, "logg_2": 4.5}])
def test_the_only_value_of_an_axis_may_be_given(path, constants):
    plain, given = (estimate_coverage(path, STAR | more, snr=100) for more in ({}, constants))
    assert given.star == plain.star == FULL_STAR
    assert given.now.sd.tolist() == plain.now.sd.tolist()


def test_another_value_than_the_only_one_is_named(path):
    with pytest.raises(InvalidInput, match=r"logg = 4: the library has only 4\.5"):
        estimate_coverage(path, STAR | {"logg": 4.0}, snr=100)


@pytest.mark.parametrize(
    ("name", "value", "extent"),
    [("c", 0.0, "0 to 1"), ("c", 1.0, "0 to 1"), ("vsini", 0.0, "0 or more")],
)
def test_the_end_of_a_range_is_not_that_of_the_grid(path, name, value, extent):
    with pytest.raises(InvalidInput) as refused:
        estimate_coverage(path, STAR | {name: value}, snr=100)
    assert refused.value.name == name
    text = f"{name} = {value:g} is too close to the end of its range ({extent})"
    assert text in str(refused.value)
    assert "grid" not in str(refused.value)
    without_light = {("c", 0.0): "teff_2", ("c", 1.0): "teff_1"}.get((name, value))
    others = [other for other in FULL_STAR if other not in (name, without_light)]
    held = estimate_coverage(path, STAR | {name: value}, snr=100, parameters=others)
    assert held.star[name] == value


def test_parameters_that_the_data_do_not_determine_are_named(path):
    faint = estimate_coverage(path, STAR, snr=1)
    assert faint.now.sd[-1] > 1
    assert "c" in faint.verdict.split(":")[0]
    assert faint.verdict != estimate_coverage(path, STAR, snr=200).verdict


def test_the_verdict_is_a_plain_sentence(path):
    """Each of the four verdicts, with the numbers of the table."""
    good = estimate_coverage(path, STAR, snr=200)
    good = replace(good, now=replace(good.now, joint=np.array([0.68, 0.95])))
    name = good.parameters[int(np.argmax(good.now.bias / good.now.sd))]
    times = f"{(good.now.bias / good.now.sd).max():.2g} times its standard error"
    now, denser = (f"{100 * c.joint[1]:.0f} % of cases" for c in (good.now, good.denser))
    start = "the grid is dense enough for this star: the joint 95 % region would contain the truth"
    assert good.verdict == (
        f"{start} in {now}, and interpolation would not shift any parameter by more than {times} "
        f"(the largest shift is that of {name})"
    )
    biased = replace(good, now=replace(good.now, bias=0.75 * good.now.sd))
    assert biased.verdict == (
        f"{start} in {now}; but interpolation would shift teff_1 by 0.75 times its standard error, "
        "and a denser grid would give narrower intervals"
    )
    coarse = replace(biased, now=replace(biased.now, joint=np.array([0.3, 0.62])))
    assert coarse.verdict == (
        "the grid is too coarse for this star: the joint 95 % region would contain the truth in "
        f"62 % of cases ({denser} with two more values on each axis), and interpolation would "
        "shift teff_1 by 0.75 times its standard error"
    )
    lost = replace(good, now=replace(good.now, sd=1e6 * good.now.sd))
    assert lost.verdict.startswith("the data do not constrain teff_1, teff_2, feh, c: the standard")


def test_quantities_and_numpy_scalars_are_numbers(path):
    plain = estimate_coverage(path, STAR | {"rv": 5.0}, snr=100)
    star = STAR | {"teff_1": STAR["teff_1"] * u.K, "rv": 5000 * u.m / u.s}
    other = estimate_coverage(path, star | {"feh": np.float64(STAR["feh"])}, snr=np.int64(100))
    np.testing.assert_allclose(other.now.sd, plain.now.sd)


def test_an_axis_with_two_values_is_named(tmp_path):
    axes = {"teff": range(5000, 6001, 250), "logg": (4.5,), "feh": (-0.5, 0.0)}
    store = store_of(demo_library(axes), tmp_path, accuracy={"rank": 6})
    estimate = estimate_coverage(store, STAR | {"teff_2": 5300.0}, snr=100)
    assert any("feh" in text for text in estimate.assumed)
    assert not any("teff" in text for text in estimate.assumed)


@pytest.mark.parametrize(
    ("limits", "held"),
    [
        ({"max_rv": 0}, {"rv": 0.0}),
        ({"max_vsini": 0}, {"vsini": 0.0}),
        ({"max_rv": 0, "max_vsini": 0}, {"vsini": 0.0, "rv": 0.0}),
    ],
)
def test_velocities_for_which_the_store_was_not_built_are_held(tmp_path, limits, held):
    axes = {"teff": range(5000, 6001, 250), "logg": (4.5,), "feh": (-0.5, -0.25, 0.0)}
    store = store_of(demo_library(axes), tmp_path, accuracy={"rank": 6}, **limits)
    star = STAR | {"teff_2": 5300.0}
    estimate = estimate_coverage(store, star, snr=100)
    assert estimate.held == held
    assert not any(text.startswith(f"{name} = ") for text in estimate.assumed for name in held)
    assert estimate.star == FULL_STAR | star | held
    assert estimate.parameters == tuple(name for name in FULL_ORDER if name not in held)
    text = ",".join(f"{name}={value:g}" for name, value in star.items())
    status, out, _, _ = run(["check", store, "--coverage", text, "--snr", 100])
    assert status == 0
    assert f"held: {', '.join(f'{name} = 0' for name in held)}\n" in out
    (name, *_) = held
    assert (
        name in estimate_coverage(store, star | {name: 5.0}, snr=100, parameters=[name]).parameters
    )


def test_a_store_without_an_emulator(tmp_path):
    library = demo_library({"teff": (5000, 5200), "logg": (4.5,), "feh": (0.0,)})
    store = mixjobs.build(
        library.write(tmp_path / "library.hdf5"), mixjobs.Orders([7], [5004], [5011]),
        tmp_path / "q.zarr",
    )  # fmt: skip
    with pytest.raises(mixjobs.StoreError):
        estimate_coverage(store, STAR, snr=100)


def test_the_command(path):
    text = ",".join(f"{name}={value:g}" for name, value in STAR.items())
    status, out, _, _ = run(["check", path, "--coverage", text, "--snr", 50, "--json"])
    assert status == 0
    content, estimate = json.loads(out), estimate_coverage(path, STAR, snr=50)
    assert content["verdict"] == estimate.verdict
    assert content["now"]["joint"] == estimate.now.joint.tolist()
    assert content["star"] == FULL_STAR
    status, out, _, _ = run(["check", path, "--coverage", text, "--snr", 50])
    assert status == 0
    assert estimate.verdict in " ".join(out.split())
    for words in (["--snr", 50], ["--coverage", text], ["--coverage", "5000,4", "--snr", 50]):
        status, _, err, _ = run(["check", path, *words])
        assert status == 2
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize("words", [["teff_1,c"], ["teff_1", "c"]])
def test_parameters_of_the_command(path, words):
    text = ",".join(f"{name}={value:g}" for name, value in STAR.items())
    options = ["--coverage", text, "--snr", 50, "--json", "--parameters", *words]
    status, out, _, _ = run(["check", path, *options])
    assert status == 0
    assert json.loads(out)["parameters"] == ["teff_1", "c"]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("teff_1,,c", "parameters = 'teff_1,,c': a name is missing at a comma"),
        (",teff_1", "a name is missing at a comma"),
        ("teff_1,teff_1", "parameters name teff_1 twice; give it once"),
        ("teff_1,colour", "parameters: unknown 'colour'; choose from teff_1, teff_2"),
    ],
)
def test_wrong_parameters_of_the_command(path, words, fault):
    text = ",".join(f"{name}={value:g}" for name, value in STAR.items())
    options = ["--coverage", text, "--snr", 50, "--parameters", words]
    status, _, err, _ = run(["check", path, *options])
    assert (status, len(err.splitlines())) == (2, 1)
    assert fault in err
