"""Descriptions of libraries, stores, runs and observed spectra, as plain values."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mixjobs.builder.probe import probe
from mixjobs.builder.rawness import check_raw
from mixjobs.display import counted
from mixjobs.errors import InvalidInput, MissingFile, MixjobsError
from mixjobs.file_patterns import is_pattern
from mixjobs.files import kind_of
from mixjobs.grid import Grid
from mixjobs.inference.run import Run, open_run
from mixjobs.inference.run_folder import is_run
from mixjobs.library import Library, Paths, is_library, open_library
from mixjobs.library.files import FilesLibrary
from mixjobs.observed.opening import open_spectrum
from mixjobs.orders import Orders
from mixjobs.report.observed import describe_spectrum
from mixjobs.sections import find_gaps
from mixjobs.store import progress
from mixjobs.store.emulator import emulated_orders, read_attributes
from mixjobs.store.filling import store_filling
from mixjobs.store.format import Store, is_group, open_store, partial_path, read_group
from mixjobs.store.partial import GROUP

_PROBE_ORDERS = 8
_OF_SPECTRA = ("medium", "wavelength_unit", "columns", "snr", "format")
_OF_LIBRARIES = ("medium", "wavelength_unit", "flux_unit", "names", "flux_scale")


def describe_path(path: Paths, **options: Any) -> dict[str, Any]:
    """Describe a library, a store, a run, or observed spectra, whichever the path holds.

    Parameters
    ----------
    path : str, Path or sequence of them
        A file, a folder or a pattern; or the files of a library, or of the epochs of a star.
    options
        Keywords of `mixjobs.open_library` or `mixjobs.open_spectrum`, where the files do not
        declare something.

    Returns
    -------
    dict
        Plain values that JSON can hold: ``kind`` is "library", "store", "run", "spectrum" or
        "spectra", and the other keys are those of `describe_library`, `describe_store`,
        `describe_run` or `mixjobs.report.observed.describe_spectrum`. Those of several spectra are
        in a list, ``spectra``.

    Raises
    ------
    MissingFile
        Nothing is there.
    InvalidInput, UnreadableFile, LibraryError, StoreError
        It is none of these, or cannot be read.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    missing = next((p for p in paths if not (_exists(p) or is_pattern(p))), None)
    if missing is not None:
        raise MissingFile(
            f"{missing}: no such library, store, run or spectrum; check the path", path=missing
        )
    given = {name: value for name, value in options.items() if value}
    is_of_models = not paths or is_library(paths)
    if not is_of_models and not any(map(_is_folder, paths)):
        _check_options(paths[0], given, _OF_SPECTRA, "an observed spectrum")
        spectra = [describe_spectrum(spectrum) for spectrum in open_spectrum(paths, **given)]
        return spectra[0] if len(spectra) == 1 else {"kind": "spectra", "spectra": spectra}
    if is_of_models or len(paths) > 1:
        _check_options(paths[0], given, _OF_LIBRARIES, "a library")
        return describe_library(open_library(path, **given))
    folder = Path(paths[0])
    if is_run(folder):
        _check_options(folder, given, (), "a run")
        return describe_run(open_run(folder))
    return _describe_folder(folder, given)


def _check_options(
    path: str | os.PathLike[str], given: Mapping[str, Any], known: Sequence[str], kind: str
) -> None:
    """Refuse options that do not concern what a path holds."""
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise InvalidInput(
            f"{os.fspath(path)}: {unknown} does not apply to {kind}; leave it out",
            path=path,
            name=unknown,
            value=given[unknown],
        )


def _exists(path: str | os.PathLike[str]) -> bool:
    return Path(path).expanduser().exists() or partial_path(Path(path)).exists()


def _is_folder(path: str | os.PathLike[str]) -> bool:
    return Path(path).is_dir() or partial_path(Path(path)).is_dir()


