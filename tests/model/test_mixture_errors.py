"""The interpolation error: its factor X against dense matrices, its size against true spectra."""

import numpy as np
import pytest
import zarr

import mixjobs
from tests.helpers.mixture_stores import KMS, demo_library, store_of
from tests.helpers.plain_mixture import mean_flux, normalised, sigma_of
from tests.helpers.real_space import broadened

LIBRARY = demo_library()
ORDER, RESOLUTION = 7, 25_000
# Teff in seven values, so that its factor for the doubled step is measured
WIDE = demo_library(
    {"teff": range(4000, 5201, 200), "logg": (4.0, 4.5, 5.0), "feh": (-1, -0.75, -0.5, -0.25, 0)},
    n_pixels=1800,
)
WIDE_ORDER = (5002.5, 5027.5)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_of(LIBRARY, tmp_path_factory.mktemp("errors"), accuracy={"rank": 8})


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Enough eigenspectra to make the reconstruction error negligible."""
    return wide_store(tmp_path_factory.mktemp("wide"), {"rank": 60})


def wide_store(folder, accuracy):
    orders = mixjobs.Orders([1], WIDE_ORDER[:1], WIDE_ORDER[1:])
    return store_of(WIDE, folder, orders=orders, accuracy=accuracy)


class Dense:
    """The stored emulator of an order, and its covariance from dense matrices."""

    def __init__(self, store, number=ORDER):
        group = zarr.open_group(store / f"emulator/{number}", mode="r", use_consolidated=False)
        facts = dict(group.attrs)
        self.eigenspectra = group["eigenspectra"][...]
        steps = np.arange(self.eigenspectra.shape[1])
        self.grid = np.exp(facts["ln_wave_start"] + facts["ln_wave_step"] * steps)
        self.wavelength = group["wavelength"][...]
        self.reconstruction_error = group["reconstruction_error"][...]
        self.covariance = np.array(facts["error_covariance"])
        self.log_mean = facts["error_log_mean"]

    def broadened(self, vsini, rv):
        """Eigenspectra (K, n_pixels), broadened in real space."""
        sigma = sigma_of(RESOLUTION)
        return np.array(
            [broadened(self.grid, e, self.wavelength, rv, vsini, sigma) for e in self.eigenspectra]
        )

    def of_one(self, vsini, rv):
        """Covariance (n_pixels, n_pixels) of a single star."""
        spectra = self.broadened(vsini, rv)
        return spectra.T @ self.covariance @ spectra

    def of_two(self, light, motions, rho):
        """Covariance of two components whose weights have errors with correlation rho."""
        first, second = (
            size * self.broadened(*motion) for size, motion in zip(light, motions, strict=True)
        )
        cross = rho * first.T @ self.covariance @ second
        own = [part.T @ self.covariance @ part for part in (first, second)]
        return own[0] + own[1] + cross + cross.T


def correlation(teff_1, teff_2):
    """Correlation of the errors at two Teff, from their distance in grid steps."""
    values = LIBRARY.axes[0][1]
    step = (values[-1] - values[0]) / (len(values) - 1)
    return np.exp(-0.5 * ((teff_1 - teff_2) / step) ** 2)


def factor(model, values):
    """X for one sample in the order, the spectrum of each component, and its light."""
    batch = next(iter(model.stream(values, errors=True)))
    parts = model.parts(values)[0]
    np.testing.assert_allclose(batch.flux[0], parts.sum(axis=0), rtol=1e-12)
    return batch.error[0], parts, model.light(values)[:, 0]


def same_covariance(x, expected):
    """X has the leading axes of the emulator's covariance, 99.9 % of its trace."""
    got, scale = x @ x.T, np.diag(expected).mean()
    assert np.abs(got - expected).max() < 5e-3 * np.diag(expected).max()
    assert abs(np.diag(got).mean() / scale - 1) < 2e-3


@pytest.mark.parametrize("shared", [("logg", "feh", "vsini", "rv"), ("logg", "feh", "vsini"), ()])
def test_the_factor_of_the_covariance(store, shared):
    """The emulator's columns, then that of the flux ratio: its error times component 2."""
    model = mixjobs.load_mixture(
        store, shared=shared, resolution=RESOLUTION, orders=[ORDER], fixed={"c": 0.6}
    )
    motions = [(9.0, 15.0), (9.0, 15.0) if "rv" in shared else (9.0, -35.0)]
    theta = [[5700, 4.3, -0.3], [5900, 4.3, -0.3]]
    named = {}
    for k, (star, motion) in enumerate(zip(theta, motions, strict=True), start=1):
        for name, value in zip(
            ("teff", "logg", "feh", "vsini", "rv"), [*star, *motion], strict=True
        ):
            named[name if name in shared else f"{name}_{k}"] = value
    x, parts, light = factor(model, named)
    dense = Dense(store)
    rho = correlation(5700, 5900)
    assert 0.1 < rho < 0.9
    same_covariance(x[:, :-1], dense.of_two(light, motions, rho))
    # one set of columns for each distinct motion
    single, _, _ = factor(
        mixjobs.load_mixture(store, 1, resolution=RESOLUTION, orders=[ORDER]), [*theta[0], 9, 15]
    )
    n_columns = single.shape[1]
    assert 3 <= n_columns <= 8
    assert x.shape[1] == (n_columns if "rv" in shared else 2 * n_columns) + 1
    # f2bar/f1bar has the errors of both means
    error = np.sqrt(2 - 2 * rho) * dense.log_mean
    np.testing.assert_allclose(x[:, -1], error * parts[1], rtol=1e-12)


