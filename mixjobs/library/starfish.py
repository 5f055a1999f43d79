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

from mixjobs.declarations import Declaration, FluxUnit
from mixjobs.errors import LibraryError, MissingFile, MixjobsError, UnreadableFile
from mixjobs.files import HDF5, kind_of
from mixjobs.grid import Grid
from mixjobs.hdf5 import load_filters
from mixjobs.library.base import FluxCalibration, SummarisedLibrary, make_grid
from mixjobs.library.calibration import UnitKnowledge, settle_scale
from mixjobs.library.declared import (
    find_unit,
    flux_factor,
    is_unit_keyword,
    read_flux_unit,
    read_medium,
    read_names,
    read_wavelength,
)
from mixjobs.library.options import LibraryOptions
from mixjobs.library.starfish_layouts import find_spectra
from mixjobs.library.starfish_scale import (
    SCALE_ATTRIBUTES,
    declared_scale,
    log_undoing_factors,
)
from mixjobs.media import is_medium_keyword
from mixjobs.typing import Floats
from mixjobs.units import to_integers
from mixjobs.wavelengths import LibraryMedium, check_distinct, check_wavelength

# A chunk of the file that exceeds the cache is decoded again for every order that it contains.
_CACHE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class OpenSpectrum:
    """A spectrum in an open file."""

    name: str
    path: str
    dataset: Any
    scale: float
    is_reversed: bool = False

    def __call__(self, lo: int, hi: int) -> Floats:
        """Return the raw flux of pixels lo:hi as float64."""
        try:
            flux: Floats = self._stored(lo, hi).astype(np.float64, copy=False)
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

    def _stored(self, lo: int, hi: int) -> NDArray[Any]:
        """Return pixels lo:hi as stored; they are counted from the end of a reversed spectrum."""
        if not self.is_reversed:
            stored: NDArray[Any] = self.dataset[lo:hi]
            return stored
        n_pixels = len(self.dataset)
        start, stop, _ = slice(lo, hi).indices(n_pixels)
        stored = self.dataset[n_pixels - stop : n_pixels - start]
        return stored[::-1]


