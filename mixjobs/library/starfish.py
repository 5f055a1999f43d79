"""Starfish libraries: HDF5 files in the layouts of versions 0.3 to 0.4, 0.2 and older."""

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
from mixjobs.files import HDF5, kind_of
from mixjobs.grid import Grid
from mixjobs.library.base import FluxCalibration, SummarisedLibrary, make_grid
from mixjobs.library.starfish_layouts import GridSpectra, field_name, find_spectra
from mixjobs.library.starfish_scale import SCALE_ATTRIBUTES, find_scale
from mixjobs.typing import Floats
from mixjobs.units import attribute_text, declared_medium, to_integers
from mixjobs.wavelengths import LibraryMedium, check_wavelength

_ANGSTROM = ("aa", "a", "angstrom", "angstroms", "å")
# A chunk of the file that exceeds the cache is decoded again for every order that it contains.
_CACHE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class OpenSpectrum:
    """A spectrum in an open file."""

    name: str
    path: str
    dataset: Any
    scale: float

    def __call__(self, lo: int, hi: int) -> Floats:
        """Return the raw flux of pixels lo:hi as float64."""
        try:
            flux: Floats = self.dataset[lo:hi].astype(np.float64, copy=False)
        except OSError as error:
            raise UnreadableFile(
                f"{self.path}: spectrum {self.name} cannot be read ({_one_line(error)}); "
                "the file is damaged or truncated, so copy it again",
                path=self.path,
                name=self.name,
            ) from None
        if self.scale != 1:
            flux *= self.scale
        return flux


@dataclass(frozen=True)
class StarfishReader:
    """Reader of some spectra of a Starfish file, which is opened once."""

    path: str
    keys: tuple[str, ...]
    scales: tuple[float, ...]

    def __iter__(self) -> Iterator[OpenSpectrum]:
        """Open the file and yield the spectra one by one."""
        with open_hdf5(self.path) as file:
            spectra = file["flux"]
            for key, scale in zip(self.keys, self.scales, strict=True):
                yield OpenSpectrum(key, self.path, spectra[key], scale)


@dataclass(frozen=True, eq=False, repr=False)
class StarfishLibrary(SummarisedLibrary):
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
            spectra = find_spectra(file, str(path))
            attributes = _inspect(file["flux"], spectra.keys, len(wavelength), str(path))
            calibration, scales = find_scale(file.attrs, attributes)
            group = file["flux"].attrs
            return cls(
                path=str(Path(path).resolve()),
                grid=_grid(spectra, str(path)),
                original_names=spectra.names,
                wavelength=wavelength,
                medium=_medium(file, spectra.keys[0], path),
                flux_unit=attribute_text(group.get("units", group.get("unit", "not given"))),
                flux_calibration=calibration,
                keys=spectra.keys,
                scales=scales,
                fingerprint=_fingerprint(path, spectra.points, wavelength),
            )

    def flux(self, i: int, lo: int = 0, hi: int | None = None) -> Floats:
        """Return the raw flux of spectrum `i` on pixels lo:hi as float64."""
        stop = len(self.wavelength) if hi is None else hi
        (flux,) = [spectrum(lo, stop) for spectrum in self.reader([i])]
        return flux

    def reader(self, rows: Sequence[int]) -> StarfishReader:
        """Return a reader of these spectra."""
        keys, scales = zip(
            *((self.keys[i], self.scales[i]) for i in to_integers(rows, "rows")), strict=True
        )
        return StarfishReader(self.path, keys, scales)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> StarfishLibrary:
        """Return a library with only these spectra."""
        keys, scales = zip(
            *((self.keys[i], self.scales[i]) for i in to_integers(rows, "rows")), strict=True
        )
        return replace(self, grid=self.grid.take(rows), keys=keys, scales=scales)

    def assume_raw(self) -> StarfishLibrary:
        """Return the library with its fluxes taken as raw, exactly as stored in the file."""
        calibration = self.flux_calibration.assumed()
        return replace(self, flux_calibration=calibration, scales=(1.0,) * len(self.keys))


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[Any]:
    """Open an HDF5 file for reading, without a lock (some parallel file systems refuse locks).

    Raises
    ------
    MissingFile, UnreadableFile
        The file does not exist, is damaged, or is not HDF5.
    """
    try:
        with h5py.File(path, "r", locking=False, rdcc_nbytes=_CACHE_BYTES) as file:
            yield file
    except MixjobsError:
        raise
    except FileNotFoundError:
        raise MissingFile(f"{path}: no such library; check the path", path=path) from None
    except (OSError, KeyError, RuntimeError) as error:
        kind = kind_of(path)
        if kind not in (HDF5, "a file"):
            raise UnreadableFile(
                f"{path}: this is {kind}; expected a library: a Starfish HDF5 file or a folder of "
                "PHOENIX files",
                path=path,
            ) from None
        raise UnreadableFile(
            f"{path}: not a complete HDF5 file ({_one_line(error)}); copy it again", path=path
        ) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _check_members(file: Any, path: str) -> None:
    for name, kind in (("wl", h5py.Dataset), ("flux", h5py.Group)):
        if file.get(name, getclass=True) is not kind:
            members = list(file)
            if {"waves", "fluxes"} <= set(members) or {"wls", "fls"} <= set(members):
                raise LibraryError(
                    f"{path}: this is an observed spectrum; expected a library of model spectra",
                    path=path,
                    name=name,
                )
            more = ", ..." if len(members) > 5 else ""
            raise LibraryError(
                f"{path}: not a Starfish library: expected a {kind.__name__.lower()} {name!r}, but "
                f"the file contains {', '.join(members[:5]) or 'nothing'}{more}",
                path=path,
                name=name,
            )


