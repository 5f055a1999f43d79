"""The same spectrum in the layouts that observatories and pipelines write."""

import gzip
import tempfile
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import example, given
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, MixjobsError, OrderError, UnreadableFile
from mixjobs.observed.opening import open_spectrum
from mixjobs.wavelengths import air_to_vacuum, vacuum_to_air


def make_order(low, n, seed):
    """Wavelength, flux and sigma of an order."""
    rng = np.random.default_rng(seed)
    return low + 0.05 * np.arange(n), 1 + rng.random(n), 0.01 + rng.random(n)


A, B = make_order(5031.0, 60, 1), make_order(5061.0, 50, 2)  # numbers 92 and 91
BOTH = [np.stack([x[:50], y]) for x, y in zip(A, B, strict=True)]
NAMES = ("wavelength", "flux", "sigma")


def both_in_rows(scale=1.0):
    table = Table({name: np.r_[a, b] for name, a, b in zip(NAMES, A, B, strict=True)})
    table["wavelength"] *= scale
    table["order"] = np.repeat([92, 91], [60, 50])
    return table


def write_fits(path, *hdus, **cards):
    hdus[-1].header.update(cards)
    primary = hdus if isinstance(hdus[0], fits.PrimaryHDU) else (fits.PrimaryHDU(), *hdus)
    fits.HDUList(list(primary)).writeto(path)


def write_hdf5(path, wave, flux, sigma, masks=None, **attributes):
    with h5py.File(path, "w") as file:
        file["waves"], file["fluxes"], file["sigmas"] = wave, flux, sigma
        if masks is not None:
            file["masks"] = masks
        file["waves"].attrs.update(attributes)


def padded(fill, n=70):
    return [
        np.stack([np.r_[z, np.full(n - len(z), fill)] for z in pair])
        for pair in zip(A, B, strict=True)
    ]


def one_row(path):
    columns = [
        fits.Column(name, "60D", unit, array=values[None])
        for name, unit, values in zip(
            ("WAVE", "FLUX", "ERR"), ("angstrom", None, None), A, strict=True
        )
    ]
    write_fits(path, fits.BinTableHDU.from_columns(columns))


def a_row_an_order(path):
    columns = [fits.Column("SPORDER", "I", array=[92, 91])]
    columns += [
        fits.Column(name, "50D", array=x)
        for name, x in zip(("WAVELENGTH", "FLUX", "ERROR"), BOTH, strict=True)
    ]
    write_fits(path, fits.BinTableHDU.from_columns(columns))


def rows_of_any_length(path):
    columns = [fits.Column("ORDER", "I", array=[92, 91])]
    columns += [
        fits.Column(name, "PD()", array=np.array([a, b], dtype=object))
        for name, a, b in zip(NAMES, A, B, strict=True)
    ]
    write_fits(path, fits.BinTableHDU.from_columns(columns))


def a_table_an_order(path):
    hdus = [
        fits.BinTableHDU(Table(dict(zip(NAMES, x, strict=True))), name=f"ORDER{m}")
        for m, x in ((92, A), (91, B))
    ]
    write_fits(path, *hdus)


def images(path):
    names = ("WAVE", "FLUX", "ERR")
    write_fits(path, *(fits.ImageHDU(x, name=n) for x, n in zip(BOTH, names, strict=True)))


def flux_in_the_primary_image(path):
    hdus = [fits.PrimaryHDU(BOTH[1]), fits.ImageHDU(BOTH[2] ** 2, name="VARIANCE")]
    write_fits(path, *hdus, fits.ImageHDU(BOTH[0] / 1e4, name="Wavelength"), BUNIT="um")


def one_row_of_all_orders(path):
    columns = [
        fits.Column(name, "100D", dim="(50,2)", array=x[None])
        for name, x in zip(NAMES, BOTH, strict=True)
    ]
    write_fits(path, fits.BinTableHDU.from_columns(columns))


