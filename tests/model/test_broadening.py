"""Broadening in Fourier space: agreement with integrals in real space, and invariants."""

import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from astropy import units
from hypothesis import given
from hypothesis import strategies as st
from scipy import constants

from mixjobs.demo.library import DemoLibrary
from mixjobs.errors import InvalidInput
from mixjobs.model import broadening as rotation
from mixjobs.model.broadening import (
    FourierGrid,
    RotationTable,
    doppler_shift,
    gaussian_transform,
    half_width,
    profile_sigma,
    rotation_transform,
    shift_factors,
)
from mixjobs.model.resampling import fft_length, pad_ends, resampling_matrix, spline_prefilter
from mixjobs.wavelengths import LogGrid, pixel_edges
from tests.helpers import real_space

C = constants.c / 1e3  # km/s
STEP = 3.5562e-6  # 1.066 km/s, as the demo library has by default
GRID = LogGrid(math.log(5000.0), STEP, 2048)
FINER = 4  # the reference's grid
BEYOND = 400  # pixels of GRID that the reference has on either side, for its Gaussian's 7 sigma

darkenings = st.floats(0, 1)
# The finest instrument has the largest error, from aliasing in the library's 1.1 km/s pixels
WORST = {1_000: 3e-7, 20_000: 5e-6, 100_000: 5e-5}


def through_fourier(values, wave, rv, vsini, sigma, limb_darkening=0.6, grid=GRID):
    n_fft = fft_length(grid.n_pixels)
    n_freq = n_fft // 2 + 1
    fourier = FourierGrid(grid.step, n_fft, n_freq)
    u = 2 * np.pi * np.arange(n_freq) / (n_fft * grid.step) * vsini / C
    factors = rotation_transform(u, limb_darkening) * spline_prefilter(n_fft, n_freq)
    factors = factors * gaussian_transform(sigma, fourier)
    factors = factors * shift_factors([doppler_shift(rv)], fourier)[0]
    coefficients = np.fft.irfft(np.fft.rfft(pad_ends(values, n_fft)) * factors, n_fft)
    return resampling_matrix(grid, n_fft, wave) @ coefficients


@cache
def demo(finer=1, beyond=0):
    """Wavelengths, and the demo library's solar spectrum over its mean on GRID."""
    first, last = -beyond, GRID.n_pixels - 1 + beyond
    ends = np.exp(GRID.start + STEP * np.array([first, last]))
    n_pixels = (last - first) * finer + 1
    library = DemoLibrary({"teff": (5800.0,)}, *ends.tolist(), n_pixels)
    flux = library.spectrum([5800.0])
    return library.wavelength, flux / (flux if beyond == 0 and finer == 1 else demo_raw()).mean()


@cache
def demo_raw():
    ends = GRID.wavelength[[0, -1]].tolist()
    return DemoLibrary({"teff": (5800.0,)}, *ends, GRID.n_pixels).spectrum([5800.0])


def data_pixels(width):
    """Wavelengths of data pixels that are `width` steps wide, over nearly all of GRID."""
    return np.exp(GRID.start + STEP * np.arange(2.3, GRID.n_pixels - 5, width))


def inside(wave, rv, vsini, sigma, margin=4, grid=GRID):
    """Pixels that depend on the grid alone, with a margin for the spline and the pixel's width."""
    place = (np.log(wave) - grid.start) / grid.step
    far = float(half_width(vsini, rv, sigma)) / grid.step + margin
    chosen = (place > far) & (place < grid.n_pixels - 1 - far)
    assert chosen.sum() > 20
    return chosen


