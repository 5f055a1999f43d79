"""The emulator of a store, and the scratch arrays of the spectra from which it is made."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from mixjobs.errors import StoreError
from mixjobs.files import atomic_write
from mixjobs.model.emulator import OrderEmulator
from mixjobs.store.checksums import CODECS, open_node, read_checksums, unusable
from mixjobs.store.format import (
    WRITE_ALL,
    Store,
    consolidate,
    is_group,
    open_array,
    read_array,
    write_whole,
)
from mixjobs.store.zarr_settings import default_settings
from mixjobs.typing import Floats
from mixjobs.wavelengths import LogGrid

GROUP = "emulator"
_DIMS = {
    "wavelength": ("pixel",),
    "mean": ("grid_pixel",),
    "eigenspectra": ("eigenspectrum", "grid_pixel"),
    "weights": ("point", "eigenspectrum"),
    "reconstruction_error": ("point",),
    "residual_spectra": ("residual", "grid_pixel"),
}
_SINCE_4 = "residual_spectra"  # schema 4


@default_settings()
def create_scratch(path: Path, n_pixels: Mapping[int, int], n_points: int, step: int) -> None:
    """Create the scratch arrays: one for each order, (n_points, n_pixels), float32.

    Tasks write the spectra of some points in all orders, and read them back by order. A Zarr chunk
    therefore holds `step` points of one order.

    Parameters
    ----------
    path : Path
    n_pixels : mapping
        Number of pixels of each order's grid, by order number.
    n_points, step : int
    """
    group = zarr.open_group(path, mode="w", zarr_format=3)
    for m, n in n_pixels.items():
        group.create_array(
            f"{m}", shape=(n_points, n), chunks=(min(step, n_points), n), dtype="float32",
            fill_value=np.nan, compressors=CODECS,
        )  # fmt: skip


@default_settings()
def scratch_step(path: Path) -> int:
    """Return the number of points in a Zarr chunk of the scratch arrays."""
    return int(max(array.chunks[0] for _, array in zarr.open_group(path, mode="r").arrays()))


def write_scratch(path: Path, number: int, first: int, spectra: Floats) -> None:
    """Write the spectra (points, n_pixels) of one order, starting at point `first`."""
    write_whole(open_array(path, f"{number}"), (first, 0), spectra.astype(np.float32))


@default_settings()
def read_scratch(path: Path, number: int) -> Floats:
    """Read the spectra of all points in one order, (N, n_pixels), float64.

    Raises
    ------
    StoreError
        Some spectra are missing.
    """
    fault = ""
    try:
        array: Any = zarr.open_array(path / f"{number}", mode="r")
        spectra = np.empty(array.shape)
        for first in range(0, len(spectra), array.chunks[0]):
            spectra[first : first + array.chunks[0]] = array[first : first + array.chunks[0]]
        if not np.isfinite(spectra[:, 0]).all():
            fault = "missing"
    except ValueError as error:  # a checksum that does not match
        fault = f"damaged ({error})"
    if fault:
        raise StoreError(
            f"{path}: spectra of order {number} are {fault}; delete the partial store and build "
            "it again",
            path=path,
            order=number,
        )
    return spectra


@default_settings()
def create_emulator(path: Path, attributes: Mapping[str, Any]) -> None:
    """Create the emulator's group, without orders."""
    zarr.open_group(path, mode="a", zarr_format=3, attributes=dict(attributes))


@default_settings()
def write_order(temporary: Path, store: Path, number: int, emulator: OrderEmulator) -> None:
    """Write the emulator of one order to a temporary folder, and rename it into the store.

    Parameters
    ----------
    temporary : Path
    store : Path
    number : int
        Order number.
    emulator : OrderEmulator
    """
    name = store / GROUP / f"{number}"
    attributes: dict[str, Any] = {
        "ln_wave_start": emulator.grid.start,
        "ln_wave_step": emulator.grid.step,
        "explained_variance": emulator.explained_variance,
        "max_residual": emulator.max_residual,
    }
    with atomic_write(name, temporary) as temporary:
        written = zarr.open_group(temporary, mode="w", zarr_format=3, attributes=attributes)
        for field, dims in _DIMS.items():
            values = getattr(emulator, field)
            array = written.create_array(
                field, shape=values.shape, chunks=values.shape, dtype="float64", fill_value=np.nan,
                dimension_names=dims, compressors=CODECS, config=WRITE_ALL,
            )  # fmt: skip
            array[...] = values
        consolidate(temporary)
        shutil.rmtree(name, ignore_errors=True)


