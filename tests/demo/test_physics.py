"""The demo library's physics: trends of line strengths, and opacity compared with a plain sum."""

import math

import numpy as np

from mixjobs.demo.lines import draw_features
from mixjobs.demo.physics import Star, atom_log_strength, band_log_strength, line_opacity
from mixjobs.typing import Floats
from mixjobs.wavelengths import LogGrid

SPEED_OF_LIGHT = 299792.458  # km/s


def test_alpha_changes_only_lines_of_alpha_elements() -> None:
    atoms, bands = draw_features(5, 8.5, 8.6)
    star, enhanced = Star(5800.0), Star(5800.0, alpha=0.4)
    change = atom_log_strength(enhanced, atoms) - atom_log_strength(star, atoms)
    np.testing.assert_allclose(change, np.where(atoms.alpha, 0.4, 0.0), atol=1e-12)
    assert 0.2 < atoms.alpha.mean() < 0.4
    np.testing.assert_allclose(
        band_log_strength(enhanced, bands) - band_log_strength(star, bands), 0.4, atol=1e-12
    )


def test_ions_respond_to_gravity_and_neutrals_do_not() -> None:
    # True where metals are ionised and H minus dominates the opacity (Gray 2005, chapter 13).
    atoms, _ = draw_features(5, 8.5, 8.6)
    change = atom_log_strength(Star(5800.0, 3.5), atoms) - atom_log_strength(
        Star(5800.0, 4.5), atoms
    )
    assert np.all(change[atoms.ionised] > 0.2)
    assert np.median(np.abs(change[~atoms.ionised])) < 0.05


def test_molecules_form_in_cool_and_dense_stars() -> None:
    _, bands = draw_features(5, 8.5, 8.6)

    def slope(teff: float) -> Floats:
        strengths = [band_log_strength(Star(teff, logg), bands) for logg in (4.0, 5.0)]
        return strengths[1] - strengths[0]

    # Exponents of gravity: 2/3 for rare molecules, 0 for fully formed ones; H minus subtracts 1/3.
    np.testing.assert_allclose(slope(9000.0), 1 / 3, atol=0.02)
    np.testing.assert_allclose(slope(2300.0), -1 / 3, atol=0.02)
    cooler = [band_log_strength(Star(teff), bands) for teff in (5800.0, 4500.0, 3500.0)]
    assert np.all(np.diff(cooler, axis=0) > 0.0)


def test_opacity_equals_a_plain_sum_over_features() -> None:
    """One feature at a time over all pixels, in plain numpy, without segments or batches."""
    star, seed = Star(4000.0, 3.7, -0.2, 0.3), 3
    heads = draw_features(seed, 8.5, 8.6)[1].head
    grid = LogGrid(float(heads[4]) - 1e-3, 4e-6, 700)  # 300 km/s before a band head
    atoms, bands = draw_features(seed, grid.start, grid.start + 699 * grid.step)
    ln_wave = grid.start + grid.step * np.arange(700)

    def taper(x: Floats) -> Floats:
        return np.where(np.abs(x) < 1, (1 - x**2) ** 3, 0.0)

    total = np.zeros(700)
    for i, log_strength in enumerate(atom_log_strength(star, atoms)):
        v = SPEED_OF_LIGHT * (ln_wave - atoms.centre[i])
        sun, b = (
            math.sqrt(6.25 + 2 * 8.314462618e-3 * t / atoms.mass[i]) for t in (5777.0, 4000.0)
        )
        a = atoms.damping[i] * sun / b * 10 ** (-0.8 * 2 / 3) * (5777 / 4000) ** 0.7
        half_width = 1000.0 if atoms.log_strength[i] > 1.5 else 20.0
        wing = a / math.sqrt(math.pi) / ((v / b) ** 2 + 1.5) * taper(v / half_width)
        total += 10**log_strength * sun / b * (np.exp(-((v / b) ** 2)) + wing)
    b = math.sqrt(6.25 + 2 * 8.314462618e-3 * 4000 / 64)
    for i, log_strength in enumerate(band_log_strength(star, bands)):
        v = SPEED_OF_LIGHT * (ln_wave - bands.head[i])
        shape = taper((v - 2850) / 3150) / (1 + np.exp(-np.maximum(v, -9e3) / 20))
        total += 10**log_strength * shape * np.exp(-v / 2000)
        lines = zip(bands.line_centre[i], bands.line_log_strength[i], strict=True)
        for centre, relative in lines:
            v = SPEED_OF_LIGHT * (ln_wave - centre)
            total += 10 ** (log_strength + relative) * np.exp(-((v / b) ** 2))
    assert total.max() > 1.0
    np.testing.assert_allclose(line_opacity(grid, star, seed), total, rtol=1e-7)
