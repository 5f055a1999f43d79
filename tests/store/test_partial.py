"""Partial stores: resumed, refused, replaced, deleted; and a disk that is full."""

import json
import os

import numpy as np
import pytest

from mixjobs.errors import (
    InvalidInput,
    JobFailed,
    LibraryError,
    MixjobsError,
    OutputExists,
    StoreError,
    StoreLocked,
)
from mixjobs.lock import Holder, JobLock, read_holder
from mixjobs.store import progress
from mixjobs.store.format import open_array, open_store, write_whole
from mixjobs.store.partial import check_output, partial_store
from mixjobs.store.progress import recorded_means
from tests.helpers.small_disk import fill_up, mounted
from tests.helpers.small_stores import MEANS, create, fill

IDENTITY = {"orders": "2 (abc)", "library size": "17"}


class Making:
    """Makes stores at one path, and counts how often the group was created."""

    def __init__(self, path):
        self.path, self.created = path, 0
        self.folder = path.with_name(path.name + ".partial")

    def __call__(self, identity=IDENTITY, *, overwrite=False, mark=None):
        def create_once(group):
            self.created += 1
            create(group, attributes={"identity": identity, "mark": mark}, dtype=None)

        return partial_store(self.path, identity, create_once, overwrite)

    def finish(self, **options):
        with self(**options) as partial:
            means = recorded_means(partial.finished(), MEANS.shape)
            for start, stop in ((0, 4), (4, 6)):
                if np.isnan(means[:, start:stop]).any():
                    self.means(partial, start, stop)

    def means(self, partial, start, stop):
        partial.record("mean_flux", [0, start], MEANS[:, start:stop])
        means = recorded_means(partial.finished(), MEANS.shape)
        write_whole(open_array(partial.group, "mean_flux"), (0, 0), means)

    def run(self, steps, **options):
        with self(**options) as partial:
            steps(partial)

    def interrupt(self, fault, *, after=1, **options):
        """Stop with a fault after some finished blocks."""

        def steps(partial):
            for start, stop in ((0, 4), (4, 6))[:after]:
                self.means(partial, start, stop)
            raise fault

        with pytest.raises(type(fault)):
            self.run(steps, **options)

    def left(self):
        return sorted(p.name for p in self.path.parent.iterdir())


@pytest.fixture
def making(tmp_path):
    return Making(tmp_path / "a.zarr")


class TestComplete:
    def test_it_gets_its_name_and_nothing_else_is_left(self, making):
        with making() as partial:
            assert making.left() == ["a.zarr.partial"]
            making.means(partial, 0, 4)
            making.means(partial, 4, 6)
        assert making.left() == ["a.zarr"]
        store = open_store(making.path)
        np.testing.assert_array_equal(store.mean_flux, MEANS)
        assert sorted(p.name for p in making.path.iterdir() if p.is_file()) == ["zarr.json"]

    def test_what_a_killed_writer_has_left_is_cleared_away(self, making):
        """Zarr writes aside and renames: a process killed meanwhile leaves such a file."""
        making.interrupt(RuntimeError())
        left = making.folder / "store" / "mean_flux" / "c" / "0" / "0.93eb6eab53ee.partial"
        left.write_bytes(bytes(100))
        making.finish()
        assert list(making.path.rglob("*.partial")) == []
        np.testing.assert_array_equal(open_store(making.path).mean_flux, MEANS)

    def test_an_output_that_exists(self, making):
        making.finish()
        with pytest.raises(OutputExists, match="already exists"):
            making.finish()
        assert making.left() == ["a.zarr"]

    def test_overwrite(self, making):
        making.finish(mark=1)
        making.finish(mark=2, overwrite=True)
        assert making.left() == ["a.zarr"]
        assert open_store(making.path).attributes["mark"] == 2

    def test_overwrite_keeps_the_old_store_until_the_new_one_is_whole(self, making):
        making.finish(mark=1)
        making.interrupt(RuntimeError(), mark=2, overwrite=True)
        assert making.left() == ["a.zarr", "a.zarr.partial"]
        assert open_store(making.path).attributes["mark"] == 1
        making.finish(mark=2, overwrite=True)
        assert making.left() == ["a.zarr"]
        assert open_store(making.path).attributes["mark"] == 2

    def test_overwrite_after_a_stop_between_the_two_renames(self, making):
        fill(making.path.with_name("a.zarr.old"))
        making.finish(mark=1)
        fill(making.path.with_name("a.zarr.old"))
        making.finish(mark=2, overwrite=True)
        assert making.left() == ["a.zarr"]

    def test_overwrite_never_takes_what_is_not_a_store(self, making):
        making.path.mkdir()
        (making.path / "thesis.tex").write_text("precious")
        with pytest.raises(OutputExists, match="not a store, so it is not overwritten"):
            making.finish(overwrite=True)
        (making.path / "thesis.tex").unlink()
        making.path.rmdir()
        making.path.write_text("precious")
        with pytest.raises(OutputExists, match="not a store"):
            making.finish(overwrite=True)
        assert making.left() == ["a.zarr"]

    def test_no_folder_to_make_it_in(self, tmp_path):
        path = tmp_path / "missing" / "a.zarr"
        for call in (lambda: check_output(path, False), Making(path).finish):
            with pytest.raises(InvalidInput, match="missing does not exist") as error:
                call()
            assert (error.value.name, error.value.path) == ("output", str(path))
        assert list(tmp_path.iterdir()) == []

    def test_another_job_finished_it_while_this_one_waited(self, making, monkeypatch):
        acquire = JobLock.acquire

        def late(lock):
            fill(making.path)
            acquire(lock)

        monkeypatch.setattr(JobLock, "acquire", late)
        with pytest.raises(OutputExists):
            making.finish()
        assert making.left() == ["a.zarr"]


