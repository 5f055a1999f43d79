"""Builds from Python: the checks of the command, job files, progress and notes."""

import pytest

import mixjobs
from mixjobs import Orders
from mixjobs.config.build import make_build_job
from mixjobs.errors import OutputExists, StoreLocked
from mixjobs.lock import JobLock
from mixjobs.store.format import partial_path

ORDERS = Orders.from_edges([5002, 5010, 5020])


@pytest.fixture
def job_file(demo, tmp_path):
    text = f'library = "{demo}"\noutput = "q.zarr"\nserial = true\n[orders]\nedges = [5002, 5010, '
    (tmp_path / "job.toml").write_text(text + "5020]\n[emulator]\nmax_rv = 20\nmax_vsini = 10\n")
    return tmp_path / "job.toml"


def test_a_job_file_and_its_contents(job_file, tmp_path, capsys):
    store = mixjobs.build_job(job_file)
    assert (len(store.orders), store.attributes["orders_from"]) == (2, "edges")
    assert capsys.readouterr() == ("", "")  # neither a terminal nor a notebook
    notes = []
    again = mixjobs.build_job(job_file, note=notes.append)
    assert again.path == store.path
    assert notes[-1].endswith("already complete, built by the same job; nothing to do")


def test_the_callers_client(job_file, client, demo, tmp_path):
    other = mixjobs.build(demo, ORDERS, tmp_path / "other.zarr")
    store = mixjobs.build_job(job_file, client, report=False)
    assert store.mean_flux.tobytes() == other.mean_flux.tobytes()


def test_the_plan_of_a_job(job_file):
    notes = []
    plan = mixjobs.plan_job(job_file, notes.append)
    assert "12 points in teff, logg, feh" in notes[0]
    assert notes[1].startswith("flux calibration: ")
    assert plan.facts()["points"] == "12 (0 holes)"
    assert "buffer" in plan.facts()["emulator"]
    assert len(repr(plan).splitlines()) < 15
    assert not job_file.with_name("q.zarr").exists()


def test_the_same_build_again_does_nothing(demo, tmp_path):
    path, stages = tmp_path / "q.zarr", []
    first = mixjobs.build(demo, ORDERS, path)
    again = mixjobs.build(demo, ORDERS, path, report=lambda *stage: stages.append(stage))
    assert stages == []
    assert again.attributes["created"] == first.attributes["created"]
    with pytest.raises(OutputExists) as error:
        mixjobs.build(demo, ORDERS.take([0]), path)
    assert error.value.path == str(path)
    assert "--" not in str(error.value)
    mixjobs.build(demo, ORDERS.take([0]), path, overwrite=True)


def test_a_store_in_use_is_refused_before_anything_is_read(tmp_path):
    path = tmp_path / "q.zarr"
    partial_path(path).mkdir()
    lock = JobLock(partial_path(path))
    lock.acquire()
    with pytest.raises(StoreLocked):
        mixjobs.build("no such library", ORDERS, path)
    lock.release()


def test_overwriting_a_job(job_file):
    mixjobs.build_job(job_file)
    config = make_build_job(
        {
            "library": str(mixjobs.open_store(job_file.with_name("q.zarr")).attributes["library"]),
            "output": str(job_file.with_name("q.zarr")), "orders": {"n": 2}, "serial": True,
        },
        "a job",
    )  # fmt: skip
    with pytest.raises(OutputExists):
        mixjobs.build_job(config)
    assert len(mixjobs.build_job(config, overwrite=True).orders) == 2


def test_progress_appears_in_a_terminal(demo, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # makes rich treat standard error as a terminal
    mixjobs.build(demo, ORDERS, tmp_path / "a.zarr")
    out, err = capsys.readouterr()
    assert out == ""
    assert "mean_flux" in err
    mixjobs.build(demo, ORDERS, tmp_path / "b.zarr", report=False)
    assert capsys.readouterr() == ("", "")
