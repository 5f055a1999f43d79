"""The `mixjobs` command: its output, its JSON and its help."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import mixjobs
from mixjobs.cli import main
from mixjobs.cli.parser import parser
from mixjobs.demo.library import DemoLibrary
from mixjobs.errors import OutputExists
from tests.helpers.command import complaints, refuse
from tests.helpers.command import error as expected_error

COMMANDS = (
    "demo", "build", "status", "info", "ratio", "check", "plot", "spectrum", "sample", "summary",
    "cluster",
)  # fmt: skip
EDGES = "5001,5006,5012,5029"
Q_KEYS = {"method", "theta1", "theta2", "orders", "q", "direct"}


@pytest.fixture(scope="module")
def store(demo, tmp_path_factory):
    """3 orders, 12 points; made by the command."""
    path = tmp_path_factory.mktemp("store") / "q.zarr"
    assert main(["build", str(demo), "-o", str(path), "--serial", "--edges", EDGES]) == 0
    return mixjobs.open_store(path)


@pytest.fixture
def run(capsys):
    """Run the command in this process: its standard output and standard error."""

    def run(*words):
        capsys.readouterr()
        assert main([str(word) for word in words]) == 0
        return capsys.readouterr()

    return run


@pytest.fixture
def facts(run):
    """Run the command with ``--json``, and return the object that it prints."""

    def facts(*words):
        out, err = run(*words, "--json")
        assert complaints(err) == []
        assert out.count("\n") == 1
        return json.loads(out, parse_constant=pytest.fail)  # NaN is not JSON

    return facts


# -- info -------------------------------------------------------------------------------------


def test_info_of_a_library(demo, facts, run):
    says = facts("info", demo)
    assert (says["kind"], says["n_points"], says["n_parameters"]) == ("library", 12, 3)
    assert says["axes"] == {"teff": [5600, 5800, 6000], "logg": [4, 4.5], "feh": [-0.5, 0]}
    assert says["original_names"] == ["T", "logg", "Z"]
    assert (says["n_holes"], says["holes"], says["is_product"]) == (0, [], True)
    assert (says["n_pixels"], says["wavelength"]) == (1024, [5000, pytest.approx(5030)])
    assert (says["medium"], says["raw"], says["format"]) == ("vacuum", True, "starfish")
    assert "norm = False" in says["flux_calibration_evidence"]
    assert " 0.93 times that of a blackbody" in says["flux_level"]
    out = run("info", demo).out
    assert "axis teff" in out
    assert "5600, 5800, 6000" in out


@pytest.fixture
def phoenix(tmp_path):
    """A directory of FITS files with 7 points and a hole."""
    axes = {"teff": (5000, 5200), "logg": (4.0, 4.5), "feh": (0.0,), "alpha": (0.0, 0.2)}
    folder = DemoLibrary(axes, n_pixels=256).write(tmp_path / "HiRes", layout="phoenix")
    next(folder.glob("Z-0.0/lte05200-4.00*")).unlink()
    return folder


def test_info_of_a_directory(phoenix, facts, run):
    says = facts("info", phoenix)
    assert (says["kind"], says["format"], says["path"]) == ("library", "phoenix", str(phoenix))
    assert (says["n_points"], says["n_parameters"], says["n_pixels"]) == (7, 4, 256)
    assert (says["medium"], says["raw"]) == ("vacuum", True)
    assert says["flux_unit"] == "erg/s/cm^2/cm"
    assert " 0.78 times that of a blackbody" in says["flux_level"]
    assert "axis alpha" in run("info", phoenix).out


def test_build_from_a_directory(phoenix, tmp_path, run, facts):
    path = tmp_path / "q.zarr"
    words = ["-o", path, "--serial", "--edges", "5010,5200,5290", "--format", "phoenix"]
    lines = run("build", phoenix, *words).err.splitlines()
    assert lines[0].startswith(f"{phoenix}: 7 points in teff, logg, feh, alpha")
    assert lines[0].endswith("; vacuum")
    says = facts("info", path)
    assert (says["kind"], says["complete"], says["n_points"]) == ("store", True, 7)
    assert (says["library"], says["library_format"]) == (str(phoenix), "phoenix")


def test_info_of_real_libraries(data, facts):
    prism = facts("info", data / "btsettl_prism.hdf5")
    assert (prism["n_points"], prism["holes"]) == (1319, [[4400, 3, -3]])
    aces = facts("info", data / "PHOENIX_ACES_test.hdf5")
    assert (aces["n_points"], aces["n_parameters"], aces["medium"]) == (12, 4, "air")
    assert aces["raw"] is True
    assert "undone" in aces["flux_calibration_evidence"]
    wrong_unit = facts("info", data / "PHOENIX_50k.hdf5")
    (flux_unit,) = (d for d in wrong_unit["declarations"] if d["quantity"] == "flux unit")
    assert flux_unit["declared"] == "unit = 'erg/cm^2/s/A'"
    assert "cm" in flux_unit["numbers"]


def test_info_of_a_store(store, demo, facts, run):
    says = facts("info", store.path)
    assert (says["kind"], says["n_orders"], says["n_points"]) == ("store", 3, 12)
    assert (says["n_parameters"], says["complete"], says["raw"]) == (3, True, True)
    assert says["missing"] == []
    assert says["library"] == str(demo)
    assert says["orders_from"] == "edges"
    assert says["flux_ratio"] == "float64"
    assert says["flux_unit"] == "erg/s/cm2/AA"
    assert says["bytes"] > 3 * 12 * 12 * 8
    assert "norm = False" in run("info", store.path).out


def test_info_of_a_store_that_is_not_complete(demo, tmp_path, facts):
    def stop(stage, done, total):
        if (stage, done) == ("flux_ratio", 2):
            raise KeyboardInterrupt

    path = tmp_path / "q.zarr"
    with pytest.raises(KeyboardInterrupt):
        mixjobs.build(demo, mixjobs.Orders.from_edges([5001, 5006, 5012, 5029]), path, report=stop)
    says = facts("info", path)
    assert says["complete"] is False
    (missing,) = says["missing"]
    assert missing.startswith("1 of 3 ")
    assert (says["n_orders"], says["n_points"]) == (3, 12)


# -- ratio ------------------------------------------------------------------------------------


def test_ratio(store, facts, run):
    words = ["ratio", store.path, "--theta1", "5600,4.0,-0.5", "--theta2", "6000,4.5,0"]
    says = facts(*words)
    assert set(says) == Q_KEYS | {"notes"}
    i, j = store.grid.row((5600, 4, -0.5)), store.grid.row((6000, 4.5, 0))
    assert says["orders"] == [0, 1, 2]
    assert says["q"] == pytest.approx(store.flux_ratio[:, i, j].tolist(), rel=1e-13)
    assert says["direct"] == store.flux_ratio[:, i, j].tolist()
    out = run(*words).out
    assert f"{says['q'][1]:.6f}" in out
    assert "not interpolated" in out


def test_theta_by_name_is_theta_by_position(store, facts):
    theta1, theta2 = "5650,4.1,-0.2", "feh=-0.1, teff=5990,logg=4.4"
    by_both = facts("ratio", store.path, "--theta1", theta1, "--theta2", theta2)
    swapped = facts(
        "ratio", store.path, "--theta1", "5990,4.4,-0.1", "--theta2", "logg=4.1,teff=5650,feh=-0.2"
    )
    assert by_both["theta2"] == swapped["theta1"] == [5990, 4.4, -0.1]
    assert np.multiply(by_both["q"], swapped["q"]) == pytest.approx(1, rel=1e-14)
    assert by_both["direct"] is None


@pytest.mark.parametrize("method", ["linear", "simplex", "blackbody"])
def test_every_method(method, store, facts):
    theta = ["--theta1", "5700,4.2,-0.1", "--theta2", "5900,4.2,-0.1"]
    says = facts("ratio", store.path, *theta, "--method", method)
    q = mixjobs.load_flux_ratio(store.path, method)((5700, 4.2, -0.1), (5900, 4.2, -0.1))
    assert says["method"] == method
    assert says["q"] == q.tolist()
    assert min(says["q"]) > 1


# -- check and plot ---------------------------------------------------------------------------


def test_check(store, facts, run):
    says = facts("check", store.path)
    assert says["ok"] is True
    assert says["orders"] == [0, 1, 2]
    assert all(invariant["holds"] for invariant in says["invariants"])
    assert len(says["invariants"]) >= 5
    assert {result["axis"] for result in says["held_out"]} == {"teff"}  # the others have 2 values
    errors = {result["method"]: result["median"] for result in says["held_out"]}
    assert set(errors) == {"cubic", "linear", "simplex", "pairwise", "blackbody"}
    assert errors[says["best_method"]] == pytest.approx(min(errors.values()), rel=1e-5)
    out = run("check", store.path).out
    assert f"best method: {says['best_method']}" in out
    assert "teff held out" in out


def test_check_of_a_damaged_table(store, tmp_path, capsys):
    path = tmp_path / "q.zarr"
    subprocess.run(["cp", "-r", store.path, path], check=True)
    (path / "flux_ratio" / "c" / "1" / "0" / "0").unlink()  # Zarr would read it as NaN
    assert main(["check", str(path), "--json"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert "flux_ratio" in err
    assert err.count("\n") == 1


def test_plot(store, tmp_path, run):
    folder = tmp_path / "new" / "figures"
    out = run("plot", store.path, "-o", folder, "--theta1", "teff=5800,logg=4.2,feh=-0.1").out
    files = [Path(line) for line in out.splitlines()]
    assert sorted(files) == sorted(folder.iterdir())
    assert {file.name for file in files} == {
        "flux_ratio_orders_0_to_2.png", "ratio_table_order_1.png",
    }  # fmt: skip
    for file in files:
        assert imread(file).std() > 0.1


# -- build ------------------------------------------------------------------------------------


def test_options_and_a_job_file_build_the_same(demo, tmp_path, run, client, trusted):
    table = tmp_path / "orders.txt"
    table.write_text("# number from to\n7 5002 5008\n9 5010.5 5020\n")
    (tmp_path / "library.hdf5").symlink_to(demo)
    (tmp_path / "job.toml").write_text(
        f"""
        library = "library.hdf5"
        output = "from_file.zarr"
        select = {{ teff = [5700, 6100], feh = [-1, 1] }}
        block = [1, 3]
        dtype = "float32"
        scheduler = "{client.scheduler.address}"
        [orders]
        table = "orders.txt"
        """
    )
    run("build", tmp_path / "job.toml")
    run(
        "build", demo, "-o", tmp_path / "from_options.zarr", "--serial", "--dtype", "float32",
        "--order-table", table, "--select", "teff=5700:6100", "feh=-1:1", "--block", "2,2",
    )  # fmt: skip
    one, other = (mixjobs.open_store(tmp_path / f"from_{n}.zarr") for n in ("file", "options"))
    assert one.orders.number.tolist() == other.orders.number.tolist() == [7, 9]
    assert len(one.grid) == 8
    assert one.mean_flux.tobytes() == other.mean_flux.tobytes()
    assert one.flux_ratio.dtype == np.float32
    assert one.flux_ratio[...].tobytes() == other.flux_ratio[...].tobytes()


def test_a_build_prints_its_progress(demo, tmp_path, run):
    path = tmp_path / "q.zarr"
    out, err = run("build", demo, "-o", path, "--serial", "--edges", EDGES, "--no-table")
    assert out == ""
    assert complaints(err) == []
    lines = err.splitlines()
    assert lines[0] == f"{demo}: 12 points in teff, logg, feh; vacuum"
    assert lines[-1].startswith(f"{path}: 3 orders, 12 points; ")
    assert any(line.startswith("mean_flux: 36 of 36 ") for line in lines)
    assert mixjobs.open_store(path).flux_ratio is None


def test_a_dry_run_writes_nothing(demo, tmp_path, run):
    path = tmp_path / "q.zarr"
    out, _ = run("build", demo, "-o", path, "--edges", EDGES, "--dry-run", "--workers", "3")
    assert list(tmp_path.iterdir()) == []
    rows = (re.split(" {2,}", line.strip(), maxsplit=1) for line in out.splitlines())
    facts = dict(row for row in rows if len(row) == 2)
    assert facts["orders"] == "3 (0 to 2), 5001 to 5029 Å"
    assert facts["points"] == "12 (0 holes)"
    assert facts["mean flux"].startswith("36 ")
    assert facts["ratio table"].startswith("3 ")
    assert " 3 workers" in facts["reading time"]
    assert {"flux calibration", "memory per task", "disk space"} <= set(facts)


def test_orders_of_an_observed_spectrum(data, tmp_path, run):
    """Those that the library covers; the others are named."""
    library, star = data / "PHOENIX_ACES_test.hdf5", data / "LkCa15-2013-10-12.hdf5"
    path = tmp_path / "q.zarr"
    words = ["build", library, "-o", path, "--orders-from", star, "--serial", "--no-table"]
    err = run(*words, "--skip-uncovered").err
    (line,) = [line for line in err.splitlines() if line.endswith("0 to 20, 31 to 50")]
    assert " 41 orders " in line
    (line,) = [line for line in err.splitlines() if line.startswith(f"{star}: 51 orders")]
    assert " air" in line
    store = mixjobs.open_store(path)
    assert store.orders.number.tolist() == list(range(21, 31))
    assert str(star) in store.attributes["orders_from"]
    assert " air" in store.attributes["orders_from"]
    run(*words, "--numbers", "23,21", "--overwrite")
    chosen = mixjobs.open_store(path)
    assert chosen.orders.number.tolist() == [23, 21]
    assert (chosen.mean_flux == store.mean_flux[[2, 0]]).all()


# -- the demo ---------------------------------------------------------------------------------


def test_the_demo(tmp_path, run):
    folder = tmp_path / "new" / "demo"
    out, err = run("demo", folder, "--workers", "1")
    short_axes, *others = complaints(err)
    assert "teff (4 values), logg (3 values), feh (3 values)" in short_axes
    assert others == [
        f"next: mixjobs check {folder / 'ratios.zarr'}; mixjobs spectrum --help; "
        "mixjobs demo --sample",
    ]
    assert re.search(r"dashboard: http://127\.0\.0\.1:\d+/status", err)
    assert "NO" not in out  # every invariant holds
    (error,) = re.findall(r"largest error of q .* is (\d\.\d+)%", out)
    assert float(error) < 0.5
    assert {path.name for path in folder.iterdir()} == {
        "library.hdf5",
        "ratios.zarr",
        "flux_ratio_orders_0_to_7.png",
        "mixture.png",
    }
    off, expected = re.findall(r"error is (\d\.\d+)% of .* estimate is (\d\.\d+)%", out)[0]
    assert 0.3 < float(off) / float(expected) < 3
    assert mixjobs.open_store(folder / "ratios.zarr").flux_ratio.shape == (8, 36, 36)
    (folder / "ratios.zarr").rename(folder / "ratios.zarr.partial")  # as after an interruption
    run("demo", folder, "--workers", "1")
    expected_error(OutputExists, "--overwrite", path="demo").check(refuse(["demo", folder]))


# -- help -------------------------------------------------------------------------------------


def examples(help_text):
    """The words of each command in a help text; three blanks precede its description."""
    lines = [line.strip() for line in help_text.splitlines() if line.startswith("  mixjobs ")]
    return [shlex.split(re.split(" {3,}", line)[0])[1:] for line in lines]


def text_of_help(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)])
def test_examples_of_the_help_are_commands(words, capsys):
    text = text_of_help(words, capsys)
    shown = examples(text)
    assert shown
    for example in shown:
        command = parser().parse_args(example).command
        assert not words or command == words[0]


def test_the_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"mixjobs {version('mixjobs')}\n"


def test_help_names_every_command(capsys):
    text = text_of_help([], capsys)
    for name in COMMANDS:
        assert re.search(rf"^    {name}  ", text, re.M)


def test_the_installed_command():
    """``python -m mixjobs`` is the same one, and is what the tests below start."""
    command = Path(sys.executable).parent / "mixjobs"
    done = subprocess.run([command, "nonsense"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mixjobs: unknown command nonsense")
    assert done.stderr.count("\n") == 1


# -- pipes and terminals ----------------------------------------------------------------------


@pytest.mark.parametrize("words", ["info {} --json", "info {}"])
def test_a_pipe_that_is_closed_early(words, store):
    """As by ``| head -1``; standard output has no room for all of it."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "mixjobs", *words.format(store.path).split()]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.stderr == ""


def test_a_bar_a_stage_on_a_terminal(demo, tmp_path):
    ours, theirs = pty.openpty()
    command = [
        sys.executable, "-m", "mixjobs", "build", demo, "-o", tmp_path / "q.zarr",
        "--serial", "--edges", EDGES,
    ]  # fmt: skip
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(command, stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    text = shown.decode()
    assert "━" in text
    for stage in ("mean_flux", "flux_ratio", "interpolators"):
        assert stage in text
    assert "36/36" in text
    assert "blocks," not in text
