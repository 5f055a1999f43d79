"""A disk that fills up while a real job runs, in this process or on workers."""

import pytest

import mixjobs
from mixjobs import Orders
from mixjobs.cli import main
from mixjobs.errors import JobFailed
from mixjobs.store import progress
from mixjobs.store.format import partial_path
from tests.helpers.small_disk import PAGE, fill_up, mounted
from tests.helpers.small_stores import assert_same

N_ORDERS, N_POINTS = 20, 12
ORDERS = Orders.log_spaced(N_ORDERS, 5000, 5028)
N_PAIRS = N_ORDERS * N_POINTS
# When the disk fills up, the number of pages left, and the smallest and largest number of blocks on
# record when the job fails. A block of the table takes a page. All means are on record before they
# are written.
STAGES = {
    "at the start": (None, 0, 0, 0),
    "in mean_flux": (("mean_flux", 60), 0, 60, N_PAIRS - 1),
    "between the stages": (("mean_flux", N_PAIRS), 0, N_PAIRS, N_PAIRS),
    "in flux_ratio": (("mean_flux", N_PAIRS), 12, N_PAIRS + 1, N_PAIRS + 12),
    "at the end": (("interpolators", 1), 0, N_PAIRS + N_ORDERS, N_PAIRS + N_ORDERS),
}


@pytest.fixture(params=["serial", "processes"])
def where(request):
    """Where a job runs: in this process, or on two workers."""
    return None if request.param == "serial" else request.getfixturevalue("client")


@pytest.fixture(scope="module")
def reference(demo, tmp_path_factory):
    return mixjobs.build(demo, ORDERS, tmp_path_factory.mktemp("reference") / "q.zarr")


@pytest.fixture
def disk(tmp_path):
    with mounted(tmp_path / "disk", "size=1m") as folder:
        yield folder


@pytest.mark.parametrize("stage", STAGES)
def test_disk_is_full(stage, where, demo, reference, disk):
    """The error is one line, an older store survives, and the job resumes when there is room."""
    moment, pages, least, most = STAGES[stage]
    path, job = disk / "q.zarr", {"block": (1, 1), "overwrite": True}
    old = mixjobs.build(demo, ORDERS.take([3]), path)

    def fill(*stage):
        if stage[:2] == moment and not (disk / "ballast").exists():
            fill_up(disk, pages * PAGE)

    if moment is None:
        fill_up(disk)
    for _ in range(2):  # the disk is still full at the second start
        with pytest.raises(JobFailed) as failed:
            mixjobs.build(demo, ORDERS, path, where, report=fill, **job)
        assert str(failed.value).startswith(f"{path}: no space left on the disk")
        assert mixjobs.open_store(path).mean_flux.tobytes() == old.mean_flux.tobytes()
    n_kept = len(progress.read(partial_path(path)))
    assert least <= n_kept <= most
    (disk / "ballast").unlink()
    reports = []
    store = mixjobs.build(demo, ORDERS, path, where, report=lambda *r: reports.append(r), **job)
    assert reports[0] == ("mean_flux", min(n_kept, N_PAIRS), N_PAIRS)
    written = [r for r in reports if r[0] == "flux_ratio"]
    assert len(written) - 1 == N_ORDERS - max(0, n_kept - N_PAIRS)
    assert_same(store.path, reference)


@pytest.mark.parametrize("moment", [("mean_flux", 1), ("emulator", 0)])
def test_disk_is_full_while_the_emulator_is_made(moment, where, demo, disk, tmp_path):
    orders = Orders.from_edges([5004, 5012, 5025])
    settings = mixjobs.EmulatorSettings(max_rv=20, max_vsini=20, min_resolution=20_000)
    job = {"block": (2, 4), "emulator": settings}
    reference = mixjobs.build(demo, orders, tmp_path / "q.zarr", **job)
    path = disk / "q.zarr"

    def fill(*stage):
        if stage[:2] == moment and not (disk / "ballast").exists():
            fill_up(disk, PAGE)

    with pytest.raises(JobFailed, match="no space left on the disk"):
        mixjobs.build(demo, orders, path, where, report=fill, **job)
    assert progress.read(partial_path(path))
    (disk / "ballast").unlink()
    store = mixjobs.build(demo, orders, path, where, **job)
    assert_same(store.path, reference)
    for file in (reference.path / "emulator").rglob("*"):
        copy = path / file.relative_to(reference.path)
        assert file.is_dir() or copy.read_bytes() == file.read_bytes()


def test_the_command_reports_a_full_disk_in_one_line(demo, disk, capsys):
    fill_up(disk)
    words = ["build", str(demo), "-o", str(disk / "q.zarr"), "--n-orders", "3", "--serial"]
    assert main(words) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"mixjobs: {disk / 'q.zarr'}: no space left on the disk; make room")
    assert [p.name for p in disk.iterdir()] == ["ballast"]
