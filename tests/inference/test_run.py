"""The run folder: what is written comes back, and what cannot be used is told in one line."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, MissingFile, OutputExists, UnreadableFile
from mixjobs.inference.run import RANDOM, RunFolder, Segment
from mixjobs.inference.sampler import sample
from tests.helpers.sampled import IDENTITY, folder, half, same, start


def segment(n, ensembles=2, walkers=4, p=2, m=3, seed=0):
    """Return `n` steps of anything."""
    chance = np.random.default_rng(seed)
    shape = (ensembles, n, walkers)
    random = np.zeros(ensembles, RANDOM)
    random["keys"] = chance.integers(0, 2**32, (ensembles, 624))
    random["gauss"] = chance.normal(size=ensembles)
    return Segment(
        chance.normal(size=(*shape, p)), chance.normal(size=shape), chance.normal(size=(*shape, m)),
        chance.integers(0, walkers, shape[:2]), random,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """30 steps in segments of 10."""
    run = folder(tmp_path / "run")
    sample(half, run, start(), checkpoint=10, max_steps=30)
    return run


def path_of(run, k):
    """Return the path of a segment."""
    return sorted((run.path / "steps").glob("*.npz"))[k]


@settings(max_examples=10)
@given(
    lengths=st.lists(st.integers(1, 5), max_size=5), ensembles=st.integers(1, 3),
    walkers=st.integers(1, 5), p=st.integers(1, 4), m=st.integers(0, 3),
)  # fmt: skip
def test_what_is_written_comes_back(lengths, ensembles, walkers, p, m, tmp_path_factory):
    run = folder(tmp_path_factory.mktemp("run") / "run")
    parts = [segment(n, ensembles, walkers, p, m, seed) for seed, n in enumerate([1, *lengths])]
    first = 0
    for part in parts:
        with run.locked():
            run.write(first, part)
        first += part.n_steps
    again = RunFolder.open(run.path)
    assert again.last_step() == sum(lengths)
    for name in ("positions", "log_probability", "by_order", "accepted"):
        whole = np.concatenate([getattr(part, name) for part in parts], axis=1)[:, 1:]
        np.testing.assert_array_equal(getattr(again.chain(), name), whole)
    np.testing.assert_array_equal(again.positions(), again.chain().positions)
    assert again.last_segment().random.tobytes() == parts[-1].random.tobytes()
    assert same(again.last_segment(), parts[-1])


class TestIdentity:
    def test_and_notes_are_kept(self, tmp_path):
        notes = {"emcee": "3.1", "job": 'a = "b"\n'}
        RunFolder.create(tmp_path / "run", IDENTITY, notes)
        again = RunFolder.open(tmp_path / "run")
        assert (again.identity, again.notes) == (IDENTITY, notes)
        assert again.names == ("a", "b", "c")

    def test_of_the_same_chain(self, tmp_path):
        """However it is spelt: JSON has no tuples, and the order says nothing."""
        RunFolder.create(tmp_path / "run", IDENTITY)
        RunFolder.resume(
            tmp_path / "run", {**dict(reversed(IDENTITY.items())), "names": tuple("abc")}
        )

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"seed": 6}, "other seed: 5 there, 6 now"),
            ({"model": "banana", "seed": 6}, "other seed: 5 there"),
            ({"names": ["a", "c", "b"]}, "other names: a b c there, a c b now"),
            ({"store": "abc"}, "other store: None there, abc now"),
            (
                {"model": {"teff": [["uniform", 1], ["normal", 2]]}},
                "other model: correlated Gaussian there, ",
            ),
            ({"model": "x" * 500}, r"there, x+\.\.\. now"),
        ],
    )
    def test_of_another_chain(self, change, said, run):
        before = run.chain()
        with pytest.raises(InvalidInput, match=said) as error:
            RunFolder.resume(run.path, IDENTITY | change)
        assert "\n" not in str(error.value)
        assert same(run.chain(), before)

    def test_tells_the_part_that_differs(self, tmp_path):
        rows = [["teff", "free"], ["rv", "normal 5"]]
        RunFolder.create(tmp_path / "run", IDENTITY | {"model": {"a": 1, "rows": rows}})
        other = IDENTITY | {"model": {"a": 1, "rows": [rows[0], ["rv", "normal 6"]]}}
        with pytest.raises(InvalidInput, match="other model: rows rv normal 5 there, rv normal 6 "):
            RunFolder.resume(tmp_path / "run", other)

    def test_that_has_lost_a_key(self, run):
        with pytest.raises(InvalidInput, match="model: correlated Gaussian there, None now"):
            RunFolder.resume(run.path, {k: v for k, v in IDENTITY.items() if k != "model"})

    @pytest.mark.parametrize("key", ["names", "seed"])
    def test_without_what_sampling_needs(self, key, tmp_path):
        with pytest.raises(InvalidInput, match=f"has no '{key}'"):
            RunFolder.create(tmp_path / "run", {k: v for k, v in IDENTITY.items() if k != key})


class TestCreate:
    def test_over_another(self, run):
        with pytest.raises(OutputExists, match="exists already; go on with it, or give another"):
            RunFolder.create(run.path, IDENTITY)

    def test_over_something_else(self, tmp_path):
        (tmp_path / "notes.txt").touch()
        for path in (tmp_path, tmp_path / "notes.txt"):
            with pytest.raises(OutputExists, match="exists already"):
                RunFolder.create(path, IDENTITY)

    def test_after_a_kill_in_the_middle_of_it(self, tmp_path):
        (tmp_path / "run" / "steps").mkdir(parents=True)
        (tmp_path / "run" / "run.json.123.aside").write_text('{"ident')
        run = RunFolder.create(tmp_path / "run", IDENTITY)
        with run.locked():
            pass
        assert sorted(there.name for there in run.path.iterdir()) == ["run.json", "steps"]

    def test_where_there_is_no_folder(self, tmp_path):
        with pytest.raises(InvalidInput, match="make it first"):
            RunFolder.create(tmp_path / "no" / "run", IDENTITY)


class TestOpen:
    @pytest.mark.parametrize("name", ["nothing", "folder", "file", "file/run"])
    def test_what_is_no_run_folder(self, name, tmp_path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        with pytest.raises(MissingFile, match=r"not a run folder, it has no run\.json"):
            RunFolder.open(tmp_path / name)

    @pytest.mark.parametrize("content", ["", '{"identity"', "[]", '{"identity": {}}', "\xff"])
    def test_damaged_identity(self, content, run):
        (run.path / "run.json").write_text(content, encoding="latin-1")
        with pytest.raises(UnreadableFile, match=r"run\.json: cannot be read .*; start the run"):
            RunFolder.open(run.path)

    def test_before_the_start(self, tmp_path):
        run = folder(tmp_path / "run")
        for read in (run.chain, run.positions, run.last_segment):
            with pytest.raises(MissingFile, match="has no steps yet"):
                read()

    def test_with_nothing_but_the_start(self, tmp_path):
        run = folder(tmp_path / "run")
        with run.locked():
            run.write(0, segment(1))
        assert run.chain().positions.shape == (2, 0, 4, 2)


class TestDamage:
    @settings(max_examples=25)
    @given(where=st.floats(0, 1, exclude_max=True), how=st.sampled_from(["cut", "flip", "zero"]))
    def test_last_segment(self, where, how, tmp_path_factory):
        """Found wherever it is, told with what to do, and then all is as if it had not been."""
        run = folder(tmp_path_factory.mktemp("damage") / "run")
        sample(half, run, start(), checkpoint=10, max_steps=20)
        path, whole = path_of(run, -1), run.chain()
        content = bytearray(path.read_bytes())
        at = int(where * len(content))
        if how == "flip":
            content[at] ^= 0x55
        else:
            content[at:] = bytes(len(content) - at if how == "zero" else 0)
        path.write_bytes(content)
        try:
            chain = run.chain()
        except UnreadableFile as error:
            told = str(error)
            assert told.startswith(f"{path}: damaged or out of reach (")
            assert told.endswith("and those after it if there are any, to go on from step 10")
            assert "\n" not in told
            path.unlink()
            sample(half, run, checkpoint=10, max_steps=20)
            chain = run.chain()
        assert same(chain, whole)  # where the damage was to what nobody reads, too

    def test_sampling_does_not_go_on_from_it(self, run):
        path_of(run, -1).write_bytes(b"")
        with pytest.raises(UnreadableFile, match="remove it"):
            sample(half, run, checkpoint=10, max_steps=40)
        assert run.last_step() == 30

    def test_segment_of_another_kind(self, run):
        np.savez(path_of(run, -1), other=np.zeros(3))
        with pytest.raises(UnreadableFile, match=r"damaged .*to go on from step 20"):
            run.chain()

    def test_start(self, run):
        path_of(run, 0).write_bytes(b"PK")
        with pytest.raises(UnreadableFile, match="to go on from a new start"):
            run.chain()

    def test_gap(self, run):
        path_of(run, 2).unlink()
        told = "the steps from 11 to 20 are not there; bring them back, or remove 00000021"
        for read in (run.chain, run.last_step, run.last_segment):
            with pytest.raises(UnreadableFile, match=told):
                read()

    def test_leftovers(self, run):
        before = run.chain()
        aside = run.path / "steps" / "00000031_00000040.npz.aside"
        aside.write_bytes(b"PK")
        (run.path / "steps" / "mine.npz").touch()
        assert same(RunFolder.open(run.path).chain(), before)
        assert aside.exists()  # it may be another process's, that samples
        with run.locked():
            assert not aside.exists()


def test_lock(run):
    with run.locked(), run.locked():
        run.write(31, segment(1))
    assert not (run.path / "job.lock").exists()
    with pytest.raises(RuntimeError, match="within `locked` alone"):
        run.write(32, segment(1))


def test_identity_is_legible(run):
    assert json.loads((run.path / "run.json").read_text())["identity"] == IDENTITY