def frequencies(path):
    """Flux per frequency, on an axis of frequency: wavelengths descend."""
    light = 2.99792458e18  # Å/s
    table = Table({"lambda": A[0], "flux": A[1] * A[0] ** 2, "err": A[2] * A[0] ** 2})
    table["lambda"] = light / A[0][::1] / 1e9
    write_fits(path, fits.BinTableHDU(table), TUNIT1="GHz", TUNIT2="Jy", TUNIT3="Jy")


def text(header, delimiter=" "):
    def write(path):
        np.savetxt(path, np.c_[A], header=header, comments="", delimiter=delimiter)

    return write


def table(write=None, **columns):
    def make(path):
        content = Table(dict(zip(NAMES, A, strict=True)))
        for name, values in columns.items():
            content[name] = values
        (write or (lambda c, p: write_fits(p, fits.BinTableHDU(c))))(content, path)

    return make


def only(names):
    return lambda content, path: write_fits(path, fits.BinTableHDU(content[names]))


def astropy_text(kind):
    return lambda path: Table(dict(zip(NAMES, A, strict=True))).write(path, format=kind)


def decimal_commas(path):
    rows = (";".join(str(value).replace(".", ",") for value in row) for row in np.c_[A])
    path.write_text("\n".join(rows))


def polarbase(path):
    """A title, a count of lines and columns, and numbers with Fortran's exponents."""
    rows = [" ".join(f"{value:.16E}".replace("E", "D") for value in row) for row in np.c_[A]]
    path.write_text("\n".join(["***Spectrum of 'HD 1'", f" {len(rows)} 2", *rows]))


def iraf_bands(path):
    bands = np.stack([A[1], 0 * A[1], 0 * A[1], A[2]])[:, None]
    hdu = fits.PrimaryHDU(bands)
    cards = {"CRVAL1": A[0][0], "CD1_1": 0.05, "CRPIX1": 1, "CTYPE1": "LINEAR"}
    cards |= {f"BANDID{k}": name for k, name in enumerate(("spectrum", "raw", "sky", "sigma"), 1)}
    write_fits(path, hdu, **cards)


def espresso(path):
    data = {
        "SCIDATA": BOTH[1], "ERRDATA": BOTH[2], "QUALDATA": np.zeros((2, 50), int),
        "WAVEDATA_VAC_BARY": BOTH[0], "WAVEDATA_AIR_BARY": vacuum_to_air(BOTH[0]),
    }  # fmt: skip
    write_fits(path, *(fits.ImageHDU(values, name=name) for name, values in data.items()))


def sdss(path):
    coadd = Table({"flux": A[1], "loglam": np.log10(A[0]), "ivar": A[2] ** -2, "sky": A[1]})
    tables = [fits.BinTableHDU(coadd, name=name) for name in ("COADD", "B1-00012345")]
    write_fits(path, *tables)


def eso_phase_3(path):
    """One row of arrays; the data model tells which of the fluxes is the calibrated one."""
    columns = [fits.Column(n, "60D", array=x[None]) for n, x in zip("xyz", A, strict=True)]
    hdu = fits.BinTableHDU.from_columns(
        [*columns, fits.Column("FLUX", "60D", array=np.ones((1, 60)))], name="SPECTRUM"
    )
    models = ("SpectralAxis.Value", "FluxAxis.Value", "FluxAxis.Accuracy.StatError")
    cards = {f"TUTYP{k}": f"spec:Data.{model}" for k, model in enumerate(models, 1)}
    write_fits(path, hdu, **cards, TUTYP4="eso:Data.FluxAxis.Value", SPECSYS="BARYCENT")


