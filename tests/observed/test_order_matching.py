"""Masking of wavelength ranges, and matching of observed spectra to the orders of a store."""

import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, MissingFile, OrderError, UnreadableFile
from mixjobs.model.instrument import data_pixels
from mixjobs.observed.masks import read_ranges
from mixjobs.observed.opening import open_spectrum
from mixjobs.observed.order_matching import cut_by_range
from mixjobs.observed.spectrum import ObservedSpectrum
from mixjobs.orders import Orders
from mixjobs.wavelengths import air_to_vacuum, ranges_of_pixels, vacuum_to_air

MEDIA = ("air", "vacuum")


def spectrum(path, wave, masks=None, medium=None, number=None):
    """Write orders of (n_pixels,) each as ECSV, with order numbers if given, and read them."""
    wave = [np.asarray(one, dtype=float) for one in wave]
    flat = np.concatenate(wave)
    columns = {
        "wavelength": flat,
        "flux": np.arange(len(flat), dtype=float),
        "sigma": np.full(len(flat), 0.1),
    }
    if masks is not None:
        columns["mask"] = np.concatenate(masks).astype(int)
    if number is not None:
        columns["order"] = np.repeat(number, [len(one) for one in wave])
    meta = {"medium": medium} if medium else None
    table = Table(columns, meta=meta)
    table["wavelength"].unit = "Angstrom"
    table.write(path, format="ascii.ecsv")
    return open_spectrum(path)


def in_medium(wave, medium, library):
    """Convert wavelengths to the library's medium, as `load_mixture` does."""
    convert = {("air", "vacuum"): air_to_vacuum, ("vacuum", "air"): vacuum_to_air}
    return convert.get((medium, library), np.asarray)(wave)


def check(arranged, orders, library):
    """Check the properties of every arranged spectrum."""
    data_pixels(
        dict(zip(arranged.orders.number.tolist(), arranged.wavelength, strict=True)),
        orders.select(arranged.orders.number.tolist()),
        arranged.medium,
        [np.empty(0)] * len(arranged.orders),
        library,
    )
    lengths = {len(arranged.orders)}
    for one in (arranged.wavelength, arranged.flux, arranged.flux_error, arranged.mask):
        lengths.add(len(one))
        assert not any(array.flags.writeable for array in one)
    assert len(lengths) == 1
    for m, (flux, sigma, mask) in enumerate(
        zip(arranged.flux, arranged.flux_error, arranged.mask, strict=True)
    ):
        assert flux.shape == sigma.shape == mask.shape == arranged.wavelength[m].shape
        assert np.isfinite(flux[mask]).all()
        assert (np.isfinite(sigma[mask]) & (sigma[mask] > 0)).all()
        lo, hi = arranged.orders.take([m]).pixel_ranges(arranged.wavelength[m])
        assert (lo[0], hi[0]) == (0, len(flux))