@pytest.mark.parametrize("shared", [("logg", "feh", "vsini", "rv"), ()])
def test_equal_components_have_the_errors_of_one_star(store, shared):
    """A spot identical to its photosphere changes neither the spectrum nor X."""
    star = mixjobs.load_mixture(store, 1, orders=[ORDER], resolution=RESOLUTION)
    alone, _, _ = factor(star, [5700, 4.3, -0.3, 9.0, 15.0])
    both = mixjobs.load_mixture(store, shared=shared, orders=[ORDER], resolution=RESOLUTION)
    values = {"teff": 5700, "logg": 4.3, "feh": -0.3, "vsini": 9.0, "rv": 15.0}
    for c in (0.0, 0.3, 1.0):
        x, _, _ = factor(both, {n: values.get(n.partition("_")[0], c) for n in both.parameters})
        scale = np.diag(alone @ alone.T).max()
        np.testing.assert_allclose(x @ x.T, alone @ alone.T, atol=1e-7 * scale)


def test_the_flux_ratios_column_is_a_finite_difference(store):
    """The derivative with respect to ln(q) follows from a change of c: c q -> c q (1 + h)."""
    model = mixjobs.load_mixture(store, orders=[ORDER], weighting="log_omega")
    by_c = mixjobs.load_mixture(store, orders=[ORDER])
    theta = [5700, 5900, 4.3, -0.3, 5.0, 5.0]
    x, _, _ = factor(by_c, [*theta, 0.5])
    light = model.light([*theta, 0, 0])[:, 0]
    h, omega = 1e-6, 0.5 / light[0]

    def spectrum(log_q):
        return model([*theta, np.log10(omega), np.log10(omega) + log_q / np.log(10)])[0]

    slope = (spectrum(h) - spectrum(-h)) / (2 * h)
    error = np.sqrt(2 - 2 * correlation(5700, 5900)) * Dense(store).log_mean
    np.testing.assert_allclose(x[:, -1], error * slope, rtol=1e-7, atol=1e-12)


def test_solid_angles_have_a_column_each(store):
    model = mixjobs.load_mixture(
        store, orders=[ORDER], weighting="log_omega", resolution=RESOLUTION
    )
    x, parts, light = factor(model, [5700, 5900, 4.3, -0.3, 9.0, 15.0, -7.0, -7.3])
    dense = Dense(store)
    rho = correlation(5700, 5900)
    together = (light**2).sum() + 2 * rho * light.prod()
    same_covariance(x[:, :-2], together * dense.of_one(9.0, 15.0))
    of_means = dense.log_mean**2 * np.array([[1, rho], [rho, 1]])
    np.testing.assert_allclose(x[:, -2:] @ x[:, -2:].T, parts.T @ of_means @ parts, rtol=1e-9)


