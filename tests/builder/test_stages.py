"""Stores made by `mixjobs.build`: identical bits from every kind of build, and invariants."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from dask.utils import key_split
from distributed import Client, LocalCluster, get_task_stream
from hypothesis import given
from hypothesis import strategies as st

import mixjobs
from mixjobs import Orders
from mixjobs.errors import InvalidInput
from mixjobs.store.format import SCHEMA
from tests.helpers import plain_build as plain
from tests.helpers.command import wait_for

EDGES = [5000, 5004, 5011, 5016, 5025, 5030]
M, N = 5, 12
BLOCKS = [(1, 1), (3, 5), (M, N), (2, 100), None]


@dataclass
class Case:
    """A library, orders that it covers, and a selection of its points."""

    library: Path
    orders: Orders
    select: dict | None = None

    def build(self, path, client=None, **options):
        return mixjobs.build(self.library, self.orders, path, client, select=self.select, **options)


@pytest.fixture(scope="session")
def threads():
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=4, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def cases(demo, data):
    aces = data / "PHOENIX_ACES_test.hdf5"
    star = mixjobs.open_spectrum(data / "LkCa15-2013-10-12.hdf5").orders.select([21, 24, 27, 30])
    around_hole = {"teff": (4200, 4500), "logg": (3, 4), "feh": (-3.5, -2)}  # of 47 points
    prism = Case(data / "btsettl_prism.hdf5", Orders.log_spaced(3, 7000, 50000), around_hole)
    three = Orders.log_spaced(3, 42350, 42550)
    return {
        "demo": Case(demo, Orders.from_edges(EDGES)),
        "btsettl_prism": prism,
        "PHOENIX_ACES": Case(aces, star),
        "PHOENIX_50k": Case(data / "PHOENIX_50k.hdf5", three),
        "PHOENIX_norm": Case(data / "PHOENIX_norm.hdf5", three),
    }


LIBRARIES = ("demo", "btsettl_prism", "PHOENIX_ACES", "PHOENIX_50k", "PHOENIX_norm")


@pytest.fixture(scope="session")
def serial(cases, tmp_path_factory):
    """The store of each library, built in this process."""
    folder = tmp_path_factory.mktemp("serial")
    return {name: case.build(folder / f"{name}.zarr") for name, case in cases.items()}


def assert_same(store, reference):
    assert store.grid.points.tobytes() == reference.grid.points.tobytes()
    assert store.mean_flux.tobytes() == reference.mean_flux.tobytes()
    assert store.flux_ratio[...].tobytes() == reference.flux_ratio[...].tobytes()


EXECUTORS_AND_BLOCKS = [(e, b) for e in ("serial", "processes") for b in BLOCKS]


@pytest.mark.parametrize(
    ("executor", "block"), [*EXECUTORS_AND_BLOCKS, ("threads", (1, 1)), ("threads", (3, 5))]
)
def test_every_executor_and_block_gives_the_same_bits(
    executor, block, cases, serial, client, threads, tmp_path
):
    where = {"serial": None, "threads": threads, "processes": client}[executor]
    store = cases["demo"].build(tmp_path / "q.zarr", where, block=block)
    assert store.mean_flux.shape == (M, N)
    assert_same(store, serial["demo"])


@pytest.mark.parametrize("name", LIBRARIES[1:])
def test_real_libraries_give_the_same_bits(name, cases, serial, client, tmp_path):
    for block in ((1, 1), (2, 3)):
        store = cases[name].build(tmp_path / f"{block[0]}.zarr", client, block=block)
        assert_same(store, serial[name])


@pytest.mark.parametrize("name", LIBRARIES)
def test_means_are_those_of_a_double_loop(name, cases, serial):
    store = serial[name]
    reference = plain.means(cases[name].library, store.grid.points, cases[name].orders)
    per_cm = 1e-8 if name == "PHOENIX_50k" else 1.0  # its unit says per Å
    np.testing.assert_allclose(store.mean_flux, reference * per_cm, rtol=1e-9)
    np.testing.assert_allclose(
        store.flux_ratio[...], reference[:, None, :] / reference[:, :, None], rtol=1e-9
    )


@pytest.mark.parametrize("name", LIBRARIES)
def test_invariants_of_the_table(name, serial):
    table = serial[name].flux_ratio[...]
    assert (np.einsum("mii->mi", table) == 1).all()
    np.testing.assert_allclose(table * table.transpose(0, 2, 1), 1, rtol=1e-15)
    chain = table[:, :, :, None] * table[:, None, :, :]  # q_ij q_jk
    np.testing.assert_allclose(chain, np.broadcast_to(table[:, :, None], chain.shape), rtol=1e-15)


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_mixture_is_exact_at_grid_points(name, cases, serial):
    """On the library's own pixels, with q from the table."""
    store, case = serial[name], cases[name]
    library = mixjobs.open_library(case.library)
    rows = library.grid.select(case.select or {})
    pixel_ranges = np.stack(case.orders.pixel_ranges(library.wavelength), axis=1)
    points = st.integers(0, len(rows) - 1)

    @given(st.integers(0, len(pixel_ranges) - 1), points, points, st.floats(0, 1))
    def invariants(m, i, j, c):
        f1, f2 = (library.flux(rows[k], *pixel_ranges[m]) for k in (i, j))
        q = store.flux_ratio[m, i, j]
        mixed = mixjobs.mix(f1 / f1.mean(), f2 / f2.mean(), c, q)
        np.testing.assert_allclose(f1.mean() * mixed, (1 - c) * f1 + c * f2, rtol=1e-12)
        assert mixed.mean() == pytest.approx(1 - c + c * q, rel=1e-12)

    invariants()


