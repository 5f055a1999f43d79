"""Observed spectra in ECSV and FITS tables: comparison with HDF5, and many invalid tables."""

import gzip
import tempfile
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.errors import MissingFile, MixjobsError, OrderError, UnreadableFile
from mixjobs.observed.opening import open_spectrum
from tests.helpers.drawn import observed_orders

NAN, INF = np.nan, np.inf
ENDINGS = (".ecsv", ".fits", ".fit", ".fits.gz", ".fit.gz", ".FITS")
FILE_ENDINGS = (".ecsv", ".fits", ".fits.gz")
NO_UNIT = "the wavelengths have no unit; assumed to be in Å"
GOOD = {"wavelength": [5000.0, 5001.0, 5002.5], "flux": [1.0, 2.0, 3.0], "sigma": [0.1, 0.1, 0.2]}


def write(path, columns, meta=None, unit="Angstrom"):
    """Write columns with astropy; `unit` is that of the first column."""
    table = Table(columns, meta=meta)
    if unit:
        table[table.colnames[0]].unit = units.Unit(unit, parse_strict="silent")
    if path.name.endswith(".ecsv"):
        table.write(path, format="ascii.ecsv")
        return path
    with warnings.catch_warnings():  # long keywords and invalid units are intended
        warnings.simplefilter("ignore")
        hdus = fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(table)])
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "wb") as file:
        hdus.writeto(file)
    return path


def write_starfish(path, wave, flux, sigma, masks):
    with h5py.File(path, "w") as file:
        content = {"waves": wave, "fluxes": flux, "sigmas": sigma, "masks": masks}
        for name, values in content.items():
            file[name] = values
    return path


def arrays(observed):
    return (*observed.wavelength, *observed.flux, *observed.flux_error, *observed.mask)


@st.composite
def spectra(draw):
    """Draw orders, and a sequence of rows that mixes them."""
    wave, flux, sigma, mask = draw(observed_orders())
    order = np.repeat(np.arange(len(wave)), wave.shape[1])
    mixed = np.array(draw(st.permutations(order.tolist())), dtype=np.int64)
    return wave, flux, sigma, mask, mixed


class TestProperties:
    @given(spectra(), st.sampled_from(FILE_ENDINGS))
    def test_a_table_equals_the_hdf5_file(self, spectrum, ending):
        wave, flux, sigma, masks, mixed = spectrum
        row = np.empty(len(mixed), dtype=int)  # each row holds the next pixel of its order
        for n in range(len(wave)):
            row[mixed == n] = np.arange(wave.shape[1])
        named = {"wavelength": wave, "flux": flux, "sigma": sigma, "mask": masks.astype(np.int16)}
        columns = {name: values[mixed, row] for name, values in named.items()}
        with tempfile.TemporaryDirectory() as folder:
            path = write(Path(folder, f"o{ending}"), columns | {"order": mixed}, unit=None)
            table = open_spectrum(path)
            starfish = open_spectrum(write_starfish(Path(folder, "o.hdf5"), *spectrum[:4]))
        assert table.notes[2:] == starfish.notes[2:]  # after those on the unit and the mask
        assert table.orders.number.tolist() == starfish.orders.number.tolist()
        assert table.orders.wave_max.tolist() == starfish.orders.wave_max.tolist()
        for one, other in zip(arrays(table), arrays(starfish), strict=True):
            assert one.dtype == other.dtype
            assert one.dtype.isnative
            assert not one.flags.writeable
            np.testing.assert_array_equal(one, other)

    @given(spectra(), st.sampled_from(FILE_ENDINGS))
    def test_only_valid_pixels_are_used(self, spectrum, ending):
        wave, flux, sigma, *_ = spectrum
        columns = {"wave": wave[0], "flux": flux[0], "error": sigma[0]}
        with tempfile.TemporaryDirectory() as folder:
            observed = open_spectrum(write(Path(folder, f"o{ending}"), columns))
        valid = [abs(f) < INF and 0 < s < INF for f, s in zip(flux[0], sigma[0], strict=True)]
        assert observed.mask[0].tolist() == valid


