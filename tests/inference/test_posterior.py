"""The posterior of a run: its draws, its derived quantities, and its file."""

import json
import warnings

import numpy as np
import pytest
import xarray as xr
from astropy.table import Table

import mixjobs
from mixjobs.errors import InvalidInput, MissingFile, UnreadableFile
from mixjobs.inference.convergence import Convergence, assess
from mixjobs.inference.job import load_log_probability
from mixjobs.inference.posterior import (
    MAX_DRAWS,
    derived,
    kept_steps,
    light_of,
    make_posterior,
    order_labels,
    parameter_draws,
    read_posterior,
    write_posterior,
)
from mixjobs.inference.run import open_run
from mixjobs.inference.run_folder import POSTERIOR
from tests.helpers.finished_runs import (
    FIXED,
    ORDERS,
    TRUTH,
    begin_in,
    finished,
    job_in,
    spectrum_in,
)


@pytest.fixture(scope="module")
def run():
    return finished()


@pytest.fixture(scope="module")
def posterior(run):
    return read_posterior(run.folder.path / POSTERIOR)


@pytest.fixture(scope="module")
def chain(run):
    return run.chain


def by_hand(values, chain):
    """Draws of each ensemble, walker by walker, thinned and without the burn-in."""
    convergence = assess(chain.positions)
    rows = []
    for ensemble in values:
        rows.append([])
        for walker in range(ensemble.shape[1]):
            rows[-1] += list(ensemble[convergence.burn_in :: convergence.thinning, walker])
    return np.array(rows)


def test_draws_are_ordered_walker_by_walker(run, posterior, chain):
    for p, name in enumerate(run.folder.names):
        expected = by_hand(chain.positions[..., p], chain)
        assert posterior.posterior[name].dims == ("chain", "draw")
        assert posterior.posterior[name].values.tolist() == expected.tolist()
        assert np.median(posterior.posterior[name]) == np.median(expected.ravel())
    lp = by_hand(chain.log_probability, chain)
    assert posterior.sample_stats["lp"].values.tolist() == lp.tolist()
    walker, step = posterior.posterior["walker"].values, posterior.posterior["step"].values
    for draw in (0, 1, len(walker) - 1):
        expected = chain.positions[1, step[draw] - 1, walker[draw], 0]
        assert posterior.posterior["teff_1"].values[1, draw] == expected


def test_the_bounds_of_the_priors(run, posterior):
    for name, bounds in zip(run.folder.names, run.log_probability.parameters.bounds, strict=True):
        assert posterior.posterior[name].attrs["prior_bounds"].tolist() == bounds.tolist()
    assert posterior.posterior["teff_2"].attrs["prior_bounds"].tolist() == [4400, 6000]
    assert posterior.posterior["ln_noise"].attrs["prior_bounds"].tolist() == [-np.inf, np.inf]


def test_tied_and_fixed_parameters(posterior):
    draws = posterior.posterior
    np.testing.assert_allclose(draws["vsini"], draws["rv"] + 1, rtol=1e-14)
    assert "log_length" not in draws.data_vars
    assert json.loads(posterior.attrs["fixed"]) == {**FIXED, "log_length": 1.0}


def test_q_is_that_of_load_flux_ratio(run, posterior):
    """The library has one value of log g and of [Fe/H]."""
    draws = posterior.posterior
    ratio = mixjobs.load_flux_ratio(run.log_probability.plan.store)
    theta = [
        np.stack([draws[name].values, np.full(draws[name].shape, 4.5), 0 * draws[name].values], -1)
        for name in ("teff_1", "teff_2")
    ]
    np.testing.assert_allclose(draws["q"].values, ratio(*theta), rtol=1e-10)


def test_light_fractions(posterior):
    draws = posterior.posterior
    c, q = draws["c"].values[..., None], draws["q"].values
    fraction = draws["light_fraction_2"].values
    assert ((fraction > 0) & (fraction < 1)).all()
    np.testing.assert_allclose(fraction, c * q / (1 - c + c * q), rtol=1e-12)
    assert draws["q"].dims == ("chain", "draw", "order")


