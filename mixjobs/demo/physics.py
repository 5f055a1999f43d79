"""Physics of the demo library: raw flux at any theta, a smooth function of every parameter.

The photosphere is of Milne-Eddington type. The continuum is pi B(Teff), and the cores of saturated
lines are pi B(0.7 Teff). The ratio eta of line to continuous opacity interpolates between the two
as 1 / (1 + eta). Saturated lines are smoother than with exp(-eta), so that the pixels sample them.
Line strengths follow the Boltzmann and Saha equations, relative to the opacity of H minus. The
electron pressure is a power law in gravity, abundance and temperature. No step, branch or table
depends on theta, so all derivatives are continuous.

Gray (2005) is "The Observation and Analysis of Stellar Photospheres", third edition.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixjobs.demo.lines import Atoms, Bands, draw_features
from mixjobs.typing import Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT, LogGrid

FIRST_RADIATION = 3.741771852e27  # 2 pi h c^2 in erg/s/cm^2 Å^4, for a flux per Å
SECOND_RADIATION = 1.438776877e8  # h c / k in Å K
BOLTZMANN_OVER_MASS = 8.314462618e-3  # k over the atomic mass unit, km^2/s^2/K
TEFF_SUN, LOGG_SUN = 5777.0, 4.5
SECOND_IONISATION = 16.0  # eV, about that of iron
TURBULENCE = 2.5  # km/s, micro and macro: the narrowest line has R = 68,000
CORE_TEMPERATURE = 0.7  # of Teff: where the cores of saturated lines form
HALF_DISSOCIATED = 3600.0  # K, for log g 4.5
BAND_MASS = 64.0  # TiO

WEAK_HALF_WIDTH, STRONG_HALF_WIDTH = 20.0, 1000.0  # km/s, where lines are truncated
STRONG_LOG_STRENGTH = 1.5  # lines stronger than this in the Sun have the large half-width
BAND_BELOW, BAND_ABOVE = 300.0, 6000.0  # km/s on either side of a band head
BAND_EDGE, BAND_SCALE = 20.0, 2000.0  # km/s: rise at the head, decay to the red
BATCH = 1 << 15  # profile values computed together, so that they stay in the cache

Profile = Callable[[NDArray[np.int64], Floats], Floats]


class Star(NamedTuple):
    """Parameters of a star: Teff in K, log g in cgs units, [Fe/H] and [alpha/Fe] in dex."""

    teff: float
    logg: float = LOGG_SUN
    feh: float = 0.0
    alpha: float = 0.0


def raw_flux(wavelength: Floats, grid: LogGrid, star: Star, seed: int) -> Floats:
    """Return the flux at a star's surface, erg/s/cm²/Å, at wavelengths (n_pixels,) in Å, vacuum."""
    core = blackbody_flux(wavelength, CORE_TEMPERATURE * star.teff)
    continuum = blackbody_flux(wavelength, star.teff)
    return core + (continuum - core) / (1.0 + line_opacity(grid, star, seed))


def blackbody_flux(wavelength: Floats, teff: float) -> Floats:
    """Return pi B_lambda(teff), erg/s/cm²/Å, at wavelengths in Å (Planck's law)."""
    return FIRST_RADIATION / (wavelength**5 * np.expm1(SECOND_RADIATION / (wavelength * teff)))


def line_opacity(grid: LogGrid, star: Star, seed: int) -> Floats:
    """Return the opacity of all features relative to the continuum's, (n_pixels,)."""
    ln_max = grid.start + grid.step * (grid.n_pixels - 1)
    atoms, bands = draw_features(seed, grid.start, ln_max)
    return _atom_opacity(grid, star, atoms) + _band_opacity(grid, star, bands)


def _atom_opacity(grid: LogGrid, star: Star, atoms: Atoms) -> Floats:
    width = doppler_width(star.teff, atoms.mass)
    narrowing = doppler_width(TEFF_SUN, atoms.mass) / width
    strength = narrowing * 10.0 ** atom_log_strength(star, atoms)
    # Van der Waals broadening: gas pressure as g^(2/3), T^-0.7 (Gray 2005, chapters 9 and 11).
    pressure = 10.0 ** (2 / 3 * (star.logg - LOGG_SUN)) * (TEFF_SUN / star.teff) ** 0.7
    damping = atoms.damping * narrowing * pressure
    is_strong = atoms.log_strength > STRONG_LOG_STRENGTH
    total = np.zeros(grid.n_pixels)
    for lines, half_width in ((~is_strong, WEAK_HALF_WIDTH), (is_strong, STRONG_HALF_WIDTH)):
        profile = _line_profile(strength[lines], width[lines], damping[lines], half_width)
        total += accumulate(grid, atoms.centre[lines], half_width, half_width, profile)
    return total


def _band_opacity(grid: LogGrid, star: Star, bands: Bands) -> Floats:
    log_strength = band_log_strength(star, bands)
    total = accumulate(grid, bands.head, BAND_BELOW, BAND_ABOVE, _band_profile(10.0**log_strength))
    line_strength = 10.0 ** (log_strength[:, None] + bands.line_log_strength).ravel()
    width = np.broadcast_to(doppler_width(star.teff, np.array(BAND_MASS)), line_strength.shape)
    profile = _line_profile(line_strength, width, np.zeros_like(line_strength), WEAK_HALF_WIDTH)
    return total + accumulate(
        grid, bands.line_centre.ravel(), WEAK_HALF_WIDTH, WEAK_HALF_WIDTH, profile
    )


def doppler_width(teff: float, mass: Floats) -> Floats:
    """Return the Doppler parameter b in km/s, as in exp(-(v/b)^2): thermal and turbulent motion."""
    return np.sqrt(TURBULENCE**2 + 2.0 * BOLTZMANN_OVER_MASS * teff / mass)