class TestContent:
    @pytest.mark.parametrize("ending", ENDINGS)
    def test_orders_of_different_length(self, tmp_path, ending):
        columns = {
            "wavelength": [6000.0, 5000.0, 5001.0, 6001.0, 5002.0],
            "flux": np.array([6, 1, 2, 7, 3], dtype=np.int32),
            "sigma": np.full(5, 0.1, dtype=np.float32),
            "order": np.array([40, -3, -3, 40, -3], dtype=np.int16),
        }
        observed = open_spectrum(write(tmp_path / f"o{ending}", columns))
        assert observed.orders.number.tolist() == [-3, 40]
        assert [flux.tolist() for flux in observed.flux] == [[1.0, 2.0, 3.0], [6.0, 7.0]]
        assert (observed.numbered, observed.medium, observed.barycentric_velocity) == (
            True, None, None,
        )  # fmt: skip
        assert observed.notes == ()

    @pytest.mark.parametrize("ending", FILE_ENDINGS)
    @pytest.mark.parametrize(
        ("unit", "factor", "notes"),
        [
            ("nm", 10.0, ()), ("um", 1e4, ()), ("Angstrom", 1.0, ()), (None, 1.0, (NO_UNIT,)),
        ],
    )  # fmt: skip
    def test_units(self, tmp_path, ending, unit, factor, notes):
        columns = GOOD | {"wavelength": np.array(GOOD["wavelength"]) / factor}
        observed = open_spectrum(write(tmp_path / f"o{ending}", columns, unit=unit))
        np.testing.assert_allclose(observed.wavelength[0], GOOD["wavelength"], rtol=1e-14)
        assert observed.notes == notes
        assert observed.orders.number.tolist() == [0]
        assert not observed.numbered

    @pytest.mark.parametrize("ending", FILE_ENDINGS)
    @pytest.mark.parametrize(
        "names",
        [
            ("WAVELENGTH", "FLUX", "SIGMA"), ("Wave", "Flux", "Error"), ("wl", "flux", "err"),
            ("lambda", "flux", "uncertainty"), ("wl", "flux", "flux_error"),
            ("wl", "flux", "FLUX_ERR"),
        ],
    )  # fmt: skip
    def test_spellings_of_column_names(self, tmp_path, ending, names):
        columns = dict(zip(names, GOOD.values(), strict=True)) | {"sky": [1.0, 2.0, 3.0]}
        observed = open_spectrum(write(tmp_path / f"o{ending}", columns))
        assert observed.flux_error[0].tolist() == GOOD["sigma"]
        assert observed.wavelength[0].tolist() == GOOD["wavelength"]

    @pytest.mark.parametrize("ending", FILE_ENDINGS)
    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float64])
    def test_mask_of_1_means_use(self, tmp_path, ending, dtype):
        columns = GOOD | {"Mask": np.array([1, 0, 1], dtype=dtype)}
        observed = open_spectrum(write(tmp_path / f"o{ending}", columns))
        assert observed.mask[0].tolist() == [True, False, True]
        assert observed.notes == ("column Mask, 1 = use: 2 of 3 pixels are used",)

    @pytest.mark.parametrize("ending", FILE_ENDINGS)
    def test_a_missing_value_is_masked(self, tmp_path, ending):
        columns = GOOD | {"flux": MaskedColumn([1.0, 2.0, 3.0], mask=[False, True, False])}
        observed = open_spectrum(write(tmp_path / f"o{ending}", columns))
        assert observed.mask[0].tolist() == [True, False, True]
        assert np.isnan(observed.flux[0][1])

    @pytest.mark.parametrize("ending", FILE_ENDINGS)
    @pytest.mark.parametrize("key", ["barycentric_velocity", "BCV", "bcv"])
    @pytest.mark.parametrize(("medium", "expected"), [("air", "air"), ("Vacuum", "vacuum")])
    def test_metadata_of_the_table(self, tmp_path, ending, key, medium, expected):
        meta = {key: -12.5, "Medium": medium}
        observed = open_spectrum(write(tmp_path / f"o{ending}", GOOD, meta))
        assert (observed.medium, observed.barycentric_velocity) == (expected, -12.5)

    def test_a_velocity_with_a_unit(self, tmp_path):
        meta = {"barycentric_velocity": -1500 * units.m / units.s}
        assert open_spectrum(
            write(tmp_path / "o.ecsv", GOOD, meta)
        ).barycentric_velocity == pytest.approx(-1.5)

    def test_metadata_of_the_primary_header(self, tmp_path):
        path = write(tmp_path / "o.fits", GOOD)
        for name, value in (("MEDIUM", "vacuum"), ("BCV", 7.25)):
            fits.setval(path, name, value=value, ext=0)
        observed = open_spectrum(path)
        assert (observed.medium, observed.barycentric_velocity) == ("vacuum", 7.25)

    def test_other_columns_are_ignored(self, tmp_path):
        names = {"name": ["a", "b", "c"], "cube": np.ones((3, 2))}
        assert open_spectrum(write(tmp_path / "o.fits", GOOD | names)).notes == ()

    def test_a_warning_from_astropy_becomes_a_note(self, tmp_path):
        path = write(tmp_path / "o.fits", GOOD)
        fits.setval(path, "TDISP2", value="wide", ext=1)
        notes = open_spectrum(path).notes
        assert notes
        assert all(note.startswith("astropy: ") for note in notes)


def without(name):
    return {key: values for key, values in GOOD.items() if key != name}


def writes(columns=GOOD, meta=None, unit="Angstrom"):
    return lambda path: write(path, columns, meta, unit)


def units_differ(path):
    table = {key: units.Quantity(values) for key, values in GOOD.items()}
    write(path, table | {"flux": GOOD["flux"] * units.Jy, "sigma": GOOD["sigma"] * units.s})


