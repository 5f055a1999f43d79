"""Starfish HDF5 libraries, in the layouts of 0.3 to 0.4, of 0.2, and of before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import LibraryError, MissingFile, MixjobsError, UnreadableFile
from mixjobs.grid import Grid
from mixjobs.library.base import FluxCalibration, make_grid
from mixjobs.library.starfish_layouts import Found, field_name, find_spectra, text
from mixjobs.library.starfish_scale import SCALE_ATTRIBUTES, find_scale, flag
from mixjobs.typing import Floats
from mixjobs.wavelengths import LibraryMedium, check_wavelength

_ANGSTROM = ("aa", "a", "angstrom", "angstroms", "å")
# A chunk of the file that does not fit is decoded again for every order that it holds.
_CACHE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class OpenSpectrum:
    """One spectrum of an open file."""

    name: str
    path: str
    dataset: Any
    scale: float

    def __call__(self, lo: int, hi: int) -> Floats:
        """Return the raw flux of pixels lo:hi, float64."""
        try:
            flux: Floats = self.dataset[lo:hi].astype(np.float64, copy=False)
        except OSError as error:
            raise UnreadableFile(
                f"{self.path}: spectrum {self.name} cannot be read ({_one_line(error)}); "
                "the file is damaged or was cut short: copy it again"
            ) from None
        if self.scale != 1:
            flux *= self.scale
        return flux


@dataclass(frozen=True)
class StarfishReader:
    """Reads some spectra of a Starfish file, opening it once."""

    path: str
    keys: tuple[str, ...]
    scales: tuple[float, ...]

    def __iter__(self) -> Iterator[OpenSpectrum]:
        """Open the file and give its spectra one after the other."""
        with open_hdf5(self.path) as file:
            spectra = file["flux"]
            for key, scale in zip(self.keys, self.scales, strict=True):
                yield OpenSpectrum(key, self.path, spectra[key], scale)


@dataclass(frozen=True, eq=False)
class StarfishLibrary:
    """A library in one of Starfish's HDF5 layouts; see `mixjobs.library.Library`."""

    path: str
    grid: Grid
    original_names: tuple[str, ...]
    wavelength: Floats
    medium: LibraryMedium
    flux_unit: str
    flux_calibration: FluxCalibration
    keys: tuple[str, ...]
    scales: tuple[float, ...]
    fingerprint: Mapping[str, str]
    format: str = "starfish"

    @classmethod
    def open(cls, path: str | Path) -> StarfishLibrary:
        """Open a library, checking its layout, its keys and the length of its spectra."""
        with open_hdf5(path) as file:
            _check_members(file, str(path))
            wavelength = _wavelength(file["wl"], str(path))
            found = find_spectra(file, str(path))
            attributes = _inspect(file["flux"], found.keys, len(wavelength), str(path))
            calibration, scales = find_scale(file.attrs, attributes)
            group = file["flux"].attrs
            return cls(
                path=str(Path(path).resolve()),
                grid=_grid(found, str(path)),
                original_names=found.names,
                wavelength=wavelength,
                medium=_medium([file["wl"].attrs, file["flux"][found.keys[0]].attrs]),
                flux_unit=text(group.get("units", group.get("unit", "not given"))),
                flux_calibration=calibration,
                keys=found.keys,
                scales=scales,
                fingerprint=_fingerprint(path, found.points, wavelength),
            )

    def flux(self, i: int, lo: int = 0, hi: int | None = None) -> Floats:
        """Return the raw flux of spectrum `i` on pixels lo:hi, float64."""
        stop = len(self.wavelength) if hi is None else hi
        (flux,) = [spectrum(lo, stop) for spectrum in self.reader([i])]
        return flux

    def reader(self, rows: Sequence[int]) -> StarfishReader:
        """Return a reader of these spectra, for a task."""
        keys, scales = zip(*((self.keys[i], self.scales[i]) for i in rows), strict=True)
        return StarfishReader(self.path, keys, scales)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> StarfishLibrary:
        """Return the library of these spectra alone."""
        keys, scales = zip(*((self.keys[i], self.scales[i]) for i in rows), strict=True)
        return replace(self, grid=self.grid.take(rows), keys=keys, scales=scales)

    def assume_raw(self) -> StarfishLibrary:
        """Return the library with its spectra taken as raw, just as they are in the file."""
        evidence = f"taken as raw on request; by the file: {self.flux_calibration.evidence}"
        calibration = FluxCalibration("assumed", evidence)
        return replace(self, flux_calibration=calibration, scales=(1.0,) * len(self.keys))


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[Any]:
    """Open an HDF5 file for reading, without a lock (parallel file systems refuse them).

    Raises
    ------
    MissingFile, UnreadableFile
        Whatever h5py says of a file that is not there, not whole or not HDF5.
    """
    try:
        with h5py.File(path, "r", locking=False, rdcc_nbytes=_CACHE_BYTES) as file:
            yield file
    except MixjobsError:
        raise
    except FileNotFoundError:
        raise MissingFile(f"{path}: no such library") from None
    except (OSError, KeyError, RuntimeError) as error:
        raise UnreadableFile(
            f"{path}: not a whole HDF5 file ({_one_line(error)}); copy it again"
        ) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _check_members(file: Any, path: str) -> None:
    for name, kind in (("wl", h5py.Dataset), ("flux", h5py.Group)):
        if file.get(name, getclass=True) is not kind:
            there = list(file)
            more = ", ..." if len(there) > 5 else ""
            raise LibraryError(
                f"{path}: not a Starfish library: it has no {kind.__name__.lower()} {name!r} "
                f"(it has {', '.join(there[:5]) or 'nothing'}{more})"
            )