class TestReal:
    def test_a_one_dimensional_spectrum_is_cut(self, data):
        observed = open_spectrum(data / "Gl51.hdf5")
        orders = Orders([11, 12, 14], [8500.0, 12000.0, 21000.0], [12000.0, 18000.0, 23000.0])
        arranged = observed.in_orders(orders, "vacuum")
        check(arranged, orders, "vacuum")
        with h5py.File(data / "Gl51.hdf5", "r", locking=False) as file:
            wave, flux, masks = (file[name][...] for name in ("wls", "fls", "masks"))
        assert arranged.orders.number.tolist() == [11, 12, 14]
        used = 0
        for m, (low, high) in enumerate(zip(orders.wave_min, orders.wave_max, strict=True)):
            within = (wave >= low) & (wave < high)
            np.testing.assert_array_equal(arranged.wavelength[m], wave[within])
            np.testing.assert_array_equal(arranged.flux[m], flux[within])
            np.testing.assert_array_equal(arranged.mask[m], masks[within] == 1)
            used += int(masks[within].sum())
        assert arranged.medium == "vacuum"
        assert arranged.notes[-2:] == (
            "wavelengths in vacuum, like the library's (assumed; its file does not say)",
            f"cut into the store's orders 11, 12, 14: {used} of the 4297 pixels to use",
        )

    def test_orders_are_matched_by_number(self, data):
        observed = open_spectrum(data / "LkCa15-2013-10-12.hdf5")
        numbers = [24, 22, 60]
        low = np.array([observed.wavelength[n][0] for n in numbers[:2]])
        high = np.array([observed.wavelength[n][-1] for n in numbers[:2]])
        orders = Orders(numbers, [*low - 2, 9000], [*high + 2, 9100])
        arranged = observed.in_orders(orders, "air")
        check(arranged, orders, "air")
        assert arranged.orders.number.tolist() == [24, 22]
        for m, n in enumerate(numbers[:2]):
            np.testing.assert_array_equal(arranged.wavelength[m], observed.wavelength[n])
            np.testing.assert_array_equal(arranged.flux_error[m], observed.flux_error[n])
        assert arranged.barycentric_velocity == 23.09774
        assert arranged.notes[-3].startswith("wavelengths in air, like the library's (assumed")
        assert arranged.notes[-2].startswith("orders left out, not in the store: 0, 1, 2,")
        assert arranged.notes[-1] == "orders of the store without data: 60"
        narrow = observed.in_orders(Orders([24], low[:1], high[:1] - 1), "air")
        n_outside = int((observed.wavelength[24] > high[0] - 1).sum())
        assert len(narrow.wavelength[0]) == len(observed.wavelength[24]) - n_outside
        assert f"{n_outside}, up to 56 km/s beyond, in order 24" in " ".join(narrow.notes)


@st.composite
def one_dimensional(draw):
    """A spectrum of one order, and ranges whose edges are often pixels in the library's medium."""
    n = draw(st.integers(5, 40))
    steps = draw(st.lists(st.floats(0.01, 30.0), min_size=n, max_size=n))
    wave = 4000.0 + np.cumsum(steps)
    masks = np.array(draw(st.lists(st.sampled_from([1, 1, 1, 0]), min_size=n, max_size=n)))
    medium, library = draw(st.sampled_from(MEDIA)), draw(st.sampled_from(MEDIA))
    edges = in_medium(wave, medium, library)
    ranges = []
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, n - 2))
        last = draw(st.integers(first + 1, n - 1))
        shift = draw(st.sampled_from([0.0, -0.003, 0.003]))
        ranges.append((edges[first] + shift, edges[last]))
    return wave, masks, medium, library, np.array(ranges)


