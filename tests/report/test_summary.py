"""What ``mixjobs summary`` prints and tells, of a run that has ended and of one that has not."""

import json
import shutil
from argparse import Namespace

import numpy as np
import pytest

from mixjobs.cli.inspect import status
from mixjobs.cli.summary import summary
from mixjobs.errors import InvalidInput, MissingFile
from mixjobs.inference.posterior import read_posterior, write_posterior
from mixjobs.inference.run import POSTERIOR, SINGLE, RunFolder, read_chain
from mixjobs.report.summary import run_facts
from tests.helpers.finished_runs import STEPS, finished


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(finished().folder.path, tmp_path / "run")


def told(folder):
    return summary(Namespace(run=str(folder), json=True))


def test_a_run_that_has_ended(folder, capsys):
    facts = summary(Namespace(run=str(folder), json=False))
    out = " ".join(capsys.readouterr().out.split())
    assert facts["finished"]
    assert not facts["converged"]
    for said in (
        "teff_1", "vsini", "tied", "light_fraction_2", "(95 % upper limit; teff_2 ",
        "very strong evidence for 2 components", f"2 ensembles of 10 walkers, {STEPS} steps",
        "NOT CONVERGED: ",
    ):  # fmt: skip
        assert said in out
    assert "not finished" not in out


def test_the_facts_are_those_of_the_chain_and_the_posterior(folder):
    facts = told(folder)
    json.dumps(facts, allow_nan=False)
    chain, draws = read_chain(RunFolder.open(folder)), read_posterior(folder / POSTERIOR).posterior
    c = chain.positions[:, facts["burn"] :, :, 3].ravel()
    assert facts["parameters"]["c"]["median"] == np.median(c)
    assert facts["upper_limits"] == {"c": np.quantile(c, 0.95)}
    assert facts["orders"] == ["21", "22"]
    assert facts["by_order"]["q"][1]["median"] == np.median(draws["q"].values[..., 1])
    tied = facts["tied"]["vsini"]["of_68"]
    assert list(tied) == np.quantile(draws["vsini"], [0.16, 0.84]).tolist()
    assert facts["single"]["n_pixels"] == 139


def test_a_posterior_at_the_end_of_a_prior_is_told(folder):
    """But not of a fraction, whose line is the upper limit."""
    facts = told(folder)
    assert not any("the end of its prior" in note for note in facts["notes"])
    posterior = read_posterior(folder / POSTERIOR)
    for name, wide in (("teff_1", 100.0), ("c", 1.0)):
        median = facts["parameters"][name]["median"]
        posterior.posterior[name].attrs["prior_bounds"] = [median - wide, median]
    write_posterior(folder / POSTERIOR, posterior)
    median = facts["parameters"]["teff_1"]["median"]
    assert f"piled up at the end of its prior: teff_1 ({median:g}); " in told(folder)["notes"][-1]


def test_a_run_that_goes_on(folder, capsys):
    (folder / POSTERIOR).unlink()
    (folder / SINGLE).unlink()
    facts = summary(Namespace(run=str(folder), json=False))
    assert f"not finished: from the {STEPS} steps so far" in capsys.readouterr().out
    assert (facts["finished"], facts["single"], facts["by_order"]) == (False, None, {})


def test_a_posterior_of_fewer_steps_is_not_used(folder):
    """What is left when a run that had ended has gone on."""
    last = sorted((folder / "steps").iterdir())[-1]
    first, final = map(int, last.stem.split("_"))
    n = final - first + 1
    shutil.copy(last, last.with_name(f"{final + 1:08d}_{final + n:08d}.npz"))
    facts = told(folder)
    assert facts["n_steps"] == STEPS + n
    assert not facts["finished"]
    assert run_facts(RunFolder.open(folder)).tied == {}


def test_status_of_a_run_names_the_summary(folder):
    with pytest.raises(
        InvalidInput, match=f"a run folder, not a store; see mixjobs summary {folder}$"
    ):
        status(Namespace(store=str(folder), json=False))


def test_no_run_and_no_steps(tmp_path, folder):
    with pytest.raises(MissingFile, match="not a run folder"):
        told(tmp_path)
    for path in sorted((folder / "steps").iterdir())[1:]:
        path.unlink()
    with pytest.raises(MissingFile, match="no steps yet"):
        told(folder)
