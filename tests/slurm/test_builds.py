"""The batch scripts on a real Slurm: whole builds, and what goes wrong in them."""

import os
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest

import mixjobs
from mixjobs import Orders
from mixjobs.config.cluster import make_cluster
from mixjobs.demo.library import DemoLibrary
from mixjobs.store import progress
from mixjobs.store.format import Store, partial_path
from tests.helpers.slurm_cluster import Slurm, wait_until
from tests.helpers.small_stores import assert_same

SCRIPTS = Path(__file__).parents[2] / "slurm"
ALLOCATION, ELASTIC = SCRIPTS / "build-allocation.sbatch", SCRIPTS / "build-elastic.sbatch"
ORDERS = Orders.log_spaced(12, 5000, 5028)
WORDS = ["--n-orders", "12", "--range", "5000:5028", "--block", "1,1"]
SITE = """
[cluster]
kind = "slurm"
jobs = [2, 2]
workers = 1
memory = "1GB"
walltime = "00:10:00"
"""
PATIENCE = 150.0


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of FITS files with alpha and PHOENIX's holes, in the layout of the server."""
    axes = {"teff": (3300, 3500, 5000), "logg": (0.5, 4.5, 5.0), "feh": (-0.5, 0.0),
            "alpha": (0.0, 0.4)}  # fmt: skip
    library = DemoLibrary(axes, n_pixels=4096, wave_max=5030, holes="phoenix")
    return library.write(tmp_path_factory.mktemp("phoenix") / "HiRes", layout="phoenix")


