"""Flux scale of spectra, from their numbers: raw, scaled to one luminosity, or normalised.

Raw mean fluxes follow those of blackbodies, within the limits of stellar atmospheres. Spectra that
were scaled to one luminosity lack a factor Teff^4, and normalised ones do not depend on Teff at
all. So the level relative to blackbodies and its exponent of Teff tell the three apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi
from typing import Literal

import numpy as np

from mixjobs.grid import Grid
from mixjobs.model.blackbody import planck_mean
from mixjobs.typing import Floats, Ints

Scale = Literal["raw", "scaled", "normalised"]

F_SUN = 6.3156e10  # erg/s/cm², of one solar luminosity at one solar radius, as in Starfish
STEFAN_BOLTZMANN = 5.670374e-5  # erg/s/cm²/K⁴
PER_CM = 1e8  # values per cm of wavelength over those per Å
# ln(mean flux / blackbody) of stars of solar composition, by Teff (K) and wavelength (µm): from
# BT-Settl for log g 4 to 5 up to 4500 K (Allard et al. 2012), rounded, and tapered off above.
_WAVELENGTHS = [0.52, 0.58, 0.65, 0.75, 0.85, 0.95, 1.1, 1.25, 1.45, 1.65, 1.95, 2.3, 2.85, 3.7, 5]
_TYPICAL: dict[int, list[float]] = {
    2600: [-1.8, -2.2, -2.0, -1.0, -0.2, 0.2, 0.35, 0.4, 0, 0.25, -0.15, 0, -0.4, -0.1, -0.25],
    3000: [-1.05, -1.15, -1.1, -0.35, 0, 0.1, 0.15, 0.2, 0.1, 0.2, 0, 0.05, -0.25, -0.05, -0.15],
    3600: [-0.65, -0.4, -0.45, -0.15, 0, 0, 0.05, 0.1, 0.15, 0.25, 0.15, 0.15, -0.05, 0, -0.05],
    4200: [-0.5, -0.1, -0.15, -0.1, -0.1, -0.05, 0, 0.05, 0.2, 0.35, 0.3, 0.2, 0.1, 0.05, -0.05],
    5000: [-0.25, -0.05, -0.05, -0.05, -0.05, -0.05, 0, 0.05, 0.15, 0.25, 0.2, 0.15, 0.05, 0, 0],
    6500: [-0.1, 0, 0, 0, 0, 0, 0, 0, 0.05, 0.1, 0.1, 0.05, 0, 0, 0],
    8000: [0] * 15,
}
# Standard deviations of raw spectra: of the exponent of Teff, and of ln(level). Both grow with the
# typical deviation itself, since a library may be closer to blackbodies or farther from them, and
# where no typical values are known or a few lines dominate.
_EXPONENT_SD, _LEVEL_SD, _GROWTH = 1.0, 0.3, 0.5
_NO_METALS = 3.0  # -[Fe/H] at which stars lose the typical bands; half of it is unfamiliar
_UNKNOWN_WAVE, _UNKNOWN_TEFF, _UNKNOWN_SD = 4000.0, 2300.0, 1.0  # Å, K
# Relative range that a single line can fill, where there are strong lines: below so many Å.
_NARROW, _STRONG_LINES, _NARROW_SD = 0.003, 9000.0, 3.0
_MAX_LEVEL_TERM = 8.0  # of -ln L: the unit may be another one
_INTENSITY_TERM = 1.0  # of -ln L, since few libraries hold intensities
_NORMALISED_TERM = 5.0  # of -ln L: the level of normalised spectra is that of raw ones by chance
_EQUAL = 1e-3  # relative range of the fluxes of spectra that are divided by their means
DECISIVE, CREDIBLE = 2.0, 2.5  # difference in ln L, and largest -ln L


@dataclass(frozen=True, eq=False)
class FluxSample:
    """Mean fluxes of some spectra of a library, as stored, in a few bands.

    Attributes
    ----------
    teff : (n,) array
        K.
    line : (n,) int array
        Points with the same number differ only in Teff: see `lines_along`.
    wave_min, wave_max : (B,) arrays
        Bands, Å.
    n_pixels : (B,) array
        Number of pixels, which weights the bands: spectra that are divided by their means then
        have equal fluxes.
    mean_flux : (B, n) array
        erg/s/cm²/Å; NaN where it is unusable.
    feh : (n,) array or None
        [Fe/H], if the grid has it.
    peak : (n,) array or None
        Largest flux of each spectrum, if it is known.
    """

    teff: Floats
    line: Ints
    wave_min: Floats
    wave_max: Floats
    n_pixels: Ints
    mean_flux: Floats
    feh: Floats | None = None
    peak: Floats | None = None

    @classmethod
    def of(
        cls,
        grid: Grid,
        wave_min: Floats,
        wave_max: Floats,
        n_pixels: Ints,
        mean_flux: Floats,
        peak: Floats | None = None,
    ) -> FluxSample:
        """Make a sample from mean fluxes (B, n) of grid points; the grid needs a teff."""
        column = grid.names.index("teff")
        return cls(
            grid.points[:, column], lines_along(grid, column), wave_min, wave_max, n_pixels,
            usable_flux(mean_flux),
            grid.points[:, grid.names.index("feh")] if "feh" in grid.names else None,
            None if peak is None else usable_flux(peak),
        )  # fmt: skip

    @property
    def metals(self) -> Floats:
        """The part of the typical deviations that remains at low metallicity: (n,)."""
        feh = np.zeros(len(self.teff)) if self.feh is None else self.feh
        part: Floats = np.clip(1 + feh / _NO_METALS, 0, 1)
        return part


def usable_flux(flux: Floats) -> Floats:
    """Return fluxes (...) with NaN in place of any that are not positive and finite."""
    return np.where((flux > 0) & (flux < np.inf), flux, np.nan)


@dataclass(frozen=True, eq=False)
class ScaleTest:
    """How well each hypothesis about the flux scale explains the numbers.

    Attributes
    ----------
    log_likelihood : dict
        ln L of "raw", "scaled" and "normalised".
    level, exponent : float
        Of the fluxes as stored: their median ratio to blackbodies, and the exponent of Teff of the
        ratio. The exponent is NaN if no two points differ only in Teff.
    undone_level, undone_exponent : float
        The same after a scaling to one luminosity is undone.
    typical : float
        Median ratio of raw stellar spectra to blackbodies.
    per_cm : bool
        Whether the fluxes are per cm of wavelength rather than per Å; the levels are per Å.
    is_familiar : bool
        Whether the typical level is known: in the visible and the infrared, above 2300 K.
    """

    log_likelihood: dict[Scale, float]
    level: float
    exponent: float
    undone_level: float
    undone_exponent: float
    typical: float
    per_cm: bool
    is_familiar: bool

    @property
    def best(self) -> Scale:
        """The most likely hypothesis."""
        return max(self.log_likelihood, key=lambda name: self.log_likelihood[name])

    @property
    def is_decisive(self) -> bool:
        """Whether the best hypothesis is credible, and far better than the others."""
        first, second = sorted(self.log_likelihood.values(), reverse=True)[:2]
        is_credible = self.best == "normalised" or first > -CREDIBLE
        return is_credible and first - second >= DECISIVE

    def text(self, scale: Scale) -> str:
        """Describe the level and the exponent of a hypothesis."""
        undone = scale == "scaled"
        level, exponent = (
            (self.undone_level, self.undone_exponent) if undone else (self.level, self.exponent)
        )
        what = "with the scaling undone" if undone else "as stored"
        slope = f" and varies as Teff^{exponent + 0.0:.2g} relative to it"
        slope = "" if np.isnan(exponent) else slope
        return f"{what}, the flux is {level:.2g} times that of a blackbody{slope}"


def compare_scales(
    sample: FluxSample,
    log_scale: Floats | None = None,
    *,
    may_be_intensity: bool = True,
    unit_is_known: bool = False,
) -> ScaleTest | None:
    """Compare the hypotheses about the flux scale of a sample.

    Parameters
    ----------
    sample : FluxSample
    log_scale : (n,) array, optional
        ln(factor) that undoes a scaling to one luminosity: ``ln(F_bol / F_sun)``. By default
        ``F_bol = sigma Teff^4``.
    may_be_intensity : bool
        Whether raw fluxes may be per steradian, 1/pi of the flux.
    unit_is_known : bool
        Whether fluxes per cm of wavelength need not be recognised.

    Returns
    -------
    ScaleTest or None
        None if no flux is usable.
    """
    planck = planck_mean(sample.wave_min, sample.wave_max, sample.teff).T
    middle = np.sqrt(sample.wave_min * sample.wave_max)
    typical = typical_log_ratio(middle, sample.teff) * sample.metals
    weight = sample.n_pixels[:, None] * np.isfinite(sample.mean_flux)
    flux = (np.nan_to_num(sample.mean_flux) * weight).sum(axis=0)
    usable = flux > 0
    if not usable.any():
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = (planck * np.exp(typical) * weight).sum(axis=0)
        log_flux, excess = np.log(flux), np.log(flux / expected)
        log_typical = np.log(expected / (planck * weight).sum(axis=0))
    level = np.median(excess[usable])
    per_cm = not unit_is_known and bool(abs(level - log(PER_CM)) < abs(level))
    excess = excess - (log(PER_CM) if per_cm else 0.0)
    if log_scale is None:
        log_scale = np.log(STEFAN_BOLTZMANN * sample.teff**4 / F_SUN)
    x, line = np.log(sample.teff[usable]), sample.line[usable]
    stored = _Trend.of(excess[usable], x, line)
    undone = _Trend.of((excess + log_scale)[usable], x, line)
    deviation = _Deviation.of(sample, log_typical[usable], x, line)
    intensity = -deviation.term(stored, -log(pi)) - _INTENSITY_TERM if may_be_intensity else -np.inf
    usual = float(np.median(log_typical[usable]))
    return ScaleTest(
        {
            "raw": max(-deviation.term(stored), intensity),
            "scaled": -deviation.term(undone),
            "normalised": -_normalised_term(sample, log_flux[usable], x, line),
        },
        float(np.exp(stored.level + usual)), stored.exponent + deviation.typical_exponent,
        float(np.exp(undone.level + usual)), undone.exponent + deviation.typical_exponent,
        float(np.exp(usual)), per_cm, deviation.is_familiar,
    )  # fmt: skip


def _normalised_term(sample: FluxSample, log_flux: Floats, x: Floats, line: Ints) -> float:
    """-ln L of normalised spectra, from ln(flux) (n,)."""
    peaks_are_equal = sample.peak is not None and np.ptp(np.log(sample.peak)) < _EQUAL
    if len(log_flux) > 2 and (np.ptp(log_flux) < _EQUAL or peaks_are_equal):
        return -_MAX_LEVEL_TERM
    slope = _slope(log_flux, x, line)
    return _NORMALISED_TERM + (0.0 if np.isnan(slope) else 0.5 * slope**2)


@dataclass(frozen=True)
class _Trend:
    """Median of ln(flux / expected), and its slope with ln(Teff)."""

    level: float
    exponent: float

    @classmethod
    def of(cls, values: Floats, x: Floats, line: Ints) -> _Trend:
        return cls(float(np.median(values)), _slope(values, x, line))


@dataclass(frozen=True)
class _Deviation:
    """Standard deviations of raw spectra from the typical ones."""

    level: float
    exponent: float
    typical_exponent: float
    is_familiar: bool

    @classmethod
    def of(cls, sample: FluxSample, log_typical: Floats, x: Floats, line: Ints) -> _Deviation:
        middle = np.sqrt(sample.wave_min.min() * sample.wave_max.max())
        width = np.log(sample.wave_max / sample.wave_min).sum()
        is_unknown = (
            middle < _UNKNOWN_WAVE
            or np.median(np.exp(x)) < _UNKNOWN_TEFF
            or np.median(sample.metals) < 0.5
        )
        is_narrow = middle < _STRONG_LINES and width < _NARROW
        extra = _NARROW_SD if is_narrow else _UNKNOWN_SD if is_unknown else 0.0
        slope = _slope(log_typical, x, line)
        level = np.hypot(np.hypot(_LEVEL_SD, extra), _GROWTH * np.median(log_typical))
        exponent = np.hypot(np.hypot(_EXPONENT_SD, 2 * extra), _GROWTH * np.nan_to_num(slope))
        return cls(float(level), float(exponent), slope, not is_unknown)

    def term(self, trend: _Trend, level: float = 0.0) -> float:
        """-ln L of a trend whose level should be this."""
        of_level = min(0.5 * ((trend.level - level) / self.level) ** 2, _MAX_LEVEL_TERM)
        if np.isnan(trend.exponent):
            return of_level
        return float(of_level + 0.5 * (trend.exponent / self.exponent) ** 2)


def _slope(values: Floats, x: Floats, line: Ints) -> float:
    """Median slope between points on the same line (Theil & Sen); NaN without such points."""
    first, second = np.triu_indices(len(x), 1)
    pairs = (line[first] == line[second]) & (x[first] != x[second])
    first, second = first[pairs], second[pairs]
    if not len(first):
        return float("nan")
    return float(np.median((values[second] - values[first]) / (x[second] - x[first])))


def typical_log_ratio(wavelength: Floats, teff: Floats) -> Floats:
    """ln(mean flux / blackbody) of stars of solar composition, (B, n); flat beyond the table.

    Parameters
    ----------
    wavelength : (B,) array
        Å.
    teff : (n,) array
        K.

    Examples
    --------
    >>> typical_log_ratio(np.array([16500.0, 5200.0]), np.array([3000.0])).tolist()
    [[0.2], [-1.05]]
    """
    x = np.log(wavelength)
    nodes = np.log(1e4 * np.array(_WAVELENGTHS))
    by_teff = np.array([np.interp(x, nodes, row) for row in _TYPICAL.values()])  # (T, B)
    temperatures = np.array(list(_TYPICAL), dtype=np.float64)
    return np.array([np.interp(teff, temperatures, by_teff[:, b]) for b in range(len(x))])


def lines_along(grid: Grid, column: int) -> Ints:
    """Number the lines of the grid: (N,). The points of a line differ only in `column`."""
    others = np.delete(grid.points, column, axis=1)
    _, line = np.unique(others, axis=0, return_inverse=True)
    numbers: Ints = line.ravel().astype(np.int64)  # NumPy 2.0 adds a second axis
    return numbers