class TestCut:
    @given(one_dimensional())
    def test_pieces_contain_the_pixels_in_the_ranges(self, drawn):
        wave, masks, medium, library, ranges = drawn
        orders = Orders.from_edges(ranges)
        converted = in_medium(wave, medium, library)
        expected, free = {}, np.ones(len(wave), dtype=bool)
        for number in np.argsort(ranges[:, 0], kind="stable"):
            low, high = ranges[number]
            within = (converted >= low) & (converted < high) & free
            free &= ~within  # each pixel counts once
            if masks[within].sum() >= 5:
                expected[number] = within
        with tempfile.TemporaryDirectory() as folder:
            observed = spectrum(Path(folder, "o.ecsv"), [wave], [masks], medium)
        expected = dict(sorted(expected.items()))
        if not expected:
            with pytest.raises(InvalidInput, match="is common to the spectrum"):
                observed.in_orders(orders, library)
            return
        arranged = observed.in_orders(orders, library)
        check(arranged, orders, library)
        assert arranged.orders.number.tolist() == list(expected)
        assert arranged.medium == medium
        for m, within in enumerate(expected.values()):
            # a pixel at an edge may be on either side, to rounding
            unambiguous = within & (np.abs(converted[:, None] - ranges.ravel()) > 1e-9).all(axis=1)
            assert set(wave[unambiguous]) <= set(arranged.wavelength[m]) <= set(wave[within])
            selected = np.isin(wave, arranged.wavelength[m])
            np.testing.assert_array_equal(arranged.flux[m], observed.flux[0][selected])
            np.testing.assert_array_equal(arranged.mask[m], masks[selected] == 1)

    def test_a_pixel_in_two_ranges_counts_once(self, tmp_path):
        observed = spectrum(tmp_path / "o.ecsv", [np.arange(5000.0, 5030.0)])
        orders = Orders([3, 4, 9], [5000, 5010, 5026], [5015, 5025, 5035])
        arranged = observed.in_orders(orders, "air")
        assert arranged.orders.number.tolist() == [3, 4]
        assert arranged.wavelength[0].tolist() == list(np.arange(5000.0, 5015.0))
        assert arranged.wavelength[1].tolist() == list(np.arange(5015.0, 5025.0))
        assert arranged.notes[1:] == (
            "cut into the store's orders 3, 4: 25 of the 30 pixels to use",
            "orders left out, fewer than 5 pixels to use: 9",
        )
        rearranged = arranged.in_orders(orders, "air")
        for wave, wave_again in zip(arranged.wavelength, rearranged.wavelength, strict=True):
            np.testing.assert_array_equal(wave, wave_again)

    def test_one_piece_keeps_its_number(self, tmp_path):
        observed = spectrum(tmp_path / "o.ecsv", [np.arange(5000.0, 5030.0)])
        arranged = observed.in_orders(Orders([3], [5000], [5015]), "air")
        rearranged = arranged.in_orders(Orders([2, 3], [4990, 5000], [5010, 5015]), "air")
        assert rearranged.orders.number.tolist() == [3]

    def test_cut_is_stable_if_conversion_depends_on_the_pixels(self):
        """A piece that is converted again on its own, as in a mixture model, stays in its range."""
        wave = np.arange(5000.0, 5010.0)
        calls = []

        def convert(wave):
            calls.append(len(wave))
            return wave - 1e-9 * (len(wave) < 9)

        (piece,) = cut_by_range(wave, Orders.from_edges([5002, 5020]), convert)
        part = convert(wave[piece.pixels])
        assert (part >= 5002).all()
        assert wave[piece.pixels].tolist() == list(range(5003, 5010))
        assert calls == [10, 8, 7, 7]

    def test_a_single_numbered_order_is_not_cut(self, tmp_path):
        observed = spectrum(tmp_path / "o.ecsv", [np.arange(5000.0, 5030.0)], number=[4])
        orders = Orders([3, 4], [4990, 4995], [5015, 5035])
        assert observed.in_orders(orders, "air").orders.number.tolist() == [4]


