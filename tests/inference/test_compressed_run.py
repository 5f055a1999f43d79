"""Whole runs without pixels, compared with runs from pixels."""

import numpy as np

import mixjobs
from tests.inference.test_order_noise import job_of


def test_a_run_is_that_from_pixels(fit_store, tmp_path):
    """The same posterior within the Monte Carlo error, and what the run records."""
    runs = {}
    for likelihood in ("compressed", "exact"):
        job = job_of(tmp_path / likelihood, fit_store)
        sampling = job.sampling.model_copy(
            update={"likelihood": likelihood, "max_steps": 600, "checkpoint": 100}
        )
        runs[likelihood] = mixjobs.sample(
            job.model_copy(update={"sampling": sampling}), report=False
        )
    fast, slow = runs["compressed"].summary(), runs["exact"].summary()
    for name in fast.parameters:
        one, other = fast.parameters[name], slow.parameters[name]
        width = np.ptp(other.interval_68)
        size = min(fast.effective_size[name], slow.effective_size[name])
        assert abs(one.median - other.median) < 4 * width / np.sqrt(size)
    posterior = runs["compressed"].posterior
    assert posterior.attrs["compression"]
    assert "compression" not in runs["exact"].posterior.attrs
    assert posterior["log_likelihood"]["flux"].dims == ("chain", "draw", "order")
