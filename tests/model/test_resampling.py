"""Resampling to data pixels: agreement with scipy's periodic spline, and invariants."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import make_interp_spline

from mixjobs.errors import InvalidInput, OrderError
from mixjobs.model.resampling import fft_length, pad_ends, resampling_matrix, spline_prefilter
from mixjobs.wavelengths import LogGrid, pixel_edges

GRID = LogGrid(math.log(5000.0), 1e-5, 160)
N_FFT = 200


def wavelengths(places):
    return np.exp(GRID.start + GRID.step * np.asarray(places))


def resampled(values, places):
    """Periodic values (N_FFT,) at the pixels of GRID."""
    spectrum = np.fft.rfft(values) * spline_prefilter(N_FFT, N_FFT // 2 + 1)
    return resampling_matrix(GRID, N_FFT, wavelengths(places)) @ np.fft.irfft(spectrum, N_FFT)


def periodic_spline(values):
    """The periodic spline through values at 0 to N_FFT - 1."""
    closed = np.append(values, values[0])
    return make_interp_spline(np.arange(N_FFT + 1), closed, k=7, bc_type="periodic")


@st.composite
def rough_values(draw):
    return np.random.default_rng(draw(st.integers(0, 10**6))).uniform(-1, 1, N_FFT)


@st.composite
def uneven_places(draw, narrowest, widest):
    """Centres of pixels within the grid, with distances in the given range."""
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    steps = random.uniform(narrowest, widest, 400)
    places = draw(st.floats(widest, 2 * widest)) + np.cumsum(steps)
    return places[places < GRID.n_pixels - 1 - widest]


@given(values=rough_values())
def test_grid_pixels_are_returned_exactly(values):
    got = resampled(values, np.arange(GRID.n_pixels))
    np.testing.assert_allclose(got, values[: GRID.n_pixels], rtol=0, atol=1e-12)


@given(values=rough_values(), places=uneven_places(0.05, 0.99))
def test_narrow_pixels_have_the_splines_value(values, places):
    expected = periodic_spline(values)(places)
    np.testing.assert_allclose(resampled(values, places), expected, rtol=0, atol=1e-9)


@given(values=rough_values(), places=uneven_places(1.02, 9.0))
def test_wide_pixels_have_the_splines_average_and_conserve_flux(values, places):
    edges = (pixel_edges(wavelengths(places)) - GRID.start) / GRID.step
    integral = periodic_spline(values).antiderivative()
    got, width = resampled(values, places), np.diff(edges)
    np.testing.assert_allclose(got, np.diff(integral(edges)) / width, rtol=0, atol=1e-9)
    total = integral(edges[-1]) - integral(edges[0])
    assert (got * width).sum() == pytest.approx(total, abs=1e-8)


@given(places=uneven_places(0.3, 3.0))
def test_a_constant_is_preserved_and_rows_are_local(places):
    matrix = resampling_matrix(GRID, N_FFT, wavelengths(places))
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=0, atol=1e-13)
    width = np.diff(pixel_edges(wavelengths(places))) / GRID.step
    entries = np.diff(matrix.indptr)
    assert (entries <= np.where(width > 1.001, width + 10, 9)).all()
    far = (matrix.indices - np.repeat(places, entries) + N_FFT / 2) % N_FFT - N_FFT / 2
    assert (np.abs(far) <= np.repeat(width, entries) + 4).all()


@pytest.mark.parametrize(("width", "is_averaged"), [(0.9, False), (1.0009, False), (1.0011, True)])
def test_pixels_wider_than_the_step_are_averaged(width, is_averaged):
    values = np.random.default_rng(2).uniform(-1, 1, N_FFT)
    places = 20 + width * np.arange(50)
    spline = periodic_spline(values)
    ends = spline.antiderivative()(np.array([places - width / 2, places + width / 2]))
    expected = (ends[1] - ends[0]) / width if is_averaged else spline(places)
    np.testing.assert_allclose(resampled(values, places), expected, rtol=0, atol=1e-6)


def test_pixels_at_the_very_ends_use_the_padding():
    values = np.random.default_rng(3).uniform(-1, 1, N_FFT)
    places = np.arange(0.25, GRID.n_pixels - 1.2, 1.5)
    edges = (pixel_edges(wavelengths(places)) - GRID.start) / GRID.step
    assert edges[0] == pytest.approx(-0.5)
    shifted = periodic_spline(np.roll(values, 20)).antiderivative()
    expected = np.diff(shifted(edges + 20)) / 1.5
    np.testing.assert_allclose(resampled(values, places), expected, rtol=0, atol=1e-9)


@given(milli=st.sets(st.integers(10**6, 3 * 10**7), min_size=2, max_size=30))
def test_edges_are_midway(milli):
    wave = np.array(sorted(milli)) / 1000
    edges, x = pixel_edges(wave), np.log(wave)
    np.testing.assert_allclose(2 * edges[1:-1], x[1:] + x[:-1], rtol=1e-14)
    widths = np.diff(edges)
    assert widths[0] == pytest.approx(widths[1], abs=1e-14)
    assert widths[-1] == pytest.approx(widths[-2], abs=1e-14)
    assert (edges[:-1] < x).all()
    assert (x < edges[1:]).all()


@given(n_pixels=st.integers(1, 200_000))
def test_the_length_is_even_fast_and_has_room(n_pixels):
    n_fft = fft_length(n_pixels)
    assert n_fft % 2 == 0
    assert n_fft - n_pixels >= max(32, n_pixels / 32)
    assert n_fft < 1.2 * n_pixels + 40
    for factor in (2, 3, 5):
        while n_fft % factor == 0:
            n_fft //= factor
    assert n_fft == 1


@given(seed=st.integers(0, 10**6), n_pixels=st.integers(1, 100), n_padding=st.integers(0, 150))
def test_padding_keeps_the_values_and_is_linear(seed, n_pixels, n_padding):
    a, b = np.random.default_rng(seed).normal(size=(2, 3, n_pixels))
    padded = pad_ends(a, n_pixels + n_padding)
    assert padded.shape == (3, n_pixels + n_padding)
    assert (padded[:, :n_pixels] == a).all()
    both = padded + 2 * pad_ends(b, n_pixels + n_padding)
    np.testing.assert_allclose(pad_ends(a + 2 * b, n_pixels + n_padding), both, atol=1e-12)
    np.testing.assert_allclose(pad_ends(np.ones(n_pixels), n_pixels + n_padding), 1)


def test_padding_has_neither_jump_nor_kink():
    n_pixels = 400
    x = np.linspace(0, 1, n_pixels)
    slope = 2 * np.pi / n_pixels
    ring = np.tile(pad_ends(np.sin(2 * np.pi * x), n_pixels + 100), 2)
    assert np.abs(np.diff(ring)).max() < 1.1 * slope
    assert np.abs(np.diff(ring, 2)).max() < 0.1 * slope  # a kink would make it the slope
    ring = np.tile(pad_ends(x, n_pixels + 100), 2)
    assert np.abs(np.diff(ring)).max() < np.pi / 2 / 100 * 1.5  # half a cosine's steepest, about


def test_the_prefilter_undoes_the_splines_own_smoothing():
    """b(k) of degree 7 is 1, 120, 1191, 2416, ... over 5040 (Eulerian numbers)."""
    kernel = np.zeros(64)
    kernel[[0, 1, 2, 3, -1, -2, -3]] = np.array([2416, 1191, 120, 1, 1191, 120, 1]) / 5040
    factors = spline_prefilter(64, 33)
    assert factors[0] == pytest.approx(1, abs=1e-14)
    assert (np.diff(factors) > 0).all()
    np.testing.assert_allclose(factors * np.fft.rfft(kernel), 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "places", [[-1.0, 0, 1], [150, 155, 160], [158, 159, 159.9], [170, 171, 172]]
)
def test_data_beyond_the_grid_are_refused(places):
    with pytest.raises(OrderError) as error:
        resampling_matrix(GRID, N_FFT, wavelengths(places))
    edges = np.exp(pixel_edges(wavelengths(places)))[[0, -1]]
    assert error.value.name == "wavelength"
    assert error.value.value == pytest.approx(edges, rel=1e-12)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("places", [[3, 2, 1], [1, 2, 2], [1, np.nan, 2], [5], [[5, 6], [7, 8]]])
def test_bad_wavelengths(places):
    with pytest.raises(InvalidInput, match="expected") as error:
        resampling_matrix(GRID, N_FFT, wavelengths(places))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("first", [0.0, -5000.0, math.inf])
def test_wavelengths_must_be_positive_and_finite(first):
    with pytest.raises(InvalidInput) as error:
        pixel_edges([first, 5001.0, 5002.0])
    assert (error.value.value, error.value.pixel) == (first, 0)


def test_the_grids_own_pixels_lie_within_it():
    assert resampling_matrix(GRID, N_FFT, GRID.wavelength).shape == (GRID.n_pixels, N_FFT)


def test_a_transform_shorter_than_the_grid_is_refused():
    with pytest.raises(InvalidInput, match="160 pixels") as error:
        resampling_matrix(GRID, 100, GRID.wavelength)
    assert (error.value.name, error.value.value) == ("n_fft", 100)
    with pytest.raises(InvalidInput, match="160 pixels"):
        pad_ends(np.ones(160), 100)
