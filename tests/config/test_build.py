"""The job file of `mixjobs build`: its defaults, its paths, and errors that name the key."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixjobs.config.build import make_build_job, read_build_job
from mixjobs.errors import InvalidInput, MissingFile, UnreadableFile, nearest

LEAST = {"library": "a.hdf5", "output": "q.zarr", "orders": {"n": 3}}


def test_a_minimal_job():
    job = make_build_job(LEAST, "here")
    assert (job.library, job.output, job.orders.n) == ("a.hdf5", "q.zarr", 3)
    assert (job.dtype, job.table, job.select) == ("float64", True, {})
    assert (job.serial, job.workers, job.scheduler, job.block) == (False, None, None, None)
    assert [job.flux_scale, job.overwrite, job.orders.skip_uncovered] == [None, False, False]


def test_a_file_with_everything(tmp_path):
    (tmp_path / "job.toml").write_text(
        """
        library = "grids/a.hdf5"
        output = "/elsewhere/q.zarr"
        format = "starfish"
        select = { teff = [3000, 4500.5], feh = [-1, 0] }
        block = [2, 30]
        dtype = "float32"
        flux_scale = "raw"
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
    assert (job.block, job.dtype, job.table, job.workers) == ((2, 30), "float32", True, 4)
    assert (job.format, job.flux_scale, job.overwrite) == ("starfish", "raw", True)
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


INVALID = [
    ({"workers": 2.0}, "workers", 2.0),
    ({"workers": True}, "workers", True),
    ({"workers": 0}, "workers", 0),
    ({"library": 3}, "library", 3),
    ({"dtype": "float16"}, "dtype", "float16"),
    ({"block": [1]}, "block", [1]),
    ({"block": [1, 0]}, "block.1", 0),
    ({"block": [1, 2.5]}, "block.1", 2.5),
    ({"select": 3}, "select", 3),
    ({"select": {"teff": ["1", 2]}}, "select.teff.0", "1"),
    ({"select": {"teff": [1, 2, 3]}}, "select.teff", [1, 2, 3]),
    ({"orders": 5}, "orders", 5),
    ({"orders": {"n": 1, "range": [1]}}, "orders.range", [1]),
    ({"orders": {"edges": [1, "x"]}}, "orders.edges.1", "x"),
    ({"orders": {"from": "a", "numbers": [1.5]}}, "orders.numbers.0", 1.5),
    ({"emulator": {"max_rank": 0}}, "emulator.max_rank", 0),
    ({"emulator": {"max_rv": -1.0}}, "emulator.max_rv", -1.0),
    ({"emulator": {"max_vsini": 3e4}}, "emulator.max_vsini", 3e4),
    ({"emulator": {"explained_variance": 1.1}}, "emulator.explained_variance", 1.1),
    ({"emulator": {"step": 0.0}}, "emulator.step", 0.0),
    ({"emulator": {"short_buffer": "cut"}}, "emulator.short_buffer", "cut"),
    ({"cluster": {"jobs": [5, 2]}}, "cluster.jobs", [5, 2]),
]

CONTRADICTIONS = [
    ({"orders": {}}, "orders", "from, n, edges"),
    ({"orders": {"n": 1, "table": "t"}}, "orders", "n and table"),
    ({"orders": {"n": 1, "numbers": [2]}}, "orders.numbers", "from"),
    ({"orders": {"table": "t", "range": [1, 2]}}, "orders.range", "n"),
    ({"serial": True, "workers": 2}, "workers", "serial"),
    ({"scheduler": "tcp://a:1", "workers": 2}, "workers", "scheduler"),
    ({"cluster": {"kind": "address"}}, "cluster.scheduler", "address"),
    ({"cluster": {"walltime": "02:00:00"}}, "cluster.walltime", "no effect"),
    ({"cluster": {"kind": "allocation", "workers": 2}}, "cluster.workers", "no effect"),
    ({"table": False, "dtype": "float32"}, "dtype", "no ratio table"),
    ({"emulator": {"rank": 3, "max_rank": 5}}, "emulator.max_rank", "rank already"),
    ({"emulator": {"rank": 3, "max_residual": 0.5}}, "emulator.max_residual", "rank already"),
    ({"orders": {"from": "a", "numbers": []}}, "orders.numbers", "order numbers, each once"),
    ({"orders": {"from": "a", "numbers": [7, 7]}}, "orders.numbers", "order numbers, each once"),
]