@pytest.fixture(scope="module")
def reference(phoenix: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What an uninterrupted job in this process makes."""
    return mixjobs.build(phoenix, ORDERS, tmp_path_factory.mktemp("reference") / "q.zarr")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site.toml").write_text(SITE)
    return tmp_path / "site.toml"


def assert_nothing_left(slurm: Slurm, path: Path) -> None:
    """No job, no process, no certificates."""
    wait_until(lambda: not slurm.jobs(), lambda: slurm.run("squeue"))
    wait_until(lambda: not slurm.processes(), lambda: str(slurm.processes()))
    assert list(Path(f"{path}.logs").glob(".tls-*")) == []


def units_done(path: Path) -> int:
    done = progress.read(partial_path(path))
    return sum(block.stage == "mean_flux" for block in done)


def wait_for_units(slurm: Slurm, job: str, path: Path, units: int) -> None:
    wait_until(lambda: units_done(path) >= units, lambda: slurm.output(job), PATIENCE)


def driver(slurm: Slurm) -> int:
    """Process id of the `mixjobs build` that runs in a job."""
    (process,) = [
        pid
        for pid, command in slurm.processes().items()
        if "mixjobs build" in command and "srun" not in command
    ]
    return process


@pytest.fixture(scope="module")
def serial(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    orders = Orders.log_spaced(20, 7000, 50000)
    path = tmp_path_factory.mktemp("serial") / "q.zarr"
    return mixjobs.build(
        data / "btsettl_prism.hdf5", orders, path, select={"teff": (4000, 4500)},
        emulator=mixjobs.EmulatorSettings(min_resolution=50),
    )  # fmt: skip


class TestWhole:
    """Both scripts on a real library, the part of it around its hole; with an emulator."""

    @pytest.mark.parametrize("script", [ALLOCATION, ELASTIC], ids=lambda path: path.stem)
    def test_a_build(
        self, script: Path, slurm: Slurm, data: Path, serial: Store, site: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "q.zarr"
        words = [str(data / "btsettl_prism.hdf5"), "-o", str(path), "--n-orders", "20",
                 "--range", "7000:50000", "--select", "teff=4000:4500",
                 "--min-resolution", "50"]  # fmt: skip
        job = slurm.submit(script, *[str(site)] * (script == ELASTIC), *words)
        slurm.wait_for(job, "COMPLETED", timeout=PATIENCE)
        assert slurm.exit_code(job) == 0
        assert_same(path, serial)
        for file in (serial.path / "emulator").rglob("*"):
            there = path / file.relative_to(serial.path)
            assert file.is_dir() or there.read_bytes() == file.read_bytes()
        assert_nothing_left(slurm, path)
        output = slurm.output(job)
        assert "from your own machine: ssh -N -L " in output
        assert "mean_flux: " in output
        assert "\r" not in output  # lines, no bar
        logs = Path(f"{path}.logs")
        assert "Dask Performance Report" in (logs / "performance.html").read_text()
        workers = [file for file in logs.iterdir() if "worker" in file.name]
        assert any("Registered to:" in file.read_text() for file in workers)


class TestFaults:
    def test_a_worker_job_is_cancelled(
        self, slurm: Slurm, phoenix: Path, reference: Store, site: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "q.zarr"
        job = slurm.submit(ELASTIC, str(site), str(phoenix), "-o", str(path), *WORDS)
        wait_for_units(slurm, job, path, 20)
        victim = next(other for other in slurm.jobs() if other != job)
        slurm.cancel(victim)
        slurm.wait_for(job, "COMPLETED", timeout=PATIENCE)
        assert_same(path, reference)
        assert_nothing_left(slurm, path)

    def test_the_allocation_is_requeued(
        self, slurm: Slurm, phoenix: Path, reference: Store, tmp_path: Path
    ) -> None:
        path = tmp_path / "q.zarr"
        job = slurm.submit(ALLOCATION, str(phoenix), "-o", str(path), *WORDS)
        wait_for_units(slurm, job, path, 20)
        slurm.requeue(job)
        slurm.wait_for(job, "COMPLETED", timeout=PATIENCE)
        assert_same(path, reference)
        assert_nothing_left(slurm, path)
        first, second = slurm.output(job).split("dashboard:")[1:]
        assert "complete" in second
        assert "q.zarr: 12 orders" not in first

    @pytest.mark.parametrize("script", [ALLOCATION, ELASTIC], ids=lambda path: path.stem)
    def test_the_driver_is_killed(
        self,
        script: Path,
        slurm: Slurm,
        phoenix: Path,
        reference: Store,
        site: Path,
        tmp_path: Path,
    ) -> None:
        path = tmp_path / "q.zarr"
        words = [*[str(site)] * (script == ELASTIC), str(phoenix), "-o", str(path), *WORDS]
        job = slurm.submit(script, *words)
        wait_for_units(slurm, job, path, 20)
        os.kill(driver(slurm), signal.SIGKILL)
        slurm.wait_for(job, "FAILED", timeout=PATIENCE)
        wait_until(lambda: not slurm.jobs(), lambda: slurm.run("squeue"), PATIENCE)
        wait_until(lambda: not slurm.processes(), lambda: str(slurm.processes()))
        assert units_done(path) >= 20
        job = slurm.submit(script, *words)
        slurm.wait_for(job, "COMPLETED", timeout=PATIENCE)
        assert_same(path, reference)
        assert_nothing_left(slurm, path)

    @pytest.mark.parametrize("script", [ALLOCATION, ELASTIC], ids=lambda path: path.stem)
    def test_stopped_by_its_signal_and_submitted_again_until_done(
        self,
        script: Path,
        slurm: Slurm,
        phoenix: Path,
        reference: Store,
        site: Path,
        tmp_path: Path,
    ) -> None:
        path = tmp_path / "q.zarr"
        words = [*[str(site)] * (script == ELASTIC), str(phoenix), "-o", str(path), *WORDS]
        job = slurm.submit(script, *words)
        wait_for_units(slurm, job, path, 20)
        slurm.cancel(job, signal="TERM", batch=True)
        slurm.wait_for(job, "FAILED", timeout=PATIENCE)
        assert slurm.exit_code(job) == 143
        assert f"mean_flux {units_done(path)} of " in slurm.output(job)
        assert "stopped by SIGTERM; run the same command again to continue" in slurm.output(job)
        assert_nothing_left(slurm, path)
        job = slurm.submit(script, *words)
        slurm.wait_for(job, "COMPLETED", timeout=PATIENCE)
        assert_same(path, reference)

    def test_all_workers_are_lost(
        self, slurm: Slurm, phoenix: Path, reference: Store, tmp_path: Path
    ) -> None:
        """The job says so and ends, instead of waiting for workers that do not come."""
        path = tmp_path / "q.zarr"
        words = [str(phoenix), "-o", str(path), *WORDS]
        job = slurm.submit(ALLOCATION, *words)
        wait_for_units(slurm, job, path, 20)
        slurm.run("scancel", f"{job}.0")  # the step
        slurm.wait_for(job, "FAILED", timeout=PATIENCE)
        assert slurm.exit_code(job) == 2
        assert "all workers have ended (srun, exit status" in slurm.output(job)
        assert units_done(path) >= 20
        assert_nothing_left(slurm, path)

    @pytest.mark.parametrize("script", [ALLOCATION, ELASTIC], ids=lambda path: path.stem)
    def test_a_build_that_fails_fails_the_job(
        self, script: Path, slurm: Slurm, phoenix: Path, site: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "q.zarr"
        words = [str(phoenix), "-o", str(path), "--n-orders", "2", "--range", "7000:8000"]
        job = slurm.submit(script, *[str(site)] * (script == ELASTIC), *words)
        slurm.wait_for(job, "FAILED", timeout=PATIENCE)
        assert slurm.exit_code(job) == 2
        assert "mixjobs: order" in slurm.output(job)
        assert not path.exists()


class TestScripts:
    """As text: what Slurm and bash make of them."""

    @pytest.mark.parametrize("script", [ALLOCATION, ELASTIC], ids=lambda path: path.stem)
    def test_a_script(self, script: Path) -> None:
        subprocess.run(["bash", "-n", script], check=True)
        lines = script.read_text().splitlines()
        commands = [line for line in lines if line and not line.startswith("#")]
        options = [line.split()[1] for line in lines if line.startswith("#SBATCH")]
        assert lines[0] == "#!/bin/bash"
        # after the first command Slurm reads no more options
        assert lines.index(commands[0]) > max(i for i, x in enumerate(lines) if "#SBATCH" in x)
        # the signal reaches mixjobs itself, and its exit status is the job's
        assert commands[-1].startswith('exec mixjobs build "$@" --cluster ')
        assert {"--requeue", "--signal=B:TERM@120", "--open-mode=append"} <= set(options)
        assert any(option.startswith("--time=") for option in options)

    def test_the_example_of_a_site(self) -> None:
        """Every line of it is a key, those that are commented out too."""
        text = (SCRIPTS / "cluster.toml").read_text()
        lines = text.split("[cluster]")[1].splitlines()
        whole = "\n".join(line.removeprefix("# ") for line in lines)
        table = make_cluster(tomllib.loads(whole), "cluster.toml")
        assert table.queue == "short"
        assert not table.request_memory