def _describe_folder(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    if path.is_dir() and path.suffix != ".partial" and not is_group(path):
        raise InvalidInput(
            f"{path}: this is {kind_of(path)}, neither a library nor a store; expected "
            "a Starfish HDF5 file, a folder of spectra from PHOENIX or the SVO, a mixjobs "
            "store, a run, or the file of an observed spectrum",
            path=path,
        )
    _check_options(path, given, (), "a store")
    return describe_store(path)


def describe_run(run: Run) -> dict[str, Any]:
    """Describe a run: its job, its parameters, how far it is, and what was assumed."""
    job, identity = run.folder.notes.get("job", {}), run.folder.identity
    return {
        "kind": "run",
        "path": str(run.path),
        "store": job.get("store"),
        "spectra": [spectrum["file"] for spectrum in job.get("spectra", ())],
        "parameters": list(run.names),
        "ensembles": identity.get("ensembles"),
        "walkers": identity.get("walkers"),
        "steps": run.folder.last_step() or 0,
        "converged": run.converged,
        "notes": list(run.folder.notes.get("assumptions", [])),
    }


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
        **_files(library),
        "medium": library.medium,
        "flux_unit": library.flux_unit,
        "raw": library.flux_calibration.status in ("raw", "rescaled", "assumed"),
        "flux_calibration_evidence": library.flux_calibration.evidence,
        "flux_level": _flux_level(library),
        "absolute_flux_doubt": library.flux_calibration.doubt or None,
        "declarations": [asdict(declaration) for declaration in library.declarations],
    }


def _files(library: Library) -> dict[str, Any]:
    """Describe the files of a library in several files; nothing for a single file."""
    if not isinstance(library, FilesLibrary):
        return {}
    gaps = [f"{low:.6g} to {high:.6g} Å" for low, high in find_gaps(library.sections)]
    return {"files": library.ranges(), "gaps": gaps, "notes": list(library.notes)}


def _probe_orders(library: Library) -> Orders:
    """Return a few orders: parts of a single section, or else some of the sections."""
    sections = library.sections
    if len(sections) > 1:
        some = np.unique(np.linspace(0, len(sections) - 1, _PROBE_ORDERS).round().astype(int))
        return Orders.from_edges([sections[k].ends for k in some])
    n_orders = min(_PROBE_ORDERS, len(library.wavelength) // 2)
    return Orders.log_spaced(n_orders, *sections[0].ends)


def _flux_level(library: Library) -> str:
    """Describe the flux level, from a few spectra."""
    try:
        orders = _probe_orders(library)
        probed = probe(library, orders)
        grid = library.grid.take(probed.rows)
        lo, hi = orders.pixel_ranges(library.sections)
        return check_raw(grid, orders, hi - lo, probed.mean_flux, library.flux_calibration).how
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
        **(_describe_filling(store) if complete else {}),
        "n_orders": len(store.orders),
        "orders": store.orders.number.tolist(),
        "wavelength": [float(store.orders.wave_min.min()), float(store.orders.wave_max.max())],
        "flux_ratio": str(store.flux_ratio.dtype) if has_table else None,
        "emulator": _emulator(store.path),
        "checksums": store.checksums_line if complete else None,
        "bytes": sum(f.stat().st_size for f in store.path.rglob("*") if f.is_file()),
        "missing": [] if complete else _missing(store, progress.read(partial)),
        "raw": True,
        **{
            name: store.attributes.get(name) or None
            for name in (
                "flux_calibration_evidence", "flux_level", "absolute_flux_doubt", "flux_unit",
                "medium", "orders_from", "orders_notes", "suspects", "declarations", "library",
                "library_format", "mixjobs_version", "created",
            )
        },
        **{
            name: store.attributes.get(name) or None
            for name in ("library_files", "library_notes")
        },
    }  # fmt: skip


def _describe_filling(store: Store) -> dict[str, Any]:
    """Describe the filled points of a store; nothing if holes are refused."""
    filling = store_filling(store)
    if filling is None:
        return {}
    return {
        "n_filled": len(filling),
        "filled": filling.points.tolist(),
        "filled_error": list(filling.worst_error()) if filling else None,
    }


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