TWO = {92: A, 91: B}
SHORT = {92: [x[:50] for x in A], 91: B}
COUNTED = {0: SHORT[92], 1: B}
ONE = {0: A}
LAYOUTS = {
    "rows.fits": (lambda p: write_fits(p, fits.BinTableHDU(both_in_rows())), TWO),
    "packed.fits.gz": (lambda p: write_fits(p, fits.BinTableHDU(both_in_rows())), TWO),
    "any ending.dat": (lambda p: both_in_rows().write(p, format="ascii.ecsv"), TWO),
    "commas.csv": (lambda p: both_in_rows().write(p, format="ascii.csv"), TWO),
    "one_row.fits": (one_row, ONE),
    "row_per_order.fits": (a_row_an_order, SHORT),
    "any_length.fits": (rows_of_any_length, TWO),
    "table_per_order.fits": (a_table_an_order, TWO),
    "all_orders_in_a_row.fits": (one_row_of_all_orders, COUNTED),
    "images.fits": (images, COUNTED),
    "primary.fits": (flux_in_the_primary_image, COUNTED),
    "frequency.fits": (frequencies, ONE),
    "nan_padded.hdf5": (lambda p: write_hdf5(p, *padded(np.nan)), {0: A, 1: B}),
    "zero_padded.hdf5": (lambda p: write_hdf5(p, *padded(0.0)), {0: A, 1: B}),
    "masked_padding.hdf5": (
        lambda p: write_hdf5(p, *padded(4.0), (padded(0.0)[0] > 0).astype(int), units="AA"),
        {0: A, 1: B},
    ),
    "descending.hdf5": (lambda p: write_hdf5(p, *(x[:, ::-1] for x in BOTH)), COUNTED),
    "nm.hdf5": (lambda p: write_hdf5(p, BOTH[0] / 10, *BOTH[1:], unit="nm"), COUNTED),
    "named.txt": (text("wavelength flux sigma"), ONE),
    "commented.txt": (text("# a star\n# wave (A)   flux  err"), ONE),
    "unnamed.asc": (text("# nothing to say"), ONE),
    "semicolons.txt": (text("wave;flux;error", ";"), ONE),
    "tabs.tsv": (text("lambda\tflux\tunc", "\t"), ONE),
    "order_as_float.ecsv": (
        table(lambda c, p: c.write(p, format="ascii.ecsv"), order=92.0),
        {92: A},
    ),
    "order_as_text.fits": (table(order="92"), {92: A}),
    "ivar.fits": (table(only(["wavelength", "flux", "ivar"]), ivar=A[2] ** -2), ONE),
    "variance.fits": (table(only(["wavelength", "flux", "VAR"]), VAR=A[2] ** 2), ONE),
    "snr.fits": (table(only(["wavelength", "flux", "SNR"]), SNR=A[1] / A[2]), ONE),
    "ipac.tbl": (astropy_text("ascii.ipac"), ONE),
    "votable.xml": (astropy_text("votable"), ONE),
    "decimal_commas.txt": (decimal_commas, ONE),
    "polarbase.s": (polarbase, ONE),
    "stacked.fits": (lambda p: write_fits(p, fits.PrimaryHDU(np.stack(A))), ONE),
    "bands.fits": (iraf_bands, ONE),
    "espresso.fits": (espresso, COUNTED),
    "sdss.fits": (sdss, ONE),
    "phase3.fits": (eso_phase_3, ONE),
    "loglam.fits": (
        table(only(["loglam", "flux", "sigma"]), loglam=np.log10(A[0])),
        ONE,
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_spectrum(tmp_path, name):
    write, expected = LAYOUTS[name]
    write(tmp_path / name)
    observed = open_spectrum(tmp_path / name)
    assert sorted(observed.orders.number.tolist()) == sorted(expected)
    assert observed.numbered == (min(expected) > 1)
    for m, number in enumerate(observed.orders.number.tolist()):
        wave, flux, error = expected[number]
        scale = observed.flux[m][0] / flux[0]
        np.testing.assert_allclose(observed.wavelength[m], wave, rtol=1e-12)
        np.testing.assert_allclose(observed.flux[m], flux * scale, rtol=1e-12)
        np.testing.assert_allclose(observed.flux_error[m], error * scale, rtol=1e-12)
        assert observed.mask[m].all()
    quantities = {declaration.quantity for declaration in observed.declarations}
    assert {"wavelength", "flux", "flux error"} <= quantities


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        ("Angstroms", 1), ("ANGSTROM", 1), ("A", 1), ("microns", 1e-4), ("nanometers", 0.1),
        ("0.1nm", 1), ("10^-10 m", 1), ("MICRON", 1e-4), ("log10(Angstrom)", None),
    ],
)  # fmt: skip
def test_units_in_any_spelling(tmp_path, unit, scale):
    content = both_in_rows(scale or 1)
    if scale is None:
        content["wavelength"] = np.log10(content["wavelength"])
    write_fits(tmp_path / "o.fits", fits.BinTableHDU(content), TUNIT1=unit)
    observed = open_spectrum(tmp_path / "o.fits")
    np.testing.assert_allclose(observed.wavelength[1], A[0], rtol=1e-12)
    assert observed.notes == ()


