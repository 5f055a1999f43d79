"""Folders of spectra from the SVO's theoretical services; the demo library is the truth."""

import gzip
import pickle

import numpy as np
import pytest

import mixjobs
from mixjobs.demo.library import DemoLibrary
from mixjobs.errors import InvalidInput, LibraryError, MixjobsError, OrderError, UnreadableFile
from mixjobs.library.svo_files import read_header
from mixjobs.report.info import describe_path
from tests.helpers import svo_spectra

AXES = {"teff": (5000, 5200, 5400, 5600), "logg": (4.0, 4.5), "feh": (-0.5, 0.0)}
TRUTH = DemoLibrary(AXES, n_pixels=200, wave_max=5020.0)
ORDERS = mixjobs.Orders.from_edges([5001, 5010, 5019])


@pytest.fixture(params=["text", "votable"])
def folder(request, tmp_path):
    """A folder that the test may damage."""
    return svo_spectra.write(tmp_path / "svo", TRUTH, request.param)


@pytest.fixture
def text(tmp_path):
    return svo_spectra.write(tmp_path / "svo", TRUTH)


def edit(folder, pattern, *changes):
    """Replace text in the files that match a pattern; return the last file."""
    for path in sorted(folder.glob(pattern)):
        content = path.read_text()
        for old, new in changes:
            assert old in content
            content = content.replace(old, new)
        path.write_text(content)
    return path


class TestLibrary:
    def test_every_spectrum_equals_the_truth(self, folder):
        library = mixjobs.open_library(folder)
        assert library.format == "svo"
        assert library.grid.names == ("teff", "logg", "feh")
        assert library.original_names == ("teff", "logg", "meta")
        np.testing.assert_allclose(library.wavelength, TRUTH.wavelength, rtol=1e-12)
        points = {tuple(theta) for theta in TRUTH.points.tolist()}
        assert {tuple(theta) for theta in library.grid.points.tolist()} == points
        reader = pickle.loads(pickle.dumps(library.reader(range(16))))
        for i, spectrum in enumerate(reader):
            flux = TRUTH.spectrum(library.grid.points[i])
            np.testing.assert_allclose(spectrum(0, 200), flux, rtol=1e-9)
            np.testing.assert_array_equal(library.flux(i, 20, 30), spectrum(20, 30))

    def test_what_is_assumed_is_said(self, folder):
        library = mixjobs.open_library(folder)
        assert library.medium == "unknown"
        assert library.flux_calibration.status == "raw"  # as the numbers say
        said = {d.quantity: d for d in library.declarations}
        assert said["medium"].assumed
        assert not said["wavelength unit"].assumed
        assert "ERG/CM2/S/A" in said["flux unit"].declared
        facts = describe_path(folder)
        assert (facts["kind"], facts["format"], facts["n_points"]) == ("library", "svo", 16)

    def test_the_store_is_that_of_other_formats(self, folder, tmp_path):
        store = mixjobs.build(folder, ORDERS, tmp_path / "q.zarr", emulator=False)
        hdf5 = TRUTH.write(tmp_path / "grid.hdf5")
        expected = mixjobs.build(hdf5, ORDERS, tmp_path / "hdf5.zarr")
        rows = [store.grid.row(theta) for theta in expected.grid.points]
        np.testing.assert_allclose(store.mean_flux[:, rows], expected.mean_flux, rtol=1e-6)
        assert store.attributes["library_format"] == "svo"

    def test_blocks_do_not_change_the_values(self, text, tmp_path):
        stores = [
            mixjobs.build(text, ORDERS, tmp_path / f"{k}.zarr", block=block)
            for k, block in enumerate([(1, 1), (2, 7)])
        ]
        np.testing.assert_array_equal(stores[0].mean_flux, stores[1].mean_flux)

    def test_a_pattern_and_a_list(self, folder):
        whole = mixjobs.open_library(folder)
        some = mixjobs.open_library(folder / "lte05[02]*")
        assert some.format == "svo"
        assert len(some.grid) == 8
        files = sorted(folder.iterdir())[:5]
        assert len(mixjobs.open_library(files).grid) == 5
        row = whole.grid.row(some.grid.points[3])
        np.testing.assert_array_equal(some.flux(3), whole.flux(row))

    def test_text_and_votables_mixed_and_compressed(self, text):
        other = svo_spectra.write(text.parent / "other", TRUTH, "votable")
        for path in sorted(text.iterdir())[::2]:
            xml = other / path.name.replace(".dat.txt", ".xml")
            path.unlink()
            (text / f"{xml.name}.gz").write_bytes(gzip.compress(xml.read_bytes()))
        library = mixjobs.open_library(text)
        for i, theta in enumerate(library.grid.points):
            np.testing.assert_allclose(library.flux(i), TRUTH.spectrum(theta), rtol=1e-9)

    def test_a_missing_file_is_a_hole(self, folder):
        sorted(folder.iterdir())[3].unlink()
        assert len(mixjobs.open_library(folder).grid.holes) == 1

    def test_take_and_fingerprint(self, text):
        library = mixjobs.open_library(text)
        part = library.take([5, 2])
        np.testing.assert_array_equal(part.flux(1), library.flux(2))
        path = sorted(text.iterdir())[7]
        path.write_text(path.read_text() + "\n")
        assert mixjobs.open_library(text).fingerprint != library.fingerprint

    def test_bands_in_two_folders_are_one_library(self, text, tmp_path):
        red = DemoLibrary(AXES, n_pixels=200, wave_min=5030.0, wave_max=5050.0)
        second = svo_spectra.write(tmp_path / "red", red, "votable")
        library = mixjobs.open_library([text, second])
        np.testing.assert_allclose(library.wavelength[200:], red.wavelength, rtol=1e-12)
        with pytest.raises(OrderError):
            mixjobs.build(library, mixjobs.Orders.from_edges([5015, 5035]), tmp_path / "q.zarr")


