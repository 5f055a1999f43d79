"""Sampling: the right distribution, and the same chain after any interruption."""

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
from mixjobs.inference.run_folder import RunFolder
from mixjobs.inference.sampler import is_check_due, run_ensembles
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


def draw(target, path, names="abc", limit=20000, walkers=20, **more):
    """Sample a target until the chain has converged; discard the burn-in."""
    run = folder(path, names=list(names))
    initial = start(walkers=walkers, p=len(names))
    end = run_ensembles(target, run, initial, checkpoint=100, max_steps=limit, **more)
    assert end.converged
    chain = run.chain()
    n = chain.positions[:, end.burn_in :, :, 0].size
    return chain.positions[:, end.burn_in :].reshape(n, -1), n / end.max_tau


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """An uninterrupted chain of 60 steps."""
    run = folder(tmp_path_factory.mktemp("reference") / "run")
    run_ensembles(half, run, start(), checkpoint=1000, max_steps=60)
    return run.chain()


class TestDistribution:
    def test_gaussian(self, tmp_path):
        x, n = draw(gaussian, tmp_path / "run")
        np.testing.assert_array_less(np.abs(x.mean(axis=0)) / SIGMA, 5 / np.sqrt(n))
        scale = np.sqrt(np.diag(COVARIANCE))
        deviation = (np.cov(x.T) - COVARIANCE) / np.outer(scale, scale)
        np.testing.assert_array_less(np.abs(deviation), 5 * np.sqrt(2 / n))

    def test_with_a_wall(self, tmp_path):
        """A half-normal distribution: proposals beyond the wall are rejected."""
        x, n = draw(half, tmp_path / "run")
        assert x[:, 0].min() >= 0
        assert x[:, 0].mean() == pytest.approx(np.sqrt(2 / np.pi), abs=5 * 0.6 / np.sqrt(n))

    def test_banana(self, tmp_path):
        """A log-probability without orders."""
        x, n = draw(banana, tmp_path / "run", names="xy", walkers=40)
        assert x[:, 0].mean() == pytest.approx(0, abs=5 / np.sqrt(n))
        assert x[:, 0].std() == pytest.approx(1, abs=5 / np.sqrt(n))
        assert x[:, 1].mean() == pytest.approx(1, abs=5 * 1.75 / np.sqrt(n))


