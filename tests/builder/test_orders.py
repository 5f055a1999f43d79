"""The orders of a build: all sources, the medium of a spectrum, and orders beyond the library."""

import h5py
import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import mixjobs
from mixjobs import Orders
from mixjobs.builder.orders import choose_orders
from mixjobs.config.build import OrdersConfig
from mixjobs.errors import InvalidInput, MixjobsError, OrderError, UnreadableFile
from mixjobs.wavelengths import air_to_vacuum, in_library_medium

WAVES = {7: np.linspace(5004.0, 5012.0, 40), 3: np.linspace(5010.0, 5020.5, 50)}


@pytest.fixture(scope="module")
def library(demo):
    """A library in vacuum, 5000 to 5030 Å."""
    return mixjobs.open_library(demo)


def write_star(path, waves, air=None):
    """Write a spectrum in Starfish's format, whose orders are numbered from 0."""
    waves = np.array([np.interp(np.linspace(0, 1, 40), np.linspace(0, 1, len(w)), w)
                      for w in waves])  # fmt: skip
    with h5py.File(path, "w") as file:
        file["waves"], file["fluxes"], file["sigmas"] = waves, 1 + 0 * waves, 0.1 + 0 * waves
        if air is not None:
            file.attrs["air"] = air
    return path


def assert_pixels_inside(orders, waves):
    """Every range extends from the first pixel to just past the last."""
    for wave, low, high in zip(waves, orders.wave_min, orders.wave_max, strict=True):
        assert wave[0] == low
        assert wave[-1] < high
        assert np.nextafter(wave[-1], np.inf) == high


class TestWavelengths:
    def test_the_keys_are_the_numbers(self, library):
        chosen = choose_orders(WAVES, library)
        assert chosen.orders.number.tolist() == [7, 3]
        assert_pixels_inside(chosen.orders, WAVES.values())

    def test_quantities_and_descending_pixels(self, library):
        reversed_ = {m: (wave[::-1] / 10) * u.nm for m, wave in WAVES.items()}
        orders = choose_orders(reversed_, library).orders
        np.testing.assert_allclose(orders.wave_min, [5004.0, 5010.0], rtol=1e-15)

    @given(st.integers(0, 2**32 - 1))
    def test_all_pixels_lie_inside_after_conversion(self, seed):
        rng = np.random.default_rng(seed)
        wave = np.sort(rng.uniform(5000, 25_000, size=rng.integers(2, 3000)))
        wave = np.unique(wave)

        class Library:
            medium = "vacuum"

        orders = choose_orders({1: wave}, Library, medium="air").orders
        assert_pixels_inside(orders, [air_to_vacuum(wave)])

    @pytest.mark.parametrize(
        "waves",
        [
            {}, {1: [5000.0]}, {1: [5000.0, 5000.0]}, {1: [5000.0, np.nan]}, {1: ["a", "b"]},
            {1: [[5000.0, 5001.0]]}, {1.5: WAVES[3]}, {True: WAVES[3]}, {1: [-5.0, 5.0]},
            {1: WAVES[3] * u.s},
        ],
        ids=str,
    )  # fmt: skip
    def test_invalid_wavelengths(self, library, waves):
        with pytest.raises(MixjobsError):
            choose_orders(waves, library)


class TestSpectrum:
    @pytest.mark.parametrize("as_path", [True, False])
    def test_a_spectrum_or_its_path(self, library, tmp_path, as_path):
        path = write_star(tmp_path / "star.hdf5", WAVES.values())
        observed = mixjobs.open_spectrum(path)
        chosen = choose_orders(path if as_path else observed, library)
        assert chosen.orders.number.tolist() == [0, 1]
        assert_pixels_inside(chosen.orders, observed.wavelength)
        assert chosen.source.startswith(f"{path} (wavelengths in vacuum, like the library's")
        assert chosen.notes[0].startswith(f"{path}: 2 orders; wavelengths in vacuum, like the")

    def test_the_numbers_of_a_job_file(self, library, tmp_path):
        path = write_star(tmp_path / "star.hdf5", WAVES.values())
        config = OrdersConfig(**{"from": str(path), "numbers": [1]})
        assert choose_orders(config, library).orders.number.tolist() == [1]

    def test_air_is_converted_to_the_medium_of_the_library(self, library, tmp_path):
        path = write_star(tmp_path / "star.hdf5", WAVES.values(), air=True)
        observed = mixjobs.open_spectrum(path)
        chosen = choose_orders(path, library)
        assert "in air, as its file declares; converted to vacuum" in chosen.source
        converted = [in_library_medium(w, "air", "vacuum") for w in observed.wavelength]
        assert_pixels_inside(chosen.orders, converted)
        with pytest.raises(InvalidInput) as error:
            choose_orders(path, library, medium="vacuum")
        assert (error.value.name, error.value.path) == ("medium", str(path))

    def test_the_command_and_python_build_the_same(self, demo, tmp_path):
        """All pixels of the spectrum lie in the orders of the store."""
        star = write_star(tmp_path / "star.hdf5", WAVES.values(), air=True)
        words = ["build", str(demo), "-o", str(tmp_path / "a.zarr"), "--orders-from", str(star)]
        from mixjobs.cli import main

        assert main([*words, "--serial", "--no-table"]) == 0
        command = mixjobs.open_store(tmp_path / "a.zarr")
        python = mixjobs.build(demo, star, tmp_path / "b.zarr", table=False)
        assert command.mean_flux.tobytes() == python.mean_flux.tobytes()
        assert command.attributes["identity"] == python.attributes["identity"]
        assert command.attributes["orders_from"] == python.attributes["orders_from"]
        observed = mixjobs.open_spectrum(star).in_orders(python.orders, "vacuum")
        assert [len(w) for w in observed.wavelength] == [40, 40]