def atom_log_strength(star: Star, atoms: Atoms) -> Floats:
    """Return log10 of the central strength of each line, (n_lines,), at the Sun's Doppler width."""
    metals = star.feh + np.where(atoms.alpha, star.alpha, 0.0)
    population = _log_population(star, atoms) - _log_population(Star(TEFF_SUN), atoms)
    return atoms.log_strength + metals + population - _log_continuum(star)


def band_log_strength(star: Star, bands: Bands) -> Floats:
    """Return log10 of the strength at each band head, (n_bands,); bands form below about 3600 K."""
    theta = 5040.0 / star.teff
    split = bands.dissociation * (5040.0 / HALF_DISSOCIATED - theta)
    split -= 2 / 3 * (star.logg - LOGG_SUN)
    formed = -_log10_sum(np.zeros_like(split), split)
    return bands.log_strength + star.feh + star.alpha + formed - _log_continuum(star)


def _log_population(star: Star, atoms: Atoms) -> Floats:
    """Return log10 of the fraction of an element in a line's lower level (Boltzmann and Saha).

    Gray (2005), chapter 1, with three ionisation stages and partition functions set to one.
    """
    theta = 5040.0 / star.teff
    common = 2.5 * np.log10(star.teff) - 0.1762 - _log_electron_pressure(star)
    first = common - atoms.ionisation * theta
    second = first + common - SECOND_IONISATION * theta
    stages = _log10_sum(np.zeros_like(first), first, second)
    return np.where(atoms.ionised, first, 0.0) - stages - atoms.excitation * theta


def _log_electron_pressure(star: Star) -> float:
    """Return log10 of the electron pressure, dyn/cm²: T^5 (g 10^[Fe/H])^(1/3), as in cool stars."""
    logg = star.logg - LOGG_SUN
    return float(1.0 + 5.0 * np.log10(star.teff / TEFF_SUN) + (logg + star.feh) / 3.0)


def _log_continuum(star: Star) -> float:
    """Return log10 of the H minus opacity relative to the Sun's (Gray 2005, chapter 8)."""
    theta, sun = 5040.0 / star.teff, 5040.0 / TEFF_SUN
    pressure = _log_electron_pressure(star) - _log_electron_pressure(Star(TEFF_SUN))
    return float(pressure + 2.5 * np.log10(theta / sun) + 0.754 * (theta - sun))


def _log10_sum(*terms: Floats) -> Floats:
    """Return log10 of the sum of 10**term."""
    total = np.logaddexp.reduce(np.stack(terms) * np.log(10.0), axis=0)
    return np.asarray(total / np.log(10.0), dtype=np.float64)


def _line_profile(strength: Floats, width: Floats, damping: Floats, half_width: float) -> Profile:
    """Return a Doppler core with Lorentz wings, a / (sqrt(pi) u^2) as in the Voigt function.

    The wings are tapered to zero at `half_width` km/s, the same for every theta.
    """

    def profile(rows: NDArray[np.int64], velocity: Floats) -> Floats:
        u2 = np.square(velocity / width[rows, None])
        taper = _taper(velocity / half_width)
        wing = damping[rows, None] / math.sqrt(math.pi) * taper / (u2 + 1.5)
        return strength[rows, None] * (np.exp(-u2) + wing)

    return profile


def _band_profile(strength: Floats) -> Profile:
    """Return the unresolved part of a band: steep at the head, exponential to the red, tapered."""
    middle, half = (BAND_ABOVE - BAND_BELOW) / 2.0, (BAND_ABOVE + BAND_BELOW) / 2.0

    def profile(rows: NDArray[np.int64], velocity: Floats) -> Floats:
        taper = _taper((velocity - middle) / half)
        rise = 1.0 / (1.0 + np.exp(-velocity / BAND_EDGE))
        return strength[rows, None] * rise * np.exp(-velocity / BAND_SCALE) * taper

    return profile


def _taper(x: Floats) -> Floats:
    """Return (1 - x^2)^3 for |x| < 1, and zero outside."""
    base = np.maximum(0.0, 1.0 - x * x)
    taper: Floats = base * base * base
    return taper


def accumulate(
    grid: LogGrid, centre: Floats, below: float, above: float, profile: Profile
) -> Floats:
    """Sum profiles, each from -`below` to `above` km/s around its centre.

    The truncation does not depend on theta, so it leaves the derivatives continuous.

    Parameters
    ----------
    grid : LogGrid
    centre : (n_features,) array
        ln(wavelength / Å).
    below, above : float
        km/s.
    profile : callable
        ``profile(rows, velocity)`` returns the values, (n_rows, n_segment), of the features `rows`.

    Returns
    -------
    (n_pixels,) array
    """
    pixel_width = SPEED_OF_LIGHT * grid.step
    segment = np.arange(int((below + above) / pixel_width) + 2)
    position = (centre - grid.start) / grid.step
    first = np.floor(position - below / pixel_width).astype(np.int64)
    start_velocity = (first - position) * pixel_width  # velocity of the segment's first pixel
    overlapping = np.flatnonzero((first < grid.n_pixels) & (first + segment.size > 0))
    padded = np.zeros(grid.n_pixels + 2 * segment.size)
    batch = max(1, BATCH // segment.size)
    for rows in (overlapping[k : k + batch] for k in range(0, overlapping.size, batch)):
        lowest = int(first[rows].min())
        pixel = (first[rows] - lowest)[:, None] + segment
        velocity = start_velocity[rows, None] + pixel_width * segment
        sums = np.bincount(pixel.ravel(), profile(rows, velocity).ravel())
        padded[lowest + segment.size :][: sums.size] += sums
    return padded[segment.size : -segment.size]
