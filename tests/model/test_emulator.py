"""The emulator: eigenspectra against an SVD, residuals and errors against plain sums."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mixjobs.builder.emulator import EmulatorSettings
from mixjobs.interpolation.cross_validation import axis_folds
from mixjobs.model.emulator import decompose, held_out_residuals
from mixjobs.wavelengths import LogGrid
from tests.helpers.drawn import lattice

GRID = LogGrid(8.5, 1e-5, 60)


def spectra(n_points: int, n_pixels: int = 60, decay: float = 0.5, seed: int = 0) -> np.ndarray:
    """Random spectra with mean 1, whose eigenspectra have decreasing weights."""
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(min(n_points, n_pixels), n_pixels))
    sizes = 0.1 * decay ** np.arange(len(shapes))
    return 1 + rng.normal(size=(n_points, len(shapes))) * sizes @ shapes


def emulate(matrix: np.ndarray, accuracy: EmulatorSettings = EmulatorSettings()):  # noqa: B008
    grid = LogGrid(8.5, 1e-5, matrix.shape[1])
    return decompose(matrix.copy(), grid, grid.wavelength, accuracy)


@pytest.mark.parametrize("n_points", [12, 300])  # a full SVD, and the leading eigenspectra alone
def test_eigenspectra_agree_with_an_svd(n_points):
    matrix = spectra(n_points, 200)
    emulator = emulate(matrix, EmulatorSettings(rank=5))
    _, _, vectors = np.linalg.svd(matrix - matrix.mean(axis=0))
    overlap = np.abs(emulator.eigenspectra @ vectors[:5].T)
    np.testing.assert_allclose(overlap, np.eye(5), atol=1e-9)
    np.testing.assert_allclose(
        emulator.eigenspectra @ emulator.eigenspectra.T, np.eye(5), atol=1e-12
    )
    again = emulate(matrix, EmulatorSettings(rank=5))
    assert np.array_equal(again.eigenspectra, emulator.eigenspectra)


@given(st.integers(2, 30), st.floats(0.3, 0.9), st.integers(0, 100))
@example(n_points=6, decay=0.8008362804827689, seed=20)
def test_the_stated_accuracy_is_the_actual_one(n_points, decay, seed):
    matrix = spectra(n_points, decay=decay, seed=seed)
    emulator = emulate(matrix)
    left = matrix - emulator.mean - emulator.weights @ emulator.eigenspectra
    assert np.abs(left).max() == pytest.approx(emulator.max_residual, abs=1e-12)
    np.testing.assert_allclose(
        np.sqrt((left**2).mean(axis=1)), emulator.reconstruction_error, atol=1e-14
    )
    variance = 1 - (left**2).sum() / ((matrix - matrix.mean(axis=0)) ** 2).sum()
    assert variance == pytest.approx(emulator.explained_variance, abs=1e-10)
    assert emulator.explained_variance >= 0.999 - 1e-12
    assert emulator.max_residual <= 0.02


@given(st.integers(0, 100))
def test_there_is_no_unnecessary_eigenspectrum(seed):
    matrix = spectra(20, seed=seed)
    rank = emulate(matrix).rank
    if rank > 1:
        fewer = emulate(matrix, EmulatorSettings(rank=rank - 1))
        assert fewer.explained_variance < 0.999 or fewer.max_residual > 0.02


def test_full_rank_is_exact_and_the_limit_holds():
    matrix = spectra(10, decay=0.95)
    full = emulate(matrix, EmulatorSettings(rank=50))
    assert full.rank == 10
    np.testing.assert_allclose(full.mean + full.weights @ full.eigenspectra, matrix, atol=1e-13)
    limited = emulate(matrix, EmulatorSettings(max_rank=3))
    assert limited.rank == 3
    assert limited.max_residual > 0.02  # and reports it


@pytest.mark.parametrize("n_points", [5, 300])
def test_identical_spectra_have_one_eigenspectrum_without_weight(n_points):
    emulator = emulate(np.ones((n_points, 400)))
    assert emulator.rank == 1
    assert emulator.max_residual == pytest.approx(0, abs=1e-15)


def test_held_out_residuals_are_those_over_the_pixels():
    grid = lattice(np.arange(3000, 3800, 100), [4, 4.5, 5])
    matrix = spectra(len(grid), decay=0.8)
    emulator = emulate(matrix, EmulatorSettings(rank=6))
    (teff, logg) = axis_folds(grid, "cubic")
    predicted = emulator.weights[teff.predicted] + teff.errors(emulator.weights)
    left = emulator.mean + predicted @ emulator.eigenspectra - matrix[teff.predicted]
    residuals = held_out_residuals([teff, logg], emulator, {"teff": 0.5, "logg": 1.0})[0]
    squares = (left**2).mean(axis=1)
    assert residuals.rms == pytest.approx(np.sqrt(squares.mean()))
    assert residuals.worst == pytest.approx(np.sqrt(squares.max()))
    assert residuals.point == teff.predicted[squares.argmax()]
