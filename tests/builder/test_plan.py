"""The plan: blocks that cover every (order, point) pair once, and how they are chosen."""

import itertools
from math import ceil
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.builder.plan import SMALL_JOB, BuildPlan, blocks, choose_block, points_per_task
from mixjobs.builder.probe import probe, probe_rows
from mixjobs.builder.rawness import FluxLevel
from mixjobs.errors import InvalidInput, LibraryError
from mixjobs.grid import Grid
from mixjobs.library import FluxCalibration, open_library
from mixjobs.library.starfish import StarfishLibrary
from mixjobs.orders import Orders
from mixjobs.store.format import create_group, open_array, write_whole

WAVE = np.linspace(5000, 6000, 5001)


def library(n_points):
    """A library with nothing but a grid and wavelengths."""
    points = np.arange(3000.0, 3000.0 + n_points)[:, None]
    raw, keys = FluxCalibration("raw", ""), ("",) * n_points
    return StarfishLibrary(
        "",
        Grid(points, ("teff",)),
        ("T",),
        WAVE,
        "vacuum",
        "",
        raw,
        keys,
        (1.0,) * n_points,
        {},
        (),
    )


def plan(n_points, n_orders, *, seconds=0.01, n_workers=2, block=None, dtype="float64"):
    orders = Orders.log_spaced(n_orders, 5000, 6000)
    return BuildPlan(
        library(n_points), orders, *orders.pixel_ranges(WAVE),
        choose_block(n_orders, n_points, seconds, n_workers, block), dtype,
        FluxLevel(""), seconds, n_workers, {},
    )  # fmt: skip


BLOCKS = st.none() | st.tuples(st.integers(1, 9), st.integers(1, 70))


class TestCover:
    @given(st.integers(2, 60), st.integers(1, 7), BLOCKS, st.floats(1e-4, 1), st.integers(1, 4))
    def test_every_pair_once(self, n_points, n_orders, block, seconds, n_workers):
        build = plan(n_points, n_orders, block=block, seconds=seconds, n_workers=n_workers)
        count = np.zeros((n_orders, n_points), dtype=int)
        tasks = list(blocks(n_orders, n_points, build.block))
        for orders, points in tasks:
            count[orders, points] += 1
        assert (count == 1).all()
        assert build.n_tasks == len(tasks)
        shape = (tasks[0][0].stop - tasks[0][0].start, tasks[0][1].stop - tasks[0][1].start)
        assert shape == build.block
        if block:
            assert build.block == (min(block[0], n_orders), min(block[1], n_points))

    @given(st.integers(2, 5000), st.sampled_from(["float64", "float32"]))
    def test_table_rows_follow_each_other(self, n_points, dtype):
        rows = plan(n_points, 2, dtype=dtype).table_rows
        assert rows[0][0] == 0
        assert rows[-1][1] == n_points
        assert all(a[1] == b[0] for a, b in itertools.pairwise(rows))
        assert len({stop - start for start, stop in rows[:-1]}) <= 1


class TestBlockShape:
    @pytest.mark.parametrize(
        ("n_points", "n_orders", "block"),
        [
            (36, 1, (1, 1)),
            (1000, 2, (1, 1)),
            (SMALL_JOB, 1, (1, 1)),
            (SMALL_JOB + 1, 1, (1, 20)),
            (1001, 2, (2, 20)),
            (1319, 20, (20, 20)),
        ],
    )
    def test_a_task_of_a_small_job_computes_one_pair(self, n_points, n_orders, block):
        assert plan(n_points, n_orders).block == block

    @pytest.mark.parametrize(
        ("n_points", "seconds", "n_workers", "expected"),
        [
            (7500, 0.010, 2, 20),  # 0.2 s of work
            (7500, 0.0141, 2, 15),
            (7500, 0.3, 2, 2),  # at least N / 5000
            (7500, 0.0001, 2, 375),  # at most N / (10 workers)
            (7500, 0.001, 16, 46),
            (7500, 0.0, 2, 375),
            (100_000, 0.3, 2, 20),
            (36, 0.01, 2, 1),
            (36, 0.01, 0, 3),  # no worker is up yet
            (2, 10.0, 100, 1),
        ],
    )
    def test_points_per_task(self, n_points, seconds, n_workers, expected):
        assert points_per_task(n_points, seconds, n_workers) == expected

    @given(st.integers(2, 10**6), st.floats(0, 10), st.integers(1, 1000))
    def test_never_more_than_5000_tasks(self, n_points, seconds, n_workers):
        b = points_per_task(n_points, seconds, n_workers)
        assert 1 <= b <= n_points
        assert ceil(n_points / b) <= 5000

    @pytest.mark.parametrize("block", [(0, 1), (1, 0), (-1, 5)])
    def test_an_empty_block(self, block):
        with pytest.raises(InvalidInput) as error:
            plan(36, 2, block=block)
        assert (error.value.name, error.value.value) == ("block", block)