def _wavelength(dataset: Any, path: str) -> Floats:
    unit = attribute_text(dataset.attrs.get("units", "AA"))
    if unit.lower() not in _ANGSTROM:
        raise LibraryError(
            f"{path}: the wavelengths are in {unit!r}; expected Å ('AA'): convert them",
            path=path,
            name="wl",
            value=unit,
        )
    if dataset.ndim != 1 or len(dataset) < 2 or dataset.dtype.kind not in "fiu":
        raise LibraryError(
            f"{path}: 'wl' is {dataset.dtype.name} of shape {dataset.shape}; "
            "expected one dimension with at least 2 wavelengths",
            path=path,
            name="wl",
            value=dataset.shape,
        )
    wavelength: Floats = dataset[()].astype(np.float64)
    check_wavelength(wavelength, LibraryError, path=path)
    return wavelength


def _grid(spectra: GridSpectra, path: str) -> Grid:
    names = tuple(field_name(n) for n in spectra.names)
    if len(set(names)) < len(names):
        raise LibraryError(
            f"{path}: two of the parameters {', '.join(spectra.names)} have the same meaning; "
            "rename one of them",
            path=path,
            name="names",
            value=spectra.names,
        )
    return make_grid(spectra.points, names, path)


def _inspect(spectra: Any, keys: Sequence[str], n_pixels: int, path: str) -> list[dict[str, Any]]:
    """Check the length of every spectrum and return its attributes about the flux scale.

    PHOENIX has dozens of other attributes; reading them would take milliseconds per spectrum.
    """
    attributes = []
    for key in keys:
        dataset = spectra[key]
        shape = getattr(dataset, "shape", "no shape")
        if shape != (n_pixels,) or dataset.dtype.kind not in "fiu":
            raise LibraryError(
                f"{path}: spectrum {key} has shape {shape}; expected ({n_pixels},), as "
                "many pixels as there are wavelengths",
                path=path,
                name=key,
                value=shape,
            )
        stored = dataset.attrs
        attributes.append({name: stored[name] for name in SCALE_ATTRIBUTES if name in stored})
    return attributes


def _medium(file: Any, key: str, path: str | Path) -> LibraryMedium:
    """Return the medium from the attribute `air` of the wavelengths or of the first spectrum."""
    owners = (file["wl"].attrs, file["flux"][key].attrs)
    flags = [("air", attributes["air"]) for attributes in owners if "air" in attributes]
    return declared_medium(flags, path) or "unknown"


def _fingerprint(path: str | Path, points: Floats, wavelength: Floats) -> dict[str, str]:
    status = Path(path).stat()
    content = sha256(np.ascontiguousarray(points).tobytes() + wavelength.tobytes())
    return {
        "size": str(status.st_size),
        "modified": str(status.st_mtime_ns),
        "points and wavelengths": content.hexdigest()[:16],
    }
