"""Flux calibration: real libraries are raw, and normalised ones are recognised."""

from dataclasses import replace

import numpy as np
import pytest

from mixjobs.builder.rawness import check_raw
from mixjobs.demo.library import DemoLibrary
from mixjobs.errors import LibraryError, NotRaw
from mixjobs.grid import Grid
from mixjobs.library import FluxCalibration, open_library
from mixjobs.model.blackbody import planck_mean
from mixjobs.orders import Orders

SIGMA = 5.670374e-5  # erg/s/cm²/K⁴
L_SUN_FLUX = 6.3156e10


RAW = FluxCalibration("raw", "")


class Spectra:
    """All spectra of a library, raw or as stored in its file, for tests to normalise."""

    def __init__(self, library):
        self.grid, self.wavelength = library.grid, library.wavelength
        self.flux = np.stack([library.flux(i) for i in range(len(library.grid))])

    @property
    def teff(self):
        return self.grid.points[:, self.grid.names.index("teff")]

    def check(self, orders=None, flux=None, rows=slice(None)):
        flux = self.flux if flux is None else flux
        orders = orders or Orders.log_spaced(5, self.wavelength[0], self.wavelength[-1])
        lo, hi = orders.pixel_ranges(self.wavelength)
        means = np.stack([flux[rows, a:b].mean(axis=1) for a, b in zip(lo, hi, strict=True)])
        grid = Grid(self.grid.points[rows], self.grid.names)
        return check_raw(grid, orders, hi - lo, means, RAW)


@pytest.fixture(scope="module")
def btsettl(data):
    return Spectra(open_library(data / "btsettl_prism.hdf5"))


@pytest.fixture(scope="module")
def phoenix(data):
    return Spectra(open_library(data / "PHOENIX_ACES_test.hdf5"))


@pytest.fixture(scope="module")
def demo():
    library = DemoLibrary(n_pixels=1024)
    spectra = object.__new__(Spectra)
    spectra.grid, spectra.wavelength = Grid(library.points, library.names), library.wavelength
    spectra.flux = library.spectrum(library.points)
    return spectra


class TestRaw:
    @pytest.mark.parametrize("name", ["btsettl", "phoenix", "demo"])
    def test_passes(self, request, name):
        assert 0.5 < request.getfixturevalue(name).check().level < 2

    @pytest.mark.parametrize(
        ("low", "high"),
        [(5000, 60000), (5000, 7000), (7000, 10000), (10000, 18000), (18000, 60000), (8000, 9000)],
    )
    @pytest.mark.parametrize(
        "select",
        [
            {"teff": (2600, 3000)},
            {"teff": (4300, 4500)},
            {"feh": (-4, -2), "teff": (2600, 3000)},
            {"logg": (3, 3)},
            {"teff": (3000, 3000)},
            {"teff": (2600, 4500), "logg": (5, 5), "feh": (0, 0)},
        ],
        ids=str,
    )
    def test_parts_of_btsettl_pass(self, btsettl, low, high, select):
        rows = btsettl.grid.select(select)
        assert btsettl.check(Orders.log_spaced(3, low, high), rows=rows).level > 0.05

    def test_narrow_orders_of_metal_poor_dwarfs_pass(self, btsettl):
        """Without bands their flux falls off faster than a blackbody's, like scaled spectra."""
        rows = btsettl.grid.select({"teff": (2600, 2800), "logg": (4.5, 4.5), "feh": (-4, -3)})
        assert btsettl.check(Orders.log_spaced(1, 6000, 6700), rows=rows)

    def test_no_teff(self):
        grid = Grid([[1.0], [2.0]], ("mass",))
        means = np.array([[1e-3, 2e-3]])
        orders = Orders.from_edges([5000, 6000])
        assert check_raw(grid, orders, np.array([9]), means, RAW).level is None

    @pytest.mark.parametrize("fainter", [1.0, 0.67])
    def test_an_effect_of_metallicity_is_not_taken_for_a_trend(self, fainter):
        """The hotter points are metal-poor; the trend across all four is Teff to the power -10."""
        points = [[5000.0, 0.0], [5100.0, 0.0], [5200.0, -1.0], [5300.0, -1.0]]
        grid, orders = Grid(points, ("teff", "feh")), Orders.from_edges([5000, 5500, 6000])
        means = planck_mean(orders.wave_min, orders.wave_max, grid.points[:, 0]).T
        scale = np.where(grid.points[:, 1] < 0, fainter, 1.0)
        n_pixels = np.array([9, 9])
        assert check_raw(grid, orders, n_pixels, means * scale, RAW)
        scaled = means * scale * (L_SUN_FLUX / (SIGMA * grid.points[:, 0] ** 4))
        with pytest.raises(NotRaw, match="scaled to one luminosity"):
            check_raw(grid, orders, n_pixels, scaled, RAW)

    def test_numbers_that_decided_before_are_not_asked_again(self, btsettl):
        scaled = btsettl.flux * (L_SUN_FLUX / (SIGMA * btsettl.teff**4))[:, None]
        orders = Orders.log_spaced(3, 10000, 20000)
        lo, hi = orders.pixel_ranges(btsettl.wavelength)
        means = np.stack([scaled[:, a:b].mean(axis=1) for a, b in zip(lo, hi, strict=True)])
        decided = replace(RAW, by_numbers=True)
        assert check_raw(btsettl.grid, orders, hi - lo, means, decided)
        with pytest.raises(NotRaw):
            check_raw(btsettl.grid, orders, hi - lo, means, RAW)

    def test_nothing_is_checked_on_request(self, btsettl):
        assumed = FluxCalibration("assumed", "")
        n = len(btsettl.grid)
        orders = Orders.from_edges([5000, 6000])
        assert (
            check_raw(btsettl.grid, orders, np.array([9]), np.ones((1, n)), assumed).level is None
        )