class TestDeclarations:
    """A declaration is used, or it is an error."""

    @pytest.mark.parametrize(
        ("unit", "scale"),
        [("W/m2/um", 10.0), ("ERG/CM2/S/CM", 1e8), ("erg/s/cm^2/nm", 10.0), ("flam", 1.0)],
    )
    @pytest.mark.parametrize("one_file", [False, True])
    def test_flux_units(self, text, unit, scale, one_file):
        for path in sorted(text.iterdir())[: 1 if one_file else None]:
            wave, flux = np.loadtxt(path).T
            star = read_header(path).parameters
            header = svo_spectra.HEADER.replace("ERG/CM2/S/A)", f"{unit})")
            star = {"teff": star["teff"], "logg": star["logg"], "feh": star["meta"]}
            path.write_text(svo_spectra.text(star, wave, flux * scale, header))
        library = mixjobs.open_library(text)
        for i in (0, 9):
            flux = TRUTH.spectrum(library.grid.points[i])
            np.testing.assert_allclose(library.flux(i), flux, rtol=1e-8)

    def test_wavelengths_that_are_too_close_are_refused(self, text):
        wavelength = TRUTH.wavelength.copy()
        wavelength[51] = wavelength[50] + 1e-9
        for path in text.iterdir():
            star = read_header(path).parameters
            star = {"teff": star["teff"], "logg": star["logg"], "feh": star["meta"]}
            path.write_text(svo_spectra.text(star, wavelength, np.ones(200)))
        with pytest.raises(LibraryError, match="too close for interpolation") as caught:
            mixjobs.open_library(text)
        assert (caught.value.name, caught.value.pixel) == ("wavelength", 51)
        assert caught.value.path.startswith(str(text))

    @pytest.mark.parametrize(("unit", "factor"), [("NM", 0.1), ("micron", 1e-4), ("MICRONS", 1e-4)])
    def test_wavelength_units(self, tmp_path, unit, factor):
        folder = tmp_path / "svo"
        folder.mkdir()
        for k, theta in enumerate(TRUTH.points):
            star = dict(zip(TRUTH.names, theta, strict=True))
            header = svo_spectra.HEADER.replace("(ANGSTROM)", f"({unit})")
            content = svo_spectra.text(
                star, TRUTH.wavelength * factor, TRUTH.spectrum(theta), header
            )
            (folder / f"{k}.txt").write_text(content)
        library = mixjobs.open_library(folder)
        np.testing.assert_allclose(library.wavelength, TRUTH.wavelength, rtol=1e-6)
        assert library.flux(3).shape == (200,)

    def test_descending_wavelengths_are_reversed(self, text):
        for path in text.iterdir():
            lines = path.read_text().splitlines()
            head = [line for line in lines if line.startswith("#")]
            rows = [line for line in lines if not line.startswith("#")]
            path.write_text("\n".join([*head, *rows[::-1]]))
        library = mixjobs.open_library(text)
        np.testing.assert_allclose(library.wavelength, TRUTH.wavelength, rtol=1e-12)
        theta = library.grid.points[3]
        np.testing.assert_allclose(library.flux(3), TRUTH.spectrum(theta), rtol=1e-9)

    @pytest.mark.parametrize(
        ("old", "new", "medium"),
        [
            ("Wavelength in Angstrom", "Wavelength in Angstrom (vacuum)", "vacuum"),
            ("Wavelength in Angstrom", "Wavelength in air, Angstrom", "air"),
            ("# lh = 1.25", "# air = True\n# lh = 1.25", "air"),
            ("# lh = 1.25", "# medium = vacuum\n# lh = 1.25", "vacuum"),
        ],
    )
    def test_media(self, text, old, new, medium):
        edit(text, "*", (old, new))
        assert mixjobs.open_library(text).medium == medium

    def test_media_that_differ(self, text):
        edit(text, "*", ("# lh", "# air = True\n# lh"))
        path = edit(text, "lte054-4.0-0.0*", ("air = True", "air = False"))
        with pytest.raises(LibraryError) as error:
            mixjobs.open_library(text)
        assert (error.value.path, error.value.name) == (str(path), "medium")
        assert mixjobs.open_library(text, medium="air").medium == "air"

    def test_a_constant_that_is_not_recognised_is_noted(self, text):
        (note,) = mixjobs.open_library(text).notes
        assert "lh = 1.25" in note

    def test_a_parameter_that_varies_is_kept_and_may_be_named(self, text):
        edit(text, "*-4.0-*", ("lh = 1.25", "lh = 0.5"))
        assert mixjobs.open_library(text).grid.names == ("teff", "logg", "feh", "lh")
        named = mixjobs.open_library(text, names={"lh": "mixing_length"})
        assert named.grid.names[3] == "mixing_length"

    @pytest.mark.parametrize("unit", ["kK", "K"])
    def test_temperature_in_another_unit(self, text, unit):
        if unit == "kK":
            for teff in AXES["teff"]:
                edit(
                    text, f"lte{teff // 100:03}*", (f"teff = {teff} K", f"teff = {teff / 1000} kK")
                )
        assert mixjobs.open_library(text).grid.axes[0].tolist() == list(AXES["teff"])

    def test_fields_of_a_votable_in_any_sequence(self, tmp_path):
        start, end = svo_spectra.VOTABLE.split("<FIELD", 1)[0], "<DATA>"
        fields = (
            '<FIELD name="B" ucd="phot.flux.density" unit="ERG/CM2/S/A" datatype="double"/>'
            '<FIELD name="A" utype="spec:Data.SpectralAxis.Value" unit="AA" datatype="double"/>'
        )
        swapped = start + fields + end + svo_spectra.VOTABLE.split(end, 1)[1]
        folder = tmp_path / "svo"
        folder.mkdir()
        for k, theta in enumerate(TRUTH.points[:4]):
            star = dict(zip(TRUTH.names, theta, strict=True))
            content = svo_spectra.votable(
                star, TRUTH.spectrum(theta), TRUTH.wavelength, template=swapped
            )
            (folder / f"{k}.xml").write_text(content)
        library = mixjobs.open_library(folder)
        np.testing.assert_allclose(library.wavelength, TRUTH.wavelength, rtol=1e-9)
        np.testing.assert_allclose(library.flux(2), TRUTH.spectrum(TRUTH.points[2]), rtol=1e-9)

    def test_an_unknown_unit(self, text):
        edit(text, "*", ("(ERG/CM2/S/A)", "(furlongs)"))
        with pytest.raises(UnreadableFile) as error:
            mixjobs.open_library(text)
        assert error.value.value == "furlongs"
        assert mixjobs.open_library(text, flux_unit="erg/s/cm2/AA").flux(0).shape == (200,)