@pytest.mark.parametrize("resolution", WORST)
@pytest.mark.parametrize("vsini", [0.0, 1.0, 5.0, 40.0, 150.0])
def test_the_fourier_path_is_the_integral(vsini, resolution):
    sigma = profile_sigma(resolution)
    fine, truth = demo(FINER, BEYOND)
    star = real_space.seen(fine, truth, vsini, sigma)
    for rv in (0.0, 0.3 * C * STEP, 37.7, -150.0):
        for width in (0.7, 2.6):
            wave = data_pixels(width)
            edges = pixel_edges(wave) if width > 1 else None
            expected = real_space.receding(star, wave, rv, edges)
            error = np.abs(through_fourier(demo()[1], wave, rv, vsini, sigma) - expected)
            assert error[inside(wave, rv, vsini, sigma)].max() < WORST[resolution], (rv, width)


@pytest.mark.parametrize("limb_darkening", [0.0, 0.3, 1.0])
def test_limb_darkening(limb_darkening):
    sigma, wave = profile_sigma(20_000), data_pixels(0.7)
    fine, truth = demo(FINER, BEYOND)
    expected = real_space.broadened(fine, truth, wave, 5.0, 30.0, sigma, limb_darkening)
    got = through_fourier(demo()[1], wave, 5.0, 30.0, sigma, limb_darkening)
    assert np.abs(got - expected)[inside(wave, 5.0, 30.0, sigma)].max() < 5e-6


@pytest.mark.parametrize(
    ("rv", "vsini", "resolution", "margin"),
    [(37.7, 5.0, 20_000, 4), (-0.3, 0.0, 100_000, 4), (0.3, 10.0, None, 4), (0.3, 0.0, None, 32)],
)
def test_the_edges_do_not_ring(rv, vsini, resolution, margin):
    """The spectrum has a steep slope, different ends, and a deep, resolved line at each end."""
    n_pixels = GRID.n_pixels
    centres = np.append(np.random.default_rng(5).uniform(0, n_pixels, 60), [-1, n_pixels + 1])
    depths = np.append(np.full(60, 0.3), [0.5, 0.5])

    def flux(wave):
        place = (np.log(wave) - GRID.start) / STEP
        lines = sum(
            d * np.exp(-0.5 * ((place - c) / 3) ** 2) for c, d in zip(centres, depths, strict=True)
        )
        return (0.3 + 1.7 * place / n_pixels) * np.exp(-lines)

    sigma, wave = profile_sigma(resolution), data_pixels(0.7)
    place = np.arange(-BEYOND * FINER, (n_pixels + BEYOND) * FINER) / FINER
    fine = np.exp(GRID.start + STEP * place)
    expected = real_space.broadened(fine, flux, wave, rv, vsini, sigma)
    error = np.abs(through_fourier(flux(GRID.wavelength), wave, rv, vsini, sigma) - expected)
    assert error[inside(wave, rv, vsini, sigma, margin)].max() < 1e-5


def test_a_spectrum_without_broadening_is_exact():
    values = np.random.default_rng(0).uniform(0.2, 1.0, GRID.n_pixels)
    got = through_fourier(values, GRID.wavelength, 0.0, 0.0, 0.0)
    np.testing.assert_allclose(got, values, rtol=0, atol=1e-12)


@given(
    vsini=st.floats(0, 200),
    rv=st.floats(-100, 100),
    resolution=st.floats(1e4, 1e5),
    pixel=st.integers(700, 1300),
    side=st.sampled_from([-1, 1]),
)
def test_light_comes_from_within_the_half_width(vsini, rv, resolution, pixel, side):
    sigma = profile_sigma(resolution)
    far = float(half_width(vsini, rv, sigma)) / STEP
    distance = side * (np.arange(GRID.n_pixels) - pixel)
    beyond = np.clip((distance - far) / 8, 0, 1)  # rises from half_width to 8 pixels beyond
    beyond = beyond**2 * (3 - 2 * beyond)
    got = through_fourier(beyond, GRID.wavelength, rv, vsini, sigma)[pixel]
    assert abs(got) < 3e-5
    # it is not much too wide: light from half the distance, in the direction of motion, is seen
    if vsini > 20:
        near = through_fourier(np.roll(beyond, -side * int(far)), GRID.wavelength, 0, vsini, sigma)
        assert near[pixel] > 0.1