def _wavelength(dataset: Any, path: str) -> Floats:
    unit = text(dataset.attrs.get("units", "AA"))
    if unit.lower() not in _ANGSTROM:
        raise LibraryError(f"{path}: wavelengths are in {unit!r}; expected Å ('AA')")
    if dataset.ndim != 1 or len(dataset) < 2 or dataset.dtype.kind not in "fiu":
        raise LibraryError(f"{path}: 'wl' must be one row of at least 2 wavelengths")
    wavelength: Floats = dataset[()].astype(np.float64)
    check_wavelength(wavelength, path)
    return wavelength


def _grid(found: Found, path: str) -> Grid:
    names = tuple(field_name(n) for n in found.names)
    if len(set(names)) < len(names):
        raise LibraryError(
            f"{path}: two of the parameters {', '.join(found.names)} mean the same; rename one"
        )
    return make_grid(found.points, names, path)


def _inspect(spectra: Any, keys: Sequence[str], n_pixels: int, path: str) -> list[dict[str, Any]]:
    """What the attributes of every spectrum say of its scale; its length is checked on the way.

    Of the dozens of attributes that PHOENIX has, no others are read: that would take
    milliseconds a spectrum.
    """
    attributes = []
    for key in keys:
        dataset = spectra[key]
        shape = getattr(dataset, "shape", "no shape")
        if shape != (n_pixels,) or dataset.dtype.kind not in "fiu":
            raise LibraryError(
                f"{path}: spectrum {key} has {shape}; expected ({n_pixels},) numbers, as 'wl' has"
            )
        there = dataset.attrs
        attributes.append({name: there[name] for name in SCALE_ATTRIBUTES if name in there})
    return attributes


def _medium(places: Sequence[Mapping[str, Any]]) -> LibraryMedium:
    for attributes in places:
        air = flag(attributes["air"]) if "air" in attributes else None
        if air is not None:
            return "air" if air else "vacuum"
    return "unknown"


def _fingerprint(path: str | Path, points: Floats, wavelength: Floats) -> dict[str, str]:
    status = Path(path).stat()
    content = sha256(np.ascontiguousarray(points).tobytes() + wavelength.tobytes())
    return {
        "size": str(status.st_size),
        "modified": str(status.st_mtime_ns),
        "points and wavelengths": content.hexdigest()[:16],
    }
