"""The emulator of a build: agreement with plain spectra, identical bits, faults, invalid input."""

import os
import shutil
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr
from astropy import units as u
from scipy.interpolate import CubicSpline

import mixjobs
from mixjobs import EmulatorSettings, Orders
from mixjobs.builder.segments import make_segments
from mixjobs.config.build import EmulatorConfig
from mixjobs.errors import InvalidInput, LibraryError, OrderError, StoreError
from mixjobs.report.status import job_status
from mixjobs.sections import Section
from mixjobs.store.emulator import (
    create_scratch,
    emulated_orders,
    read_attributes,
    read_order,
    read_scratch,
    write_scratch,
)
from mixjobs.store.format import partial_path
from tests.helpers import plain_build as plain
from tests.helpers.damage import flipped

ORDERS = Orders([3, 7, 5], [5004, 5010, 5017], [5012, 5018, 5025])  # two overlap
FULL = EmulatorSettings(max_rv=20, max_vsini=30, min_resolution=20_000, rank=12)


def files(path: Path) -> dict[str, bytes]:
    """Contents of all files of a store by name, but for the time and the checksum of the time."""
    others = (path / "zarr.json", path / "checksums" / "zarr.json")
    names = [p for p in path.rglob("*") if p.is_file() and p not in others]
    return {str(p.relative_to(path)): p.read_bytes() for p in names}


@pytest.fixture(scope="module")
def store(demo, tmp_path_factory):
    return mixjobs.build(demo, ORDERS, tmp_path_factory.mktemp("store") / "q.zarr", emulator=FULL)


def test_spectra_are_those_of_the_library_over_their_means(store, demo):
    """At full rank the emulator reproduces every spectrum, including the buffer."""
    wavelength, spectra = plain.raw_spectra(demo, set(map(tuple, store.grid.points)))
    assert emulated_orders(store.path) == [3, 5, 7]
    reach = (20 + 30 + 5 * 299792.458 / 20_000 / 2.3548) / 299792.458
    for number, low, high in zip([3, 7, 5], ORDERS.wave_min, ORDERS.wave_max, strict=True):
        emulator, _ = read_order(store.path, number)
        inside = (low <= wavelength) & (wavelength < high)
        np.testing.assert_allclose(emulator.wavelength, wavelength[inside])
        grid = emulator.grid.wavelength
        assert grid[0] <= low * np.exp(-reach)
        assert grid[-1] >= high * np.exp(reach)
        first = int(np.argmin(np.abs(wavelength - grid[0])))
        np.testing.assert_allclose(grid, wavelength[first : first + len(grid)], rtol=1e-9)
        emulated = emulator.mean + emulator.weights @ emulator.eigenspectra
        for theta, spectrum in zip(store.grid.points, emulated, strict=True):
            flux = spectra[tuple(theta)]
            expected = flux[first : first + len(grid)] / flux[inside].mean()
            np.testing.assert_allclose(spectrum, expected, atol=3e-7)  # scratch is float32


def test_means_are_those_of_a_build_without_an_emulator(store, demo, tmp_path):
    without = mixjobs.build(demo, ORDERS, tmp_path / "q.zarr")
    assert without.mean_flux.tobytes() == store.mean_flux.tobytes()


@pytest.mark.parametrize("block", [(1, 1), (2, 5), (3, 12)])
def test_every_block_gives_the_same_bits(store, demo, client, tmp_path, block):
    other = mixjobs.build(demo, ORDERS, tmp_path / "q.zarr", client, block=block, emulator=FULL)
    assert files(other.path) == files(store.path)


def test_other_readers_open_the_store_and_no_files_are_left(store):
    emulator, _ = read_order(store.path, 7)
    with xr.open_zarr(store.path / "emulator" / "7") as found:
        assert found.eigenspectra.dims == ("eigenspectrum", "grid_pixel")
        np.testing.assert_array_equal(found.weights, emulator.weights)
    group = zarr.open_group(store.path, mode="r")
    assert group["emulator"].attrs["max_vsini"] == 30
    assert [entry.name for entry in store.path.parent.iterdir()] == ["q.zarr"]