# The reference itself, where the result is known analytically


def test_reference_on_a_gaussian_line():
    """Variances add; a velocity moves the line; the mean over a pixel is a difference of erf."""
    wave = np.exp(np.linspace(8.5, 8.52, 4001))
    own, sigma, rv = 2e-5, 3e-5, 80.0
    centre = 8.51 + math.atanh(rv / C)
    total = math.hypot(own, sigma)

    def line(w):
        return np.exp(-0.5 * ((np.log(w) - 8.51) / own) ** 2)

    at = np.exp(np.linspace(8.5097, 8.5109, 50))
    expected = own / total * np.exp(-0.5 * ((np.log(at) - centre) / total) ** 2)
    for spectrum in (line, line(wave)):
        got = real_space.broadened(wave, spectrum, at, rv, 0.0, sigma)
        np.testing.assert_allclose(got, expected, atol=1e-7)

    edges = np.linspace(8.5097, 8.5109, 30)
    below = [math.erf((e - centre) / total / math.sqrt(2)) for e in edges]
    expected = own * math.sqrt(np.pi / 2) * np.diff(below) / np.diff(edges)
    got = real_space.broadened(wave, line, None, rv, 0.0, sigma, edges=edges)
    np.testing.assert_allclose(got, expected, atol=1e-7)


def test_reference_turns_a_narrow_line_into_the_profile():
    vsini, own = 50.0, 1.0  # km/s
    v = np.arange(-80, 80, 0.25)
    wave = 5000.0 * np.exp(np.arctanh(v / C))

    def line(w):
        return np.exp(-0.5 * (C * np.log(w / 5000.0) / own) ** 2) / (own * math.sqrt(2 * np.pi))

    got = real_space.broadened(wave, line, wave, 0.0, vsini, 0.0, 0.6)
    assert got.sum() * 0.25 == pytest.approx(1, abs=1e-6)
    assert (got[np.abs(v) > vsini + 12] < 1e-8).all()
    middle = np.abs(v) < 40
    expected = real_space.gray(v[middle], vsini, 0.6)
    np.testing.assert_allclose(got[middle], expected, rtol=2e-3)  # own width: 1/2 own² G''/G


# Properties of each factor


@given(rv=st.floats(-1e3, 1e3), other=st.floats(-2e5, 2e5))
def test_shifts_of_velocities_add(rv, other):
    """Shifts add like relativistic velocities, and each follows the Doppler formula."""
    both = (rv + other) / (1 + rv * other / C**2)
    assert doppler_shift(both) == pytest.approx(doppler_shift(rv) + doppler_shift(other), abs=1e-13)
    longer = math.sqrt((1 + rv / C) / (1 - rv / C))
    assert math.exp(doppler_shift(rv)) == pytest.approx(longer, rel=1e-14)


@given(a=st.floats(-200, 200), b=st.floats(-200, 200), n_freq=st.integers(1, 600))
def test_shift_factors(a, b, n_freq):
    """The factors are exponentials: modulus 1, value 1 at frequency 0, and additive shifts."""
    n_fft = 1200
    first, second, both = shift_factors(
        np.array([a, b, a + b]) * STEP, FourierGrid(STEP, n_fft, n_freq)
    )
    direct = np.exp(-2j * np.pi * np.arange(n_freq) * (a / n_fft))
    assert first.shape == (n_freq,)
    np.testing.assert_allclose(first, direct, rtol=0, atol=3e-13)
    np.testing.assert_allclose(first * second, both, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.abs(first), 1, rtol=0, atol=1e-14)
    assert first[0] == 1


@pytest.mark.parametrize("n_freq", [1, 63, 64, 65, 128, 4097])
def test_shift_factors_of_any_length(n_freq):
    k = np.arange(n_freq)
    got = shift_factors([7.3e-5, 0.0], FourierGrid(1e-6, 8192, n_freq))
    np.testing.assert_allclose(got[0], np.exp(-2j * np.pi * k * 73 / 8192), rtol=0, atol=1e-13)
    assert (got[1] == 1).all()


