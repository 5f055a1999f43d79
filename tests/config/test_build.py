"""The job file: TOML and options make the same job; faults name the key."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.config.build import make_build_job, read_build_job
from mixjobs.errors import InvalidInput, MissingFile, UnreadableFile, nearest

LEAST = {"library": "a.hdf5", "output": "q.zarr", "orders": {"n": 3}}


def test_the_least_that_is_needed():
    job = make_build_job(LEAST, "here")
    assert (job.library, job.output, job.orders.n) == ("a.hdf5", "q.zarr", 3)
    assert (job.dtype, job.table, job.select) == ("float64", True, {})
    assert (job.serial, job.workers, job.scheduler, job.block) == (False, None, None, None)
    assert [job.assume_raw, job.overwrite, job.orders.skip_uncovered] == [False] * 3


def test_a_file_with_everything(tmp_path):
    (tmp_path / "job.toml").write_text(
        """
        library = "grids/a.hdf5"
        output = "/elsewhere/q.zarr"
        format = "starfish"
        select = { teff = [3000, 4500.5], feh = [-1, 0] }
        block = [2, 30]
        dtype = "float32"
        table = false
        assume_raw = true
        overwrite = true
        workers = 4
        [orders]
        from = "star.hdf5"
        numbers = [21, 22]
        skip_uncovered = true
        """
    )
    job = read_build_job(tmp_path / "job.toml")
    assert job.library == str(tmp_path / "grids/a.hdf5")  # relative to the file
    assert job.output == "/elsewhere/q.zarr"
    assert job.select == {"teff": (3000, 4500.5), "feh": (-1, 0)}
    assert (job.block, job.dtype, job.table, job.workers) == ((2, 30), "float32", False, 4)
    assert (job.format, job.assume_raw, job.overwrite) == ("starfish", True, True)
    assert job.orders.from_file == str(tmp_path / "star.hdf5")
    assert (job.orders.numbers, job.orders.skip_uncovered) == ([21, 22], True)


@pytest.mark.parametrize(
    "orders",
    [
        {"n": 3, "range": [5000, 6000]},
        {"edges": [5000, 5500, 6000.5]},
        {"edges": [[5000, 5600], [5500, 6000.5]]},
        {"table": "orders.txt"},
    ],
)
def test_other_sources_of_orders(orders, tmp_path):
    lines = [f"{key} = {value!r}".replace("'", '"') for key, value in orders.items()]
    text = 'library = "a"\noutput = "b"\n[orders]\n' + "\n".join(lines)
    (tmp_path / "job.toml").write_text(text)
    job = read_build_job(tmp_path / "job.toml")
    given = {key: getattr(job.orders, key) for key in orders}
    if "table" in orders:
        assert given["table"] == str(tmp_path / "orders.txt")
    elif "range" in orders:
        assert given == {"n": 3, "range": (5000, 6000)}
    else:
        assert np.array_equal(given["edges"], orders["edges"])


FAULTS = [
    ({"workers": 2.0}, "workers = 2.0; expected a valid integer"),
    ({"workers": True}, "workers = True; expected a valid integer"),
    ({"workers": 0}, "workers = 0; expected greater than 0"),
    ({"library": 3}, "library = 3; expected a valid string"),
    ({"dtype": "float16"}, "dtype = 'float16'; expected 'float64' or 'float32'"),
    ({"block": [1]}, r"block.* expected \[ORDERS, POINTS\], two whole numbers from 1 up"),
    ({"block": [1, 0]}, r"block\.1 = 0; expected \[ORDERS, POINTS\]"),
    ({"block": [1, 2.5]}, r"block\.1 = 2.5; expected \[ORDERS, POINTS\]"),
    ({"select": 3}, "select = 3; expected a range for each parameter"),
    ({"select": {"teff": ["1", 2]}}, r"select\.teff\.0 = '1'; expected a range for each"),
    ({"select": {"teff": [1, 2, 3]}}, r"select\.teff = \[1, 2, 3\]; expected a range"),
    ({"orders": 5}, "orders = 5; expected a valid dictionary"),
    ({"orders": {}}, r"0 sources of orders were given; give exactly one of from \(--orders-from\)"),
    ({"orders": {"n": 1, "table": "t"}}, "2 sources of orders were given"),
    ({"orders": {"n": 1, "numbers": [2]}}, r"orders numbers goes with from \(--orders-from\)"),
    ({"orders": {"table": "t", "range": [1, 2]}}, r"orders range goes with n \(--n-orders\)"),
    ({"orders": {"n": 1, "range": [1]}}, r"orders\.range.* expected \[LOW, HIGH\] in Å"),
    ({"orders": {"edges": [1, "x"]}}, r"orders\.edges\.1 = 'x'; expected edges \[5000, 5500"),
    ({"orders": {"edges": [[1, 2, 3]]}}, r"orders\.edges.*; expected edges \[5000, 5500"),
    ({"orders": {"from": "a", "numbers": [1.5]}}, r"orders\.numbers\.0 = 1.5; expected a valid"),
    ({"orders": {"from_file": "a"}}, r"unknown key 'orders\.from_file'; did you mean from\?"),
    ({"orders": {"n": 1, "xyz": 1}}, r"unknown key 'orders\.xyz'; choose from from, numbers, n,"),
    ({"librari": "a"}, r"unknown key 'librari'; did you mean library\?"),
    ({"libary": "a", "library": None}, r"unknown key 'libary'; did you mean library\?"),
    ({"n": 3}, r"unknown key 'n'; choose from library, output, format, orders, select,"),
    ({"serial": True, "workers": 2}, "give only one of serial, workers, scheduler"),
    ({"scheduler": "tcp://a:1", "workers": 2}, "give only one of serial, workers, scheduler"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_faults(change, message):
    with pytest.raises(InvalidInput, match=f"^here: {message}"):
        make_build_job(LEAST | change, "here")


@pytest.mark.parametrize("key", LEAST)
def test_what_is_missing(key):
    with pytest.raises(InvalidInput, match=f"^here: '{key}' is missing$"):
        make_build_job({k: v for k, v in LEAST.items() if k != key}, "here")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(MissingFile, match=r"job\.toml: no such file; check its name"):
        read_build_job(tmp_path / "job.toml")
    (tmp_path / "job.toml").write_text("library = ")
    with pytest.raises(UnreadableFile, match=r"job\.toml: not a TOML job file: Invalid value"):
        read_build_job(tmp_path / "job.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UnreadableFile, match=r"folder\.toml: is a folder; give a job file"):
        read_build_job(tmp_path / "folder.toml")


KEYS = ["library", "output", "overwrite", "workers", "scheduler"]


@given(st.sampled_from(KEYS), st.integers(0, 20))
def test_a_slip_of_the_finger_finds_its_key(key, place):
    place %= len(key)
    assert nearest(key[:place] + key[place + 1 :], KEYS) == f"; did you mean {key}?"
