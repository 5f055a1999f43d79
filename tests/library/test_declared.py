"""Declared quantities of libraries: used, converted, assumed with a note, or refused."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixjobs
from mixjobs.errors import InvalidInput, LibraryError, UnreadableFile
from mixjobs.library import open_library
from tests.helpers.starfish_files import POINTS, WAVE, spectrum, write

KEYS = ("t9900g4.5", "t3000g4.0")


def change(path, **attributes):
    """Set attributes of a file: `wl`, `flux`, `root` and `spectra` are mappings."""
    with h5py.File(path, "a") as file:
        file.attrs.update(attributes.get("root", {}))
        file["wl"].attrs.update(attributes.get("wl", {}))
        file["flux"].attrs.update(attributes.get("flux", {}))
        for key, values in attributes.get("spectra", {}).items():
            file[f"flux/{key}"].attrs.update(values)
    return path


def of(library, quantity):
    return next(d for d in library.declarations if d.quantity == quantity)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.hdf5")


class TestFluxUnits:
    def test_one_spectrum_has_its_own(self, path):
        """Not the first one, from whose attributes those of the others could be guessed."""
        with h5py.File(path, "a") as file:
            file["flux"].attrs["units"] = "erg/s/cm^2/AA"
            key = list(file["flux"])[2]
            file[f"flux/{key}"].attrs["units"] = "W/m2/um"
            file[f"flux/{key}"][...] = 10 * file[f"flux/{key}"][...]
        changed = open_library(path)
        for i in range(len(POINTS)):
            np.testing.assert_allclose(changed.flux(i), spectrum(i), rtol=1e-6)
        assert "W/m2/um" in of(changed, "flux unit").understood

    @pytest.mark.parametrize("place", ["flux", "root", "spectra"])
    @pytest.mark.parametrize("keyword", ["unit", "units", "UNITS"])
    @pytest.mark.parametrize(
        ("unit", "factor"),
        [
            ("W/m2/um", 0.1), ("erg/s/cm^2/nm", 0.1), ("erg/s/cm2/cm", 1e-8), ("W m-2 nm-1", 100.0),
            ("erg/s/cm^2/A/sr", np.pi), ("W/m2/um/sr", 0.1 * np.pi), ("FLAM", 1.0),
        ],
    )  # fmt: skip
    def test_are_converted_wherever_they_are_declared(self, path, place, keyword, unit, factor):
        attributes = {keyword: unit}
        if place == "spectra":
            with h5py.File(path) as file:
                attributes = {key: {keyword: unit} for key in file["flux"]}
        library = open_library(change(path, **{place: attributes}))
        for i in range(len(POINTS)):
            expected = spectrum(i).astype(np.float64) * factor
            np.testing.assert_allclose(library.flux(i), expected, rtol=1e-14)
        assert library.flux_unit == unit
        assert of(library, "flux unit").declared == f"{keyword} = {unit!r}"
        assert of(library, "flux unit").converted is (factor != 1)

    @pytest.mark.parametrize("unit", ["erg/s/cm2/AA", "erg/cm^2/s/A", "erg s-1 cm-2 Angstrom-1"])
    def test_the_standard_unit_changes_no_bit(self, path, unit):
        library = open_library(change(path, flux={"units": unit}))
        assert library.flux(2).tobytes() == spectrum(2).astype(np.float64).tobytes()

    def test_a_spectrum_may_have_a_unit_of_its_own(self, path):
        change(path, flux={"units": "erg/s/cm2/AA"}, spectra={KEYS[0]: {"unit": "W/m2/um"}})
        library = open_library(path)
        np.testing.assert_allclose(library.flux(0), spectrum(0) * 0.1, rtol=1e-6)
        np.testing.assert_array_equal(library.flux(1), spectrum(1))
        np.testing.assert_array_equal(library.take([1, 0]).flux(1), library.flux(0))
        assert of(library, "flux unit").converted

    def test_the_option_replaces_the_declaration(self, path):
        library = open_library(change(path, flux={"units": "furlongs"}), flux_unit="W/m2/um")
        np.testing.assert_allclose(library.flux(0), spectrum(0) * 0.1, rtol=1e-6)
        assert "furlongs" in of(library, "flux unit").declared

    def test_without_a_unit_it_is_assumed(self, path):
        declaration = of(open_library(path), "flux unit")
        assert declaration.assumed
        assert declaration.notable
        assert declaration.understood == "erg/s/cm2/AA"

    @pytest.mark.parametrize(
        ("unit", "error"),
        [("furlongs", UnreadableFile), ("erg/s/cm2/Hz", LibraryError), ("Jy", LibraryError)],
    )
    @pytest.mark.parametrize("place", ["flux", "root"])
    def test_others_are_refused(self, path, place, unit, error):
        with pytest.raises(error, match="--flux-unit") as caught:
            open_library(change(path, **{place: {"units": unit}}))
        assert (caught.value.path, caught.value.value) == (str(path), unit)

    def test_two_units_are_refused(self, path):
        with pytest.raises(LibraryError) as caught:
            open_library(change(path, flux={"units": "erg/s/cm2/AA", "unit": "W/m2/um"}))
        assert caught.value.name in ("unit", "units")
        assert caught.value.path == str(path)


@pytest.fixture(scope="module")
def descending(tmp_path_factory):
    return open_library(write(tmp_path_factory.mktemp("d") / "a.hdf5", wave=WAVE[::-1]))


class TestWavelengths:
    @pytest.mark.parametrize("keyword", ["unit", "units"])
    @pytest.mark.parametrize(
        ("unit", "factor"), [("nm", 0.1), ("MICRONS", 1e-4), ("cm", 1e-8), ("Angstroms", 1.0)]
    )
    def test_units(self, tmp_path, keyword, unit, factor):
        path = change(write(tmp_path / "a.hdf5", wave=WAVE * factor), wl={keyword: unit})
        library = open_library(path)
        np.testing.assert_allclose(library.wavelength, WAVE, rtol=1e-14)
        assert of(library, "wavelength unit").converted is (factor != 1)

    @pytest.mark.parametrize(("option", "factor"), [("nm", 0.1), ("um", 1e-4), ("AA", 1.0)])
    def test_the_option_replaces_the_declaration(self, tmp_path, option, factor):
        path = change(write(tmp_path / "a.hdf5", wave=WAVE * factor), wl={"units": "cm"})
        library = open_library(path, wavelength_unit=option)
        np.testing.assert_allclose(library.wavelength, WAVE, rtol=1e-14)

    @pytest.mark.parametrize("factor", [0.1, 1e-4])
    def test_numbers_that_need_a_unit(self, tmp_path, factor):
        path = write(tmp_path / "a.hdf5", wave=WAVE * factor)
        with pytest.raises(LibraryError, match="--wavelength-unit") as caught:
            open_library(path)
        assert (caught.value.path, caught.value.name) == (str(path), "wavelength_unit")

    @pytest.mark.parametrize(("factor", "unit"), [(1e-4, "AA"), (0.1, "Angstrom"), (1e9, "AA")])
    def test_numbers_that_the_unit_makes_impossible(self, tmp_path, factor, unit):
        path = change(write(tmp_path / "a.hdf5", wave=WAVE * factor), wl={"units": unit})
        with pytest.raises(LibraryError) as caught:
            open_library(path)
        assert (caught.value.name, caught.value.value) == ("wavelength_unit", unit)

    @given(st.integers(0, 5), st.integers(0, 63), st.integers(0, 64))
    def test_descending(self, descending, i, lo, hi):
        np.testing.assert_array_equal(descending.wavelength, WAVE)
        expected = spectrum(i)[::-1]
        assert descending.flux(i, lo, hi).tobytes() == expected[lo:hi].astype(np.float64).tobytes()
        np.testing.assert_array_equal(descending.flux(i, lo), expected[lo:])

    def test_neither_ascending_nor_descending(self, tmp_path):
        wave = WAVE.copy()
        wave[[4, 5]] = wave[[5, 4]]
        with pytest.raises(LibraryError) as caught:
            open_library(write(tmp_path / "a.hdf5", wave=wave))
        assert caught.value.pixel == 5


class TestMedium:
    @pytest.mark.parametrize("place", ["wl", "root", "spectra"])
    @pytest.mark.parametrize(
        ("keyword", "value", "medium"),
        [
            ("air", True, "air"), ("AIRORVAC", "vac", "vacuum"), ("VACUUM", 0, "air"),
            ("medium", "Vacuum", "vacuum"), ("CTYPE1", "AWAV-LOG", "air"),
            ("CTYPE1", "WAVE", "vacuum"),
        ],
    )  # fmt: skip
    def test_keywords(self, path, place, keyword, value, medium):
        attributes = {keyword: value}
        if place == "spectra":
            with h5py.File(path) as file:
                attributes = {key: {keyword: value} for key in file["flux"]}
        library = open_library(change(path, **{place: attributes}))
        assert library.medium == medium
        assert not of(library, "medium").assumed

    def test_an_axis_type_of_the_original_file_yields_to_a_flag(self, path):
        library = open_library(change(path, wl={"air": False}, root={"CTYPE1": "AWAV"}))
        assert library.medium == "vacuum"

    def test_one_spectrum_in_another_medium(self, path):
        change(path, spectra={KEYS[0]: {"air": True}, KEYS[1]: {"air": False}})
        with pytest.raises(UnreadableFile) as caught:
            open_library(path)
        assert caught.value.path == str(path)

    def test_assumed_and_requested(self, path):
        assert of(open_library(path), "medium").assumed
        library = open_library(change(path, wl={"air": True}), medium="vacuum")
        assert library.medium == "vacuum"
        assert not of(library, "medium").assumed

    def test_an_unknown_medium(self, path):
        with pytest.raises(InvalidInput) as caught:
            open_library(path, medium="water")
        assert (caught.value.name, caught.value.value) == ("medium", "water")


SPELLINGS = [
    ("Teff", "log(g)"), ("T_eff", "log_g"), ("Temperature", "Gravity"), ("Teff (K)", "log g"),
    ("teff", "logg"), ("PHXTEFF", "PHXLOGG"), ("T", "g"), ("TEMP", "LOG_G"),
]  # fmt: skip


class TestNames:
    @staticmethod
    def renamed(path, names):
        with h5py.File(path, "a") as file:
            file["grid_points"].attrs["names"] = list(names)
        return path

    @pytest.mark.parametrize("names", SPELLINGS)
    def test_spellings(self, path, names):
        library = open_library(self.renamed(path, names))
        assert library.grid.names == ("teff", "logg")
        assert library.original_names == names
        assert not of(library, "parameters").notable

    def test_unknown_names_are_listed(self, path):
        library = open_library(self.renamed(path, ("Teff", "C/O")))
        assert library.grid.names == ("teff", "C/O")
        assert of(library, "parameters").notable
        assert "C/O" in of(library, "parameters").understood

    def test_names_that_the_user_gives(self, path):
        self.renamed(path, ("var1", "var2"))
        library = open_library(path, names={"var1": "Teff", "var2": "logg"})
        assert library.grid.names == ("teff", "logg")
        assert not of(library, "parameters").notable

    @pytest.mark.parametrize("names", [{"xyz": "teff"}, {"T": "logg"}])
    def test_names_that_do_not_fit(self, path, names):
        with pytest.raises(LibraryError) as caught:
            open_library(path, names=names)
        assert (caught.value.path, caught.value.name) == (str(path), "names")

    @pytest.mark.parametrize("names", ["T=teff", {"T": 3}, [("T", "teff")], {"T": ""}])
    def test_names_of_the_wrong_type(self, path, names):
        with pytest.raises(InvalidInput) as caught:
            open_library(path, names=names)
        assert caught.value.name == "names"

    @pytest.mark.parametrize(
        ("column", "change", "is_reported"),
        [(1, lambda g: 10**g, True), (1, lambda g: g + 1, False)],
    )
    def test_a_gravity_that_is_no_logarithm_is_reported(
        self, tmp_path, column, change, is_reported
    ):
        points = POINTS.copy()
        points[:, column] = change(points[:, column])
        declaration = of(open_library(write(tmp_path / "a.hdf5", points)), "parameters")
        assert declaration.contradicted is is_reported
        assert ("logg" in declaration.numbers) is is_reported

    def test_a_temperature_that_is_a_logarithm_is_refused(self, tmp_path):
        points = [[3.5, 4.0], [3.6, 4.0]]
        path = write(tmp_path / "a.hdf5", points, keys=["a", "b"], layout="0.2")
        with h5py.File(path, "a") as file:
            for key, new in (("a", "t3.5g4.0"), ("b", "t3.6g4.0")):
                file["flux"].move(key, new)
        with pytest.raises(LibraryError, match="log10 of Teff") as caught:
            open_library(path)
        assert (caught.value.name, caught.value.value) == ("names", 3.5)
        assert open_library(path, names={"T": "log_teff"}).grid.names == ("log_teff", "logg")


def test_build_refuses_options_for_an_open_library(path, tmp_path):
    library = open_library(path)
    with pytest.raises(InvalidInput) as caught:
        mixjobs.build(library, {1: WAVE}, tmp_path / "q.zarr", flux_unit="W/m2/um")
    assert (caught.value.name, caught.value.path) == ("flux_unit", str(path))