@given(n=st.integers(-500, 500))
def test_a_shift_by_whole_pixels_moves_the_pixels(n):
    values = np.random.default_rng(1).normal(size=1000)
    factors = shift_factors([n * 1e-5], FourierGrid(1e-5, 1000, 501))[0]
    moved = np.fft.irfft(np.fft.rfft(values) * factors, 1000)
    np.testing.assert_allclose(moved, np.roll(values, n), rtol=0, atol=1e-11)


@pytest.mark.parametrize("limb_darkening", [0.0, 0.25, 0.6, 1.0])
def test_rotation_is_the_transform_of_the_profile(limb_darkening):
    node, weight = np.polynomial.legendre.leggauss(400)
    angle, weight = node * np.pi / 2, weight * np.pi / 2
    y = np.sin(angle)
    profile = real_space.gray(y, 1.0, limb_darkening) * np.cos(angle) * weight
    u = np.concatenate([[0.0], np.geomspace(1e-9, 300, 300)])
    expected = np.cos(np.outer(u, y)) @ profile
    np.testing.assert_allclose(rotation_transform(u, limb_darkening), expected, atol=1e-13)


@given(u=st.floats(0, 1.5), e=darkenings)
def test_rotation_at_small_u_is_its_series(u, e):
    """The reference is the series of J1, sin and cos in exact arithmetic."""
    x2, e = Fraction(u) ** 2, Fraction(e)
    total = Fraction(0)
    for k in range(16):
        sign = (-x2) ** k
        bessel = sign / (4**k * math.factorial(k) * math.factorial(k + 1))
        sphere = sign * 6 * (k + 1) / math.factorial(2 * k + 3)
        total += (1 - e) * bessel + 2 * e / 3 * sphere
    expected = float(total / (1 - e / 3))
    assert rotation_transform(u, float(e)) == pytest.approx(expected, rel=1e-14)


@given(u=st.floats(-1e4, 1e4), e=darkenings)
def test_rotation_is_even_and_bounded(u, e):
    value = rotation_transform(u, e)
    assert value == rotation_transform(-u, e)
    assert abs(value) <= 1 + 1e-14
    assert rotation_transform(0.0, e) == 1


@given(e=darkenings, u_max=st.floats(0.01, 1500), fraction=st.floats(0, 1))
def test_the_table_is_the_transform(e, u_max, fraction):
    n_freq = 2049
    steps = np.array([1.0, fraction, 0.0]) * u_max / (n_freq - 1)
    got = RotationTable(u_max, e)(steps, n_freq)
    expected = rotation_transform(steps[:, None] * np.arange(n_freq), e)
    assert np.abs(got - expected).max() < 1e-8
    assert (got[:, 0] == 1).all()
    assert (got[2] == 1).all()


def test_the_table_has_a_continuous_slope():
    """Compare both sides of a node; the second derivative alone changes the slope by 0.25 * d."""
    d = 1e-7
    node = rotation._TABLE_STEP * np.arange(1, 1000)
    table = RotationTable(node[-1] + 1)
    before, at, after = (table(node + shift, 2)[:, 1] for shift in (-d, 0.0, d))
    assert np.abs((after - at) - (at - before)).max() / d < 1e-7


@given(pixels=st.floats(0, 100), other=st.floats(0, 100))
def test_gaussians_are_bounded_and_their_variances_add(pixels, other):
    def transform(sigma):
        return gaussian_transform(sigma * STEP, FourierGrid(STEP, 1000, 501))

    assert transform(pixels)[0] == 1
    assert ((transform(pixels) >= 0) & (transform(pixels) <= 1)).all()
    both = transform(math.hypot(pixels, other))
    np.testing.assert_allclose(transform(pixels) * transform(other), both, rtol=1e-9, atol=1e-300)
    assert (transform(0.0) == 1).all()


