"""The summary of a run as text and as numbers, before and after sampling has ended."""

import json
import shutil
from argparse import Namespace

import numpy as np
import pytest

import mixjobs
from mixjobs.cli.inspect import status
from mixjobs.cli.summary import summary
from mixjobs.errors import InvalidInput, MissingFile
from mixjobs.inference.posterior import read_posterior, write_posterior
from mixjobs.inference.run_folder import COMPARISON, POSTERIOR
from mixjobs.report.summary import truth_table
from tests.helpers.damage import rewrite
from tests.helpers.finished_runs import NOISE, STEPS, TRUTH, finished


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(finished().path, tmp_path / "run")


def numbers(folder):
    return summary(Namespace(run=str(folder), json=True))


def test_a_finished_run(folder, capsys):
    content = summary(Namespace(run=str(folder), json=False))
    out = " ".join(capsys.readouterr().out.split())
    assert content["finished"]
    assert not content["converged"]
    for text in (
        "teff_1", "vsini", "tied", "light_fraction_2", "; 95 % interval of teff_2: ",
        "difference in ln likelihood at the optima, 2 components minus 1: 100.0",
        "Bayes factor, one component over two: ln B < -6.0 (c -> 0: < -5.5, c -> 1: < -6.0)",
        f"2 ensembles of 10 walkers, {STEPS} steps", "NOT CONVERGED: ",
    ):  # fmt: skip
        assert text in out
    assert "unfinished" not in out
    assert "BIC" not in out


def test_data_and_store_are_not_opened(folder, tmp_path):
    notes = mixjobs.open_run(folder).folder.notes
    notes["job"]["store"] = str(tmp_path / "no.zarr")
    notes["job"]["spectra"][0]["file"] = str(tmp_path / "no.ecsv")
    rewrite(folder / "run.json", notes=notes)
    run = mixjobs.open_run(folder)
    assert str(run.summary()) == repr(run.summary())
    assert run.compare().difference == 100
    assert set(run.posterior.children) == {"posterior", "log_likelihood", "sample_stats"}
    with pytest.raises(MissingFile, match=r"no\.zarr"):
        _ = run.log_probability


def test_the_numbers_are_those_of_the_chain_and_the_posterior(folder):
    content = numbers(folder)
    json.dumps(content, allow_nan=False)
    chain = mixjobs.open_run(folder).chain
    draws = read_posterior(folder / POSTERIOR)["posterior"]
    c = chain.positions[:, content["burn_in"] :, :, 3].ravel()
    assert content["parameters"]["c"]["median"] == np.median(c)
    assert content["upper_limits"] == {"c": np.quantile(c, 0.95)}
    assert content["orders"] == ["21", "22"]
    assert content["by_order"]["q"][1]["median"] == np.median(draws["q"].values[..., 1])
    tied = content["tied"]["vsini"]["interval_68"]
    assert list(tied) == np.quantile(draws["vsini"], [0.16, 0.84]).tolist()
    assert content["comparison"]["n_pixels"] == 139
    assert content["comparison"]["ln_likelihood_difference"] == 100


def test_a_posterior_truncated_by_its_prior(folder):
    """Filling factors are not listed: they have an upper limit."""
    content = numbers(folder)
    assert not any("truncated by its prior" in note for note in content["notes"])
    posterior = read_posterior(folder / POSTERIOR)
    for name, width in (("teff_1", 100.0), ("c", 1.0)):
        median = content["parameters"][name]["median"]
        posterior["posterior"][name].attrs["prior_bounds"] = [median - width, median]
    write_posterior(folder / POSTERIOR, posterior)
    median = content["parameters"]["teff_1"]["median"]
    assert f"truncated by its prior: teff_1 (at {median:g}). " in numbers(folder)["notes"][-1]


def test_an_unfinished_run(folder, capsys):
    (folder / POSTERIOR).unlink()
    (folder / COMPARISON).unlink()
    content = summary(Namespace(run=str(folder), json=False))
    assert f"unfinished run: summary of the first {STEPS} steps" in capsys.readouterr().out
    assert (content["finished"], content["comparison"], content["by_order"]) == (False, None, {})


def test_a_posterior_of_fewer_steps_is_not_used(folder):
    """The old posterior remains while a finished run is resumed."""
    run = mixjobs.open_run(folder)
    with run.folder.locked():
        run.folder.write(STEPS + 1, run.folder.last_segment())
    run = mixjobs.open_run(folder)
    assert run.summary().n_steps == 2 * STEPS
    assert not run.summary().finished
    assert run.summary().tied == {}
    assert run.posterior.attrs["n_steps"] == 2 * STEPS  # made from the chain


def test_against_the_truth():
    run = finished()
    table = truth_table(run, TRUTH | NOISE)
    columns = [list(column.cells) for column in table.columns]
    assert columns[0] == list(run.names)
    assert columns[1] == [f"{(TRUTH | NOISE)[name]:g}" for name in run.names]
    assert all(abs(float(difference)) < 5 for difference in columns[4])


def test_status_of_a_run_names_the_summary(folder):
    with pytest.raises(InvalidInput, match=f"a run, not a store; .*mixjobs summary {folder}$"):
        status(Namespace(store=str(folder), json=False))


def test_no_run_and_no_steps(tmp_path, folder):
    with pytest.raises(MissingFile) as missing:
        numbers(tmp_path)
    assert missing.value.path == str(tmp_path)
    for path in sorted((folder / "steps").iterdir())[1:]:
        path.unlink()
    with pytest.raises(MissingFile, match="no steps yet"):
        numbers(folder)