@pytest.mark.parametrize("stage", ["mean_flux", "emulator", "flux_ratio"])
def test_an_interrupted_build_resumes(store, demo, tmp_path, stage):
    path, reports = tmp_path / "q.zarr", []

    def stop(now, done, total):
        if now == stage and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mixjobs.build(demo, ORDERS, path, block=(3, 5), emulator=FULL, report=stop)
    done = job_status(path)["stages"]
    assert done["mean_flux"]["done"] == (30 if stage == "mean_flux" else 36)
    emulated = {"mean_flux": 0, "emulator": 2, "flux_ratio": 3}[stage]
    assert (done["emulator"]["done"], done["emulator"]["total"]) == (emulated, 3)
    with pytest.raises(StoreError) as error:
        mixjobs.build(demo, ORDERS, path, emulator=EmulatorSettings(max_rv=10, max_vsini=0))
    assert set(error.value.value) == {"emulator"}
    # the new block has no effect: the scratch array keeps its Zarr chunks
    mixjobs.build(
        demo, ORDERS, path, block=(3, 7), emulator=FULL, report=lambda *r: reports.append(r)
    )
    assert reports[0] == ("mean_flux", 2 if stage == "mean_flux" else 3, 3)
    assert next(a for a in reports if a[0] == "emulator")[1] == emulated
    assert files(path) == files(store.path)


def test_a_killed_worker_changes_nothing(store, demo, client, tmp_path):
    client.wait_for_workers(2)
    victim = next(iter(client.run(os.getpid).values()))

    def kill(stage, done, total):
        if stage == "emulator" and done == 0:
            os.kill(victim, signal.SIGKILL)

    other = mixjobs.build(demo, ORDERS, tmp_path / "q.zarr", client, emulator=FULL, report=kill)
    assert files(other.path) == files(store.path)


def test_lost_scratch_is_detected(demo, tmp_path):
    path = tmp_path / "q.zarr"

    def lose(stage, done, total):
        if stage == "emulator" and done == 0:
            lost = partial_path(path) / "scratch" / "7" / "c"
            next(p for p in lost.rglob("*") if p.is_file()).unlink()

    with pytest.raises(StoreError, match="spectra of order 7 are missing") as error:
        mixjobs.build(demo, ORDERS, path, emulator=FULL, report=lose)
    assert error.value.order == 7


@pytest.mark.parametrize(("value", "message"), [(np.nan, "NaN"), (-1.0, r"negative flux \(-1\)")])
def test_a_fault_in_the_buffer_is_named(demo, tmp_path, value, message):
    path = tmp_path / "library.hdf5"
    path.write_bytes(demo.read_bytes())
    with h5py.File(path, "r+") as file:
        pixel = np.searchsorted(file["wl"][:], 5003.8)
        next(iter(file["flux"].values()))[pixel] = value
    mixjobs.build(path, ORDERS, tmp_path / "means.zarr")  # the orders themselves are intact
    with pytest.raises(LibraryError, match=f"{message}.* in its buffer") as error:
        mixjobs.build(path, ORDERS, tmp_path / "q.zarr", emulator=FULL)
    assert (error.value.order, error.value.path) == (3, str(path))


def test_an_order_whose_buffer_is_not_covered(demo, tmp_path):
    wide = {"max_rv": 300, "max_vsini": 30, "min_resolution": 20_000}
    message = "order 3 .* 362 km/s needs 4997.* to 5018.* Å, .* 5000 to 5030 Å"
    with pytest.raises(OrderError, match=message) as error:
        mixjobs.build(demo, ORDERS, tmp_path / "q.zarr", emulator=EmulatorSettings(**wide))
    assert (error.value.order, error.value.name) == (3, "short_buffer")
    assert not list(tmp_path.iterdir())
    shrunk = EmulatorSettings(**wide, short_buffer="shrink")
    path = tmp_path / "shrunk.zarr"
    mixjobs.build(demo, ORDERS, path, emulator=shrunk)
    assert emulated_orders(path) == [3, 5, 7]
    assert read_order(path, 3)[0].grid.wavelength[0] == pytest.approx(5000)
    skipped = EmulatorSettings(**wide, short_buffer="skip")
    path = tmp_path / "skipped.zarr"
    mixjobs.build(demo, ORDERS, path, emulator=skipped)
    assert emulated_orders(path) == [7]
    notes = zarr.open_group(path / "emulator", mode="r").attrs["notes"]
    assert len(notes) == 2
    assert all("no emulator" in note for note in notes)


