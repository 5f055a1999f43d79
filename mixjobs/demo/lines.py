"""Spectral features of the demo library: atomic lines and molecular bands, drawn from a seed.

Features are drawn in cells of fixed width in ln(wavelength), each cell with its own seed. Libraries
with another wavelength range or sampling therefore contain the same features. All draws are uniform
numbers transformed by explicit inverse distribution functions. A strength is the ratio of line to
continuous opacity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mixjobs.typing import Bools, Floats

CELL = 0.01  # in ln(wavelength), about 3000 km/s
ATOMS_PER_CELL = 400  # eight lines per angstrom at 5000 Å
BANDS_PER_CELL = 1
LINES_PER_BAND = 80
MARGIN = 0.03  # in ln(wavelength): wider than any feature

WEAKEST, STRONGEST = -1.5, 3.5  # log10 of central strength in the Sun
STRENGTH_SLOPE = 0.7  # N(> strength) is proportional to strength**-0.7 between the two
ALPHA_FRACTION, IONISED_FRACTION = 0.3, 0.15
ALPHA_MASSES = np.array([24.0, 40.0, 48.0])  # Mg, Ca, Ti, in atomic mass units
IRON_MASSES = np.array([52.0, 56.0])  # Cr, Fe


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atomic lines, sorted by wavelength. All arrays are (n_lines,).

    Attributes
    ----------
    centre : array
        ln(wavelength / Å).
    log_strength : array
        log10 of the central strength in the Sun.
    excitation, ionisation : arrays
        Energies, eV.
    mass : array
        Atomic mass units.
    damping : array
        Voigt parameter a in the Sun.
    ionised, alpha : bool arrays
        Lines of ions and lines of alpha elements.
    """

    centre: Floats
    log_strength: Floats
    excitation: Floats
    ionisation: Floats
    mass: Floats
    damping: Floats
    ionised: Bools
    alpha: Bools


@dataclass(frozen=True, eq=False)
class Bands:
    """Molecular bands.

    Attributes
    ----------
    head : (n_bands,) array
        ln(wavelength / Å) of the band head, from which the band degrades to the red.
    log_strength : (n_bands,) array
        log10 of the strength at the head if all molecules are formed.
    dissociation : (n_bands,) array
        Energy, eV.
    line_centre : (n_bands, LINES_PER_BAND) array
        ln(wavelength / Å) of the resolved lines.
    line_log_strength : (n_bands, LINES_PER_BAND) array
        log10 of their central strength relative to the band's.
    """

    head: Floats
    log_strength: Floats
    dissociation: Floats
    line_centre: Floats
    line_log_strength: Floats


@lru_cache(maxsize=8)
def draw_features(seed: int, ln_min: float, ln_max: float) -> tuple[Atoms, Bands]:
    """Draw all features whose cell lies within `MARGIN` of the range [ln_min, ln_max]."""
    cells = range(
        math.floor((ln_min - MARGIN) / CELL),
        math.floor((ln_max + MARGIN) / CELL) + 1,
    )
    atoms = np.concatenate([_uniform(seed, cell, 0, (ATOMS_PER_CELL, 8)) for cell in cells])
    bands = np.concatenate([_uniform(seed, cell, 1, (BANDS_PER_CELL, 4)) for cell in cells])
    return (
        _atoms(atoms, np.repeat(np.array(cells), ATOMS_PER_CELL)),
        _bands(bands, np.repeat(np.array(cells), BANDS_PER_CELL)),
    )


def _uniform(seed: int, cell: int, kind: int, shape: tuple[int, int]) -> Floats:
    """Return uniform draws of one cell, sorted by the first column, the position in the cell."""
    draws = np.random.default_rng([seed, cell, kind]).random(shape)
    return draws[np.argsort(draws[:, 0])]


def _atoms(draws: Floats, cell: NDArray[np.int64]) -> Atoms:
    position, strength, excitation, ionisation, mass, damping, ionised, alpha = draws.T
    is_ion = ionised < IONISED_FRACTION
    is_alpha = alpha < ALPHA_FRACTION
    return Atoms(
        centre=CELL * (cell + position),
        log_strength=_power_law(strength),
        excitation=np.where(is_ion, 2.5 + 3.5 * excitation, 5.0 * excitation),
        ionisation=6.0 + 2.3 * ionisation,
        mass=np.where(is_alpha, _pick(ALPHA_MASSES, mass), _pick(IRON_MASSES, mass)),
        damping=0.02 + 0.06 * damping,
        ionised=is_ion,
        alpha=is_alpha,
    )


def _bands(draws: Floats, cell: NDArray[np.int64]) -> Bands:
    position, strength, dissociation, spacing = draws.T
    head = CELL * (cell + position)
    number = np.arange(1, LINES_PER_BAND + 1) - 0.5
    # A Fortrat parabola: the distance from the head is the square of the line number. The last line
    # lies 0.01 to 0.02 in ln(wavelength), or 3000 to 6000 km/s, from the head.
    scale = 0.01 * (1.0 + spacing) / LINES_PER_BAND**2
    return Bands(
        head=head,
        log_strength=-1.5 + 2.0 * strength,
        dissociation=2.5 + 4.5 * dissociation,
        line_centre=head[:, None] + scale[:, None] * number**2,
        line_log_strength=np.broadcast_to(
            0.5 - 1.2 * (number / LINES_PER_BAND) ** 2, (head.size, LINES_PER_BAND)
        ),
    )


def _power_law(uniform: Floats) -> Floats:
    """Return log10 of strengths that follow a power law truncated at both ends."""
    tail: float = 10.0 ** (-STRENGTH_SLOPE * (STRONGEST - WEAKEST))
    return WEAKEST - np.log10(1.0 - uniform * (1.0 - tail)) / STRENGTH_SLOPE


def _pick(values: Floats, uniform: Floats) -> Floats:
    return np.take(values, (uniform * values.size).astype(np.int64))
