"""What files declare, and their units of wavelength and flux; `mixjobs.media` has the medium.

A declaration is used, or it is an error; an assumption is reported; and so is a number that
contradicts a declaration.
"""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mixjobs.errors import UnreadableFile
from mixjobs.typing import Floats
from mixjobs.units import rounded

if TYPE_CHECKING:
    from astropy.units import UnitBase

_FLAGS = {"true": True, "t": True, "1": True, "1.0": True, "yes": True} | {
    "false": False, "f": False, "0": False, "0.0": False, "no": False,
}  # fmt: skip
# Words that astropy lacks or reads otherwise: its "A" is the ampere and its "a" the year.
_WORDS = {
    "a": "AA", "ang": "AA", "angs": "AA", "angstr": "AA", "å": "AA", "angstrom": "AA",
    "angstroms": "AA", "ångström": "AA", "ångstrom": "AA", "aa": "AA",
    "µ": "um", "μ": "um",
    "micron": "um", "microns": "um", "mic": "um", "mum": "um", "µm": "um", "μm": "um", "um": "um",
    "micrometer": "um", "micrometers": "um", "micrometre": "um", "micrometres": "um",
    "nm": "nm", "nanometer": "nm", "nanometers": "nm", "nanometre": "nm", "nanometres": "nm",
    "cm": "cm", "centimeter": "cm", "centimeters": "cm", "centimetre": "cm", "m": "m",
    "meter": "m", "meters": "m", "metre": "m", "metres": "m", "mm": "mm",
    "erg": "erg", "ergs": "erg", "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "sr": "sr", "ster": "sr", "str": "sr", "steradian": "sr", "steradians": "sr",
    "w": "W", "watt": "W", "watts": "W", "j": "J", "joule": "J", "joules": "J", "jy": "Jy",
    "mjy": "mJy", "jansky": "Jy", "hz": "Hz", "hertz": "Hz",
    "ph": "photon", "phot": "photon", "photons": "photon", "photon": "photon",
}  # fmt: skip
_SEPARATE_CASE = {"MJy": "MJy", "Mm": "Mm"}  # where the case of a letter changes the unit
_TOKEN = re.compile(r"[A-Za-zÅåµμöÖ]+")
# 10^-17, 10**(-16), 1.0E-13, 1e-17 and 1.e+8 in front of a unit
_POWER = re.compile(
    r"^(?:(?P<mantissa>[\d.]+)\s*[x*×]\s*)?10\s*(?:\*\*|\^)\s*\(?\s*(?P<power>[+-]?\d+)\s*\)?[\s.*]*"
)
_FACTOR = re.compile(r"^(?P<factor>\d+\.?\d*(?:[eE][+-]?\d+)?)[\s.*]*(?=[^\d\s.])")
_LOGARITHM = re.compile(r"^(log10|log|ln|dex)\s*[(\[ ]\s*(.*?)[)\]]?$", re.IGNORECASE)
_FLUX_NAMES = {  # of synphot, and of early versions of Starfish
    **dict.fromkeys(("flam", "f_lam", "flambda", "f_lambda"), "erg/s/cm2/AA"),
    **dict.fromkeys(("fnu", "f_nu"), "erg/s/cm2/Hz"),
}
# The usual units, without blanks and signs of powers: astropy takes half a second to import.
_USUAL_FLUXES = {
    f"{energy}/{length}": factor
    for energy in ("erg/s/cm2", "erg/cm2/s")
    for length, factor in (("aa", 1.0), ("a", 1.0), ("angstrom", 1.0), ("cm", 1e-8))
}
_LENGTHS = "Angstrom, nm, um, mm, cm or m"
_FLUXES = "erg/s/cm2/AA, erg/s/cm2/cm, erg/s/cm2/nm, W/m2/um, or one of these per sr"
_RELATIVE = {
    "", "1", "none", "unknown", "dimensionless", "normalized", "normalised", "relative",
    "arbitrary", "adu", "dn", "count", "counts", "ct", "cts", "electron", "electrons", "e-",
    "counts/s", "adu/s", "electron/s", "ct/s", "continuum", "normalized flux", "relative flux",
    "arbitrary units", "arb. units", "unitless", "normalised flux",
}  # fmt: skip


