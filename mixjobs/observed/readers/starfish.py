"""Observed spectra in Starfish's HDF5 files, in both layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mixjobs.errors import MixjobsError, UnreadableFile
from mixjobs.observed.content import Content
from mixjobs.wavelengths import Medium

# The names of wavelength, flux and sigma, the current layout first.
_LAYOUTS = (("waves", "fluxes", "sigmas"), ("wls", "fls", "sigmas"))


def read_starfish(path: Path) -> Content:
    """Read a Starfish HDF5 file; what is taken from it is in `mixjobs.observed.open_spectrum`."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _content(path, file)
    except MixjobsError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # what h5py raises on damage
        reason = " ".join(str(error).split())  # HDF5 puts a line break after the time of a failure
        raise UnreadableFile(
            f"{path}: cannot be read as HDF5 ({reason}); "
            "expected a whole Starfish HDF5 file, get it again or check its format"
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
        medium=_medium(path, file, file[names[0]]),
        barycentric_velocity=_barycentric_velocity(path, file),
        notes=(),
    )


def _layout(path: Path, file: h5py.File) -> tuple[str, ...]:
    for names in _LAYOUTS:
        if all(isinstance(file.get(name), h5py.Dataset) for name in names):
            return names
    found = sorted(map(str, file))  # h5py gives a name that is not UTF-8 as bytes
    shown = ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    expected = " or ".join(", ".join(names) for names in _LAYOUTS)
    raise UnreadableFile(
        f"{path}: not a known layout of an observed spectrum: it holds {shown or 'nothing'}; "
        f"expected the datasets {expected}"
    )


def _check_datasets(path: Path, file: h5py.File, names: tuple[str, ...]) -> None:
    """Refuse datasets that are not numbers, or not all (pixels,) or (orders, pixels)."""
    for name in names:
        held = file[name]
        if not isinstance(held, h5py.Dataset) or held.dtype.kind not in "biuf":
            raise UnreadableFile(f"{path}: {name} is {held!r}; expected a dataset of real numbers")
    shapes = {name: file[name].shape for name in names}
    shape = shapes[names[0]]
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise UnreadableFile(f"{path}: the shapes differ: {listed}; expected the same for all")
    if shape is None or len(shape) not in (1, 2) or 0 in shape:
        raise UnreadableFile(
            f"{path}: {names[0]} has shape {shape}; expected (pixels,) or (orders, pixels)"
        )


def _medium(path: Path, file: h5py.File, wavelength: h5py.Dataset) -> Medium | None:
    """The medium by the `air` attributes of the file and of its wavelengths; None without one."""
    said: list[Any] = [owner.attrs["air"] for owner in (file, wavelength) if "air" in owner.attrs]
    for value in said:
        if np.size(value) != 1 or value not in (0, 1):
            raise UnreadableFile(f"{path}: its attribute air is {value!r}; expected True or False")
    media: set[Medium] = {"air" if value else "vacuum" for value in said}
    if len(media) > 1:
        raise UnreadableFile(
            f"{path}: the attribute air differs between the file ({said[0]}) and its wavelengths "
            f"({said[1]}); expected one medium, correct the file"
        )
    return media.pop() if media else None


def _barycentric_velocity(path: Path, file: h5py.File) -> float | None:
    """The attribute BCV of the older files, km/s."""
    if "BCV" not in file.attrs:
        return None
    value = np.asarray(file.attrs["BCV"])
    if value.size != 1 or value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise UnreadableFile(
            f"{path}: its attribute BCV is {file.attrs['BCV']!r}; expected a velocity in km/s"
        )
    return float(value.item())
