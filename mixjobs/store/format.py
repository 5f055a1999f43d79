"""The format of a store: a Zarr group with mean fluxes and the ratio table."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from mixjobs.display import PlotAccessor, Summarised, counted
from mixjobs.errors import MissingFile, StoreError
from mixjobs.files import kind_of
from mixjobs.grid import Grid
from mixjobs.model.flux_ratio import summarise_axes, summarise_orders
from mixjobs.orders import Orders
from mixjobs.typing import Floats

SCHEMA = 2
# Uncompressed size of the ratio table's Zarr chunks: large enough for few files, small enough for
# quick reading of one row or one order (measured in benchmarks/README.md).
CHUNK_BYTES = 8 * 2**20


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

    def to_xarray(self) -> xr.Dataset:
        """Return the store as an xarray Dataset, whose arrays are read on use."""
        import xarray  # takes half a second to import, and workers do not need it

        dataset: xr.Dataset = xarray.open_zarr(self.path)
        return dataset

    def _facts(self) -> dict[str, object]:
        from mixjobs.store.emulator import emulated_orders  # circular import

        medium = self.attributes.get("medium", "unknown")
        table, n_emulated = self.flux_ratio, len(emulated_orders(self.path))
        return {
            "path": self.path,
            "library": Path(self.attributes.get("library", "unknown")),
            "grid": f"{len(self.grid)} points, {counted(len(self.grid.holes), 'hole')}",
            **summarise_axes(self.grid),
            "orders": f"{summarise_orders(self.orders)} ({medium})",
            "flux_ratio": "none" if table is None else f"{table.shape}, {table.dtype}",
            "emulator": counted(n_emulated, "order") if n_emulated else "none",
        }


def open_store(path: str | Path) -> Store:
    """Open a finished store.

    Raises
    ------
    MissingFile
        There is no such store.
    StoreError
        The store is incomplete or damaged, was not made by mixjobs, or has another schema.
    """
    if not Path(path).is_dir():
        if partial_path(path).is_dir():
            raise StoreError(
                f"{path}: the store is incomplete ({partial_path(path).name} exists); run the same "
                "build again to finish it",
                path=path,
            )
        if Path(path).exists():
            raise StoreError(
                f"{path}: this is {kind_of(path)}, but a store is a folder; check the path",
                path=path,
            )
        raise MissingFile(
            f"{path}: no such store; check the path, or build the store first", path=path
        )
    if not is_group(Path(path)):
        raise StoreError(
            f"{path}: this is {kind_of(path)}; expected a store, which contains zarr.json: check "
            "the path",
            path=path,
        )
    store = read_group(Path(path))
    if not np.isfinite(store.mean_flux).all():
        raise _damaged(path, "mean fluxes are missing")
    return store


def is_group(path: Path) -> bool:
    """Whether a folder is a Zarr group."""
    return (path / "zarr.json").is_file()


def read_group(path: Path) -> Store:
    """Read the group of a finished or partial store; missing mean fluxes are NaN."""
    try:
        group = zarr.open_group(path, mode="r")
        attributes: dict[str, Any] = dict(group.attrs)
        _check_schema(path, attributes.get("schema_version"))
        arrays: dict[str, Any] = {
            name: group[name][...]  # type: ignore[index]
            for name in (
                "grid_points", "parameter", "order", "wave_min", "wave_max", "n_pixels", "mean_flux"
            )
        }  # fmt: skip
        names = tuple(str(n) for n in arrays["parameter"])
        if "" in names:
            raise ValueError("parameter names are missing")
        return Store(
            path=path,
            grid=Grid(arrays["grid_points"], names),
            orders=Orders(arrays["order"], arrays["wave_min"], arrays["wave_max"]),
            n_pixels=arrays["n_pixels"],
            mean_flux=arrays["mean_flux"],
            flux_ratio=group.get("flux_ratio"),
            attributes=attributes,
        )
    except StoreError:
        raise
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise _damaged(path, " ".join(str(error).split())) from None


def _damaged(path: str | Path, reason: str) -> StoreError:
    message = f"{path}: damaged, or not a store ({reason}); build the store again"
    return StoreError(message, path=path)


def _check_schema(path: Path, schema: Any) -> None:
    if schema != SCHEMA:
        if schema is None:
            fault = "not a mixjobs store, as it has no schema version; check the path"
        else:
            fault = (
                f"the store has schema {schema!r}, but this version of mixjobs reads schema "
                f"{SCHEMA}; build the store again"
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
    group = zarr.open_group(path, mode="a", attributes={"schema_version": SCHEMA, **attributes})
    small: dict[str, tuple[Any, tuple[str, ...]]] = {
        "grid_points": (grid.points, ("point", "parameter")),
        "parameter": (np.array(grid.names, dtype=object), ("parameter",)),
        "order": (orders.number, ("order",)),
        "wave_min": (orders.wave_min, ("order",)),
        "wave_max": (orders.wave_max, ("order",)),
        "n_pixels": (n_pixels, ("order",)),
    }
    for name, (values, dims) in small.items():
        dtype = str if name == "parameter" else values.dtype
        array = group.create_array(
            name, shape=values.shape, dtype=dtype, dimension_names=dims, compressors=None
        )
        array[...] = values
    group.create_array(
        "mean_flux", shape=(m, n), chunks=(m, n), dtype="float64", fill_value=np.nan,
        dimension_names=("order", "point"), compressors=None,
    )  # fmt: skip
    if table_dtype:
        group.create_array(
            "flux_ratio", shape=(m, n, n), chunks=(1, rows_per_zarr_chunk(n, table_dtype), n),
            dtype=table_dtype, fill_value=np.nan,
            dimension_names=("order", "point_1", "point_2"), compressors=None,
        )  # fmt: skip


def rows_per_zarr_chunk(n_points: int, dtype: str) -> int:
    """Return the number of rows of the ratio table in a Zarr chunk of at most `CHUNK_BYTES`.

    The rows are divided evenly, because Zarr pads the last chunk to full size on disk.
    """
    most = max(1, CHUNK_BYTES // (n_points * np.dtype(dtype).itemsize))
    return ceil(n_points / ceil(n_points / most))


def open_array(path: Path, name: str) -> Any:
    """Open one array of a store for writing."""
    # searching for chunks that hold only the fill value would take longer than writing them
    return zarr.open_array(path / name, mode="r+").with_config({"write_empty_chunks": True})


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


def write_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Add attributes to a store."""
    zarr.open_group(path, mode="r+").attrs.update(attributes)


def consolidate(path: Path) -> None:
    """Consolidate the metadata of a group, which xarray reads first, and delete temporary files."""
    for temporary in path.rglob("*.partial"):  # Zarr's own, left by a worker that was killed
        temporary.unlink(missing_ok=True)
    with warnings.catch_warnings():
        # Consolidated metadata is not in the Zarr 3 specification yet; other readers ignore it.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(path)