@pytest.mark.parametrize("name", LIBRARIES)
def test_interpolated_q_is_the_table_at_grid_points(name, serial):
    store = serial[name]
    points = store.grid.points
    for method in ("cubic", "linear", "simplex"):
        q = mixjobs.load_flux_ratio(store.path, method)(points[:, None], points)
        np.testing.assert_allclose(q.transpose(2, 0, 1), store.flux_ratio[...], rtol=1e-12)


def test_scaled_and_raw_libraries_agree(serial):
    """To half a per cent, because Starfish integrates the flux differently from PHOENIX."""
    scaled, raw = (serial[name].flux_ratio[...] for name in ("PHOENIX_norm", "PHOENIX_50k"))
    np.testing.assert_allclose(scaled, raw, rtol=5e-3)
    assert abs(raw[:, 0, 2] - 1).min() > 0.04


def test_the_hole_of_the_real_grid(data, client, tmp_path):
    orders = Orders.log_spaced(20, 7000, 50000)
    store = mixjobs.build(data / "btsettl_prism.hdf5", orders, tmp_path / "q", client, table=False)
    assert len(store.grid) == 1319
    assert store.grid.holes.tolist() == [[4400, 3, -3]]
    assert store.mean_flux.shape == (20, 1319)
    assert (store.mean_flux > 0).all()
    assert store.flux_ratio is None


def test_without_a_table_the_model_is_the_same(cases, serial, client, tmp_path):
    store = cases["demo"].build(tmp_path / "q.zarr", client, table=False)
    assert store.flux_ratio is None
    assert not (store.path / "flux_ratio").exists()
    assert store.mean_flux.tobytes() == serial["demo"].mean_flux.tobytes()
    theta = (5650, 4.2, -0.1), (5950, 4.4, -0.3)
    q = [mixjobs.load_flux_ratio(path)(*theta) for path in (store.path, serial["demo"].path)]
    assert (q[0] == q[1]).all()


@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_single_precision_is_the_table_rounded(executor, cases, serial, client, tmp_path):
    where = client if executor == "processes" else None
    store = cases["demo"].build(tmp_path / "q.zarr", where, dtype="float32")
    assert store.flux_ratio.dtype == np.float32
    assert store.mean_flux.dtype == np.float64
    assert (store.flux_ratio[...] == serial["demo"].flux_ratio[...].astype(np.float32)).all()


def test_selected_points_have_the_values_of_the_whole_library(demo, serial, tmp_path):
    reference = serial["demo"]
    ranges = {"teff": (5700, 6100), "feh": (0, 0)}
    store = mixjobs.build(demo, reference.orders, tmp_path / "q.zarr", select=ranges)
    rows = [reference.grid.row(theta) for theta in store.grid.points]
    assert store.grid.axes[0].tolist() == [5800, 6000]
    assert len(rows) == 4
    assert (store.mean_flux == reference.mean_flux[:, rows]).all()
    assert (store.flux_ratio[...] == reference.flux_ratio[...][:, rows][:, :, rows]).all()


