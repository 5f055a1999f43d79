"""``mixjobs info`` and ``plot`` of observed spectra, and what `info` tells apart."""

import json

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.image import imread

import mixjobs
from mixjobs.cli import main
from mixjobs.errors import InvalidInput, LibraryError, MissingFile, MixjobsError, UnreadableFile
from mixjobs.report.info import describe_path
from mixjobs.report.observed import describe_spectrum
from tests.helpers.finished_runs import finished


def write(path, number=(7, 8), snr=50.0, **meta):
    """Two orders of 40 pixels with errors of a known size; the first pixel is masked."""
    wave = np.concatenate([np.linspace(5000, 5010, 40), np.linspace(5008, 5020, 40)])
    table = Table({"wavelength": wave, "flux": np.ones(80), "sigma": np.full(80, 1 / snr)})
    table["mask"] = 1
    table["mask"][0] = 0
    table["wavelength"].unit = "Angstrom"
    if number is not None:
        table["order"] = np.repeat(number, 40)
    table.meta |= meta
    table.write(path, format="ascii.ecsv", overwrite=True)
    return path


class TestDescription:
    def test_orders_noise_and_declarations(self, tmp_path):
        path = write(tmp_path / "star.ecsv", medium="air", BCV=12.5)
        facts = describe_path(path)
        assert (facts["kind"], facts["path"], facts["n_orders"]) == ("spectrum", str(path), 2)
        assert (facts["medium"], facts["barycentric_velocity"]) == ("air", 12.5)
        assert (facts["n_pixels"], facts["n_used"]) == (80, 79)
        first, second = facts["orders"]
        assert (first["order"], first["wavelength"]) == (7, [5000.0, 5010.0])
        assert (first["n_pixels"], first["n_used"], second["n_used"]) == (40, 39, 40)
        assert first["snr"] == pytest.approx(50)
        assert first["pixel_width"] == pytest.approx(299792.458 * 10 / 39 / 5005, rel=1e-3)
        declared = {one["quantity"]: one for one in facts["declarations"]}
        assert "Angstrom" in declared["wavelength"]["declared"]
        assert declared["medium"]["understood"] == "air"
        assert facts["notes"] == list(mixjobs.open_spectrum(path).notes)
        json.dumps(facts, allow_nan=False)

    def test_an_order_without_a_pixel_to_use(self, tmp_path):
        spectrum = mixjobs.open_spectrum(write(tmp_path / "star.ecsv")).masking([[4999, 5008.5]])
        spectrum = spectrum.masking([[5000, 5010.1]])
        facts = describe_spectrum(spectrum)
        assert [order["snr"] for order in facts["orders"]] == [None, pytest.approx(50)]
        json.dumps(facts, allow_nan=False)

    def test_a_pattern_and_a_list(self, data):
        folder = data / "s1063"
        whole = describe_path(folder / "S1063_IGRINS_m*.hdf5")
        assert [order["order"] for order in whole["orders"]][:3] == [106, 107, 109]
        assert whole["orders"][0]["snr"] == pytest.approx(61.5, abs=0.1)
        epochs = describe_path([folder / f"S1063_IGRINS_m{m}.hdf5" for m in (106, 107)])
        assert epochs["kind"] == "spectra"
        assert [epoch["numbered"] for epoch in epochs["spectra"]] == [False, False]


class TestKinds:
    def test_each_is_told_from_the_others(self, demo, fit_store, tmp_path):
        write(tmp_path / "star.ecsv")
        write(tmp_path / "star_m7.ecsv", number=None)
        paths = {
            "library": demo, "store": fit_store, "run": finished().path,
            "spectrum": tmp_path / "star*.ecsv",
        }  # fmt: skip
        (tmp_path / "star_m7.ecsv").unlink()
        assert {kind: describe_path(path)["kind"] for kind, path in paths.items()} == {
            kind: kind for kind in paths
        }

    def test_libraries_and_spectra_in_several_files(self, data):
        folder = data / "s1063"
        for pattern, kind in (("PHOENIX", "library"), ("S1063", "spectrum")):
            assert describe_path(folder / f"{pattern}_IGRINS_m*.hdf5")["kind"] == kind
            files = sorted(folder.glob(f"{pattern}_IGRINS_m*.hdf5"))
            kinds = {"spectrum": "spectra"}
            assert describe_path(files)["kind"] == kinds.get(kind, kind)

    def test_a_store_records_what_was_assumed_about_its_orders(self, demo, tmp_path):
        path = write(tmp_path / "star.ecsv")
        store = mixjobs.build(demo, path, tmp_path / "q.zarr", table=False)
        notes = describe_path(store.path)["orders_notes"]
        assert "2 orders; wavelengths in vacuum, like the library's" in notes[0]
        assert any("column mask, 1 = use" in note for note in notes)

    def test_a_run(self):
        run = finished()
        facts = describe_path(run.path)
        assert facts["parameters"] == list(run.names)
        assert facts["steps"] > 0
        assert facts["spectra"] == [spectrum.file for spectrum in run.job.spectra]
        json.dumps(facts, allow_nan=False)

    @pytest.mark.parametrize(
        ("make", "kind"),
        [
            (lambda folder: folder / "none.fits", MissingFile),
            (lambda folder: folder / "none*.fits", MissingFile),
            (lambda folder: folder, InvalidInput),
            (lambda folder: write_text(folder / "a.txt", "no spectrum"), UnreadableFile),
            (lambda folder: write_text(folder / "a.hdf5", ""), UnreadableFile),
        ],
    )
    def test_neither(self, tmp_path, make, kind):
        path = make(tmp_path)
        with pytest.raises(kind) as error:
            describe_path(path)
        assert error.value.path == str(path)

    def test_options(self, demo, fit_store, tmp_path):
        path = write(tmp_path / "star.ecsv")
        assert describe_path(path, medium="air", names=None)["medium"] == "air"
        for other, options in (
            (path, {"flux_unit": "Jy"}), (fit_store, {"medium": "air"}),
            (finished().path, {"medium": "air"}),
        ):  # fmt: skip
            with pytest.raises(InvalidInput) as error:
                describe_path(other, **options)
            assert error.value.path == str(other)
            assert {error.value.name: error.value.value} == options

    def test_a_library_and_a_spectrum(self, demo, tmp_path):
        with pytest.raises(MixjobsError):
            describe_path([demo, write(tmp_path / "star.ecsv")])

    def test_a_library_without_its_spectra(self, tmp_path):
        import h5py

        with h5py.File(tmp_path / "grid.hdf5", "w") as file:
            file["wl"], file["grid_points"] = np.arange(5.0), np.ones((2, 2))
        with pytest.raises(LibraryError) as error:
            describe_path(tmp_path / "grid.hdf5")
        assert error.value.name == "flux"


