"""Partial stores: resumed, refused, replaced and deleted, also on a full disk."""

import json
import os

import numpy as np
import pytest
from hypothesis import given

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
from mixjobs.store.format import open_array, open_store, write_attributes, write_whole
from mixjobs.store.partial import check_output, partial_store
from mixjobs.store.progress import recorded_means
from tests.helpers.damage import bits, flipped
from tests.helpers.small_disk import fill_up, mounted
from tests.helpers.small_stores import MEANS, create, fill

IDENTITY = {"orders": "2 (abc)", "library size": "17"}


class StoreMaker:
    """Makes stores at one path, and counts how often their group is created."""

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
        """Stop with an error after some finished blocks."""

        def steps(partial):
            for start, stop in ((0, 4), (4, 6))[:after]:
                self.means(partial, start, stop)
            raise fault

        with pytest.raises(type(fault)):
            self.run(steps, **options)

    def left(self):
        return sorted(p.name for p in self.path.parent.iterdir())


@pytest.fixture
def maker(tmp_path):
    return StoreMaker(tmp_path / "a.zarr")


class TestComplete:
    def test_a_complete_store_is_renamed_and_no_other_files_are_left(self, maker):
        with maker() as partial:
            assert maker.left() == ["a.zarr.partial"]
            maker.means(partial, 0, 4)
            maker.means(partial, 4, 6)
        assert maker.left() == ["a.zarr"]
        store = open_store(maker.path)
        np.testing.assert_array_equal(store.mean_flux, MEANS)
        assert sorted(p.name for p in maker.path.iterdir() if p.is_file()) == ["zarr.json"]

    def test_files_of_a_killed_writer_are_deleted(self, maker):
        """Zarr renames complete temporary files; a killed process leaves them behind."""
        maker.interrupt(RuntimeError())
        left = maker.folder / "store" / "mean_flux" / "c" / "0" / "0.93eb6eab53ee.partial"
        left.write_bytes(bytes(100))
        maker.finish()
        assert list(maker.path.rglob("*.partial")) == []
        np.testing.assert_array_equal(open_store(maker.path).mean_flux, MEANS)

    def test_an_output_that_exists(self, maker):
        maker.finish()
        with pytest.raises(OutputExists, match="already exists"):
            maker.finish()
        assert maker.left() == ["a.zarr"]

    def test_overwrite(self, maker):
        maker.finish(mark=1)
        maker.finish(mark=2, overwrite=True)
        assert maker.left() == ["a.zarr"]
        assert open_store(maker.path).attributes["mark"] == 2

    def test_overwrite_keeps_the_old_store_until_the_new_one_is_complete(self, maker):
        maker.finish(mark=1)
        maker.interrupt(RuntimeError(), mark=2, overwrite=True)
        assert maker.left() == ["a.zarr", "a.zarr.partial"]
        assert open_store(maker.path).attributes["mark"] == 1
        maker.finish(mark=2, overwrite=True)
        assert maker.left() == ["a.zarr"]
        assert open_store(maker.path).attributes["mark"] == 2

    def test_overwrite_after_a_stop_between_the_two_renames(self, maker):
        fill(maker.path.with_name("a.zarr.old"))
        maker.finish(mark=1)
        fill(maker.path.with_name("a.zarr.old"))
        maker.finish(mark=2, overwrite=True)
        assert maker.left() == ["a.zarr"]

    def test_only_a_store_can_be_overwritten(self, maker):
        maker.path.mkdir()
        (maker.path / "thesis.tex").write_text("precious")
        with pytest.raises(OutputExists, match="not a store, so it is not overwritten"):
            maker.finish(overwrite=True)
        (maker.path / "thesis.tex").unlink()
        maker.path.rmdir()
        maker.path.write_text("precious")
        with pytest.raises(OutputExists, match="not a store"):
            maker.finish(overwrite=True)
        assert maker.left() == ["a.zarr"]

    def test_a_missing_parent_folder(self, tmp_path):
        path = tmp_path / "missing" / "a.zarr"
        for call in (lambda: check_output(path, False), StoreMaker(path).finish):
            with pytest.raises(InvalidInput, match="missing does not exist") as error:
                call()
            assert (error.value.name, error.value.path) == ("output", str(path))
        assert list(tmp_path.iterdir()) == []

    def test_another_job_finished_it_while_this_one_waited(self, maker, monkeypatch):
        acquire = JobLock.acquire

        def late(lock):
            fill(maker.path)
            acquire(lock)

        monkeypatch.setattr(JobLock, "acquire", late)
        with pytest.raises(OutputExists):
            maker.finish()
        assert maker.left() == ["a.zarr"]


