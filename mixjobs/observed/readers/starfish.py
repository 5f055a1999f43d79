"""Observed spectra in HDF5 files: Starfish's layouts, and others with clear names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mixjobs.declarations import attribute_text
from mixjobs.errors import MixjobsError, UnreadableFile
from mixjobs.hdf5 import load_filters
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.readers.assembly import assemble
from mixjobs.observed.readers.fields import Arrays, Field
from mixjobs.observed.readers.headers import reference_frame, velocity_of
from mixjobs.observed.readers.names import check_columns, find_quantities

_UNITS = ("units", "unit", "UNITS", "UNIT", "Units", "Unit", "wavelength_unit")
_LAYOUTS = "waves, fluxes, sigmas or wls, fls, sigmas"


def read_starfish(path: Path, options: ReaderOptions) -> Content:
    """Read an HDF5 file; `mixjobs.open_spectrum` describes the format."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _content(path, file, options)
    except MixjobsError:
        raise
    except Exception as error:  # h5py raises errors of many types for damaged files
        reason = " ".join(str(error).split())  # HDF5 puts a line break after the time of a failure
        raise UnreadableFile(
            f"{path}: cannot be read as HDF5 ({reason}); "
            "expected a complete Starfish HDF5 file: download it again or check its format",
            path=path,
        ) from None


def _content(path: Path, file: h5py.File, options: ReaderOptions) -> Content:
    _refuse_library(path, file)
    datasets, group = _datasets(path, file)
    load_filters(path, datasets.values())
    names = list(datasets)
    index = find_quantities(path, names, check_columns(options.columns), "dataset")
    missing = [name for name in ("wavelength", "flux") if name not in index]
    if missing and (options.errors_needed or missing[0] == "wavelength"):
        raise _unknown_layout(path, file)
    index.pop("order", None)
    arrays = {name: _values(path, names[k], datasets[names[k]]) for name, k in index.items()}
    _check_shapes(path, {names[index[name]]: values for name, values in arrays.items()})
    owners: list[Any] = [file, *([group] if group is not file else [])]
    owners.append(datasets[names[index["wavelength"]]])
    header = [(str(key), owner.attrs[key]) for owner in owners for key in owner.attrs]
    frame, declarations = reference_frame(header)
    return assemble(
        Arrays(
            path=path,
            fields={
                name: _field(names[k], datasets[names[k]], arrays[name], name, owners[:-1])
                for name, k in index.items()
            },
            header=header,
            velocity=_barycentric_velocity(path, file),
            frame=frame,
            declarations=declarations,
            ignore_invalid_mask=names[index["mask"]] == "masks" if "mask" in index else False,
        ),
        options,
    )


def _datasets(path: Path, file: h5py.File) -> tuple[dict[str, Any], Any]:
    """Return the datasets of the file, or those of its only group, and their owner."""
    owner: Any = file
    members = {str(name): _member(path, owner, name) for name in owner}
    if len(members) == 1 and isinstance(next(iter(members.values())), h5py.Group):
        owner = next(iter(members.values()))
        members = {str(name): _member(path, owner, name) for name in owner}
    return {n: one for n, one in members.items() if isinstance(one, h5py.Dataset)}, owner


def _member(path: Path, owner: Any, name: Any) -> Any:
    try:
        return owner[name]
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UnreadableFile(
            f"{path}: cannot be read as HDF5 ({reason}); "
            "expected a complete Starfish HDF5 file: download it again or check its format",
            path=path, name=str(name),
        ) from None  # fmt: skip


def _refuse_library(path: Path, file: h5py.File) -> None:
    names = set(map(str, file))
    if "grid_points" in names or ({"wl", "flux"} <= names and isinstance(file["flux"], h5py.Group)):
        raise UnreadableFile(
            f"{path}: this is a library of model spectra; expected an observed spectrum",
            path=path,
            value=sorted(names),
        )


def _unknown_layout(path: Path, file: h5py.File) -> UnreadableFile:
    members = sorted(map(str, file))  # h5py returns names that are not UTF-8 as bytes
    listed = ", ".join(members[:8]) + (f" and {len(members) - 8} more" if len(members) > 8 else "")
    return UnreadableFile(
        f"{path}: not an observed spectrum in a layout of Starfish: expected the datasets "
        f'{_LAYOUTS}, or their names, as in columns = {{ wavelength = "W", flux = "F", '
        f'flux_error = "E" }}, but the file contains {listed or "nothing"}',
        path=path,
        value=members,
    )


def _values(path: Path, name: str, dataset: Any) -> list[Any]:
    shape = dataset.shape
    if dataset.dtype.kind not in "biuf":
        raise UnreadableFile(
            f"{path}: {name} is {dataset!r}; expected a dataset of real numbers",
            path=path,
            name=name,
        )
    if shape is None or len(shape) not in (1, 2) or 0 in shape:
        raise UnreadableFile(
            f"{path}: {name} has shape {shape}; expected (pixels,) or (orders, pixels)",
            path=path,
            name=name,
            value=shape,
        )
    return list(np.atleast_2d(dataset[...]))


def _check_shapes(path: Path, arrays: Mapping[str, list[Any]]) -> None:
    shapes = {name: (len(values), len(values[0])) for name, values in arrays.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UnreadableFile(
            f"{path}: the datasets have different shapes: {listed}; expected the same for all",
            path=path,
            value=shapes,
        )


def _field(
    name: str, dataset: Any, values: list[Any], quantity: str, owners: Sequence[Any]
) -> Field:
    unit, keyword = _unit(dataset)
    if unit is None and quantity == "wavelength":
        for owner in owners:
            unit, keyword = _unit(owner)
            if unit is not None:
                break
    return Field(f"dataset {name}", values, unit, f"{keyword} of {name}")


def _unit(owner: Any) -> tuple[str | None, str]:
    for key in _UNITS:
        if key in owner.attrs:
            text = attribute_text(owner.attrs[key]).strip()
            return text or None, key
    return None, "units"


def _barycentric_velocity(path: Path, file: h5py.File) -> float | None:
    """Return the attribute BCV of older files, km/s."""
    if "BCV" not in file.attrs:
        return None
    value = np.asarray(file.attrs["BCV"])
    return velocity_of(path, "BCV", value.item() if value.size == 1 else value)
