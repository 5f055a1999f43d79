"""Spectra of a mixture, written to files that others can read: ECSV and HDF5."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mixjobs.display import PlotAccessor
from mixjobs.errors import InvalidInput
from mixjobs.typing import Floats


@dataclass(frozen=True, eq=False)
class Spectra:
    """n spectra of a mixture of K components in M orders, and what they are of.

    Attributes
    ----------
    number : (M,) int array
        Of the orders.
    wave_min, wave_max : (M,) arrays
        Their windows, Å, in the library's medium.
    wavelength : tuple of M (n_pixels,) arrays
        Å.
    flux : tuple of M (n, n_pixels) arrays
        The mixture, in units of component 1's mean flux.
    parts : tuple of M (n, K, n_pixels) arrays
        Its components; they add up to it.
    q : (n, K, M) array
        Mean flux of each component over that of component 1.
    light : (n, K, M) array
        ``c_k q_k``.
    parameters : dict
        A () array for each parameter; of the one that varies, an (n,) array.
    varied : str or None
        The parameter that varies; without one, n is 1.
    labels : tuple of K str
        The components, written for a reader.
    notes : dict
        What else is known: store, medium, versions and so on; numbers and text alone.
    """

    number: NDArray[np.int64]
    wave_min: Floats
    wave_max: Floats
    wavelength: tuple[Floats, ...]
    flux: tuple[Floats, ...]
    parts: tuple[Floats, ...]
    q: Floats
    light: Floats
    parameters: dict[str, Floats]
    varied: str | None
    labels: tuple[str, ...]
    notes: dict[str, Any]

    plot = PlotAccessor("mixjobs.report.spectrum", "SpectraPlots")

    @property
    def mean(self) -> Floats:
        """Mean of the mixture over its pixels, (n, M)."""
        return np.stack([flux.mean(axis=1) for flux in self.flux], axis=1)

    @cached_property
    def by_component(self) -> dict[str, Floats]:
        """``q`` and ``light_fraction``, (n, M) each: of component 2, or ``q_2``, ``q_3``, ..."""
        fraction = self.light / self.light.sum(axis=1, keepdims=True)
        found = {}
        for k in range(1, len(self.labels)):
            ending = "" if len(self.labels) == 2 else f"_{k + 1}"
            found[f"q{ending}"] = self.q[:, k]
            found[f"light_fraction{ending}"] = fraction[:, k]
        return found

    def plain(self, values: Floats) -> Any:
        """Return values (n, ...) as lists, without their first axis where no parameter varies."""
        return (values if self.varied else values[0]).tolist()

    @property
    def plain_parameters(self) -> dict[str, float | list[float]]:
        """The parameters as numbers, and a list where one varies."""
        return {name: value.tolist() for name, value in self.parameters.items()}


def write_ecsv(path: Path, spectra: Spectra) -> None:
    """Write one row a pixel: order, wavelength, flux and components, or a flux a varied value."""
    from astropy import units  # half a second
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


def write_spectrum(
    path: Path, orders: Sequence[tuple[int, Floats, Floats, Floats]], notes: Mapping[str, Any]
) -> None:
    """Write an observed spectrum as ECSV, as `mixjobs.open_spectrum` reads it.

    Of each order its number, wavelengths (Å), fluxes and their standard errors.
    """
    from astropy import units  # half a second
    from astropy.table import Table

    table = Table({"order": np.repeat([o[0] for o in orders], [len(o[1]) for o in orders])})
    for column, name in enumerate(("wavelength", "flux", "sigma"), start=1):
        table[name] = np.concatenate([order[column] for order in orders])
    table["wavelength"].unit = units.AA
    table.meta.update(notes)
    table.write(path, format="ascii.ecsv", overwrite=True)


def write_hdf5(path: Path, spectra: Spectra) -> None:
    """Write a group an order: wavelength, flux (n, n_pixels), parts (n, K, n_pixels).

    The parameters, and what else is known, are attributes of the file; q, light fraction and the
    window are attributes of each group.
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
            group.attrs["window"] = spectra.wave_min[m], spectra.wave_max[m]
            group.attrs.update({k: v[:, m] for k, v in spectra.by_component.items()})


def write_files(files: Mapping[Path, Callable[[Path], None]]) -> None:
    """Write files, each aside in its folder; they get their names when all of them are whole.

    Raises
    ------
    InvalidInput
        One cannot be written; then none has got its name.
    """
    aside = {path: path.with_name(f".{uuid.uuid4().hex}.partial") for path in files}
    path = Path()
    try:
        for path, write in files.items():
            write(aside[path])
        for path in files:
            aside[path].replace(path)
    except OSError as error:
        raise InvalidInput(
            f"{path}: cannot be written ({error.strerror or error}); name another place"
        ) from None
    finally:
        for written in aside.values():
            written.unlink(missing_ok=True)