@pytest.mark.parametrize(
    "cards",
    [
        {"AIRORVAC": "air"}, {"VACUUM": False}, {"TCTYP1": "AWAV"}, {"TCTYP1": "AWAV-LOG"},
        {"MEDIUM": "Air"}, {"TUCD1": "em.wl;obs.atmos"}, {"WAVETYPE": "air"},
    ],
)  # fmt: skip
def test_a_spectrum_in_air_comes_out_in_vacuum(tmp_path, cards):
    content = both_in_rows()
    content["wavelength"] = vacuum_to_air(content["wavelength"])
    write_fits(tmp_path / "o.fits", fits.BinTableHDU(content), **cards)
    observed = open_spectrum(tmp_path / "o.fits")
    assert observed.medium == "air"
    np.testing.assert_allclose(air_to_vacuum(observed.wavelength[1]), A[0], rtol=0, atol=1e-6)


def test_a_pressure_or_a_blank_card_is_not_a_medium(tmp_path):
    for value in (1.2e-6, None, ""):
        path = tmp_path / f"{value}.fits"
        write_fits(path, fits.BinTableHDU(both_in_rows()), VACUUM=value)
        assert open_spectrum(path).medium is None


def test_a_column_of_air_wavelengths_is_second_to_the_usual_one(tmp_path):
    content = both_in_rows()
    content["wavelength_air"] = vacuum_to_air(content["wavelength"])
    write_fits(tmp_path / "both.fits", fits.BinTableHDU(content))
    np.testing.assert_allclose(open_spectrum(tmp_path / "both.fits").wavelength[1], A[0])
    del content["wavelength"]
    write_fits(tmp_path / "air.fits", fits.BinTableHDU(content))
    assert open_spectrum(tmp_path / "air.fits").medium == "air"


def image(path, flux=A[1], **cards):
    header = {"CRVAL1": A[0][0], "CDELT1": 0.05, "CRPIX1": 1, "CTYPE1": "LINEAR"} | cards
    hdus = [fits.PrimaryHDU(flux), fits.ImageHDU(A[2], name="ERR")]
    hdus[0].header.update({key: value for key, value in header.items() if value is not None})
    fits.HDUList(hdus).writeto(path)


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({}, A[0]),
        ({"CDELT1": None, "CD1_1": 0.05}, A[0]),
        ({"CRPIX1": 11, "CRVAL1": A[0][10]}, A[0]),
        ({"CRVAL1": A[0][0] / 10, "CDELT1": 0.005, "CUNIT1": "nm"}, A[0]),
        ({"CTYPE1": "WAVE", "CUNIT1": "m", "CRVAL1": 5.031e-7, "CDELT1": 5e-12}, A[0]),
        ({"CRVAL1": 3.7, "CDELT1": 1e-5, "DC-FLAG": 1}, 10 ** (3.7 + 1e-5 * np.arange(60))),
        (
            {"CTYPE1": "WAVE-LOG", "CDELT1": 0.05},
            5031 * np.exp(0.05 * np.arange(60) / 5031),
        ),
        ({"WAT1_001": "wtype=linear label=Wavelength units=Angstroms", "CTYPE1": "LINEAR"}, A[0]),
    ],
)
def test_wavelength_scales_of_images(tmp_path, cards, expected):
    image(tmp_path / "o.fits", **cards)
    np.testing.assert_allclose(open_spectrum(tmp_path / "o.fits").wavelength[0], expected)


