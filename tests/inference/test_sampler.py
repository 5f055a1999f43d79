"""Sampling: the right distribution, and the same chain whatever ends it on its way."""

import random
import signal
import time
from contextlib import suppress

import emcee
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mixjobs.errors import InvalidInput, JobFailed, StoreLocked
from mixjobs.inference.run import RunFolder
from mixjobs.inference.sampler import is_asked, sample
from tests.helpers.sampled import (
    COVARIANCE,
    IDENTITY,
    SIGMA,
    WALKERS,
    P,
    banana,
    begin,
    folder,
    gaussian,
    half,
    same,
    start,
)  # fmt: skip
from tests.helpers.small_disk import fill_up, mounted


def samples(target, path, names="abc", limit=20000, walkers=20, **more):
    """Sample a target until the chain is long enough; burn-in left out."""
    run = folder(path, names=list(names))
    begun = start(walkers=walkers, p=len(names))
    end = sample(target, run, begun, checkpoint=100, max_steps=limit, **more)
    assert end.enough
    chain = run.chain()
    n = chain.positions[:, end.burn :, :, 0].size
    return chain.positions[:, end.burn :].reshape(n, -1), n / end.longest


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The chain of 60 steps that nothing has interrupted."""
    run = folder(tmp_path_factory.mktemp("reference") / "run")
    sample(half, run, start(), checkpoint=1000, max_steps=60)
    return run.chain()


class TestDistribution:
    def test_gaussian(self, tmp_path):
        x, n = samples(gaussian, tmp_path / "run")
        np.testing.assert_array_less(np.abs(x.mean(axis=0)) / SIGMA, 5 / np.sqrt(n))
        scale = np.sqrt(np.diag(COVARIANCE))
        away = (np.cov(x.T) - COVARIANCE) / np.outer(scale, scale)
        np.testing.assert_array_less(np.abs(away), 5 * np.sqrt(2 / n))

    def test_with_a_wall(self, tmp_path):
        """A proposal outside never stops a run; the mean of half a normal is known."""
        x, n = samples(half, tmp_path / "run")
        assert x[:, 0].min() >= 0
        assert x[:, 0].mean() == pytest.approx(np.sqrt(2 / np.pi), abs=5 * 0.6 / np.sqrt(n))

    def test_banana(self, tmp_path):
        """Without orders beside the log-probability."""
        x, n = samples(banana, tmp_path / "run", names="xy", walkers=40)
        assert x[:, 0].mean() == pytest.approx(0, abs=5 / np.sqrt(n))
        assert x[:, 0].std() == pytest.approx(1, abs=5 / np.sqrt(n))
        assert x[:, 1].mean() == pytest.approx(1, abs=5 * 1.75 / np.sqrt(n))


class TestChain:
    def test_is_that_of_emcee_alone(self, reference):
        """Each ensemble, advanced in turn, is what emcee makes of its seed by itself."""
        for e, seed in enumerate(np.random.SeedSequence(IDENTITY["seed"]).spawn(2)):
            moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.StretchMove(), 0.2)]
            sampler = emcee.EnsembleSampler(WALKERS, P, half, vectorize=True, moves=moves)
            stream = np.random.RandomState(np.random.MT19937(seed))
            sampler.run_mcmc(emcee.State(start()[e], random_state=stream.get_state()), 60)
            assert sampler.get_chain().tobytes() == reference.positions[e].tobytes()
            assert sampler.get_log_prob().tobytes() == reference.log_probability[e].tobytes()
            assert sampler.get_blobs().tobytes() == reference.by_order[e].tobytes()
            assert sampler.backend.accepted.sum() == reference.accepted[e].sum()

    def test_an_ensemble_knows_nothing_of_the_others(self, reference, tmp_path):
        run = folder(tmp_path / "run")
        sample(half, run, start()[:1], checkpoint=10, max_steps=60)
        assert run.chain().positions.tobytes() == reference.positions[:1].tobytes()

    def test_ensembles_differ_from_one_start(self, tmp_path):
        run = folder(tmp_path / "run")
        sample(half, run, np.repeat(start()[:1], 2, axis=0), checkpoint=10, max_steps=5)
        assert not np.array_equal(*run.chain().positions)

    def test_one_batch_shape(self, tmp_path):
        shapes = set()

        def noting(theta):
            shapes.add(theta.shape)
            return half(theta)

        sample(noting, folder(tmp_path / "run"), start(), checkpoint=3, max_steps=9)
        assert shapes == {(WALKERS // 2, P)}

    @pytest.mark.parametrize("n_orders", [0, 1, 2])
    def test_numbers_beside_the_log_probability(self, n_orders, tmp_path):
        def some(theta):
            return gaussian(theta)[:, : 1 + n_orders]

        run = folder(tmp_path / "run")
        for limit in (3, 8):
            sample(some, run, start(), checkpoint=5, max_steps=limit)
        chain = run.chain()
        assert chain.by_order.shape == (2, 8, WALKERS, n_orders)
        for e, k in ((0, 7), (1, 2)):
            there = np.c_[chain.log_probability[e, k], chain.by_order[e, k]]
            np.testing.assert_array_equal(there, some(chain.positions[e, k]))

    @settings(max_examples=15, phases=[Phase.explicit, Phase.generate])  # shrinking takes minutes
    @given(
        cuts=st.lists(st.integers(0, 300), max_size=6),
        checkpoints=st.lists(st.integers(1, 80), min_size=7, max_size=7),
    )
    def test_stopped_anywhere_it_loses_nothing(
        self, cuts, checkpoints, reference, tmp_path_factory
    ):
        """Interrupts in the middle of steps, whose finished ones are all kept."""
        path = tmp_path_factory.mktemp("cut") / "run"
        for cut, checkpoint in zip([*cuts, None], checkpoints, strict=False):
            told = []
            with suppress(KeyboardInterrupt):
                sample(
                    interrupted(half, cut), folder(path), start(), checkpoint=checkpoint,
                    max_steps=60, report=told.append,
                )  # fmt: skip
            assert folder(path).last_step() == (told[-1].steps if told else None)
        assert same(folder(path).chain(), reference)


def interrupted(target, after):
    """Return a target that is interrupted after so many calls."""
    calls = 0

    def counted(theta):
        nonlocal calls
        if calls == after:
            raise KeyboardInterrupt
        calls += 1
        return target(theta)

    return counted


class TestProcesses:
    def test_killed_at_random_moments(self, reference, tmp_path):
        chance, path = random.Random(3), tmp_path / "run"
        for _ in range(3):
            before = RunFolder.open(path).last_step() or 0 if path.exists() else 0
            process = begin(path, pause=0.003)
            for line in process.stdout:
                if int(line) >= before + chance.randrange(1, 25):
                    break
            time.sleep(chance.uniform(0, 0.03))
            process.kill()
            process.communicate()
            last = RunFolder.open(path).last_step()
            assert last >= int(line) - 7
            kept = RunFolder.open(path).chain()
            assert kept.positions.tobytes() == reference.positions[:, :last].tobytes()
        assert last < 60
        process = begin(path)
        assert process.communicate()[1] == ""
        assert same(RunFolder.open(path).chain(), reference)

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_stopped_by_a_signal(self, number, status, reference, tmp_path):
        path = tmp_path / "run"
        process = begin(path, checkpoint=1000, pause=0.003)
        while int(process.stdout.readline()) < 20:
            pass
        process.send_signal(number)
        out, err = process.communicate()
        assert (process.returncode, err) == (status, "")
        said = int(out.split()[-1]) if out else 20
        assert said <= RunFolder.open(path).last_step() <= said + 1 < 60
        assert begin(path).communicate()[1] == ""
        assert same(RunFolder.open(path).chain(), reference)

    def test_started_twice(self, reference, tmp_path):
        path = tmp_path / "run"
        process = begin(path, checkpoint=5, pause=0.02)
        process.stdout.readline()
        who = f"in use by process {process.pid} on "
        with pytest.raises(StoreLocked, match=who):
            sample(half, folder(path), start(), checkpoint=5, max_steps=60)
        read = 0
        while process.poll() is None:  # it can be read all the while
            chain = RunFolder.open(path).chain()
            assert read <= chain.n_steps
            read = chain.n_steps
            assert same(chain, type(chain)(*(part[:, :read] for part in vars(reference).values())))
        assert (process.communicate()[1], process.returncode) == ("", 0)
        assert read > 5


def test_disk_is_full(reference, tmp_path):
    with mounted(tmp_path / "disk", "size=1m") as disk:
        path = disk / "run"

        def filling(progress):
            if progress.steps == 25 and not (disk / "ballast").exists():
                fill_up(disk)

        for _ in range(2):
            with pytest.raises(JobFailed, match="no space left on the disk"):
                sample(half, folder(path), start(), checkpoint=10, max_steps=60, report=filling)
            assert folder(path).last_step() == 20
            assert folder(path).chain().n_steps == 20
            assert not list(path.rglob("*.aside"))
        (disk / "ballast").unlink()
        sample(half, folder(path), checkpoint=10, max_steps=60)
        assert same(folder(path).chain(), reference)


class TestFaults:
    @pytest.mark.parametrize(
        ("column", "value", "said"),
        [(0, np.nan, "is nan"), (0, np.inf, "is inf"), (2, np.nan, "1 of its orders NaN")],
    )
    def test_of_the_log_probability(self, column, value, said, reference, tmp_path):
        """Told with the theta; the steps before are kept, and the chain goes on when mended."""
        calls = []

        def faulty(theta):
            values = half(theta)
            calls.append(theta)
            if len(calls) == 100:
                row = np.flatnonzero(np.isfinite(values[:, 0]))[-1]
                values[row, column] = value
                calls.append(theta[row])
            return values

        run = folder(tmp_path / "run")
        with pytest.raises(JobFailed, match=said) as fault:
            sample(faulty, run, start(), checkpoint=1000, max_steps=60)
        a, b, c = map(float, calls[-1])
        assert f"a={a!r}, b={b!r}, c={c!r}" in str(fault.value)
        assert "\n" not in str(fault.value)
        assert run.last_step() == (100 - 1 - 4) // 4
        sample(half, run, checkpoint=1000, max_steps=60)
        assert same(run.chain(), reference)

    def test_shape_of_the_log_probability(self, tmp_path):
        with pytest.raises(InvalidInput, match=r"4 thetas has the shape \(4,\); \(4, 1 \+ M\)"):
            sample(lambda theta: half(theta)[:, 0], folder(tmp_path / "run"), start(),
                   checkpoint=1, max_steps=1)  # fmt: skip

    @pytest.mark.parametrize(
        ("begun", "said"),
        [
            (None, r"shape \(0,\); give \(ensembles, walkers, 3\)"),
            (start()[0], r"shape \(8, 3\); give"),
            (start(p=2), r"shape \(2, 8, 2\); give"),
            (start(walkers=9), "9 walkers for 3 parameters; give an even number, 6 or more"),
            (start(walkers=4), "4 walkers for 3 parameters"),
            (start() * [1, 1, 0], "ensemble 0 start in one plane"),
            (start() * [1, 1, np.nan], "ensemble 0 start in one plane, or not at finite values"),
            (-start(), "16 walkers start where the probability is zero, the first of them at a=-"),
            (start() * np.r_[-1, np.ones(7)][:, None], "2 walkers start where"),
        ],
    )
    def test_start(self, begun, said, tmp_path):
        run = folder(tmp_path / "run")
        with pytest.raises(InvalidInput, match=said):
            sample(half, run, begun, checkpoint=1, max_steps=1)
        assert run.last_step() is None

    @pytest.mark.parametrize("numbers", [(0, 10), (10, 0)])
    def test_numbers_of_steps(self, numbers, tmp_path):
        with pytest.raises(InvalidInput, match="both must be 1 or more"):
            sample(half, folder(tmp_path / "run"), start(), checkpoint=numbers[0],
                   max_steps=numbers[1])  # fmt: skip


class TestEnd:
    def test_long_before_the_limit(self, tmp_path):
        run, seen = folder(tmp_path / "run"), []
        end = sample(gaussian, run, start(walkers=20), checkpoint=50, max_steps=100000,
                     report=seen.append)  # fmt: skip
        assert end.enough
        assert run.last_step() == end.n_steps < 5000
        assert end.n_steps - end.burn > 50 * end.longest
        assert [progress.steps for progress in seen] == list(range(end.n_steps + 1))
        assert 0.1 < seen[-1].acceptance < 0.7
        assert seen[-1].tau == end.longest

    def test_where_it_would_have_ended(self, tmp_path):
        """Stopped on the way and gone on, more than once, it ends at the same step."""
        ends = []
        for name, cuts in (("once", (100000,)), ("thrice", (130, 777, 100000))):
            run = folder(tmp_path / name)
            for cut in cuts:
                end = sample(gaussian, run, start(walkers=20), checkpoint=50, max_steps=cut)
            ends.append(end.n_steps)
        assert ends[0] == ends[1]
        again = sample(gaussian, run, checkpoint=50, max_steps=100000)
        assert again.n_steps == ends[0]

    def test_too_short(self, tmp_path):
        end = sample(gaussian, folder(tmp_path / "run"), start(), checkpoint=20, max_steps=90)
        assert (end.enough, end.n_steps) == (False, 90)
        assert "autocorrelation times after the burn-in, 50 wanted" in end.lacks

    def test_ensembles_in_two_valleys(self, tmp_path):
        """Each is at rest by itself, but neither knows of the other's valley."""

        def valleys(theta):
            return np.logaddexp(gaussian(theta - 40 * SIGMA), gaussian(theta + 40 * SIGMA))

        begun = start(walkers=20) + np.array([-40, 40])[:, None, None] * SIGMA
        end = sample(valleys, folder(tmp_path / "run"), begun, checkpoint=100, max_steps=1600)
        assert end.lacks.startswith("the ensembles differ, R-hat ")

    @given(checkpoint=st.integers(1, 1000), n=st.integers(1, 100000))
    def test_is_asked_seldom_but_not_too_seldom(self, checkpoint, n):
        asked = [k for k in range(n, 2 * n + 16 * checkpoint) if is_asked(k, checkpoint)]
        assert len(asked) <= 32
        assert asked[0] - n <= max(checkpoint, n / 8)
        assert all(k % checkpoint == 0 for k in asked)
