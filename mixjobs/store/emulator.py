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
from mixjobs.store.format import consolidate, is_group, open_array, write_whole
from mixjobs.typing import Floats
from mixjobs.wavelengths import LogGrid

GROUP = "emulator"
_DIMS = {
    "wavelength": ("pixel",),
    "mean": ("grid_pixel",),
    "eigenspectra": ("eigenspectrum", "grid_pixel"),
    "weights": ("point", "eigenspectrum"),
    "reconstruction_error": ("point",),
}


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
    group = zarr.open_group(path, mode="w")
    for m, n in n_pixels.items():
        group.create_array(
            f"{m}", shape=(n_points, n), chunks=(min(step, n_points), n), dtype="float32",
            fill_value=np.nan, compressors=None,
        )  # fmt: skip


def scratch_step(path: Path) -> int:
    """Return the number of points in a Zarr chunk of the scratch arrays."""
    return int(max(array.chunks[0] for _, array in zarr.open_group(path, mode="r").arrays()))


def write_scratch(path: Path, number: int, first: int, spectra: Floats) -> None:
    """Write the spectra (points, n_pixels) of one order, starting at point `first`."""
    write_whole(open_array(path, f"{number}"), (first, 0), spectra.astype(np.float32))


def read_scratch(path: Path, number: int) -> Floats:
    """Read the spectra of all points in one order, (N, n_pixels), float64.

    Raises
    ------
    StoreError
        Some spectra are missing.
    """
    array: Any = zarr.open_array(path / f"{number}", mode="r")
    spectra = np.empty(array.shape)
    for first in range(0, len(spectra), array.chunks[0]):
        spectra[first : first + array.chunks[0]] = array[first : first + array.chunks[0]]
    if not np.isfinite(spectra[:, 0]).all():
        raise StoreError(
            f"{path}: spectra of order {number} are missing; delete the partial store and build "
            "it again",
            path=path,
            order=number,
        )
    return spectra


def create_emulator(path: Path, attributes: Mapping[str, Any]) -> None:
    """Create the emulator's group, without orders."""
    zarr.open_group(path, mode="a", attributes=dict(attributes))


def write_order(
    temporary: Path, store: Path, number: int, emulator: OrderEmulator, error: Mapping[str, Any]
) -> None:
    """Write the emulator of one order to a temporary folder, and rename it into the store.

    Parameters
    ----------
    temporary : Path
    store : Path
    number : int
        Order number.
    emulator : OrderEmulator
    error : mapping
        Attributes about the interpolation error.
    """
    name = store / GROUP / f"{number}"
    attributes = {
        "ln_wave_start": emulator.grid.start,
        "ln_wave_step": emulator.grid.step,
        "explained_variance": emulator.explained_variance,
        "max_residual": emulator.max_residual,
        **error,
    }
    with atomic_write(name, temporary) as temporary:
        written = zarr.open_group(temporary, mode="w", attributes=attributes)
        for field, dims in _DIMS.items():
            values = getattr(emulator, field)
            array = written.create_array(
                field, shape=values.shape, chunks=values.shape, dtype="float64", fill_value=np.nan,
                dimension_names=dims, compressors=None,
            )  # fmt: skip
            array[...] = values
        consolidate(temporary)
        shutil.rmtree(name, ignore_errors=True)


def emulated_orders(path: Path) -> list[int]:
    """Return the numbers of the orders that have an emulator, ascending."""
    folder = path / GROUP
    if not is_group(folder):
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.lstrip("-").isdigit())


def n_planned(path: Path) -> int:
    """Return the number of orders that will have an emulator, in a finished or partial store."""
    if not is_group(path / GROUP):
        return 0
    return int(read_attributes(path)["n_orders"])


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a store's emulator."""
    return dict(zarr.open_group(path / GROUP, mode="r").attrs)


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
        The emulator is missing or damaged.
    """
    try:
        group = zarr.open_group(path / GROUP / f"{number}", mode="r", use_consolidated=False)
        arrays = {field: np.asarray(group[field][...]) for field in _DIMS}  # type: ignore[index]
        attributes: dict[str, Any] = dict(group.attrs)
        start, step = float(attributes["ln_wave_start"]), float(attributes["ln_wave_step"])
        emulator = OrderEmulator(
            grid=LogGrid(start, step, len(arrays["mean"])),
            explained_variance=float(attributes["explained_variance"]),
            max_residual=float(attributes["max_residual"]),
            **arrays,
        )
    except (KeyError, OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise StoreError(
            f"{path}: the emulator of order {number} is missing or damaged ({reason}); build the "
            "store again",
            path=path,
            order=number,
        ) from None
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise StoreError(
            f"{path}: the emulator of order {number} has missing values; build the store again",
            path=path,
            order=number,
        )
    return emulator, attributes
