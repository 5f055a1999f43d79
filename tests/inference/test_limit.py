"""Upper limits on c against Teff_2, compared with quadrature."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import xarray
from distributed import Client, LocalCluster

import mixjobs
from mixjobs.errors import InvalidInput
from mixjobs.inference import limit, posterior
from mixjobs.inference.job import load_free_log_probability
from mixjobs.inference.limit import (
    LIMIT,
    MIN_DRAWS,
    N_SLICES,
    LimitCurve,
    LimitSlice,
    is_detected,
    limit_curve,
    with_limit,
)
from mixjobs.inference.priors import Uniform
from mixjobs.inference.sampler import short_chain
from mixjobs.inference.segments import Chain
from tests.helpers.finished_runs import finished, job_in
from tests.helpers.toy_mixture import CONSTRAINT, HIGH, LOW, PRIORS, Toy, ToyLogProbability

SINGLE = Toy((0.0, 5800.0, 5800.0), 0.03, PRIORS, (CONSTRAINT,))
CENTRES = LOW + (HIGH - LOW) * (np.arange(N_SLICES) + 0.5) / N_SLICES


def limit_at(toy, teff_2):
    """The 95 % upper limit on c at one Teff_2, by quadrature."""
    c = (np.arange(2000) + 0.5) / 2000
    teff_1 = LOW + (HIGH - LOW) * (np.arange(3000) + 0.5) / 3000
    if toy.constraints:
        teff_1 = teff_1[teff_1 > teff_2]
    density = np.exp(toy.ln_likelihood(c[:, None], teff_1, teff_2)).sum(axis=1)
    return np.interp(0.95, np.cumsum(density) / density.sum(), c)


def chain_of(draws, n):
    """A chain of n draws, in the order of the toy's parameters."""
    x = np.stack([draws.teff_1, draws.teff_2, draws.c], axis=1)
    x = x[: min(n, len(x)) // 16 * 16]
    positions = x.reshape(2, -1, 8, 3)
    return Chain(positions, positions[..., 0], positions[..., :1], np.full(positions.shape[:2], 8))


@pytest.fixture
def logp(monkeypatch):
    """The log-probability of the toy; component 2 is half as bright as component 1."""

    def light(log_probability, x):
        c = x[:, log_probability.names.index("c")]
        return {"light_fraction_2": np.stack([0.5 * c / (1 - 0.5 * c)], axis=1)}

    monkeypatch.setattr(limit, "_teff_range", lambda _: (LOW, HIGH))
    monkeypatch.setattr(posterior, "derived", light)
    return ToyLogProbability.of(SINGLE)


def test_slices_agree_with_quadrature(logp):
    curve = limit_curve(logp, chain_of(SINGLE.draws(2_000_000), 40_000), seed=1)
    assert not curve.detected
    assert curve.half_width == 75
    np.testing.assert_allclose([s.teff_2 for s in curve.slices], CENTRES)
    with_draws = [s for s in curve.slices if s.n_draws >= MIN_DRAWS and not s.sampled_again]
    assert len(with_draws) > 4
    for s in with_draws:
        truth = limit_at(SINGLE, s.teff_2)
        assert s.c == pytest.approx(truth, rel=0.15, abs=0.01)
        assert s.light_fraction_2[0] == pytest.approx(0.5 * s.c / (1 - 0.5 * s.c), rel=0.1)


def test_slices_that_are_sampled_again_agree_with_quadrature(logp, monkeypatch):
    """With few draws, all slices need their own chains."""
    monkeypatch.setattr(limit, "_MIN_STEPS", 300)
    curve = limit_curve(logp, chain_of(SINGLE.draws(1_000_000), 1600), seed=1)
    again = [s for s in curve.slices if s.sampled_again]
    assert len(again) > 5
    for s in again:
        assert s.teff_2 < 5900
        assert s.c == pytest.approx(limit_at(SINGLE, s.teff_2), rel=0.2, abs=0.01)
        assert s.n_draws > 20
    excluded = [s for s in curve.slices if np.isnan(s.c)]  # the star is cooler than they are
    assert excluded
    assert min(s.teff_2 for s in excluded) > 5700
    assert all(s.n_draws == 0 and np.isnan(s.light_fraction_2[0]) for s in excluded)


def test_it_depends_only_on_the_chain_and_the_seed(logp):
    chain = chain_of(SINGLE.draws(300_000), 1600)
    first, second, other = (limit_curve(logp, chain, seed) for seed in (1, 1, 2))
    assert repr(first) == repr(second) != repr(other)


def test_a_detected_component_is_not_sampled_again(logp):
    double = Toy((0.3, 6000.0, 4500.0), 0.05, PRIORS, (CONSTRAINT,))
    curve = limit_curve(ToyLogProbability.of(double), chain_of(double.draws(), 20_000), seed=1)
    assert curve.detected
    assert not any(s.sampled_again for s in curve.slices)


@pytest.mark.parametrize("name", ["c", "teff_2"])
def test_models_without_a_curve(logp, name):
    chain = chain_of(SINGLE.draws(100_000), 160)
    assert limit_curve(logp.fix(name, {"c": 0.1, "teff_2": 4500.0}[name]), chain, seed=1) is None


@pytest.mark.parametrize("low", [0.0, 0.2])
def test_a_prior_that_excludes_0_has_no_curve(logp, low):
    """Its posterior excludes 0 too, so c would count as detected."""
    double = Toy((0.5, 6000.0, 4500.0), 0.3, PRIORS | {"c": Uniform(low, 0.9)}, (CONSTRAINT,))
    draws = double.draws(200_000)
    curve = limit_curve(ToyLogProbability.of(double), chain_of(draws, 20_000), seed=1)
    assert is_detected(draws.c) == (curve is None) == (low > 0)


def test_the_short_chain_samples_its_target():
    def normal(x):
        return -0.5 * (x**2).sum(axis=1)

    start = np.random.default_rng(0).normal(size=(10, 2))
    bounds = np.array([[-np.inf, np.inf], [0.0, np.inf]])
    start[:, 1] = np.abs(start[:, 1])

    def half_normal(x):
        return np.where(x[:, 1] > 0, normal(x), -np.inf)

    x = short_chain(
        half_normal, start, half_normal(start), bounds=bounds, n_steps=4000, seed=[1, 2]
    )[500:].reshape(-1, 2)
    assert x[:, 0].std() == pytest.approx(1, abs=0.08)
    assert x[:, 1].mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.08)


RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("c", "detected"),
    [
        (RNG.random(10_000), False),
        (RNG.exponential(0.01, 10_000), False),
        (np.concatenate([RNG.exponential(0.02, 5000), 1 - RNG.exponential(0.02, 5000)]), False),
        (np.abs(RNG.normal(0.01, 0.01, 10_000)), False),
        (RNG.normal(0.36, 0.02, 10_000), True),
        (RNG.normal(0.03, 0.01, 10_000), True),
    ],
)
def test_detection(c, detected):
    assert is_detected(c) == detected


# -- in a run -------------------------------------------------------------------------------------

CURVE = LimitCurve(
    (
        LimitSlice(4500.0, 0.05, (0.02, 0.03), 900, False),
        LimitSlice(4700.0, 0.1, (0.05, 0.06), 250, True),
        LimitSlice(5900.0, np.nan, (np.nan, np.nan), 0, False),
    ),
    75.0,
    detected=False,
)


def test_round_trip_through_a_file(tmp_path):
    run = finished()
    tree = with_limit(run.posterior, CURVE)
    assert set(tree.children) == {*run.posterior.children, LIMIT}
    posterior.write_posterior(tmp_path / "posterior.nc", tree)
    read = posterior.read_posterior(tmp_path / "posterior.nc")
    assert repr(LimitCurve.of_posterior(read)) == repr(CURVE)
    plain = xarray.open_datatree(tmp_path / "posterior.nc")[LIMIT]
    assert plain["light_fraction_2"].sel(order="22", teff_2=4700).item() == 0.06
    assert (plain.attrs["level"], plain.attrs["half_width"]) == (0.95, 75)
    plain.close()
    assert LimitCurve.of_posterior(run.posterior) is None


@pytest.fixture(scope="module")
def single_run(tmp_path_factory):
    """A job of a single star, as if it were two components: a few steps, and its run."""
    folder = tmp_path_factory.mktemp("single")
    store = finished().log_probability.plan.store
    job = job_in(
        finished().path.parent, store, output=str(folder / "run"),
        parameters={"vsini": 6.0, "rv": 5.0, "log_amplitude": -2.5, "log_length": 1.0,
                    "ln_noise": 0.0, "teff_2": {"uniform": [4400, 6000]}, "teff_1": 5700.0,
                    "c": {"uniform": [0, 0.001]}},
        sampling={"walkers": 8, "max_steps": 60, "checkpoint": 30},
    )  # fmt: skip
    return job, mixjobs.sample(job, report=False)


