"""What headers declare about velocities and media, in files as pipelines write them."""

import numpy as np
import pytest
from astropy.io import fits

from mixjobs.errors import UnreadableFile
from mixjobs.observed.opening import open_spectrum

WAVE = np.linspace(5000.0, 5030.0, 60)


def table(name="SPEC", n=60):
    columns = [
        fits.Column("WAVE", "D", unit="Angstrom", array=WAVE[:n]),
        fits.Column("FLUX", "D", array=np.ones(n)),
        fits.Column("ERR", "D", array=np.full(n, 0.01)),
    ]
    return fits.BinTableHDU.from_columns(columns, name=name)


@pytest.fixture
def write(tmp_path):
    """Write a spectrum with cards (keyword, value, comment), and tables before it."""

    def written(*cards, tables=()):
        primary = fits.PrimaryHDU()
        for card in cards:
            primary.header[card[0]] = card[1:]
        path = tmp_path / "o.fits"
        fits.HDUList([primary, *tables, table()]).writeto(path)
        return path

    return written


@pytest.mark.parametrize(
    ("value", "comment"), [(-12.3, "[km/s] velocity"), (-12300.0, "[m/s] velocity"), (-12.3, "")]
)
def test_a_velocity_has_the_unit_of_its_comment(write, value, comment):
    observed = open_spectrum(write(("BCV", value, comment)))
    assert observed.barycentric_velocity == pytest.approx(-12.3)


@pytest.mark.parametrize(
    ("value", "comment"), [(-12300.0, ""), (300.0, "[km/s]"), (5.0, "[kg]"), (5.0, "[furlong]")]
)
def test_a_velocity_that_the_earth_cannot_have_is_refused(write, value, comment):
    with pytest.raises(UnreadableFile) as error:
        open_spectrum(write(("BCV", value, comment)))
    assert error.value.name == "BCV"


@pytest.mark.parametrize(
    "key", ["BERV", "HIERARCH ESO QC BERV", "BARYCORR", "HELCOR", "HELIOVEL", "VHELIO"]
)
def test_corrections_that_are_not_used_are_named(write, key):
    observed = open_spectrum(write((key, 5.1, "")))
    assert observed.barycentric_velocity is None
    (note,) = [note for note in observed.notes if "5.1" in note]
    assert note.startswith(key.removeprefix("HIERARCH "))


def test_other_keywords_are_no_corrections(write):
    observed = open_spectrum(write(("BERVMX", 30.0, ""), ("BARYTIME", 2450000.5, "")))
    assert not any("not used" in note for note in observed.notes)


@pytest.mark.parametrize(
    "card",
    [("AIR_VAC", "AIR"), ("INAIR", True), ("VACWAVE", "F"), ("VACWAVE", False), ("LAMFRAME", "air"),
     ("AIRWAVE", True), ("WAVE_MED", "Air"), ("ISVAC", 0)],
)  # fmt: skip
def test_air_in_the_words_of_pipelines(write, card):
    assert open_spectrum(write((*card, ""))).medium == "air"


@pytest.mark.parametrize("card", [("AIR_VAC", "WATER"), ("INAIR", "perhaps"), ("VACWAVE", 7)])
def test_a_medium_that_is_not_understood_is_refused(write, card):
    with pytest.raises(UnreadableFile) as error:
        open_spectrum(write((*card, "")))
    assert error.value.name == card[0]


def test_a_frame_of_velocities_is_no_medium(write):
    assert open_spectrum(write(("LAMFRAME", "BARY", ""))).medium is None


def test_empty_tables_are_not_read(write):
    observed = open_spectrum(write(tables=[table("NONE", 0)]))
    np.testing.assert_allclose(observed.wavelength[0], WAVE)
    assert any("NONE" in note for note in observed.notes)
    assert len(observed.orders) == 1