class TestSizes:
    def test_table(self):
        assert plan(1000, 20).table_bytes == 20 * 1000 * 1000 * 8
        assert plan(1000, 20, dtype="float32").table_bytes == 20 * 1000 * 1000 * 4
        assert plan(1000, 20, dtype=None).table_bytes == 0
        assert plan(1000, 20, dtype=None).table_rows == []

    def test_memory_is_bounded_by_the_block(self):
        for n_points in (2000, 20_000):
            assert plan(n_points, 5).worker_bytes < 3 * 9e6
        assert plan(2000, 5, dtype=None).worker_bytes == 3 * 8 * 5000

    @pytest.mark.parametrize(("n_points", "dtype"), [(36, "float64"), (40, None)])
    def test_files(self, tmp_path, n_points, dtype):
        build = plan(n_points, 3, dtype=dtype)
        path = tmp_path / "store"
        n_pixels = build.hi - build.lo
        create_group(path, library(n_points).grid, build.orders, n_pixels, {}, dtype)
        write_whole(open_array(path, "mean_flux"), (0, 0), np.ones((3, n_points)))
        for m, (start, stop) in itertools.product(range(3), build.table_rows):
            rows = np.ones((1, stop - start, n_points))
            write_whole(open_array(path, "flux_ratio"), (m, start, 0), rows)
        files = sum(1 for f in Path(path).rglob("*") if f.is_file())
        assert abs(build.n_files - files) <= 2


class TestProbe:
    def test_points_differ_in_teff_alone(self, data):
        grid = open_library(data / "btsettl_prism.hdf5").grid
        rows = probe_rows(grid)
        assert grid.points[rows, 0].tolist() == [2600, 3100, 3600, 4000, 4500]
        assert len(np.unique(grid.points[rows, 1:], axis=0)) == 1

    def test_teff_need_not_come_first(self):
        grid = Grid([[g, t] for t in (5000.0, 5200, 5100) for g in (4.0, 4.5)], ("logg", "teff"))
        assert grid.points[probe_rows(grid)].tolist() == [[4.5, 5000], [4.5, 5100], [4.5, 5200]]

    def test_scattered_points(self):
        points = np.random.default_rng(2).uniform(size=(40, 3))
        rows = probe_rows(Grid(points, ("teff", "logg", "feh")))
        assert len(rows) == 5
        assert points[rows[0], 0] == points[:, 0].min()
        assert points[rows[-1], 0] == points[:, 0].max()

    def test_one_parameter(self):
        assert probe_rows(Grid([[3.0], [1.0], [2.0]], ("mass",))).tolist() == [1, 2, 0]

    def test_means_and_cost(self, data):
        lib = open_library(data / "PHOENIX_50k.hdf5")
        orders = Orders.log_spaced(3, lib.wavelength[0], lib.wavelength[-1])
        probed = probe(lib, orders)
        lo, hi = orders.pixel_ranges(lib.wavelength)
        expected = [
            [lib.flux(i)[a:b].mean() for i in probed.rows] for a, b in zip(lo, hi, strict=True)
        ]
        np.testing.assert_array_equal(probed.mean_flux, expected)
        assert 0 < probed.seconds < 10

    def test_an_unusable_spectrum_is_named(self, tmp_path):
        with h5py.File(tmp_path / "a.hdf5", "w") as file:
            file["wl"] = WAVE
            file["grid_points"] = [[3000.0], [3100.0]]
            file["grid_points"].attrs["names"] = ["T"]
            file.create_group("flux").attrs["key_name"] = "t{0:.0f}"
            file["flux/t3000"] = np.ones(len(WAVE))
            file["flux/t3100"] = np.zeros(len(WAVE))
        library = open_library(tmp_path / "a.hdf5")
        with pytest.raises(LibraryError, match="order 0 has zero flux") as error:
            probe(library, Orders.from_edges([5100, 5200]))
        assert (error.value.path, error.value.name) == (library.path, "t3100")
