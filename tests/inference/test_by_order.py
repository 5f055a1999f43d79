"""Every order fitted on its own, and the pooled results."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

import mixjobs
from mixjobs.cli import main
from mixjobs.config.sample import read_sample_job
from mixjobs.errors import InvalidInput, OutputExists, UnreadableFile
from mixjobs.inference.by_order import order_job
from mixjobs.inference.job import load_free_log_probability, orders_of_all_epochs
from mixjobs.inference.orders_alone import OrdersAlone
from mixjobs.inference.run import open_run
from mixjobs.inference.sample_report import SampleReport
from mixjobs.observed.writer import write_spectrum
from tests.helpers.small_fits import JOB, observed, write_star

STEPS = 60


@pytest.fixture(scope="module")
def star(fit_store, tmp_path_factory):
    return write_star(tmp_path_factory.mktemp("star") / "star.ecsv", fit_store)


@pytest.fixture
def write_job(fit_store, star, tmp_path):
    """A function that writes a job file that asks for every order, some text replaced."""

    def write(*replaced, name="job.toml"):
        text = JOB.format(output="run", store=fit_store, star=star, steps=STEPS)
        for old, new in [("[sampling]", "[sampling]\nby_order = true"), *replaced]:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


class Recorder(SampleReport):
    def __init__(self):
        self.fitted = []

    def fitted_alone(self, fit, done, total):
        self.fitted.append((fit.number, done, total))


@pytest.fixture(scope="module")
def run(fit_store, star, tmp_path_factory):
    path = tmp_path_factory.mktemp("by_order") / "job.toml"
    text = JOB.format(output="run", store=fit_store, star=star, steps=STEPS)
    path.write_text(text.replace("[sampling]", "[sampling]\nby_order = true"))
    recorder = Recorder()
    run = mixjobs.sample(path, report=recorder)
    assert recorder.fitted == [(4, 1, 2), (5, 2, 2)]
    return run


def same_chain(one, other):
    return np.array_equal(one.chain.positions, other.chain.positions)


def test_each_order_is_the_run_of_a_job_with_this_order(run, fit_store, star, tmp_path):
    for number in (4, 5):
        text = JOB.format(output=f"alone_{number}", store=fit_store, star=star, steps=STEPS)
        path = tmp_path / f"{number}.toml"
        path.write_text(text.replace("[continuum]", f"orders = [{number}]\n\n[continuum]"))
        alone = mixjobs.sample(path, report=False)
        stored = open_run(run.path / "orders" / str(number))
        assert same_chain(stored, alone)
        interval = run.summary().orders_alone.fits[number - 4].estimates["rv"].interval
        assert interval == alone.summary().parameters["rv"]


def test_the_results(run, capsys):
    alone = open_run(run.path).summary().orders_alone
    assert [fit.number for fit in alone.fits] == [4, 5]
    assert alone.names == ["teff_2", "rv", "c"]
    assert all(fit.shortfall for fit in alone.fits)  # 60 steps are not enough
    for fit in alone.fits:
        assert fit.estimates["rv"].mean == pytest.approx(5.5, abs=0.5)
        shared = np.array(fit.estimates["c"].shared)
        assert 0 < np.sqrt((shared**2).sum()) < 2 * fit.estimates["c"].sd
    rv = alone.pooled["rv"]
    low, high = sorted(fit.estimates["rv"].mean for fit in alone.fits)
    assert low < rv.mean < high
    assert main(["summary", str(run.path)]) == 0
    text = capsys.readouterr().out
    assert "every order on its own" in text
    assert "alone, NOT CONVERGED: order 4, 5" in text


def test_a_figure_shows_every_order(run, tmp_path):
    panels = run.plot.orders()
    assert [panel.get_ylabel() for panel in panels] == ["teff_2 (K)", "rv (km/s)", "c"]
    assert len(panels[1].containers) == 2
    assert "orders.png" in {path.name for path in run.plot.save(tmp_path / "figures")}


def test_workers_give_the_same(run, write_job, client):
    recorder = Recorder()
    other = mixjobs.sample(write_job(), client, recorder)
    assert sorted(number for number, _, _ in recorder.fitted) == [4, 5]
    assert other.summary().orders_alone == run.summary().orders_alone


def test_a_finished_run_is_extended_by_its_orders(run, write_job):
    """The orders can be asked for later; those that exist are continued."""
    path = write_job(("by_order = true", "by_order = false"))
    first = mixjobs.sample(path, report=False)
    assert first.summary().orders_alone is None
    with pytest.raises(InvalidInput) as error:
        first.plot.orders()
    assert error.value.name == "orders"
    for _ in range(2):
        resumed = mixjobs.sample(write_job(), report=False, resume=True)
        assert resumed.summary().orders_alone == run.summary().orders_alone


def test_an_impossible_fit_is_listed(run, write_job, tmp_path):
    """Another run is where the run of an order belongs."""
    mixjobs.sample(write_job(("by_order = true", "by_order = false")), report=False)
    other = write_job(
        ("by_order = true", "by_order = false"), ("seed = 3", "seed = 4"),
        ('output = "run"', 'output = "other"'), name="other.toml",
    )  # fmt: skip
    mixjobs.sample(other, report=False)
    (tmp_path / "run" / "orders").mkdir()
    (tmp_path / "other").rename(tmp_path / "run" / "orders" / "5")
    alone = mixjobs.sample(write_job(), report=False, resume=True).summary().orders_alone
    assert [bool(fit.failure) for fit in alone.fits] == [False, True]
    assert alone.fits[0] == run.summary().orders_alone.fits[0]
    assert alone.pooled == {}
    assert any("order 5 alone: " in note for note in alone.notes)


def test_one_order_is_refused(write_job):
    path = write_job(("[continuum]", "orders = [4]\n\n[continuum]"))
    with pytest.raises(InvalidInput) as error:
        load_free_log_probability(path)
    assert error.value.name == "sampling.by_order"


def second_epoch(store, path, numbers):
    """A table [[spectra]] of the star at another time, with some orders."""
    orders = [
        (o.number, o.wavelength, o.flux, o.flux_error) for o in observed(store, epoch=1, seed=2)
    ]
    write_spectrum(path, orders, {"medium": "vacuum"})
    return f'[[spectra]]\nfile = "{path}"\norders = {numbers}\nresolution = 30000\n\n[continuum]'


def test_orders_that_an_epoch_lacks_are_left_out(fit_store, write_job, tmp_path):
    table = second_epoch(fit_store, tmp_path / "second.ecsv", [4])
    with pytest.raises(InvalidInput) as error:
        load_free_log_probability(write_job(("[continuum]", table)))
    assert error.value.name == "sampling.by_order"
    plan = load_free_log_probability(
        write_job(("by_order = true", "by_order = false"), ("[continuum]", table))
    ).plan
    assert orders_of_all_epochs(plan) == [4]


def test_orders_in_two_epochs(fit_store, write_job, tmp_path):
    table = second_epoch(fit_store, tmp_path / "second.ecsv", [4, 5])
    run = mixjobs.sample(write_job(("[continuum]", table)), report=False)
    alone = run.summary().orders_alone
    assert alone.names == list(run.names) == ["teff_2", "rv_e1", "rv_e2", "c_e1", "c_e2"]
    assert not any(fit.failure for fit in alone.fits)


def test_the_job_of_an_order(write_job):
    """Settings of other orders are left out; lists for all orders are shortened."""
    path = write_job(
        ("resolution = 30000", "resolution = [30000, 31000]"),
        ("degree = 2", "degree = { 4 = 1, 5 = 3 }\n\n[noise]\nsample = [4]"),
        ("rv =", "ln_noise_m4 = { normal = [0, 0.5] }\nrv ="),
    )
    job = read_sample_job(path)
    plan = load_free_log_probability(job).plan
    four, five = (order_job(job, plan, number, path.parent / "run") for number in (4, 5))
    assert (four.spectra[0].resolution, five.spectra[0].resolution) == ([30000], [31000])
    assert (four.continuum.degree, five.continuum.degree) == (1, 3)
    assert (four.noise.sample, five.noise.sample) == ([4], None)
    assert "ln_noise_m4" in four.parameters.settings
    assert "ln_noise_m4" not in five.parameters.settings
    for job in (four, five):
        assert not job.sampling.by_order
        assert "ln_noise_m4" in load_free_log_probability(job).names or job is five


def test_orders_that_the_prior_truncates_are_not_pooled(run):
    fits = run.summary().orders_alone.fits
    estimates = dict(fits[0].estimates)
    estimates["c"] = replace(estimates["c"], truncated=True)
    truncated = replace(fits[0], estimates=estimates)
    alone = OrdersAlone.of([truncated, *fits[1:]])
    assert "c" not in alone.pooled
    assert alone.pooled["rv"] == run.summary().orders_alone.pooled["rv"]
    assert any("not pooled in c" in note for note in alone.notes)


def test_orders_that_do_not_constrain_a_parameter_are_not_pooled(run):
    """Four uniform posteriors are not a measurement."""
    fits = run.summary().orders_alone.fits
    estimates = dict(fits[0].estimates)
    estimates["c"] = replace(estimates["c"], unconstrained=True)
    alone = OrdersAlone.of([replace(fits[0], estimates=estimates), *fits[1:]])
    assert "c" not in alone.pooled
    assert any("hardly constrain: order 4" in note for note in alone.notes)
    # teff_2 has a uniform prior of 400 K, within which neither order can tell values apart
    assert all(not fit.estimates["teff_2"].is_measured for fit in fits)
    assert all(fit.estimates["rv"].is_measured for fit in fits)


def test_a_damaged_run_of_an_order_ends_the_job(run, write_job, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    before = (tmp_path / "run" / "by_order.json").read_bytes()
    posterior = tmp_path / "run" / "orders" / "4" / "posterior.nc"
    posterior.write_bytes(posterior.read_bytes()[:1000])
    with pytest.raises(UnreadableFile) as error:
        mixjobs.sample(write_job(), report=False, resume=True)
    assert error.value.path == str(posterior)
    assert (tmp_path / "run" / "by_order.json").read_bytes() == before


def test_a_file_where_the_orders_belong(run, write_job, tmp_path):
    shutil.copytree(run.path, tmp_path / "run", ignore=shutil.ignore_patterns("orders", "by_*"))
    (tmp_path / "run" / "orders").touch()
    with pytest.raises(OutputExists) as error:
        mixjobs.sample(write_job(), report=False, resume=True)
    assert error.value.path == str(tmp_path / "run" / "orders")
    assert any(
        "not all fitted on their own" in n for n in open_run(tmp_path / "run").summary().notes
    )


def test_a_chain_that_never_moved_measures_nothing(run):
    fits = run.summary().orders_alone.fits
    estimates = dict(fits[0].estimates)
    estimates["rv"] = replace(estimates["rv"], sd=0.0)
    alone = OrdersAlone.of([replace(fits[0], estimates=estimates), *fits[1:]])
    assert "rv" not in alone.pooled
