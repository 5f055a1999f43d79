"""Common orders of several epochs: unions, media, margins, and epochs that do not match."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

import mixjobs
from mixjobs.builder.epochs import EpochOrders, join_epochs
from mixjobs.builder.orders import choose_orders
from mixjobs.config.build import OrdersConfig, read_build_job
from mixjobs.errors import InvalidInput, MixjobsError, OrderError
from mixjobs.orders import Orders
from mixjobs.wavelengths import SPEED_OF_LIGHT, air_to_vacuum, vacuum_to_air

WAVE = (np.linspace(5005.0, 5012.0, 40), np.linspace(5011.0, 5020.0, 40))


class Library:
    """A library in vacuum, from 4900 to 5100 Å."""

    wavelength = np.linspace(4900.0, 5100.0, 500)
    medium = "vacuum"
    path = "library.hdf5"


def shifted(velocity):
    return [wave * (1 + velocity / SPEED_OF_LIGHT) for wave in WAVE]


def write(path, waves=WAVE, number=(3, 4), medium=None):
    """Write orders of equal length; as Starfish HDF5 without numbers if `number` is None."""
    if number is None:
        import h5py

        with h5py.File(path, "w") as file:
            file.update({"waves": np.stack(waves), "fluxes": np.ones_like(waves)})
            file["sigmas"] = np.full_like(waves, 0.01)
            if medium:
                file.attrs["air"] = medium == "air"
        return path
    columns = {"wavelength": np.concatenate(waves), "order": np.repeat(number, len(waves[0]))}
    table = Table(columns, meta={"medium": medium} if medium else None)
    table["wavelength"].unit = "Angstrom"
    table["flux"], table["sigma"] = 1.0, 0.01
    table.write(path, format="ascii.ecsv")
    return path


@st.composite
def epochs(draw):
    """Epochs whose ends differ by up to 72 km/s; any epoch may lack some orders."""
    n_orders, numbered = draw(st.integers(1, 4)), draw(st.booleans())
    low = 5000.0 + 80 * np.arange(n_orders)
    move = st.floats(-0.6, 0.6)
    drawn = []
    for k in range(draw(st.integers(2, 4))):
        ends = [(a + draw(move), a + 100 + draw(move)) for a in low]
        kept = [m for m in range(n_orders) if not numbered or k == 0 or draw(st.booleans())] or [0]
        low_ends, high_ends = zip(*(ends[m] for m in kept), strict=True)
        orders = Orders([10 + m if numbered else m for m in kept], low_ends, high_ends)
        drawn.append(EpochOrders(f"{k}.fits", orders, numbered))
    return drawn


class TestUnion:
    @given(epochs())
    def test_every_range_is_contained_and_touched(self, epochs):
        joined, note = join_epochs(epochs)
        assert note
        numbers = {n for epoch in epochs for n in epoch.orders.number.tolist()}
        assert joined.number.tolist() == sorted(numbers)
        for number, low, high in zip(joined.number, joined.wave_min, joined.wave_max, strict=True):
            own = [e.orders.select([number]) for e in epochs if number in e.orders.number]
            assert low == min(orders.wave_min[0] for orders in own)
            assert high == max(orders.wave_max[0] for orders in own)
        backwards, _ = join_epochs(epochs[::-1])
        np.testing.assert_array_equal(backwards.wave_min, joined.wave_min)

    def test_a_single_epoch_is_unchanged(self):
        orders = Orders([4, 3], [5000, 5050], [5060, 5100])
        assert join_epochs([EpochOrders("a", orders, True)]) == (orders, "")

    @pytest.mark.parametrize(
        ("numbered", "low", "high", "fits"),
        [
            (True, 5040, 5140, True),
            (True, 5060, 5160, False),
            (True, 5020, 5040, True),  # trimmed
            (True, 6000, 6100, False),
            (False, 5020, 5120, True),
            (False, 5030, 5130, False),
            (False, 5020, 5040, False),
            (False, 500, 510, False),
        ],
    )
    def test_ranges_must_match(self, numbered, low, high, fits):
        first = EpochOrders("a.fits", Orders([1, 2], [5000, 5200], [5100, 5300]), numbered)
        other = EpochOrders("b.fits", Orders([1, 2], [low, 5201], [high, 5301]), numbered)
        if fits:
            assert join_epochs([first, other])[0].wave_max[0] == max(high, 5100)
            return
        with pytest.raises(OrderError) as error:
            join_epochs([first, other])
        assert (error.value.path, error.value.order) == ("b.fits", 1)
        assert error.value.value == (low, high)
        assert "a.fits" in str(error.value)

    def test_numbers_in_one_epoch_only(self):
        orders = Orders([0], [5000], [5100])
        epochs = [EpochOrders("a", orders, True), EpochOrders("b", orders, False)]
        for pair in (epochs, epochs[::-1]):
            with pytest.raises(InvalidInput) as error:
                join_epochs(pair)
            assert error.value.path == "b"

    def test_a_missing_first_order_shifts_the_others(self, tmp_path):
        low = np.arange(5000, 5050, 10.0)
        waves = [np.linspace(a, a + 9, 40) for a in low]
        paths = [
            write(tmp_path / "a.hdf5", waves, None), write(tmp_path / "b.hdf5", waves[1:], None)
        ]  # fmt: skip
        with pytest.raises(OrderError) as error:
            choose_orders(paths, Library)
        assert (error.value.path, error.value.order) == (str(paths[1]), 0)
        assert len(choose_orders([paths[0], write(tmp_path / "c.hdf5", waves[:-1], None)], Library)
                   .orders) == 5  # fmt: skip


class TestMedia:
    @pytest.mark.parametrize("library_medium", ["air", "vacuum"])
    @pytest.mark.parametrize("numbered", [True, False])
    def test_epochs_in_different_media(self, tmp_path, library_medium, numbered):
        class InMedium(Library):
            medium = library_medium

        number = (3, 4) if numbered else None
        ending = "ecsv" if numbered else "hdf5"
        air = [vacuum_to_air(wave) for wave in shifted(40)]
        paths = [
            write(tmp_path / f"v.{ending}", WAVE, number, "vacuum"),
            write(tmp_path / f"a.{ending}", air, number, "air"),
        ]
        chosen = choose_orders(paths, InMedium)
        orders = chosen.orders
        assert "converted" in chosen.source
        assert any("up to 40 km/s" in note for note in chosen.notes)
        for path in paths:
            arranged = mixjobs.open_spectrum(path).in_orders(orders, library_medium)
            assert [len(wave) for wave in arranged.wavelength] == [40, 40]
            assert not any("outside" in note for note in arranged.notes)
        convert = vacuum_to_air if library_medium == "air" else np.asarray
        np.testing.assert_allclose(orders.wave_min, [convert(wave)[0] for wave in WAVE], rtol=1e-9)

    @pytest.mark.parametrize("number", [(3, 4), None])
    def test_an_undeclared_medium_that_is_another(self, tmp_path, number):
        ending = "ecsv" if number else "hdf5"
        paths = [
            write(tmp_path / f"v.{ending}", WAVE, number),
            write(tmp_path / f"a.{ending}", [vacuum_to_air(wave) for wave in WAVE], number),
        ]
        with pytest.raises(OrderError) as error:
            choose_orders(paths, Library)
        assert (error.value.name, error.value.path) == ("medium", str(paths[1]))
        assert error.value.value == pytest.approx(-83.5, abs=0.5)

    def test_a_requested_medium_is_that_of_the_others(self, tmp_path):
        paths = [
            write(tmp_path / "a.ecsv", WAVE, medium="vacuum"),
            write(tmp_path / "b.ecsv", [vacuum_to_air(wave) for wave in WAVE]),
        ]
        orders = choose_orders(paths, Library, medium="air").orders
        np.testing.assert_allclose(orders.wave_min, [wave[0] for wave in WAVE], rtol=1e-9)
        config = OrdersConfig.model_validate({"from": [str(p) for p in paths], "medium": "air"})
        assert choose_orders(config, Library).orders.wave_min.tolist() == orders.wave_min.tolist()

    def test_a_request_that_no_file_needs_is_refused(self, tmp_path):
        paths = [write(tmp_path / f"{m}.ecsv", WAVE, medium=m) for m in ("vacuum", "air")]
        with pytest.raises(InvalidInput) as error:
            choose_orders(paths, Library, medium="air")
        assert (error.value.name, error.value.value) == ("medium", "air")
        config = OrdersConfig.model_validate({"from": [str(p) for p in paths], "medium": "air"})
        with pytest.raises(InvalidInput) as error:  # the library has a medium, too
            choose_orders(config, Library)
        assert error.value.name == "orders.medium"

    def test_different_media_and_a_library_of_unknown_medium(self, tmp_path):
        class Unknown(Library):
            medium = "unknown"

        paths = [write(tmp_path / f"{m}.ecsv", WAVE, medium=m) for m in ("vacuum", "air")]
        with pytest.raises(InvalidInput) as error:
            choose_orders(paths, Unknown)
        assert (error.value.name, error.value.path) == ("medium", str(paths[0]))
        assert str(paths[1]) in str(error.value)
        assert len(choose_orders(paths[:1], Unknown).orders) == 2

    @pytest.mark.parametrize("source", ["edges", "range", "table"])
    def test_ranges_in_air(self, tmp_path, source):
        (tmp_path / "orders.txt").write_text("7 5000 5010")
        config = {
            "edges": {"edges": [5000.0, 5010.0]},
            "range": {"n": 1, "range": (5000.0, 5010.0)},
            "table": {"table": str(tmp_path / "orders.txt")},
        }[source]
        chosen = choose_orders(OrdersConfig(medium="air", **config), Library)
        assert "air, converted to vacuum" in chosen.source
        np.testing.assert_allclose(chosen.orders.wave_min, air_to_vacuum(5000.0), rtol=1e-12)

    def test_all_of_the_library_has_its_own_medium(self):
        with pytest.raises(ValueError, match="range"):
            OrdersConfig(n=3, medium="air")


class TestMargin:
    @given(st.floats(0.5, 500))
    def test_both_sides_are_widened(self, margin):
        orders = Orders.from_edges([4950, 5000, 5050])
        wider = choose_orders(orders, Library, margin=margin).orders
        for end, sign in (("wave_min", -1), ("wave_max", 1)):
            velocity = SPEED_OF_LIGHT * np.log(getattr(wider, end) / getattr(orders, end))
            np.testing.assert_allclose(velocity, sign * margin, rtol=1e-6)

    def test_without_a_margin_nothing_changes(self):
        orders = Orders.from_edges([4950, 5000, 5050])
        assert choose_orders(orders, Library, margin=0).orders is orders

    def test_a_later_epoch_fits(self, tmp_path):
        june, july = (write(tmp_path / f"{v}.ecsv", shifted(v)) for v in (0, 41))
        without = choose_orders(june, Library)
        chosen = choose_orders(june, Library, margin=41 * u.km / u.s)
        assert any("widened by 41 km/s" in note for note in chosen.notes)
        assert "widened by 41 km/s" in chosen.source
        observed = mixjobs.open_spectrum(july)
        assert not any("outside" in n for n in observed.in_orders(chosen.orders, "vacuum").notes)
        masked = observed.in_orders(without.orders, "vacuum")
        assert any("up to 41 km/s beyond, in order 3, 4" in note for note in masked.notes)
        assert [len(wave) for wave in masked.wavelength] == [36, 37]

    @pytest.mark.parametrize("margin", [-1, np.nan, np.inf, 3e4, "wide", None, 3 * u.K])
    def test_invalid_margins(self, margin):
        with pytest.raises(InvalidInput) as error:
            choose_orders(Orders.from_edges([4950, 5000]), Library, margin=margin)
        assert error.value.name == "margin"

    def test_a_margin_beyond_the_library(self, demo, tmp_path):
        with pytest.raises(OrderError):
            mixjobs.build(demo, Orders.from_edges([5000.5, 5010]), tmp_path / "q", margin=100)


class TestReach:
    @pytest.mark.parametrize(("factor", "hint"), [(0.1, "nm"), (10.0, "unit")])
    def test_a_spectrum_outside_the_library(self, tmp_path, factor, hint):
        path = write(tmp_path / "a.ecsv", [wave * factor for wave in WAVE])
        for source in (path, [write(tmp_path / "b.ecsv"), path]):
            with pytest.raises(OrderError, match=hint) as error:
                choose_orders(source, Library, skip_uncovered=True)
            assert error.value.path == str(path)
            assert error.value.value == pytest.approx((5005.0 * factor, 5020.0 * factor))
            assert "4900 to 5100" in str(error.value)


class TestSources:
    def test_job_file_command_line_and_python(self, demo, tmp_path, monkeypatch):
        from mixjobs.cli import main

        monkeypatch.chdir(tmp_path)
        paths = [write(tmp_path / f"{v}.ecsv", shifted(v)) for v in (0, 41)]
        (tmp_path / "job.toml").write_text(
            f'library = "{demo}"\noutput = "a.zarr"\nserial = true\ntable = false\n'
            'orders = { from = ["0.ecsv", "41.ecsv"], margin = 5 }\n'
        )
        assert read_build_job("job.toml").orders.from_file == ["0.ecsv", "41.ecsv"]
        assert read_build_job(tmp_path / "job.toml").orders.from_file == [str(p) for p in paths]
        words = ["--serial", "--no-table", "--margin", "5", "--orders-from", "0.ecsv", "41.ecsv"]
        assert main(["build", str(demo), "-o", "b.zarr", *words]) == 0
        assert main(["build", "job.toml"]) == 0
        stores = [mixjobs.open_store(name) for name in ("a.zarr", "b.zarr")]
        spectra = [mixjobs.open_spectrum(path) for path in paths]
        stores.append(mixjobs.build(demo, spectra, "c.zarr", margin=5, table=False))
        assert len({store.mean_flux.tobytes() for store in stores}) == 1
        assert len({store.attributes["identity"]["orders"] for store in stores}) == 1
        for store in stores:
            assert "0.ecsv" in store.attributes["orders_from"]
            assert "41.ecsv" in store.attributes["orders_from"]
            assert "5 km/s" in store.attributes["orders_from"]

    def test_a_pattern(self, tmp_path):
        for number, wave in zip((91, 92), WAVE, strict=True):
            write(tmp_path / f"star_m{number}.hdf5", [wave], None)
        orders = choose_orders(str(tmp_path / "star_m*.hdf5"), Library).orders
        assert orders.number.tolist() == [91, 92]
        epochs = [tmp_path / f"star_m{n}.hdf5" for n in (91, 92)]
        with pytest.raises(OrderError) as error:  # as the shell expands it without quotes
            choose_orders(epochs, Library)
        assert "quotes" in str(error.value)

    @pytest.mark.parametrize("orders", [[], (), [3], ["star.ecsv", None], [Orders([1], [5], [6])]])
    def test_invalid_lists(self, tmp_path, monkeypatch, orders):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InvalidInput) as error:
            choose_orders(orders, Library)
        assert error.value.name == "orders"

    def test_numbers_select_from_the_union(self, tmp_path):
        paths = [str(write(tmp_path / f"{v}.ecsv", shifted(v))) for v in (0, 41)]
        config = OrdersConfig.model_validate({"from": paths, "numbers": [4]})
        assert choose_orders(config, Library).orders.number.tolist() == [4]


class TestReal:
    def test_three_epochs_of_wasp_14(self, data):
        paths = [data / "WASP14-2009-06-14.hdf5", *sorted((data / "wasp14").glob("*.hdf5"))]
        library = mixjobs.open_library(data / "PHOENIX_ACES_test.hdf5")
        orders = choose_orders(paths, library, skip_uncovered=True).orders
        assert orders.number.tolist() == list(range(21, 31))
        for spectrum in mixjobs.open_spectrum(paths):
            arranged = spectrum.in_orders(orders, "air")
            assert not any("outside" in note for note in arranged.notes)
            assert [len(wave) for wave in arranged.wavelength] == [2298] * 10
        alone = choose_orders(paths[0], library, skip_uncovered=True).orders
        later = mixjobs.open_spectrum(paths[1]).in_orders(alone, "air")
        assert any("up to 41 km/s beyond, in order 21 to 30" in note for note in later.notes)
        assert all(2270 < len(wave) < 2298 for wave in later.wavelength)

    def test_epochs_of_other_instruments_do_not_match(self, data):
        library = mixjobs.open_library(data / "btsettl_prism.hdf5")
        paths = [data / "LkCa15-2013-10-12.hdf5", data / "Gl51.hdf5"]
        with pytest.raises(MixjobsError) as error:
            choose_orders(paths, library)
        assert error.value.path == str(paths[1])
