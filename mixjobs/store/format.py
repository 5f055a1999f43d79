"""The store: a Zarr group with the means and the ratio table. The only file that knows Zarr."""

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

from mixjobs.display import PlotAccessor
from mixjobs.errors import MissingFile, StoreError
from mixjobs.grid import Grid
from mixjobs.orders import Orders
from mixjobs.typing import Floats

SCHEMA = 2
# The ratio table's rows are stored in Zarr chunks of about this size, uncompressed: few files,
# and one row or one order is still read quickly (benchmarks/README.md has the measurements).
ROWS_BYTES = 8 * 2**20


@dataclass(frozen=True, eq=False)
class Store:
    """A finished store.

    Attributes
    ----------
    path : Path
    grid : Grid
        N points.
    orders : Orders
        M orders.
    n_pixels : (M,) int array
        Library pixels in each order.
    mean_flux : (M, N) float array
        Mean raw flux, in the unit ``attributes["flux_unit"]``.
    flux_ratio : Zarr array (M, N, N) or None
        ``flux_ratio[m, i, j]`` is q_m(theta_i, theta_j).
    attributes : dict
        Everything else that is known about it.
    """

    path: Path
    grid: Grid
    orders: Orders
    n_pixels: NDArray[np.int64]
    mean_flux: Floats
    flux_ratio: Any
    attributes: dict[str, Any]

    plot = PlotAccessor("mixjobs.report.store", "StorePlots")

    def to_xarray(self) -> xr.Dataset:
        """Return the store as an xarray Dataset, its arrays read when they are used."""
        import xarray  # half a second that no worker needs

        dataset: xr.Dataset = xarray.open_zarr(self.path)
        return dataset


def open_store(path: str | Path) -> Store:
    """Open a finished store.

    Raises
    ------
    MissingFile
        There is none.
    StoreError
        It is half-written, not a store of mixjobs, or of another schema.
    """
    if not Path(path).is_dir():
        if partial_path(path).is_dir():
            raise StoreError(
                f"{path}: half-written ({partial_path(path).name} is there); "
                "start the same mixjobs build again to finish it"
            )
        if Path(path).exists():
            raise StoreError(f"{path}: a file; a store is a folder that mixjobs build has made")
        raise MissingFile(f"{path}: no such store; check its name, or make it with mixjobs build")
    store = read_group(Path(path))
    if not np.isfinite(store.mean_flux).all():
        raise StoreError(f"{path}: not a whole store (it has lost mean fluxes); build it again")
    return store


def is_group(path: Path) -> bool:
    """Whether a folder is a Zarr group, whole or not."""
    return (path / "zarr.json").is_file()


def read_group(path: Path) -> Store:
    """Read a store's group, finished or not; means that are not there yet are NaN."""
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
            raise ValueError("parameter names are lost")
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
        reason = " ".join(str(error).split())
        raise StoreError(f"{path}: not a whole store ({reason}); build it again") from None


def _check_schema(path: Path, schema: Any) -> None:
    if schema != SCHEMA:
        found = "not a store of mixjobs" if schema is None else f"a store of schema {schema}"
        raise StoreError(f"{path}: {found}; this mixjobs reads schema {SCHEMA}; build it again")


def partial_path(path: str | Path) -> Path:
    """Where a store is built before it gets its name."""
    return Path(path).parent / f"{Path(path).name}.partial"


def create_group(
    path: Path,
    grid: Grid,
    orders: Orders,
    n_pixels: NDArray[np.int64],
    attributes: Mapping[str, Any],
    table_dtype: str | None,
) -> None:
    """Create a store's group with its small arrays, and empty means and table.

    Parameters
    ----------
    path : Path
        The partial store.
    table_dtype : str or None
        The ratio table's dtype; None leaves it out.
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
    """Rows of the ratio table in one Zarr chunk, of at most `ROWS_BYTES`.

    All Zarr chunks of an order hold about as many rows: Zarr fills the last one up on disk.
    """
    most = max(1, ROWS_BYTES // (n_points * np.dtype(dtype).itemsize))
    return ceil(n_points / ceil(n_points / most))


def open_array(path: Path, name: str) -> Any:
    """Open one array of a store for writing."""
    # looking for Zarr chunks that hold nothing but the fill value would take longer than writing
    return zarr.open_array(path / name, mode="r+").with_config({"write_empty_chunks": True})


def write_whole(array: Any, start: tuple[int, ...], values: NDArray[Any]) -> None:
    """Write a region of a Zarr array, which must cover whole Zarr chunks.

    Parallel writers of parts of one Zarr chunk lose each other's data without a word.

    Raises
    ------
    StoreError
        The region cuts a Zarr chunk.
    """
    for first, size, length, step in zip(
        start, values.shape, array.shape, array.chunks, strict=True
    ):
        stop = first + size
        if first < 0 or first % step or not (stop % step == 0 or stop == length) or stop > length:
            raise StoreError(
                f"{array.store_path}: the region from {start} of shape {values.shape} does not "
                f"cover whole Zarr chunks of shape {array.chunks}; a fault of the program"
            )
    array[tuple(slice(f, f + s) for f, s in zip(start, values.shape, strict=True))] = values


def write_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    """Add attributes to a store."""
    zarr.open_group(path, mode="r+").attrs.update(attributes)


def consolidate(path: Path) -> None:
    """Put all metadata in one place, where xarray looks for it first, and clear up."""
    for left in path.rglob("*.partial"):  # Zarr's own, of a writer that was killed
        left.unlink(missing_ok=True)
    with warnings.catch_warnings():
        # Not yet in the Zarr 3 specification, but all readers that do not know it ignore it.
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(path)
