"""Declarations of files: units, media and names in the spellings of the field."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.declarations import parse_flux_unit, to_angstrom
from mixjobs.errors import UnreadableFile
from mixjobs.media import declared_medium
from mixjobs.parameter_names import parameter_name

PLACE = {"path": "a.fits", "name": "TUNIT1"}
WAVE = np.array([0.5, 0.7, 2.2])

LENGTHS = {
    1.0: "AA A a Å Angstrom Angstroms ANGSTROM angstroms Ang 'Angstrom' [Angstrom] 0.1nm",
    10.0: "nm NM nanometers Nanometer nanometres",
    1e4: "um µm μm micron microns MICRON MICRONS micrometer micrometers",
    1e7: "mm", 1e8: "cm CM", 1e10: "m meter",
}  # fmt: skip


@pytest.mark.parametrize(
    ("factor", "unit"), [(f, u) for f, t in LENGTHS.items() for u in t.split()]
)
def test_wavelength_units(factor, unit):
    assert to_angstrom(WAVE, unit, **PLACE).tolist() == pytest.approx(WAVE * factor, rel=1e-14)


def test_other_spectral_quantities():
    assert to_angstrom(np.array([20000.0]), "cm-1", **PLACE) == pytest.approx([5000.0])
    assert to_angstrom(np.array([2.99792458e18 / 5000]), "Hz", **PLACE) == pytest.approx([5000.0])
    for unit in ("log10(Angstrom)", "log(Angstroms)", "LOG10 Angstrom"):
        assert to_angstrom(np.log10([5000.0]), unit, **PLACE) == pytest.approx([5000.0])
    assert to_angstrom(np.log([500.0]), "ln(nm)", **PLACE) == pytest.approx([5000.0])


FLUXES = {
    1.0: ["erg/s/cm2/AA", "erg/s/cm^2/A", "erg/cm**2/s/Angstrom", "ERG/CM2/S/A", "ergs/cm^2/s/A",
          "erg s-1 cm-2 Angstrom-1", "erg.s-1.cm-2.angstrom-1", "erg / (Angstrom s cm2)",
          "erg per sec per cm2 per angstrom", "erg/(s cm^2 AA)", "erg cm^-2 s^-1 Å^-1"],
    1e-8: ["erg/s/cm^2/cm", "erg s^-1 cm^-3"],
    0.1: ["W/m2/um", "W m-2 micron-1", "erg/s/cm2/nm", "W/m^2/µm", "Watt/m2/micron"],
    100.0: ["W/m2/nm"],
    1000.0: ["W/m2/AA"],
    1e-17: ["1E-17 erg/cm^2/s/Ang", "10^-17 erg/s/cm2/A", "1e-17 erg/s/cm2/AA",
            "10**(-17)erg.cm**(-2).s**(-1).angstrom**(-1)"],
}  # fmt: skip


@pytest.mark.parametrize(("factor", "unit"), [(f, u) for f, units in FLUXES.items() for u in units])
@pytest.mark.parametrize("per_steradian", [False, True])
def test_flux_units(factor, unit, per_steradian):
    parsed = parse_flux_unit(unit + (" / sr" if per_steradian else ""), **PLACE)
    assert parsed.factor == pytest.approx(factor, rel=1e-12)
    assert (parsed.kind, parsed.per_steradian) == ("wavelength", per_steradian)


def test_flux_units_of_other_kinds():
    assert parse_flux_unit("Jy", **PLACE).factor == pytest.approx(1e-23)
    assert parse_flux_unit("MJy/sr", **PLACE).per_steradian
    for unit in ("erg/s/cm2/Hz", "mJy", "W/m2/Hz"):
        assert parse_flux_unit(unit, **PLACE).kind == "frequency"
    for unit in ("", "ADU", "counts", "electron/s", "normalized", "photon/s", "adu", "ct / s"):
        assert parse_flux_unit(unit, **PLACE).kind == "relative"


@pytest.mark.parametrize("parse", [parse_flux_unit, lambda u, **p: to_angstrom(WAVE, u, **p)])
@pytest.mark.parametrize(
    "unit", ["furlongs", "K", "kg", "10^9999 nm", "km/s", "erg/s/cm2/AA/AA/AA", "???", "//"]
)
def test_an_unknown_unit_is_refused(parse, unit):
    with pytest.raises(UnreadableFile) as error:
        parse(unit, **PLACE)
    assert (error.value.path, error.value.name, error.value.value) == ("a.fits", "TUNIT1", unit)


@given(st.text(max_size=12))
def test_any_text_is_a_unit_or_refused(text):
    for parse in (parse_flux_unit, lambda unit, **place: to_angstrom(WAVE, unit, **place)):
        with contextlib.suppress(UnreadableFile):
            parse(text, **PLACE)


NAMES = {
    "teff": ["T", "T_eff", "Teff (K)", "Temperature", "temp", "Teff", "T-eff", "PHXTEFF"],
    "logg": ["logg", "log_g", "log g", "log(g)", "Gravity", "LOGG", "log g (cgs)", "log_{g}"],
    "feh": ["Z", "[Fe/H]", "feh", "meta", "[M/H]", "M_H", "metallicity", "logZ", "met"],
    "alpha": ["alpha", "[alpha/Fe]", "a/Fe", "alpha_fe", "[a/M]"],
    None: ["mass_loss", "C/O", "", "vmic"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "original"), [(n, o) for n, known in NAMES.items() for o in known]
)
def test_parameter_names(name, original):
    assert parameter_name(original) == name


@pytest.mark.parametrize(
    ("declarations", "medium"),
    [
        ([], None),
        ([("AIRMASS", 1.2), ("OBJECT", "air")], None),
        ([("air", True)], "air"),
        ([("air", np.int8(0))], "vacuum"),
        ([("air", b"False"), ("MEDIUM", " Vacuum ")], "vacuum"),
        ([("AIRORVAC", "air")], "air"),
        ([("AIRORVAC", "vac")], "vacuum"),
        ([("VACUUM", False)], "air"),
        ([("VACUUM", 1)], "vacuum"),
        ([("CTYPE1", "AWAV-LOG"), ("VACUUM", "F")], "air"),
        ([("TCTYP1", "WAVE")], "vacuum"),
        ([("TUCD1", "em.wl;obs.atmos"), ("TUCD2", "phot.flux")], "air"),
        ([("CTYPE1", "LINEAR"), ("TUCD1", "em.wl")], None),
    ],
)
def test_medium(declarations, medium):
    assert declared_medium(declarations, "a.fits") == medium


@pytest.mark.parametrize(
    ("declarations", "name"),
    [
        ([("air", "perhaps")], "air"),
        ([("Medium", "water")], "Medium"),
        ([("air", [True, False])], "air"),
        ([("air", True), ("MEDIUM", "vacuum")], "MEDIUM"),
    ],
)
def test_an_invalid_or_contradictory_medium_is_refused(declarations, name):
    with pytest.raises(UnreadableFile) as error:
        declared_medium(declarations, "a.fits")
    assert (error.value.path, error.value.name) == ("a.fits", name)
