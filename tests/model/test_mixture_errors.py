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
    """The stored emulator of an order, and the columns of its errors."""

    def __init__(self, store, number=ORDER):
        emulators = zarr.open_group(store / "emulator", mode="r", use_consolidated=False)
        group = emulators[f"{number}"]
        facts = dict(group.attrs)
        self.eigenspectra = group["eigenspectra"][...]
        self.residual_spectra = group["residual_spectra"][...]
        steps = np.arange(self.eigenspectra.shape[1])
        self.grid = np.exp(facts["ln_wave_start"] + facts["ln_wave_step"] * steps)
        self.wavelength = group["wavelength"][...]
        self.reconstruction_error = group["reconstruction_error"][...]
        self.columns = emulators[f"joint_error/{number}"][...]

    @property
    def log_mean(self):
        """Standard error of ln(mean flux)."""
        return np.sqrt((self.columns[:, -1] ** 2).sum())

    def errors(self, part, light, vsini, rv, of_level=1.0):
        """Columns of a component's interpolation error, and of its reconstruction error."""
        sigma = sigma_of(RESOLUTION)

        def broad(spectra):
            rows = [broadened(self.grid, s, self.wavelength, rv, vsini, sigma) for s in spectra]
            return light * np.array(rows).reshape(len(rows), len(self.wavelength))

        interpolation = self.columns[:, :-1] @ broad(self.eigenspectra)
        return interpolation + np.outer(self.columns[:, -1], part), broad(self.residual_spectra)


def covariance(components, rho, relative=True):
    """Covariance of a mixture of components (dense, part, light, vsini, rv), densely.

    Errors of components of the same library have the correlation rho (K, K). Relative to the mean
    flux of component 1, its error changes every other component.
    """
    columns, total = [], sum(component[1] for component in components)
    for k, (dense, part, *rest) in enumerate(components):
        by_level = part - total if relative and k == 0 else part
        columns.append(dense.errors(by_level, *rest))
    return sum(
        rho[j][k] * (one.T @ other)
        for j in range(len(columns))
        for k in range(len(columns))
        for one, other in zip(columns[j], columns[k], strict=True)
        if components[j][0] is components[k][0]
    )


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
    return batch.error.columns[0], parts, model.light(values)[:, 0]


def same_covariance(x, expected):
    """X has the leading axes of the error of the order, 99.9 % of its variance."""
    got, scale = x @ x.T, np.diag(expected).mean()
    assert np.abs(got - expected).max() < 5e-3 * np.diag(expected).max()
    assert abs(np.diag(got).mean() / scale - 1) < 2e-3


@pytest.mark.parametrize("shared", [("logg", "feh", "vsini", "rv"), ("logg", "feh", "vsini"), ()])
@pytest.mark.parametrize("weighting", ["c", "log_omega"])
def test_the_factor_of_the_covariance(store, shared, weighting):
    model = mixjobs.load_mixture(
        store, shared=shared, resolution=RESOLUTION, orders=[ORDER], weighting=weighting
    )
    motions = [(9.0, 15.0), (9.0, 15.0) if "rv" in shared else (9.0, -35.0)]
    theta = [[5700, 4.3, -0.3], [5900, 4.3, -0.3]]
    named = {"c": 0.6} if weighting == "c" else {"log_omega_1": -7.0, "log_omega_2": -7.3}
    for k, (star, motion) in enumerate(zip(theta, motions, strict=True), start=1):
        for name, value in zip(
            ("teff", "logg", "feh", "vsini", "rv"), [*star, *motion], strict=True
        ):
            named[name if name in shared else f"{name}_{k}"] = value
    x, parts, light = factor(model, named)
    dense, rho = Dense(store), correlation(5700, 5900)
    assert 0.1 < rho < 0.9
    components = [
        (dense, part, size, *motion)
        for part, size, motion in zip(parts, light, motions, strict=True)
    ]
    same_covariance(x, covariance(components, [[1, rho], [rho, 1]], weighting == "c"))
    assert x.shape[1] < 45


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


def test_orders_and_motions_share_their_variables(store):
    """An error column means the same z in every order, at any velocity."""
    model = mixjobs.load_mixture(store, 1, resolution=RESOLUTION)
    slow, fast = [5700, 4.3, -0.3, 1.0, 0.0], [5700, 4.3, -0.3, 9.0, 15.0]
    for values in (slow, fast):
        for number, batch in zip((7, 8), model.stream(values, errors=True), strict=True):
            error, dense = batch.error, Dense(store, number)
            part = batch.flux[0]
            by_z = error.common[0] @ error.columns[0].T[: error.common.shape[2]]  # (Z, n_pixels)
            expected, _ = dense.errors(part - part, 1.0, *values[3:])
            assert np.abs(by_z - expected).max() < 0.05 * np.abs(expected).max()


