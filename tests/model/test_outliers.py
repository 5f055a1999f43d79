"""Wrong spectra are found by their neighbours; right ones are not accused."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mixjobs.grid import Grid
from mixjobs.model.outliers import find_jumps, find_outliers, suspects

AXES = np.linspace(4000, 5800, 10), np.array([4.0, 4.5, 5.0]), np.array([-0.5, 0.0, 0.5])
POINTS = np.stack([a.ravel() for a in np.meshgrid(*AXES, indexing="ij")], axis=1)
GRID = Grid(POINTS, ("teff", "logg", "feh"))


def means(seed: int, roughness: float = 1e-3) -> np.ndarray:
    """Mean fluxes of three orders: nearly those of blackbodies, with a smooth and a rough part."""
    rng = np.random.default_rng(seed)
    x = (POINTS - POINTS.mean(axis=0)) / np.ptp(POINTS, axis=0)
    smooth = 6 * x[:, 0] - 2 * x[:, 0] ** 2 + 0.3 * x[:, 1] * x[:, 2] + 0.1 * x[:, 2] ** 2
    return np.exp(smooth + roughness * rng.uniform(-1, 1, size=(3, len(GRID))))


@settings(max_examples=15)
@given(
    st.integers(0, 1000),
    st.lists(st.integers(0, len(GRID) - 1), max_size=2, unique=True),
    st.sampled_from([0.1, 0.5, 0.8, 1.3, 10.0]),
)
def test_the_culprit_is_found_and_nobody_else(seed, wrong, factor):
    # two wrong points close together can hide each other
    assume(len(wrong) < 2 or abs(np.subtract(*GRID.index[wrong, 0])) > 4)
    flux = means(seed)
    flux[:, wrong] *= factor
    outliers = {outlier.point: outlier.factor for outlier in find_outliers(GRID, flux)}
    assert set(outliers) == set(wrong)
    assert list(outliers.values()) == pytest.approx([factor] * len(wrong), rel=0.05)


@pytest.mark.parametrize("roughness", [0.0, 1e-3, 0.05, 0.2])
def test_a_rough_library_has_no_outliers(roughness):
    assert sum(bool(suspects(GRID, means(seed, roughness))) for seed in range(5)) <= 1


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.2])
def test_jumps_along_an_axis(factor):
    above, at = means(3), means(3)
    above[:, POINTS[:, 0] >= AXES[0][4]] *= factor
    at[:, POINTS[:, 0] == AXES[0][4]] *= factor
    (jump,) = find_jumps(GRID, above)
    assert (jump.name, jump.low, jump.high) == ("teff", AXES[0][3], AXES[0][4])
    assert jump.factor == pytest.approx(factor, rel=0.02)
    (jump,) = find_jumps(GRID, at)
    assert jump.low == jump.high == AXES[0][4]
    assert jump.factor == pytest.approx(factor, rel=0.02)


def test_short_axes_holes_and_irregular_grids():
    flux = means(1)
    flux[:, 5] *= 0.5
    kept = np.delete(np.arange(len(GRID)), [0, 17, 40])
    (outlier,) = find_outliers(GRID.take(kept), flux[:, kept])
    assert kept[outlier.point] == 5
    line = Grid(np.array([[4000.0], [4100], [4200]]), ("teff",))
    assert suspects(line, np.array([[1.0, 1.1, 1.2]])) == []
    scattered = Grid(np.random.default_rng(0).normal(size=(30, 2)), ("teff", "logg"))
    assert suspects(scattered, np.ones((2, 30))) == []