@pytest.mark.parametrize(
    "cards",
    [
        {"CTYPE1": "PIXEL"}, {"CRVAL1": None}, {"DC-FLAG": -1}, {"CTYPE1": "VELO"},
        {"CRVAL1": 503.1, "CDELT1": 0.005}, {"CRVAL1": 1.0, "CDELT1": 1.0},
    ],
)  # fmt: skip
def test_axes_that_are_no_wavelengths_are_refused(tmp_path, cards):
    image(tmp_path / "o.fits", **cards)
    with pytest.raises(UnreadableFile):
        open_spectrum(tmp_path / "o.fits")


def test_an_order_without_wavelengths_is_left_out(tmp_path):
    wave, flux, variance = (np.stack([x[:50], y, fill * y]) for x, y, fill in zip(
        A, B, (0.0, 1.0, 1.0), strict=True
    ))  # fmt: skip
    names = ("SCIWAVE", "SCIFLUX", "SCIVAR")
    hdus = zip((wave, flux, variance**2), names, strict=True)
    write_fits(tmp_path / "o.fits", *(fits.ImageHDU(values, name=name) for values, name in hdus))
    observed = open_spectrum(tmp_path / "o.fits")
    assert observed.orders.number.tolist() == [0, 1]
    np.testing.assert_allclose(observed.flux_error[1], B[2])
    assert any("without wavelengths: 2" in note for note in observed.notes)


def test_orders_without_numbers_one_after_the_other_are_refused(tmp_path):
    content = both_in_rows()
    del content["order"]
    content["wavelength"][60:] -= 31
    write_fits(tmp_path / "o.fits", fits.BinTableHDU(content))
    with pytest.raises(OrderError) as caught:
        open_spectrum(tmp_path / "o.fits")
    assert (caught.value.name, caught.value.pixel, caught.value.value) == ("order", 60, 2)


def test_names_for_other_columns_are_refused(tmp_path):
    np.savetxt(tmp_path / "o.txt", np.c_[A], header="wave flux", comments="")
    with pytest.raises(UnreadableFile) as caught:
        open_spectrum(tmp_path / "o.txt")
    assert caught.value.name == "header"


