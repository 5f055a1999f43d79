"""Moves within bounds: the map to an unbounded space, and the right distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.inference.convergence import assess
from mixjobs.inference.sampler import Box, run_ensembles
from tests.helpers.sampled import folder

INF = np.inf
BOX = Box(np.array([[4000.0, 7000.0], [0.0, 1.0], [-3.0, INF], [-INF, 2.0], [-INF, INF]]))
Z = st.lists(st.floats(-15, 15), min_size=5, max_size=5).map(lambda z: np.array([z]))


@given(z=Z)
def test_round_trip(z):
    x = BOX.from_space(z)
    assert (x >= BOX.bounds[:, 0]).all()
    assert (x <= BOX.bounds[:, 1]).all()
    np.testing.assert_allclose(BOX.to_space(x), z, atol=2e-5)


@given(z=Z)
def test_the_jacobian_is_that_of_the_map(z):
    h = 1e-4
    slopes = [
        (BOX.from_space(z + h * e) - BOX.from_space(z - h * e))[0, p] / (2 * h)
        for p, e in enumerate(np.eye(5))
    ]
    x = BOX.from_space(z)
    assert BOX.log_jacobian(x)[0] == pytest.approx(np.sum(np.log(slopes)), abs=1e-2)


def test_at_a_bound_and_beyond():
    """A value that rounds to a bound has no density, and does not affect the other values."""
    at = np.array([[4000.0, 1.0, -3.0, 2.0, 0.0], [5000.0, 0.5, 1e300, -1e300, 1e300]])
    assert BOX.log_jacobian(at)[0] == -INF
    assert np.isfinite(BOX.to_space(at)[0, [0, 1, 4]]).all()
    np.testing.assert_allclose(BOX.from_space(BOX.to_space(at))[1], at[1], rtol=1e-12)


def test_distribution_next_to_walls(tmp_path):
    """An exponential at a bound, a uniform density between two bounds, and a normal one."""

    def target(x):
        a, b, c = x.T
        inside = (a > 0) & (a < 1) & (b > 2) & (b < 3)
        return np.where(inside, -200 * a - c**2 / 2, -INF)[:, None]

    bounds = np.array([[0, 1], [2, 3], [-INF, INF]])
    run = folder(tmp_path / "run", names=["a", "b", "c"])
    rng = np.random.default_rng(1)
    start = np.array([0, 2, 0]) + np.array([0.01, 1, 1]) * rng.uniform(0.1, 0.9, (2, 20, 3))
    convergence = run_ensembles(target, run, start, bounds=bounds, checkpoint=100, max_steps=20000)
    assert convergence.converged
    positions = run.positions()[:, convergence.burn_in :]
    n = positions[..., 0].size / assess(run.positions()).max_tau
    samples = positions.reshape(-1, 3)
    expected, sd = np.array([1 / 200, 2.5, 0]), np.array([1 / 200, 12**-0.5, 1])
    assert (np.abs(samples.mean(axis=0) - expected) < 5 * sd / np.sqrt(n)).all()
    assert samples.std(axis=0) == pytest.approx(sd, rel=5 * np.sqrt(2 / n))