@pytest.mark.parametrize(
    "given",
    [
        {"max_rv": -1.0}, {"max_vsini": 3e5}, {"min_resolution": 0.0}, {"step": 0.0},
        {"short_buffer": "stretch"}, {"max_rv": "fast"}, {"max_velocity": 3.0},
        {"explained_variance": 0.0}, {"explained_variance": 1.5}, {"max_residual": -1.0},
        {"rank": 0}, {"max_rank": 0}, {"max_rank": 2.5}, {"max_rv": 3 * u.km},
    ],
    ids=str,
)  # fmt: skip
def test_impossible_settings(given):
    ((name, value),) = given.items()
    with pytest.raises(InvalidInput, match=name) as error:
        EmulatorSettings(**given)
    assert (error.value.name, error.value.value) == (name, value)


def test_integers_and_quantities_are_the_same_job():
    settings = EmulatorSettings(max_rv=50.0, max_vsini=20.0, min_resolution=1000.0, rank=3)
    assert EmulatorSettings(max_rv=50, max_vsini=20, min_resolution=1000, rank=3) == settings
    velocities = {"max_rv": 50_000 * u.m / u.s, "max_vsini": np.float32(20)}
    assert EmulatorSettings(**velocities, min_resolution=1000, rank=np.int64(3)) == settings


def test_the_defaults_are_those_of_the_job_file(demo, tmp_path):
    """Each default is declared once."""
    assert EmulatorSettings().model_dump() == EmulatorConfig().model_dump()
    orders = Orders.from_edges([5010, 5020])
    store = mixjobs.build(demo, orders, tmp_path / "q.zarr", emulator=True, overwrite=True)
    assert read_attributes(store.path)["max_rv"] == EmulatorConfig().max_rv
    without = mixjobs.build(demo, orders, tmp_path / "q.zarr", emulator=False, overwrite=True)
    assert emulated_orders(without.path) == []


def test_uneven_pixels_are_resampled_by_a_spline():
    """The reference is scipy's cubic spline through the same pixels."""
    rng = np.random.default_rng(0)
    wavelength = np.cumsum(rng.uniform(1, 1.5, size=400)) + 5000
    orders, settings = Orders.from_edges([5100, 5300]), EmulatorSettings(max_rv=500)
    (segment,), _ = make_segments([Section(0, wavelength)], orders, settings)
    flux = np.sin(wavelength / 7) + 2
    used = slice(segment.lo, segment.hi)
    spline = CubicSpline(np.log(wavelength[used]), flux[used], bc_type="not-a-knot")
    resampled = segment.resample(flux[used])
    np.testing.assert_allclose(resampled, spline(np.log(segment.grid.wavelength)), atol=1e-9)
    steps = np.sort(np.diff(np.log(wavelength[used])))
    assert segment.grid.step <= steps[int(np.ceil(0.05 * (len(steps) - 1)))] / 2 * (1 + 1e-9)


@pytest.mark.parametrize("gap", [0.02, 0.3])
def test_a_short_step_between_two_pieces_adds_no_pixels(gap):
    """Nor does it change the flux elsewhere."""
    whole = np.arange(5000.0, 5600.0, 1.0)
    spliced = np.concatenate([whole[:300], whole[299] + gap + np.arange(300.0)])
    orders, settings = Orders.from_edges([5200, 5400]), EmulatorSettings(max_rv=500)
    sizes = []
    for wavelength in (whole, spliced):
        (segment,), _ = make_segments([Section(0, wavelength)], orders, settings)
        sizes.append(segment.grid.n_pixels)
        flux = np.sin(wavelength / 7) + 2
        resampled = segment.resample(flux[segment.lo : segment.hi])
        truth = np.sin(segment.grid.wavelength / 7) + 2
        np.testing.assert_allclose(resampled[20:-20], truth[20:-20], atol=1e-3)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)


@pytest.mark.parametrize("every", [3, 10])
def test_many_short_steps_do_not_multiply_the_pixels(every):
    whole = np.arange(5000.0, 5600.0, 1.0)
    doubled = np.sort(np.concatenate([whole, whole[::every] + 1e-5]))
    orders, settings = Orders.from_edges([5200, 5400]), EmulatorSettings(max_rv=500)
    plain, short = (
        make_segments([Section(0, wave)], orders, settings)[0][0].grid.n_pixels
        for wave in (whole, doubled)
    )
    assert short <= 4.2 * plain


@pytest.mark.parametrize("step", [400.0, 900.0])
def test_a_step_that_leaves_too_few_pixels(demo, tmp_path, step):
    settings = EmulatorSettings(max_rv=20, max_vsini=0, min_resolution=50_000, step=step)
    with pytest.raises(OrderError, match=r"order 3 has \d pixel") as error:
        mixjobs.build(demo, ORDERS, tmp_path / "q.zarr", emulator=settings)
    assert (error.value.order, error.value.name, error.value.value) == (3, "step", step)
    assert not list(tmp_path.iterdir())