class TestErrors:
    def test_without_errors_the_remedy_works(self, tmp_path):
        fits.PrimaryHDU(A[1]).writeto(tmp_path / "o.fits")
        for key, value in {"CRVAL1": 5031.0, "CDELT1": 0.05, "CRPIX1": 1}.items():
            fits.setval(tmp_path / "o.fits", key, value=value)
        with pytest.raises(UnreadableFile, match="snr = 100") as caught:
            open_spectrum(tmp_path / "o.fits")
        assert caught.value.name == "flux_error"
        observed = open_spectrum(tmp_path / "o.fits", snr=100)
        np.testing.assert_allclose(observed.flux_error[0], np.median(A[1]) / 100)
        assert open_spectrum(tmp_path / "o.fits", errors_needed=False).wavelength[0][0] == 5031

    @pytest.mark.parametrize(
        ("flux_unit", "error_unit", "factor"),
        [("W/m2/um", "mW/m2/um", 1e-3), ("Jy", "mJy", 1e-3), ("adu", "adu", 1), (None, "adu", 1)],
    )
    def test_units_of_the_error(self, tmp_path, flux_unit, error_unit, factor):
        cards = {"TUNIT3": error_unit} | ({"TUNIT2": flux_unit} if flux_unit else {})
        write_fits(tmp_path / "o.fits", fits.BinTableHDU(both_in_rows()), **cards)
        observed = open_spectrum(tmp_path / "o.fits")
        ratio = observed.flux_error[1] / observed.flux[1] * A[1] / A[2]
        np.testing.assert_allclose(ratio, factor)
        of_units = [n for n in observed.notes if "flux error" in n and "scatter" not in n]
        assert bool(of_units) == (flux_unit is None)

    def test_errors_in_per_cent_are_reported(self, tmp_path):
        write_fits(tmp_path / "o.fits", fits.BinTableHDU(both_in_rows()), TUNIT3="%")
        observed = open_spectrum(tmp_path / "o.fits")
        np.testing.assert_allclose(observed.flux_error[1], A[1] * A[2] / 100)
        assert any("per cent" in note for note in observed.notes)

    def test_columns_that_disagree_are_reported(self, tmp_path):
        table(ivar=(2 * A[2]) ** -2)(tmp_path / "o.fits")
        (note,) = [n for n in open_spectrum(tmp_path / "o.fits").notes if "flux error" in n]
        assert "column ivar gives errors 2 times as large" in note

    def test_an_snr_for_a_file_with_errors_is_refused(self, tmp_path):
        table()(tmp_path / "o.fits")
        with pytest.raises(InvalidInput):
            open_spectrum(tmp_path / "o.fits", snr=100)


class TestMasks:
    @pytest.mark.parametrize("name", ["and_mask", "ANDMASK", "QUAL", "DQ", "flags", "quality"])
    def test_flags(self, tmp_path, name):
        table(**{name: (np.arange(60) % 7 == 0) * 4})(tmp_path / "o.fits")
        observed = open_spectrum(tmp_path / "o.fits")
        assert observed.mask[0].tolist() == [k % 7 != 0 for k in range(60)]
        assert any("0 = use: 51 of 60 pixels" in note for note in observed.notes)

    def test_missing_integers(self, tmp_path):
        columns = [fits.Column(n, "D", array=x) for n, x in zip(NAMES[::2], A[::2], strict=True)]
        counts = np.where(np.arange(60) == 3, -99, 100)
        columns.append(fits.Column("flux", "J", null=-99, array=counts))
        write_fits(tmp_path / "o.fits", fits.BinTableHDU.from_columns(columns))
        assert np.flatnonzero(~open_spectrum(tmp_path / "o.fits").mask[0]).tolist() == [3]


