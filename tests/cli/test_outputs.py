"""Outputs of every command: never inside a store or a run, and never half written."""

import errno
import os
import shutil
from pathlib import Path

import pytest

import mixjobs
from mixjobs.cli import main
from mixjobs.errors import InvalidInput, JobFailed
from mixjobs.files import refuse_inside
from tests.helpers.command import finish, refuse, run, start
from tests.helpers.finished_runs import finished
from tests.helpers.small_disk import fill_up, mounted
from tests.helpers.small_fits import JOB, write_star

THETA = "teff=5000,logg=4.5,feh=0"


@pytest.fixture
def folder(tmp_path):
    """A store, a store that is being built, and a run."""
    root = finished().path.parent
    shutil.copytree(root / "q", tmp_path / "q.zarr")
    shutil.copytree(root / "run", tmp_path / "run")
    shutil.copytree(root / "q", tmp_path / "half.zarr.partial" / "store")
    (tmp_path / "link").symlink_to(tmp_path / "q.zarr")
    return tmp_path


def files_in(folder):
    return sorted(str(path) for path in folder.rglob("*"))


INSIDE = ["q.zarr", "q.zarr/mean_flux", "run", "run/steps", "half.zarr.partial", "link"]


@pytest.mark.parametrize("place", INSIDE)
def test_nothing_is_written_into_a_store_or_a_run(folder, place):
    root, inside = finished().path.parent, folder / place
    job = folder / "job.toml"
    job.write_text(f'output = "{inside}/a"\nstore = "q.zarr"\n[[spectra]]\nfile = "star.ecsv"\n')
    commands = [
        ["plot", folder / "q.zarr", "-o", inside],
        ["plot", folder / "q.zarr", "-o", inside / "figures"],
        ["plot", folder / "run", "-o", inside / "a" / "b"],
        ["spectrum", folder / "q.zarr", "--theta1", THETA, "-o", inside / "a.ecsv"],
        ["spectrum", folder / "q.zarr", "--theta1", THETA, "-o", folder / "b.h5", inside / "a.png"],
        ["build", root / "library.hdf5", "-o", inside / "a", "--edges", "5004,5009"],
        ["sample", job],
        ["demo", inside / "a"],
        ["demo", inside],
    ]
    before = files_in(folder)
    for command in commands:
        refused = refuse(command)
        assert isinstance(refused.error, InvalidInput), command
        assert refused.error.path is not None
    assert files_in(folder) == before


def test_the_figures_of_a_run_are_its_own(folder):
    """Its folder of figures lies in the run, whether it is named or not."""
    refuse_inside(folder / "run.toml")
    (folder / "run.json").write_text("the file of another program")
    refuse_inside(folder / "a.png")
    figures = folder / "run" / "figures"
    assert main(["plot", str(folder / "run"), "-o", str(figures)]) == 0
    assert any(figures.glob("*.png"))


@pytest.mark.parametrize("option", [["--theta1", THETA], ["--method", "cubic"]])
def test_options_of_a_store_for_a_run(folder, option):
    refused = refuse(["plot", folder / "run", *option])
    assert isinstance(refused.error, InvalidInput)
    assert f"--{refused.error.name}" == option[0]
    assert not (folder / "run" / "figures").exists()


def test_a_dry_run_checks_the_output(folder, fit_store):
    write_star(folder / "star.ecsv", fit_store)
    job = folder / "job.toml"
    job.write_text(JOB.format(output="run", store=fit_store, star="star.ecsv", steps=4))
    status, _, err, _ = run(["sample", job, "--dry-run"])
    assert (status, "would be refused" in err) == (0, True)
    job.write_text(JOB.format(output="q.zarr/a", store=fit_store, star="star.ecsv", steps=4))
    assert isinstance(run(["sample", job, "--dry-run"])[3], InvalidInput)
    job.write_text(JOB.format(output="new", store=fit_store, star="star.ecsv", steps=4))
    assert run(["sample", job, "--dry-run"])[0] == 0
    library = finished().path.parent / "library.hdf5"
    build = ["build", library, "-o", folder / "q.zarr", "--edges", "5004,5009", "--dry-run"]
    status, _, err, _ = run(build)
    assert (status, "would be refused" in err) == (0, True)
    status, _, err, _ = run([*build, "--overwrite"])
    assert (status, "would be refused" in err) == (0, False)


def commands_that_write(folder, disk):
    yield ["plot", folder / "q.zarr", "-o", disk / "figures"]
    yield ["plot", folder / "run", "-o", disk / "figures"]
    for ending in ("ecsv", "h5", "png", "pdf"):
        yield ["spectrum", folder / "q.zarr", "--theta1", THETA, "-o", disk / f"a.{ending}"]


@pytest.mark.parametrize("state", ["full", "read-only"])
def test_a_disk_that_takes_nothing(folder, state):
    with mounted(folder / "disk", "size=64k") as disk:
        (disk / "figures").mkdir()
        if state == "full":
            fill_up(disk)
        else:
            os.system(f"mount -o remount,ro {disk}")
        before = files_in(disk)
        for command in commands_that_write(folder, disk):
            refused = refuse(command)
            assert isinstance(refused.error, JobFailed | InvalidInput), command
            assert files_in(disk) == before


@pytest.mark.parametrize("words", [["summary"], ["summary", "--json"]])
def test_standard_output_is_full(words):
    """The message is one line, and the status 2, as for a file."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with Path("/dev/full").open("w") as full:
        process = start(words[0], finished().path, *words[1:], stdout=full)
        status, _, err = finish(process)
    assert status == 2
    assert len(err.splitlines()) == 1, err
    assert os.strerror(errno.ENOSPC) in err


def test_from_python(folder):
    with pytest.raises(InvalidInput) as error:
        next(mixjobs.open_store(folder / "q.zarr").plot.save(folder / "run"))
    assert error.value.name == "output"
    paths = list(mixjobs.open_store(folder / "q.zarr").plot.save(folder / "figures"))
    assert paths
    assert all(path.exists() for path in paths)