def test_a_single_star_has_no_error_of_its_level_and_a_blackbody_none(store):
    star = mixjobs.load_mixture(store, 1, orders=[ORDER], resolution=RESOLUTION)
    x, parts, _ = factor(star, [5700, 4.3, -0.3, 9.0, 15.0])
    dense = Dense(store)
    same_covariance(x, covariance([(dense, parts[0], 1.0, 9.0, 15.0)], [[1]]))
    veiled = mixjobs.load_mixture(
        store, ["library", "blackbody"], orders=[ORDER], resolution=RESOLUTION
    )
    y, (_, planck), light = factor(veiled, [5700, 9000, 4.3, -0.3, 9.0, 15.0, 0.3])
    interpolation, reconstruction = dense.errors(-planck, light[0], 9.0, 15.0)
    expected = interpolation.T @ interpolation + reconstruction.T @ reconstruction
    same_covariance(y, expected)


def test_errors_of_two_libraries(store, tmp_path):
    other = store_of(demo_library(seed=5), tmp_path, "other", accuracy={"rank": 6})
    model = mixjobs.load_mixture(store, ["library", other], orders=[ORDER], resolution=RESOLUTION)
    x, parts, light = factor(model, [5700, 5900, 4.3, -0.3, 9.0, 15.0, 0.3])
    libraries = Dense(store), Dense(other)
    components = [(*each, 9.0, 15.0) for each in zip(libraries, parts, light, strict=True)]
    # Relative to the mean of component 1, of another library
    first, second = (dense.errors(part, *rest) for dense, part, *rest in components)
    of_level = np.outer(libraries[0].columns[:, -1], parts.sum(axis=0))
    columns = [first[0] - of_level, first[1], *second]
    same_covariance(x, sum(column.T @ column for column in columns))


def test_three_components_share_the_error_of_the_first_ones_mean(store):
    """ln q_k = ln mean_k - ln mean_1: the errors of all q are correlated through mean_1."""
    model = mixjobs.load_mixture(store, 3, orders=[ORDER], resolution=RESOLUTION)
    given = dict(
        zip(model.parameters, [5700, 5850, 6000, 4.3, -0.3, 9, 15, 0.3, 0.25], strict=True)
    )
    x, parts, light = factor(model, given)
    teff, dense = np.array([5700, 5850, 6000]), Dense(store)
    components = [(dense, *each, 9.0, 15.0) for each in zip(parts, light, strict=True)]
    same_covariance(x, covariance(components, correlation(teff[:, None], teff)))


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
    columns = block.error.columns[0][:, : block.error.common.shape[2]]
    by_factor = (columns**2).sum(axis=1).mean()
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
    levels = np.concatenate([block.error.level for block in blocks])
    light = np.concatenate([block.level for block in blocks])
    stated = np.sqrt((levels**2).sum(axis=1)) / light
    assert 1 / 3 < np.sqrt((actual**2).mean() / (stated**2).mean()) < 3


def test_each_method_has_its_own_errors(wide):
    """The stored errors are those of `cubic`."""
    stated = {}
    for method in ("cubic", "linear"):
        star = mixjobs.load_mixture(wide, 1, method=method, fixed={"vsini": 0, "rv": 0})
        block = next(iter(star.stream([4700, 4.2, -0.4], errors=True)))
        log_mean = star.sources[0].orders[0].error.log_mean
        stated[method] = (block.error.columns**2).sum(axis=2).mean(), np.sqrt((log_mean**2).sum())
    assert stated["linear"][0] > 5 * stated["cubic"][0]
    assert stated["linear"][1] > 3 * stated["cubic"][1]
    assert stated["cubic"][1] == pytest.approx(Dense(wide, 1).log_mean)


def test_the_buffer_has_room_for_the_requested_velocities(store):
    """The emulator's grid extends beyond the order by 60 + 30 km/s and the profile."""
    grid, own = Dense(store).grid, Dense(store).wavelength
    need = (90 + 5 * sigma_of(20_000) / KMS) * KMS
    assert np.log(own[0] / grid[0]) > need
    assert np.log(grid[-1] / own[-1]) > need
