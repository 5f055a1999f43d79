"""Libraries in several files: one per order or per band, with the same grid in each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixjobs.declarations import Declaration
from mixjobs.display import counted
from mixjobs.errors import LibraryError
from mixjobs.grid import Grid, describe
from mixjobs.library.base import (
    FluxCalibration,
    Library,
    Spectrum,
    SpectrumReader,
    SummarisedLibrary,
    make_grid,
)
from mixjobs.library.overlaps import check_overlaps
from mixjobs.sections import Section, find_gaps
from mixjobs.typing import Floats
from mixjobs.units import to_integers
from mixjobs.wavelengths import LibraryMedium, in_library_medium

_MIN_STEP_RATIO = 0.75  # distance of the pixels at which two files are stitched, in pixels
_MAX_STEP_RATIO = 1.5  # distance of two files in pixels, beyond which there is a gap between them
_DECIMALS = 6  # to which the parameter values of two files must agree
_MAX_LISTED = 8  # missing points in a note
_WORST_FIRST = ("normalised", "undecided", "assumed", "rescaled", "raw")


@dataclass(frozen=True)
class Piece:
    """Consecutive pixels of a library that come from one file.

    Attributes
    ----------
    start, stop : int
        Pixels of the library.
    file : int
        Index of the file.
    first : int
        Pixel of the file that is pixel `start` of the library.
    """

    start: int
    stop: int
    file: int
    first: int


@dataclass(frozen=True, eq=False)
class Layout:
    """The pixels of a library in several files.

    Attributes
    ----------
    wavelength : (n_pixels,) array
        Pixels of all runs of files without a gap, ascending.
    sections : tuple of Section
        The runs, and then each file of a run of several, with all its pixels.
    pieces : tuple of Piece
        Files of the pixels of all sections.
    """

    wavelength: Floats
    sections: tuple[Section, ...]
    pieces: tuple[Piece, ...]


class FileStream:
    """The spectra of one file, which is opened when one of them is asked for."""

    def __init__(self, name: str, reader: SpectrumReader) -> None:
        self.name = name
        self.row = -1
        self._spectra = iter(reader)
        self._spectrum: Spectrum | None = None

    def at(self, row: int) -> Spectrum:
        """Return a spectrum; rows must not decrease."""
        while self.row < row:
            self._spectrum = next(self._spectra)
            self.row += 1
        assert self._spectrum is not None
        return self._spectrum

    def close(self) -> None:
        """Close the file."""
        close = getattr(self._spectra, "close", None)
        if close is not None:
            close()


@dataclass(frozen=True)
class JoinedSpectrum:
    """A spectrum whose pixels are in several files."""

    row: int
    streams: Sequence[FileStream]
    pieces: Sequence[Piece]

    @property
    def name(self) -> str:
        """Name of the spectrum; with that of the file, if only one was read."""
        read = [stream for stream in self.streams if stream.row == self.row]
        if not read:
            return f"number {self.row}"
        name = read[0].at(self.row).name
        return name if len(read) > 1 else f"{name} of {read[0].name}"

    def __call__(self, lo: int, hi: int) -> Floats:
        """Return the raw flux of pixels lo:hi as float64."""
        fluxes = []
        for piece in self.pieces:
            start, stop = max(lo, piece.start), min(hi, piece.stop)
            if start < stop:
                shift = piece.first - piece.start
                spectrum = self.streams[piece.file].at(self.row)
                fluxes.append(spectrum(start + shift, stop + shift))
        return fluxes[0] if len(fluxes) == 1 else np.concatenate([np.empty(0), *fluxes])


@dataclass(frozen=True)
class FilesReader:
    """Reader of some spectra of several files; each file is opened once, if it is needed."""

    names: tuple[str, ...]
    readers: tuple[SpectrumReader, ...]
    pieces: tuple[Piece, ...]
    n_spectra: int

    def __iter__(self) -> Iterator[JoinedSpectrum]:
        """Yield the spectra one by one."""
        with ExitStack() as stack:
            streams = [
                stack.enter_context(closing(FileStream(name, reader)))
                for name, reader in zip(self.names, self.readers, strict=True)
            ]
            for row in range(self.n_spectra):
                yield JoinedSpectrum(row, streams, self.pieces)


@dataclass(frozen=True, eq=False, repr=False)
class FilesLibrary(SummarisedLibrary):
    """A library in several files; see `mixjobs.library.Library`.

    Files that overlap, or follow each other without a gap, are stitched in the middle of their
    overlap: `wavelength` ascends. The `sections` contain these stitched runs, and after them the
    files that were stitched, each with all its pixels. An order is read from one file if possible.

    Attributes
    ----------
    parts : tuple of Library
        The files, by wavelength, with the common grid points in the same sequence.
    layout : Layout
    """

    path: str
    parts: tuple[Library, ...]
    grid: Grid
    original_names: tuple[str, ...]
    medium: LibraryMedium
    layout: Layout
    notes: tuple[str, ...] = ()

    @classmethod
    def join(cls, parts: Sequence[Library], path: str) -> FilesLibrary:
        """Join libraries that have the same grid points at different wavelengths.

        Parameters
        ----------
        parts : sequence of Library
        path : str
            Name of the joined library.

        Raises
        ------
        LibraryError
            The files have different parameters or no common grid points, or disagree where they
            overlap.
        """
        medium = _common_medium(parts)
        waves = [in_library_medium(part.wavelength, part.medium, medium) for part in parts]
        order = sorted(range(len(parts)), key=lambda k: (waves[k][0], waves[k][-1]))
        parts, waves = [parts[k] for k in order], [waves[k] for k in order]
        original_names, first = parts[0].original_names, parts[0].grid
        parts, missing = _common_points(parts, path)
        check_overlaps(parts, waves, [part.path for part in parts])
        return cls(
            path, tuple(parts), make_grid(parts[0].grid.points, first.names, path),
            original_names, medium, lay_out(waves), tuple(missing),
        )  # fmt: skip

    @property
    def wavelength(self) -> Floats:
        """Wavelengths (n_pixels,) in Å, ascending; each file's only up to half of an overlap."""
        return self.layout.wavelength

    @property
    def sections(self) -> Sequence[Section]:
        """Runs of files without a gap, and each file of a run of several."""
        return self.layout.sections

    @property
    def format(self) -> str:
        """Name of the files' format, or names of their formats."""
        return _joined(part.format for part in self.parts)

    @property
    def flux_unit(self) -> str:
        """Flux unit as declared in the files."""
        return _joined(part.flux_unit for part in self.parts)

    @property
    def declarations(self) -> tuple[Declaration, ...]:
        """Those that all files have in common, and those of single files."""
        common: dict[str, Declaration] = {}
        for part, file in zip(self.parts, self._names, strict=True):
            for own in part.declarations:
                declaration = _of_library(own, part, self.medium)
                of_all = common.setdefault(declaration.quantity, declaration)
                if replace(of_all, numbers="") != replace(declaration, numbers=""):
                    name = f"{declaration.quantity} of {file}"
                    common[name] = replace(declaration, quantity=name)
                elif of_all.numbers != declaration.numbers:
                    common[declaration.quantity] = replace(of_all, numbers="")
        return tuple(common.values())

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the files, by wavelength."""
        return tuple(part.path for part in self.parts)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the first and the last wavelength of each file, by its path."""
        waves = [
            in_library_medium(part.wavelength, part.medium, self.medium) for part in self.parts
        ]
        return {
            path: (float(wave[0]), float(wave[-1]))
            for path, wave in zip(self.files, waves, strict=True)
        }

    @property
    def flux_calibration(self) -> FluxCalibration:
        """Flux calibration that the files declare; the worst of them if they differ."""
        worst = min(self.parts, key=lambda p: _WORST_FIRST.index(p.flux_calibration.status))
        calibration = worst.flux_calibration
        doubts = [part.flux_calibration.doubt for part in self.parts]
        calibration = replace(calibration, doubt=next(filter(None, doubts), ""))
        if all(part.flux_calibration.evidence == calibration.evidence for part in self.parts):
            return calibration
        return replace(calibration, evidence=f"{worst.path}: {calibration.evidence}")

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """The fingerprint of each file, in one value."""
        digests = (
            sha256(repr(sorted(part.fingerprint.items())).encode()).hexdigest()[:16]
            for part in self.parts
        )
        return dict(zip(self._names, digests, strict=True))

    @property
    def _names(self) -> list[str]:
        """Paths of the files in the folder that contains all of them."""
        folder = os.path.commonpath([os.path.dirname(path) for path in self.files])  # noqa: PTH120
        return [os.path.relpath(path, folder) for path in self.files]

    def flux(self, i: int, lo: int = 0, hi: int | None = None) -> Floats:
        """Return the raw flux of spectrum `i` on pixels lo:hi as float64."""
        stop = len(self.wavelength) if hi is None else hi
        (flux,) = [spectrum(lo, stop) for spectrum in self.reader([i])]
        return flux

    def reader(self, rows: Sequence[int]) -> FilesReader:
        """Return a reader of these spectra."""
        numbers = to_integers(rows, "rows")
        readers = tuple(part.reader(numbers) for part in self.parts)
        return FilesReader(self.files, readers, self.layout.pieces, len(numbers))

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> FilesLibrary:
        """Return a library with only these spectra."""
        parts = tuple(part.take(rows) for part in self.parts)
        return replace(self, parts=parts, grid=self.grid.take(rows))

    def _facts(self) -> Mapping[str, object]:
        gaps = ", ".join(f"{a:.6g} to {b:.6g} Å" for a, b in find_gaps(self.sections))
        return {**super()._facts(), "files": len(self.parts), "gaps": gaps or "none"}


