"""Files of spectra: ECSV tables and HDF5."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from mixjobs.errors import InvalidInput, OutputExists
from mixjobs.files import atomic_write, refuse_inside

if TYPE_CHECKING:
    from mixjobs.store.spectra import Spectra


Write = Callable[[Path, "Spectra"], None]


def write_spectra(path: Path, spectra: Spectra, overwrite: bool = False) -> None:
    """Write spectra in the format of the file's ending; see `Spectra.write`."""
    write = writer(path)
    check_new(path, overwrite)
    write_files({path: lambda aside: write(aside, spectra)})


def writer(path: Path) -> Write:
    """Return the function that writes the format of a file's ending.

    Raises
    ------
    InvalidInput
        An unknown ending.
    """
    if path.suffix.lower() not in WRITERS:
        raise InvalidInput(
            f"{path}: unknown file type {path.suffix!r}; use one of {', '.join(WRITERS)}",
            path=path, value=path.suffix,
        )  # fmt: skip
    return WRITERS[path.suffix.lower()]


def check_new(path: Path, overwrite: bool) -> None:
    """Check that a file can be created, or may be overwritten.

    Raises
    ------
    InvalidInput
        Its folder does not exist, the path is a folder, or it is inside a store or a run.
    OutputExists
        The file exists and may not be overwritten.
    """
    if not path.parent.is_dir():
        raise InvalidInput(
            f"{path}: the folder {path.parent} does not exist; create it first", path=path
        )
    refuse_inside(path)
    if path.is_dir():
        raise InvalidInput(f"{path}: this is a folder; give the name of a file", path=path)
    if path.exists() and not overwrite:
        raise OutputExists(
            f"{path}: already exists; choose another name or allow overwriting", path=path
        )


def write_ecsv(path: Path, spectra: Spectra) -> None:
    """Write an ECSV table with one row per pixel.

    The columns are order, wavelength, flux and the components. If a parameter varies, they are
    order, wavelength and one flux for each value of the parameter.
    """
    from astropy import units  # takes half a second to import
    from astropy.table import Table

    sizes = [len(wave) for wave in spectra.wavelength]
    table = Table({"order": np.repeat(spectra.number, sizes)})
    table["wavelength"] = np.concatenate(spectra.wavelength) * units.AA
    flux = np.concatenate(spectra.flux, axis=1)
    if spectra.varied:
        for row, values in enumerate(flux):
            table[f"flux_{row}"] = values
    else:
        table["flux"] = flux[0]
        for k in range(len(spectra.labels)):
            table[f"component_{k + 1}"] = np.concatenate([part[0, k] for part in spectra.parts])
    numbers = spectra.number.tolist()
    table.meta.update(spectra.notes, parameters=spectra.plain_parameters, varied=spectra.varied)
    for name, values in spectra.by_component.items():
        by_order = [spectra.plain(column) for column in values.T]
        table.meta[name] = dict(zip(numbers, by_order, strict=True))
    table.write(path, format="ascii.ecsv")


def write_hdf5(path: Path, spectra: Spectra) -> None:
    """Write an HDF5 file with one group per order.

    A group holds wavelength, flux (n, n_pixels) and parts (n, K, n_pixels). Its attributes are q,
    the light fraction and the wavelength range; the parameters and the provenance are attributes
    of the file.
    """
    with h5py.File(path, "x") as file:
        for name, note in spectra.notes.items():
            for key, value in note.items() if isinstance(note, dict) else [("", note)]:
                file.attrs[f"{name}_{key}" if key else name] = value
        file.attrs["parameters"] = list(spectra.parameters)
        file.attrs["varied"] = spectra.varied or ""
        file.attrs.update(spectra.parameters)
        for m, number in enumerate(spectra.number):
            group = file.create_group(f"{number}")
            group["wavelength"] = spectra.wavelength[m]
            group["wavelength"].attrs["units"] = "Angstrom"
            group["flux"] = spectra.flux[m]
            group["parts"] = spectra.parts[m]
            group.attrs["range"] = spectra.wave_min[m], spectra.wave_max[m]
            group.attrs.update({k: v[:, m] for k, v in spectra.by_component.items()})


def write_files(files: Mapping[Path, Callable[[Path], None]]) -> None:
    """Write several files, or none of them if one cannot be written.

    Raises
    ------
    InvalidInput
        A file cannot be written.
    JobFailed
        The disk is full, or a folder is not writable.
    """
    path = Path()
    try:
        with ExitStack() as stack:
            for path, write in files.items():
                write(stack.enter_context(atomic_write(path)))
    except OSError as error:
        raise InvalidInput(
            f"{path}: cannot be written ({error.strerror or error}); choose another path", path=path
        ) from None


WRITERS: dict[str, Write] = {".ecsv": write_ecsv, ".h5": write_hdf5, ".hdf5": write_hdf5}
