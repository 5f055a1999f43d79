"""The command `mixjobs sample` and the function: stopped, killed and resumed, with workers too."""

import json
import random
import signal

import numpy as np
import pytest

import mixjobs
from mixjobs.cli import main
from mixjobs.errors import InvalidInput, MissingFile, OutputExists
from mixjobs.inference.run import Run
from mixjobs.inference.run_folder import RunFolder
from mixjobs.inference.sample_report import SampleReport
from mixjobs.observed.writer import write_spectrum
from mixjobs.report.info import describe_path
from tests.helpers.command import Refusal, error, finish, run, start, wait_for
from tests.helpers.small_fits import JOB, write_star

N_LONG = 600  # steps, of a few milliseconds each
EXACT = ("walkers = 10", 'walkers = 10\nlikelihood = "exact"')


@pytest.fixture(scope="module")
def star(fit_store, tmp_path_factory):
    """A spectrum of two orders, as a file."""
    return write_star(tmp_path_factory.mktemp("star") / "star.ecsv", fit_store)


@pytest.fixture
def job(fit_store, star, tmp_path):
    """A function that writes the job file, some text replaced."""

    def write(*replaced, output="run", steps=40):
        text = JOB.format(output=output, store=fit_store, star=star, steps=steps)
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "job.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture(scope="module")
def reference(fit_store, star, tmp_path_factory):
    """The chain of 40 steps of an uninterrupted run in one process."""
    text = JOB.format(output="run", store=fit_store, star=star, steps=40)
    return uninterrupted(tmp_path_factory.mktemp("reference"), text)


@pytest.fixture(scope="module")
def long_reference(fit_store, star, tmp_path_factory):
    """A chain long enough to be interrupted twice, although its steps are fast."""
    text = JOB.format(output="run", store=fit_store, star=star, steps=N_LONG)
    return uninterrupted(tmp_path_factory.mktemp("long"), text)


@pytest.fixture(scope="module")
def exact_reference(fit_store, star, tmp_path_factory):
    """The same, from pixels."""
    text = JOB.format(output="run", store=fit_store, star=star, steps=N_LONG)
    return uninterrupted(tmp_path_factory.mktemp("exact"), text.replace(*EXACT))


def uninterrupted(folder, text):
    """The run of a job, given as text."""
    job = folder / "job.toml"
    job.write_text(text)
    assert main(["sample", str(job)]) == 0
    return RunFolder.open(folder / "run")


def the_error(capsys):
    """The one line with the error."""
    (error,) = [line for line in capsys.readouterr().err.splitlines() if "mixjobs: " in line]
    return error


def assert_same(path, reference):
    chain, expected = RunFolder.open(path).chain(), reference.chain()
    np.testing.assert_array_equal(chain.positions, expected.positions)
    np.testing.assert_array_equal(chain.by_order, expected.by_order)


def steps(path):
    try:
        return RunFolder.open(path).last_step() or 0
    except MissingFile:
        return 0


def test_the_files_of_a_run(reference):
    chain = reference.chain()
    assert chain.positions.shape == (2, 40, 10, 3)
    assert reference.names == ("teff_2", "rv", "c")
    assert reference.notes["job"]["seed"] == 3
    content = json.loads((reference.path / "start.json").read_text())
    assert content["optimum"]["rv"] == pytest.approx(5.5, abs=0.5)  # with the barycentric velocity
    assert {"noise.json", "posterior.nc", "comparison.json"} <= {
        path.name for path in reference.path.iterdir()
    }


def test_a_dry_run_prints_everything_and_writes_nothing(job, tmp_path, capsys):
    assert main(["sample", str(job()), "--dry-run"]) == 0
    text = "".join(capsys.readouterr())
    assert "barycentric velocity 0.5 km/s" in text
    assert "wavelengths in vacuum" in text
    for words in ("uniform 4600 to 5000", "optimum", "normal 5", "fixed"):
        assert words in text
    assert "2 orders, 2 ensembles of 10 walkers, up to 40 steps" in text
    assert not (tmp_path / "run").exists()


