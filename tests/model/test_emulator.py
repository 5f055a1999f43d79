"""The emulator: components against a plain SVD, held-out errors against plain prediction."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.builder.emulator import EmulatorSettings
from mixjobs.grid import Grid
from mixjobs.interpolation.cross_validation import doubled_step_factor, held_out_axes, rms
from mixjobs.model.emulator import decompose, emulator_error, held_out_spectra
from mixjobs.model.flux_ratio import flux_ratio
from mixjobs.orders import Orders
from mixjobs.wavelengths import LogGrid

GRID = LogGrid(8.5, 1e-5, 60)


def spectra(n_points: int, n_pixels: int = 60, decay: float = 0.5, seed: int = 0) -> np.ndarray:
    """Random spectra with mean 1 and principal components that fall off."""
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(min(n_points, n_pixels), n_pixels))
    sizes = 0.1 * decay ** np.arange(len(shapes))
    return 1 + rng.normal(size=(n_points, len(shapes))) * sizes @ shapes


def emulate(matrix: np.ndarray, accuracy: EmulatorSettings = EmulatorSettings()):  # noqa: B008
    grid = LogGrid(8.5, 1e-5, matrix.shape[1])
    return decompose(matrix.copy(), grid, grid.wavelength, accuracy)


@pytest.mark.parametrize("n_points", [12, 300])  # a full SVD, and the leading components alone
def test_components_are_those_of_a_plain_svd(n_points):
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
def test_what_is_stated_is_what_is_reached(n_points, decay, seed):
    matrix = spectra(n_points, decay=decay, seed=seed)
    emulator = emulate(matrix)
    left = matrix - emulator.mean - emulator.weights @ emulator.eigenspectra
    assert np.abs(left).max() == pytest.approx(emulator.max_residual, abs=1e-12)
    np.testing.assert_allclose(
        np.sqrt((left**2).mean(axis=1)), emulator.reconstruction_error, atol=1e-8
    )
    variance = 1 - (left**2).sum() / ((matrix - matrix.mean(axis=0)) ** 2).sum()
    assert variance == pytest.approx(emulator.explained_variance, abs=1e-10)
    assert emulator.explained_variance >= 0.999 - 1e-12
    assert emulator.max_residual <= 0.02


@given(st.integers(0, 100))
def test_no_component_too_many(seed):
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
    assert limited.max_residual > 0.02  # and says so


@pytest.mark.parametrize("n_points", [5, 300])
def test_spectra_that_are_all_alike_have_a_component_that_adds_nothing(n_points):
    emulator = emulate(np.ones((n_points, 400)))
    assert emulator.rank == 1
    assert emulator.max_residual == pytest.approx(0, abs=1e-15)


def lattice(*axes) -> Grid:
    return Grid(np.array(list(product(*axes)), dtype=float), ("teff", "logg", "feh")[: len(axes)])


@pytest.mark.parametrize("method", ["cubic", "linear", "simplex"])
def test_held_out_values_are_those_that_the_rest_of_the_grid_predicts(method):
    """Against q itself: one dropped value, predicted by the flux ratio of the kept points."""
    grid = lattice([3000, 3200, 3500, 3600, 3700], [3, 4, 4.5, 5])
    grid = grid.take([i for i in range(len(grid)) if i != 19])  # a hole
    log_mean = np.random.default_rng(1).normal(size=len(grid))
    orders = Orders.from_edges([5000, 5100])
    for axis in held_out_axes(grid, method):
        d = grid.names.index(axis.name)
        expected = {}
        for value in grid.axes[d][1:-1]:
            kept = np.flatnonzero(grid.points[:, d] != value)
            ratio = flux_ratio(
                grid.take(kept), orders, np.exp(log_mean[kept])[None], method, outside="nan"
            )
            for row in np.flatnonzero(grid.points[:, d] == value):
                found = np.log(ratio(grid.points[kept[0]], grid.points[row])[0]) + log_mean[kept[0]]
                if np.isfinite(found):
                    expected[row] = found - log_mean[row]
        assert sorted(axis.rows) == sorted(expected)
        errors = axis.errors(log_mean[:, None])[:, 0]
        np.testing.assert_allclose(errors, [expected[row] for row in axis.rows], atol=1e-12)


def test_held_out_residuals_are_those_over_the_pixels():
    grid = lattice(np.arange(3000, 3800, 100), [4, 4.5, 5])
    matrix = spectra(len(grid), decay=0.8)
    emulator = emulate(matrix, EmulatorSettings(rank=6))
    (teff, logg) = held_out_axes(grid, "cubic")
    predicted = emulator.weights[teff.rows] + teff.errors(emulator.weights)
    left = emulator.mean + predicted @ emulator.eigenspectra - matrix[teff.rows]
    found = held_out_spectra([teff, logg], emulator)[0]
    squares = (left**2).mean(axis=1)
    assert found.rms == pytest.approx(np.sqrt(squares.mean()))
    assert found.worst == pytest.approx(np.sqrt(squares.max()))
    assert found.point == teff.rows[squares.argmax()]


def test_the_error_is_the_scaled_sum_over_the_axes():
    grid = lattice(np.arange(3000, 3800, 100), [4, 4.5, 5])
    rng = np.random.default_rng(2)
    weights, log_mean = rng.normal(size=(len(grid), 3)), rng.normal(size=len(grid))
    axes = held_out_axes(grid, "cubic")
    error = emulator_error(axes, weights, log_mean)
    assert error.factors["logg"] == pytest.approx(0.6374 / 8, rel=1e-3)  # three values
    expected = np.zeros((3, 3))
    for axis in axes:
        errors = axis.errors(weights)
        expected += error.factors[axis.name] ** 2 * np.mean(
            [np.outer(row, row) for row in errors], axis=0
        )
    np.testing.assert_allclose(np.diag(error.covariance), np.diag(expected))
    np.testing.assert_allclose(error.covariance[0, 1], expected[0, 1] / 2)
    assert np.linalg.eigvalsh(error.covariance).min() > 0
    assert error.log_mean > 0


def test_the_factor_is_measured_on_long_axes():
    def measured(function):
        grid = lattice(np.arange(3000.0, 5100.0, 100.0))
        values = function(grid.points / 1000)
        (axis,) = held_out_axes(grid, "cubic")
        return axis.factor(values, axis.errors(values))

    assert measured(np.sin) < 0.64 / 8  # smooth: the edges are of third order, the rest of fourth
    rough = measured(lambda x: np.random.default_rng(0).normal(size=x.shape))
    assert 0.4 < rough < 0.64  # rough: a smaller step gains nothing
    assert doubled_step_factor("linear", 9, 0.25, 1.0) == pytest.approx(0.7303 / 4, rel=1e-3)


def test_an_axis_of_two_values_adds_nothing():
    grid = lattice([3000, 3100], [4, 4.5, 5])
    axes = held_out_axes(grid, "cubic")
    assert [axis.name for axis in axes] == ["logg"]
    assert rms(np.array([[3.0, 4.0]])) == 5