def test_a_gaussian_is_the_transform_of_a_gaussian():
    sigma = 2.5
    pixel = np.fft.fftfreq(1000, 1 / 1000)
    profile = np.exp(-0.5 * (pixel / sigma) ** 2) / (sigma * math.sqrt(2 * np.pi))
    got = gaussian_transform(sigma * STEP, FourierGrid(STEP, 1000, 501))
    np.testing.assert_allclose(got, np.fft.rfft(profile).real, atol=1e-13)


@given(resolution=st.floats(10, 1e6))
def test_an_instruments_fwhm(resolution):
    sigma = profile_sigma(resolution)
    assert math.exp(-0.5 * (0.5 / resolution / sigma) ** 2) == pytest.approx(0.5)
    assert profile_sigma(fwhm=C / resolution) == pytest.approx(sigma)


@given(resolution=st.floats(10, 1e6), sharper=st.floats(1.001, 10))
def test_the_librarys_resolution_is_subtracted_in_quadrature(resolution, sharper):
    rest = profile_sigma(resolution, library_resolution=resolution * sharper)
    own = profile_sigma(resolution * sharper)
    assert math.hypot(rest, own) == pytest.approx(profile_sigma(resolution))


def test_no_instrument_and_an_equal_library():
    assert profile_sigma() == 0.0
    with pytest.raises(InvalidInput, match="give resolution or fwhm") as error:
        profile_sigma(library_resolution=500_000)
    assert error.value.name == "library_resolution"
    assert profile_sigma(3e4, library_resolution=3e4) == 0.0


FREQUENCIES = FourierGrid(STEP, 8, 5)


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        (lambda: doppler_shift([0.0, 299_792.458]), "rv", 299_792.458),
        (lambda: doppler_shift(-4e5), "rv", -4e5),
        (lambda: doppler_shift(np.nan), "rv", np.nan),
        (lambda: half_width(10.0, 3e5, 1e-5), "rv", 3e5),
        (lambda: rotation_transform(1.0, 1.1), "limb_darkening", 1.1),
        (lambda: RotationTable(10.0, -0.1), "limb_darkening", -0.1),
        (lambda: RotationTable(0.0), "u_max", 0.0),
        (lambda: RotationTable(math.inf), "u_max", math.inf),
        (lambda: RotationTable(10.0)([0.1, 1.1], 11), "u_step", 11),
        (lambda: RotationTable(10.0)([-0.1], 11), "u_step", -1),
        (lambda: RotationTable(10.0)([np.nan], 11), "u_step", np.nan),
        (lambda: gaussian_transform(-1e-5, FREQUENCIES), "profile_sigma", -1e-5),
        (lambda: gaussian_transform(np.nan, FREQUENCIES), "profile_sigma", np.nan),
        (lambda: profile_sigma(3e4, 10.0), "resolution", 3e4),
        (lambda: profile_sigma(-1.0), "resolution", -1.0),
        (lambda: profile_sigma(fwhm=0.0), "fwhm", 0.0),
        (lambda: profile_sigma(1e4, library_resolution=math.nan), "library_resolution", math.nan),
        (lambda: profile_sigma(1e5, library_resolution=2e4), "library_resolution", 2e4),
    ],
)
def test_bad_input(call, name, value):
    with pytest.raises(InvalidInput) as error:
        call()
    assert error.value.name == name
    assert error.value.value == pytest.approx(value, nan_ok=True)
    assert "\n" not in str(error.value)


def test_quantities_are_converted():
    assert doppler_shift(500 * units.m / units.s) == pytest.approx(doppler_shift(0.5), rel=1e-14)
    assert profile_sigma(fwhm=6000 * units.m / units.s) == pytest.approx(profile_sigma(fwhm=6.0))
    with pytest.raises(InvalidInput) as error:
        profile_sigma(resolution=50 * units.km)
    assert error.value.name == "resolution"
