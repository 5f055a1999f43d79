"""Declared quantities of a library: units, medium and parameter names.

Each function takes what the files declare and what the user states. It returns the quantity, and a
`Declaration` of how it is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import pi
from typing import Any

import numpy as np

from mixjobs.declarations import (
    Declaration,
    FluxUnit,
    attribute_text,
    parse_flux_unit,
    to_angstrom,
)
from mixjobs.errors import LibraryError
from mixjobs.library.options import LibraryOptions
from mixjobs.media import declared_medium
from mixjobs.parameter_names import parameter_name
from mixjobs.typing import Floats
from mixjobs.wavelengths import LibraryMedium

Unit = tuple[str, str]  # keyword and value

_COPIED = "bunit"
_UNIT_KEYWORDS = ("units", "unit", _COPIED)  # in any case
_FLUX_UNIT, _WAVELENGTH_UNIT = "--flux-unit", "--wavelength-unit"
_STANDARD_FLUX = "erg/s/cm2/AA"
_SHORTEST_UNDECLARED = 3000.0  # shorter wavelengths could be in nm or µm
_SHORTEST, _LONGEST = 900.0, 1e8  # Å: of stellar spectra
_ULTRAVIOLET = 3000.0  # Å
# Ranges of plausible values. The effective temperature must lie in its range: see `read_names`.
_RANGES = {"teff": (100.0, 1e6), "logg": (-3.0, 10.0), "feh": (-7.0, 2.0), "alpha": (-2.0, 2.0)}
_LOOKS_LIKE = {
    "teff": ((2.0, 5.7), "log10 of Teff, or Teff in kK"),
    "logg": ((10.0, 1e10), "the gravity in cm/s², not its logarithm"),
}
_MAX_MASS_FRACTION = 0.1


def is_unit_keyword(keyword: str) -> bool:
    """Whether an attribute of this name declares a unit."""
    return keyword.lower() in _UNIT_KEYWORDS


def find_unit(attributes: Mapping[str, Any], path: str, *, copied: bool = True) -> Unit | None:
    """Return the keyword and the value of a declared unit; None if there is none.

    Parameters
    ----------
    attributes : mapping
    path : str
        The library, for the error.
    copied : bool
        Whether BUNIT counts, a card that is copied from the file that a spectrum was made from.

    Raises
    ------
    LibraryError
        Two keywords declare different units.
    """
    units = {
        str(key): attribute_text(attributes[key]).strip()
        for key in attributes
        if is_unit_keyword(key)
    }
    units = {key: text for key, text in units.items() if text}
    own = [unit for unit in units.items() if unit[0].lower() != _COPIED]
    if len({text for _, text in own}) > 1:
        (first, one), (second, other) = own[:2]
        raise LibraryError(
            f"{path}: declares two units, {first} = {one!r} and {second} = {other!r}; expected "
            "one: correct the file",
            path=path, name=second, value=other,
        )  # fmt: skip
    if own or not copied:
        return own[0] if own else None
    return next(iter(units.items()), None)


def read_wavelength(
    values: Floats, declared: Unit | None, options: LibraryOptions, path: str
) -> tuple[Floats, bool, Declaration]:
    """Convert wavelengths to Å, ascending.

    Parameters
    ----------
    values : (n_pixels,) array
        As in the file.
    declared : (str, str) or None
        Keyword and unit that the file declares.
    options : LibraryOptions
    path : str
        The library, for errors.

    Returns
    -------
    wavelength : (n_pixels,) array
        Å.
    is_reversed : bool
        Whether the file's sequence was reversed.
    declaration : Declaration

    Raises
    ------
    UnreadableFile
        The unit is not known.
    LibraryError
        No unit is given, and the numbers could be in several; or they are impossible in the unit.
    """
    unit, source = _chosen(options.wavelength_unit, "wavelength_unit", declared)
    low, high = _extent(values)
    if unit is None and low < _SHORTEST_UNDECLARED:
        raise LibraryError(
            f"{path}: the wavelengths are {low:.6g} to {high:.6g} without a unit, so they could be "
            f"Å, nm or µm; give {_WAVELENGTH_UNIT}, such as AA, nm or um",
            path=path, name="wavelength_unit", value=low,
        )  # fmt: skip
    wavelength = to_angstrom(
        values, unit or "AA", path=path, name=_keyword(source), option=_WAVELENGTH_UNIT
    )
    first, last = _extent(wavelength)
    if last < _SHORTEST or first > _LONGEST:
        raise LibraryError(
            f"{path}: the wavelengths are {low:.6g} to {high:.6g}, which is {first:.6g} to "
            f"{last:.6g} Å in the unit {unit!r} ({source or 'assumed'}): no library of stellar "
            f"spectra lies there; give the true unit with {_WAVELENGTH_UNIT}",
            path=path, name="wavelength_unit", value=unit,
        )  # fmt: skip
    is_reversed = len(wavelength) > 1 and bool(np.all(np.diff(wavelength) < 0))
    understood = "Å" if wavelength is values else f"{unit}, converted to Å"
    understood += "; in descending sequence, reversed" if is_reversed else ""
    numbers = f"{first:.6g} to {last:.6g} Å"
    if last < _ULTRAVIOLET and options.wavelength_unit is None:
        numbers += f", in the ultraviolet; if that is wrong, give {_WAVELENGTH_UNIT}"
    declaration = Declaration(
        "wavelength unit", source, understood, numbers, converted=wavelength is not values
    )
    return wavelength[::-1] if is_reversed else wavelength, is_reversed, declaration


def _extent(values: Floats) -> tuple[float, float]:
    """Return the smallest and the largest of the values that can be wavelengths."""
    valid = values[np.isfinite(values) & (values > 0)]
    return (float(valid.min()), float(valid.max())) if valid.size else (np.inf, -np.inf)


def _keyword(source: str) -> str:
    return source.split(" = ")[0] or "the default"


def _chosen(option: str | None, name: str, declared: Unit | None) -> tuple[str | None, str]:
    """Return the unit that applies, and its source: an option, or a keyword of the file."""
    in_file = f"{declared[0]} = {declared[1]!r}" if declared else ""
    if option is None:
        return (declared[1], in_file) if declared else (None, "")
    instead = f", instead of {in_file} in the file" if declared and declared[1] != option else ""
    return option, f"{name} = {option!r}{instead}"


def read_flux_unit(
    declared: Unit | None, options: LibraryOptions, path: str
) -> tuple[FluxUnit, Declaration]:
    """Return the flux unit of a library, and the factor that converts it to erg/s/cm²/Å.

    The flux of an isotropic intensity is pi times that, which the factor includes.

    Parameters
    ----------
    declared : (str, str) or None
        Keyword and unit that the file declares.
    options : LibraryOptions
    path : str
        The library, for errors.

    Raises
    ------
    UnreadableFile
        The unit is not known.
    LibraryError
        It is one of flux per frequency.
    """
    text, source = _chosen(options.flux_unit, "flux_unit", declared)
    if text is None:
        unit = FluxUnit("", 1.0, "wavelength")
        return unit, Declaration("flux unit", "", _STANDARD_FLUX)
    unit = parse_flux_unit(text, path=path, name=_keyword(source), option=_FLUX_UNIT)
    if unit.kind == "frequency":
        raise LibraryError(
            f"{path}: the flux unit {text!r} ({_keyword(source)}) is per frequency; expected flux "
            f"per wavelength, such as {_STANDARD_FLUX}: convert the spectra, or give {_FLUX_UNIT} "
            "if the declaration is wrong",
            path=path, name="flux_unit", value=text,
        )  # fmt: skip
    is_converted = unit.kind == "wavelength" and flux_factor(unit) != 1
    return unit, Declaration("flux unit", source, _understood(unit), converted=is_converted)


def flux_factor(unit: FluxUnit) -> float:
    """erg/s/cm²/Å in one unit; that of an isotropic intensity includes the factor pi."""
    return unit.factor * pi if unit.per_steradian else unit.factor


def _understood(unit: FluxUnit) -> str:
    if unit.kind == "relative":
        return f"{unit.text}, which is not a unit of flux"
    if unit.per_steradian:
        factor = "" if unit.factor == 1 else f" and {unit.factor:g}"
        return f"intensity, multiplied by pi{factor} to give flux in {_STANDARD_FLUX}"
    converted = "" if unit.factor == 1 else f"{unit.text}, multiplied by {unit.factor:g} to give "
    return f"{converted}{_STANDARD_FLUX}"


def read_medium(
    declarations: Iterable[tuple[str, Any]], options: LibraryOptions, path: str
) -> tuple[LibraryMedium, Declaration]:
    """Return the medium of a library's wavelengths.

    Parameters
    ----------
    declarations : pairs of (keyword, value)
        Attributes or cards of the file: see `mixjobs.media.declared_medium`.
    options : LibraryOptions
    path : str
        The library, for errors.

    Raises
    ------
    UnreadableFile
        A declaration is neither air nor vacuum, or two contradict each other.
    """
    pairs = list(declarations)
    if options.medium is not None:
        return options.medium, Declaration("medium", "medium, as requested", options.medium)
    medium = declared_medium(pairs, path)
    if medium is None:
        understood = "that of the data, so nothing is converted; give --medium if you know it"
        return "unknown", Declaration("medium", "", understood)
    keywords = [
        f"{key} = {attribute_text(value)}"
        for key, value in pairs
        if declared_medium([(key, value)], path)
    ]
    return medium, Declaration("medium", keywords[0], medium)


def read_names(
    original: Sequence[str], points: Floats, options: LibraryOptions, path: str
) -> tuple[tuple[str, ...], Declaration]:
    """Return the names of a library's parameters: teff, logg, feh and alpha in any spelling.

    Parameters
    ----------
    original : sequence of D str
        As in the file.
    points : (N, D) array
    options : LibraryOptions
    path : str
        The library, for errors.

    Returns
    -------
    names : tuple of D str
        A name that is not recognised is kept.
    declaration : Declaration

    Raises
    ------
    LibraryError
        Two parameters have the same meaning, the option names a parameter that the library does
        not have, or the numbers are not effective temperatures.
    """
    given = {key: parameter_name(value) or value for key, value in options.names.items()}
    for name in given:
        if name not in original:
            raise LibraryError(
                f"{path}: --names gives {name!r}, but the parameters of the library are "
                f"{', '.join(original)}; choose from them",
                path=path, name="names", value=name,
            )  # fmt: skip
    names = tuple(given.get(name) or parameter_name(name) or name for name in original)
    if len(set(names)) < len(names):
        raise LibraryError(
            f"{path}: two of the parameters {', '.join(original)} have the same meaning, "
            f"{_repeated(names)}; tell them apart with --names, such as '{original[-1]}=NAME'",
            path=path, name="names", value=tuple(original),
        )  # fmt: skip
    unknown = [name for name in original if name not in given and parameter_name(name) is None]
    understood = ", ".join(
        name if name == own else f"{own} as {name}"
        for own, name in zip(original, names, strict=True)
    )
    if unknown:
        understood += f"; not recognised: {', '.join(unknown)} (say what it is with --names)"
    faults = [
        _implausible(name, own, points[:, d], path)
        for d, (own, name) in enumerate(zip(original, names, strict=True))
    ]
    numbers = "; ".join(filter(None, faults))
    return names, Declaration(
        "parameters", ", ".join(original), understood, numbers,
        contradicted=bool(numbers or unknown),
    )  # fmt: skip


def _repeated(names: Sequence[str]) -> str:
    return next(name for name in names if list(names).count(name) > 1)


def _implausible(name: str, own: str, values: Floats, path: str) -> str:
    """Return what contradicts the name of a parameter in its values, or an empty string."""
    low, high = _RANGES.get(name, (-np.inf, np.inf))
    first, last = float(values.min()), float(values.max())
    if low <= first and last <= high:
        if name == "feh" and first > 0 and last < _MAX_MASS_FRACTION and len(np.unique(values)) > 1:
            return f"{own} is {first:g} to {last:g}: a mass fraction, not a logarithm?"
        return ""
    likely = _LOOKS_LIKE.get(name, ((np.inf, np.inf), ""))
    hint = f" ({likely[1]}?)" if likely[0][0] <= first and last <= likely[0][1] else ""
    fault = f"{own} is {first:g} to {last:g}, which is not {name}{hint}"
    if name == "teff":  # the flux level and blackbodies need it
        raise LibraryError(
            f"{path}: {fault}; expected K: convert it, or give another name with --names "
            f"'{own}=NAME'",
            path=path, name="names", value=first,
        )  # fmt: skip
    return fault