class TestResume:
    @pytest.mark.parametrize(
        "fault", [RuntimeError(), KeyboardInterrupt(), JobFailed("a")], ids=repr
    )
    def test_finished_work_is_kept(self, maker, fault):
        maker.interrupt(fault)
        assert maker.left() == ["a.zarr.partial"]
        assert read_holder(maker.folder) is None
        with maker() as partial:
            assert [done.block for done in partial.finished()] == [[0, 0]]
            maker.means(partial, 4, 6)
        assert maker.created == 1
        np.testing.assert_array_equal(open_store(maker.path).mean_flux, MEANS)

    @pytest.mark.parametrize(
        "fault", [RuntimeError(), KeyboardInterrupt(), InvalidInput("a")], ids=repr
    )
    def test_no_files_are_left_if_no_task_was_finished(self, maker, fault):
        maker.interrupt(fault, after=0)
        assert maker.left() == []

    def test_no_files_are_left_after_invalid_input(self, maker):
        maker.interrupt(LibraryError("NaN"), after=2)
        assert maker.left() == []

    def test_a_job_killed_before_any_task_was_finished(self, maker):
        create(maker.folder / "store", attributes={"identity": {"orders": "others"}})
        maker.finish()
        assert maker.created == 1
        assert maker.left() == ["a.zarr"]

    def test_a_partial_store_of_another_schema_is_refused(self, maker):
        maker.interrupt(RuntimeError())
        write_attributes(maker.folder / "store", {"schema_version": 2})
        with pytest.raises(StoreError) as error:
            maker.finish()
        assert set(error.value.value) == {"schema"}
        maker.finish(overwrite=True)

    def test_another_job_is_refused_with_the_differences(self, maker):
        maker.interrupt(RuntimeError())
        other = {**IDENTITY, "orders": "3 (def)", "spectra": "raw"}
        with pytest.raises(StoreError) as error:
            maker.finish(identity=other)
        assert error.value.value == {
            "orders": "2 (abc) in the partial store, 3 (def) now",
            "spectra": "None in the partial store, raw now",
        }
        with maker() as partial:  # the partial store is unchanged
            assert [done.block for done in partial.finished()] == [[0, 0]]

    def test_overwrite_starts_again_only_for_another_job(self, maker):
        maker.interrupt(RuntimeError())
        maker.interrupt(RuntimeError(), overwrite=True, after=0)
        assert maker.created == 1
        with maker(identity={"orders": "3"}, overwrite=True) as partial:
            assert partial.finished() == []
            maker.means(partial, 0, 4)
            maker.means(partial, 4, 6)
        assert maker.created == 2
        assert open_store(maker.path).attributes["identity"] == {"orders": "3"}

    def test_a_damaged_partial_store(self, maker):
        maker.interrupt(RuntimeError())
        (maker.folder / "store" / "zarr.json").write_text("{")
        with pytest.raises(StoreError, match=r"another job \(.*zarr.json is damaged"):
            maker.finish()
        maker.finish(overwrite=True)
        assert maker.left() == ["a.zarr"]


class TestLocked:
    def test_a_second_job_is_refused_and_changes_nothing(self, maker):
        with maker() as partial:
            maker.means(partial, 0, 4)
            with pytest.raises(StoreLocked):
                maker.finish()
            with pytest.raises(StoreLocked):
                maker.finish(overwrite=True, identity={})
            maker.means(partial, 4, 6)
        assert (maker.left(), maker.created) == (["a.zarr"], 1)

    @pytest.mark.parametrize("after", [0, 1])
    def test_a_job_that_lost_its_lock_stops_and_deletes_nothing(self, maker, after):
        holder = {"host": "elsewhere", "process": 1, "slurm_job": "", "slurm_restart": 0}

        def steps(partial):
            for start in range(after):
                maker.means(partial, start, 4)
            (maker.folder / "job.lock").write_text(json.dumps(holder))
            partial.record("mean_flux", [0, 4])

        with pytest.raises(StoreLocked, match="elsewhere has taken over this job"):
            maker.run(steps)
        assert read_holder(maker.folder) == Holder(**holder)
        assert (maker.folder / "store").is_dir()
        assert len(progress.read(maker.folder)) == after

    def test_a_job_that_lost_its_lock_deletes_nothing_after_another_error(self, maker):
        def steps(partial):
            (maker.folder / "job.lock").unlink()
            raise ValueError("a fault")

        with pytest.raises(ValueError, match="a fault"):
            maker.run(steps)
        assert (maker.folder / "store").is_dir()

    def test_a_job_that_lost_its_lock_does_not_finish_the_store(self, maker):
        with pytest.raises(StoreLocked):
            maker.run(lambda partial: (maker.folder / "job.lock").unlink())
        assert maker.left() == ["a.zarr.partial"]


