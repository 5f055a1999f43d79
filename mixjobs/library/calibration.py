"""Flux calibration of a library: what it declares, what its numbers say, and which one applies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import log, pi
from typing import Literal

import numpy as np

from mixjobs.declarations import Declaration, FluxUnit
from mixjobs.errors import InvalidInput, MixjobsError
from mixjobs.library.base import FluxCalibration, Library, Status
from mixjobs.library.declared import flux_factor
from mixjobs.library.flux_scale import (
    PER_CM,
    FluxSample,
    ScaleTest,
    compare_scales,
    lines_along,
)
from mixjobs.library.options import FluxScale, LibraryOptions
from mixjobs.typing import Floats, Ints

_MAX_LINES, _MAX_PER_LINE = 3, 8  # of the sample: spectra that differ only in Teff
_N_BANDS = 8
_STANDARD = "erg/s/cm2/AA"
# Levels relative to typical stars between which a declared or an assumed unit is credible.
_MAX_FACTOR, _MAX_FACTOR_ASSUMED = 3.0, 30.0
_INTENSITY = (0.2, 0.55)  # level of an isotropic intensity relative to blackbodies
# Units that are confused with each other: erg/s/cm²/Å in one of them.
_UNITS = {
    "erg/s/cm2/AA": 1.0, "erg/s/cm2/AA/sr": pi, "erg/s/cm2/nm or W/m2/um": 0.1,
    "erg/s/cm2/um": 1e-4, "erg/s/cm2/cm": 1e-8, "W/m2/nm": 100.0, "W/m2/AA": 1e3, "W/m3": 1e-7,
    "the Eddington flux, 1/(4 pi) of the flux": 4 * pi,
}  # fmt: skip
_MAX_MISMATCH = 0.4  # in ln(level), of a recognised factor
_UNDERSTOOD: dict[Status, str] = {
    "raw": "raw",
    "assumed": "raw, not checked",
    "rescaled": "scaled to one luminosity, undone",
    "normalised": "normalised",
    "undecided": "undecided",
}
ADVICE = "say which with --flux-scale raw or --flux-scale scaled"


@dataclass(frozen=True)
class DeclaredScale:
    """What a library declares about its flux scale.

    Attributes
    ----------
    is_normalised : bool or None
        The flag; None without one, or if it is unclear.
    text : str
        Keyword and value; empty without a declaration.
    has_headers : bool
        Whether headers give the bolometric fluxes, which undo a scaling.
    """

    is_normalised: bool | None
    text: str = ""
    has_headers: bool = False


@dataclass(frozen=True)
class UnitKnowledge:
    """How the flux unit of a library is known.

    Attributes
    ----------
    source : {"option", "file", "none"}
    factor : float
        erg/s/cm²/Å in one unit.
    per_steradian : bool
        Whether it is one of intensity.
    relative : str
        A unit that is none of flux, such as "normalised"; empty otherwise.
    declaration : Declaration
    """

    source: Literal["option", "file", "none"]
    factor: float
    per_steradian: bool
    relative: str
    declaration: Declaration

    @classmethod
    def of(cls, unit: FluxUnit, declaration: Declaration, options: LibraryOptions) -> UnitKnowledge:
        """Combine what `mixjobs.library.declared.read_flux_unit` returns with the options."""
        in_file: Literal["file", "none"] = "none" if declaration.assumed else "file"
        source = "option" if options.flux_unit else in_file
        relative = unit.text if unit.kind == "relative" else ""
        return cls(source, flux_factor(unit), unit.per_steradian, relative, declaration)


@dataclass(frozen=True, eq=False)
class Settled:
    """The flux calibration that applies to a library.

    Attributes
    ----------
    calibration : FluxCalibration
    factors : (N,) array
        Factors of the spectra as stored, in their unit.
    unit, scale : Declaration
        The flux unit, with what the numbers say about it, and the flux scale.
    """

    calibration: FluxCalibration
    factors: Floats
    unit: Declaration
    scale: Declaration


def settle_scale(
    library: Library,
    declared: DeclaredScale,
    log_scale: Floats | None,
    known: UnitKnowledge,
    requested: FluxScale | None = None,
) -> Settled:
    """Choose the flux scale of a library, and judge its flux level.

    The numbers decide. Where they cannot, a flag that says "raw" counts; any other flag does not,
    because programs disagree about its meaning.

    Parameters
    ----------
    library : Library
        Its spectra are as stored, in erg/s/cm²/Å.
    declared : DeclaredScale
    log_scale : (N,) array or None
        ln(factor) that undoes a scaling of each spectrum; None if it is unknown.
    known : UnitKnowledge
    requested : {"raw", "scaled"}, optional
        The user's statement, which overrules the numbers.

    Raises
    ------
    InvalidInput
        The user declares the spectra scaled, but nothing tells the factors.
    """
    if requested == "scaled" and log_scale is None:
        raise InvalidInput(
            f"{library.path}: flux_scale = 'scaled' needs PHX headers or a parameter teff to undo "
            f"the scaling; the parameters are {', '.join(library.grid.names)}: see --names",
            path=library.path, name="flux_scale", value=requested,
        )  # fmt: skip
    rows, sample = sample_library(library)
    test = None
    if sample is not None:
        of_rows = None if log_scale is None else log_scale[rows]
        test = compare_scales(sample, of_rows, may_be_intensity=not known.per_steradian)
    status, evidence = _status(declared, test, requested, known)
    by_numbers = requested is None and test is not None and test.is_decisive
    calibration = FluxCalibration(status, evidence, by_numbers=by_numbers)
    unit = known.declaration
    factors = np.ones(len(library.grid))
    if status == "rescaled" and log_scale is not None:
        factors = np.exp(log_scale)
    if test is not None and status not in ("normalised", "undecided"):
        calibration, unit = _judged(calibration, test, known)
        if test.per_cm and known.source != "option":
            factors = factors * 1e-8
    scale = _scale_declaration(declared, test, requested, calibration)
    return Settled(calibration, factors, unit, scale)


def sample_library(library: Library) -> tuple[Ints, FluxSample | None]:
    """Read a few spectra of a library: their grid points, and a sample of their fluxes.

    The sample is None if the library has no Teff, or if no spectrum can be read.
    """
    grid, wave = library.grid, library.wavelength
    if "teff" not in grid.names:
        return np.empty(0, dtype=np.int64), None
    line, edges = lines_along(grid, grid.names.index("teff")), _bands(wave)
    means, peaks, rows = [], [], []
    chosen = sample_rows(line).tolist()
    for i, spectrum in zip(chosen, library.reader(chosen), strict=True):
        try:
            flux = spectrum(0, len(wave))
        except MixjobsError:  # reported when the spectrum is needed
            continue
        means.append([flux[lo:hi].mean() for lo, hi in pairwise(edges.tolist())])
        peaks.append(flux.max())
        rows.append(i)
    if len(rows) < 2:
        return np.empty(0, dtype=np.int64), None
    ends = np.append(wave[edges[:-1]], np.nextafter(wave[-1], np.inf))
    return np.array(rows), FluxSample.of(
        grid.take(rows), ends[:-1], ends[1:], np.diff(edges), np.array(means).T, np.array(peaks)
    )


def sample_rows(line: Ints) -> Ints:
    """Return points on a few of the longest lines of a grid, spread over each line."""
    sizes = np.bincount(line)
    longest = np.flatnonzero(sizes == sizes.max())
    chosen = longest[np.linspace(0, len(longest) - 1, min(_MAX_LINES, len(longest))).astype(int)]
    if sizes.max() == 1:  # no two points differ in Teff alone
        chosen = longest[_spread(len(longest), _MAX_LINES * _MAX_PER_LINE)]
    rows = []
    for number in chosen:
        members = np.flatnonzero(line == number)
        rows.append(members[_spread(len(members), _MAX_PER_LINE)])
    return np.sort(np.concatenate(rows))


def _spread(n: int, most: int) -> Ints:
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)


def _bands(wavelength: Floats) -> Ints:
    """Return the pixels at which bands of equal width in log wavelength begin, and the end."""
    x = np.linspace(np.log(wavelength[0]), np.log(wavelength[-1]), _N_BANDS + 1)
    first = np.searchsorted(np.log(wavelength), x[:-1])
    return np.unique(np.append(first, len(wavelength)))


def _judged(
    calibration: FluxCalibration, test: ScaleTest, known: UnitKnowledge
) -> tuple[FluxCalibration, Declaration]:
    """Add the flux level to a calibration, and what it says to the declaration of the unit."""
    undo = calibration.status == "rescaled"
    level = test.undone_level if undo else test.level
    unit = known.declaration
    if test.per_cm and known.source == "option":
        level *= PER_CM
    doubt, numbers = _judge_level(level, test, known, undo=undo)
    if test.per_cm and known.source != "option":
        unit = replace(
            unit, understood=f"erg/s/cm2/cm, multiplied by 1e-08 to give {_STANDARD}",
            numbers=f"1e8 times too large for {_STANDARD}, so per cm of wavelength",
            converted=True, contradicted=not unit.assumed,
        )  # fmt: skip
    elif numbers:
        unit = replace(unit, numbers=numbers, contradicted=True)
    return replace(calibration, level=level, doubt=doubt), unit


def _status(
    declared: DeclaredScale,
    test: ScaleTest | None,
    requested: FluxScale | None,
    known: UnitKnowledge,
) -> tuple[Status, str]:
    """Return the status of the spectra, and the evidence in one sentence."""
    if requested == "raw":
        return "assumed", "taken as raw on request"
    how = "with the PHX headers, F_bol = PHXLUM / (4 pi PHXREFF^2)"
    how = how if declared.has_headers else "with F_bol = sigma Teff^4"
    undone = f"scaled to one solar luminosity in the file; undone {how}"
    if requested == "scaled":
        return "rescaled", f"{undone}, on request"
    if known.relative:
        return "normalised", f"the file declares the flux unit {known.relative!r}"
    if test is None or not test.is_decisive:
        return _without_numbers(declared, test)
    if test.best == "normalised":
        return "normalised", f"the numbers are those of normalised spectra: {test.text('raw')}"
    if test.best == "raw":
        agreement = {True: f", although {declared.text}", False: f" ({declared.text})", None: ""}
        return "raw", f"raw according to the numbers{agreement[declared.is_normalised]}"
    if declared.has_headers:
        return "rescaled", undone
    return "normalised", "scaled to one luminosity, and the file has no PHX headers to undo it"


def _without_numbers(declared: DeclaredScale, test: ScaleTest | None) -> tuple[Status, str]:
    if declared.is_normalised is False:
        return "raw", f"declared in the file ({declared.text})"
    if declared.is_normalised and not declared.has_headers:
        return "normalised", f"the file declares {declared.text} and has no PHX headers"
    silent = "the numbers cannot tell" if test else "without Teff, the numbers cannot tell"
    said = (
        f"the file declares {declared.text}, which has two meanings, and" if declared.text else ""
    )
    return "undecided", f"{said} {silent} whether the spectra are raw or scaled".strip()


def _scale_declaration(
    declared: DeclaredScale,
    test: ScaleTest | None,
    requested: FluxScale | None,
    calibration: FluxCalibration,
) -> Declaration:
    status = calibration.status
    source = f"flux_scale = {requested!r}" if requested else declared.text
    numbers = f"{test.text('raw')}; {test.text('scaled')}" if test else ""
    meaning = {None: status, True: "rescaled", False: "raw"}[declared.is_normalised]
    return Declaration(
        "flux scale", source, _UNDERSTOOD[status], numbers, converted=status == "rescaled",
        contradicted=requested is None and meaning != status,
    )  # fmt: skip


def _judge_level(
    level: float, test: ScaleTest, known: UnitKnowledge, *, undo: bool
) -> tuple[str, str]:
    """Return why the absolute flux is in doubt, and what the numbers say about the unit.

    Parameters
    ----------
    level : float
        Median ratio of the fluxes to blackbodies.
    test : ScaleTest
    known : UnitKnowledge
    undo : bool
        Whether the fluxes were scaled to one luminosity, whose level does not depend on the unit.
    """
    ratio = log(level / test.typical)
    text = f"the flux is {level:.2g} times that of a blackbody"
    is_closer_to_intensity = abs(ratio + log(pi)) < abs(ratio)
    numbers = ""
    if _INTENSITY[0] <= level <= _INTENSITY[1] and is_closer_to_intensity:
        if not (known.per_steradian or undo):
            numbers = f"{text}, so it may be an intensity (per steradian, 1/pi of the flux)"
    elif abs(ratio) > log(_max_factor(test, known, ratio)):
        numbers = f"{text}, not about {test.typical:.2g}{_recognised(ratio, known)}"
    return ("" if known.source == "option" else numbers), numbers


def _max_factor(test: ScaleTest, known: UnitKnowledge, ratio: float) -> float:
    """Return the largest credible deviation; ultraviolet fluxes are faint for other reasons."""
    is_strict = known.source != "none" and (test.is_familiar or ratio > 0)
    return _MAX_FACTOR if is_strict else _MAX_FACTOR_ASSUMED


def _recognised(ratio: float, known: UnitKnowledge) -> str:
    """Name the unit in which a level, as ln(ratio), would be right."""
    mismatch = {name: ratio - log(known.factor / factor) for name, factor in _UNITS.items()}
    nearest = min(mismatch, key=lambda name: abs(mismatch[name]))
    if abs(mismatch[nearest]) > _MAX_MISMATCH:
        return ""
    return f"; a factor of {known.factor / _UNITS[nearest]:.3g}, as if in {nearest}"
