"""Descriptions of libraries and stores, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.builder.probe import probe
from mixjobs.builder.rawness import check_raw
from mixjobs.display import counted
from mixjobs.errors import InvalidInput, MissingFile, MixjobsError
from mixjobs.files import kind_of
from mixjobs.grid import Grid
from mixjobs.library import Library, open_library
from mixjobs.library.phoenix import is_phoenix
from mixjobs.orders import Orders
from mixjobs.store import progress
from mixjobs.store.emulator import emulated_orders, read_attributes
from mixjobs.store.format import Store, is_group, open_store, partial_path, read_group
from mixjobs.store.partial import GROUP

_PROBE_ORDERS = 8


def describe_path(path: str | Path) -> dict[str, Any]:
    """Describe a library or a store, finished or not.

    Returns
    -------
    dict
        Plain values that JSON can hold: ``kind`` is "library" or "store", and the other keys are
        those of `describe_library` or `describe_store`.

    Raises
    ------
    MissingFile
        No such library or store.
    InvalidInput, UnreadableFile, LibraryError, StoreError
        It is neither, or cannot be read.
    """
    path = Path(path)
    if not path.exists() and not partial_path(path).exists():
        raise MissingFile(f"{path}: no such library or store; check the path", path=path)
    if path.is_file() or is_phoenix(path):
        return describe_library(open_library(path))
    if path.is_dir() and path.suffix != ".partial" and not is_group(path):
        raise InvalidInput(
            f"{path}: this is {kind_of(path)}, neither a library nor a store; expected "
            "a Starfish HDF5 file, a PHOENIX folder, or a mixjobs store",
            path=path,
        )
    return describe_store(path)


def describe_grid(grid: Grid) -> dict[str, Any]:
    """Describe a grid: points, parameters, axes and holes."""
    return {
        "n_points": len(grid),
        "n_parameters": len(grid.names),
        "axes": {name: axis.tolist() for name, axis in zip(grid.names, grid.axes, strict=True)},
        "is_product": grid.is_product,
        "n_holes": len(grid.holes),
        "holes": grid.holes.tolist(),
    }


def describe_library(library: Library) -> dict[str, Any]:
    """Describe a library from its headers and a few of its spectra."""
    return {
        "kind": "library",
        "path": library.path,
        "format": library.format,
        **describe_grid(library.grid),
        "original_names": list(library.original_names),
        "n_pixels": len(library.wavelength),
        "wavelength": [float(library.wavelength[0]), float(library.wavelength[-1])],
        "medium": library.medium,
        "flux_unit": library.flux_unit,
        "raw": library.flux_calibration.status in ("raw", "rescaled", "assumed"),
        "flux_calibration_evidence": library.flux_calibration.evidence,
        "flux_level": _flux_level(library),
    }


def _flux_level(library: Library) -> str:
    """Describe the flux level, from a few spectra."""
    edges = library.wavelength[0], float(np.nextafter(library.wavelength[-1], np.inf))
    try:
        orders = Orders.log_spaced(min(_PROBE_ORDERS, len(library.wavelength) // 2), *edges)
        probed = probe(library, orders)
        grid = library.grid.take(probed.rows)
        return check_raw(grid, orders, probed.mean_flux, library.flux_unit).how
    except MixjobsError as error:
        return str(error)


def describe_store(path: str | Path) -> dict[str, Any]:
    """Describe a store, finished or not, given its path or that of its partial store."""
    path = Path(path)
    if path.suffix == ".partial":
        path = path.with_suffix("")
    partial = partial_path(path)
    complete = path.is_dir() or not partial.is_dir()
    store = open_store(path) if complete else read_group(partial / GROUP)
    has_table = store.flux_ratio is not None
    return {
        "kind": "store",
        "path": str(path),
        "complete": complete,
        **describe_grid(store.grid),
        "n_orders": len(store.orders),
        "orders": store.orders.number.tolist(),
        "wavelength": [float(store.orders.wave_min.min()), float(store.orders.wave_max.max())],
        "flux_ratio": str(store.flux_ratio.dtype) if has_table else None,
        "emulator": _emulator(store.path),
        "bytes": sum(f.stat().st_size for f in store.path.rglob("*") if f.is_file()),
        "missing": [] if complete else _missing(store, progress.read(partial)),
        "raw": True,
        **{
            name: store.attributes.get(name)
            for name in (
                "flux_calibration_evidence", "flux_level", "flux_unit", "medium", "orders_from",
                "library", "library_format", "mixjobs_version", "created",
            )
        },
    }  # fmt: skip


def _emulator(path: Path) -> str | None:
    """Describe the limits of a store's emulator; None without an emulator."""
    numbers = emulated_orders(path)
    if not numbers:
        return None
    settings = read_attributes(path)
    notes = "".join(f"; {note}" for note in settings["notes"])
    return (
        f"{counted(len(numbers), 'order')}; for rv up to {settings['max_rv']:g} and vsini up to "
        f"{settings['max_vsini']:g} km/s, at a resolving power of at least "
        f"{settings['min_resolution']:g}{notes}"
    )


def _missing(store: Store, done: list[progress.FinishedTask]) -> list[str]:
    means = progress.recorded_means(done, store.mean_flux.shape)
    n_means = int(np.isfinite(means).all(axis=0).sum())
    n_finished = sum(block.stage == "flux_ratio" for block in done)
    missing = []
    if n_means < len(store.grid):
        missing.append(
            f"mean fluxes of {len(store.grid) - n_means} of {len(store.grid)} grid points"
        )
    if store.flux_ratio is not None:
        n_blocks = int(np.prod(store.flux_ratio.cdata_shape))
        if n_finished < n_blocks:
            missing.append(f"{n_blocks - n_finished} of {n_blocks} chunks of the ratio table")
    return missing
