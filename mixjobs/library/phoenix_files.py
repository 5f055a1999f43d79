"""Files of a PHOENIX library, in the folders of the Göttingen server or as users arrange them.

Spectra are recognised by their names, which contain the parameters, so the names of folders do not
matter. Files may be compressed (by gzip, bzip2 or xz), and files and folders may be links.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mixjobs.errors import LibraryError, UnreadableFile
from mixjobs.typing import Floats

_EXAMPLE = "lte05000-4.50-0.0.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits"
_WAVELENGTHS = "WAVE_PHOENIX-*.fits"
EXPECTED = (
    f"expected a PHOENIX folder with {_WAVELENGTHS} and files such as Z-0.0/lte*.fits, or the same "
    "as .fits.gz"
)
_IS_SPECTRUM = re.compile(r"lte.*\.fits(\.(gz|bz2|xz|z|fz))?", re.IGNORECASE)
_IS_WAVELENGTHS = re.compile(r"WAVE_PHOENIX.*\.fits(\.(gz|bz2|xz|z|fz))?", re.IGNORECASE)
_COMPRESSION = re.compile(r"(?<=\.fits)\.\w+$", re.IGNORECASE)
_MAY_BE_FOLDER = re.compile(r"(z[+-]?\d|phx|phoenix)", re.IGNORECASE)
# lte05000-4.50-0.5.Alpha=+0.20.PHOENIX-...: Teff, log g after a minus sign, [Fe/H], [alpha/Fe]
_NAME = re.compile(
    r"lte(?P<teff>\d{5})(?P<logg>[+-]\d\.\d+)(?P<feh>[+-]\d\.\d+)"
    r"(?:\.Alpha=(?P<alpha>[+-]\d\.\d+))?\.PHOENIX-.*\.fits(\.\w+)?",
    re.IGNORECASE,
)
_MAX_DEPTH = 3  # of folders: HiResFITS/PHOENIX-ACES-AGSS-COND-2011/Z-0.0
_MIN_PIXEL_BYTES = 4


def is_phoenix(folder: Path) -> bool:
    """Return whether a folder contains any file of a PHOENIX library."""
    names = (path.name for path in _walk(folder))
    return any(_IS_SPECTRUM.fullmatch(name) or _IS_WAVELENGTHS.fullmatch(name) for name in names)


def find_spectra(folder: Path) -> dict[str, os.stat_result]:
    """Return the spectrum files: their status by their path in the folder, sorted.

    A file that exists with and without compression in the same folder is taken without.

    Raises
    ------
    UnreadableFile
        A file cannot be accessed, or a link is broken.
    """
    paths = {}
    for path in _walk(folder):
        if _IS_SPECTRUM.fullmatch(path.name):
            paths[path.relative_to(folder).as_posix()] = path
        elif _is_broken(path) and _MAY_BE_FOLDER.match(path.name):
            raise _broken(path)
    kept = _without_copies(paths)
    try:
        return {name: paths[name].stat() for name in kept}
    except OSError as error:
        raise _broken(Path(error.filename), error) from None


def find_wavelengths(folder: Path, given: Path) -> Path:
    """Return the wavelength file: in the folder, in one of the two above it, or below it.

    Parameters
    ----------
    folder : Path
        The library, with all links resolved.
    given : Path
        The same as the user named it; its wavelengths may be beside a link.

    Raises
    ------
    LibraryError
        There is no such file, or there are several.
    UnreadableFile
        It is a broken link.
    """
    above = [folder, given.absolute().parent, folder.parent, folder.parent.parent]
    files: Sequence[Path] = ()
    for place in above:
        if not files and os.access(place, os.R_OK):
            files = _wavelengths_among(place.iterdir())
    files = files or _same_content(_wavelengths_among(_walk(folder)))
    if len(files) != 1:
        raise LibraryError(
            f"{given}: {len(files)} files match {_WAVELENGTHS}, expected exactly one; {EXPECTED}",
            path=given,
            value=len(files),
        )
    if _is_broken(files[0]):
        raise _broken(files[0])
    return files[0]


def _wavelengths_among(paths: Iterable[Path]) -> list[Path]:
    """Return the wavelength files among some files, without compressed copies."""
    files = {str(path): path for path in paths if _IS_WAVELENGTHS.fullmatch(path.name)}
    return [files[name] for name in _without_copies(files)]


def _without_copies(names: Iterable[str]) -> list[str]:
    """Return names in sequence; of a file and its compressed copies, the file."""
    files: dict[str, str] = {}
    for name in sorted(names):
        files.setdefault(_COMPRESSION.sub("", name), name)
    return list(files.values())


def _same_content(files: Sequence[Path]) -> Sequence[Path]:
    """Return the first of several files if all have the same content."""
    if len(files) > 1 and len({path.read_bytes() for path in files}) == 1:
        return files[:1]
    return files


def _walk(folder: Path) -> Iterator[Path]:
    """Yield everything in a folder and in the folders below it, through links; each folder once.

    Hidden files and folders are left out.
    """
    seen = set()
    pending = [(folder, 1)]
    while pending:
        place, depth = pending.pop()
        if place.resolve() in seen:
            continue
        seen.add(place.resolve())
        try:
            entries = sorted(place.iterdir())
        except OSError as error:
            raise _broken(place, error) from None
        for path in entries:
            if path.name.startswith("."):
                continue
            if depth < _MAX_DEPTH and path.is_dir():
                pending.append((path, depth + 1))
            else:
                yield path


def _is_broken(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _broken(path: Path, error: OSError | None = None) -> UnreadableFile:
    fault = f"cannot be accessed ({error.strerror})" if error else "a broken link"
    if _is_broken(path):
        fault = f"a broken link, to {path.readlink()}"
    return UnreadableFile(f"{path}: {fault}; restore it, or remove it to leave holes", path=path)


def parse_names(names: Sequence[str], path: str = "") -> tuple[Floats, tuple[str, ...]]:
    """Read the parameters from file names.

    Parameters
    ----------
    names : sequence of N str
    path : str
        The library's path, for the error.

    Returns
    -------
    points : (N, D) array
    parameters : tuple of D str
        `alpha` is a parameter if it is not 0 in every file.

    Raises
    ------
    LibraryError
        A name does not follow the PHOENIX pattern, or two files have the same parameters.

    Examples
    --------
    >>> parse_names(["Z-0.5/lte05000-4.50-0.5.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits"])
    (array([[ 5.0e+03,  4.5e+00, -5.0e-01]]), ('teff', 'logg', 'feh'))
    """
    rows: dict[tuple[float, ...], str] = {}
    for name in names:
        match = _NAME.fullmatch(Path(name).name)
        if match is None:
            raise LibraryError(
                f"{path}: {name}: expected a file name such as {_EXAMPLE}; "
                "rename the file or move it elsewhere",
                path=path,
                value=name,
            )
        teff, logg, feh, alpha = match.group("teff", "logg", "feh", "alpha")
        # file names contain the negative of log g: -4.50 means 4.5, +0.50 means -0.5
        point = (float(teff), 0.0 - float(logg), float(feh) + 0.0, float(alpha or 0) + 0.0)
        if point in rows:
            raise LibraryError(
                f"{path}: {rows[point]} and {name} have the same parameters; remove one of them",
                path=path,
                name="points",
                value=list(point),
            )
        rows[point] = name
    points = np.array(list(rows))
    if not points[:, 3].any():
        return points[:, :3], ("teff", "logg", "feh")
    return points, ("teff", "logg", "feh", "alpha")


def check_sizes(folder: Path, files: Mapping[str, os.stat_result], n_pixels: int) -> None:
    """Check that the files are large enough, to detect an incomplete copy before the job.

    Raises
    ------
    UnreadableFile
    """
    min_size = _MIN_PIXEL_BYTES * n_pixels
    plain = {name: status for name, status in files.items() if not _COMPRESSION.search(name)}
    truncated = [name for name, status in plain.items() if status.st_size < min_size]
    truncated += [name for name in files if name not in plain and not files[name].st_size]
    if truncated:
        size = files[truncated[0]].st_size
        raise UnreadableFile(
            f"{folder / truncated[0]}: truncated to {size} bytes, or of another resolution "
            f"({len(truncated)} of {len(files)} files are too small); expected {min_size} or more "
            f"for {n_pixels} pixels: copy the files again, or remove them to leave holes",
            path=folder / truncated[0],
            value=size,
        )