class TestRanges:
    def test_orders_in_the_medium_of_the_library(self, library):
        orders = Orders.from_edges([5005, 5010, 5020])
        chosen = choose_orders(orders, library, medium="vacuum")
        assert (chosen.orders is orders, chosen.source) == (True, "")

    def test_orders_in_air(self, library):
        orders = Orders.from_edges([5005, 5010, 5020])
        converted = choose_orders(orders, library, medium="air").orders
        np.testing.assert_allclose(converted.wave_min, air_to_vacuum(orders.wave_min), rtol=1e-15)
        assert converted.wave_max[0] == converted.wave_min[1]

    @pytest.mark.parametrize(
        ("config", "source"),
        [
            ({"n": 3}, "3 equal in log wavelength, 5000 to 5030 Å"),
            ({"n": 2, "range": (5005.0, 5020.0)}, "2 equal in log wavelength, 5005 to 5020 Å"),
            ({"edges": [5005.0, 5010.0]}, "edges"),
        ],
    )
    def test_ranges_of_a_job_file(self, library, config, source):
        assert choose_orders(OrdersConfig(**config), library).source == source

    @pytest.mark.parametrize("orders", [3, [5000.0, 5010.0], None])
    def test_invalid_types(self, library, orders):
        with pytest.raises(InvalidInput) as error:
            choose_orders(orders, library)
        assert error.value.name == "orders"


class TestUncovered:
    ORDERS = Orders([1, 2, 3], [4990, 5005, 5025], [5000, 5020, 5035])

    def test_uncovered_orders_are_left_out(self, library, demo, tmp_path):
        chosen = choose_orders(self.ORDERS, library, skip_uncovered=True)
        assert chosen.orders.number.tolist() == [2]
        assert chosen.notes == ("left out 2 orders that the library does not cover: 1, 3",)
        notes = []
        path = tmp_path / "q.zarr"
        store = mixjobs.build(demo, self.ORDERS, path, skip_uncovered=True, note=notes.append)
        assert store.orders.number.tolist() == [2]
        assert notes == list(chosen.notes)

    def test_uncovered_orders_are_refused(self, demo, tmp_path):
        with pytest.raises(OrderError):
            mixjobs.build(demo, self.ORDERS, tmp_path / "q.zarr")

    def test_no_order_is_covered(self, library):
        with pytest.raises(InvalidInput) as error:
            choose_orders(self.ORDERS.select([1, 3]), library, skip_uncovered=True)
        assert error.value.value == [1, 3]


class TestFiles:
    """What the files of spectra need for a build: wavelengths."""

    def test_columns_and_units_are_given(self, library, tmp_path):
        waves = np.concatenate([WAVES[7], WAVES[3]]) / 10
        table = Table({"LAM": waves, "m": np.repeat([7, 3], [40, 50])})
        table.write(tmp_path / "o.fits")
        columns = {"wavelength": "LAM", "order": "m"}
        data = {"from": str(tmp_path / "o.fits"), "columns": columns, "wavelength_unit": "nm"}
        chosen = choose_orders(OrdersConfig.model_validate(data), library)
        assert chosen.orders.number.tolist() == [3, 7]
        np.testing.assert_allclose(chosen.orders.wave_min, [5010.0, 5004.0], rtol=1e-14)
        with pytest.raises(ValidationError):
            OrdersConfig.model_validate({"n": 2, "columns": columns})

    def test_a_library_is_refused(self, library, demo):
        with pytest.raises(UnreadableFile):
            choose_orders(str(demo), library)
