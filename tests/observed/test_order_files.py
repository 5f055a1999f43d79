"""One spectrum in several files: generated and real files, and files that do not go together."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, MissingFile, MixjobsError, OrderError, UnreadableFile
from mixjobs.observed.opening import open_spectrum


def write(path, starts, number=None, flux=1.0, unit="Angstrom", flux_unit=None, **meta):
    """Write a table of orders of 20 pixels, 1 Å apart, numbered if numbers are given."""
    wave = np.concatenate([start + np.arange(20.0) for start in starts])
    columns = {
        "wavelength": wave,
        "flux": np.full(len(wave), flux),
        "sigma": np.full(len(wave), 0.01),
    }
    if number is not None:
        columns["order"] = np.repeat(number, 20)
    table = Table(columns, meta=meta)
    table["wavelength"].unit, table["flux"].unit = unit, flux_unit
    table.write(path, format="ascii.ecsv")
    return path


class TestPattern:
    @given(st.sets(st.integers(0, 150), min_size=2, max_size=5), st.booleans())
    def test_one_order_a_file_or_all_in_one(self, numbers, in_names):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for n in numbers:
                label = n if in_names else f"x{n}y{n + 1}"  # names that decide nothing
                number = None if in_names else [n]
                write(folder / f"star_2013_m{label}.ecsv", [9000.0 - 30 * n], number)
            joined = open_spectrum(folder / "star_2013_m*.ecsv")
            whole = open_spectrum(
                write(folder / "all.ecsv", [9000.0 - 30 * n for n in numbers], list(numbers))
            )
        assert joined.orders.number.tolist() == whole.orders.number.tolist() == sorted(numbers)
        assert joined.numbered
        for name in ("wavelength", "flux", "flux_error", "mask"):
            for one, other in zip(getattr(joined, name), getattr(whole, name), strict=True):
                np.testing.assert_array_equal(one, other)
                assert not one.flags.writeable
        np.testing.assert_array_equal(joined.orders.wave_max, whole.orders.wave_max)

    def test_real_orders(self, data):
        folder = data / "s1063"
        observed = open_spectrum(folder / "S1063_IGRINS_m*.hdf5")
        assert observed.orders.number.tolist() == [106, 107, 109, 110, 113, 114, 116, 118, 119]
        assert observed.path == folder / "S1063_IGRINS_m*.hdf5"
        for m, number in enumerate(observed.orders.number):
            one = open_spectrum(folder / f"S1063_IGRINS_m{number}.hdf5")
            assert not one.numbered
            np.testing.assert_array_equal(observed.wavelength[m], one.wavelength[0])
            np.testing.assert_array_equal(observed.flux_error[m], one.flux_error[0])

    def test_files_of_several_numbered_orders(self, tmp_path):
        write(tmp_path / "h.ecsv", [5000, 5030], [4, 3])
        write(tmp_path / "k.ecsv", [5060], [2])
        observed = open_spectrum(tmp_path / "?.ecsv")
        assert observed.orders.number.tolist() == [2, 3, 4]
        assert [wave[0] for wave in observed.wavelength] == [5060, 5030, 5000]

    def test_a_single_file_of_several_orders(self, tmp_path):
        path = write(tmp_path / "star2013.ecsv", [5000, 5030], [4, 3])
        observed = open_spectrum(tmp_path / "star*.ecsv")
        assert (observed.path, observed.orders.number.tolist()) == (path, [3, 4])

    def test_a_file_whose_name_is_a_pattern(self, tmp_path):
        write(tmp_path / "star1.ecsv", [5000])
        write(tmp_path / "star[1].ecsv", [6000])
        assert open_spectrum(tmp_path / "star[1].ecsv").wavelength[0][0] == 6000

    def test_notes_name_their_orders(self, tmp_path):
        for n, flux in ((7, 1.0), (8, np.nan), (9, np.nan)):
            write(tmp_path / f"m{n}.ecsv", [5000 + n], flux=flux)
        notes = open_spectrum(tmp_path / "m*.ecsv").notes
        assert notes[0] == "orders from 3 files"
        assert "orders numbered from the names of the files: 7 to 9" in notes[1]
        assert [note for note in notes if note.endswith("(order 8, 9)")] == [
            "pixels masked because the flux or its error is not usable: 20 (order 8, 9)"
        ]
        assert "orders without a usable pixel: 8 (order 8)" in notes


class TestDeclarations:
    def test_files_agree(self, tmp_path):
        for n in (1, 2):
            write(tmp_path / f"m{n}.ecsv", [5000], medium="air", BCV=12.5 + 1e-4 * n)
        observed = open_spectrum(tmp_path / "m*.ecsv")
        assert observed.medium == "air"
        assert observed.barycentric_velocity == pytest.approx(12.5, abs=1e-3)
        assert len(observed.notes) == 2

    def test_some_files_declare_nothing(self, tmp_path):
        write(tmp_path / "m1.ecsv", [5000])
        write(tmp_path / "m2.ecsv", [5000], medium="air", BCV=12.5)
        observed = open_spectrum(tmp_path / "m*.ecsv")
        assert (observed.medium, observed.barycentric_velocity) == ("air", 12.5)
        assert sum("assumed for all" in note for note in observed.notes) == 2

    @pytest.mark.parametrize(
        ("name", "units"),
        [
            ("wavelength unit", [{"unit": "Angstrom"}, {"unit": "0.1 nm"}, {"unit": "nm"}]),
            ("flux unit", [{"flux_unit": "erg/(s cm2 Angstrom)"}, {"flux_unit": "W/(m2 um)"}]),
            ("flux unit", [{"flux_unit": "ct"}, {}, {"flux_unit": "W/(m2 um)"}]),
        ],
    )
    def test_units_must_agree(self, tmp_path, name, units):
        paths = [write(tmp_path / f"m{n}.ecsv", [5000], **unit) for n, unit in enumerate(units)]
        if name == "wavelength unit":  # the same unit in other words
            paths[1].rename(tmp_path / "fine1.ecsv")
            write(tmp_path / "fine2.ecsv", [5000])
            assert len(open_spectrum(tmp_path / "fine*.ecsv").orders) == 2
        with pytest.raises(InvalidInput) as error:
            open_spectrum(tmp_path / "m*.ecsv")
        assert (error.value.name, error.value.path) == (name, str(paths[-1]))
        assert str(paths[0]) in str(error.value)

    @pytest.mark.parametrize(
        ("name", "metas"),
        [
            ("medium", [{"medium": "air"}, {"medium": "vacuum"}]),
            ("medium", [{"medium": "air"}, {}, {"medium": "vacuum"}]),
            ("barycentric_velocity", [{"BCV": 12.5}, {"BCV": -8.0}]),
        ],
    )
    def test_files_contradict_each_other(self, tmp_path, name, metas):
        paths = [write(tmp_path / f"m{n}.ecsv", [5000], **meta) for n, meta in enumerate(metas)]
        with pytest.raises(InvalidInput) as error:
            open_spectrum(tmp_path / "m*.ecsv")
        assert (error.value.name, error.value.path) == (name, str(paths[-1]))
        assert error.value.value == tuple(
            next(iter(meta.values())) for meta in (metas[0], metas[-1])
        )
        assert str(paths[0]) in str(error.value)


class TestNumbers:
    def test_numbers_of_a_file(self, tmp_path):
        observed = open_spectrum(write(tmp_path / "a.ecsv", [5000]), numbers=[91])
        assert (observed.orders.number.tolist(), observed.numbered) == ([91], True)
        assert observed.notes == ("orders numbered as given: 91",)

    def test_numbers_of_a_file_of_many_orders(self, data):
        path = data / "LkCa15-2013-10-12.hdf5"
        observed = open_spectrum(path, numbers=range(51, 0, -1))
        assert observed.orders.number.tolist() == list(range(51, 0, -1))
        np.testing.assert_array_equal(observed.orders.wave_min, open_spectrum(path).orders.wave_min)

    def test_numbers_of_a_pattern(self, tmp_path):
        for name, start in (("s_m9_1.ecsv", 5000), ("s_m10_2.ecsv", 5030)):
            write(tmp_path / name, [start])
        with pytest.raises(InvalidInput):
            open_spectrum(tmp_path / "s*.ecsv")
        observed = open_spectrum(tmp_path / "s*.ecsv", numbers=[32, 31])
        assert observed.orders.number.tolist() == [31, 32]
        assert observed.wavelength[0][0] == 5030

    @pytest.mark.parametrize("numbers", [[3, 4], [4]])
    def test_the_file_has_numbers(self, tmp_path, numbers):
        path = write(tmp_path / "a.ecsv", [5000, 5030][: len(numbers)], [3, 4][: len(numbers)])
        if numbers == [3, 4]:
            assert open_spectrum(path, numbers=numbers).orders.number.tolist() == numbers
            return
        with pytest.raises(InvalidInput) as error:
            open_spectrum(path, numbers=numbers)
        assert (error.value.path, error.value.name) == (str(path), "numbers")

    @pytest.mark.parametrize(
        "numbers", [[1], [1, 2, 3], [1, 1], [], [1, 2.5], "12", 3, [True, None]]
    )
    def test_numbers_that_do_not_fit(self, tmp_path, numbers):
        for n in (1, 2):
            write(tmp_path / f"m{n}.ecsv", [5000 + n])
        with pytest.raises(InvalidInput) as error:
            open_spectrum(tmp_path / "m*.ecsv", numbers=numbers)
        assert error.value.name == "numbers"


class TestRefusals:
    def test_nothing_matches(self, tmp_path):
        with pytest.raises(MissingFile) as error:
            open_spectrum(tmp_path / "m*.ecsv")
        assert error.value.path == str(tmp_path / "m*.ecsv")

    def test_an_order_in_two_files(self, tmp_path):
        write(tmp_path / "a.ecsv", [5000, 5030], [3, 4])
        path = write(tmp_path / "b.ecsv", [5030, 5060], [4, 5])
        with pytest.raises(OrderError) as error:
            open_spectrum(tmp_path / "*.ecsv")
        assert (error.value.order, error.value.path) == (4, str(path))
        assert str(tmp_path / "a.ecsv") in str(error.value)

    def test_only_one_file_is_numbered(self, tmp_path):
        path = write(tmp_path / "m1.ecsv", [5000])
        write(tmp_path / "m2.ecsv", [5030], [2])
        with pytest.raises(InvalidInput) as error:
            open_spectrum(tmp_path / "m*.ecsv")
        assert error.value.path == str(path)

    def test_several_epochs(self, data):
        with pytest.raises(InvalidInput) as error:
            open_spectrum(data / "wasp14" / "*.hdf5")
        assert error.value.value == 51

    def test_a_damaged_file_is_named(self, tmp_path):
        write(tmp_path / "m1.ecsv", [5000])
        (tmp_path / "m2.ecsv").write_text("nothing")
        with pytest.raises(UnreadableFile) as error:
            open_spectrum(tmp_path / "m*.ecsv")
        assert error.value.path == str(tmp_path / "m2.ecsv")

    def test_invalid_wavelengths_are_named(self, tmp_path):
        write(tmp_path / "m1.ecsv", [5000])
        path = write(tmp_path / "m2.ecsv", [5100, 5090])
        with pytest.raises(OrderError) as error:
            open_spectrum(tmp_path / "m*.ecsv")
        assert error.value.path == str(path)


class TestEpochs:
    def test_a_list_holds_epochs(self, tmp_path):
        paths = [write(tmp_path / f"m{n}.ecsv", [5000 + n]) for n in (1, 2)]
        assert [spectrum.path for spectrum in open_spectrum(paths)] == paths
        assert open_spectrum(tuple(paths), numbers=[7])[1].orders.number.tolist() == [7]
        (pattern,) = open_spectrum([tmp_path / "m*.ecsv"])
        assert len(pattern.orders) == 2

    def test_a_missing_epoch_is_named(self, tmp_path):
        with pytest.raises(MixjobsError) as error:
            open_spectrum([write(tmp_path / "m1.ecsv", [5000]), tmp_path / "m3.ecsv"])
        assert error.value.path == str(tmp_path / "m3.ecsv")
