"""The format of a store: a Zarr group with mean fluxes and the ratio table."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from mixjobs.display import PlotAccessor, Summarised, counted
from mixjobs.errors import LibraryError, MissingFile, OrderError, StoreError
from mixjobs.files import kind_of
from mixjobs.grid import Grid
from mixjobs.model.flux_ratio import summarise_axes, summarise_orders
from mixjobs.orders import Orders
from mixjobs.store.checksums import (
    CODECS,
    NODE,
    Checksums,
    VerifiedStore,
    check_listed,
    open_node,
    read_checksums,
    unusable,
    write_checksums,
)
from mixjobs.store.zarr_settings import default_settings
from mixjobs.typing import Floats

if TYPE_CHECKING:
    from zarr.core.array_spec import ArrayConfigParams

SCHEMA = 4
NO_CHECKSUMS = "none (built by an earlier version), so damage may go unnoticed"
READABLE = (2, 3, SCHEMA)  # schema 2 has no checksums; 2 and 3 have no joint error
# Uncompressed size of the ratio table's Zarr chunks: large enough for few files, small enough for
# quick reading of one row or one order (measured in benchmarks/README.md).
CHUNK_BYTES = 8 * 2**20
# Chunks that hold only the fill value are written too: a missing chunk is then always a fault, and
# searching for them would take longer than writing them.
WRITE_ALL: ArrayConfigParams = {"write_empty_chunks": True}


@dataclass(frozen=True, eq=False, repr=False)
class Store(Summarised):
    """A store of mean fluxes and flux ratios; `mixjobs.open_store` opens one.

    Attributes
    ----------
    path : Path
    grid : Grid
        N points.
    orders : Orders
        M orders.
    n_pixels : (M,) int array
        Number of the library's pixels in each order.
    mean_flux : (M, N) float array
        Mean raw flux of each order and grid point, in the unit ``attributes["flux_unit"]``.
    flux_ratio : Zarr array (M, N, N) or None
        ``flux_ratio[m, i, j]`` is q_m(theta_i, theta_j), the flux of component 2 at point j over
        that of component 1 at point i. None in a store without a ratio table.
    attributes : dict
        The library, the medium, the units, and how the store was made.
    n_checksums : int
        Number of files with a checksum; 0 in a store of an earlier version.
    plot : StorePlots
        Figures, such as ``store.plot.flux_ratio()``.
    """

    plot = PlotAccessor("mixjobs.report.store", "StorePlots")

    path: Path
    grid: Grid
    orders: Orders
    n_pixels: NDArray[np.int64]
    mean_flux: Floats
    flux_ratio: Any
    attributes: dict[str, Any]
    n_checksums: int = 0

    def to_xarray(self) -> xr.Dataset:
        """Return the store as an xarray Dataset, whose arrays are read on use."""
        import xarray  # takes half a second to import, and workers do not need it

        checksums = read_checksums(self.path)
        store = self.path if checksums is None else VerifiedStore.of(checksums)
        dataset: xr.Dataset = xarray.open_zarr(store)
        return dataset

    @property
    def checksums_line(self) -> str:
        """Describe the checksums of the store in one line."""
        if self.n_checksums:
            return f"{counted(self.n_checksums, 'file')} verified"
        return NO_CHECKSUMS

    def _facts(self) -> dict[str, object]:
        from mixjobs.store.emulator import emulated_orders  # circular imports
        from mixjobs.store.filling import store_filling

        filling = store_filling(self)
        filled = "" if filling is None else f" ({len(filling)} filled)"
        medium = self.attributes.get("medium", "unknown")
        table, n_emulated = self.flux_ratio, len(emulated_orders(self.path))
        facts = {
            "path": self.path,
            "library": Path(self.attributes.get("library", "unknown")),
            "grid": f"{len(self.grid)} points, {counted(len(self.grid.holes), 'hole')}{filled}",
            **summarise_axes(self.grid),
            "orders": f"{summarise_orders(self.orders)} ({medium})",
            "flux_ratio": "none" if table is None else f"{table.shape}, {table.dtype}",
            "emulator": counted(n_emulated, "order") if n_emulated else "none",
        }
        return facts if self.n_checksums else facts | {"checksums": self.checksums_line}


def open_store(path: str | Path) -> Store:
    """Open a finished store, and verify the checksums of all its files but the ratio table's.

    The chunks of the ratio table are verified when they are read.

    Raises
    ------
    MissingFile
        There is no such store.
    StoreError
        The store is incomplete or damaged, was not made by mixjobs, or has another schema. The
        error's `name` is the array or group.
    """
    path = _existing(Path(path))
    checksums = read_checksums(path)
    if checksums is not None:
        table = _table_files(checksums)
        checksums.check_files(file for file in checksums.files if file not in table)
        checksums.check_presence(table)
    return _finished(path)


def verify_table(store: Store) -> None:
    """Verify the checksums of the ratio table, of which every chunk is read.

    Raises
    ------
    StoreError
    """
    checksums = read_checksums(store.path)
    if checksums is not None:
        checksums.check_files(_table_files(checksums))


def _table_files(checksums: Checksums) -> dict[str, str]:
    return {file: c for file, c in checksums.chunks.items() if file.startswith("flux_ratio/")}


def open_lazily(path: str | Path) -> Store:
    """Open a finished store without reading its emulator, whose files are verified when read.

    Raises
    ------
    MissingFile, StoreError
        See `open_store`.
    """
    path = _existing(Path(path))
    checksums = read_checksums(path)
    if checksums is not None:
        checksums.check_presence(checksums.files)
    return _finished(path)


def _existing(path: Path) -> Path:
    """Refuse a path at which there is no finished store."""
    if not path.is_dir():
        if partial_path(path).is_dir():
            raise StoreError(
                f"{path}: the store is incomplete ({partial_path(path).name} exists); run the same "
                "build again to finish it",
                path=path,
            )
        if path.exists():
            raise StoreError(
                f"{path}: this is {kind_of(path)}, but a store is a folder; check the path",
                path=path,
            )
        raise MissingFile(
            f"{path}: no such store; check the path, or build the store first", path=path
        )
    if not is_group(path):
        raise StoreError(
            f"{path}: this is {kind_of(path)}; expected a store, which contains zarr.json: check "
            "the path",
            path=path,
        )
    schema = _stored_schema(path)
    if schema is not None:  # first, because another schema may have other checksums
        _check_schema(path, schema)
    return path


def _stored_schema(path: Path) -> Any:
    """Read the schema of a store; None if there is none, or the file is damaged."""
    try:
        return json.loads((path / "zarr.json").read_bytes())["attributes"]["schema_version"]
    except (KeyError, OSError, TypeError, ValueError):
        return None


def _finished(path: Path) -> Store:
    """Read a finished store, in which nothing may be missing."""
    store = read_group(path)
    if not store.n_checksums:
        if store.attributes["schema_version"] > 2:
            raise unusable(path, NODE, "is missing")
        check_listed(path)
    impossible = np.argwhere(~((store.mean_flux > 0) & np.isfinite(store.mean_flux)))
    if len(impossible):
        m, i = impossible[0]
        raise unusable(
            path,
            "mean_flux",
            f"is {store.mean_flux[m, i]:g} in order {store.orders.number[m]} of grid point {i} "
            "(expected a positive number)",
            store.mean_flux[m, i],
        )
    return store


def is_group(path: Path) -> bool:
    """Whether a folder is a Zarr group."""
    return (path / "zarr.json").is_file()


@default_settings()
def read_group(path: Path) -> Store:
    """Read the group of a finished or partial store; missing mean fluxes are NaN.

    Raises
    ------
    StoreError
    """
    try:
        group = open_node(path)
        attributes: dict[str, Any] = dict(group.attrs)
    except StoreError:
        raise
    except Exception as error:  # Zarr raises many types for damaged metadata
        raise unusable(path, "zarr.json", f"is damaged ({_one_line(error)})") from None
    _check_schema(path, attributes.get("schema_version"))
    names = ("grid_points", "parameter", "order", "wave_min", "wave_max", "n_pixels", "mean_flux")
    arrays = {name: read_array(path, group, name) for name in names}
    orders = _orders(path, arrays)
    grid = _grid(path, arrays)
    _check_shape(path, "n_pixels", arrays, (len(orders),))
    _check_shape(path, "mean_flux", arrays, (len(orders), len(grid)))
    if (arrays["n_pixels"] < 1).any():
        raise unusable(path, "n_pixels", "is impossible (an order without pixels)")
    checksums = read_checksums(path)
    return Store(
        path=path,
        grid=grid,
        orders=orders,
        n_pixels=arrays["n_pixels"],
        mean_flux=arrays["mean_flux"],
        flux_ratio=group.get("flux_ratio"),
        attributes=attributes,
        n_checksums=0 if checksums is None else len(checksums.files),
    )


@default_settings()
def read_array(path: Path, group: zarr.Group, name: str) -> Any:
    """Read an array of a store's group.

    Raises
    ------
    StoreError
        It is missing or damaged.
    """
    try:
        return np.asarray(group[name][...])  # type: ignore[index]
    except StoreError:
        raise
    except Exception as error:  # Zarr raises many types for damaged metadata
        array = f"{group.path}/{name}".strip("/")
        state = f"is damaged ({_one_line(error)})"
        raise unusable(
            path, array, "is missing" if isinstance(error, KeyError) else state
        ) from None


def _orders(path: Path, arrays: Mapping[str, Any]) -> Orders:
    try:
        return Orders(arrays["order"], arrays["wave_min"], arrays["wave_max"])
    except OrderError as error:
        array = "wave_min" if isinstance(error.value, tuple) else "order"
        raise unusable(path, array, f"is impossible ({error})", error.value) from None


def _grid(path: Path, arrays: Mapping[str, Any]) -> Grid:
    names = tuple(str(name) for name in arrays["parameter"])
    if "" in names or len(set(names)) < len(names):
        raise unusable(path, "parameter", f"is impossible (names {', '.join(names)!r})", names)
    try:
        return Grid(arrays["grid_points"], names)
    except LibraryError as error:
        raise unusable(path, "grid_points", f"is impossible ({error})", error.value) from None


def _check_shape(
    path: Path, name: str, arrays: Mapping[str, Any], expected: tuple[int, ...]
) -> None:
    shape = arrays[name].shape
    if shape != expected:
        raise unusable(path, name, f"has the shape {shape} (expected {expected})", shape)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_schema(path: Path, schema: Any) -> None:
    if schema not in READABLE:
        if schema is None:
            fault = "not a mixjobs store, as it has no schema version; check the path"
        else:
            fault = (
                f"the store has schema {schema!r}, but this version of mixjobs reads schema "
                f"{READABLE[0]} to {SCHEMA}; build the store again"
            )
        raise StoreError(
            f"{path}: {fault}",
            path=path,
            name="schema_version",
            value=schema,
        )


def partial_path(path: str | Path) -> Path:
    """Return the folder in which a store is built, before it is renamed."""
    return Path(path).parent / f"{Path(path).name}.partial"


@default_settings()
def create_group(
    path: Path,
    grid: Grid,
    orders: Orders,
    n_pixels: NDArray[np.int64],
    attributes: Mapping[str, Any],
    table_dtype: str | None,
) -> None:
    """Create the group of a store: its small arrays, and empty mean fluxes and ratio table.

    Parameters
    ----------
    path : Path
    grid : Grid
    orders : Orders
    n_pixels : (M,) int array
        Number of the library's pixels in each order.
    attributes : mapping
    table_dtype : str or None
        Data type of the ratio table; None leaves it out.
    """
    m, n = len(orders), len(grid)
    group = zarr.open_group(
        path, mode="a", zarr_format=3, attributes={"schema_version": SCHEMA, **attributes}
    )
    small: dict[str, tuple[Any, tuple[str, ...]]] = {
        "grid_points": (grid.points, ("point", "parameter")),
        "parameter": (np.array(grid.names, dtype=object), ("parameter",)),
        "order": (orders.number, ("order",)),
        "wave_min": (orders.wave_min, ("order",)),
        "wave_max": (orders.wave_max, ("order",)),
        "n_pixels": (n_pixels, ("order",)),
    }
    for name, (values, dims) in small.items():
        create_small_array(group, name, values, dims)
    group.create_array(
        "mean_flux", shape=(m, n), chunks=(m, n), dtype="float64", fill_value=np.nan,
        dimension_names=("order", "point"), compressors=CODECS,
    )  # fmt: skip
    if table_dtype:
        group.create_array(
            "flux_ratio", shape=(m, n, n), chunks=(1, rows_per_zarr_chunk(n, table_dtype), n),
            dtype=table_dtype, fill_value=np.nan,
            dimension_names=("order", "point_1", "point_2"), compressors=CODECS,
        )  # fmt: skip


def create_small_array(
    group: zarr.Group, name: str, values: NDArray[Any], dims: tuple[str, ...]
) -> None:
    """Write an array as a single Zarr chunk; an array that a killed job has left is replaced."""
    dtype: Any = str if values.dtype == object else values.dtype
    array = group.create_array(
        name, shape=values.shape, dtype=dtype, dimension_names=dims, compressors=CODECS,
        config=WRITE_ALL, overwrite=True,
    )  # fmt: skip
    array[...] = values


def rows_per_zarr_chunk(n_points: int, dtype: str) -> int:
    """Return the number of rows of the ratio table in a Zarr chunk of at most `CHUNK_BYTES`.

    The rows are divided evenly, because Zarr pads the last chunk to full size on disk.
    """
    most = max(1, CHUNK_BYTES // (n_points * np.dtype(dtype).itemsize))
    return ceil(n_points / ceil(n_points / most))


@default_settings()
def open_array(path: Path, name: str) -> Any:
    """Open one array of a store for writing."""
    return zarr.open_array(path / name, mode="r+").with_config(WRITE_ALL)


@default_settings()
def write_whole(array: Any, start: tuple[int, ...], values: NDArray[Any]) -> None:
    """Write a region of a Zarr array, which must cover whole Zarr chunks.

    Tasks that write parts of one Zarr chunk at the same time would silently lose data.

    Raises
    ------
    StoreError
        The region covers only part of a Zarr chunk.
    """
    for first, size, length, step in zip(
        start, values.shape, array.shape, array.chunks, strict=True
    ):
        stop = first + size
        if first < 0 or first % step or not (stop % step == 0 or stop == length) or stop > length:
            raise StoreError(
                f"{array.store_path}: the region from {start} of shape {values.shape} does not "
                f"cover whole Zarr chunks of shape {array.chunks}: this is a bug; please report it",
                path=str(array.store_path),
            )
    array[tuple(slice(f, f + s) for f, s in zip(start, values.shape, strict=True))] = values


@default_settings()
def write_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Add attributes to a store."""
    zarr.open_group(path, mode="r+").attrs.update(attributes)


@default_settings()
def consolidate(path: Path) -> None:
    """Consolidate the metadata of a group, which xarray reads first, and delete temporary files."""
    for temporary in path.rglob("*.partial"):  # Zarr's own, left by a worker that was killed
        temporary.unlink(missing_ok=True)
    with warnings.catch_warnings():
        # Consolidated metadata is not in the Zarr 3 specification yet; other readers ignore it.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(path)


def finish(path: Path) -> None:
    """Consolidate the metadata of a complete store, and list the checksums of its files."""
    shutil.rmtree(path / NODE, ignore_errors=True)  # of an attempt that was interrupted
    consolidate(path)
    write_checksums(path)
