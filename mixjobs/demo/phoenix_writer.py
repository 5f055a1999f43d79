"""Write the demo library as a directory of FITS files, laid out as PHOENIX HiRes is."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixjobs.errors import InvalidInput, OutputExists

if TYPE_CHECKING:
    from mixjobs.demo.library import DemoLibrary


_SUFFIX = "PHOENIX-ACES-AGSS-COND-2011"
_ANGSTROMS_IN_A_CM = 1e8
_DECIMALS = {"teff": 0, "logg": 2, "feh": 1, "alpha": 2}  # in a file's name
_SOLAR = {"logg": 4.5, "feh": 0.0, "alpha": 0.0}


def write_phoenix(library: DemoLibrary, path: str | os.PathLike[str]) -> Path:
    """Write `library` as the new folder `path`, made aside and renamed; return the path.

    Flux is float32, erg/s/cm^2/cm, as PHOENIX has it.

    Raises
    ------
    InvalidInput
        The folder above does not exist, or a value does not fit into a file's name.
    OutputExists
        The path exists.
    """
    target = Path(path)
    if target.exists():
        raise OutputExists(f"{target}: exists already; give another name")
    if not target.parent.is_dir():
        raise InvalidInput(f"{target}: there is no folder {target.parent}; make it first")
    for name, column in zip(library.names, library.points.T, strict=True):
        _check_fits_name(name, column)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        aside.mkdir()
        _fill(aside, library)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _fill(folder: Path, library: DemoLibrary) -> None:
    _write(folder / f"WAVE_{_SUFFIX}.fits", library.wavelength, "Angstrom", library.seed)
    for theta in library.points:
        star = _SOLAR | dict(zip(library.names, theta.tolist(), strict=True))
        path = folder / _name(star)
        path.parent.mkdir(exist_ok=True)
        flux = (library.spectrum(theta) * _ANGSTROMS_IN_A_CM).astype(np.float32)
        _write(path, flux, "erg/s/cm^2/cm", library.seed)


def _write(path: Path, values: NDArray[np.floating], unit: str, seed: int) -> None:
    from astropy.io import fits  # half a second, which nobody needs who writes none

    image = fits.PrimaryHDU(values)
    image.header["BUNIT"] = unit
    image.header["SEED"] = (seed, "mixjobs demo library, not PHOENIX")
    image.writeto(path)


def _check_fits_name(name: str, values: NDArray[np.float64]) -> None:
    lost = values[np.round(values, _DECIMALS[name]) != values]
    if len(lost):
        raise InvalidInput(
            f"{name} = {lost[0]}: expected at most {_DECIMALS[name]} decimals, as the names of "
            "PHOENIX files have; change the axis, or write the Starfish layout"
        )


def _name(star: Mapping[str, float]) -> str:
    """Folder and name of a spectrum; the sign of log g is reversed, [Fe/H] 0 is -0.0.

    Examples
    --------
    >>> _name({"teff": 5000, "logg": 0.5, "feh": 0, "alpha": 0.2}).partition("/")[2][:31]
    'lte05000-0.50-0.0.Alpha=+0.20.P'
    """
    metals = f"{star['feh'] or -0.0:+.1f}"
    if star["alpha"]:
        metals += f".Alpha={star['alpha']:+.2f}"
    return f"Z{metals}/lte{star['teff']:05.0f}{-star['logg']:+.2f}{metals}.{_SUFFIX}-HiRes.fits"