def truncated(path):
    write(path, GOOD)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - (20 if path.suffix == ".gz" else len(whole) // 3)])


def two_lines(path):
    path.write_text("a\nb\n")


# what is written, the error, and the name of the quantity or column in its facts
BAD = [
    (lambda path: None, MissingFile, None),
    (lambda path: path.write_bytes(b""), UnreadableFile, None),
    (lambda path: path.write_bytes(b"\0\1\2" * 300), UnreadableFile, None),
    (two_lines, UnreadableFile, None),
    (writes(without("sigma")), UnreadableFile, "flux_error"),
    (writes(without("flux")), UnreadableFile, "flux"),
    (writes(without("wavelength"), unit=None), UnreadableFile, "wavelength"),
    (writes(GOOD | {"error": GOOD["sigma"]}), UnreadableFile, "flux_error"),
    (writes({name: [] for name in GOOD}), UnreadableFile, None),
    (writes(unit="km/s"), UnreadableFile, "unit of wavelength"),
    (writes(unit="smoots"), UnreadableFile, "unit of wavelength"),
    (units_differ, UnreadableFile, "column sigma"),
    (writes(GOOD | {"flux": ["a", "b", "c"]}), UnreadableFile, "column flux"),
    (writes(GOOD | {"flux": [True, False, True]}), UnreadableFile, "column flux"),
    (writes(GOOD | {"sigma": [True, False, True]}), UnreadableFile, "column sigma"),
    (writes(GOOD | {"flux": np.ones((3, 2))}), UnreadableFile, "flux"),
    (writes(GOOD | {"mask": [0.5, 4, 1]}), UnreadableFile, "column mask"),
    (writes(GOOD | {"mask": [2, 4, 1]}), UnreadableFile, "column mask"),  # flags, none of them good
    (writes(GOOD | {"order": [1.5, 1.0, 2.0]}), UnreadableFile, "column order"),
    (writes(GOOD | {"order": ["1", "blue", "2"]}), UnreadableFile, "column order"),
    (
        writes(GOOD | {"order": MaskedColumn([1, 1, 1], mask=[False, True, False])}),
        UnreadableFile,
        "column order",
    ),
    (
        writes(GOOD | {"wavelength": [5000.0, 5002.0, 5001.0], "order": [7, 7, 7]}),
        OrderError,
        "wavelength",
    ),
    (
        writes(GOOD | {"wavelength": MaskedColumn(GOOD["wavelength"], mask=[0, 1, 0])}),
        OrderError,
        "wavelength",
    ),
    (
        writes(GOOD | {"wavelength": [0.5, 0.6, 0.7]}, unit=None),
        UnreadableFile,
        "column wavelength",
    ),
    (
        writes(GOOD | {"wavelength": [500, 600, 700]}, unit=None),
        UnreadableFile,
        "column wavelength",
    ),
    (writes(meta={"medium": "water"}), UnreadableFile, "medium"),
    (writes(meta={"BCV": "fast"}), UnreadableFile, "BCV"),
    (
        writes(meta={"bcv": 1.0, "barycentric_velocity": 2.0}),
        UnreadableFile,
        "barycentric_velocity",
    ),
]


@pytest.mark.parametrize("ending", FILE_ENDINGS)
@pytest.mark.parametrize(("make", "error", "name"), BAD)
def test_invalid_input_is_refused_in_one_line_with_the_path(tmp_path, make, error, name, ending):
    path = tmp_path / f"bad{ending}"
    make(path)
    with pytest.raises(error) as caught:
        open_spectrum(path)
    assert name is None or str(caught.value.name).lower() in (name.lower(), "tunit1")
    assert isinstance(caught.value, MixjobsError)
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_a_file_in_both_air_and_vacuum_is_refused(tmp_path):
    path = write(tmp_path / "o.fits", GOOD, {"MEDIUM": "air"})
    fits.setval(path, "MEDIUM", value="vacuum", ext=0)
    with pytest.raises(UnreadableFile):
        open_spectrum(path)


@pytest.mark.parametrize("ending", FILE_ENDINGS[1:])
def test_a_truncated_fits_file_is_refused(tmp_path, ending):
    path = tmp_path / f"o{ending}"
    truncated(path)
    with pytest.raises(UnreadableFile):
        open_spectrum(path)


@pytest.mark.parametrize("ending", FILE_ENDINGS)
def test_damage_anywhere_raises_only_our_errors(tmp_path, ending):
    """Damage every part of the file in turn."""
    path = write(tmp_path / f"o{ending}", GOOD | {"order": [1, 1, 2]}, {"medium": "air"})
    whole, refused = path.read_bytes(), 0
    for start in range(0, len(whole), max(1, len(whole) // 60)):
        damaged = bytes(255 - byte for byte in whole[start : start + 4])
        path.write_bytes(whole[:start] + damaged + whole[start + 4 :])
        try:
            open_spectrum(path)
        except MixjobsError:
            refused += 1
    assert refused > 5


def test_astropy_is_not_imported_for_hdf5(tmp_path):
    import subprocess
    import sys

    path = write_starfish(
        tmp_path / "o.hdf5", [[5000.0, 5001.0]], *([[1.0, 1.0]] for _ in range(3))
    )
    code = (
        "import sys; from mixjobs.observed.opening import open_spectrum; "
        f"open_spectrum({str(path)!r}); print('astropy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