class TestResume:
    @pytest.mark.parametrize(
        "fault", [RuntimeError(), KeyboardInterrupt(), JobFailed("a")], ids=repr
    )
    def test_what_is_finished_is_kept(self, making, fault):
        making.interrupt(fault)
        assert making.left() == ["a.zarr.partial"]
        assert read_holder(making.folder) is None
        with making() as partial:
            assert [done.block for done in partial.finished()] == [[0, 0]]
            making.means(partial, 4, 6)
        assert making.created == 1
        np.testing.assert_array_equal(open_store(making.path).mean_flux, MEANS)

    @pytest.mark.parametrize(
        "fault", [RuntimeError(), KeyboardInterrupt(), InvalidInput("a")], ids=repr
    )
    def test_nothing_is_left_where_nothing_was_finished(self, making, fault):
        making.interrupt(fault, after=0)
        assert making.left() == []

    def test_nothing_is_left_after_bad_input(self, making):
        making.interrupt(LibraryError("NaN"), after=2)
        assert making.left() == []

    def test_a_job_that_died_without_a_word_before_anything_was_finished(self, making):
        create(making.folder / "store", attributes={"identity": {"orders": "others"}})
        making.finish()
        assert making.created == 1
        assert making.left() == ["a.zarr"]

    def test_another_job_is_refused_with_the_differences(self, making):
        making.interrupt(RuntimeError())
        other = {**IDENTITY, "orders": "3 (def)", "spectra": "raw"}
        with pytest.raises(StoreError) as error:
            making.finish(identity=other)
        assert error.value.value == {
            "orders": "2 (abc) in the partial store, 3 (def) now",
            "spectra": "None in the partial store, raw now",
        }
        with making() as partial:  # it is still there
            assert [done.block for done in partial.finished()] == [[0, 0]]

    def test_overwrite_begins_anew_for_another_job_only(self, making):
        making.interrupt(RuntimeError())
        making.interrupt(RuntimeError(), overwrite=True, after=0)
        assert making.created == 1
        with making(identity={"orders": "3"}, overwrite=True) as partial:
            assert partial.finished() == []
            making.means(partial, 0, 4)
            making.means(partial, 4, 6)
        assert making.created == 2
        assert open_store(making.path).attributes["identity"] == {"orders": "3"}

    def test_a_partial_store_that_is_broken(self, making):
        making.interrupt(RuntimeError())
        (making.folder / "store" / "zarr.json").write_text("{")
        with pytest.raises(StoreError, match=r"another job \(.*damaged, or not a store"):
            making.finish()
        making.finish(overwrite=True)
        assert making.left() == ["a.zarr"]


class TestLocked:
    def test_a_second_job_is_refused_and_changes_nothing(self, making):
        with making() as partial:
            making.means(partial, 0, 4)
            with pytest.raises(StoreLocked):
                making.finish()
            with pytest.raises(StoreLocked):
                making.finish(overwrite=True, identity={})
            making.means(partial, 4, 6)
        assert (making.left(), making.created) == (["a.zarr"], 1)

    @pytest.mark.parametrize("after", [0, 1])
    def test_a_job_that_was_taken_over_stops_and_leaves_all_to_the_other(self, making, after):
        holder = {"host": "elsewhere", "process": 1, "slurm_job": "", "slurm_restart": 0}

        def steps(partial):
            for start in range(after):
                making.means(partial, start, 4)
            (making.folder / "job.lock").write_text(json.dumps(holder))
            partial.record("mean_flux", [0, 4])

        with pytest.raises(StoreLocked, match="elsewhere has taken over this job"):
            making.run(steps)
        assert read_holder(making.folder) == Holder(**holder)
        assert (making.folder / "store").is_dir()
        assert len(progress.read(making.folder)) == after

    def test_nor_does_it_clear_away_after_another_fault(self, making):
        def steps(partial):
            (making.folder / "job.lock").unlink()
            raise ValueError("a fault")

        with pytest.raises(ValueError, match="a fault"):
            making.run(steps)
        assert (making.folder / "store").is_dir()

    def test_nor_does_it_finish_the_store(self, making):
        with pytest.raises(StoreLocked):
            making.run(lambda partial: (making.folder / "job.lock").unlink())
        assert making.left() == ["a.zarr.partial"]