@dataclass(frozen=True)
class Declaration:
    """A quantity that a file declares, or that had to be assumed.

    Parameters
    ----------
    quantity : str
        Such as ``"wavelength unit"``, ``"flux unit"``, ``"medium"`` or ``"flux scale"``.
    declared : str
        Keyword and value as in the file, or the option that gives it; empty if nothing declares it.
    understood : str
        What it is taken as.
    numbers : str
        What the values say about it; empty if they were not asked, or cannot tell.
    converted, contradicted : bool
        Whether values were converted, and whether the values contradict the declaration.

    Examples
    --------
    >>> print(Declaration("wavelength unit", "TUNIT1 = 'nm'", "nm, converted to Å"))
    wavelength unit: nm, converted to Å (declared: TUNIT1 = 'nm')
    >>> print(Declaration("medium", "", "vacuum", "rv agrees"))
    medium: vacuum (assumed: the file does not declare it; the values: rv agrees)
    """

    quantity: str
    declared: str
    understood: str
    numbers: str = ""
    converted: bool = False
    contradicted: bool = False

    @property
    def notable(self) -> bool:
        """Whether a user should see it unasked: it is more than a declaration taken as it is."""
        return self.assumed or self.converted or self.contradicted

    @property
    def assumed(self) -> bool:
        """Whether nothing declares the quantity."""
        return not self.declared

    def __str__(self) -> str:
        how = "assumed: the file does not declare it" if self.assumed else ""
        how = how or f"declared: {self.declared}"
        how += f"; the values: {self.numbers}" if self.numbers else ""
        return f"{self.quantity}: {self.understood} ({how})"


@dataclass(frozen=True)
class FluxUnit:
    """A flux unit that was understood.

    Parameters
    ----------
    text : str
        As declared.
    factor : float
        erg/s/cm²/Å in one unit. For a unit per frequency, erg/s/cm²/Hz in one unit. 1 for a
        relative unit.
    kind : {"wavelength", "frequency", "relative"}
        "relative": counts, normalised flux and the like, which no library may have.
    per_steradian : bool
        Whether it is an intensity; the flux of an isotropic intensity is π times that.
    """

    text: str
    factor: float
    kind: str
    per_steradian: bool = False


