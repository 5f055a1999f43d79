"""Every public function and method with a numeric argument: quantities and masked values.

A quantity is converted or refused; its unit is never stripped. Masked values are refused.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Column, QTable, Table
from astropy.utils.masked import Masked
from matplotlib import pyplot

import mixjobs
from mixjobs.errors import InvalidInput
from tests.helpers.small_fits import log_probability, observed, plan_of, true_x, write_star

WAVES = np.linspace(4996.0, 5020.0, 400)
THETA = {"teff": 5500.0, "logg": 4.5, "feh": 0.1}
X = {"teff_1": 5700.0, "teff_2": 4800.0, "feh": 0.1, "vsini": 6.0, "rv": 5.0, "c": 0.3}


@pytest.fixture(autouse=True)
def close_figures():
    """Close the figures, which pyplot keeps in memory."""
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def objects(fit_store, tmp_path_factory):
    star = write_star(tmp_path_factory.mktemp("star") / "star.ecsv", fit_store)
    store = mixjobs.open_store(fit_store)
    return SimpleNamespace(
        store=store, path=fit_store, spectrum=mixjobs.open_spectrum(star),
        library=str(fit_store.parent / "library.hdf5"),
        q=mixjobs.load_flux_ratio(fit_store), model=mixjobs.load_mixture(fit_store),
        logp=log_probability(plan_of(fit_store, observed(fit_store))),
    )  # fmt: skip


def spectra(o, **changed):
    """Evaluate spectra; `changed` replaces some arguments."""
    arguments = {"theta1": THETA, "theta2": {"teff": 4800}, "c": 0.3, "orders": [4]}
    return mixjobs.evaluate_spectra(o.store, **arguments | changed).flux[0]


def x_with(o, **changed):
    """The free parameters by name, some of them replaced."""
    return dict(zip(o.logp.names, true_x(o.logp).tolist(), strict=True)) | changed


def orders_of(orders):
    return np.concatenate([orders.number, orders.wave_min, orders.wave_max])


def demo(**options):
    options = {"wave_min": 5000, "wave_max": 5010, "n_pixels": 64, "seed": 3} | options
    return mixjobs.DemoLibrary(**options).spectrum([5900, 4.3, -0.2])


# By name: a call with one argument, its plain value, and the same value as a quantity.
CALLS = {
    "mix: s1": (lambda o, v: mixjobs.mix(v, [1, 1], 0.2, 2), [0.5, 1.5], [50, 150] * u.percent),
    "mix: s2": (lambda o, v: mixjobs.mix([1, 1], v, 0.2, 2), [0.5, 1.5], [50, 150] * u.percent),
    "mix: c": (lambda o, v: mixjobs.mix([1, 1], [1, 1], v, 2), 0.25, 25 * u.percent),
    "mix: q": (lambda o, v: mixjobs.mix([1, 1], [1, 1], 0.2, v), 0.25, 25 * u.percent),
    "DemoLibrary: axes": (
        lambda o, v: mixjobs.DemoLibrary({"teff": v}).points, [5000.0, 6000.0], [5, 6] * u.kK,
    ),
    "DemoLibrary: wave_min": (lambda o, v: demo(wave_min=v), 5000.0, 500 * u.nm),
    "DemoLibrary: wave_max": (lambda o, v: demo(wave_max=v), 5020.0, 502 * u.nm),
    "DemoLibrary: n_pixels": (lambda o, v: demo(n_pixels=v), 64, 64 * u.one),
    "DemoLibrary: seed": (lambda o, v: demo(seed=v), 4, 4 * u.one),
    "DemoLibrary.spectrum": (
        lambda o, v: mixjobs.DemoLibrary({"teff": [5000]}, n_pixels=9).spectrum(v),
        [5000.0], [5 * u.kK],
    ),
    "Orders: number": (
        lambda o, v: orders_of(mixjobs.Orders(v, [5000], [5010])), [3], [3] * u.one,
    ),
    "Orders: wave_min": (
        lambda o, v: orders_of(mixjobs.Orders([3], v, [5010])), [5000.0], [500] * u.nm,
    ),
    "Orders: wave_max": (
        lambda o, v: orders_of(mixjobs.Orders([3], [4990], v)), [5000.0], [500] * u.nm,
    ),
    "Orders.log_spaced: n": (
        lambda o, v: orders_of(mixjobs.Orders.log_spaced(v, 5000, 5100)), 3, 3 * u.one,
    ),
    "Orders.log_spaced: wave_min": (
        lambda o, v: orders_of(mixjobs.Orders.log_spaced(3, v, 5100)), 5000.0, 500 * u.nm,
    ),
    "Orders.log_spaced: wave_max": (
        lambda o, v: orders_of(mixjobs.Orders.log_spaced(3, 4990, v)), 5000.0, 500 * u.nm,
    ),
    "Orders.from_edges": (
        lambda o, v: orders_of(mixjobs.Orders.from_edges(v)), [5000.0, 5010.0], [500, 501] * u.nm,
    ),
    "Orders.from_wavelengths": (
        lambda o, v: orders_of(mixjobs.Orders.from_wavelengths({1: v})),
        [5000.0, 5010.0], [500, 501] * u.nm,
    ),
    "Orders.select": (lambda o, v: orders_of(o.store.orders.select(v)), [5], [5] * u.one),
    "Orders.take": (lambda o, v: orders_of(o.store.orders.take(v)), [1], [1] * u.one),
    "Orders.uncovered": (
        lambda o, v: np.array(o.store.orders.uncovered(v)), WAVES, WAVES / 10 * u.nm,
    ),
    "Orders.pixel_ranges": (
        lambda o, v: np.array(o.store.orders.pixel_ranges(v)), WAVES, WAVES / 10 * u.nm,
    ),
    "Grid: points": (
        lambda o, v: mixjobs.Grid(v, ("feh",)).points, [[0.0], [0.5]], [[0.0], [0.5]] * u.one,
    ),
    "Grid.theta: teff": (lambda o, v: o.store.grid.theta(THETA | {"teff": v}), 5500.0, 5.5 * u.kK),
    "Grid.theta: feh": (
        lambda o, v: o.store.grid.theta(THETA | {"feh": v}), 0.1, u.Dex(0.1),
    ),
    "Grid.theta: logg": (
        lambda o, v: o.store.grid.theta(THETA | {"logg": v}), 4.5, 4.5 * u.dex(u.cm / u.s**2),
    ),
    "Grid.theta: list": (
        lambda o, v: o.store.grid.theta([v, 4.5, 0.1]), 5500.0, 5.5 * u.kK,
    ),
    "Grid.row": (lambda o, v: o.store.grid.row([v, 4.5, 0.5]), 5500.0, 5.5 * u.kK),
    "Grid.select": (
        lambda o, v: o.store.grid.select({"teff": v}), [5000.0, 5600.0], [5, 5.6] * u.kK,
    ),
    "Grid.take": (lambda o, v: o.store.grid.take(v).points, [1, 2], [1, 2] * u.one),
    "Library.flux": (lambda o, v: mixjobs.open_library(o.library).flux(v), 3, 3 * u.one),
    "Library.take": (
        lambda o, v: mixjobs.open_library(o.library).take(v).grid.points, [1, 2], [1, 2] * u.one,
    ),
    "FluxRatio: teff": (lambda o, v: o.q(THETA | {"teff": v}, THETA), 5700.0, 5.7 * u.kK),
    "FluxRatio: feh": (lambda o, v: o.q(THETA, THETA | {"feh": v}), 0.2, 20 * u.percent),
    "FluxRatio: list": (lambda o, v: o.q([v, 4.5, 0.1], THETA), 5700.0, 5.7 * u.kK),
    "load_flux_ratio: orders": (
        lambda o, v: mixjobs.load_flux_ratio(o.path, orders=v)(THETA, THETA), [5], [5] * u.one,
    ),
    "MixtureModel: teff": (lambda o, v: o.model(x_model(teff_1=v))[0], 5700.0, 5.7 * u.kK),
    "MixtureModel: rv": (lambda o, v: o.model(x_model(rv=v))[0], 5.0, 5000 * u.m / u.s),
    "MixtureModel: c": (lambda o, v: o.model(x_model(c=v))[0], 0.3, 30 * u.percent),
    "MixtureModel: several": (
        lambda o, v: o.model(x_model(c=v))[0], [0.3, 0.4], [30 * u.percent, 0.4 * u.one],
    ),
    "MixtureModel: list": (
        lambda o, v: o.model([v, 4800, 0.1, 6, 5, 0.3])[0], 5700.0, 5.7 * u.kK,
    ),
    "MixtureModel.light": (lambda o, v: o.model.light(x_model(c=v)), 0.3, 30 * u.percent),
    "MixtureModel.parts": (lambda o, v: o.model.parts(x_model(c=v))[1], 0.3, 30 * u.percent),
    "MixtureModel.stream": (
        lambda o, v: next(o.model.stream(x_model(c=v))).flux, 0.3, 30 * u.percent,
    ),
    "load_mixture: fixed": (
        lambda o, v: mixjobs.load_mixture(o.path, fixed={"rv": v}).layout.fixed["rv"],
        5.0, 5000 * u.m / u.s,
    ),
    "load_mixture: orders": (
        lambda o, v: mixjobs.load_mixture(o.path, orders=v).orders.wave_min, [5], [5] * u.one,
    ),
    "load_mixture: wavelengths": (
        lambda o, v: mixjobs.load_mixture(o.path, orders=[4], wavelengths=[v])(X)[0],
        [5006.0, 5007.0], [500.6, 500.7] * u.nm,
    ),
    "load_mixture: resolution": (
        lambda o, v: mixjobs.load_mixture(o.path, resolution=v)(X)[0], 5e4, 5e6 * u.percent,
    ),
    "load_mixture: fwhm": (
        lambda o, v: mixjobs.load_mixture(o.path, fwhm=v)(X)[0], 6.0, 6000 * u.m / u.s,
    ),
    "load_mixture: library_resolution": (
        lambda o, v: mixjobs.load_mixture(o.path, fwhm=6, library_resolution=v)(X)[0],
        1e5, 1e5 * u.one,
    ),
    "load_mixture: limb_darkening": (
        lambda o, v: mixjobs.load_mixture(o.path, limb_darkening=v)(X)[0], 0.5, 50 * u.percent,
    ),
    "evaluate_spectra: theta1": (
        lambda o, v: spectra(o, theta1=THETA | {"teff": v}), 5700.0, 5.7 * u.kK,
    ),
    "evaluate_spectra: theta2": (
        lambda o, v: spectra(o, theta2={"teff": v}), 4700.0, 4.7 * u.kK,
    ),
    "evaluate_spectra: c": (lambda o, v: spectra(o, c=v), 0.5, 50 * u.percent),
    "evaluate_spectra: c of each": (
        lambda o, v: spectra(o, c=v, blackbodies=[1500]), [0.5, 0.1], [50 * u.percent, 0.1],
    ),
    "evaluate_spectra: rv": (lambda o, v: spectra(o, rv=v), 5.0, 5000 * u.m / u.s),
    "evaluate_spectra: vsini": (
        lambda o, v: spectra(o, vsini=v), [5.0, 9.0], [5000, 9000] * u.m / u.s,
    ),
    "evaluate_spectra: blackbodies": (
        lambda o, v: spectra(o, c=[0.5, 0.1], blackbodies=v), [1500.0], [1.5] * u.kK,
    ),
    "evaluate_spectra: vary rv": (
        lambda o, v: spectra(o, vary={"rv": v}), [5.0, 9.0], [5000, 9000] * u.m / u.s,
    ),
    "evaluate_spectra: vary teff": (
        lambda o, v: spectra(o, vary={"teff2": v}), [4700.0, 4900.0], [4.7, 4.9] * u.kK,
    ),
    "evaluate_spectra: vary c": (
        lambda o, v: spectra(o, vary={"c": v}), [0.2, 0.25], [20, 25] * u.percent,
    ),
    "evaluate_spectra: orders": (lambda o, v: spectra(o, orders=v), [5], [5] * u.one),
    "evaluate_spectra: wavelengths": (
        lambda o, v: spectra(o, wavelengths={4: v}), [5006.0, 5007.0], [500.6, 500.7] * u.nm,
    ),
    "evaluate_spectra: resolution": (
        lambda o, v: spectra(o, resolution=v), 50000, 50000 * u.one,
    ),
    "evaluate_spectra: fwhm": (lambda o, v: spectra(o, fwhm=v), 6.0, 6000 * u.m / u.s),
    "evaluate_spectra: library_resolution": (
        lambda o, v: spectra(o, fwhm=6, library_resolution=v), 1e5, 1e5 * u.one,
    ),
    "ObservedSpectrum.masking": (
        lambda o, v: np.concatenate(o.spectrum.masking(v).mask),
        [[5005.0, 5006.0]], [[500.5, 500.6]] * u.nm,
    ),
    "ObservedSpectrum.plot": (
        lambda o, v: [panel.get_title() for panel in o.spectrum.plot(orders=v)], [5], [5] * u.one,
    ),
    "Store.plot.flux_ratio": (
        lambda o, v: o.store.plot.flux_ratio([v, 4.5, 0.5])[0].lines[0].get_ydata(),
        5500.0, 5.5 * u.kK,
    ),
    "Store.plot.ratio_table": (
        lambda o, v: o.store.plot.ratio_table(v).get_title(), 5, 5 * u.one,
    ),
    "EmulatorSettings: max_rv": (
        lambda o, v: mixjobs.EmulatorSettings(max_rv=v).max_rv, 50.0, 5e4 * u.m / u.s,
    ),
    "EmulatorSettings: min_resolution": (
        lambda o, v: mixjobs.EmulatorSettings(min_resolution=v).min_resolution,
        5e4, 5e6 * u.percent,
    ),
    "EmulatorSettings: rank": (
        lambda o, v: mixjobs.EmulatorSettings(rank=v).rank, 5, 5 * u.one,
    ),
    "LogProbability: teff": (lambda o, v: o.logp(x_with(o, teff_1=v)), 5700.0, 5.7 * u.kK),
    "LogProbability: c": (lambda o, v: o.logp(x_with(o, c=v)), 0.25, 25 * u.percent),
    "LogProbability: list": (
        lambda o, v: o.logp([v, *true_x(o.logp)[1:]]), 5700.0, 5.7 * u.kK,
    ),
    "LogProbability.log_prior": (
        lambda o, v: o.logp.log_prior(x_with(o, rv=v)), 5.0, 5000 * u.m / u.s,
    ),
    "LogProbability.log_likelihood": (
        lambda o, v: o.logp.log_likelihood(x_with(o, rv=v)), 5.0, 5000 * u.m / u.s,
    ),
    "LogProbability.by_order": (
        lambda o, v: o.logp.by_order(x_with(o, rv=v)), 5.0, 5000 * u.m / u.s,
    ),
    "LogProbability.prior_transform": (
        lambda o, v: o.logp.prior_transform(v),
        [0.25] * 9, [25] * 9 * u.percent,
    ),
    "LogProbability.fix": (
        lambda o, v: o.logp.fix("rv", v).parameters.rules["rv"], 5.0, 5000 * u.m / u.s,
    ),
}  # fmt: skip


def x_model(**changed):
    return X | changed


def as_array(value):
    return np.asarray(value.value if hasattr(value, "value") else value, dtype=float)


@pytest.mark.parametrize("name", CALLS)
def test_quantities_are_converted(objects, name):
    call, plain, quantity = CALLS[name]
    np.testing.assert_array_equal(call(objects, quantity), call(objects, plain))


@pytest.mark.parametrize("wrong", [u.kg, u.K / u.km])
@pytest.mark.parametrize("name", CALLS)
def test_other_units_are_refused(objects, name, wrong):
    call, plain, _ = CALLS[name]
    for value in (np.asarray(plain) * wrong, Column(plain, unit=wrong) if np.ndim(plain) else None):
        if value is not None:
            with pytest.raises(InvalidInput):
                call(objects, value)


@pytest.mark.parametrize("name", CALLS)
def test_masked_values_are_refused(objects, name):
    call, plain, _ = CALLS[name]
    array = np.asarray(plain)
    mask = np.ones(array.shape, bool)
    for value in (np.ma.masked_array(array, mask), Masked(array, mask)):
        with pytest.raises(InvalidInput):
            call(objects, value)
    if array.ndim == 0:
        with pytest.raises(InvalidInput):
            call(objects, np.ma.masked)


@pytest.mark.parametrize("name", CALLS)
def test_arrays_without_masked_values_are_accepted(objects, name):
    call, plain, _ = CALLS[name]
    array = np.asarray(plain)
    for value in (np.ma.masked_array(array), Masked(array)):
        np.testing.assert_array_equal(call(objects, value), call(objects, plain))


def test_rows_of_tables_are_read_by_name(objects):
    o = objects
    table = Table({"feh": [0.1], "logg": [4.5], "teff": [5.5] * u.kK})
    for row in (table[0], QTable(table)[0]):
        assert (o.q(row, THETA) == 1).all()
        np.testing.assert_array_equal(spectra(o, theta1=row), spectra(o))
    by_name = x_with(o)
    names = list(by_name)[::-1]
    x = Table({name: [by_name[name]] for name in names})
    assert o.logp(x[0]) == o.logp(true_x(o.logp))
    model = Table({name: [X[name]] for name in list(X)[::-1]})
    np.testing.assert_array_equal(o.model(model[0])[0], o.model(X)[0])


def test_lists_of_arrays_with_a_unit_are_refused(objects):
    """They would be read as samples, not as parameters."""
    grid = mixjobs.Grid([[5000, 4], [5200, 4], [5000, 5]], ("teff", "logg"))
    with pytest.raises(InvalidInput, match="by name"):
        grid.theta([[5.0, 5.2] * u.kK, [4.0, 4.0]])


@pytest.mark.parametrize("u_value", [1.1, -0.1, np.nan, np.inf])
def test_numbers_outside_the_unit_cube_are_refused(objects, u_value):
    n = len(objects.logp.names)
    with pytest.raises(InvalidInput) as error:
        objects.logp.prior_transform([0.5] * (n - 1) + [u_value])
    assert error.value.name == "u"
    assert objects.logp.prior_transform([[0] * n, [1] * n]).shape == (2, n)


def test_missing_and_unknown_names_of_x_are_refused(objects):
    x = x_with(objects)
    for wrong in (
        x | {"tef_1": 5000},
        {"rv": 5},
        x | {"rv": "fast"},
        x | {"rv": [1, 2], "c": [1] * 3},
    ):
        with pytest.raises(InvalidInput):
            objects.logp(wrong)
    several = objects.logp(x | {"rv": [5.0, 6.0]})
    assert several.shape == (2,)