def write_text(path, text):
    path.write_text(text)
    return path


class TestCommands:
    def test_info(self, tmp_path, capsys):
        path = write(tmp_path / "star.ecsv", medium="air")
        assert main(["info", str(path)]) == 0
        out = capsys.readouterr().out
        for text in ("79 to use of 80", "air", "S/N", "5000.00", "Angstrom"):
            assert text in out
        assert main(["info", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == describe_path(path)
        assert main(["info", str(path), str(path)]) == 0
        assert capsys.readouterr().out.count("79 to use of 80") == 2

    def test_info_of_a_run(self, capsys):
        assert main(["info", str(finished().path)]) == 0
        assert "teff_1" in capsys.readouterr().out

    def test_plot(self, tmp_path, capsys):
        path, folder = write(tmp_path / "star.ecsv"), tmp_path / "figures"
        assert main(["plot", str(path), "-o", str(folder)]) == 0
        assert capsys.readouterr().out.split() == [str(folder / "orders_7_to_8.png")]
        assert imread(folder / "orders_7_to_8.png").std() > 0.05

    def test_plot_of_many_orders(self, data):
        spectrum = mixjobs.open_spectrum(data / "LkCa15-2013-10-12.hdf5")
        figures = spectrum.plot.all()
        assert list(figures)[::4] == ["orders_0_to_11", "orders_48_to_50"]
        assert [len(figure.axes) for figure in figures.values()] == [12, 12, 12, 12, 3]
        titles = [axes.get_title() for figure in figures.values() for axes in figure.axes]
        assert titles == [f"order {number}" for number in spectrum.orders.number]

    def test_plot_of_a_pattern(self, data, tmp_path, capsys):
        pattern = data / "s1063" / "S1063_IGRINS_m1{order}.hdf5"
        pattern = str(pattern).replace("m1{order}", "m10*")
        assert main(["plot", pattern, "-o", str(tmp_path)]) == 0
        assert capsys.readouterr().out.split() == [str(tmp_path / "orders_106_to_109.png")]

    def test_what_plot_refuses(self, demo, tmp_path, capsys):
        path = write(tmp_path / "star.ecsv")
        output = ["-o", str(tmp_path / "figures")]
        for words in (
            [str(path)],
            [str(path), *output, "--theta1", "5000,4"],
            [str(path), *output, "--method", "linear"],
            [str(path), "-o", str(finished().path / "mine")],
            [str(demo), *output],
            [str(tmp_path / "none*.fits"), *output],
            [str(tmp_path / "none.fits"), *output],
        ):
            assert main(["plot", *words]) == 2
            assert capsys.readouterr().err.count("\n") == 1
        assert not (tmp_path / "figures").exists()


def test_what_the_file_does_not_declare_is_given(tmp_path):
    wave = np.linspace(500.0, 501.0, 30)
    np.savetxt(tmp_path / "o.txt", np.c_[wave, 1 + 0 * wave], header="LAM F", comments="")
    options = {"columns": {"wavelength": "LAM", "flux": 2}, "snr": 50, "wavelength_unit": "nm"}
    facts = describe_path(tmp_path / "o.txt", **options)
    assert facts["orders"][0]["wavelength"] == [5000, 5010]
    with pytest.raises(UnreadableFile):
        describe_path(tmp_path / "o.txt")


@pytest.mark.parametrize("name", ["columns", "snr", "format"])
def test_options_of_spectra_are_refused_for_libraries(demo, name):
    with pytest.raises(InvalidInput) as caught:
        describe_path(demo, **{name: "specutils"})
    assert caught.value.name == name