def test_a_run_records_what_was_assumed(reference):
    facts = describe_path(reference.path)
    for text in ("wavelength: column wavelength", "flux error: ", "barycentric velocity"):
        assert any(text in note for note in facts["notes"])
    assert facts["notes"] == mixjobs.open_run(reference.path).folder.notes["assumptions"]


def test_a_run_is_not_written_over(job, tmp_path, reference, capsys):
    path = job(output=str(reference.path))
    before = sorted((reference.path / "steps").iterdir())
    assert main(["sample", str(path)]) == 2
    message = the_error(capsys)
    assert str(reference.path) in message
    assert -1 < message.index("--resume") < message.index("--overwrite")
    with pytest.raises(OutputExists) as error:
        mixjobs.sample(path)
    assert error.value.path == str(reference.path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    assert main(["sample", str(job(output="full")), "--overwrite"]) == 2
    assert "is not a run" in the_error(capsys)
    assert sorted((reference.path / "steps").iterdir()) == before


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("degree = 2", "degree = 3", "continuum"),
        ("[5, 2]", "[5, 3]", "parameters"),
        ("seed = 3", "seed = 4", "seed"),
        ("resolution = 30000", "resolution = 25000", "profiles"),
        ("walkers = 10", "walkers = 12", "walkers"),
    ],
)
def test_another_fit_does_not_continue_the_chain(job, reference, capsys, old, new, key):
    path = job((old, new), output=str(reference.path))
    assert main(["sample", str(path), "--resume"]) == 2
    assert f" {key}: " in the_error(capsys)
    with pytest.raises(InvalidInput) as error:
        mixjobs.sample(path, report=SampleReport(), resume=True)
    assert (error.value.name, error.value.path) == (key, str(reference.path))