def other_wavelength(folder):
    path = sorted(folder.glob("lte052*"))[1]
    first = next(
        line for line in path.read_text().splitlines() if line[:1].isspace() and "#" not in line
    )
    return edit(folder, path.name, (first.split()[0], f"{float(first.split()[0]) + 0.01:.10f}"))


def one_row_less(folder):
    path = sorted(folder.glob("lte052*"))[1]
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    return path


class TestDifferentWavelengths:
    @pytest.mark.parametrize("damage", [other_wavelength, one_row_less])
    def test_the_file_is_named(self, text, damage, tmp_path):
        path = damage(text)
        with pytest.raises(LibraryError) as error:
            mixjobs.build(text, ORDERS, tmp_path / "q.zarr")
        assert (error.value.path, error.value.name) == (str(path), "wavelength")

    def test_rounding_is_accepted(self, text):
        path = sorted(text.glob("lte052*"))[1]
        lines = path.read_text().splitlines()
        path.write_text("\n".join(
            line if line.startswith("#") else f"{float(line.split()[0]):.4f} {line.split()[1]}"
            for line in lines
        ))  # fmt: skip
        library = mixjobs.open_library(text)
        assert len([spectrum(0, 5) for spectrum in library.reader(range(16))]) == 16


BAD = {
    "HTML": ("<html><body>404 Not Found</body></html>", UnreadableFile),
    "empty": ("", UnreadableFile),
    "words": ("# teff = 5100 K\n# logg = 4\n# meta = 0\nsome words here\n", UnreadableFile),
    "one column": ("# teff = 5100 K\n# logg = 4\n# meta = 0\n5000.0\n5001.0\n", UnreadableFile),
    "only a header": ("# teff = 5100 K\n# logg = 4\n# meta = 0\n", UnreadableFile),
    "a table of models": (
        "<VOTABLE><RESOURCE><TABLE><FIELD name='teff'/><FIELD name='Link'/><DATA></DATA></TABLE>"
        "</RESOURCE></VOTABLE>", UnreadableFile,
    ),
    "an answer with an error": (
        "<VOTABLE><RESOURCE><INFO name='QUERY_STATUS' value='ERROR'/></RESOURCE></VOTABLE>",
        UnreadableFile,
    ),
    "broken XML": ("<VOTABLE><RESOURCE><TABLE>", UnreadableFile),
}  # fmt: skip