def test_a_run_has_its_curve(single_run):
    _, run = single_run
    curve = LimitCurve.of_posterior(run.posterior)
    assert len(curve.slices) == N_SLICES
    assert not curve.detected
    assert all(0 < s.c < 0.001 for s in curve.slices if np.isfinite(s.c))
    summary = run.summary()
    assert repr(summary.limit) == repr(curve.slices)
    assert "95 % upper limits at each teff_2" in str(summary)
    assert summary.to_dict()["limit"][0]["teff_2"] == curve.slices[0].teff_2
    panels = run.plot.limit()
    assert panels[0].get_ylabel() == "c, 95 % upper limit"
    assert "limit" in run.plot.all()
    with pytest.raises(InvalidInput, match="no limits against teff_2"):
        finished().plot.limit()


def test_a_resumed_run_has_the_same_curve(single_run, tmp_path):
    job, run = single_run
    folder = shutil.copytree(run.path, tmp_path / "run")
    for name in ("steps/00000031_00000060.npz", "posterior.nc"):
        (folder / name).unlink()
    other = job.model_copy(update={"output": str(folder)})
    resumed = mixjobs.sample(other, report=False, resume=True)
    assert resumed.posterior[LIMIT].identical(run.posterior[LIMIT])


def test_workers_give_the_same_curve(single_run):
    job, run = single_run
    with (
        LocalCluster(2, processes=False, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        distributed = load_free_log_probability(job, client)
        curve = limit_curve(distributed, run.chain, job.seed)
    assert repr(curve.slices) == repr(run.summary().limit)
    assert any(s.sampled_again for s in curve.slices)


def test_a_blackbody_as_component_2():
    path = finished().path.parent
    settings = {"vsini": 6.0, "rv": 5.0, "log_amplitude": -2.5, "log_length": 1.0,
                "ln_noise": 0.0, "teff_1": 5700.0, "teff_2": {"uniform": [1000, 9000]}}  # fmt: skip
    job = job_in(
        path, finished().log_probability.plan.store, parameters=settings,
        model={"components": ["library", "blackbody"]},
    )  # fmt: skip
    free = load_free_log_probability(job)
    x = free.parameters.draw(np.random.default_rng(1), 800)
    positions = x.reshape(2, 50, 8, -1)
    ln_p = free(x).reshape(2, 50, 8)
    curve = limit_curve(free, Chain(positions, ln_p, ln_p[..., None], np.ones((2, 50))), seed=1)
    assert all(s.sampled_again and 0 < s.c < 1 for s in curve.slices)
    assert curve.slices[0].teff_2 == pytest.approx(1000 + 8000 / 24, abs=30)


def test_a_curve_of_a_detected_component_is_not_in_the_summary(tmp_path, single_run):
    _, run = single_run
    detected = with_limit(run.posterior, replace(CURVE, detected=True))
    posterior.write_posterior(run.path / "posterior.nc", detected)
    assert run.summary().limit == ()
    assert "limit" not in run.plot.all()


@pytest.fixture
def plain_run(tmp_path):
    return mixjobs.open_run(shutil.copytree(finished().path, tmp_path / "run"))


def test_the_summary_says_that_the_prior_excludes_0(plain_run):
    tree = plain_run.posterior
    assert not any("no upper limits" in note for note in plain_run.summary().notes)
    tree["posterior"]["c"].attrs["prior_bounds"] = [0.2, 0.9]
    posterior.write_posterior(plain_run.path / "posterior.nc", tree)
    (note,) = (n for n in plain_run.summary().notes if "no upper limits" in n)
    assert note.startswith("no upper limits at each teff_2: the prior of c begins at 0.2")


def test_slices_with_few_draws_are_marked(plain_run):
    few = (replace(CURVE.slices[1], teff_2=4900.0, n_draws=17),
           replace(CURVE.slices[0], teff_2=5100.0, n_draws=49))  # fmt: skip
    curve = replace(CURVE, slices=(*CURVE.slices[:2], *few, CURVE.slices[2]))
    assert [s.uncertain for s in curve.slices] == [False, False, True, True, False]
    tree = with_limit(plain_run.posterior, curve)
    posterior.write_posterior(plain_run.path / "posterior.nc", tree)
    text = str(plain_run.summary())
    for size in ("900", "250 (fixed teff_2)", "17 (fixed teff_2, uncertain)", "49 (uncertain)"):
        assert f" {size} " in text
    above, below = plain_run.plot.limit()
    (label,) = (t.get_text() for t in above.get_legend().get_texts())
    assert label == "uncertain: fewer than 50 effective draws"
    for panel in (above, below):
        crosses = [line for line in panel.get_lines() if line.get_marker() == "x"]
        assert sorted({x for line in crosses for x in line.get_xdata()}) == [4900, 5100]


def test_without_uncertain_slices_there_is_no_legend(plain_run):
    tree = with_limit(plain_run.posterior, CURVE)
    posterior.write_posterior(plain_run.path / "posterior.nc", tree)
    assert plain_run.plot.limit()[0].get_legend() is None
