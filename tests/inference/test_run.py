"""The class `Run`."""

import shutil

import numpy as np
import pytest
from matplotlib.figure import Figure

import mixjobs
from mixjobs.inference.run_folder import COMPARISON, POSTERIOR
from tests.helpers.finished_runs import ENSEMBLES, STEPS, finished


@pytest.fixture(scope="module")
def run():
    return mixjobs.open_run(finished().path)


def test_repr(run):
    text = repr(run)
    assert text.startswith("<Run>")
    for fact in (str(run.path), "teff_1, teff_2", f"{ENSEMBLES} ensembles of "):
        assert fact in text
    assert len(text) < 600
    assert f"<td style='text-align:left'>{STEPS}</td>" in run._repr_html_()


def test_repr_of_the_chain(run):
    assert f"steps       {STEPS}" in repr(run.chain)
    assert len(repr(run.chain)) < 200


def test_summary_prints_as_a_table(run):
    summary = run.summary()
    assert "│ teff_1" in str(summary)
    assert repr(summary) == str(summary)
    assert summary._repr_html_().startswith("<pre>")
    assert summary.parameters["c"].median == np.median(
        run.chain.positions[:, summary.burn_in :, :, run.names.index("c")]
    )


def test_the_best_sample_has_the_highest_log_probability(run):
    highest = run.chain.log_probability.max()
    assert run.log_probability(run.chain.best()) == pytest.approx(highest, rel=1e-12)


def test_a_comparison_that_is_not_stored(tmp_path):
    folder = shutil.copytree(finished().path, tmp_path / "run")
    (folder / COMPARISON).unlink()
    run = mixjobs.open_run(folder)
    comparison = run.compare()
    assert comparison.n_pixels == 139
    assert comparison.difference > 10
    assert not (folder / COMPARISON).exists()


def test_a_posterior_that_is_not_stored(run, tmp_path):
    folder = shutil.copytree(run.path, tmp_path / "run")
    (folder / POSTERIOR).unlink()
    posterior = mixjobs.open_run(folder).posterior
    assert posterior.equals(run.posterior)
    assert "not yet" in repr(mixjobs.open_run(folder))


def test_plots(run):
    n = len(run.names)
    assert (run.plot.corner().shape, run.plot.traces().shape) == ((n, n), (n, ENSEMBLES))
    corner, traces = run.plot.corner(["c", "teff_2"]), run.plot.traces(["c"])
    assert (corner.shape, traces.shape) == ((2, 2), (1, ENSEMBLES))
    assert traces[0, 0].get_ylabel() == "c"
    assert run.plot.fits().shape == (2, 2)  # data and residuals of both orders
    figures = run.plot.all()
    assert list(figures) == ["corner", "traces", "fit_orders_21_to_22"]
    assert all(isinstance(figure, Figure) for figure in figures.values())


def test_the_repr_of_a_run_says_whether_it_has_converged():
    run = finished()
    assert run._facts()["converged"] == "no; see summary()"
    assert run._facts()["sampler"].startswith("2 ensembles of ")