class TestNormalised:
    @pytest.mark.parametrize("name", ["PHOENIX_norm", "PHOENIX_norm_air", "PHOENIX_ACES_test"])
    def test_scaled_to_one_luminosity_without_its_flag(self, data, name):
        spectra = Spectra(open_library(data / f"{name}.hdf5", flux_scale="raw"))
        with pytest.raises(NotRaw, match="scaled to one luminosity"):
            spectra.check()

    @pytest.mark.parametrize(
        ("low", "high"), [(5000, 60000), (7000, 10000), (10000, 18000), (18000, 60000)]
    )
    @pytest.mark.parametrize(
        "select", [{}, {"teff": (2600, 3000)}, {"teff": (4300, 4500)}], ids=str
    )
    def test_btsettl_scaled(self, btsettl, low, high, select):
        scaled = btsettl.flux * (L_SUN_FLUX / (SIGMA * btsettl.teff**4))[:, None]
        rows = btsettl.grid.select(select)
        with pytest.raises(NotRaw, match="scaled to one luminosity"):
            btsettl.check(Orders.log_spaced(3, low, high), scaled, rows=rows)

    @pytest.mark.parametrize("name", ["btsettl", "phoenix", "demo"])
    @pytest.mark.parametrize("how", ["mean", "continuum", "largest", "scaled"])
    def test_every_way_to_normalise(self, request, name, how):
        spectra = request.getfixturevalue(name)
        flux = spectra.flux
        if how == "mean":
            flux = flux / flux.mean(axis=1, keepdims=True)
        elif how == "largest":
            flux = flux / flux.max(axis=1, keepdims=True)
        elif how == "scaled":
            flux = flux * (L_SUN_FLUX / (SIGMA * spectra.teff**4))[:, None]
        else:
            pieces = np.array_split(flux, 16, axis=1)
            flux = np.concatenate([p / p.max(axis=1, keepdims=True) for p in pieces], axis=1)
        with pytest.raises(NotRaw, match="--flux-scale raw") as error:
            spectra.check(flux=flux)
        assert error.value.name == "flux"

    def test_equal_mean_fluxes(self, phoenix):
        """Each order is normalised to its own mean, even at the level of raw flux."""
        orders = Orders.log_spaced(2, 5000, 5990)
        means = np.array([[8e6], [7e6]]) * (1 + 1e-5 * np.arange(len(phoenix.grid)))
        with pytest.raises(NotRaw, match=r"all 12 points agree to .*the spectra are normalised"):
            check_raw(phoenix.grid, orders, np.array([9, 9]), means, RAW)

    @pytest.mark.parametrize("factor", [1e-4, 1e3, 1e4, 1e12, 1e-40])
    def test_another_unit(self, btsettl, factor):
        with pytest.raises(NotRaw, match="or in another unit"):
            btsettl.check(flux=btsettl.flux * factor)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_a_mean_that_is_not_positive_is_named(phoenix, value):
    means = np.full((2, 12), 1e6)
    means[1, 4] = value
    orders = Orders.from_edges([5000, 5500, 5990]).select([1, 0])
    with pytest.raises(LibraryError, match=r"order 0 at \(teff=5100, logg=4, .*\) is") as error:
        check_raw(phoenix.grid, orders, np.array([9, 9]), means, RAW)
    assert error.value.order == 0
    np.testing.assert_equal(error.value.value, value)