class TestByNumber:
    WAVE = (np.arange(5000.0, 5030.0), np.arange(5020.0, 5060.0))

    @pytest.mark.parametrize(("medium", "library"), [(m, n) for m in MEDIA for n in MEDIA])
    def test_masked_ends_are_removed(self, tmp_path, medium, library):
        masks = [np.ones(len(wave)) for wave in self.WAVE]
        masks[0][:3], masks[0][10], masks[1][-2:] = 0, 0, 0
        observed = spectrum(tmp_path / "o.ecsv", self.WAVE, masks, medium, [7, 8])
        data_orders = Orders([8, 7], [5019.5, 5002.5], [5057.5, 5029.5])
        orders = Orders(
            data_orders.number,
            *(
                in_medium(edges, medium, library)
                for edges in (data_orders.wave_min, data_orders.wave_max)
            ),
        )
        arranged = observed.in_orders(orders, library)
        check(arranged, orders, library)
        assert arranged.orders.number.tolist() == [8, 7]
        assert arranged.wavelength[0].tolist() == self.WAVE[1][:-2].tolist()
        assert arranged.wavelength[1].tolist() == self.WAVE[0][3:].tolist()
        assert np.flatnonzero(~arranged.mask[1]).tolist() == [7]

    @pytest.mark.parametrize("pixel", [0, 29])
    def test_a_used_pixel_outside_its_order_is_masked_with_a_note(self, tmp_path, pixel):
        masks = [np.ones(30), np.ones(40)]
        masks[0][[0, 29]] = 0
        orders = Orders([7, 8], [5000.5, 5000], [5028.5, 5070])
        observed = spectrum(tmp_path / "fine.ecsv", self.WAVE, masks, number=[7, 8])
        silent = observed.in_orders(orders, "air")
        assert len(silent.wavelength[0]) == 28
        assert not any("outside" in note for note in silent.notes)
        masks[0][pixel] = 1
        observed = spectrum(tmp_path / "o.ecsv", self.WAVE, masks, number=[7, 8])
        arranged = observed.in_orders(orders, "air")
        np.testing.assert_array_equal(arranged.wavelength[0], silent.wavelength[0])
        assert any("orders: 1, up to 30 km/s beyond, in order 7" in note for note in arranged.notes)

    @given(st.integers(1, 29), st.booleans())
    def test_most_pixels_must_be_inside(self, n_outside, at_the_start):
        """An order in another unit, or with another number, is not masked away."""
        with tempfile.TemporaryDirectory() as folder:
            observed = spectrum(Path(folder, "o.ecsv"), self.WAVE, number=[7, 8])
        edge = 4999.5 + n_outside if at_the_start else 5029.5 - n_outside
        low, high = (edge, 5090.0) if at_the_start else (4940.0, edge)
        orders = Orders([7, 8], [low, 5000], [high, 5070])
        if n_outside <= 15:
            assert len(observed.in_orders(orders, "air").wavelength[0]) == 30 - n_outside
            return
        with pytest.raises(OrderError) as error:
            observed.in_orders(orders, "air")
        assert (error.value.order, error.value.path) == (7, str(observed.path))
        assert error.value.value == (5000.0, 5029.0)

    @pytest.mark.parametrize("factor", [1.0, 100.0])
    def test_a_wrong_unit_is_refused(self, tmp_path, factor):
        observed = spectrum(tmp_path / "o.ecsv", self.WAVE, number=[7, 8])
        with pytest.raises(OrderError):
            observed.in_orders(
                Orders([7, 8], [500 * factor, 502 * factor], [503 * factor, 506 * factor]), "air"
            )

    @pytest.mark.parametrize("medium", MEDIA)
    def test_a_wrong_medium_is_refused(self, tmp_path, medium):
        """A store of this spectrum, with its medium right; then the other medium is requested."""
        wave = [np.arange(low, low + 100.0, 0.2) for low in (5000.0, 8000.0)]
        observed = spectrum(tmp_path / "o.ecsv", wave, number=[7, 8])
        low, high = ranges_of_pixels(wave, medium, "vacuum")
        orders = Orders([7, 8], low, high)
        assert len(observed.in_orders(orders, "vacuum", medium).wavelength[0]) == len(wave[0])
        other = MEDIA[MEDIA[0] == medium]
        with pytest.raises(OrderError) as error:
            observed.in_orders(orders, "vacuum", other)
        assert error.value.name == "medium"
        masked = observed.masking([[5000, 5003], [5097, 5101], [8000, 8003], [8097, 8101]])
        assert len(masked.in_orders(orders, "vacuum", other).orders) == 2

    @given(st.floats(-60, 60))
    def test_the_motion_of_the_earth_is_not_taken_for_a_medium(self, velocity):
        wave = [np.arange(low, low + 100.0, 0.2) for low in (5000.0, 8000.0)]
        shifted = [one * (1 + velocity / 299792.458) for one in wave]
        with tempfile.TemporaryDirectory() as folder:
            observed = spectrum(Path(folder, "o.ecsv"), shifted, number=[7, 8])
        arranged = observed.in_orders(Orders([7, 8], *ranges_of_pixels(wave, None, "air")), "air")
        for one, other in zip(arranged.wavelength, wave, strict=True):
            assert other[0] <= one[0] < one[-1] <= other[-1]
            assert len(one) >= len(other) - 1 - abs(velocity) / 299792.458 * other[-1] / 0.2

    def test_an_order_with_too_few_pixels_is_left_out(self, tmp_path):
        masks = [np.zeros(30), np.ones(40)]
        masks[0][10:14] = 1
        observed = spectrum(tmp_path / "o.ecsv", self.WAVE, masks, number=[7, 8])
        orders = Orders([7, 8], [5000, 5000], [5070, 5070])
        arranged = observed.in_orders(orders, "air")
        assert arranged.orders.number.tolist() == [8]
        assert "orders left out, fewer than 5 pixels to use: 7" in arranged.notes

    def test_no_common_order_is_refused(self, tmp_path):
        observed = spectrum(tmp_path / "o.ecsv", self.WAVE, number=[7, 8])
        with pytest.raises(InvalidInput) as caught:
            observed.in_orders(Orders([1, 2], [5000, 5000], [5070, 5070]), "air")
        facts = caught.value.path, caught.value.name, caught.value.value
        assert facts == (str(observed.path), "orders", [7, 8])