def test_a_wider_step_averages_and_keeps_the_flux(demo):
    library = mixjobs.open_library(demo)
    settings = EmulatorSettings(max_rv=20, max_vsini=0, step=20.0)
    (segment,), _ = make_segments(library.sections, Orders.from_edges([5010, 5020]), settings)
    assert segment.grid.dv == pytest.approx(20, rel=1e-3)
    flux = library.flux(0, segment.lo, segment.hi)
    spline = CubicSpline(
        np.log(library.wavelength[segment.lo : segment.hi]), flux, bc_type="not-a-knot"
    )
    grid = segment.grid
    ends = grid.start - grid.step / 2, grid.start + grid.step * (grid.n_pixels - 0.5)
    total = segment.resample(flux).sum() * grid.step
    assert total == pytest.approx(float(spline.integrate(*ends)), rel=1e-12)


def test_scratch_is_written_whole(tmp_path):
    """A task that does not cover whole Zarr chunks is refused."""
    create_scratch(tmp_path / "scratch", {7: 20}, n_points=12, step=5)
    write_scratch(tmp_path / "scratch", 7, 5, np.ones((5, 20)))
    with pytest.raises(StoreError, match="whole Zarr chunks"):
        write_scratch(tmp_path / "scratch", 7, 3, np.ones((5, 20)))
    with pytest.raises(StoreError, match="are missing"):
        read_scratch(tmp_path / "scratch", 7)


def test_damaged_scratch_is_refused(tmp_path):
    create_scratch(tmp_path / "scratch", {7: 20}, n_points=5, step=5)
    write_scratch(tmp_path / "scratch", 7, 0, np.ones((5, 20)))
    assert (read_scratch(tmp_path / "scratch", 7) == 1).all()
    (chunk,) = (p for p in (tmp_path / "scratch" / "7" / "c").rglob("*") if p.is_file())
    with flipped(chunk, 100), pytest.raises(StoreError, match="damaged") as error:
        read_scratch(tmp_path / "scratch", 7)
    assert error.value.order == 7


def test_a_damaged_emulator_is_refused(store, tmp_path):
    path = tmp_path / "q.zarr"
    shutil.copytree(store.path, path)
    stored = next(p for p in (path / "emulator/7/weights/c").rglob("*") if p.is_file())
    stored.write_bytes(stored.read_bytes()[:8])
    for change in (lambda: None, stored.unlink):
        change()
        with pytest.raises(StoreError) as error:
            read_order(path, 7)
        assert (error.value.name, error.value.order) == ("emulator/7/weights", 7)


def test_real_library_within_the_stated_error(data, tmp_path):
    """BT-Settl has uneven pixels; they are reproduced within the stated largest error."""
    path = data / "btsettl_prism.hdf5"
    orders = Orders.log_spaced(20, 7000, 50000).select([6, 14])
    settings = EmulatorSettings(min_resolution=100)
    near = {"teff": (3000, 3600), "logg": (4, 5), "feh": (-0.5, 0.5)}
    store = mixjobs.build(path, orders, tmp_path / "q.zarr", select=near, emulator=settings)
    library = mixjobs.open_library(path)
    library = library.take(library.grid.select(near))
    lo, hi = orders.pixel_ranges(library.wavelength)
    for m, number in enumerate(orders.number):
        emulator, _ = read_order(store.path, int(number))
        assert emulator.explained_variance >= 0.999
        assert emulator.max_residual <= 0.02
        emulated = emulator.mean + emulator.weights @ emulator.eigenspectra
        for i in range(len(library.grid)):
            flux = library.flux(i, lo[m], hi[m])
            spline = CubicSpline(np.log(emulator.grid.wavelength), emulated[i])
            off = spline(np.log(emulator.wavelength)) - flux / flux.mean()
            assert np.abs(off).max() < emulator.max_residual + 2e-3


def test_settings_describe_themselves():
    """In a few lines, and without the names of pydantic."""
    settings = EmulatorSettings(max_rv=50, rank=12)
    assert repr(settings).splitlines()[:2] == [
        "<EmulatorSettings>",
        "  rv            up to 50 km/s",
    ]
    assert "up to 50 km/s" in settings._repr_html_()
    assert "max_rv" in dir(settings)
    assert not [name for name in dir(settings) if name.startswith("model_")]
