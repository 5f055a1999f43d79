"""Observed spectra in Starfish HDF5 files, current and older layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mixjobs.errors import MixjobsError, UnreadableFile
from mixjobs.files import HDF5, kind_of
from mixjobs.observed.content import Content
from mixjobs.units import declared_medium

# Datasets of wavelength, flux and flux error: the current layout, then the older one.
_LAYOUTS = (("waves", "fluxes", "sigmas"), ("wls", "fls", "sigmas"))


def read_starfish(path: Path) -> Content:
    """Read a Starfish HDF5 file; `mixjobs.open_spectrum` describes the format."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _content(path, file)
    except MixjobsError:
        raise
    except (
        OSError,
        RuntimeError,
        KeyError,
        ValueError,
    ) as error:  # raised by h5py for damaged files
        kind = kind_of(path)
        if kind not in (HDF5, "a file"):
            raise UnreadableFile(
                f"{path}: this is {kind}; expected a Starfish HDF5 file, or a table whose name "
                "ends in .ecsv, .fits or .fit",
                path=path,
            ) from None
        reason = " ".join(str(error).split())  # HDF5 puts a line break after the time of a failure
        raise UnreadableFile(
            f"{path}: cannot be read as HDF5 ({reason}); "
            "expected a complete Starfish HDF5 file: download it again or check its format",
            path=path,
        ) from None


def _content(path: Path, file: h5py.File) -> Content:
    names = _layout(path, file)
    if "masks" in file:
        names = (*names, "masks")
    _check_datasets(path, file, names)
    arrays = [np.atleast_2d(np.array(file[name][...], dtype=np.float64)) for name in names]
    return Content(
        number=np.arange(len(arrays[0])),
        numbered=False,
        wavelength=tuple(arrays[0]),
        flux=tuple(arrays[1]),
        flux_error=tuple(arrays[2]),
        masks=tuple(arrays[3]) if len(arrays) == 4 else None,
        medium=declared_medium(_air_flags(file, names[0]), path),
        barycentric_velocity=_barycentric_velocity(path, file),
        notes=(),
    )


def _layout(path: Path, file: h5py.File) -> tuple[str, ...]:
    for names in _LAYOUTS:
        if all(isinstance(file.get(name), h5py.Dataset) for name in names):
            return names
    members = sorted(map(str, file))  # h5py returns names that are not UTF-8 as bytes
    if "grid_points" in file:
        raise UnreadableFile(
            f"{path}: this is a library of model spectra; expected an observed spectrum",
            path=path,
            value=members,
        )
    listed = ", ".join(members[:8]) + (f" and {len(members) - 8} more" if len(members) > 8 else "")
    expected = " or ".join(", ".join(names) for names in _LAYOUTS)
    raise UnreadableFile(
        f"{path}: not an observed spectrum in a layout of Starfish: expected the datasets "
        f"{expected}, but the file contains {listed or 'nothing'}",
        path=path,
        value=members,
    )


def _check_datasets(path: Path, file: h5py.File, names: tuple[str, ...]) -> None:
    """Check that the datasets are real numbers, and all (pixels,) or all (orders, pixels)."""
    for name in names:
        member = file[name]
        if not isinstance(member, h5py.Dataset) or member.dtype.kind not in "biuf":
            raise UnreadableFile(
                f"{path}: {name} is {member!r}; expected a dataset of real numbers",
                path=path,
                name=name,
            )
    shapes = {name: file[name].shape for name in names}
    shape = shapes[names[0]]
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UnreadableFile(
            f"{path}: the datasets have different shapes: {listed}; expected the same for all",
            path=path,
            value=shapes,
        )
    if shape is None or len(shape) not in (1, 2) or 0 in shape:
        raise UnreadableFile(
            f"{path}: {names[0]} has shape {shape}; expected (pixels,) or (orders, pixels)",
            path=path,
            name=names[0],
            value=shape,
        )


def _air_flags(file: h5py.File, wavelength: str) -> list[tuple[str, Any]]:
    """Return the attribute `air` of the file and of its wavelengths, where they have one."""
    owners = (file, file[wavelength])
    return [("air", owner.attrs["air"]) for owner in owners if "air" in owner.attrs]


def _barycentric_velocity(path: Path, file: h5py.File) -> float | None:
    """Return the attribute BCV of older files, km/s."""
    if "BCV" not in file.attrs:
        return None
    value = np.asarray(file.attrs["BCV"])
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise UnreadableFile(
            f"{path}: the attribute BCV is {file.attrs['BCV']!r}; expected a velocity in km/s",
            path=path,
            name="BCV",
            value=file.attrs["BCV"],
        )
    return float(value.item())