class TestChain:
    def test_each_ensemble_equals_a_plain_emcee_run(self, reference):
        for e, seed in enumerate(np.random.SeedSequence(IDENTITY["seed"]).spawn(2)):
            moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.StretchMove(), 0.2)]
            sampler = emcee.EnsembleSampler(WALKERS, P, half, vectorize=True, moves=moves)
            stream = np.random.RandomState(np.random.MT19937(seed))
            sampler.run_mcmc(emcee.State(start()[e], random_state=stream.get_state()), 60)
            assert sampler.get_chain().tobytes() == reference.positions[e].tobytes()
            assert sampler.get_log_prob().tobytes() == reference.log_probability[e].tobytes()
            assert sampler.get_blobs().tobytes() == reference.by_order[e].tobytes()
            assert sampler.backend.accepted.sum() == reference.accepted[e].sum()

    def test_ensembles_are_independent(self, reference, tmp_path):
        run = folder(tmp_path / "run")
        run_ensembles(half, run, start()[:1], checkpoint=10, max_steps=60)
        assert run.chain().positions.tobytes() == reference.positions[:1].tobytes()

    def test_ensembles_with_the_same_start_differ(self, tmp_path):
        run = folder(tmp_path / "run")
        run_ensembles(half, run, np.repeat(start()[:1], 2, axis=0), checkpoint=10, max_steps=5)
        assert not np.array_equal(*run.chain().positions)

    def test_one_batch_shape(self, tmp_path):
        shapes = set()

        def recorded(x):
            shapes.add(x.shape)
            return half(x)

        run_ensembles(recorded, folder(tmp_path / "run"), start(), checkpoint=3, max_steps=9)
        assert shapes == {(WALKERS // 2, P)}

    @pytest.mark.parametrize("n_orders", [0, 1, 2])
    def test_numbers_stored_with_each_step(self, n_orders, tmp_path):
        def log_probability(x):
            return gaussian(x)[:, : 1 + n_orders]

        run = folder(tmp_path / "run")
        for limit in (3, 8):
            run_ensembles(log_probability, run, start(), checkpoint=5, max_steps=limit)
        chain = run.chain()
        assert chain.by_order.shape == (2, 8, WALKERS, n_orders)
        for e, k in ((0, 7), (1, 2)):
            stored = np.c_[chain.log_probability[e, k], chain.by_order[e, k]]
            np.testing.assert_array_equal(stored, log_probability(chain.positions[e, k]))

    @settings(max_examples=15, phases=[Phase.explicit, Phase.generate])  # shrinking takes minutes
    @given(
        cuts=st.lists(st.integers(0, 300), max_size=6),
        checkpoints=st.lists(st.integers(1, 80), min_size=7, max_size=7),
    )
    def test_interrupted_anywhere(self, cuts, checkpoints, reference, tmp_path_factory):
        """Interrupts within steps; no completed step is lost."""
        path = tmp_path_factory.mktemp("cut") / "run"
        for cut, checkpoint in zip([*cuts, None], checkpoints, strict=False):
            reports = []
            with suppress(KeyboardInterrupt):
                run_ensembles(
                    interrupted(half, cut), folder(path), start(), checkpoint=checkpoint,
                    max_steps=60, report=reports.append,
                )  # fmt: skip
            assert folder(path).last_step() == (reports[-1].steps if reports else None)
        assert same(folder(path).chain(), reference)


def interrupted(target, after):
    """Return a target that is interrupted after some calls."""
    calls = 0

    def counted(x):
        nonlocal calls
        if calls == after:
            raise KeyboardInterrupt
        calls += 1
        return target(x)

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
        reported = int(out.split()[-1]) if out else 20
        assert reported <= RunFolder.open(path).last_step() <= reported + 1 < 60
        assert begin(path).communicate()[1] == ""
        assert same(RunFolder.open(path).chain(), reference)

    def test_started_twice(self, reference, tmp_path):
        path = tmp_path / "run"
        process = begin(path, checkpoint=5, pause=0.02)
        process.stdout.readline()
        with pytest.raises(StoreLocked, match=str(process.pid)):
            run_ensembles(half, folder(path), start(), checkpoint=5, max_steps=60)
        read = 0
        while process.poll() is None:  # readable while it is being written
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
            with pytest.raises(JobFailed):
                run_ensembles(
                    half, folder(path), start(), checkpoint=10, max_steps=60, report=filling
                )
            assert folder(path).last_step() == 20
            assert folder(path).chain().n_steps == 20
            assert not list(path.rglob("*.aside"))
        (disk / "ballast").unlink()
        run_ensembles(half, folder(path), checkpoint=10, max_steps=60)
        assert same(folder(path).chain(), reference)


class TestErrors:
    @pytest.mark.parametrize(("column", "value"), [(0, np.nan), (0, np.inf), (2, np.nan)])
    def test_invalid_log_probability(self, column, value, reference, tmp_path):
        """The error names the parameters, and the chain continues once the fault is removed."""
        calls = []

        def faulty(x):
            values = half(x)
            calls.append(x)
            if len(calls) == 100:
                row = np.flatnonzero(np.isfinite(values[:, 0]))[-1]
                values[row, column] = value
                calls.append(x[row])
            return values

        run = folder(tmp_path / "run")
        with pytest.raises(JobFailed) as error:
            run_ensembles(faulty, run, start(), checkpoint=1000, max_steps=60)
        a, b, c = map(float, calls[-1])
        assert error.value.value.tolist() == [a, b, c]
        assert f"a={a!r}, b={b!r}, c={c!r}" in str(error.value)
        assert "\n" not in str(error.value)
        assert run.last_step() == (100 - 1 - 4) // 4
        run_ensembles(half, run, checkpoint=1000, max_steps=60)
        assert same(run.chain(), reference)

    def test_shape_of_the_log_probability(self, tmp_path):
        run = folder(tmp_path / "run")
        with pytest.raises(InvalidInput) as error:
            run_ensembles(lambda x: half(x)[:, 0], run, start(), checkpoint=1, max_steps=1)
        assert (error.value.name, error.value.value) == ("log_probability", (4,))

    @pytest.mark.parametrize(
        ("initial", "name", "value"),
        [
            (None, "start", (0,)),
            (start()[0], "start", (8, 3)),
            (start(p=2), "start", (2, 8, 2)),
            (start(walkers=9), "walkers", 9),
            (start(walkers=4), "walkers", 4),
            (start() * [1, 1, 0], "start", None),
            (start() * [1, 1, np.nan], "start", None),
        ],
    )
    def test_start(self, initial, name, value, tmp_path):
        run = folder(tmp_path / "run")
        with pytest.raises(InvalidInput) as error:
            run_ensembles(half, run, initial, checkpoint=1, max_steps=1)
        assert (error.value.name, error.value.value) == (name, value)
        assert run.last_step() is None

    @pytest.mark.parametrize(
        ("initial", "n_outside"), [(-start(), 16), (start() * np.r_[-1, np.ones(7)][:, None], 2)]
    )
    def test_start_outside_the_prior(self, initial, n_outside, tmp_path):
        run = folder(tmp_path / "run")
        with pytest.raises(InvalidInput, match=f"{n_outside} walkers") as error:
            run_ensembles(half, run, initial, checkpoint=1, max_steps=1)
        assert error.value.value.tolist() == initial[0, 0].tolist()
        assert run.last_step() is None

    @pytest.mark.parametrize("name", ["checkpoint", "max_steps"])
    def test_numbers_of_steps(self, name, tmp_path):
        steps = {"checkpoint": 10, "max_steps": 10} | {name: 0}
        with pytest.raises(InvalidInput) as error:
            run_ensembles(half, folder(tmp_path / "run"), start(), **steps)
        assert (error.value.name, error.value.value) == (name, 0)


class TestEnd:
    def test_long_before_the_limit(self, tmp_path):
        run, reports = folder(tmp_path / "run"), []
        end = run_ensembles(gaussian, run, start(walkers=20), checkpoint=50, max_steps=100000,
                     report=reports.append)  # fmt: skip
        assert end.converged
        assert run.last_step() == end.n_steps < 5000
        assert end.n_steps - end.burn_in > 50 * end.max_tau
        assert [progress.steps for progress in reports] == list(range(end.n_steps + 1))
        assert 0.1 < reports[-1].acceptance < 0.7
        assert reports[-1].tau == end.max_tau

    def test_a_resumed_chain_ends_at_the_same_step(self, tmp_path):
        ends = []
        for name, cuts in (("once", (100000,)), ("thrice", (130, 777, 100000))):
            run = folder(tmp_path / name)
            for cut in cuts:
                end = run_ensembles(gaussian, run, start(walkers=20), checkpoint=50, max_steps=cut)
            ends.append(end.n_steps)
        assert ends[0] == ends[1]
        again = run_ensembles(gaussian, run, checkpoint=50, max_steps=100000)
        assert again.n_steps == ends[0]

    def test_too_short(self, tmp_path):
        end = run_ensembles(
            gaussian, folder(tmp_path / "run"), start(), checkpoint=20, max_steps=90
        )
        assert (end.converged, end.n_steps) == (False, 90)
        assert "autocorrelation times after the burn-in (50 required)" in end.shortfall

    def test_ensembles_in_two_valleys(self, tmp_path):
        """Each ensemble is stationary, but in a different valley."""

        def valleys(x):
            return np.logaddexp(gaussian(x - 40 * SIGMA), gaussian(x + 40 * SIGMA))

        initial = start(walkers=20) + np.array([-40, 40])[:, None, None] * SIGMA
        end = run_ensembles(
            valleys, folder(tmp_path / "run"), initial, checkpoint=100, max_steps=1600
        )
        assert end.shortfall.startswith("the ensembles differ: R-hat ")

    @given(checkpoint=st.integers(1, 1000), n=st.integers(1, 100000))
    def test_checks_become_rarer_within_limits(self, checkpoint, n):
        checks = [k for k in range(n, 2 * n + 16 * checkpoint) if is_check_due(k, checkpoint)]
        assert len(checks) <= 32
        assert checks[0] - n <= max(checkpoint, n / 8)
        assert all(k % checkpoint == 0 for k in checks)
