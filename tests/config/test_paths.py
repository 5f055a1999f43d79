"""Paths and encodings of job files: `~` in every key, byte order marks, any line ends."""

from pathlib import Path

import pytest

from mixjobs.cli.parser import parser
from mixjobs.config.build import read_build_job
from mixjobs.config.cluster import read_cluster
from mixjobs.config.sample import read_sample_job

BUILD = """
library = "{0}/grid.hdf5"
output = "{0}/q.zarr"
[orders]
{1} = "{0}/orders"
[cluster]
kind = "address"
scheduler = "{0}/scheduler.json"
logs = "{0}/logs"
"""
SAMPLE = """
output = "{0}/run"
store = "{0}/q.zarr"
[[spectra]]
file = "{0}/a.hdf5"
exclude = "{0}/tellurics.txt"
[[spectra]]
file = "{0}/b.hdf5"
exclude = [[5000, 5001]]
[model]
components = ["library", "{0}/other.zarr", "blackbody"]
[cluster]
logs = "{0}/logs"
scratch = "{0}/scratch"
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "jobs").mkdir()
    return tmp_path / "home"


def paths_in(value):
    """All texts with a slash in a job."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return [path for part in parts for path in paths_in(part)]
    return [value] if isinstance(value, str) and "/" in value else []


@pytest.mark.parametrize(
    ("text", "read", "n"),
    [(BUILD.replace("{1}", "from"), read_build_job, 5),
     (BUILD.replace("{1}", "table"), read_build_job, 5),
     (BUILD.replace("{1}", "table"), read_cluster, 2),
     (SAMPLE, read_sample_job, 8)],
    ids=["from", "table", "cluster", "sample"],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_path_may_begin_with_the_home_folder_or_is_relative_to_the_file(
    text, read, n, encoding, end, home
):
    job = home.parent / "jobs" / "job.toml"
    for given, folder in (("~", home), ("sub", job.parent / "sub"), ("/abs", "/abs")):
        job.write_bytes(text.format(given).replace("\n", end).encode(encoding))
        paths = paths_in(read(job).model_dump())
        assert len(paths) == n
        assert {Path(path).parent for path in paths} == {Path(folder)}


def test_other_users_and_variables(home):
    job = home.parent / "jobs" / "job.toml"
    job.write_text('[cluster]\nlogs = "~no-such-user/logs"\nscratch = "$TMPDIR/work"')
    cluster = read_cluster(job)
    assert cluster.logs == str(job.parent / "~no-such-user/logs")
    assert cluster.scratch == "$TMPDIR/work"  # the shell of the worker knows it


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["build", "~/grid.hdf5"], "source", "grid.hdf5"),
        (["build", "g", "--output=~/q.zarr"], "output", "q.zarr"),
        (["build", "g", "--order-table=~/orders"], "order_table", "orders"),
        (["build", "g", "--scheduler=~/s.json"], "scheduler", "s.json"),
        (["info", "~/q.zarr"], "path", "q.zarr"),
        (["summary", "~/run"], "run", "run"),
        (["sample", "~/job.toml"], "job", "job.toml"),
        (["cluster", "~/site.toml"], "cluster", "site.toml"),
    ],
)
def test_options(words, name, value, home):
    given = getattr(parser().parse_args(words), name)
    assert given in (str(home / value), [str(home / value)])


def test_lists_of_paths(home):
    args = parser().parse_args(["spectrum", "q.zarr", "--theta1", "1", "-o", "~/a.png", "b.h5"])
    assert args.output == [str(home / "a.png"), "b.h5"]