UNKNOWN = [
    ({"orders": {"from_file": "a"}}, "orders.from_file", "did you mean from"),
    ({"orders": {"n": 1, "xyz": 1}}, "orders.xyz", "from, numbers, n, range"),
    ({"emulator": {"max_rvs": 3.0}}, "emulator.max_rvs", "did you mean max_rv"),
    ({"librari": "a"}, "librari", "did you mean library"),
    ({"libary": "a", "library": None}, "libary", "did you mean library"),
    ({"n": 3}, "n", "library, output, format, flux_unit, .*orders, select, block, dtype"),
]


def error_of(data):
    with pytest.raises(InvalidInput, match=r"^here: ") as error:
        make_build_job(data, "here")
    assert "\n" not in str(error.value)
    return error.value


@pytest.mark.parametrize(("change", "name", "value"), INVALID)
def test_invalid_values(change, name, value):
    error = error_of(LEAST | change)
    assert (error.name, error.value) == (name, value)
    assert f"{name} = {value!r}; expected " in str(error)


def test_a_pair_of_edges_that_is_a_triple():
    assert error_of(LEAST | {"orders": {"edges": [[1, 2, 3]]}}).name.startswith("orders.edges")


@pytest.mark.parametrize(("change", "name", "hint"), CONTRADICTIONS + UNKNOWN)
def test_keys_that_do_not_belong(change, name, hint):
    error = error_of(LEAST | change)
    assert error.name == name
    assert re.search(hint, str(error))
    assert "--" not in str(error)  # the command adds the name of the option


@pytest.mark.parametrize("key", LEAST)
def test_missing_keys(key):
    assert error_of({k: v for k, v in LEAST.items() if k != key}).name == key


def test_the_defaults_of_the_emulator():
    job = make_build_job(LEAST | {"emulator": {}}, "here")
    assert job.emulator.model_dump() == {
        "max_rv": 200, "max_vsini": 150, "min_resolution": 10000, "step": None,
        "short_buffer": "refuse", "explained_variance": 0.999, "max_residual": 0.02,
        "max_rank": 64, "rank": None,
    }  # fmt: skip


def test_unreadable_files(tmp_path):
    path = tmp_path / "job.toml"
    with pytest.raises(MissingFile) as error:
        read_build_job(path)
    assert error.value.path == str(path)
    path.write_text("library = ")
    with pytest.raises(UnreadableFile, match="Invalid value") as error:
        read_build_job(path)
    assert error.value.path == str(path)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UnreadableFile, match="is a folder"):
        read_build_job(tmp_path / "folder.toml")


def test_a_byte_order_mark_and_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    text = 'library = "~/grid.hdf5"\noutput = "q.zarr"\norders = { table = "~/orders.txt" }\n'
    text += 'cluster = { logs = "~/logs" }\n'
    (tmp_path / "job.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    job = read_build_job(tmp_path / "job.toml")
    assert job.library == str(tmp_path / "home" / "grid.hdf5")
    assert job.orders.table == str(tmp_path / "home" / "orders.txt")
    assert job.output == str(tmp_path / "q.zarr")
    assert job.cluster.logs == str(tmp_path / "home" / "logs")


KEYS = ["library", "output", "overwrite", "workers", "scheduler"]


@given(st.sampled_from(KEYS), st.integers(0, 20))
def test_a_typo_finds_its_key(key, place):
    place %= len(key)
    assert nearest(key[:place] + key[place + 1 :], KEYS) == f"; did you mean {key}?"