class TestMedium:
    @pytest.mark.parametrize(
        ("declared", "requested", "library", "settled", "note"),
        [
            ("air", None, "vacuum", "air", "wavelengths in air, as its file declares"),
            ("air", "air", "vacuum", "air", "wavelengths in air, as its file declares"),
            (None, "air", "vacuum", "air", "wavelengths in air, as requested"),
            (None, None, "vacuum", "vacuum", "wavelengths in vacuum, like the library's (assumed; "
             "its file does not say)"),
            (None, None, "unknown", None, "wavelengths in an unknown medium, taken to be the "
             "library's"),
            ("air", None, "unknown", "air", "wavelengths in air, as its file declares; not "
             "converted: the library's is unknown"),
        ],
    )  # fmt: skip
    def test_medium_is_settled(self, tmp_path, declared, requested, library, settled, note):
        observed = spectrum(tmp_path / "o.ecsv", [np.arange(5000.0, 5030.0)], medium=declared)
        orders = Orders.from_edges([5010, 5025])
        arranged = observed.in_orders(orders, library, requested)
        assert (arranged.medium, arranged.notes[0]) == (settled, note)
        low = in_medium(arranged.wavelength[0][0], settled, library)
        assert 5010 <= low < 5011

    def test_a_contradiction_is_refused(self, tmp_path):
        observed = spectrum(tmp_path / "o.ecsv", [np.arange(5000.0, 5030.0)], medium="air")
        orders = Orders.from_edges([5010, 5025])
        for medium in ("vacuum", "water"):
            with pytest.raises(InvalidInput) as caught:
                observed.in_orders(orders, "air", medium)
            facts = caught.value.path, caught.value.name, caught.value.value
            assert facts == (str(observed.path), "medium", medium)


@st.composite
def ranges_and_masks(draw):
    edge = st.sampled_from([5000.0, 5002.0, 5003.5, 5005.0, 5009.0, 5020.0])
    pairs = draw(st.lists(st.tuples(edge, edge).filter(lambda pair: pair[0] < pair[1]), max_size=3))
    return pairs, np.array(draw(st.lists(st.booleans(), min_size=10, max_size=10)))