class TestBadFiles:
    @pytest.mark.parametrize("fault", BAD)
    def test_the_file_is_named(self, text, fault):
        content, error = BAD[fault]
        path = sorted(text.iterdir())[4]
        path.write_text(content)
        with pytest.raises(error) as caught:
            read_all(text)
        assert caught.value.path == str(path)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["teff", "meta"])
    def test_a_parameter_that_a_file_lacks(self, text, name):
        path = edit(text, "lte052-4.5-0.0*", (f"# {name}", "# mute"))
        with pytest.raises(LibraryError) as error:
            mixjobs.open_library(text)
        assert (error.value.path, error.value.name) == (str(path), name)

    def test_two_files_of_one_point(self, text):
        path = sorted(text.iterdir())[4]
        copy = path.with_name("zz.txt")
        copy.write_bytes(path.read_bytes())
        with pytest.raises(LibraryError) as error:
            mixjobs.open_library(text)
        assert error.value.path == str(copy)
        assert path.name in str(error.value)

    def test_a_broken_link(self, text):
        (text / "lte058.txt").symlink_to("gone")
        with pytest.raises(UnreadableFile) as error:
            mixjobs.open_library(text)
        assert error.value.path == str(text / "lte058.txt")

    def test_a_single_spectrum(self, folder):
        path = sorted(folder.iterdir())[0]
        with pytest.raises(InvalidInput) as error:
            mixjobs.open_library(path)
        assert error.value.path == str(path)

    def test_other_files_are_ignored(self, text):
        (text / "README").write_text("read me")
        (text / "job.toml").write_text("[orders]")
        (text / ".hidden.txt").write_text("hidden")
        assert len(mixjobs.open_library(text).grid) == 16

    def test_a_text_of_another_kind_is_named(self, text):
        (text / "notes.txt").write_text("downloaded on Monday")
        with pytest.raises(MixjobsError) as error:
            mixjobs.open_library(text)
        assert error.value.path == str(text / "notes.txt")

    def test_a_format_that_does_not_fit(self, text, tmp_path):
        for path, format in ((text, "phoenix"), (TRUTH.write(tmp_path / "a.hdf5"), "svo")):
            with pytest.raises(InvalidInput) as error:
                mixjobs.open_library(path, format=format)
            assert (error.value.path, error.value.value) == (str(path), format)