class TestGiven:
    def test_columns_by_name_and_number(self, tmp_path):
        content = Table({"LAM": A[0], "SKY": A[1] / 9, "F1": A[1], "E1": A[2]})
        write_fits(tmp_path / "o.fits", fits.BinTableHDU(content))
        with pytest.raises(UnreadableFile):
            open_spectrum(tmp_path / "o.fits")
        for columns in (
            {"wavelength": "LAM", "flux": "F1", "flux_error": "E1"},
            {"wavelength": 1, "flux": 3, "flux_error": 4},
        ):
            observed = open_spectrum(tmp_path / "o.fits", columns=columns)
            np.testing.assert_array_equal(observed.flux[0], A[1])
            np.testing.assert_array_equal(observed.flux_error[0], A[2])

    def test_extensions_by_name_and_number(self, tmp_path):
        hdus = [fits.ImageHDU(x, name=n) for x, n in zip(BOTH, ("L", "X", "Y"), strict=True)]
        write_fits(tmp_path / "o.fits", *hdus)
        for columns in (
            {"wavelength": "L", "flux": "x", "variance": "Y"},
            {"wavelength": 1, "flux": 2, "variance": 3},
        ):
            observed = open_spectrum(tmp_path / "o.fits", columns=columns)
            np.testing.assert_allclose(observed.flux_error[0], np.sqrt(BOTH[2][0]))

    def test_columns_of_text(self, tmp_path):
        np.savetxt(tmp_path / "o.txt", np.c_[A[2], A[0], A[1], A[1]])
        with pytest.raises(UnreadableFile):
            open_spectrum(tmp_path / "o.txt")
        columns = {"flux_error": 1, "wavelength": 2, "flux": 3}
        observed = open_spectrum(tmp_path / "o.txt", columns=columns)
        np.testing.assert_allclose(observed.flux_error[0], A[2])

    def test_the_table_of_several(self, tmp_path):
        hdus = [fits.BinTableHDU(both_in_rows(), name=name) for name in ("ONE", "OTHER")]
        write_fits(tmp_path / "o.fits", *hdus)
        with pytest.raises(UnreadableFile) as caught:
            open_spectrum(tmp_path / "o.fits")
        assert caught.value.name == "extension"
        for extension in ("other", 2):
            assert open_spectrum(tmp_path / "o.fits", columns={"extension": extension}).numbered

    def test_a_unit_in_place_of_an_unknown_one(self, tmp_path):
        write_fits(tmp_path / "o.fits", fits.BinTableHDU(both_in_rows(0.1)), TUNIT1="km/s")
        with pytest.raises(UnreadableFile) as caught:
            open_spectrum(tmp_path / "o.fits")
        assert caught.value.value == "km/s"
        observed = open_spectrum(tmp_path / "o.fits", wavelength_unit="nm")
        np.testing.assert_allclose(observed.wavelength[1], A[0], rtol=1e-14)
        assert "km/s" in observed.declarations[0].declared

    def test_the_unit_and_the_medium(self, tmp_path):
        content = both_in_rows(0.1)
        write_fits(tmp_path / "o.fits", fits.BinTableHDU(content))
        with pytest.raises(UnreadableFile):
            open_spectrum(tmp_path / "o.fits")
        observed = open_spectrum(tmp_path / "o.fits", wavelength_unit="nm", medium="air")
        np.testing.assert_allclose(observed.wavelength[1], A[0], rtol=1e-14)
        assert observed.medium == "air"

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"wavelength_unit": "nm"}, "wavelength_unit"),
            ({"medium": "air"}, "medium"),
            ({"snr": -1}, "snr"),
            ({"format": "muler"}, "format"),
            ({"columns": {"colour": 1}}, "columns"),
            ({"columns": {"flux": "NONE"}}, "columns"),
            ({"columns": {"flux": 12}}, "columns"),
            ({"columns": {"extension": 7}}, "columns"),
        ],
    )
    def test_contradictions_are_refused(self, tmp_path, options, name):
        cards = {"TUNIT1": "Angstrom", "VACUUM": True}
        write_fits(tmp_path / "o.fits", fits.BinTableHDU(both_in_rows()), **cards)
        with pytest.raises(InvalidInput) as caught:
            open_spectrum(tmp_path / "o.fits", **options)
        assert caught.value.name == name


@given(st.sampled_from(sorted(LAYOUTS)), st.integers(0, 10**6), st.binary(min_size=1, max_size=6))
@example("stacked.fits", 88, b"^\xfd/JX\xf0")
def test_damage_raises_only_our_errors(name, place, damage):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        LAYOUTS[name][0](path)
        whole = path.read_bytes()
        place %= len(whole)
        path.write_bytes(whole[:place] + damage + whole[place + len(damage) :])
        with suppress(MixjobsError):
            open_spectrum(path)


def test_a_truncated_gzip_file_is_refused(tmp_path):
    path = tmp_path / "o.txt.gz"
    path.write_bytes(gzip.compress(b"5000 1 0.1\n" * 500)[:-20])
    with pytest.raises(UnreadableFile):
        open_spectrum(path)