class TestProgress:
    def test_recorded_tasks_are_read(self, tmp_path):
        assert progress.read(tmp_path) == []
        progress.record(tmp_path, "mean_flux", [0, 2], MEANS[:, 2:5])
        progress.record(tmp_path, "flux_ratio", [3, 0])
        done = progress.read(tmp_path)
        assert [(d.stage, d.block) for d in done] == [("mean_flux", [0, 2]), ("flux_ratio", [3, 0])]
        assert done[0].time <= done[1].time
        means = recorded_means(done, MEANS.shape)
        assert means[:, 2:5].tobytes() == MEANS[:, 2:5].tobytes()
        assert np.isnan(means[:, [0, 1, 5]]).all()

    def test_a_flipped_bit_loses_a_task_but_changes_none(self, tmp_path):
        for first in (0, 2, 4):
            progress.record(tmp_path, "mean_flux", [0, first], MEANS[:, first : first + 2])
        path, intact = tmp_path / progress.NAME, progress.read(tmp_path)

        @given(bits({"record": path}))
        def check(where):
            with flipped(path, where[1]):
                left = progress.read(tmp_path)
            assert len(left) >= 1  # a flipped line feed loses two
            assert all(task in intact for task in left)

        check()

    @pytest.mark.parametrize("cut", [1, 2, 10, 30, 50])
    def test_a_truncated_line_is_skipped_and_does_not_affect_the_next(self, tmp_path, cut):
        progress.record(tmp_path, "flux_ratio", [0, 0])
        progress.record(tmp_path, "flux_ratio", [0, 4])
        os.truncate(tmp_path / progress.NAME, (tmp_path / progress.NAME).stat().st_size - cut)
        assert [d.block for d in progress.read(tmp_path)] == [[0, 0]]
        progress.record(tmp_path, "flux_ratio", [0, 8])
        assert [d.block for d in progress.read(tmp_path)] == [[0, 0], [0, 8]]

    @pytest.mark.parametrize(
        "line", ["[]", "3", '{"stage": "a"}', '{"a": 1}', "\x00" * 8], ids=repr
    )
    def test_invalid_lines_are_skipped(self, tmp_path, line):
        (tmp_path / progress.NAME).write_text(line + "\n")
        progress.record(tmp_path, "flux_ratio", [0, 4])
        assert [d.block for d in progress.read(tmp_path)] == [[0, 4]]


class TestDisk:
    def test_full_midway(self, tmp_path):
        """The error is one line, finished work is kept, and the job resumes when there is room."""
        with mounted(tmp_path / "disk", "size=512k") as disk:
            maker = StoreMaker(disk / "a.zarr")

            def steps(partial):
                maker.means(partial, 0, 4)
                fill_up(disk)
                maker.means(partial, 4, 6)

            with pytest.raises(JobFailed, match="no space left on the disk") as caught:
                maker.run(steps)
            assert "\n" not in str(caught.value)
            assert isinstance(caught.value, MixjobsError)
            assert maker.left() == ["a.zarr.partial", "ballast"]
            (disk / "ballast").unlink()
            with maker() as partial:
                assert [0, 0] in [done.block for done in partial.finished()]
                maker.means(partial, 4, 6)
            np.testing.assert_array_equal(open_store(maker.path).mean_flux, MEANS)
            assert maker.created == 1

    @pytest.mark.parametrize("leave", [0, 4096, 3 * 4096, 8 * 4096])
    def test_full_from_the_start(self, tmp_path, leave):
        """Nothing is left, unless there was room to record a finished task."""
        with mounted(tmp_path / "disk", "size=512k") as disk:
            fill_up(disk, leave)
            maker = StoreMaker(disk / "a.zarr")
            with pytest.raises(JobFailed, match="no space left on the disk"):
                maker.finish()
            assert maker.left() == ["ballast"] or progress.read(maker.folder)

    def test_read_only(self, tmp_path):
        refused = pytest.raises(JobFailed, match=r"a\.zarr: cannot be written \(Read-only file")
        with mounted(tmp_path / "disk", "ro") as disk, refused:
            StoreMaker(disk / "a.zarr").finish()

    def test_a_file_where_the_partial_store_should_be(self, maker):
        maker.folder.touch()
        with pytest.raises(JobFailed, match=r"cannot be written \(File exists\)"):
            maker.finish()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_folder_without_permission(self, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(JobFailed, match=r"cannot be written \(Permission denied\)"):
            StoreMaker(tmp_path / "a.zarr").finish()
        tmp_path.chmod(0o700)