def attribute_text(value: Any) -> str:
    """Return an attribute as text; h5py reads strings of fixed length as bytes."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def read_flag(value: Any) -> bool | None:
    """Read a flag stored as a bool, a number or a string; None if it is not a flag.

    Examples
    --------
    >>> read_flag(np.True_), read_flag("False"), read_flag(b"true"), read_flag([0]), read_flag("?")
    (True, False, True, False, None)
    """
    values = np.atleast_1d(value)
    return _FLAGS.get(attribute_text(values[0]).strip().lower()) if values.size == 1 else None


def _parse(text: str) -> UnitBase:
    """Parse a unit in any of the field's spellings; raises ValueError."""
    from astropy import units

    plain = text.strip().strip("'\"").strip()
    if plain.startswith(("[", "(")) and plain.endswith(("]", ")")):
        plain = plain[1:-1].strip()
    factor = 1.0
    power, number = _POWER.match(plain), _FACTOR.match(plain)
    if power:
        factor = float(power["mantissa"] or 1) * 10.0 ** int(power["power"])
        plain = plain[power.end() :]
    elif number:
        factor, plain = float(number["factor"]), plain[number.end() :]
    plain = plain.replace("²", "2").replace("⁻¹", "-1").replace("·", " ")
    plain = re.sub(r"\bper\b", "/", plain, flags=re.IGNORECASE)
    plain = re.sub(r"(?<=[\w)])\.(?=[A-Za-z(])", " ", plain)  # erg.cm-2.s-1
    words = _TOKEN.sub(lambda match: _word(match[0]), plain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about deprecated spellings and several slashes
        return units.Unit(factor * units.Unit(words, format="generic"))


def _word(word: str) -> str:
    return _SEPARATE_CASE.get(word) or _WORDS.get(word.lower(), word)


def to_angstrom(
    values: Floats, unit: str, *, path: str | os.PathLike[str], name: str, option: str = ""
) -> Floats:
    """Convert wavelengths, frequencies, wavenumbers or energies in a declared unit to Å.

    Logarithms of wavelengths, such as ``log10(Angstrom)``, are accepted as well.

    Parameters
    ----------
    values : (...) array
    unit : str
        As declared.
    path : str or path
        The file, for the error.
    name : str
        Keyword or column that declares the unit, for the error.
    option : str
        Option or key that gives the unit instead, for the error.

    Returns
    -------
    (...) array
        Å, to 15 significant digits. Units that decrease with wavelength reverse the sequence.

    Raises
    ------
    UnreadableFile
        The unit is not known, or not one of wavelength.

    Examples
    --------
    >>> to_angstrom(np.array([0.5, 2.2]), "MICRONS", path="star.fits", name="TUNIT1").tolist()
    [5000.0, 22000.0]
    """
    if _WORDS.get(unit.strip().lower()) == "AA":
        return values
    from astropy import units

    logarithm = _LOGARITHM.match(unit.strip())
    if logarithm:
        base = np.e if logarithm[1].lower() == "ln" else 10.0
        values, unit = base**values, logarithm[2] or "Angstrom"
    try:
        parsed = _parse(unit)
        if parsed.is_equivalent(units.AA):
            factor = float(parsed.to(units.AA))
            converted = values if factor == 1 else values * float(f"{factor:.15g}")
        else:
            converted = units.Quantity(values, parsed).to_value(units.AA, units.spectral())
    except (ValueError, TypeError, ArithmeticError, units.UnitsError):
        remedy = f", or give {option}" if option else ""
        raise UnreadableFile(
            f"{os.fspath(path)}: the wavelength unit {unit!r} ({name}) is not known; use a unit of "
            f"wavelength that astropy.units understands, such as {_LENGTHS}{remedy}",
            path=path, name=name, value=unit,
        ) from None  # fmt: skip
    angstrom: Floats = np.asarray(converted, dtype=np.float64)
    return angstrom if angstrom is values else np.asarray(rounded(angstrom))


def parse_flux_unit(
    unit: str, *, path: str | os.PathLike[str], name: str, option: str = ""
) -> FluxUnit:
    """Parse a declared flux unit.

    Parameters
    ----------
    unit : str
        As declared.
    path, name, option
        As in `to_angstrom`.

    Raises
    ------
    UnreadableFile
        The unit is not known, or not one of flux.

    Examples
    --------
    >>> parse_flux_unit("W/m2/um", path="grid.hdf5", name="units").factor
    0.1
    >>> parse_flux_unit("erg/s/cm^2/A/sr", path="grid.hdf5", name="units").per_steradian
    True
    """
    if unit.strip().strip("'\"").lower() in _RELATIVE:
        return FluxUnit(unit, 1.0, "relative")
    usual = _USUAL_FLUXES.get(re.sub(r"[\s^*]", "", unit).lower())
    if usual is not None:
        return FluxUnit(unit, usual, "wavelength")
    from astropy import units

    try:
        parsed = _parse(_FLUX_NAMES.get(unit.strip().lower(), unit))
    except (ValueError, TypeError, ArithmeticError):
        parsed = None
    per_length, per_hertz = units.Unit("erg/(s cm2 AA)"), units.Unit("erg/(s cm2 Hz)")
    for kind, expected in (("wavelength", per_length), ("frequency", per_hertz)):
        for per_steradian in (False, True):
            target = expected / units.sr if per_steradian else expected
            if parsed is not None and parsed.is_equivalent(target):
                factor = float(f"{parsed.to(target):.15g}")
                return FluxUnit(unit, factor, kind, per_steradian)
    counts = [units.photon, units.ct, units.adu, units.electron, units.dimensionless_unscaled]
    if parsed is not None and any(
        parsed.is_equivalent(count * rate) for count in counts for rate in (1, units.s**-1)
    ):
        return FluxUnit(unit, 1.0, "relative")
    remedy = f", or give {option}" if option else ""
    raise UnreadableFile(
        f"{os.fspath(path)}: the flux unit {unit!r} ({name}) is not known; use one that "
        f"astropy.units understands, such as {_FLUXES}{remedy}",
        path=path, name=name, value=unit,
    )  # fmt: skip


def per_wavelength(flux: Floats, wavelength: Floats) -> Floats:
    """Convert flux per frequency to flux per wavelength: ``f_lambda = f_nu c / lambda²``.

    Parameters
    ----------
    flux : (..., n_pixels) array
        erg/s/cm²/Hz.
    wavelength : (n_pixels,) array
        Å.

    Returns
    -------
    (..., n_pixels) array
        erg/s/cm²/Å.
    """
    return flux * (2.99792458e18 / wavelength**2)


def check_angstrom(
    values: Floats, *, path: str | os.PathLike[str], name: str, option: str = "wavelength_unit"
) -> None:
    """Check that wavelengths without a unit can only be in Å.

    Below 900 Å interstellar hydrogen absorbs, and from 3000 Å optical spectra begin. Between these
    limits the numbers could also be nm, and below 100 they are probably µm.

    Parameters
    ----------
    values : (n,) array
        Finite and positive.
    path : str or path
        The file, for the error.
    name : str
        The column or dataset, for the error.
    option : str
        Option or key that gives the unit.

    Raises
    ------
    UnreadableFile
        The numbers could be in another unit.

    Examples
    --------
    >>> check_angstrom(np.array([1.45, 2.45]), path="star.txt", name="column 1")
    Traceback (most recent call last):
    mixjobs.errors.UnreadableFile: star.txt: the wavelengths (column 1), 1.45 to 2.45, have no ...
    """
    low, high = (float(values.min()), float(values.max())) if values.size else (np.nan, np.nan)
    if not (low < 900 or high < 3000 or high > 1e7):
        return
    likely = "um" if high < 100 else "nm" if high < 3000 else "another unit"
    raise UnreadableFile(
        f"{os.fspath(path)}: the wavelengths ({name}), {low:.6g} to {high:.6g}, have no unit, and "
        f"could be in {likely}; declare the unit in the file, or give {option}, such as "
        f'{option} = "{likely if high < 3000 else "Angstrom"}"',
        path=path, name=name, value=(low, high),
    )  # fmt: skip


def is_unit(text: str) -> bool:
    """Whether astropy.units understands a unit, of whatever quantity.

    Examples
    --------
    >>> is_unit("km/s"), is_unit("data values")
    (True, False)
    """
    try:
        _parse(text)
    except (ValueError, TypeError, ArithmeticError):
        return False
    return True


def error_factor(error_unit: str, flux_unit: str, power: int = 1) -> float | None:
    """Return the factor that converts a flux error to the unit of the flux; None if there is none.

    Parameters
    ----------
    error_unit, flux_unit : str
        As declared.
    power : {1, 2, -2}
        Of the flux unit: 2 for a variance, -2 for an inverse variance.

    Examples
    --------
    >>> error_factor("mW", "W"), error_factor("W2", "mW", 2), error_factor("s", "W") is None
    (0.001, 1000000.0, True)
    """
    from astropy import units

    if power == 1 and error_unit.strip().lower() == flux_unit.strip().lower():
        return 1.0
    try:
        factor = (_parse(error_unit) / _parse(flux_unit) ** power).to(units.dimensionless_unscaled)
    except (ValueError, TypeError, ArithmeticError, units.UnitsError):
        return None
    return float(f"{factor:.15g}")