def lay_out(waves: Sequence[Floats]) -> Layout:
    """Lay out the pixels of files (n_pixels,), which are sorted by their first wavelength."""
    runs = [_stitch(waves, run) for run in _find_runs(waves)]
    whole = [[(k, 0, len(wave))] for k, wave in enumerate(waves)]
    sections: list[Section] = []
    pieces: list[Piece] = []
    start = 0
    for cuts in (*runs, *(file for file in whole if file not in runs)):
        wave = np.concatenate([waves[k][lo:hi] for k, lo, hi in cuts])
        sections.append(Section(start, wave, stitched=len(cuts) > 1))
        for k, lo, hi in cuts:
            pieces.append(Piece(start, start + hi - lo, k, lo))
            start += hi - lo
    wavelength = np.concatenate([section.wavelength for section in sections[: len(runs)]])
    return Layout(wavelength, tuple(sections), tuple(pieces))


def _find_runs(waves: Sequence[Floats]) -> list[list[int]]:
    """Divide files, sorted by their first wavelength, into runs without a gap."""
    runs = [[0]]
    last = waves[0]  # the file that extends farthest
    for k in range(1, len(waves)):
        widest = max(last[-1] - last[-2], waves[k][1] - waves[k][0])
        if waves[k][0] - last[-1] > _MAX_STEP_RATIO * widest:
            runs.append([])
        runs[-1].append(k)
        last = waves[k] if waves[k][-1] > last[-1] else last
    return runs