class TestMasking:
    @given(ranges_and_masks())
    def test_pixels_inside_are_masked(self, drawn):
        pairs, mask = drawn
        wave = np.arange(5000.0, 5010.0)
        with tempfile.TemporaryDirectory() as folder:
            observed = spectrum(Path(folder, "o.ecsv"), [wave[:4], wave[4:]], [mask[:4], mask[4:]],
                                number=[1, 2])  # fmt: skip
        masked = observed.masking(pairs)
        expected = [
            bool(use) and not any(low <= w <= high for low, high in pairs)
            for w, use in zip(wave, mask, strict=True)
        ]
        assert np.concatenate(masked.mask).tolist() == expected
        assert np.concatenate(observed.mask).tolist() == mask.tolist()
        assert not any(one.flags.writeable for one in masked.mask)
        n_masked = int(mask.sum()) - sum(expected)
        assert f"pixels masked by wavelength range ({len(pairs)}): {n_masked}" in masked.notes
        assert masked.notes[: len(observed.notes)] == observed.notes
        for one, other in zip(masked.flux, observed.flux, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_an_entirely_masked_order_is_noted(self, tmp_path):
        observed = spectrum(tmp_path / "o.ecsv", [[5000, 5001], [5001, 5002]], number=[1, 2])
        assert observed.masking([[4999, 5001]]).notes == (
            "pixels masked by wavelength range (1): 3",
            "orders without a usable pixel: 1",
        )

    @pytest.mark.parametrize(
        "ranges",
        [
            [[5001, 5000]],
            [[5000, np.nan]],
            [[5000, np.inf]],
            [5000, 5001],
            [["a", "b"]],
            [[1, 2], [3]],
            [[5000, 5001]] * u.K,
        ],
    )
    def test_invalid_ranges_are_refused_in_one_line(self, tmp_path, ranges):
        observed = spectrum(tmp_path / "o.ecsv", [np.arange(5000.0, 5010.0)])
        with pytest.raises(InvalidInput) as caught:
            observed.masking(ranges)
        assert caught.value.name == "ranges"
        assert "\n" not in str(caught.value)

    def test_quantities_are_converted(self, tmp_path):
        observed = spectrum(tmp_path / "o.ecsv", [np.arange(5000.0, 5010.0)])
        masked = observed.masking([[500.25, 500.45]] * u.nm)
        assert np.flatnonzero(~masked.mask[0]).tolist() == [3, 4]


def test_numbers_are_suggested_for_orders_without(tmp_path):
    waves = [np.arange(5100.0, 5130.0), np.arange(5000.0, 5030.0)]
    observed = ObservedSpectrum.from_arrays(waves, waves, waves)
    orders = Orders([91, 92], [4990, 5090], [5040, 5140])
    with pytest.raises(InvalidInput) as caught:
        observed.in_orders(orders, "vacuum")
    assert caught.value.value == [92, 91]
    numbered = ObservedSpectrum.from_arrays(waves, waves, waves, numbers=caught.value.value)
    assert numbered.in_orders(orders, "vacuum").orders.number.tolist() == [91, 92]


class TestReadRanges:
    @given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(1e-3, 1e4)), min_size=1, max_size=5))
    def test_written_ranges_are_read_back(self, drawn):
        pairs = [(low, low + width) for low, width in drawn]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "ranges.txt")
            lines = [f"  {low!r}, {high!r} # a band" for low, high in pairs]
            path.write_text("\n".join(["# low high", "", *lines]))
            assert read_ranges(path).tolist() == [list(pair) for pair in pairs]

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("", None),
            ("# nothing\n", None),
            ("low high", None),
            ("1 2\n3\n", "3"),
            ("1 2 3", "1 2 3"),
            ("1 2\n3 high", "3 high"),
            ("low high\nblue red\n1 2", "blue red"),
            ("low (furlong) high\n1 2", "furlong"),
            ("\n6 5", (6, 5)),
            ("5 5", (5, 5)),
            ("-5 5", (-5, 5)),
            ("5 inf", (5, np.inf)),
            (b"\xe5 5", None),
        ],
    )
    def test_invalid_files_are_refused_in_one_line(self, tmp_path, text, value):
        path = tmp_path / "ranges.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(UnreadableFile) as caught:
            read_ranges(path)
        assert (caught.value.path, caught.value.value) == (str(path), value)
        assert "\n" not in str(caught.value)

    def test_a_missing_file_is_refused(self, tmp_path):
        with pytest.raises(MissingFile, match=r"ranges.txt: no such table"):
            read_ranges(tmp_path / "ranges.txt")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_ecsv_file_of_a_windows_editor(encoding, tmp_path):
    expected = spectrum(tmp_path / "o.ecsv", [np.arange(5000.0, 5030.0)], number=[4])
    text = (tmp_path / "o.ecsv").read_text().replace("\n", "\r\n")
    (tmp_path / "windows.ecsv").write_bytes(text.encode(encoding))
    observed = open_spectrum(tmp_path / "windows.ecsv")
    np.testing.assert_array_equal(observed.flux[0], expected.flux[0])
    assert observed.orders.number.tolist() == [4]
