"""The likelihood from sufficient statistics agrees with that from pixels."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixjobs.inference.compression import Compression, Velocities, compress, obstacle
from mixjobs.inference.order_noise import OrderNoise
from mixjobs.inference.preparation import CompressionCheck, Preparation, rough_optimum
from mixjobs.inference.statistics import VelocityBox
from tests.helpers.small_fits import TRUTH, log_probability, observed, plan_of, true_x

BOX = VelocityBox((3.5, 6.5), (4.5, 7.5), 10.0)
DRAWN = settings(max_examples=15, deadline=None)
NOISE = OrderNoise(0.2, -2.1, 1.2, (0.9, 0.1, 0.0)), OrderNoise(0.5, -1.8, 0.9, (1.1, 0.0, 0.05))


def held_fit(store, n_epochs=1, correlated=True, emulator_error=True, components=2, **options):
    """A fit of two orders in some epochs, with the noise held or, if it is white, sampled."""
    velocities = (0.0, 2.0, -1.0)[:n_epochs]
    orders = [o for e in range(n_epochs) for o in observed(store, epoch=e)]
    plan = plan_of(store, orders, components, emulator_error=emulator_error, velocities=velocities)
    per_epoch = ["rv", "c"] if n_epochs > 1 else []
    fit = log_probability(plan, correlated=correlated, per_epoch=per_epoch, **options)
    if not correlated:
        return fit
    for name in ("ln_noise", "log_amplitude", "log_length"):
        fit = fit.fix(name, 0.0)
    return replace(fit, noise=NOISE * n_epochs)


def compressed(exact, boxes=None):
    """The same fit without pixels."""
    reference = dict(zip(exact.names, x_near(exact, 0), strict=True))
    n_epochs = len(exact.plan.epochs)
    return compress(exact, Compression(reference, boxes or (BOX,) * n_epochs))


def x_near(fit, seed, scale=1.0):
    """Parameters near the truth, with the velocities of every epoch inside its box."""
    rng = np.random.default_rng(seed)
    sizes = {"teff": 150, "feh": 0.1, "rv": 0.7, "vsini": 0.7, "c": 0.1, "ln": 0.2}
    x = []
    for name in fit.names:
        base = name.split("_e")[0]
        size = next(v for key, v in sizes.items() if base.startswith(key))
        epoch = int(name.partition("_e")[2] or 1) - 1
        shift = fit.plan.epochs[epoch].barycentric_velocity if base == "rv" else 0.0
        x.append(TRUTH.get(base, 0.0) + shift + scale * size * rng.uniform(-1, 1))
    return np.array(x)


VEILED, THREE = ["library", "blackbody"], ["library", "blackbody", "library"]
FITS = {
    "one epoch": (1, True), "white noise": (1, False), "three epochs": (3, True),
    "two epochs, white noise": (2, False), "a blackbody": (1, True, VEILED),
    "a blackbody in two epochs": (2, False, VEILED),
    "a blackbody first": (1, True, VEILED[::-1]),
    "three components": (1, True, THREE),
}  # fmt: skip


@pytest.fixture(scope="module", params=FITS.values(), ids=FITS.keys())
def pair(request, fit_store):
    """The fit from pixels, and without."""
    n_epochs, correlated, *others = request.param
    components = others[0] if others else 2
    settings = {"teff_3": 5200.0, "c_2": 0.3, "c_3": 0.2} if components == THREE else {}
    exact = held_fit(fit_store, n_epochs, correlated, components=components, settings=settings)
    return exact, compressed(exact)


@given(seed=st.integers(0, 10**6))
@DRAWN
def test_it_is_the_likelihood_from_pixels(pair, seed):
    """With coupled errors, several epochs, and white or correlated noise."""
    exact, without = pair
    x = np.array([x_near(exact, [seed, k]) for k in range(4)])
    np.testing.assert_allclose(without.by_order(x), exact.by_order(x), atol=2e-4)
    np.testing.assert_allclose(without(x), exact(x), atol=2e-4)


def test_it_agrees_at_the_nodes(fit_store):
    exact = held_fit(fit_store)
    without = compressed(exact)
    nodes = BOX.nodes()[[0, 20, 50, -1]]
    x = np.repeat(x_near(exact, 3)[None], len(nodes), axis=0)
    x[:, [exact.names.index("rv"), exact.names.index("vsini")]] = nodes
    np.testing.assert_allclose(without(x), exact(x), rtol=1e-8)


@pytest.mark.parametrize("teff", [1500.0, 3000.0, 9000.0, 1e5])
def test_a_hot_or_cold_blackbody(fit_store, teff):
    exact = held_fit(fit_store, components=VEILED, settings={"teff_2": teff})
    x = np.array([x_near(exact, k) for k in range(3)])
    np.testing.assert_allclose(compressed(exact)(x), exact(x), atol=2e-4)


def test_without_emulator_errors(fit_store):
    exact = held_fit(fit_store, emulator_error=False)
    x = np.array([x_near(exact, k) for k in range(4)])
    np.testing.assert_allclose(compressed(exact)(x), exact(x), atol=2e-4)


def test_identical_components_do_not_constrain_c(fit_store):
    exact = held_fit(fit_store)
    without = compressed(exact)
    x = np.repeat(x_near(exact, 1)[None], 5, axis=0)
    columns = {name: k for k, name in enumerate(exact.names)}
    x[:, columns["teff_2"]] = x[:, columns["teff_1"]]
    x[:, columns["c"]] = [0.0, 0.2, 0.5, 0.9, 1.0]
    assert np.ptp(without.log_likelihood(x)) < 1e-6


def test_the_probability_is_zero_outside_the_box(fit_store):
    exact = held_fit(fit_store)
    without = compressed(exact)
    for name, value in (("rv", 6.6), ("rv", 3.4), ("vsini", 4.4), ("vsini", 7.6)):
        x = x_near(exact, 1)
        x[exact.names.index(name)] = value
        assert np.isfinite(exact(x))
        assert without(x) == -np.inf


def test_a_velocity_that_is_fixed_has_one_node(fit_store):
    exact = held_fit(fit_store, settings={"vsini": 6.0})
    (box,) = Velocities.of(exact).boxes(exact, true_x(exact)[None], {"rv": 1.0, "vsini": 1.0})
    assert box.vsini == (6.0, 6.0)
    assert box.n_nodes(box.vsini) == 1
    without = compressed(exact, (box,))
    x = true_x(exact)
    assert without(x) == pytest.approx(exact(x), abs=2e-4)


def test_boxes_end_at_the_prior_and_follow_the_samples(fit_store):
    exact = held_fit(fit_store, settings={"vsini": {"uniform": [0, 7]}})
    rng = np.random.default_rng(1)
    x = np.repeat(true_x(exact)[None], 200, axis=0)
    x[:, exact.names.index("rv")] += rng.normal(0, 0.3, 200)
    velocities = Velocities.of(exact)
    (box,) = velocities.boxes(exact, x, {"rv": 0.1, "vsini": 2.0}, n_sd=5)
    assert box.vsini == (4.0, 7.0)
    assert box.rv == pytest.approx((3.5, 6.5), abs=0.3)
    assert velocities.near_edges(exact, (box,), x) == 0
    x[:10, exact.names.index("rv")] = box.rv[1] - 0.01
    x[:, exact.names.index("vsini")] = 7.0  # the end of the prior is not an edge
    assert velocities.near_edges(exact, (box,), x) == pytest.approx(0.05)


def test_workers_give_the_same_bits(fit_store, client):
    exact = held_fit(fit_store)
    remote = replace(held_fit(fit_store, client=client), noise=exact.noise)
    x = np.array([x_near(exact, k) for k in range(4)])
    assert (compressed(remote)(x) == compressed(exact)(x)).all()


def test_a_poor_compression_is_improved(fit_store):
    exact = held_fit(fit_store)
    reference = dict(zip(exact.names, true_x(exact), strict=True))
    begun = Preparation(exact, true_x(exact)[None], Compression(reference, (BOX,)))
    assert CompressionCheck(200, 0.01, 0.001, 0.0).passed
    coarse, small = CompressionCheck(200, 0.3, 0.1, 0.0), CompressionCheck(200, 0.01, 0.001, 0.01)
    assert not coarse.passed
    assert not small.passed
    finer = coarse.improved(begun).compression.boxes[0]
    assert (finer.rv, finer.density) == (BOX.rv, 1.5 * BOX.density)
    larger = small.improved(begun).compression.boxes[0]
    assert np.ptp(larger.rv) == pytest.approx(1.5 * np.ptp(BOX.rv))
    assert np.mean(larger.vsini) == pytest.approx(np.mean(BOX.vsini))
    again = Preparation.from_dict(exact, finer_dict := coarse.improved(begun).to_dict())
    assert again.to_dict() == finer_dict


def test_a_compression_that_stays_poor_gives_way_to_the_pixels(fit_store):
    """After some repeats, and where a box cannot grow: at vsini = 0, and at the limit."""
    exact = held_fit(fit_store, settings={"vsini": {"uniform": [0, 7]}})
    reference = dict(zip(exact.names, true_x(exact), strict=True))
    preparation = Preparation(exact, true_x(exact)[None], Compression(reference, (BOX,)))
    poor, n_boxes = CompressionCheck(200, 0.01, 0.001, 0.01), 0
    widths = [np.ptp(BOX.rv)]
    while preparation.compression is not None:
        preparation = poor.improved(preparation)
        n_boxes += 1
        assert n_boxes < 20
        if preparation.compression is not None:
            (box,) = preparation.compression.boxes
            assert 0 <= box.vsini[0] < box.vsini[1] <= 7
            widths.append(np.ptp(box.rv))
    assert n_boxes > 2
    assert (np.diff(widths) > 0).all()


@pytest.mark.parametrize(
    ("settings", "rv"),
    [
        ({"vsini": {"normal": [6, 2]}}, (-7.0, 17.0)),
        ({"vsini": {"uniform": [0, 112]}}, (-7.0, 17.0)),
        ({"rv": {"uniform": [-300, 300]}, "vsini": {"loguniform": [1, 500]}}, (-7.0, 17.0)),
    ],
)
def test_a_wide_prior_of_vsini_leaves_room_for_rv(fit_store, settings, rv):
    exact = held_fit(fit_store, settings=settings)
    velocities = Velocities.of(exact)
    half_widths = {"rv": 12.0, "vsini": np.inf}
    (box,) = velocities.boxes(exact, true_x(exact)[None], half_widths)
    assert box.rv == pytest.approx(rv)
    assert box.vsini[0] < 6 < box.vsini[1] <= velocities.limit - 17
    assert velocities.near_edges(exact, (box,), np.array([true_x(exact, vsini=box.vsini[1])])) == 0


def test_every_epoch_has_a_rough_velocity(fit_store):
    """Also where there are more epochs than a rough fit takes orders."""
    rvs = np.array([-20.0, -14.0, -8.0, -2.0, 4.0, 10.0, 16.0, 22.0])
    orders = [observed(fit_store, TRUTH | {"rv": rv}, epoch=e)[0] for e, rv in enumerate(rvs)]
    plan = plan_of(fit_store, orders, velocities=(0.0,) * len(rvs))
    fit = log_probability(plan, correlated=False, per_epoch=["rv"])
    found = dict(zip(fit.names, rough_optimum(fit, Velocities.of(fit), 1), strict=True))
    for e, rv in enumerate(rvs, 1):
        assert found[f"rv_e{e}"] == pytest.approx(rv, abs=8)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"shared": ("feh",)}, "velocities of their own"),
        ({}, "correlated noise is sampled"),
    ],
)
def test_what_cannot_be_compressed(fit_store, model, reason):
    fit = SimpleNamespace(**{"components": 2, "shared": None} | model)
    options = {} if fit.shared is None else {"shared": fit.shared}
    plan = plan_of(fit_store, observed(fit_store), components=fit.components, **options)
    names = plan.load_model(plan.components).parameters
    settings = {n: v for n, v in {"rv_1": 5.0, "rv_2": 5.0, "vsini_1": 6.0, "vsini_2": 6.0}.items()
                if n in names}  # fmt: skip
    correlated = reason.startswith("correlated")
    assert reason in obstacle(log_probability(plan, settings, correlated=correlated))
