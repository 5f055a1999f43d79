"""Library files: Starfish HDF5 and PHOENIX FITS."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import InvalidInput, OutputExists
from mixjobs.files import atomic_write
from mixjobs.typing import Floats

_STARFISH_NAMES = {"teff": "T", "logg": "logg", "feh": "Z", "alpha": "alpha"}
_KEY_LETTERS = {"teff": "t", "logg": "g", "feh": "z", "alpha": "a"}
_MIN_DECIMALS = {"teff": 0, "logg": 1, "feh": 1, "alpha": 1}  # in the keys of Starfish
_MAX_DECIMALS = 6
_GZIP = {"compression": "gzip", "compression_opts": 9}

_PHOENIX = "PHOENIX-ACES-AGSS-COND-2011"
_PHOENIX_DECIMALS = {"teff": 0, "logg": 2, "feh": 1, "alpha": 2}  # in the names of files
_SOLAR = {"logg": 4.5, "feh": 0.0, "alpha": 0.0}
_ANGSTROMS_PER_CM = 1e8


def write_starfish(
    path: str | os.PathLike[str],
    names: tuple[str, ...],
    points: Floats,
    wavelength: Floats,
    fluxes: Iterable[Floats],
    dv: float,
    attributes: Mapping[str, Any],
) -> Path:
    """Write a library as a Starfish HDF5 file in the layout of versions 0.3 and 0.4.

    Parameters
    ----------
    path : str or path
        An existing file is replaced.
    names : tuple of D str
        Parameters, from teff, logg, feh and alpha.
    points : (N, D) array
        Grid points.
    wavelength : (n_pixels,) array
        Å, vacuum.
    fluxes : iterable of N (n_pixels,) arrays
        Raw flux, erg/s/cm²/Å; stored as float32.
    dv : float
        Width of a pixel, km/s.
    attributes : mapping
        Attributes of the file.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        The parent folder does not exist, or the path is a folder.
    """
    target = Path(path)
    if not target.parent.is_dir() or target.is_dir():
        raise InvalidInput(
            f"{target}: expected a file name in an existing folder; "
            "create the folder or choose another name",
            path=target,
        )
    key_name = _key_name(names, points)
    with atomic_write(target) as temporary, h5py.File(temporary, "x") as file:
        file.attrs.update(attributes)
        wl = file.create_dataset("wl", data=wavelength, **_GZIP)
        wl.attrs.update({"units": "AA", "air": False, "dv": dv})
        grid_points = file.create_dataset("grid_points", data=points, **_GZIP)
        stored_names = [_STARFISH_NAMES[name] for name in names]
        grid_points.attrs.create("names", stored_names, dtype=h5py.string_dtype())
        group = file.create_group("flux")
        group.attrs.update({"units": "erg/s/cm^2/AA", "key_name": key_name})
        for theta, flux in zip(points, fluxes, strict=True):
            key = key_name.format(*theta)
            group.create_dataset(key, data=flux.astype(np.float32), **_GZIP)
    return target


def write_phoenix(
    path: str | os.PathLike[str],
    names: tuple[str, ...],
    points: Floats,
    wavelength: Floats,
    fluxes: Iterable[Floats],
    seed: int,
) -> Path:
    """Write a library as a new folder of FITS files, arranged like the PHOENIX library.

    Parameters
    ----------
    path : str or path
        The folder to create.
    names, points, wavelength, fluxes
        As for `write_starfish`. The fluxes are stored as float32 in erg/s/cm²/cm, like PHOENIX.
    seed : int
        Recorded in the headers.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        The parent folder does not exist, or a value has more decimals than file names allow.
    OutputExists
        The path exists.
    """
    target = Path(path)
    if target.exists():
        raise OutputExists(f"{target}: exists already; choose another name", path=target)
    if not target.parent.is_dir():
        raise InvalidInput(
            f"{target}: the folder {target.parent} does not exist; create it first", path=target
        )
    for name, column in zip(names, points.T, strict=True):
        _check_decimals(name, column)
    with atomic_write(target) as folder:
        folder.mkdir()
        _write_image(folder / f"WAVE_{_PHOENIX}.fits", wavelength, "Angstrom", seed)
        for theta, flux in zip(points, fluxes, strict=True):
            star = _SOLAR | dict(zip(names, theta.tolist(), strict=True))
            file = folder / phoenix_name(star)
            file.parent.mkdir(exist_ok=True)
            per_cm = (flux * _ANGSTROMS_PER_CM).astype(np.float32)
            _write_image(file, per_cm, "erg/s/cm^2/cm", seed)
    return target


def phoenix_name(star: Mapping[str, float]) -> str:
    """Return the folder and file name of a spectrum in the PHOENIX library.

    The sign of log g is reversed, and [Fe/H] = 0 is written as -0.0.

    Parameters
    ----------
    star : mapping
        Values of teff, logg, feh and alpha.

    Examples
    --------
    >>> phoenix_name({"teff": 5000, "logg": 0.5, "feh": 0, "alpha": 0.2}).partition("/")[2][:31]
    'lte05000-0.50-0.0.Alpha=+0.20.P'
    """
    metals = f"{star['feh'] or -0.0:+.1f}"
    if star["alpha"]:
        metals += f".Alpha={star['alpha']:+.2f}"
    return f"Z{metals}/lte{star['teff']:05.0f}{-star['logg']:+.2f}{metals}.{_PHOENIX}-HiRes.fits"


def _key_name(names: tuple[str, ...], points: Floats) -> str:
    """Return a format string for the keys, with as many decimals as the values need."""
    parts = []
    for column, name in enumerate(names):
        values = np.unique(points[:, column])
        decimals = _MIN_DECIMALS[name]
        while decimals < _MAX_DECIMALS and np.any(np.round(values, decimals) != values):
            decimals += 1
        parts.append(f"{_KEY_LETTERS[name]}{{{column}:.{decimals}f}}")
    return "".join(parts)


def _check_decimals(name: str, values: Floats) -> None:
    decimals = _PHOENIX_DECIMALS[name]
    too_long = values[np.round(values, decimals) != values]
    if len(too_long):
        raise InvalidInput(
            f"{name} = {too_long[0]}: expected at most {decimals} decimals, as in the file names "
            "of PHOENIX; change the axis, or write the Starfish layout",
            name=name,
            value=float(too_long[0]),
        )


def _write_image(path: Path, values: NDArray[np.floating], unit: str, seed: int) -> None:
    from astropy.io import fits  # takes half a second to import

    image = fits.PrimaryHDU(values)
    image.header["BUNIT"] = unit
    image.header["SEED"] = (seed, "mixjobs demo library, not PHOENIX")
    image.writeto(path)