def test_likelihoods_and_the_prior_add_up(run, posterior):
    names = run.folder.names
    x = np.stack([posterior.posterior[name].values.ravel() for name in names], axis=1)
    prior = run.log_probability.parameters.log_prior(x)
    sums = posterior.sample_stats["log_likelihood"].values.ravel() + prior
    np.testing.assert_allclose(sums, posterior.sample_stats["lp"].values.ravel(), rtol=1e-12)
    expected = run.log_probability.by_order(x[:20])[:, 1:]
    got = posterior.log_likelihood["flux"].values.reshape(len(x), -1)[:20]
    np.testing.assert_allclose(got, expected, rtol=1e-10)
    assert posterior.log_likelihood["order"].values.tolist() == ["21", "22"]
    assert posterior.log_likelihood["number"].values.tolist() == [21, 22]
    assert posterior.log_likelihood["epoch"].values.tolist() == [1, 1]


def test_acceptance(posterior, chain):
    moved = np.repeat(chain.accepted[:, :, None], chain.positions.shape[2], axis=2) / 10
    rate = posterior.sample_stats["acceptance_rate"].values
    assert rate.tolist() == by_hand(moved, chain).tolist()


def test_attributes(run, posterior, chain):
    attrs, convergence = posterior.attrs, assess(chain.positions)
    assert json.loads(attrs["identity"]) == run.folder.identity
    assert json.loads(attrs["notes"]) == run.folder.notes
    assert (attrs["seed"], attrs["burn_in"], attrs["thinning"]) == (
        3,
        convergence.burn_in,
        convergence.thinning,
    )
    assert json.loads(attrs["tau"])["c"] == convergence.tau[:, run.folder.names.index("c")].tolist()
    assert {"mixjobs", "numpy", "emcee"} <= set(json.loads(attrs["versions"]))
    assert attrs["shortfall"] == convergence.shortfall != ""


def test_round_trip(run, posterior, tmp_path):
    made = make_posterior(run.folder, run.log_probability)
    write_posterior(tmp_path / "again.nc", made)
    again = read_posterior(tmp_path / "again.nc")
    assert made.equals(again)
    assert posterior.equals(again)
    assert again.attrs == made.attrs
    assert [path.name for path in tmp_path.iterdir()] == ["again.nc"]


def test_plain_xarray_reads_the_file(run, posterior):
    path = run.path / POSTERIOR
    with xr.open_datatree(path) as tree:
        assert set(tree.groups) == {"/", "/posterior", "/log_likelihood", "/sample_stats"}
        assert tree.equals(posterior)
        assert tree.attrs["n_steps"] == posterior.attrs["n_steps"]
    with xr.open_dataset(path, group="posterior") as draws:
        assert draws["q"].sel(order="22").dims == ("chain", "draw")


