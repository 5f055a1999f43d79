"""Run folders: what is written comes back, and errors name the file."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, MissingFile, OutputExists, UnreadableFile
from mixjobs.inference.run_folder import RunFolder
from mixjobs.inference.sampler import run_ensembles
from mixjobs.inference.segments import RANDOM, Segment
from tests.helpers.sampled import IDENTITY, folder, half, same, start


def segment(n, ensembles=2, walkers=4, p=2, m=3, seed=0):
    """Return `n` random steps."""
    rng = np.random.default_rng(seed)
    shape = (ensembles, n, walkers)
    random = np.zeros(ensembles, RANDOM)
    random["keys"] = rng.integers(0, 2**32, (ensembles, 624))
    random["gauss"] = rng.normal(size=ensembles)
    return Segment(
        rng.normal(size=(*shape, p)), rng.normal(size=shape), rng.normal(size=(*shape, m)),
        rng.integers(0, walkers, shape[:2]), random,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """30 steps in segments of 10."""
    run = folder(tmp_path / "run")
    run_ensembles(half, run, start(), checkpoint=10, max_steps=30)
    return run


def path_of(run, k):
    """Return the path of a segment."""
    return sorted((run.path / "steps").glob("*.npz"))[k]


@settings(max_examples=10)
@given(
    lengths=st.lists(st.integers(1, 5), max_size=5), ensembles=st.integers(1, 3),
    walkers=st.integers(1, 5), p=st.integers(1, 4), m=st.integers(0, 3),
)  # fmt: skip
def test_round_trip(lengths, ensembles, walkers, p, m, tmp_path_factory):
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
    def test_round_trip(self, tmp_path):
        notes = {"emcee": "3.1", "job": 'a = "b"\n'}
        RunFolder.create(tmp_path / "run", IDENTITY, notes)
        again = RunFolder.open(tmp_path / "run")
        assert (again.identity, again.notes) == (IDENTITY, notes)
        assert again.names == ("a", "b", "c")

    def test_equal_identities(self, tmp_path):
        """Tuples become lists in JSON, and the order of the keys has no meaning."""
        RunFolder.create(tmp_path / "run", IDENTITY)
        RunFolder.resume(
            tmp_path / "run", {**dict(reversed(IDENTITY.items())), "names": tuple("abc")}
        )

    def test_a_setting_that_an_earlier_version_did_not_have(self, tmp_path):
        RunFolder.create(tmp_path / "run", IDENTITY | {"settings": {"a": 1}})
        RunFolder.resume(tmp_path / "run", IDENTITY | {"settings": {"a": 1, "b": None}})
        with pytest.raises(InvalidInput, match="b None in the run, 2 now") as error:
            RunFolder.resume(tmp_path / "run", IDENTITY | {"settings": {"a": 1, "b": 2}})
        assert error.value.name == "settings"

    @pytest.mark.parametrize(
        ("change", "key", "difference"),
        [
            ({"seed": 6}, "seed", "5 in the run, 6 now"),
            ({"model": "banana", "seed": 6}, "seed", "5 in the run"),
            ({"names": ["a", "c", "b"]}, "names", "a b c in the run, a c b now"),
            ({"store": "abc"}, "store", "None in the run, abc now"),
            (
                {"model": {"teff": [["uniform", 1], ["normal", 2]]}},
                "model",
                "correlated Gaussian in the run, ",
            ),
            ({"model": "x" * 500}, "model", r"in the run, x+\.\.\. now"),
        ],
    )
    def test_another_chain_is_refused(self, change, key, difference, run):
        before = run.chain()
        with pytest.raises(InvalidInput, match=difference) as error:
            RunFolder.resume(run.path, IDENTITY | change)
        assert error.value.name == key
        assert error.value.path == str(run.path)
        assert "\n" not in str(error.value)
        assert same(run.chain(), before)

    def test_the_message_names_the_difference(self, tmp_path):
        rows = [["teff", "free"], ["rv", "normal 5"]]
        RunFolder.create(tmp_path / "run", IDENTITY | {"model": {"a": 1, "rows": rows}})
        other = IDENTITY | {"model": {"a": 1, "rows": [rows[0], ["rv", "normal 6"]]}}
        with pytest.raises(
            InvalidInput, match="rows rv normal 5 in the run, rv normal 6 "
        ) as error:
            RunFolder.resume(tmp_path / "run", other)
        assert error.value.name == "model"

    def test_a_missing_key(self, run):
        with pytest.raises(InvalidInput) as error:
            RunFolder.resume(run.path, {k: v for k, v in IDENTITY.items() if k != "model"})
        assert (error.value.name, error.value.value) == ("model", None)

    @pytest.mark.parametrize("key", ["names", "seed"])
    def test_required_keys(self, key, tmp_path):
        with pytest.raises(InvalidInput) as error:
            RunFolder.create(tmp_path / "run", {k: v for k, v in IDENTITY.items() if k != key})
        assert error.value.name == key


class TestCreate:
    def test_an_existing_run(self, run):
        with pytest.raises(OutputExists) as error:
            RunFolder.create(run.path, IDENTITY)
        assert error.value.path == str(run.path)

    def test_another_existing_path(self, tmp_path):
        (tmp_path / "notes.txt").touch()
        for path in (tmp_path, tmp_path / "notes.txt"):
            with pytest.raises(OutputExists) as error:
                RunFolder.create(path, IDENTITY)
            assert error.value.path == str(path)

    def test_after_creation_was_killed(self, tmp_path):
        (tmp_path / "run" / "steps").mkdir(parents=True)
        (tmp_path / "run" / "run.json.123.aside").write_text('{"ident')
        run = RunFolder.create(tmp_path / "run", IDENTITY)
        with run.locked():
            pass
        assert sorted(entry.name for entry in run.path.iterdir()) == ["run.json", "steps"]

    def test_no_parent_folder(self, tmp_path):
        with pytest.raises(InvalidInput) as error:
            RunFolder.create(tmp_path / "no" / "run", IDENTITY)
        assert error.value.path == str(tmp_path / "no" / "run")


class TestOpen:
    @pytest.mark.parametrize("name", ["nothing", "folder", "file", "file/run"])
    def test_not_a_run_folder(self, name, tmp_path):
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        expected = r"run\.json" if (tmp_path / name).exists() else "no such run"
        with pytest.raises(MissingFile, match=expected) as error:
            RunFolder.open(tmp_path / name)
        assert error.value.path == str(tmp_path / name)

    @pytest.mark.parametrize("content", ["", '{"identity"', "[]", '{"identity": {}}', "\xff"])
    def test_damaged_identity(self, content, run):
        (run.path / "run.json").write_text(content, encoding="latin-1")
        with pytest.raises(UnreadableFile) as error:
            RunFolder.open(run.path)
        assert error.value.path == str(run.path / "run.json")

    def test_before_the_start(self, tmp_path):
        run = folder(tmp_path / "run")
        for read in (run.chain, run.positions, run.last_segment):
            with pytest.raises(MissingFile, match="no steps") as error:
                read()
            assert error.value.path == str(run.path)

    def test_only_the_start(self, tmp_path):
        run = folder(tmp_path / "run")
        with run.locked():
            run.write(0, segment(1))
        assert run.chain().positions.shape == (2, 0, 4, 2)


class TestDamage:
    @settings(max_examples=25)
    @given(where=st.floats(0, 1, exclude_max=True), how=st.sampled_from(["cut", "flip", "zero"]))
    def test_last_segment(self, where, how, tmp_path_factory):
        """Damage is detected; once the file is removed, sampling repeats the same steps."""
        run = folder(tmp_path_factory.mktemp("damage") / "run")
        run_ensembles(half, run, start(), checkpoint=10, max_steps=20)
        path, whole = path_of(run, -1), run.chain()
        content = bytearray(path.read_bytes())
        at = int(where * len(content))
        if how == "flip":
            content[at] ^= 0x55
        else:
            content[at:] = bytes(len(content) - at if how == "zero" else 0)
        path.write_bytes(content)
        failure, chain = None, None
        try:
            chain = run.chain()
        except UnreadableFile as error:
            failure = error
        if failure is not None:
            assert failure.path == str(path)
            assert str(failure).endswith("to continue from step 10")
            assert "\n" not in str(failure)
            path.unlink()
            run_ensembles(half, run, checkpoint=10, max_steps=20)
            chain = run.chain()
        assert same(chain, whole)  # true also if only unread bytes are damaged

    def test_sampling_does_not_continue_from_a_damaged_segment(self, run):
        path_of(run, -1).write_bytes(b"")
        with pytest.raises(UnreadableFile):
            run_ensembles(half, run, checkpoint=10, max_steps=40)
        assert run.last_step() == 30

    def test_segment_of_another_kind(self, run):
        np.savez(path_of(run, -1), other=np.zeros(3))
        with pytest.raises(UnreadableFile, match="to continue from step 20"):
            run.chain()

    def test_start(self, run):
        path_of(run, 0).write_bytes(b"PK")
        with pytest.raises(UnreadableFile, match="to continue from a new start"):
            run.chain()

    def test_gap(self, run):
        path_of(run, 2).unlink()
        for read in (run.chain, run.last_step, run.last_segment):
            with pytest.raises(UnreadableFile, match="steps 11 to 20 are missing") as error:
                read()
            assert error.value.path == str(path_of(run, 2))

    def test_leftovers(self, run):
        before = run.chain()
        aside = run.path / "steps" / "00000031_00000040.npz.aside"
        aside.write_bytes(b"PK")
        (run.path / "steps" / "mine.npz").touch()
        assert same(RunFolder.open(run.path).chain(), before)
        assert aside.exists()  # another process may be writing it
        with run.locked():
            assert not aside.exists()


def test_an_interrupted_writer_writes_a_segment_twice(run):
    """An interrupt between the file and the record that it is written causes a second write."""
    before = RunFolder.open(run.path).chain()
    _, _, walkers, p = before.positions.shape
    m = before.by_order.shape[-1]
    part, more = segment(2, 2, walkers, p, m), segment(3, 2, walkers, p, m, seed=5)
    with run.locked():
        run.write(31, part)
        run.write(31, part)
        run.write(33, more)
    chain = RunFolder.open(run.path).chain()
    np.testing.assert_array_equal(chain.positions[:, :30], before.positions)
    np.testing.assert_array_equal(chain.positions[:, 30:32], part.positions)
    np.testing.assert_array_equal(chain.positions[:, 32:], more.positions)


def test_lock(run):
    with run.locked(), run.locked():
        run.write(31, segment(1))
    assert not (run.path / "job.lock").exists()
    with pytest.raises(RuntimeError, match="within `locked`"):
        run.write(32, segment(1))


def test_identity_is_legible(run):
    assert json.loads((run.path / "run.json").read_text())["identity"] == IDENTITY