@dataclass(frozen=True)
class StarfishReader:
    """Reader of some spectra of a Starfish file, which is opened once."""

    path: str
    keys: tuple[str, ...]
    scales: tuple[float, ...]
    is_reversed: bool

    def __iter__(self) -> Iterator[OpenSpectrum]:
        """Open the file and yield the spectra one by one."""
        with open_hdf5(self.path) as file:
            spectra = file["flux"]
            for key, scale in zip(self.keys, self.scales, strict=True):
                load_filters(self.path, [spectra[key]])
                yield OpenSpectrum(key, self.path, spectra[key], scale, self.is_reversed)


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
    declarations: tuple[Declaration, ...]
    is_reversed: bool = False
    format: str = "starfish"
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: str | Path, options: LibraryOptions | None = None) -> StarfishLibrary:
        """Open a library, checking its layout, its keys and the length of its spectra."""
        options, text = options or LibraryOptions(), str(path)
        with open_hdf5(path) as file:
            _check_members(file, text)
            load_filters(path, map(file.get, file))
            wavelength, is_reversed, of_wave = _wavelength(file["wl"], options, text)
            spectra = find_spectra(file, text)
            load_filters(path, [file["flux"].get(spectra.keys[0])])
            attributes = _inspect(file["flux"], spectra.keys, len(wavelength), text)
            medium, of_medium = read_medium(_medium_pairs(file, attributes), options, text)
            names, of_names = read_names(spectra.names, spectra.points, options, text)
            unit, factors, of_flux = _flux_units(file, attributes, options, text)
            declared = declared_scale(file.attrs, attributes)
        grid = make_grid(spectra.points, names, path)
        teff = grid.points[:, names.index("teff")] if "teff" in names else None
        stored = cls(
            path=str(Path(path).resolve()),
            grid=grid,
            original_names=spectra.names,
            wavelength=wavelength,
            medium=medium,
            flux_unit=unit.text or "not given",
            flux_calibration=FluxCalibration("undecided", ""),
            keys=spectra.keys,
            scales=factors,
            fingerprint=_fingerprint(path, spectra.points, wavelength),
            declarations=(of_wave, of_medium, of_names),
            is_reversed=is_reversed,
        )
        known = UnitKnowledge.of(unit, of_flux, options)
        log_scale = log_undoing_factors(attributes, teff)
        settled = settle_scale(stored, declared, log_scale, known, options.flux_scale)
        return replace(
            stored,
            flux_calibration=settled.calibration,
            scales=tuple((np.array(factors) * settled.factors).tolist()),
            declarations=(*stored.declarations, settled.unit, settled.scale),
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
        return StarfishReader(self.path, keys, scales, self.is_reversed)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> StarfishLibrary:
        """Return a library with only these spectra."""
        keys, scales = zip(
            *((self.keys[i], self.scales[i]) for i in to_integers(rows, "rows")), strict=True
        )
        return replace(self, grid=self.grid.take(rows), keys=keys, scales=scales)


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
                f"{path}: this is {kind}; expected a library: a Starfish HDF5 file, or a folder "
                "of spectra from PHOENIX or the SVO",
                path=path,
            ) from None
        raise UnreadableFile(
            f"{path}: not a complete HDF5 file ({_one_line(error)}); copy it again", path=path
        ) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def is_starfish(path: str | Path) -> bool:
    """Whether a path is an HDF5 file with members of a Starfish library, complete or not."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return not {"grid_points", "pars"}.isdisjoint(file) or (
                file.get("flux", getclass=True) is h5py.Group
            )
    except (OSError, RuntimeError, KeyError, ValueError):  # raised by h5py for damaged files
        return False


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


def _wavelength(
    dataset: Any, options: LibraryOptions, path: str
) -> tuple[Floats, bool, Declaration]:
    if dataset.ndim != 1 or len(dataset) < 2 or dataset.dtype.kind not in "fiu":
        raise LibraryError(
            f"{path}: 'wl' is {dataset.dtype.name} of shape {dataset.shape}; "
            "expected one dimension with at least 2 wavelengths",
            path=path,
            name="wl",
            value=dataset.shape,
        )
    values = dataset[()].astype(np.float64)
    unit = find_unit(dataset.attrs, path)
    wavelength, is_reversed, declaration = read_wavelength(values, unit, options, path)
    check_wavelength(wavelength, LibraryError, path=path)
    check_distinct(wavelength, path)
    return wavelength, is_reversed, declaration


def _inspect(spectra: Any, keys: Sequence[str], n_pixels: int, path: str) -> list[dict[str, Any]]:
    """Check the length of every spectrum and return its declarations.

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
        names = [
            name
            for name in stored
            if name in SCALE_ATTRIBUTES or is_unit_keyword(name) or is_medium_keyword(name)
        ]
        attributes.append({name: stored[name] for name in names})
    return attributes


def _medium_pairs(file: Any, attributes: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    """Return the attributes that may declare the medium, each value once.

    The axis types of FITS headers count only without another declaration: they are copied from the
    files of which the library was made.
    """
    owners = [file["wl"].attrs, file.attrs, *attributes]
    pairs = {
        f"{key} = {value}": (key, value)
        for owner in owners
        for key, value in owner.items()
        if is_medium_keyword(key)
    }
    flags = [pair for pair in pairs.values() if is_medium_keyword(pair[0], axis_types=False)]
    return flags or list(pairs.values())


def _flux_units(
    file: Any, attributes: Sequence[Mapping[str, Any]], options: LibraryOptions, path: str
) -> tuple[FluxUnit, tuple[float, ...], Declaration]:
    """Return the flux unit, and the factor of each spectrum, which may have a unit of its own."""
    common = find_unit(file["flux"].attrs, path) or find_unit(file.attrs, path)
    own = [find_unit(each, path, copied=common is None) or common for each in attributes]
    known = {unit: read_flux_unit(unit, options, path) for unit in dict.fromkeys([common, *own])}
    factors = tuple(flux_factor(known[unit][0]) for unit in own)
    main, declaration = known[common or own[0]]
    if set(factors) != {flux_factor(main)}:
        listed = ", ".join(sorted({known[unit][0].text for unit in own}))
        understood = f"that of each spectrum ({listed}), converted to erg/s/cm2/AA"
        declaration = replace(declaration, understood=understood, converted=True)
    return main, factors, declaration


def _fingerprint(path: str | Path, points: Floats, wavelength: Floats) -> dict[str, str]:
    status = Path(path).stat()
    content = sha256(np.ascontiguousarray(points).tobytes() + wavelength.tobytes())
    return {
        "size": str(status.st_size),
        "modified": str(status.st_mtime_ns),
        "points and wavelengths": content.hexdigest()[:16],
    }
