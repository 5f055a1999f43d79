"""Opening observed spectra: files, patterns of files, and objects."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict, Unpack, overload

from mixjobs.errors import InvalidInput, MissingFile, UnreadableFile
from mixjobs.file_patterns import is_pattern, matching_files
from mixjobs.files import kind_of
from mixjobs.observed.content import Content, ReaderOptions
from mixjobs.observed.order_files import join_orders, number_orders
from mixjobs.observed.readers import find_reader
from mixjobs.observed.readers.specutils_objects import is_spectrum_object, read_spectrum_object
from mixjobs.observed.spectrum import ObservedSpectrum, check_spectrum, make_spectrum
from mixjobs.wavelengths import Medium

SpectrumPath = str | os.PathLike[str]


class SpectrumObject(Protocol):
    """A Spectrum or SpectrumCollection of specutils."""

    spectral_axis: Any
    flux: Any


Opened = SpectrumPath | ObservedSpectrum | SpectrumObject


class _Options(TypedDict, total=False):
    numbers: Sequence[int] | None
    columns: Mapping[str, str | int] | None
    wavelength_unit: str | None
    medium: Medium | None
    snr: float | None
    format: str | None
    errors_needed: bool


@overload
def open_spectrum(path: Opened, **options: Unpack[_Options]) -> ObservedSpectrum: ...


@overload
def open_spectrum(
    path: list[SpectrumPath] | tuple[SpectrumPath, ...], **options: Unpack[_Options]
) -> list[ObservedSpectrum]: ...


def open_spectrum(
    path: Opened | list[SpectrumPath] | tuple[SpectrumPath, ...],
    *,
    numbers: Sequence[int] | None = None,
    columns: Mapping[str, str | int] | None = None,
    wavelength_unit: str | None = None,
    medium: Medium | None = None,
    snr: float | None = None,
    format: str | None = None,
    errors_needed: bool = True,
) -> ObservedSpectrum | list[ObservedSpectrum]:
    """Read an observed spectrum from a file, whatever its format.

    The format is found from the content of the file: HDF5, FITS, ECSV or text. The quantities are
    found by the names of columns, datasets or extensions, in any case:

    - `wavelength`, `wave`, `waves`, `wl`, `lambda`, ... or `loglam` (log10), in the declared unit;
      without a unit in Å, unless the numbers could be in nm or µm;
    - `flux`, `fluxes`, `sci`, ...; flux per frequency is converted to flux per wavelength;
    - `sigma`, `error`, `err`, `uncertainty`, `flux_error`, ...: the standard error; or else
      `variance`, `var`; `ivar`; or `snr`, per pixel;
    - `mask`, optional: **1 = use**, 0 = ignore (the opposite of numpy's masks); or `flags`, `dq`,
      `quality`, `and_mask`, ..., and masks with other whole numbers: 0 = use;
    - `order`, `sporder`, ..., optional: whole numbers.

    The layouts are described in the documentation: tables with a row per pixel, a row per order, or
    one row of arrays; a table per order; images (pixels,) or (orders, pixels); a wavelength scale
    in the header; Starfish's HDF5. Files of the pipelines of IGRINS and HPF (Goldilocks) are
    recognised. Each spectrum lists in `declarations` what was used for each quantity.

    The medium (air or vacuum) is read from attributes and keywords such as `air`, `medium`,
    AIRORVAC, VACUUM, and CTYPE or TCTYP (AWAV, WAVE); the velocity of the Earth from
    `barycentric_velocity` or `BCV` (km/s, or the unit in the comment of a FITS card). BERV, HELCORR
    and the like are named in a note but not used, because observatories disagree on their sign and
    unit. Pixels are masked if the flux or its error is
    missing; padding is removed, and descending wavelengths are reversed. Orders that the file does
    not number count from 0.

    **A pattern** such as ``"star_m*.hdf5"`` stands for the orders of one epoch, in several files.
    If the files do not number their orders, each must hold one, and its number is that in the
    file's name which differs between the names: 91 for ``star_m091.hdf5``. Where several numbers
    differ, write ``{order}`` in place of the order's number, as in ``"star_*_m{order}.hdf5"``, or
    give `numbers`. Files of one epoch must not contradict each other on their medium or barycentric
    velocity. A file whose name looks like a pattern is that file.

    **A list** of files or patterns holds one spectrum per epoch.

    **Objects of specutils**: a Spectrum, or a SpectrumList or SpectrumCollection with one element
    per order. Their masks are numpy's (True = bad); the medium is read from `meta`. An
    `ObservedSpectrum` is returned unchanged; for arrays see `ObservedSpectrum.from_arrays`.

    Parameters
    ----------
    path : str, path, object, or list of them
        A file or a pattern, or a list with one for each epoch; or a spectrum of specutils.
    numbers : sequence of int, optional
        Numbers of the orders, in the sequence of the file, or of the files in the sequence of the
        numbers in their names. By default those that the files declare, or those in the names.
    columns : mapping, optional
        Names or numbers of the columns, datasets or extensions, where they are not found by
        themselves: ``{"wavelength": "LAM", "flux": "F1", "flux_error": "E1"}``. The keys are
        `wavelength`, `flux`, `flux_error`, `variance`, `ivar`, `snr`, `mask`, `flags`, `order`, and
        `extension` for the table of a FITS file. Columns count from 1, extensions from 0.
    wavelength_unit : str, optional
        Unit of the wavelengths, such as ``"nm"``, if the file does not declare it.
    medium : {"air", "vacuum"}, optional
        Medium of the wavelengths, if the file does not declare it.
    snr : float, optional
        Signal-to-noise ratio per pixel at the median flux of each order, for a file without flux
        errors. The error is the same in all pixels of an order.
    format : {"specutils"}, optional
        Read the file with the loaders of specutils, which must be installed.
    errors_needed : bool, optional
        False accepts a file without flux errors if only its wavelengths are needed.

    Returns
    -------
    ObservedSpectrum, or list of ObservedSpectrum
        A list for a list.

    Raises
    ------
    MissingFile
        The file does not exist, or no file matches the pattern.
    InvalidInput
        The numbers of the orders are not clear or do not fit, or files of one epoch contradict each
        other.
    UnreadableFile
        The file is damaged, or has an unknown format or layout; or a quantity is missing, is not
        made of numbers, or has an unknown unit.
    OrderError
        The wavelengths of an order are not finite, positive and strictly ascending.

    Examples
    --------
    >>> import tempfile
    >>> import h5py
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/star.hdf5", "w") as file:
    ...         file["waves"] = [[5000.0, 5001.0], [5001.0, 5002.0]]
    ...         file["fluxes"] = [[1.0, 1.1], [1.2, 1.3]]
    ...         file["sigmas"] = [[0.1, 0.1], [0.1, -99.9]]
    ...     observed = open_spectrum(f"{folder}/star.hdf5")
    >>> observed.orders.number.tolist(), observed.mask[1].tolist(), observed.medium
    ([0, 1], [True, False], None)
    >>> for note in observed.notes:
    ...     print(note)
    the wavelengths have no unit; assumed to be in Å
    pixels masked because the flux or its error is not usable: 1
    """
    options = ReaderOptions(
        {} if columns is None else columns, wavelength_unit, medium, snr, format, errors_needed
    )
    return _opened(path, numbers, options)


def _opened(
    path: Any, numbers: Sequence[int] | None, options: ReaderOptions
) -> ObservedSpectrum | list[ObservedSpectrum]:
    if isinstance(path, ObservedSpectrum):
        return path
    if is_spectrum_object(path):
        content = read_spectrum_object(path, options)
        source = Path(type(path).__name__)
        return check_spectrum(
            make_spectrum(source, *number_orders(source, [source], [content], numbers))
        )
    if isinstance(path, list | tuple):
        epochs = [_opened(one, numbers, options) for one in path]
        return [one for one in epochs if isinstance(one, ObservedSpectrum)]
    if not isinstance(path, str | os.PathLike):
        raise InvalidInput(
            f"a spectrum of type {type(path).__name__}: expected a path, a spectrum of specutils, "
            "or ObservedSpectrum.from_arrays(...)",
            name="path",
            value=type(path).__name__,
        )
    files = matching_files(path) if is_pattern(path) else [Path(path)]
    contents = number_orders(path, files, [_read(file, options) for file in files], numbers)
    spectra = [make_spectrum(*one) for one in zip(files, contents, strict=True)]
    return check_spectrum(join_orders(path, spectra) if len(files) > 1 else spectra[0])


def _read(path: Path, options: ReaderOptions) -> Content:
    if not path.exists():
        raise MissingFile(f"{path}: no such file; check the path of the spectrum", path=path)
    if not path.is_file():
        raise UnreadableFile(
            f"{path}: this is {kind_of(path)}; expected the file of an observed spectrum", path=path
        )
    return find_reader(path, options)(path, options)
