"""An observed spectrum from a file: its orders, wavelengths, fluxes, errors and masks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import MissingFile, MixjobsError, OrderError, UnreadableFile
from mixjobs.orders import Orders

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Medium = Literal["air", "vacuum"]


@dataclass(frozen=True, eq=False)
class ObservedSpectrum:
    """An observed spectrum, order by order; made by `open_spectrum`. The arrays are read-only.

    Attributes
    ----------
    orders : Orders
        The M orders: numbers, and windows from the first pixel's wavelength to just past the
        last's, so that all pixels of an order lie in its half-open window.
    wavelength : tuple of M (n_pixels,) float arrays
        Å, ascending; air or vacuum as `medium` says.
    flux, sigma : tuples of M (n_pixels,) float arrays
        Flux and its standard error, in the file's unit, as the file has them (bad pixels too).
    mask : tuple of M (n_pixels,) bool arrays
        True for a pixel to use: not masked by the file, its flux finite, its sigma finite and
        positive.
    medium : "air", "vacuum" or None
        None when the file does not say.
    path : Path
    notes : tuple of str
        What was noticed and done about it, one line each.
    """

    orders: Orders
    wavelength: tuple[Floats, ...]
    flux: tuple[Floats, ...]
    sigma: tuple[Floats, ...]
    mask: tuple[Bools, ...]
    medium: Medium | None
    path: Path
    notes: tuple[str, ...]


def open_spectrum(path: str | os.PathLike[str]) -> ObservedSpectrum:
    """Read an observed spectrum from a Starfish HDF5 file.

    The datasets are `waves`, `fluxes`, `sigmas` (current Starfish) or `wls`, `fls`, `sigmas`
    (older Starfish), each (orders, pixels) or (pixels,), and an optional `masks` of the same shape,
    1 = use. A `masks` that holds anything but 0 and 1 is ignored, with a note: Starfish has written
    files with the wavelengths in its place. An `air` attribute of the file or of the wavelengths
    sets the medium. These files have no order numbers: an order's number is its row, from 0.

    Raises
    ------
    MissingFile
        There is no such file.
    UnreadableFile
        The file is not HDF5, is damaged, or has another layout; datasets that are not numbers or
        differ in shape.
    OrderError
        The wavelengths of an order are not finite, positive and strictly ascending.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/star.hdf5", "w") as file:
    ...         file["waves"] = [[5000.0, 5001.0], [5001.0, 5002.0]]
    ...         file["fluxes"] = [[1.0, 1.1], [1.2, 1.3]]
    ...         file["sigmas"] = [[0.1, 0.1], [0.1, -99.9]]
    ...     observed = open_spectrum(f"{folder}/star.hdf5")
    >>> observed.orders.number.tolist(), observed.mask[1].tolist(), observed.medium
    ([0, 1], [True, False], None)
    >>> observed.notes
    ('pixels masked for a flux or sigma that cannot be used: 1',)
    """
    path = Path(path)
    if not path.exists():
        raise MissingFile(f"{path}: no such file; expected an observed spectrum, check the path")
    if not path.is_file():
        raise UnreadableFile(f"{path} is a folder; expected the file of an observed spectrum")
    # A format is one function from a path to _Content. Starfish HDF5 is the only one.
    return _spectrum(path, _read_starfish(path))


class _Content(NamedTuple):
    """What a file holds, unchecked but for shape: every array (orders, pixels), as float64."""

    wavelength: Floats
    flux: Floats
    sigma: Floats
    masks: Floats | None
    medium: Medium | None


def _spectrum(path: Path, content: _Content) -> ObservedSpectrum:
    """Check a file's content and make the spectrum of it."""
    wavelength = content.wavelength
    for row, wave in enumerate(wavelength):
        _check_wavelength(path, row, wave)
    mask, notes = _usable(content)
    for array in (wavelength, content.flux, content.sigma, mask):
        array.setflags(write=False)
    return ObservedSpectrum(
        orders=Orders(
            np.arange(len(wavelength)),
            wavelength[:, 0],
            np.nextafter(wavelength[:, -1], np.inf),  # windows are half open: keep the last pixel
        ),
        wavelength=tuple(wavelength),
        flux=tuple(content.flux),
        sigma=tuple(content.sigma),
        mask=tuple(mask),
        medium=content.medium,
        path=path,
        notes=notes,
    )


def _check_wavelength(path: Path, number: int, wave: Floats) -> None:
    bad = np.flatnonzero(~(np.isfinite(wave) & (wave > 0)))
    if len(bad):
        raise OrderError(
            f"{path}: order {number} has the wavelength {wave[bad[0]]:g} at pixel {bad[0]}; "
            "expected finite, positive values in Å; cut such pixels out of the file"
        )
    back = np.flatnonzero(np.diff(wave) <= 0)
    if len(back):
        first, second = wave[back[0]], wave[back[0] + 1]
        fault = "repeats the wavelength" if first == second else "does not ascend: it goes from"
        values = f"{first:.10g}" if first == second else f"{first:.10g} to {second:.10g}"
        raise OrderError(
            f"{path}: order {number} {fault} {values} Å at pixel {back[0] + 1}; "
            "expected strictly ascending wavelengths; sort each order's pixels"
        )


def _usable(content: _Content) -> tuple[Bools, tuple[str, ...]]:
    """The pixels to use, (orders, pixels), and notes of what was noticed on the way."""
    sigma, masks, notes = content.sigma, content.masks, []
    sound = np.isfinite(content.flux) & np.isfinite(sigma) & (sigma > 0)
    mask = sound
    if masks is not None:
        stray = masks[~np.isin(masks, (0, 1))]
        if len(stray):
            notes.append(
                f"the masks dataset is not a mask and is ignored: it holds {stray[0]:g}; "
                "a mask holds only 0 and 1"
            )
        else:
            mask = sound & (masks == 1)
    if not sound.all():
        notes.append(f"pixels masked for a flux or sigma that cannot be used: {(~sound).sum()}")
    unused = np.flatnonzero(~mask.any(axis=1))
    if len(unused):
        notes.append(f"orders without a pixel to use: {', '.join(map(str, unused))}")
    return mask, tuple(notes)


# Starfish HDF5: the names of wavelength, flux and sigma, the current layout first.
_LAYOUTS = (("waves", "fluxes", "sigmas"), ("wls", "fls", "sigmas"))


def _read_starfish(path: Path) -> _Content:
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _starfish_content(path, file)
    except MixjobsError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # what h5py raises on damage
        reason = " ".join(str(error).split())  # HDF5 puts a line break after the time of a failure
        raise UnreadableFile(
            f"{path}: cannot be read as HDF5 ({reason}); "
            "expected a whole Starfish HDF5 file, get it again or check its format"
        ) from None


def _starfish_content(path: Path, file: h5py.File) -> _Content:
    names = _layout(path, file)
    if "masks" in file:
        names = (*names, "masks")
    _check_datasets(path, file, names)
    arrays = [np.atleast_2d(np.array(file[name][...], dtype=np.float64)) for name in names]
    wavelength, flux, sigma = arrays[:3]
    masks = arrays[3] if len(arrays) == 4 else None
    return _Content(wavelength, flux, sigma, masks, _medium(path, file, file[names[0]]))


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
