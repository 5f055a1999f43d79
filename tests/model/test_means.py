"""Mean flux: agreement with the plain mean, bit-reproducibility, and unusable flux."""

import math
from itertools import pairwise

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import LibraryError
from mixjobs.library import open_library
from mixjobs.model.means import mean_flux, spans
from mixjobs.orders import Orders

N_PIXELS = 20_000
FLUX = np.random.default_rng(7).lognormal(size=N_PIXELS)


@st.composite
def pixel_ranges(draw):
    """Pixels lo:hi of a few orders, in any order, overlapping or far apart."""
    n = draw(st.integers(1, 8))
    lo = [draw(st.integers(0, N_PIXELS - 1)) for _ in range(n)]
    return lo, [draw(st.integers(a + 1, min(N_PIXELS, a + 3000))) for a in lo]


class Reads:
    """A spectrum that records which pixels are read, and returns copies, as a file does."""

    def __init__(self, flux):
        self.flux, self.pieces = flux, []

    def __call__(self, lo, hi):
        self.pieces.append((lo, hi))
        return self.flux[lo:hi].copy()


def means(flux, lo, hi, number=None):
    return mean_flux(Reads(np.asarray(flux, dtype=float)), number or range(len(lo)), lo, hi)


class TestMean:
    @given(pixel_ranges())
    def test_is_the_plain_mean(self, ranges):
        lo, hi = ranges
        for mean, a, b in zip(means(FLUX, lo, hi), lo, hi, strict=True):
            exact = math.fsum(FLUX[a:b]) / (b - a)
            assert mean == pytest.approx(exact, rel=1e-14)
            assert mean == FLUX[a:b].mean()  # to the last bit

    @given(pixel_ranges(), st.randoms(use_true_random=False))
    def test_bits_do_not_depend_on_the_other_orders(self, ranges, random):
        lo, hi = (np.array(values) for values in ranges)
        every = means(FLUX, lo, hi)
        chosen = random.sample(range(len(lo)), random.randint(1, len(lo)))
        np.testing.assert_array_equal(means(FLUX, lo[chosen], hi[chosen]), every[chosen])

    def test_real_library_by_its_wavelengths(self, data):
        library = open_library(data / "btsettl_prism.hdf5")
        orders = Orders.log_spaced(20, 7000, 50000)
        lo, hi = orders.pixel_ranges(library.wavelength)
        with h5py.File(data / "btsettl_prism.hdf5", "r", locking=False) as file:
            held = file["flux/t3300g4.5z-0.5"][...].astype(float)
            wave = file["wl"][...]
        row = library.grid.row([3300, 4.5, -0.5])
        for spectrum in library.reader([row]):
            mine = mean_flux(spectrum, orders.number, lo, hi)
        for mean, low, high in zip(mine, orders.wave_min, orders.wave_max, strict=True):
            assert mean == pytest.approx(held[(wave >= low) & (wave < high)].mean(), rel=1e-14)


class TestSpans:
    @given(pixel_ranges())
    def test_every_order_is_in_one_piece_and_no_pixel_is_read_twice(self, ranges):
        lo, hi = ranges
        pieces = spans(lo, hi)
        assert sorted(m for *_, members in pieces for m in members) == list(range(len(lo)))
        for start, stop, members in pieces:
            assert (start, stop) == (min(lo[m] for m in members), max(hi[m] for m in members))
        for (_, stop, _), (start, _, _) in pairwise(pieces):
            assert start - stop >= 2048

    def test_gaps_are_read_where_that_is_cheaper(self):
        assert [p[:2] for p in spans([0, 2147], [100, 2200])] == [(0, 2200)]
        assert [p[:2] for p in spans([0, 2148], [100, 2200])] == [(0, 100), (2148, 2200)]

    def test_a_wide_order_that_holds_others(self):
        assert spans([0, 10, 9000], [9500, 20, 9100]) == [(0, 9500, [0, 1, 2])]

    def test_each_piece_is_read_once(self):
        spectrum = Reads(FLUX)
        mean_flux(spectrum, range(4), [9000, 0, 50, 9050], [9100, 100, 150, 9150])
        assert spectrum.pieces == [(0, 150), (9000, 9150)]


NAN, INF = np.nan, np.inf
BAD = [
    ("NaN", [1, NAN, 2], "order 21 has NaN or infinite flux"),
    ("inf", [1, INF, 2], "order 21 has NaN or infinite flux"),
    ("-inf", [1, -INF, 2], "order 21 has NaN or infinite flux"),
    ("both infinities", [INF, -INF, 2], "order 21 has NaN or infinite flux"),
    ("NaN and negative", [NAN, -1, 2], "order 21 has NaN or infinite flux"),
    ("a sum too large", [1.7e308, 1.7e308, 1], "order 21 has NaN or infinite flux"),
    ("negative", [3, -0.25, 2], r"order 21 has negative flux \(-0.25\)"),
    ("negative mean", [-3, 1, 1], r"order 21 has negative flux \(-3\)"),
    ("negative that cancels", [-1, 0, 1], r"order 21 has negative flux \(-1\)"),
    ("all zero", [0, 0, 0], "order 21 has zero flux"),
    ("negative zeros", [-0.0, -0.0, 0], "order 21 has zero flux"),
]


class TestUnusable:
    """Warnings are errors in the suite, so unusable flux must not cause any."""

    @pytest.mark.parametrize(("flux", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
    @pytest.mark.parametrize("before", [0, 5, 3000])
    def test_is_named(self, flux, message, before):
        """Next to a usable order, in the same piece or far from it."""
        padded = np.concatenate([np.ones(before + 1), np.array(flux, dtype=float)])
        with pytest.raises(LibraryError, match=message) as error:
            means(padded, [0, before + 1], [1, before + 4], [20, 21])
        assert (error.value.name, error.value.order) == ("flux", 21)

    @pytest.mark.parametrize("value", [NAN, INF, -INF, -1.0])
    def test_between_the_orders_does_no_harm(self, value):
        flux = np.array([1.0, 2.0, value, 3.0, 5.0])
        assert means(flux, [0, 3], [2, 5]).tolist() == [1.5, 4.0]

    def test_zeros_among_others_are_flux(self):
        assert means([0.0, 3.0, 3.0], [0], [3]).tolist() == [2.0]


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (5, 9), (18, 20), (0, 12)])
@pytest.mark.parametrize("dark", [0.0, 1e-30])
def test_a_run_of_zeros_next_to_flux_is_refused(start, stop, dark):
    flux = np.linspace(1, 2, 20)
    flux[start:stop] = dark
    with pytest.raises(LibraryError) as error:
        mean_flux(lambda lo, hi: flux[lo:hi], [7, 8], [0, 0], [20, 20])
    assert (error.value.order, error.value.value) == (7, (start, stop - 1))


def test_flux_that_fades_to_zero_is_accepted():
    flux = np.exp(-(np.linspace(0, 200, 400) ** 1.5))  # underflows to zero
    assert flux[-1] == 0
    assert mean_flux(lambda lo, hi: flux[lo:hi], [7], [0], [400]) > 0
    line = np.ones(9)
    line[4] = 0  # one pixel is no run
    assert mean_flux(lambda lo, hi: line[lo:hi], [7], [0], [9]) == pytest.approx([8 / 9])