def test_a_library_may_be_open_already(demo, serial, tmp_path):
    reference = serial["demo"]
    store = mixjobs.build(mixjobs.open_library(demo), reference.orders, tmp_path / "q.zarr")
    assert_same(store, reference)


def test_assumed_raw_leaves_the_numbers_unchanged(cases, tmp_path):
    case = cases["PHOENIX_norm"]
    store = case.build(tmp_path / "q.zarr", flux_scale="raw")
    assert store.attributes["flux_calibration"] == "assumed"
    assert "not checked" in store.attributes["flux_level"]
    # scaled to one luminosity, the hotter star is the fainter one
    assert (store.flux_ratio[:, 0, 2] < 1).all()
    with h5py.File(case.library) as file:
        first = file["flux"]["t5000g4.0z0.0"][:].astype(np.float64)
    assert store.mean_flux[:, 0].mean() == pytest.approx(first.mean(), rel=1e-3)


def test_attributes_of_the_store(cases, serial):
    by_name = {name: store.attributes for name, store in serial.items()}
    assert by_name["PHOENIX_ACES"]["flux_calibration"] == "rescaled"
    assert "PHX headers" in by_name["PHOENIX_ACES"]["flux_calibration_evidence"]
    assert by_name["PHOENIX_ACES"]["medium"] == "air"
    assert by_name["PHOENIX_ACES"]["flux_unit"] == "erg/s/cm2/AA"
    assert by_name["btsettl_prism"]["flux_calibration"] == "raw"
    assert by_name["btsettl_prism"]["medium"] == "vacuum"
    # this file declares a flux per Å, but its numbers are per cm
    assert by_name["PHOENIX_50k"]["flux_unit_declared"] == "erg/cm^2/s/A"
    unit = next(d for d in by_name["PHOENIX_50k"]["declarations"] if d["quantity"] == "flux unit")
    assert unit["contradicted"]
    assert by_name["PHOENIX_50k"]["flux_unit"] == "erg/s/cm2/AA"
    for name, attributes in by_name.items():
        assert attributes["library"] == str(cases[name].library.resolve())
        assert attributes["library_format"] == "starfish"
        assert attributes["schema_version"] == SCHEMA
        assert {"created", "mixjobs_version", "identity"} <= set(attributes)
        assert any("library" in key for key in attributes["identity"])


def test_no_files_are_left_next_to_a_store(serial):
    folder = serial["demo"].path.parent
    assert {path.name for path in folder.iterdir()} == {f"{name}.zarr" for name in LIBRARIES}


def test_progress_is_reported_to_the_end(cases, tmp_path):
    reports = []
    cases["demo"].build(tmp_path / "q.zarr", report=lambda *r: reports.append(r))
    stages = list(dict.fromkeys(stage for stage, _, _ in reports))
    assert stages == ["mean_flux", "flux_ratio", "interpolators"]
    for stage in stages:
        done = [d for s, d, _ in reports if s == stage]
        (total,) = {t for s, _, t in reports if s == stage}
        assert done == sorted(done)
        assert done[-1] == total


def test_tasks_carry_the_name_of_their_stage(cases, client, tmp_path):
    with get_task_stream(client) as stream:
        cases["demo"].build(tmp_path / "q.zarr", client, block=(1, 1))
    names = Counter(key_split(task["key"]) for task in stream.data)
    assert names == {"mean_flux": M * N, "flux_ratio": M, "interpolators": 2}


def test_nothing_stays_on_the_scheduler(cases, client, tmp_path):
    cases["demo"].build(tmp_path / "q.zarr", client)
    wait_for(lambda: client.run_on_scheduler(lambda dask_scheduler: not dask_scheduler.tasks))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"block": (0, 1)}, "block"),
        ({"dtype": "int8"}, "dtype"),
        ({"emulator": "yes"}, "emulator"),
        ({"medium": "water"}, "medium"),
    ],
)
def test_invalid_options(options, name, demo, tmp_path):
    with pytest.raises(InvalidInput) as error:
        mixjobs.build(demo, Orders.from_edges(EDGES), tmp_path / "q.zarr", **options)
    assert (error.value.name, error.value.value) == (name, options[name])
    assert list(tmp_path.iterdir()) == []


def test_a_parameter_that_the_library_lacks(demo, tmp_path):
    with pytest.raises(InvalidInput, match="vsini"):
        mixjobs.build(demo, Orders.from_edges(EDGES), tmp_path / "q.zarr", select={"vsini": (0, 1)})
    assert list(tmp_path.iterdir()) == []