def emulated_orders(path: Path) -> list[int]:
    """Return the numbers of the orders that have an emulator, ascending."""
    checksums = read_checksums(path)
    if checksums is not None:  # they also list an order whose folder is missing
        groups = [file.split("/") for file in checksums.metadata]
        names = {parts[1] for parts in groups if parts[0] == GROUP and len(parts) > 2}
    elif is_group(path / GROUP):
        names = {entry.name for entry in (path / GROUP).iterdir()}
    else:
        names = set()
    return sorted(int(name) for name in names if name.lstrip("-").isdigit())


def n_planned(path: Path) -> int:
    """Return the number of orders that will have an emulator, in a finished or partial store."""
    if not is_group(path / GROUP):
        return 0
    return int(read_attributes(path)["n_orders"])


@default_settings()
def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a store's emulator."""
    return dict(open_node(path, GROUP, use_consolidated=False).attrs)


@default_settings()
def read_order(path: Path, number: int) -> tuple[OrderEmulator, dict[str, Any]]:
    """Read the emulator of one order and its attributes.

    Parameters
    ----------
    path : Path
        The store.
    number : int
        Order number.

    Raises
    ------
    StoreError
        The emulator is missing or damaged, or holds impossible values.
    """
    node = f"{GROUP}/{number}"
    try:
        group = open_node(path, node, use_consolidated=False)
        attributes: dict[str, Any] = dict(group.attrs)
    except FileNotFoundError:
        raise unusable(path, node, "is missing") from None
    except StoreError:
        raise
    except Exception as error:  # Zarr raises many types for damaged metadata
        raise unusable(path, node, f"is damaged ({error})") from None
    arrays = {field: read_array(path, group, field) for field in _DIMS if field != _SINCE_4}
    arrays[_SINCE_4] = (
        read_array(path, group, _SINCE_4)
        if _SINCE_4 in group
        else np.empty((0, len(arrays["mean"])))  # of a store of schema 2 or 3
    )
    _check_arrays(path, node, arrays)
    try:
        start, step = float(attributes["ln_wave_start"]), float(attributes["ln_wave_step"])
        emulator = OrderEmulator(
            grid=LogGrid(start, step, len(arrays["mean"])),
            explained_variance=float(attributes["explained_variance"]),
            max_residual=float(attributes["max_residual"]),
            **arrays,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise unusable(path, node, f"has impossible attributes ({error})") from None
    return emulator, attributes


def check_order(store: Store, number: int, emulator: OrderEmulator) -> None:
    """Check that the emulator of an order has the points and the pixels of its store.

    Raises
    ------
    StoreError
    """
    m, node = store.orders.number.tolist().index(number), f"{GROUP}/{number}"
    n_points, wave = len(emulator.weights), emulator.wavelength
    if n_points != len(store.grid):
        fault = f"has {n_points} rows (expected {len(store.grid)}, one for each grid point)"
        raise unusable(store.path, f"{node}/weights", fault)
    inside = store.orders.wave_min[m] <= wave[0] and wave[-1] < store.orders.wave_max[m]
    if not inside or len(wave) != store.n_pixels[m]:
        raise unusable(
            store.path,
            f"{node}/wavelength",
            f"has {len(wave)} pixels from {wave[0]:g} to {wave[-1]:g} Å, which contradicts "
            "wave_min, wave_max and n_pixels",
        )


def _check_arrays(path: Path, node: str, arrays: Mapping[str, Floats]) -> None:
    """Refuse arrays that are not finite, or do not belong together."""
    n_points, rank = arrays["weights"].shape
    n_pixels = len(arrays["mean"])
    n_residuals = len(arrays["residual_spectra"])
    shapes = {
        "eigenspectra": (rank, n_pixels), "reconstruction_error": (n_points,),
        "residual_spectra": (n_residuals, n_pixels),
    }  # fmt: skip
    for name, values in arrays.items():
        fault = ""
        if not np.isfinite(values).all():
            fault = "holds NaN or infinite values"
        elif values.shape != shapes.get(name, values.shape):
            fault = f"has the shape {values.shape} (expected {shapes[name]})"
        elif name == "wavelength" and not (values[0] > 0 and (np.diff(values) > 0).all()):
            fault = "is not positive and ascending"
        elif name == "reconstruction_error" and (values < 0).any():
            fault = "is negative"
        if fault:
            raise unusable(path, f"{node}/{name}", fault)
