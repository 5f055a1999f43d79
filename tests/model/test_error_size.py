"""The size of the interpolation error: a dense linear fit, and libraries of known roughness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import chebyshev
from scipy.stats import chi2

from mixjobs.interpolation import interpolation
from mixjobs.interpolation.cross_validation import axis_folds, stride_fold
from mixjobs.model.error_size import measured_factors, ratio_between_nodes, shift_ratios
from mixjobs.model.reference import ReferenceOrder, node_slopes, reference_fit
from tests.helpers.drawn import lattice

TEFF, FEH = np.arange(4000.0, 6100, 200), np.array([-0.5, -0.25, 0.0, 0.25, 0.5])
N_PIXELS = 80


def some_orders(weights):
    """Orders with random eigenspectra."""
    rng = np.random.default_rng(5)
    velocity = np.linspace(0, 600, N_PIXELS)
    return [
        ReferenceOrder(
            velocity,
            1 + 0.1 * np.sin(velocity / 40 + k),
            np.linalg.qr(rng.normal(size=(N_PIXELS, w.shape[1])))[0].T,
            w,
        )
        for k, w in enumerate(weights)
    ]


def smooth_weights(grid, n=3, order=0):
    """Weights that vary smoothly over the grid."""
    t, z = (grid.points[:, 0] - 5000) / 1000, grid.points[:, 1]
    return np.column_stack(
        [np.sin((0.5 + 0.4 * k) * t + order) + 0.3 * z * np.cos(t + k) for k in range(n)]
    )


def dense_shift(orders, weights_slopes, point, snr, errors):
    """Fit the error as data, by weighted least squares with the priors of the continuum as rows."""
    blocks, data = [], []
    n_orders, n = len(orders), len(weights_slopes) + 1
    first = 0
    for m, order in enumerate(orders):
        k = len(order.eigenspectra)
        spectrum = order.mean + order.weights[point] @ order.eigenspectra
        derivatives = np.empty((N_PIXELS, n))
        derivatives[:, :-1] = (weights_slopes[:, first : first + k] @ order.eigenspectra).T
        derivatives[:, -1] = -np.gradient(spectrum, order.velocity)
        place = np.linspace(-1, 1, N_PIXELS)
        continuum = np.zeros((N_PIXELS, 5 * n_orders))
        for j in range(5):
            continuum[:, 5 * m + j] = spectrum * chebyshev.chebval(place, np.eye(5)[j])
        blocks.append(snr * np.hstack([derivatives, continuum]))
        data.append(snr * (errors[first : first + k] @ order.eigenspectra))
        first += k
    prior = np.hstack([np.zeros((5 * n_orders, n)), np.eye(5 * n_orders)])
    design = np.vstack([*blocks, prior])
    target = np.concatenate([*data, np.zeros(5 * n_orders)])
    covariance = np.linalg.inv(design.T @ design)
    return (covariance @ design.T @ target)[:n], covariance[:n, :n]


def test_the_shift_and_its_covariance_are_those_of_a_dense_fit():
    grid = lattice(TEFF, FEH)
    weights = [smooth_weights(grid, 3), smooth_weights(grid, 2, order=1)]
    orders, values = some_orders(weights), np.hstack(weights)
    (slopes,) = node_slopes(grid, interpolation(grid, "cubic"), values, np.array([27]))
    error = np.random.default_rng(1).normal(size=5)
    for snr in (20, 300):
        fit = reference_fit(orders, slopes, 27, snr)
        shift, covariance = dense_shift(orders, slopes, 27, snr, error)
        np.testing.assert_allclose(
            np.linalg.solve(fit.information, fit.projection @ error), shift, rtol=1e-8
        )
        np.testing.assert_allclose(np.linalg.inv(fit.information), covariance, rtol=1e-8)


def test_the_ratio_is_that_of_dense_fits():
    grid = lattice(TEFF, FEH)
    weights = [smooth_weights(grid, 3), smooth_weights(grid, 2, order=1)]
    orders, values = some_orders(weights), np.hstack(weights)
    rng = np.random.default_rng(2)
    stated, errors = 0.1 * rng.normal(size=(6, 5)), rng.normal(size=(3, 5))
    points = np.array([12, 27, 33])
    slopes = node_slopes(grid, interpolation(grid, "cubic"), values, points)
    expected = []
    for snr in (100, 300):
        distances = []
        for point, slope, error in zip(points, slopes, errors, strict=True):
            shift, of_noise = dense_shift(orders, slope, point, snr, error)
            columns = np.array([dense_shift(orders, slope, point, snr, x)[0] for x in stated]).T
            covariance = columns @ columns.T + 0.01 * of_noise
            distances.append(shift @ np.linalg.inv(covariance) @ shift)
        expected.append(np.median(distances) / chi2.median(3))
    np.testing.assert_allclose(
        shift_ratios(grid, orders, stated, points, errors), expected, rtol=1e-6
    )


def test_slopes_of_a_polynomial_are_exact():
    grid = lattice(TEFF, FEH)
    t, z = grid.points.T
    points = np.arange(len(grid))
    slopes = node_slopes(
        grid, interpolation(grid, "cubic"), np.column_stack([(t / 1000) ** 2, t * z]), points
    )
    np.testing.assert_allclose(slopes[:, 0, 0], 2 * t / 1000**2 * 200, rtol=1e-3)
    np.testing.assert_allclose(slopes[:, 0, 1], 200 * z, atol=1e-6)
    np.testing.assert_allclose(slopes[:, 1, 1], 0.25 * t, rtol=1e-9)


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_a_stride_predicts_the_values_between(stride):
    grid = lattice(TEFF, FEH)
    fold = stride_fold(grid, 0, "cubic", stride)
    kept = TEFF[::stride]
    assert set(grid.points[fold.kept, 0]) == set(kept)
    assert set(grid.points[fold.predicted, 0]) == set(TEFF[kept[-1] >= TEFF]) - set(kept)
    linear = grid.points @ [[0.001], [2.0]]
    np.testing.assert_allclose(fold.errors(linear), 0, atol=1e-12)


@given(
    two=st.floats(1e-6, 1e6),
    smooth=st.floats(0, 1e3),
    growing=st.floats(0, 1e3),
    constant=st.floats(0, 1e3),
)
def test_two_terms_are_extrapolated_exactly(two, smooth, growing, constant):
    """Errors of the sixth and second power, or of the second and none, or of anything between."""
    for s, g, n in ((smooth, growing, 0.0), (0.0, growing, constant)):
        at = {h: s * h**6 + g * h**2 + n for h in (1, 2, 3)}
        assert ratio_between_nodes(at[2], at[3]) == pytest.approx(at[1], rel=1e-9)
    for three in (0.0, two, 3 * two, 1e9 * two):
        assert 1 / 64 * two * (1 - 1e-12) <= ratio_between_nodes(two, three) <= two


def noisy(grid, size):
    rng = np.random.default_rng(7)
    return [
        w + size * rng.normal(size=w.shape)
        for w in (smooth_weights(grid, 3), smooth_weights(grid, 2, 1))
    ]


def test_a_rough_library_has_a_larger_factor():
    """Rough from point to point, the error does not fall with the step."""
    grid = lattice(np.arange(4000.0, 6900, 200), FEH)
    axes = axis_folds(grid, "cubic")
    factors = [
        measured_factors(grid, axes, some_orders(noisy(grid, size))) for size in (0, 0.001, 0.05)
    ]
    assert [list(f) for f in factors] == [["teff"]] * 3
    smooth, _, rough = (f["teff"] for f in factors)
    assert smooth < 0.4
    assert 0.6 < rough < 1.5


def test_short_axes_and_other_methods_are_not_measured():
    grid = lattice(np.arange(4000.0, 5500, 200), FEH)
    weights = noisy(grid, 0)
    assert measured_factors(grid, axis_folds(grid, "cubic"), some_orders(weights)) == {}
    grid = lattice(TEFF, FEH)
    weights = noisy(grid, 0)
    assert measured_factors(grid, axis_folds(grid, "linear"), some_orders(weights)) == {}