@pytest.mark.parametrize(
    ("workers", "exact"),
    [([], False), (["--workers", "2"], False), ([], True)],
    ids=["serial", "workers", "pixels"],
)
def test_stopped_and_killed_and_resumed_is_the_uninterrupted_chain(
    job, tmp_path, request, workers, exact
):
    """SIGTERM keeps every step, SIGKILL those up to the last checkpoint."""
    reference = request.getfixturevalue("exact_reference" if exact else "long_reference")
    replaced = [EXACT] if exact else []
    path, run = job(*replaced, steps=N_LONG), tmp_path / "run"
    process = start("sample", path, *workers)
    wait_for(lambda: steps(run) >= 10 or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    status, _, err = finish(process)
    assert status == 143, err
    assert f"{run}: {steps(run)} steps kept; --resume continues the run" in err
    assert (
        err.splitlines()[-1]
        == "mixjobs: stopped by SIGTERM; run the same command with --resume to continue"
    )
    more = steps(run) + random.Random(1).randrange(5, 10)
    process = start("sample", path, "--resume", *workers)
    wait_for(lambda: steps(run) >= more or process.poll() is not None)
    process.kill()
    status, _, err = finish(process)
    assert status in (-signal.SIGKILL, 0), err  # 0: the chain ended first
    assert main(["sample", str(path), "--resume"]) == 0
    assert_same(run, reference)


def test_resume_and_overwrite_exclude_each_other(job, reference, capsys):
    path = job(output=str(reference.path))
    for dry in ([], ["--dry-run"]):
        assert main(["sample", str(path), "--resume", "--overwrite", *dry]) == 2
        assert "--resume and --overwrite" in the_error(capsys)
    with pytest.raises(InvalidInput) as error:
        mixjobs.sample(path, resume=True, overwrite=True)
    assert error.value.name == "resume"
    assert RunFolder.open(reference.path).last_step() == 40


def test_a_dry_run_where_a_run_exists(job, reference, capsys):
    """The run is compared with the job only on resuming."""
    assert main(["sample", str(job(output=str(reference.path))), "--dry-run"]) == 0
    other = job(("seed = 3", "seed = 4"), output=str(reference.path))
    assert main(["sample", str(other), "--dry-run"]) == 0
    assert main(["sample", str(other), "--dry-run", "--resume"]) == 2
    assert "3 in the run, 4 now" in the_error(capsys)


def test_what_goes_beyond_the_model_is_told(job, capsys):
    path = job(("[4600, 5000]", "[4000, 5000]"))
    assert main(["sample", str(path), "--dry-run"]) == 0
    text = capsys.readouterr().err
    (line,) = [line for line in text.splitlines() if line.startswith("teff_2: ")]
    assert "4500 to 6000" in line
    assert "cubic" not in text
    assert "with emulator errors; correlated noise; continuum" in text
    assert "; seed 3\n" in text


def test_velocities_go_as_far_as_the_store_was_built_for(job, fit_store):
    path = job(("rv = { normal = [5, 2] }\n", ""), ("vsini = 6.0\n", ""))
    logp = mixjobs.load_log_probability(path)
    bounds = dict(zip(logp.names, logp.parameters.bounds.tolist(), strict=True))
    assert bounds["vsini"] == [0.0, 25.0]
    assert bounds["rv"] == [0.5 - 60.0, 0.5 + 60.0]  # about the barycentric velocity


def test_a_spectrum_finer_than_the_library_is_told_of(fit_store, tmp_path, job):
    wave = 5004.2 + 0.005 * np.arange(900)
    orders = [(4, wave, np.ones(900), np.full(900, 0.01))]
    write_spectrum(tmp_path / "fine.ecsv", orders, {"medium": "vacuum"})
    path = job()
    text = path.read_text().splitlines()
    path.write_text(
        "\n".join(f'file = "{tmp_path}/fine.ecsv"' if "file =" in t else t for t in text)
    )
    logp = mixjobs.load_log_probability(path)
    assert any("order 4:" in note and "3.3 times finer" in note for note in logp.notes)


def test_killed_while_it_searches(job, tmp_path, reference):
    path = job()
    process = start("sample", path)
    started = tmp_path / "run" / "run.json"
    wait_for(lambda: started.exists() or process.poll() is not None)
    process.kill()
    finish(process)
    assert steps(tmp_path / "run") == 0
    assert main(["sample", str(path), "--resume"]) == 0
    assert_same(tmp_path / "run", reference)


PRIOR = "{ uniform = [4600, 5000] }"
R = "resolution = 30000"
FAULTS = {  # the text of the job file to replace, and what replaces it
    "a negative resolution": (
        R, "resolution = -3", error(InvalidInput, name="spectra.0.resolution", value=-3)
    ),
    "no such spectrum": ("star.ecsv", "no.ecsv", error(MissingFile, path="no.ecsv")),
    "no such store": ("store.zarr", "no.zarr", error(MissingFile, path="no.zarr")),
    "an unknown parameter": (
        "vsini = 6.0", "vsin = 6.0", error(InvalidInput, "did you mean vsini", name="vsin")
    ),
    "a negative standard deviation": (
        "[5, 2]", "[5, -2]", error(InvalidInput, "-2", name="rv", value={"normal": [5, -2]})
    ),
    "a key in the wrong table": (
        "seed = 3", "seed = 3\nwalkers = 4", error(InvalidInput, name="walkers", value=4)
    ),
    "too few walkers": (
        "walkers = 10", "walkers = 4", error(InvalidInput, "3", "6", name="walkers", value=4)
    ),
    "an order that the store lacks": (
        R, f"{R}\norders = [9]", error(InvalidInput, "4, 5", order=9, path="store.zarr")
    ),
    "a degree above the number of pixels": (
        "degree = 2", "degree = 85",
        error(InvalidInput, "80", name="degree", value=85, order=4, path="star.ecsv"),
    ),
    "a constraint that never holds": (
        "log_length = 1.2", 'log_length = 1.2\nconstraints = ["teff_2 > teff_1"]',
        error(InvalidInput, name="constraints", value="teff_1 < teff_2"),
    ),
    "a prior outside the model": (
        "[4600, 5000]", "[6100, 6500]",
        error(InvalidInput, "4500 to 6000", name="teff_2", value="uniform 6100 to 6500"),
    ),
    "a fixed value outside the model": (
        PRIOR, "9999", error(InvalidInput, "4500 to 6000", name="teff_2", value=9999)
    ),
    "a fixed vsini outside the model": (
        "vsini = 6.0", "vsini = 500.0", error(InvalidInput, "112.365", name="vsini", value=500)
    ),
    "a prior of c above 1": (
        "vsini = 6.0", "vsini = 6.0\nc = { uniform = [2, 3] }",
        error(InvalidInput, "0 to 1", name="c", value="uniform 2 to 3"),
    ),
    "a prior of rv outside the model": (
        "[5, 2]", "[5000, 2]",
        error(InvalidInput, "-111.865 to 112.865", name="rv", value="normal 5000 ± 2"),
    ),
    "a narrow prior outside the model": (
        "[5, 2]", "[132, 0.1]", error(InvalidInput, name="rv", value="normal 132 ± 0.1")
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_input_is_one_line_and_leaves_nothing(job, tmp_path, fault):
    old, new, expected = FAULTS[fault]
    status, out, err, cause = run(["sample", job((old, new))])
    assert (status, out) == (2, "")
    (line,) = [line for line in err.splitlines() if line.startswith("mixjobs: ")]
    expected.check(Refusal(cause, line))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("start", "status"), [(5004.2, 0), (5008.5, 2)])
def test_pixels_outside_the_store_are_told(job, tmp_path, capsys, start, status):
    """A quarter of the pixels is outside and masked; or most are, so that the order is wrong."""
    wave = np.linspace(start, start + 7.8, 100)
    other = tmp_path / "other.ecsv"
    write_spectrum(other, [(4, wave, 1 + 0 * wave, 0.1 + 0 * wave)], {})
    path = job()
    text = path.read_text().splitlines()
    path.write_text("\n".join(f'file = "{other}"' if "file" in line else line for line in text))
    assert main(["sample", str(path), "--dry-run"]) == status
    expected = "not covered by the store" if status else "outside the store's orders: 26, up to"
    assert expected in capsys.readouterr().err


class Recorder(SampleReport):
    """Record every call."""

    def __init__(self, stop_at=None):
        self.calls, self.stop_at = [], stop_at

    def loaded(self, job, log_probability):
        self.calls.append(("loaded", log_probability.names))

    def searching(self, done, total):
        self.calls.append(("searching", total))

    def starting(self, starts, heights):
        self.calls.append(("starting", len(starts), len(heights)))

    def sampling(self, progress):
        self.calls.append(("sampling", progress.steps))
        if progress.steps == self.stop_at:
            raise KeyboardInterrupt

    def concluding(self):
        self.calls.append(("concluding",))

    def close(self):
        self.calls.append(("close",))


def test_from_python(job, tmp_path, reference):
    """Interrupted by its report and resumed, it gives the chain and the files of the command."""
    path = job()
    first, second = Recorder(stop_at=13), Recorder()
    with pytest.raises(KeyboardInterrupt):
        mixjobs.sample(path, report=first)
    assert steps(tmp_path / "run") == 13
    assert first.calls[-1] == ("close",)
    run = mixjobs.sample(path, report=second, resume=True)
    assert_same(tmp_path / "run", reference)
    names = {entry.name for entry in reference.path.iterdir()}
    assert {entry.name for entry in run.path.iterdir()} == names
    assert {name for name, *_ in first.calls} == {
        "loaded", "searching", "starting", "sampling", "close"
    }  # fmt: skip
    sampled = [("sampling", n) for n in range(13, 41)]
    assert second.calls[1:] == [*sampled, ("concluding",), ("close",)]
    other = mixjobs.open_run(reference.path)
    assert isinstance(run, Run)
    assert run.names == other.names == run.log_probability.names
    assert run.posterior.equals(other.posterior)
    assert run.compare() == other.compare()
    x = run.chain.best()
    assert run.log_probability(x) == other.log_probability(x)
    assert run.log_probability(x) == pytest.approx(run.chain.log_probability.max(), rel=1e-12)


def test_progress_is_shown_without_a_report(job, capsys):
    mixjobs.sample(job())
    err = capsys.readouterr().err
    assert "sampling: step 40 of at most 40" in err
    assert "comparing with one component" in err
    mixjobs.sample(job(), report=False, overwrite=True)
    assert "".join(capsys.readouterr()) == ""
