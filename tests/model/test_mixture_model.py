"""The mixture model against the raw library at grid points, and against real space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixjobs
from mixjobs.demo.library import DemoLibrary
from mixjobs.wavelengths import vacuum_to_air
from tests.helpers.drawn import seeds
from tests.helpers.mixture_stores import KMS, WINDOWS, demo_library, some_pixels, store_of
from tests.helpers.plain_mixture import (
    edges_between,
    mean_flux,
    normalised,
    own_pixels,
    plain_mixture,
    sigma_of,
)

LIBRARY = demo_library()
COOL, HOT = (5600.0, 4.5, -0.5), (6000.0, 4.0, 0.0)  # grid points
CLOSE = 1e-6  # spectra are kept in float32 while they are decomposed


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_of(LIBRARY, tmp_path_factory.mktemp("mixture"))


@pytest.fixture(scope="module")
def binary(store):
    return mixjobs.load_mixture(store, shared=())


def values(star1, star2, c):
    """Parameters by name, from (theta, vsini, rv) of both stars."""
    named = {"c": c}
    for k, (theta, vsini, rv) in enumerate((star1, star2), start=1):
        for name, value in zip(("teff", "logg", "feh"), theta, strict=True):
            named[f"{name}_{k}"] = value
        named |= {f"vsini_{k}": vsini, f"rv_{k}": rv}
    return named


@given(c=st.floats(0, 1), i=st.integers(0, 26), j=st.integers(0, 26))
def test_exact_at_grid_points(binary, c, i, j):
    """``f1bar * f_mix = (1 - c) f1 + c f2``, with the raw spectra of the library."""
    theta1, theta2 = LIBRARY.points[[i, j]]
    mixed = binary(values((theta1, 0, 0), (theta2, 0, 0), c))
    for order, f in zip(WINDOWS.values(), mixed, strict=True):
        inside = (LIBRARY.wavelength >= order[0]) & (LIBRARY.wavelength < order[1])
        f1, f2 = LIBRARY.spectrum(theta1)[inside], LIBRARY.spectrum(theta2)[inside]
        expected = (1 - c) * f1 + c * f2
        np.testing.assert_allclose(f1.mean() * f, expected, rtol=0, atol=CLOSE * expected.mean())


def test_the_pixels_are_the_librarys_own(binary):
    for order, wave in zip(WINDOWS.values(), binary.wavelength, strict=True):
        np.testing.assert_allclose(wave, own_pixels(LIBRARY, order), rtol=1e-14)


def test_few_eigenspectra_reach_the_stated_accuracy(tmp_path):
    path = store_of(LIBRARY, tmp_path, accuracy={"explained_variance": 0.9, "max_residual": 0.01})
    star = mixjobs.load_mixture(path, 1, fixed={"vsini": 0, "rv": 0})
    for order, f in zip(WINDOWS, star(LIBRARY.points), strict=True):
        emulator, _ = mixjobs.store.loading.read_order(path, order)
        assert 1 < emulator.rank < 10
        left = f - [normalised(LIBRARY, WINDOWS[order], theta) for theta in LIBRARY.points]
        assert 1e-3 < np.abs(left).max() <= emulator.max_residual + CLOSE <= 0.01 + CLOSE
        # the stated r.m.s. is over the buffers too
        ratio = np.sqrt((left**2).mean(axis=1)) / emulator.reconstruction_error
        assert 0.6 < np.median(ratio) < 1.5


@pytest.mark.parametrize(
    ("resolution", "star1", "star2", "c", "within"),
    [
        # unbroadened, the cores of strong lines are sharper than a pixel of 1 km/s
        (None, (COOL, 0.0, 25.3), (HOT, 0.0, -31.7), 0.4, 1e-3),
        (None, (COOL, 11.0, 0.0), (HOT, 4.0, 0.0), 0.7, 2e-5),
        (100_000, (COOL, 0.0, 3.0), (HOT, 20.0, 3.0), 0.2, 2e-5),
        (20_000, (HOT, 2.5, -40.0), (COOL, 28.0, 55.0), 0.6, CLOSE),
    ],
)
def test_rotation_velocity_and_instrument_as_in_real_space(
    store, resolution, star1, star2, c, within
):
    model = mixjobs.load_mixture(store, shared=(), resolution=resolution)
    mixed = model(values(star1, star2, c))
    for order, f in zip(WINDOWS.values(), mixed, strict=True):
        at = own_pixels(LIBRARY, order)
        expected = plain_mixture(LIBRARY, order, star1, star2, c, at, sigma_of(resolution))
        np.testing.assert_allclose(f, expected, rtol=0, atol=within)


@pytest.mark.parametrize("n", [-40, -1, 1, 7, 59])
def test_a_shift_by_whole_pixels_is_exact(store, n):
    """A receding star is redshifted: its light moves by n pixels."""
    star = mixjobs.load_mixture(store, 1, fixed={"vsini": 0})
    step = np.log(LIBRARY.wavelength[1] / LIBRARY.wavelength[0])
    moved = star([*COOL, 299792.458 * np.tanh(n * step)])
    flux = np.roll(LIBRARY.spectrum(COOL), n)
    for order, f in zip(WINDOWS.values(), moved, strict=True):
        inside = (LIBRARY.wavelength >= order[0]) & (LIBRARY.wavelength < order[1])
        expected = flux[inside] / mean_flux(LIBRARY, order, COOL)
        np.testing.assert_allclose(f, expected, rtol=0, atol=CLOSE)


def test_a_shift_without_broadening_does_not_ring(tmp_path):
    """On pixels that resolve every line, the ends of the transform have no effect."""
    sharp = DemoLibrary({"teff": (5600, 5800)}, 5000.0, 5000 * np.exp(1499 * 0.4 * KMS), 1500)
    order = (5002.0, 5008.0)
    store = store_of(
        sharp, tmp_path, orders=mixjobs.Orders([1], order[:1], order[1:]), max_rv=30, max_vsini=0,
        min_resolution=1e6,
    )  # fmt: skip
    star, at = mixjobs.load_mixture(store, 1, fixed={"vsini": 0}), own_pixels(sharp, order)
    for rv in (-29.9, -0.2, 0.2, 17.0):  # half a pixel is 0.2 km/s
        expected = plain_mixture(sharp, order, ((5600,), 0, rv), ((5600,), 0, rv), 0.0, at)
        np.testing.assert_allclose(star([5600, rv])[0], expected, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("sign", [-1, 1])
def test_it_is_accurate_up_to_the_limit_of_the_buffer(store, sign):
    model = mixjobs.load_mixture(store, shared=(), resolution=20_000)
    fast = sign * (model.sources[0].max_velocity - 30.0)
    assert abs(fast) > 60
    star1, star2 = (COOL, 30.0, fast * 0.9999), (HOT, 0.0, -fast)
    mixed = model(values(star1, star2, 0.5))
    order = WINDOWS[7]
    at = own_pixels(LIBRARY, order)
    expected = plain_mixture(LIBRARY, order, star1, star2, 0.5, at, sigma_of(20_000))
    np.testing.assert_allclose(mixed[0], expected, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("resolution", [None, 50_000, 20_000])
@pytest.mark.parametrize("step", [0.37, 1.5, 2.0, 3.1])
def test_data_pixels_wider_than_the_librarys_are_averaged_over(store, step, resolution):
    """At any resolution: a low one leaves the transform with fewer pixels than the grid."""
    at = some_pixels(7, step, 100)
    model = mixjobs.load_mixture(
        store, shared=(), orders=[7], wavelengths=[at], resolution=resolution
    )
    star1, star2, c = (COOL, 3.0, 12.3), (HOT, 0.0, -20.1), 0.35
    edges = edges_between(at) if step > 1 else None
    expected = plain_mixture(LIBRARY, WINDOWS[7], star1, star2, c, at, sigma_of(resolution), edges)
    np.testing.assert_allclose(
        model(values(star1, star2, c))[0], expected, rtol=0, atol=CLOSE if resolution else 5e-5
    )


def test_uneven_data_pixels(store):
    at = 5004.5 + np.cumsum(np.random.default_rng(3).uniform(0.02, 0.08, 90))  # 1.2 to 4.8 km/s
    model = mixjobs.load_mixture(store, shared=(), orders=[7], wavelengths={7: at})
    star1, star2 = (COOL, 8.0, 5.0), (HOT, 8.0, 5.0)
    expected = plain_mixture(LIBRARY, WINDOWS[7], star1, star2, 0.5, at, edges=edges_between(at))
    got = model(values(star1, star2, 0.5))[0]
    # the widths of the first and the last pixel are a convention
    np.testing.assert_allclose(got[1:-1], expected[1:-1], rtol=0, atol=CLOSE)


@pytest.mark.parametrize("limb_darkening", [0.0, 1.0])
def test_limb_darkening(store, limb_darkening):
    model = mixjobs.load_mixture(store, shared=(), orders=[7], limb_darkening=limb_darkening)
    star1, star2 = (COOL, 25.0, 0.0), (HOT, 10.0, 0.0)
    expected = plain_mixture(
        LIBRARY, WINDOWS[7], star1, star2, 0.5, own_pixels(LIBRARY, WINDOWS[7]),
        limb_darkening=limb_darkening,
    )  # fmt: skip
    np.testing.assert_allclose(model(values(star1, star2, 0.5))[0], expected, rtol=0, atol=CLOSE)


def test_the_forms_of_a_resolution(store):
    def spectra(**options):
        return mixjobs.load_mixture(store, **options)([5700, 6000, 4.4, -0.3, 5.0, 10.0, 0.3])

    wanted = np.array([60_000, 30_000])  # of the two orders
    each, sharper = spectra(resolution=wanted), 1 / np.hypot(1 / wanted, 1 / 90_000)
    for m in range(2):
        np.testing.assert_array_equal(spectra(resolution=wanted[m])[m], each[m])
    for same in (
        {"fwhm": 299792.458 / wanted},
        {"resolution": sharper, "library_resolution": 90_000},
    ):
        for f, expected in zip(spectra(**same), each, strict=True):
            np.testing.assert_allclose(f, expected, rtol=1e-12)
    assert np.abs(spectra(resolution=60_000)[1] - each[1]).max() > 0.01


def test_wavelengths_in_air(store):
    wave = some_pixels(7, 1.5, 100), some_pixels(8, 1.5, 100)
    vacuum = mixjobs.load_mixture(store, wavelengths=wave)
    air = mixjobs.load_mixture(store, wavelengths=[vacuum_to_air(w) for w in wave], medium="air")
    theta = [5700, 6000, 4.4, -0.3, 5.0, 10.0, 0.3]
    for m in range(2):
        np.testing.assert_array_equal(air.wavelength[m], vacuum_to_air(wave[m]))
        np.testing.assert_allclose(air(theta)[m], vacuum(theta)[m], rtol=1e-8)
    assert np.ptp(wave[0] - air.wavelength[0]) < 0.01 < np.min(wave[0] - air.wavelength[0])


def test_orders_are_in_the_sequence_given(store, binary):
    turned = mixjobs.load_mixture(store, shared=(), orders=[8, 7])
    at = values((COOL, 1.0, 2.0), (HOT, 3.0, 4.0), 0.5)
    for f, expected in zip(turned(at), binary(at)[::-1], strict=True):
        np.testing.assert_array_equal(f, expected)
    np.testing.assert_array_equal(turned.light(at), binary.light(at)[:, ::-1])


@given(seed=seeds, c=st.floats(0, 1))
def test_the_light_is_the_flux_ratio_of_the_raw_means(binary, seed, c):
    theta1, theta2 = np.random.default_rng(seed).choice(LIBRARY.points, 2)
    light = binary.light(values((theta1, 0, 0), (theta2, 0, 0), c))
    for m, order in enumerate(WINDOWS.values()):
        q = mean_flux(LIBRARY, order, theta2) / mean_flux(LIBRARY, order, theta1)
        np.testing.assert_allclose(light[:, m], [1 - c, c * q], rtol=1e-6, atol=1e-13)