def test_a_single_star_has_no_flux_ratio_and_a_blackbody_no_error(store):
    star = mixjobs.load_mixture(store, 1, orders=[ORDER], resolution=RESOLUTION)
    x, _, _ = factor(star, [5700, 4.3, -0.3, 9.0, 15.0])
    dense = Dense(store)
    same_covariance(x, dense.of_one(9.0, 15.0))
    veiled = mixjobs.load_mixture(
        store, ["library", "blackbody"], orders=[ORDER], resolution=RESOLUTION
    )
    y, parts, light = factor(veiled, [5700, 9000, 4.3, -0.3, 9.0, 15.0, 0.3])
    np.testing.assert_allclose(y[:, :-1], light[0] * x, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(y[:, -1], dense.log_mean * parts[1], rtol=1e-12)


def test_errors_of_two_libraries(store, tmp_path):
    other = store_of(demo_library(seed=5), tmp_path, "other", accuracy={"rank": 6})
    model = mixjobs.load_mixture(store, ["library", other], orders=[ORDER], resolution=RESOLUTION)
    x, parts, light = factor(model, [5700, 5900, 4.3, -0.3, 9.0, 15.0, 0.3])
    ours, theirs = Dense(store), Dense(other)
    expected = sum(s**2 * d.of_one(9.0, 15.0) for s, d in zip(light, (ours, theirs), strict=True))
    same_covariance(x[:, :-1], expected)
    error = np.hypot(ours.log_mean, theirs.log_mean)
    np.testing.assert_allclose(x[:, -1], error * parts[1], rtol=1e-12)


def test_three_components_share_the_error_of_the_first_ones_mean(store):
    """ln q_k = ln mean_k - ln mean_1: the errors of all q are correlated through mean_1."""
    model = mixjobs.load_mixture(store, 3, orders=[ORDER])
    given = dict(zip(model.parameters, [5700, 5850, 6000, 4.3, -0.3, 0, 0, 0.3, 0.25], strict=True))
    x, (_, second, third), _ = factor(model, given)
    teff = np.array([5700, 5850, 6000])
    of_means = Dense(store).log_mean ** 2 * correlation(teff[:, None], teff)
    over_first = np.array([[-1, 1, 0], [-1, 0, 1]])
    parts = np.stack([second, third])
    expected = parts.T @ over_first @ of_means @ over_first.T @ parts
    np.testing.assert_allclose(x[:, -2:] @ x[:, -2:].T, expected, rtol=1e-9, atol=1e-18)


def between_the_nodes(n):
    """Theta (n, 3) at random inside the grid, and the true normalised spectra there."""
    low, high = WIDE.points.min(axis=0), WIDE.points.max(axis=0)
    theta = low + (high - low) * np.random.default_rng(12).random((n, 3))
    return theta, np.array([normalised(WIDE, WIDE_ORDER, t) for t in theta])


def stated_and_actual(store, method):
    """Variance of a pixel from X, from the reconstruction error, and of emulated minus true."""
    theta, true = between_the_nodes(60)
    star = mixjobs.load_mixture(store, 1, method=method, fixed={"vsini": 0, "rv": 0})
    (block,) = star.stream(theta[:1], errors=True)
    assert 1490 < true.shape[1] < 1500
    by_factor = (block.error[0] ** 2).sum(axis=1).mean()
    reconstruction = (Dense(store, 1).reconstruction_error ** 2).mean()
    return by_factor, reconstruction, ((star(theta)[0] - true) ** 2).mean()


@pytest.mark.parametrize("method", ["cubic", "linear", "simplex"])
def test_errors_between_the_nodes_are_about_as_stated(wide, method):
    """The demo library provides the true spectrum at every theta."""
    by_factor, reconstruction, actual = stated_and_actual(wide, method)
    assert reconstruction < 0.01 * by_factor
    assert 0.2 < actual / by_factor < 5


def test_errors_of_few_eigenspectra_are_about_as_stated(tmp_path):
    by_factor, reconstruction, actual = stated_and_actual(wide_store(tmp_path, {}), "cubic")
    assert reconstruction > by_factor
    assert 0.2 < actual / (by_factor + reconstruction) < 5


@pytest.mark.parametrize("method", ["cubic", "linear", "simplex"])
def test_the_flux_ratio_between_the_nodes_is_about_as_good_as_stated(wide, method):
    two = mixjobs.load_mixture(wide, shared=(), method=method, fixed={"c": 1.0})
    theta, _ = between_the_nodes(60)
    values = np.hstack(
        [np.stack([theta[:30], theta[30:]], axis=-1).reshape(30, 6), np.zeros((30, 4))]
    )
    means = np.array([mean_flux(WIDE, WIDE_ORDER, t) for t in theta])
    actual = np.log(two.light(values)[:, 1, 0] * means[:30] / means[30:])
    blocks = list(two.stream(values, errors=True))
    # c = 1: all light is component 2's
    stated = np.concatenate([(block.error[:, :, -1] / block.flux)[:, 0] for block in blocks])
    assert 1 / 3 < np.sqrt((actual**2).mean() / (stated**2).mean()) < 3


def test_each_method_has_its_own_errors(wide):
    """The stored errors are those of `cubic`."""
    stated = {}
    for method in ("cubic", "linear"):
        star = mixjobs.load_mixture(wide, 1, method=method, fixed={"vsini": 0, "rv": 0})
        block = next(iter(star.stream([4700, 4.2, -0.4], errors=True)))
        stated[method] = (
            (block.error**2).sum(axis=2).mean(),
            star.sources[0].orders[0].log_mean_error,
        )
    assert stated["linear"][0] > 5 * stated["cubic"][0]
    assert stated["linear"][1] > 3 * stated["cubic"][1] == 3 * Dense(wide, 1).log_mean


def test_the_buffer_has_room_for_the_requested_velocities(store):
    """The emulator's grid extends beyond the order by 60 + 30 km/s and the profile."""
    grid, own = Dense(store).grid, Dense(store).wavelength
    need = (90 + 5 * sigma_of(20_000) / KMS) * KMS
    assert np.log(own[0] / grid[0]) > need
    assert np.log(grid[-1] / own[-1]) > need