def test_arviz_reads_the_file(run, posterior):
    """With whichever version is installed: 0.23 gives an InferenceData, 1.x a DataTree."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 0.23 announces the next version
        arviz = pytest.importorskip("arviz", reason="ArviZ is optional, and not installed")
        data = arviz.from_netcdf(str(run.path / POSTERIOR))
        table = arviz.summary(data, var_names=list(run.names))
    assert list(table.index) == list(run.names)
    for group in ("posterior", "log_likelihood", "sample_stats"):
        for name, values in posterior[group].data_vars.items():
            assert data[group][name].values.tolist() == values.values.tolist()
    assert data.attrs["n_steps"] == posterior.attrs["n_steps"]


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(MissingFile) as missing:
        read_posterior(tmp_path / "no.nc")
    assert missing.value.path == str(tmp_path / "no.nc")
    (tmp_path / "half.nc").write_bytes(b"\x89HDF\r\n")
    with pytest.raises(UnreadableFile) as unreadable:
        read_posterior(tmp_path / "half.nc")
    assert unreadable.value.path == str(tmp_path / "half.nc")


@pytest.mark.parametrize(
    ("n_steps", "walkers", "tau"), [(9000, 32, 20.0), (90, 8, 3.0), (7, 9000, 1)]
)
def test_at_most_about_4000_draws(n_steps, walkers, tau):
    convergence = Convergence(
        n_steps, n_steps // 9, np.full((2, 1), tau), np.full((2, 1), tau), np.ones(1)
    )
    kept = kept_steps(convergence, (2, n_steps, walkers))
    assert kept[0] == convergence.burn_in
    assert kept[-1] < n_steps
    assert len(kept) == 1 or 2 * walkers * len(kept) <= MAX_DRAWS
    assert (np.diff(kept) >= convergence.thinning).all()


def test_q_without_light_of_component_2(run):
    model = run.log_probability.plan.load([0, 1]).epochs[0].model
    values = np.array([[TRUTH[name] for name in model.parameters]] * 2)
    values[:, model.parameters.index("c")] = 0.0, 0.3
    quantities = light_of(model, values)
    np.testing.assert_allclose(quantities["q"][0], quantities["q"][1], rtol=1e-12)
    assert quantities["light_fraction_2"][0].tolist() == [0, 0]


def test_three_components_with_a_blackbody(run):
    """Against fractions computed by hand."""
    store = run.log_probability.plan.store
    model = mixjobs.load_mixture(store, ["library", "library", "blackbody"])
    at = {
        "teff_1": 5700,
        "teff_2": 4700,
        "teff_3": 1500,
        "vsini": 1,
        "rv": 0,
        "c_2": 0.3,
        "c_3": 0.2,
    }
    values = np.array([[at[name] for name in model.parameters]])
    quantities = light_of(model, values)
    assert list(quantities) == ["q_2", "light_fraction_2", "q_3", "light_fraction_3", "veiling"]
    light = 0.5 + 0.3 * quantities["q_2"] + 0.2 * quantities["q_3"]
    np.testing.assert_allclose(quantities["light_fraction_3"], 0.2 * quantities["q_3"] / light)
    np.testing.assert_allclose(
        quantities["veiling"], 0.2 * quantities["q_3"] / (0.5 + 0.3 * quantities["q_2"])
    )
    black = mixjobs.load_flux_ratio(store, "blackbody")([5700, 4.5, 0], [1500, 4.5, 0])
    np.testing.assert_allclose(np.log(quantities["q_3"][0]), np.log(black), atol=0.5)


def test_each_epoch_has_its_own_orders(run):
    """The parameters of an epoch affect only its orders."""
    settings = {"vsini": 6.0, "log_length": 1.0}
    job = job_in(run.folder.path.parent, run.log_probability.plan.store, parameters=settings)
    (first,) = job.spectra
    table = Table.read(first.file)
    name = next(name for name in table.colnames if name.startswith("flux"))
    table[name] *= np.random.default_rng(2).normal(1, 0.01, len(table))
    second = run.folder.path.parent / "second.ecsv"
    table.write(second, overwrite=True)
    epochs = [first, first.model_copy(update={"file": str(second)})]
    logp = load_log_probability(job.model_copy(update={"spectra": epochs}))
    assert order_labels(logp.plan) == ["21_e1", "22_e1", "21_e2", "22_e2"]
    at = {"rv_e1": 5, "rv_e2": 6, "c_e1": 0.1, "c_e2": 0.6, "ln_noise": 0, "log_amplitude": -3}
    x = np.array([[(TRUTH | at)[name] for name in logp.names]])
    quantities = derived(logp, x)
    q = quantities["q"][0]
    np.testing.assert_allclose(q[:2], q[2:], rtol=1e-12)
    c = np.array([0.1, 0.1, 0.6, 0.6])
    np.testing.assert_allclose(
        quantities["light_fraction_2"][0], c * q / (1 - c + c * q), rtol=1e-12
    )
    draws = parameter_draws(logp.parameters, x)
    assert set(draws) == set(logp.names) == {*at, "teff_1", "teff_2"}
    assert {name: values.tolist() for name, values in draws.items()} == {
        name: [(TRUTH | at)[name]] for name in draws
    }


def test_a_run_of_other_data_is_refused(run, tmp_path):
    store = run.log_probability.plan.store
    assert [o.number for o in run.log_probability.plan.orders] == ORDERS.number.tolist()
    begun = begin_in(tmp_path, job_in(tmp_path, store))
    with pytest.raises(MissingFile, match="no steps"):
        _ = begun.chain
    (tmp_path / "star.ecsv").unlink()
    spectrum_in(tmp_path, store, seed=5)
    with pytest.raises(InvalidInput) as error:
        _ = open_run(begun.path).log_probability
    assert (error.value.name, error.value.path) == ("data", str(begun.path))
