"""The emulator in the store, and the scratch array that it is made from: both Zarr."""

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
    """Create the scratch arrays: one an order, (n_points, n_pixels), float32.

    `n_pixels` is that of each order's grid, by the order's number.

    A Zarr chunk is `step` points of one order, so that spectra, which come by point, are written
    whole Zarr chunk by whole Zarr chunk, and read back by order.
    """
    group = zarr.open_group(path, mode="w")
    for m, n in n_pixels.items():
        group.create_array(
            f"{m}", shape=(n_points, n), chunks=(min(step, n_points), n), dtype="float32",
            fill_value=np.nan, compressors=None,
        )  # fmt: skip


def scratch_step(path: Path) -> int:
    """Points in a Zarr chunk of the scratch arrays."""
    return int(max(array.chunks[0] for _, array in zarr.open_group(path, mode="r").arrays()))


def write_scratch(path: Path, number: int, first: int, spectra: Floats) -> None:
    """Write spectra (points, n_pixels) of one order, from point `first` on."""
    write_whole(open_array(path, f"{number}"), (first, 0), spectra.astype(np.float32))


def read_scratch(path: Path, number: int) -> Floats:
    """Read the spectra of all points in one order, (N, n_pixels), float64.

    Raises
    ------
    StoreError
        Some are not there.
    """
    array: Any = zarr.open_array(path / f"{number}", mode="r")
    spectra = np.empty(array.shape)
    for first in range(0, len(spectra), array.chunks[0]):
        spectra[first : first + array.chunks[0]] = array[first : first + array.chunks[0]]
    if not np.isfinite(spectra[:, 0]).all():
        raise StoreError(f"{path}: spectra of order {number} are lost; build again")
    return spectra


def create_emulator(path: Path, attributes: Mapping[str, Any]) -> None:
    """Create the group of the emulator, without orders."""
    zarr.open_group(path, mode="a", attributes=dict(attributes))


def write_order(
    aside: Path, store: Path, number: int, emulator: OrderEmulator, error: Mapping[str, Any]
) -> None:
    """Write one order's emulator, aside, and rename it into the store.

    Parameters
    ----------
    aside : Path
        A folder that is written and renamed.
    store : Path
    error : mapping
        Attributes that say how good it is between the grid points.
    """
    name = store / GROUP / f"{number}"
    attributes = {
        "ln_wave_start": emulator.grid.start,
        "ln_wave_step": emulator.grid.step,
        "explained_variance": emulator.explained_variance,
        "max_residual": emulator.max_residual,
        **error,
    }
    with atomic_write(name, aside) as temporary:
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
    """Numbers of the orders that a store's emulator has, ascending; none without an emulator."""
    folder = path / GROUP
    if not is_group(folder):
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.lstrip("-").isdigit())


def n_planned(path: Path) -> int:
    """How many orders the emulator of a store, finished or not, is to have; 0 without one."""
    if not is_group(path / GROUP):
        return 0
    return int(read_attributes(path)["n_orders"])


def read_attributes(path: Path) -> dict[str, Any]:
    """Attributes of a store's emulator."""
    return dict(zarr.open_group(path / GROUP, mode="r").attrs)


def read_order(path: Path, number: int) -> tuple[OrderEmulator, dict[str, Any]]:
    """Read one order's emulator, and the attributes that say how good it is.

    Parameters
    ----------
    path : Path
        The store.

    Raises
    ------
    StoreError
        It is not there, or not whole.
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
            f"{path}: the emulator of order {number} is not whole ({reason}); build it again"
        ) from None
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise StoreError(f"{path}: the emulator of order {number} has lost values; build it again")
    return emulator, attributes