def _stitch(waves: Sequence[Floats], run: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return the pixels (file, lo, hi) of a run of files, cut in the middle of the overlaps."""
    chain: list[int] = []  # without the files that lie within another
    for k in run:
        if not chain or waves[k][-1] > waves[chain[-1]][-1]:
            while chain and waves[chain[-1]][0] == waves[k][0]:
                chain.pop()
            chain.append(k)
    cuts, edge = [], -np.inf
    for a, b in pairwise([*chain, chain[-1]]):
        middle = (waves[a][-1] + waves[b][0]) / 2 if a != b else np.inf
        first, stop = (int(k) for k in np.searchsorted(waves[a], [edge, middle]))
        if first < stop:
            cuts.append((a, first, stop))
            # Pixels that almost coincide would make the emulator's step tiny.
            step = min(waves[k][1] - waves[k][0] for k in (a, b))
            edge = waves[a][stop - 1] + _MIN_STEP_RATIO * step
    return cuts


def _common_medium(parts: Sequence[Library]) -> LibraryMedium:
    """Return vacuum if the files' media differ; a file of unknown medium is like the others."""
    media = {part.medium for part in parts} - {"unknown"}
    if not media:
        return "unknown"
    return media.pop() if len(media) == 1 else "vacuum"


def _of_library(declaration: Declaration, part: Library, medium: LibraryMedium) -> Declaration:
    """Return the declaration of a file, with what the library makes of its medium."""
    if declaration.quantity != "medium" or part.medium == medium:
        return declaration
    if part.medium == "unknown":
        return replace(declaration, understood=f"{medium}, as in the other files")
    return replace(declaration, understood=f"{part.medium}, converted to {medium}", converted=True)


def _common_points(parts: Sequence[Library], path: str) -> tuple[list[Library], list[str]]:
    """Return the files with the points that all of them have, and notes on the other points."""
    names = parts[0].grid.names
    tables = []
    for part in parts:
        if set(part.grid.names) != set(names):
            raise LibraryError(
                f"{part.path} has the parameters {', '.join(part.grid.names)}, but "
                f"{parts[0].path} has {', '.join(names)}; expected the same in every file",
                path=part.path,
                name="names",
                value=part.grid.names,
            )
        columns = [part.grid.names.index(name) for name in names]
        points = (part.grid.points[:, columns].round(_DECIMALS) + 0.0).tolist()
        tables.append({tuple(point): row for row, point in enumerate(points)})
    union = dict.fromkeys(point for table in tables for point in table)
    common = [point for point in union if all(point in table for table in tables)]
    if len(common) < 2:
        raise LibraryError(
            f"{path}: {counted(len(common), 'grid point')} in all {len(parts)} files; expected the "
            f"same grid in each, at different wavelengths: check that the files belong together",
            path=path,
            name="points",
            value=len(common),
        )
    notes = []
    for part, table in zip(parts, tables, strict=True):
        missing = [describe(point, names) for point in union if point not in table]
        if missing:
            more = ", ..." if len(missing) > _MAX_LISTED else ""
            notes.append(
                f"{part.path}: no spectrum at {counted(len(missing), 'grid point')} of the other "
                f"files, which are holes: {', '.join(missing[:_MAX_LISTED])}{more}"
            )
    aligned = []
    for part, table in zip(parts, tables, strict=True):
        rows = [table[point] for point in common]
        aligned.append(part if rows == list(range(len(part.grid))) else part.take(rows))
    return aligned, notes


def _joined(texts: Any) -> str:
    return ", ".join(dict.fromkeys(texts))
