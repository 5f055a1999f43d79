"""The emulator on the command line: build, dry run, job file, info, check and plot."""

import json
import re

import pytest

import mixjobs
from mixjobs.cli import main
from mixjobs.errors import InvalidInput, OrderError, StoreError
from tests.helpers.command import complaints, error, refuse
from tests.helpers.damage import flipped, removed

EDGES = "5003,5012,5020,5027"
MADE_FOR = ["--max-rv", "30", "--max-vsini", "20", "--min-resolution", "20000"]
JOB = """
library = "{library}"
output = "from_file.zarr"
serial = true

[orders]
edges = [5003, 5012, 5020, 5027]

[emulator]
max_rv = 30
max_vsini = 20
min_resolution = 20000
max_residual = 0.01
"""


@pytest.fixture(scope="module")
def store(demo, tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "q.zarr"
    words = ["build", str(demo), "-o", str(path), "--serial", "--edges", EDGES, *MADE_FOR]
    assert main([*words, "--max-residual", "0.01"]) == 0
    return path


def emulators(path):
    return {
        str(p.relative_to(path)): p.read_bytes()
        for p in (path / "emulator").rglob("*")
        if p.is_file()
    }


def test_a_job_file_says_the_same(store, demo, tmp_path, capsys):
    job = tmp_path / "job.toml"
    job.write_text(JOB.format(library=demo))
    assert main(["build", str(job)]) == 0
    assert emulators(tmp_path / "from_file.zarr") == emulators(store)
    err = capsys.readouterr().err
    (short_axes,) = complaints(err)
    assert "teff (3 values)" in short_axes
    assert "emulator: 3 of 3 " in err
    assert "emulator: 3 orders" in err
    before = emulators(tmp_path / "from_file.zarr")
    assert main(["build", str(job)]) == 0
    assert "from_file.zarr: " in capsys.readouterr().err
    assert emulators(tmp_path / "from_file.zarr") == before


@pytest.mark.parametrize(
    ("key", "value"), [("max_rank", 0), ("buffer", 3.0), ("explained_variance", 2.0)]
)
def test_a_job_file_with_a_fault(demo, tmp_path, key, value):
    job = tmp_path / "job.toml"
    job.write_text(JOB.format(library=demo) + f"{key} = {value}")
    expected = error(InvalidInput, str(job), name=f"emulator.{key}", value=value)
    expected.check(refuse(["build", job]))
    assert [p.name for p in tmp_path.iterdir()] == ["job.toml"]


def test_a_dry_run_shows_the_scratch_space(demo, tmp_path, capsys):
    path = tmp_path / "q.zarr"
    words = ["build", str(demo), "-o", str(path), "--edges", EDGES, "--dry-run", "--max-rv", "30"]
    assert main([*words, "--max-vsini", "20", "--min-resolution", "20000"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for fact in ("3 orders, ", "82 km/s", " kiB of temporary disk space"):
        assert fact in text
    refusal = refuse([*words, "--max-vsini", "400"])
    error(OrderError, "--short-buffer", order=0).check(refusal)
    assert main([*words, "--max-vsini", "150", "--short-buffer", "skip"]) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if " needs " in line]
    assert [re.search(r"order (\d)", note)[1] for note in notes] == ["0", "2"]
    assert not list(tmp_path.iterdir())


def test_info_check_and_plot(store, tmp_path, capsys):
    assert main(["info", str(store)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "3 orders" in text
    assert "rv up to 30 and vsini up to 20 km/s" in text
    assert main(["check", str(store), "--json"]) == 0
    orders = json.loads(capsys.readouterr().out)["emulator"]
    assert [order["number"] for order in orders] == [0, 1, 2]
    for order in orders:
        assert order["explained_variance"] >= 0.999
        assert order["max_residual"] <= 0.01
        (held,) = order["held_out"]  # teff alone has three values
        assert (held["axis"], held["factor"]) == ("teff", pytest.approx(0.0797, abs=1e-4))
        assert 0 < held["rms"] <= held["worst"] < 0.1
    assert main(["check", str(store)]) == 0
    assert "emulator at the grid points" in capsys.readouterr().out
    assert main(["plot", str(store), "-o", str(tmp_path)]) == 0
    assert (tmp_path / "emulator.png").stat().st_size > 10_000


def test_a_store_without_an_emulator(demo, tmp_path, capsys):
    path = tmp_path / "q.zarr"
    mixjobs.build(demo, mixjobs.Orders.from_edges([5003, 5012]), path)
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["emulator"] is None
    refusal = refuse(["spectrum", path, "--theta1", "5600,4,0", "-o", tmp_path / "s.h5"])
    error(StoreError, "emulator", path="q.zarr").check(refusal)


JOB_OF_A_STAR = """
output = "run"
store = "{store}"
[[spectra]]
file = "star.ecsv"
resolution = 20000
"""
THETA = ("--theta1", "5800,4.5,0")
COMMANDS = {
    "ratio": ["ratio", "STORE", *THETA, "--theta2", "5600,4.5,0"],
    "spectrum": ["spectrum", "STORE", *THETA, "-o", "spectrum.ecsv"],
    "check": ["check", "STORE"],
    "info": ["info", "STORE"],
    "status": ["status", "STORE"],
    "plot": ["plot", "STORE", "-o", "figures"],
    "sample": ["sample", "job.toml"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_damaged_store(store, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.toml").write_text(JOB_OF_A_STAR.format(store=store))
    (tmp_path / "star.ecsv").touch()
    words = [str(store) if word == "STORE" else word for word in COMMANDS[command]]
    for name in ("mean_flux", "wave_min", "grid_points", "emulator/1/weights", "emulator/2/mean"):
        chunk = next(path for path in (store / name / "c").rglob("*") if path.is_file())
        with flipped(chunk, 31):
            error(StoreError, name, name=name, path=store.name).check(refuse(words))
        with removed(store / name):
            error(StoreError, name, name=name, path=store.name).check(refuse(words))
    with removed(store / "emulator" / "2"):
        error(StoreError, name="emulator/2", order=2, path=store.name).check(refuse(words))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job.toml", "star.ecsv"]
