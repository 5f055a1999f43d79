"""The mixture model on published libraries."""

import h5py
import numpy as np
import pytest
from scipy.interpolate import make_interp_spline

import mixjobs
from tests.helpers.plain_mixture import edges_between, sigma_of
from tests.helpers.real_space import broadened

PRISM = mixjobs.Orders([1, 2, 3], [9000, 15000, 22000], [14000, 21000, 34000])
ROWS = (22, 23, 24)  # of the observed star's orders, which the PHOENIX file covers
C = 299792.458


@pytest.fixture(scope="module")
def prism(data, tmp_path_factory):
    settings = mixjobs.EmulatorSettings(max_rv=300, max_vsini=100, min_resolution=50)
    path = tmp_path_factory.mktemp("prism") / "store"
    select = {"teff": (3000, 4500), "logg": (3.5, 5.0), "feh": (-1, 0.5)}
    return mixjobs.build(
        data / "btsettl_prism.hdf5", PRISM, path, select=select, emulator=settings, table=False
    )


def test_prism_reaches_the_stated_accuracy_at_grid_points(data, prism):
    """The library's normalised spectra are reproduced within the reported `max_residual`."""
    star = mixjobs.load_mixture(prism.path, 1, fixed={"vsini": 0, "rv": 0})
    points = prism.grid.points
    assert 300 < len(points) < 600
    fluxes = star(points)
    library = mixjobs.open_library(data / "btsettl_prism.hdf5")
    rows = np.random.default_rng(5).integers(0, len(points), 40)
    worst = [mixjobs.store.loading.read_order(prism.path, m)[0].max_residual for m in (1, 2, 3)]
    assert max(worst) < 0.05
    wave = library.wavelength
    for row, raw in zip(rows, spectra_of(library, points[rows]), strict=True):
        for m in range(3):
            inside = (wave >= PRISM.wave_min[m]) & (wave < PRISM.wave_max[m])
            expected = raw[inside] / raw[inside].mean()
            assert np.abs(fluxes[m][row] - expected).max() <= worst[m] + 1e-4


def test_prism_mixtures(prism):
    """Cool spots with a real library: the mean level, and the flux ratio of the stored means."""
    spot = mixjobs.load_mixture(prism.path)
    q = mixjobs.load_flux_ratio(prism.path)([4010, 4.7, 0.1], [3333, 4.7, 0.1])
    assert (q < 0.9).all()
    for block in spot.stream([4010, 3333, 4.7, 0.1, 0, 0, 0.4]):
        expected = 0.6 + 0.4 * q[block.order_index]
        assert block.level[0] == pytest.approx(expected, rel=1e-12)
        assert block.flux[0].mean() == pytest.approx(expected, abs=5e-5)


def spectra_of(library, points):
    """Raw spectra of a library at grid points."""
    rows = [library.grid.row(p) for p in points]
    return [spectrum(0, len(library.wavelength)) for spectrum in library.reader(rows)]


@pytest.fixture(scope="module")
def observed(data):
    with h5py.File(data / "LkCa15-2013-10-12.hdf5") as file:
        return {row: file["wls"][row] for row in ROWS}


@pytest.fixture(scope="module")
def phoenix(data, observed, tmp_path_factory):
    orders = mixjobs.Orders(
        list(ROWS),
        [w[0] - 0.5 for w in observed.values()],
        [w[-1] + 0.5 for w in observed.values()],
    )
    settings = mixjobs.EmulatorSettings(max_rv=60, max_vsini=30, min_resolution=20_000, rank=12)
    path = tmp_path_factory.mktemp("phoenix") / "store"
    return mixjobs.build(
        data / "PHOENIX_ACES_test.hdf5", orders, path, emulator=settings, table=False
    )


@pytest.mark.parametrize(
    ("row", "resolution", "vsini", "rv", "within"),
    [
        (22, 44_000, 0.0, 17.3, 2e-5),
        (23, 44_000, 14.0, -33.0, 1e-5),
        (24, 20_000, 29.0, 55.0, 2e-6),
    ],
)
def test_phoenix_as_in_real_space(data, phoenix, observed, row, resolution, vsini, rv, within):
    """On the pixels of a TRES spectrum, which are wider than the library's."""
    library = mixjobs.open_library(data / "PHOENIX_ACES_test.hdf5")
    m, theta = ROWS.index(row), phoenix.grid.points[7]
    (raw,) = spectra_of(library, [theta])
    wave = library.wavelength
    inside = (wave >= phoenix.orders.wave_min[m]) & (wave < phoenix.orders.wave_max[m])
    shape = raw / raw[inside].mean()
    at = observed[row][1000:1300]
    near = (wave > at[0] * (1 - 400 / C)) & (wave < at[-1] * (1 + 400 / C))
    fine, flux = finer(wave[near], shape[near])
    star = mixjobs.load_mixture(
        phoenix.path, 1, orders=[row], wavelengths=[at], resolution=resolution
    )
    free = [theta[d] for d in phoenix.grid.free]
    expected = broadened(fine, flux, at, rv, vsini, sigma_of(resolution), edges=edges_between(at))
    np.testing.assert_allclose(star([*free, vsini, rv])[0], expected, rtol=0, atol=within)


def finer(wave, flux):
    """Four times as many pixels, by a spline."""
    x = np.linspace(np.log(wave[0]), np.log(wave[-1]), 4 * len(wave) - 3)
    return np.exp(x), make_interp_spline(np.log(wave), flux, k=7)(x)
