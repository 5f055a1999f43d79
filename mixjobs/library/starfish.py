"""Starfish HDF5 libraries, in the layouts of 0.3 to 0.4, of 0.2, and of before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import LibraryError, UnreadableFile
from mixjobs.grid import Grid
from mixjobs.library.protocol import Medium, Rawness
from mixjobs.library.starfish_keys import field_name, find_spectra
from mixjobs.library.starfish_scale import find_scale

Floats = NDArray[np.float64]


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
            flux: Floats = self.dataset[lo:hi].astype(np.float64)
        except OSError as error:
            raise UnreadableFile(
                f"{self.path}: spectrum {self.name} cannot be read ({_one_line(error)}); "
                "the file is damaged or was cut short"
            ) from None
        return flux * self.scale if self.scale != 1 else flux


@dataclass(frozen=True)
class StarfishReader:
    """Reads some spectra of a Starfish file, opening it once."""

    path: str
    keys: tuple[str, ...]
    scales: tuple[float, ...]

    def __iter__(self) -> Iterator[OpenSpectrum]:
        """Open the file and give its spectra one after the other."""
        with open_hdf5(self.path) as file:
            for key, scale in zip(self.keys, self.scales, strict=True):
                yield OpenSpectrum(key, self.path, file["flux"][key], scale)


@dataclass(frozen=True, eq=False)
class StarfishLibrary:
    """A library in one of Starfish's HDF5 layouts; see `mixjobs.library.Library`."""

    path: str
    grid: Grid
    original_names: tuple[str, ...]
    wavelength: Floats
    medium: Medium
    flux_unit: str
    raw: Rawness
    keys: tuple[str, ...]
    scales: tuple[float, ...]
    fingerprint: Mapping[str, str]
    format: str = "starfish"

    @classmethod
    def open(cls, path: str | Path) -> StarfishLibrary:
        """Open a library, checking its layout, its keys and the length of its spectra."""
        with open_hdf5(path) as file:
            for member in ("wl", "flux"):
                if member not in file:
                    raise LibraryError(
                        f"{path}: not a Starfish library: it has no '{member}' "
                        f"(it has {', '.join(file) or 'nothing'})"
                    )
            wavelength = _wavelength(file, str(path))
            found = find_spectra(file, str(path))
            attributes = _inspect(file, found.keys, len(wavelength), str(path))
            raw, scales = find_scale(file.attrs, attributes)
            group = file["flux"].attrs
            return cls(
                path=str(Path(path).resolve()),
                grid=Grid(found.points, tuple(field_name(n) for n in found.names)),
                original_names=found.names,
                wavelength=wavelength,
                medium=_medium([file["wl"].attrs, attributes[0]]),
                flux_unit=str(group.get("units", group.get("unit", "not given"))),
                raw=raw,
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

    def assumed_raw(self) -> StarfishLibrary:
        """Return the library with its spectra taken as raw, just as they are in the file."""
        raw = Rawness("assumed", f"taken as raw on request; by the file: {self.raw.how}")
        return replace(self, raw=raw, scales=(1.0,) * len(self.keys))


def open_hdf5(path: str | Path) -> Any:
    """Open an HDF5 file for reading, without a lock (parallel file systems refuse them)."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise UnreadableFile(
            f"{path}: not a whole HDF5 file ({_one_line(error)}); copy it again"
        ) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _wavelength(file: Any, path: str) -> Floats:
    wavelength: Floats = file["wl"][()].astype(np.float64)
    unit = str(file["wl"].attrs.get("units", "AA"))
    if unit not in ("AA", "A", "Angstrom", "angstrom"):
        raise LibraryError(f"{path}: wavelengths are in {unit!r}; expected Å ('AA')")
    if wavelength.ndim != 1 or len(wavelength) < 2 or not np.isfinite(wavelength).all():
        raise LibraryError(f"{path}: 'wl' must be one row of at least 2 finite wavelengths")
    wrong = np.flatnonzero(np.diff(wavelength) <= 0)
    if len(wrong):
        raise LibraryError(
            f"{path}: wavelengths must ascend, and do not at pixel {wrong[0] + 1} "
            f"({wavelength[wrong[0]]:.6f} then {wavelength[wrong[0] + 1]:.6f} Å)"
        )
    return wavelength


def _inspect(file: Any, keys: Sequence[str], n_pixels: int, path: str) -> list[dict[str, Any]]:
    """Attributes of every spectrum, whose length is checked on the way."""
    attributes = []
    for key in keys:
        dataset = file["flux"][key]
        if dataset.shape != (n_pixels,):
            raise LibraryError(
                f"{path}: spectrum {key} has shape {dataset.shape}; expected ({n_pixels},) as 'wl'"
            )
        attributes.append(dict(dataset.attrs))
    return attributes


def _medium(places: Sequence[Mapping[str, Any]]) -> Medium:
    for attributes in places:
        if "air" in attributes:
            return "air" if str(attributes["air"]).lower() in ("true", "1") else "vacuum"
    return "unknown"


def _fingerprint(path: str | Path, points: Floats, wavelength: Floats) -> dict[str, str]:
    status = Path(path).stat()
    content = sha256(np.ascontiguousarray(points).tobytes() + wavelength.tobytes())
    return {
        "size": str(status.st_size),
        "modified": str(status.st_mtime_ns),
        "points and wavelengths": content.hexdigest()[:16],
    }
