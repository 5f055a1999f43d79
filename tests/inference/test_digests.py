"""The digests of a run: no damaged, changed, moved or foreign file goes unnoticed."""

import json
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mixjobs
from mixjobs.cli.signals import stop_if_told, termination
from mixjobs.errors import UnreadableFile
from mixjobs.inference.digests import json_digest, with_digest
from mixjobs.inference.posterior import make_posterior, read_posterior, write_posterior
from mixjobs.inference.run_folder import COMPARISON, POSTERIOR, START, RunFolder
from mixjobs.inference.sampler import run_ensembles
from tests.helpers.damage import bits, files_of, flipped, replaced, to_run_without_digests
from tests.helpers.finished_runs import STEPS, finished, job_in, sample_run
from tests.helpers.sampled import folder, half, same, start


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of several segments."""
    path = tmp_path_factory.mktemp("digests") / "run"
    shutil.copytree(finished().path, path)
    run = mixjobs.open_run(path)
    sample_run(run, STEPS + 6, checkpoint=2)
    write_posterior(path / POSTERIOR, make_posterior(run.folder, run.log_probability))
    return run


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run.path, tmp_path / "run")


def steps_of(path):
    return sorted((path / "steps").glob("*.npz"))


def resume(path):
    store = finished().log_probability.plan.store
    job = job_in(finished().path.parent, store, output=str(path))
    mixjobs.sample(job, report=False, resume=True)


READERS = {
    "open_run": mixjobs.open_run,
    "summary": lambda path: mixjobs.open_run(path).summary(),
    "posterior": lambda path: mixjobs.open_run(path).posterior,
    "plots": lambda path: mixjobs.open_run(path).plot.corner(["c"]),
    "resume": resume,
}


def refused(read, path):
    """Read a damaged run; return the name of the file that the error names."""
    with pytest.raises(UnreadableFile) as caught:
        read(path)
    assert str(caught.value.path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value.path).removeprefix(f"{path}/")


def everything(run):
    chain = run.chain
    arrays = [getattr(chain, name) for name in ("positions", "log_probability", "by_order")]
    facts = run.folder.identity, run.folder.notes, run.folder.start(), run.compare().to_dict()
    return [array.tobytes() for array in arrays], json.dumps(facts), str(run.summary())


def attempt(path):
    """Read everything of a run; return it, or the error."""
    try:
        return everything(mixjobs.open_run(path)), None
    except UnreadableFile as error:
        return None, error


def test_any_flipped_bit_is_noticed_or_does_not_matter(run):
    """Some bits of a segment, such as the times in its zip archive, do not matter."""
    before, files = everything(run), files_of(run.path)

    @given(bits(files))
    def check(where):
        name, bit = where
        with flipped(files[name], bit):
            after, error = attempt(run.path)
        if error is None:
            assert name.startswith("steps/") or name.endswith(".json")
            assert after == before
        else:
            assert error.path == str(files[name])

    check()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["run.json", START, COMPARISON, POSTERIOR, "steps"])
def test_every_reader_refuses_a_changed_file(copy, name, reader):
    path = steps_of(copy)[1] if name == "steps" else copy / name
    content = path.read_bytes()
    if name.endswith(".json"):
        path.write_text(path.read_text().replace('"teff_1"', '"teff_3"', 1))
    elif name == POSTERIOR:
        path.write_bytes(content[: len(content) // 2])
    else:
        path.write_bytes(steps_of(copy)[2].read_bytes())
    assert path.read_bytes() != content
    assert refused(READERS[reader], copy) == path.relative_to(copy).as_posix()


@pytest.mark.parametrize("how", ["copy", "exchange", "rename", "remove", "from another run"])
def test_segments_form_a_chain(copy, how, tmp_path):
    steps = steps_of(copy)
    assert len(steps) == 5

    @given(st.lists(st.sampled_from(range(len(steps))), min_size=2, max_size=2, unique=True))
    def check(pair):
        one, other = (steps[k] for k in pair)
        contents = [path.read_bytes() for path in (one, other)]
        if how == "remove" and pair[0] == len(steps) - 1:
            return
        with replaced(one, contents[0]), replaced(other, contents[1]):
            if how == "copy":
                one.write_bytes(contents[1])
            elif how == "exchange":
                one.write_bytes(contents[1])
                other.write_bytes(contents[0])
            elif how == "remove":
                one.unlink()
            elif how == "rename":
                name = f"{99:08d}_{99:08d}.npz"
                one.rename(one.with_name(name))
            try:
                named = refused(mixjobs.open_run, copy)
                assert named.startswith("steps/")
            finally:
                (copy / "steps" / f"{99:08d}_{99:08d}.npz").unlink(missing_ok=True)
                one.touch()

    if how != "from another run":
        check()
        return
    for path in (tmp_path / "a", tmp_path / "b"):
        seed = 1 + (path.name == "b")
        run_ensembles(half, folder(path, seed=seed), start(), checkpoint=10, max_steps=30)
    a, b = (RunFolder.open(tmp_path / name) for name in "ab")
    for mine, other in zip(steps_of(a.path), steps_of(b.path), strict=True):
        with replaced(mine, other.read_bytes()):
            assert refused(lambda _: a.chain(), a.path) == mine.relative_to(a.path).as_posix()
    a.chain()


@pytest.mark.parametrize("name", [START, COMPARISON, POSTERIOR])
def test_a_file_of_another_run(copy, name):
    """Each is intact, but belongs to a run with another seed."""
    run = mixjobs.open_run(copy)
    identity = run.folder.identity | {"seed": 77}
    if name == POSTERIOR:
        other = RunFolder(copy, identity, run.folder.notes, has_digests=True)
        other.sampled_chain = run.folder.sampled_chain
        write_posterior(copy / name, make_posterior(other, finished().log_probability))
    else:
        content = run.folder.read_json(name)
        (copy / name).write_text(json.dumps(with_digest(content, json_digest(identity))))
    assert refused(mixjobs.open_run, copy) == name


def test_arrays_changed_with_numpy(copy):
    """The checksums of the zip archive are valid."""
    path = steps_of(copy)[2]
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    for name in ("positions", "log_probability", "by_order", "accepted"):
        changed = arrays[name].copy()
        changed.flat[3] += 1
        with replaced(path, path.read_bytes()):
            np.savez(path, **arrays | {name: changed})
            read = READERS["summary"]
            assert refused(read, copy) == path.relative_to(copy).as_posix()
    with replaced(path, path.read_bytes()):
        del arrays["seal"]
        np.savez(path, **arrays)
        assert refused(mixjobs.open_run, copy) == path.relative_to(copy).as_posix()


def test_removing_the_last_segments_is_repaired_by_resuming(copy, run):
    for path in steps_of(copy)[-2:]:
        path.unlink()
    again = mixjobs.open_run(copy)
    sample_run(again, STEPS + 6, checkpoint=2)
    assert same(again.chain, run.chain)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_posterior_is_written(copy, number):
    """The file is complete or absent, whenever the signal arrives, and the signal is not lost."""
    posterior, path = read_posterior(copy / POSTERIOR), copy / POSTERIOR
    begin = time.perf_counter()
    write_posterior(path, posterior)
    seconds = time.perf_counter() - begin
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}

    def write(delay):
        sender = threading.Timer(delay, os.kill, (os.getpid(), number))
        with termination():
            sender.start()
            write_posterior(path, posterior)
            sender.join()
            stop_if_told()

    for fraction in (0.0, 0.2, 0.4, 0.6, 0.8):
        path.unlink(missing_ok=True)
        with pytest.raises(KeyboardInterrupt):
            write(fraction * seconds)
        for n, handler in handlers.items():  # SIGTERM leaves them to a command that ends
            signal.signal(n, handler)
        if fraction > 0.3 or path.exists():
            assert read_posterior(path, digest_required=True).equals(posterior)
        assert not list(copy.glob(".*"))


class TestWithoutDigests:
    """Runs of the version before digests."""

    @pytest.fixture
    def old(self, copy):
        return to_run_without_digests(copy)

    def test_it_is_read_and_says_so(self, old, run):
        opened = mixjobs.open_run(old)
        assert not opened.folder.has_digests
        assert same(opened.chain, run.chain)
        assert not opened.summary().has_digests
        assert run.summary().has_digests
        assert "without digests" in str(opened.summary())
        assert "digests" in repr(opened)
        assert opened.posterior.equals(run.posterior)

    def test_it_continues(self, old, run):
        """The new segments form a chain that begins without a seal."""
        sample_run(mixjobs.open_run(old), STEPS + 10, checkpoint=2)
        again = mixjobs.open_run(old)
        assert again.chain.n_steps == STEPS + 10
        one, other = steps_of(old)[-2:]
        with replaced(one, other.read_bytes()):
            assert refused(mixjobs.open_run, old) == one.relative_to(old).as_posix()
        with replaced(other, steps_of(old)[2].read_bytes()):
            assert refused(mixjobs.open_run, old) == other.relative_to(old).as_posix()

    def test_damage_that_is_noticed_names_a_file(self, old):
        files = files_of(old)

        @given(bits({n: p for n, p in files.items() if n != POSTERIOR}))
        def check(where):
            name, bit = where
            with flipped(files[name], bit):
                _, error = attempt(old)
            assert error is None or error.path in map(str, files.values())

        check()

    @pytest.mark.parametrize("name", [START, COMPARISON, "run.json"])
    def test_missing_keys(self, old, name):
        (old / name).write_text("{}")
        assert refused(READERS["resume"], old) == name
