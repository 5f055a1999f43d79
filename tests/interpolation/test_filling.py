"""Holes that are filled from their neighbours."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mixjobs.grid import Grid
from mixjobs.interpolation import interpolation
from mixjobs.interpolation.cross_validation import make_folds
from mixjobs.interpolation.filling import _Axis, fill_holes
from tests.helpers.drawn import NAMES, anywhere, axes, lattice, seeds

METHODS = ("cubic", "linear", "simplex")
TEFF, LOGG, FEH = np.arange(3000.0, 3700.0, 100.0), np.arange(4.0, 6.1, 0.5), [-1.0, -0.5, 0.0]


def without(grid, *missing):
    return grid.take([i for i, p in enumerate(grid.points.tolist()) if tuple(p) not in missing])


def evaluate(method, values, theta):
    weights, valid = method.weights(theta)
    return weights @ method.prepare(values), valid


@st.composite
def holed(draw):
    """A product grid of two or three axes with a few holes, and random numbers."""
    values = draw(axes(3, min_length=3).filter(lambda v: sum(len(axis) > 1 for axis in v) > 1))
    rng = np.random.default_rng(draw(seeds))
    points = rng.permutation(lattice(*values).points)
    grid = Grid(points[rng.integers(1, 4) :], NAMES[: len(values)])
    assume(grid.is_product and len(grid.holes))
    return grid, rng


@pytest.mark.parametrize("method", METHODS)
@given(drawn=holed())
def test_filling_changes_no_bit_where_it_is_not_needed(method, drawn):
    grid, rng = drawn
    values, theta = rng.normal(size=(len(grid), 3)), anywhere(grid, rng, 40)
    filling = fill_holes(grid, values)
    refused, valid = evaluate(interpolation(grid, method), values, theta)
    filled, more_valid = evaluate(interpolation(grid, method, filling), values, theta)
    assert (more_valid | ~valid).all()
    assert (filled[valid] == refused[valid]).all()


@pytest.mark.parametrize("method", METHODS)
@given(drawn=holed())
def test_it_is_exact_at_filled_points_and_valid_around_them(method, drawn):
    grid, rng = drawn
    values = rng.normal(size=(len(grid), 2))
    filling = fill_holes(grid, values)
    at_points, valid = evaluate(interpolation(grid, method, filling), values, filling.points)
    assert valid.all()
    np.testing.assert_allclose(at_points, filling.extend(values)[len(grid) :], atol=1e-12)


@given(drawn=holed())
def test_cubic_has_a_continuous_gradient_around_filled_points(drawn):
    grid, rng = drawn
    values = rng.normal(size=(len(grid), 1))
    filling = fill_holes(grid, values)
    assume(len(filling))
    method = interpolation(grid, "cubic", filling)
    step = np.array([np.diff(axis).min() if len(axis) > 1 else 0.0 for axis in grid.axes])
    d = rng.choice(grid.free)
    on_face = np.clip(
        rng.choice(filling.points) + 0.9 * step * rng.uniform(-1, 1, len(step)),
        grid.points.min(axis=0), grid.points.max(axis=0),
    )  # fmt: skip
    on_face[d] = rng.choice(grid.axes[d][1:-1] if len(grid.axes[d]) > 2 else grid.axes[d])
    along = 1e-4 * step * (np.arange(len(step)) == d)
    theta = on_face + np.array([-2, -1, 0, 1, 2])[:, None] * along
    result, valid = evaluate(method, values, theta)
    assume(valid.all())
    left, right = result[1, 0] - result[0, 0], result[4, 0] - result[3, 0]
    size = np.abs(method.prepare(values)).max() * max(1.0, step[d])
    assert abs(result[2, 0] - result[1, 0] - left) < 1e-5 * size  # the value does not jump
    assert abs(left - right) < 1e-5 * size  # nor does the slope


@given(drawn=holed())
def test_a_linear_function_is_filled_exactly(drawn):
    grid, rng = drawn
    slopes = rng.normal(size=(len(grid.names), 2))
    scale = np.ptp(grid.points, axis=0) + (np.ptp(grid.points, axis=0) == 0)
    filling = fill_holes(grid, rng.normal(size=(len(grid), 1)))
    np.testing.assert_allclose(filling.weights.sum(axis=1), 1.0, atol=1e-9)
    filled = filling.extend(grid.points / scale @ slopes)[len(grid) :]
    np.testing.assert_allclose(filled, filling.points / scale @ slopes, atol=1e-8)


@given(drawn=holed())
def test_holes_are_filled_exactly_where_an_axis_has_points_on_both_sides(drawn):
    """And where a known point can be left out across the same gap, which is tested here."""
    grid, rng = drawn
    filling = fill_holes(grid, rng.normal(size=(len(grid), 1)))
    filled = set(map(tuple, filling.points.tolist()))
    assert filled | set(map(tuple, filling.remaining.tolist())) == set(
        map(tuple, grid.holes.tolist())
    )
    on_lines = [gap_at(grid, hole, d) for hole in filling.points for d in grid.free]
    assert sum(gap is not None for gap in on_lines) >= len(filled)
    for hole in filling.remaining:
        for d in grid.free:
            gap = gap_at(grid, hole, d)
            assert gap is None or not any(has_ends(grid, p, d, *gap) for p in grid.points)


def values_on_line(grid, theta, d):
    same = (np.delete(grid.points, d, 1) == np.delete(theta, d)).all(axis=1)
    return np.isin(grid.axes[d], grid.points[same, d])


def gap_at(grid, theta, d):
    """Missing values on both sides of a hole along a parameter, or None at an end."""
    known, i = values_on_line(grid, theta, d), int(np.searchsorted(grid.axes[d], theta[d]))
    if not known[:i].any() or not known[i + 1 :].any():
        return None
    return int(known[:i][::-1].argmax()), int(known[i + 1 :].argmax())


def has_ends(grid, theta, d, below, above):
    known, i = values_on_line(grid, theta, d), int(np.searchsorted(grid.axes[d], theta[d]))
    left, right = i - 1 - below, i + 1 + above
    return left >= 0 and right < len(known) and bool(known[left] and known[right])


def test_along_an_axis_the_rule_is_that_of_the_cubic():
    """Leaving out an axis value of a complete grid gives the same predictions."""
    grid = lattice([3000, 3200, 3500, 3600, 3700, 3750], LOGG)
    values = np.random.default_rng(1).normal(size=(len(grid), 2))
    for d in grid.free:
        errors = _Axis.of(grid, d).errors(0, 0, values)
        folds = list(make_folds(grid, d, "cubic"))
        assert folds
        for fold in folds:
            np.testing.assert_allclose(errors[fold.predicted], fold.errors(values), atol=1e-12)
        n_predicted = sum(len(fold.predicted) for fold in folds)
        assert np.isfinite(errors).all(axis=1).sum() == n_predicted


def smooth(points, rough=0.0, seed=0):
    """A function that is smooth along teff and log g; `rough` adds noise between values of teff."""
    x, y = (points[:, 0] - 3300) / 400, points[:, 1] - 5
    noise = np.random.default_rng(seed).normal(size=len(TEFF))
    of_teff = rough * noise[np.searchsorted(TEFF, points[:, 0])]
    return np.stack([np.sin(x) + np.sin(2 * y) + of_teff, np.cos(x + y) + of_teff], axis=1)


def test_the_axis_that_predicts_known_points_better_has_the_larger_weight():
    grid = without(lattice(TEFF, LOGG), (3300.0, 5.0))
    shares = []
    for rough in (0.0, 0.5):
        filling = fill_holes(grid, smooth(grid.points, rough))
        along_teff = grid.points[filling.rows[0], 1] == 5.0
        shares.append(filling.weights[0][along_teff].sum())
    assert shares[0] > 0.9  # along log g the step is larger
    assert shares[1] < 0.1


@pytest.mark.parametrize("rough", [0.0, 0.1])
def test_the_error_is_that_of_points_that_are_missing(rough):
    """The estimate is compared with the errors at every inner point, left out and filled."""
    full = lattice(TEFF, LOGG)
    truth = smooth(full.points, rough)
    errors, estimates = [], []
    for row in range(len(full)):
        kept = np.delete(np.arange(len(full)), row)
        filling = fill_holes(full.take(kept), truth[kept])
        if len(filling) and 0 < full.index[row, 0] < 6 and 0 < full.index[row, 1] < 4:
            errors.append(np.abs(filling.extend(truth[kept])[-1] - truth[row]))
            estimates.append(filling.error[0])
    median, percentile = np.mean(estimates, axis=0)
    assert median == pytest.approx(np.median(errors), rel=0.5)
    assert percentile == pytest.approx(np.quantile(errors, 0.95), rel=0.5)


def test_a_wider_gap_has_a_larger_error():
    one = without(lattice(TEFF, LOGG), (3300.0, 4.0))  # an edge in log g: filled along teff only
    two = without(one, (3400.0, 4.0))
    errors = [fill_holes(grid, smooth(grid.points)).error.max(axis=0) for grid in (one, two)]
    assert (errors[1] > 2 * errors[0]).all()


def test_points_beyond_the_last_spectrum_stay_holes():
    grid = without(lattice(TEFF, LOGG), (3000.0, 4.0), (3600.0, 5.0), (3600.0, 5.5), (3300.0, 4.0))
    filling = fill_holes(grid, smooth(grid.points))
    # (3600, 5) and (3600, 5.5) have spectra above and below along log g
    assert sorted(filling.points.tolist()) == [[3300.0, 4.0], [3600.0, 5.0], [3600.0, 5.5]]
    assert filling.remaining.tolist() == [[3000.0, 4.0]]
    _, valid = interpolation(grid, "cubic", filling).weights(np.array([[3050.0, 4.2]]))
    assert not valid.any()


def test_a_hole_whose_error_cannot_be_measured_stays_a_hole():
    """No known point has grid points at both ends of a gap of two along teff."""
    grid = without(
        lattice([3000.0, 3100.0, 3200.0, 3300.0], [4.0, 4.5, 5.0]),
        (3100.0, 4.0), (3200.0, 4.0), (3000.0, 4.5), (3300.0, 5.0),
    )  # fmt: skip
    assert grid.is_product
    assert len(fill_holes(grid, np.zeros((len(grid), 1)))) == 0
    less = without(
        lattice([3000.0, 3100.0, 3200.0, 3300.0], [4.0, 4.5, 5.0]), (3100.0, 4.0), (3200.0, 4.0)
    )
    assert len(fill_holes(less, np.zeros((len(less), 1)))) == 2


def test_a_complete_grid_and_a_filling_of_nothing_change_nothing():
    grid = lattice(TEFF, LOGG, FEH)
    values = np.random.default_rng(3).normal(size=(len(grid), 1))
    filling = fill_holes(grid, values)
    assert len(filling) == 0
    assert filling.grid.points.tolist() == grid.points.tolist()
    assert (filling.extend(values) == values).all()
    prepared = interpolation(grid, "cubic", filling).prepare(values)
    assert (prepared == interpolation(grid, "cubic").prepare(values)).all()


def test_the_fluxes_of_grid_points_keep_their_bits():
    grid = without(lattice(TEFF, LOGG), (3300.0, 5.0))
    mean_flux = np.exp(smooth(grid.points)).T
    filling = fill_holes(grid, np.log(mean_flux).T)
    extended = filling.extend_flux(mean_flux)
    assert (extended[:, :-1] == mean_flux).all()
    np.testing.assert_allclose(
        np.log(extended[:, -1]), filling.extend(np.log(mean_flux).T)[-1], atol=1e-12
    )


def test_the_sequence_of_the_points_does_not_matter():
    grid = without(lattice(TEFF, LOGG, FEH), (3300.0, 5.0, -0.5), (3400.0, 5.0, -0.5))
    values = smooth(grid.points)
    shuffled = np.random.default_rng(2).permutation(len(grid))
    first = fill_holes(grid, values)
    second = fill_holes(Grid(grid.points[shuffled], grid.names), values[shuffled])
    assert first.points.tolist() == second.points.tolist()
    np.testing.assert_allclose(
        first.extend(values)[len(grid) :], second.extend(values[shuffled])[len(grid) :], atol=1e-12
    )