class TestProgress:
    def test_what_was_recorded_is_read(self, tmp_path):
        assert progress.read(tmp_path) == []
        progress.record(tmp_path, "mean_flux", [0, 2], MEANS[:, 2:5])
        progress.record(tmp_path, "flux_ratio", [3, 0])
        done = progress.read(tmp_path)
        assert [(d.stage, d.block) for d in done] == [("mean_flux", [0, 2]), ("flux_ratio", [3, 0])]
        assert done[0].time <= done[1].time
        means = recorded_means(done, MEANS.shape)
        assert means[:, 2:5].tobytes() == MEANS[:, 2:5].tobytes()
        assert np.isnan(means[:, [0, 1, 5]]).all()

    @pytest.mark.parametrize("cut", [1, 2, 10, 30, 50])
    def test_a_line_that_was_cut_short_does_not_count_nor_hurt_the_next(self, tmp_path, cut):
        progress.record(tmp_path, "flux_ratio", [0, 0])
        progress.record(tmp_path, "flux_ratio", [0, 4])
        os.truncate(tmp_path / progress.NAME, (tmp_path / progress.NAME).stat().st_size - cut)
        assert [d.block for d in progress.read(tmp_path)] == [[0, 0]]
        progress.record(tmp_path, "flux_ratio", [0, 8])
        assert [d.block for d in progress.read(tmp_path)] == [[0, 0], [0, 8]]

    @pytest.mark.parametrize(
        "line", ["[]", "3", '{"stage": "a"}', '{"a": 1}', "\x00" * 8], ids=repr
    )
    def test_lines_that_are_something_else(self, tmp_path, line):
        (tmp_path / progress.NAME).write_text(line + "\n")
        progress.record(tmp_path, "flux_ratio", [0, 4])
        assert [d.block for d in progress.read(tmp_path)] == [[0, 4]]


class TestDisk:
    def test_full_midway(self, tmp_path):
        """One line, nothing finished is lost, and the same job goes on when there is room."""
        with mounted(tmp_path / "disk", "size=512k") as disk:
            making = Making(disk / "a.zarr")

            def steps(partial):
                making.means(partial, 0, 4)
                fill_up(disk)
                making.means(partial, 4, 6)

            with pytest.raises(JobFailed, match="no space left on the disk") as caught:
                making.run(steps)
            assert "\n" not in str(caught.value)
            assert isinstance(caught.value, MixjobsError)
            assert making.left() == ["a.zarr.partial", "ballast"]
            (disk / "ballast").unlink()
            with making() as partial:
                assert [0, 0] in [done.block for done in partial.finished()]
                making.means(partial, 4, 6)
            np.testing.assert_array_equal(open_store(making.path).mean_flux, MEANS)
            assert making.created == 1

    @pytest.mark.parametrize("leave", [0, 4096, 3 * 4096, 8 * 4096])
    def test_full_from_the_start(self, tmp_path, leave):
        with mounted(tmp_path / "disk", "size=512k") as disk:
            fill_up(disk, leave)
            making = Making(disk / "a.zarr")
            with pytest.raises(JobFailed, match="no space left on the disk"):
                making.finish()
            assert making.left() == ["ballast"]

    def test_read_only(self, tmp_path):
        refused = pytest.raises(JobFailed, match=r"a\.zarr: cannot be written \(Read-only file")
        with mounted(tmp_path / "disk", "ro") as disk, refused:
            Making(disk / "a.zarr").finish()

    def test_a_file_where_the_partial_store_should_be(self, making):
        making.folder.touch()
        with pytest.raises(JobFailed, match=r"cannot be written \(File exists\)"):
            making.finish()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_folder_without_permission(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(JobFailed, match=r"cannot be written \(Permission denied\)"):
            Making(tmp_path / "a.zarr").finish()
        tmp_path.chmod(0o700)