def read_all(folder):
    library = mixjobs.open_library(folder)
    return [library.flux(i) for i in range(len(library.grid))]


class TestHeaders:
    def test_kurucz(self, tmp_path):
        """The header of a file of Kurucz' models (ODFNEW), with more parameters."""
        path = tmp_path / "fp00.txt"
        path.write_text(
            "# Kurucz ODFNEW /NOVER (2003)\n"
            "# teff = 3500 K (value for the effective temperature for the model. Temperatures are "
            "given in K)\n"
            "# logg = 0 log(cm/s2) (value for Log(G) for the model.)\n"
            "# meta = -0.5  (value for the Metallicity for the model.)\n"
            "# lh = 1.25  (l/Hp where l is the  mixing length of the convective element and Hp is "
            "the pressure scale height)\n"
            "# vtur = 2 km/s (Microturbulence velocity)\n"
            "# alpha = 0  (Alpha)\n"
            "#\n"
            "# column 1: WAVELENGTH (ANGSTROM), Wavelength in Angstrom\n"
            "# column 2: FLUX (ERG/CM2/S/A), Flux in erg/cm2/s/A\n"
            "        147.2    5.04158e-191\n        151      5.95223e-186\n"
        )
        header = read_header(path)
        expected = {"teff": 3500, "logg": 0, "meta": -0.5, "lh": 1.25, "vtur": 2, "alpha": 0}
        assert header.parameters == expected
        units = [(column.name, column.unit) for column in header.columns]
        assert units == [("WAVELENGTH", "ANGSTROM"), ("FLUX", "ERG/CM2/S/A")]

    @pytest.mark.parametrize(
        ("line", "unit"),
        [
            ("# column 2: FLUX (ERG/(CM2 S A)), Flux in erg", "ERG/(CM2 S A)"),
            ("# column 2: FLUX (W/m2/um)", "W/m2/um"),
            ("#column 2:FLUX(erg/s/cm2/A),Flux", "erg/s/cm2/A"),
            ("# column 2: FLUX", ""),
        ],
    )
    def test_units_of_columns(self, tmp_path, line, unit):
        path = tmp_path / "a.txt"
        path.write_text(f"# teff = 3000\n# column 1: WAVELENGTH (nm)\n{line}\n500 1e5\n")
        assert [column.unit for column in read_header(path).columns] == ["nm", unit]
