"""The demo library: a seeded, synthetic stand-in for a large high-resolution stellar library.

It has a spectrum at every theta, not only at its grid points, so interpolation, rotation and
velocity can be checked against the truth. The physics is in `demo_physics.py`, the seeded lines
and bands in `demo_lines.py`, the files in `demo_writer.py` and `demo_phoenix.py`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.demo.phoenix_writer import write_phoenix
from mixjobs.demo.physics import Star, raw_flux
from mixjobs.demo.writers import write_starfish
from mixjobs.errors import InvalidInput
from mixjobs.typing import Floats
from mixjobs.wavelengths import LogGrid

DEMO_VERSION = 1  # goes up whenever the same seed gives another spectrum

Axes = Mapping[str, Sequence[float]] | Sequence[tuple[str, Sequence[float]]]

LIMITS = {
    "teff": (2000.0, 15000.0),
    "logg": (-1.0, 7.0),
    "feh": (-5.0, 2.0),
    "alpha": (-1.0, 2.0),
}
SHORTEST_WAVE = 1000.0  # Å: below, the coolest spectra would fall out of float32
DEFAULT_AXES: Axes = (
    ("teff", (5600.0, 5800.0, 6000.0, 6200.0)),
    ("logg", (4.0, 4.5, 5.0)),
    ("feh", (-1.0, -0.5, 0.0)),
)


@dataclass(frozen=True)
class DemoLibrary:
    """A synthetic library: grid points, pixels, and the true raw flux at any theta.

    Parameters
    ----------
    axes : mapping or pairs of (name, values)
        Axis values of the grid, strictly increasing. Names from teff (K, required), logg, feh and
        alpha; those left out are solar (4.5, 0, 0). The default has 36 points.
    wave_min, wave_max : float
        Wavelengths of the first and last pixel, Å, vacuum, not below 1000 Å. With `n_pixels` at
        their defaults a pixel is 1.07 km/s: 2.8 pixels to a resolution element at R = 100,000.
        That element is 3 km/s, the narrowest line 4.4 km/s.
        Coarser pixels sample the same function, at their centres.
    n_pixels : int
        Number of pixels, uniform in ln(wavelength).
    seed : int
        Seed of the lines and bands. The same seed is the same star in any window, at any sampling.
    holes : "none" or "phoenix"
        "phoenix" leaves points out as that library does: see `in_phoenix`.

    Raises
    ------
    InvalidInput
        When a name, a value or a range is not usable, or no grid point is left.

    Examples
    --------
    >>> library = DemoLibrary(n_pixels=512, wave_max=5010.0)
    >>> library.points.shape, library.names
    ((36, 3), ('teff', 'logg', 'feh'))
    >>> library.spectrum([5900.0, 4.3, -0.2]).shape
    (512,)
    """

    axes: Axes = DEFAULT_AXES
    wave_min: float = 5000.0
    wave_max: float = 5300.0
    n_pixels: int = 16384
    seed: int = 20130917
    holes: Literal["none", "phoenix"] = "none"

    medium: ClassVar[str] = "vacuum"
    flux_unit: ClassVar[str] = "erg/s/cm^2/AA"

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", _checked_axes(self.axes))
        _check_pixels(self.wave_min, self.wave_max, self.n_pixels)
        if self.seed < 0:
            raise InvalidInput(f"seed {self.seed}: expected 0 or more; give another seed")
        if self.holes not in ("none", "phoenix"):
            raise InvalidInput(
                f"holes {self.holes!r}: expected 'none' or 'phoenix'; choose one of them"
            )
        if len(self.points) == 0:
            raise InvalidInput(
                "no grid point is left by holes='phoenix': expected axes that reach into "
                "PHOENIX's coverage; change the axes or give holes='none'"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in the order of theta."""
        return tuple(dict(self.axes))

    @property
    def points(self) -> Floats:
        """Grid points, (n_points, n_params), the last parameter running fastest."""
        names = self.names
        rows = list(product(*dict(self.axes).values()))
        if self.holes == "phoenix":
            rows = [row for row in rows if in_phoenix(Star(**dict(zip(names, row, strict=True))))]
        return np.array(rows, dtype=np.float64).reshape(-1, len(names))

    @property
    def wavelength(self) -> Floats:
        """Wavelengths of the pixels, (n_pixels,), Å, vacuum, uniform in ln(wavelength)."""
        return np.geomspace(self.wave_min, self.wave_max, self.n_pixels)

    @property
    def dv(self) -> float:
        """Width of a pixel, km/s."""
        return self._log_grid.dv

    @property
    def _log_grid(self) -> LogGrid:
        start, end = math.log(self.wave_min), math.log(self.wave_max)
        return LogGrid(start, (end - start) / (self.n_pixels - 1), self.n_pixels)

    def spectrum(self, theta: ArrayLike) -> Floats:
        """The true raw flux at theta, on or off the grid, erg/s/cm^2/Å.

        Parameters
        ----------
        theta : array_like, (n_params,) or (..., n_params)
            Parameter vectors in the order of `names`. They need not be within the axes, but within
            the generator's own limits: teff 2000 to 15000 K, logg -1 to 7, feh -5 to 2,
            alpha -1 to 2.

        Returns
        -------
        ndarray, (n_pixels,) or (..., n_pixels)
            Positive, and infinitely differentiable in every parameter.

        Raises
        ------
        InvalidInput
            When theta has another length, or a value outside the limits or not finite.
        """
        vectors = np.asarray(theta, dtype=np.float64)
        if vectors.ndim == 0 or vectors.shape[-1] != len(self.names):
            raise InvalidInput(
                f"theta of shape {vectors.shape}: expected the last axis to hold "
                f"{len(self.names)} values ({', '.join(self.names)}); give one for each"
            )
        for column, name in enumerate(self.names):
            _check_limits(name, vectors[..., column])
        wavelength, grid = self.wavelength, self._log_grid
        flux = np.empty((*vectors.shape[:-1], self.n_pixels))
        for index in np.ndindex(vectors.shape[:-1]):
            star = Star(**dict(zip(self.names, vectors[index].tolist(), strict=True)))
            flux[index] = raw_flux(wavelength, grid, star, self.seed)
        return flux

    def write(
        self, path: str | os.PathLike[str], layout: Literal["starfish", "phoenix"] = "starfish"
    ) -> Path:
        """Write all grid points, flux in float32 as real libraries have it.

        The file or folder is made aside, in the same folder, and renamed when complete. A file
        that is already there is replaced; a folder is not.

        Parameters
        ----------
        path : str or path
            The file or folder to make.
        layout : {"starfish", "phoenix"}
            A Starfish HDF5 file; or a folder of FITS files as the PHOENIX library has them, with
            flux in erg/s/cm^2/cm.

        Returns
        -------
        Path
            The path written.

        Raises
        ------
        InvalidInput
            When the folder does not exist, the path of a file is a folder, the layout is unknown,
            or a value has more decimals than the names of PHOENIX files.
        OutputExists
            When the path of a PHOENIX folder exists.
        """
        if layout == "phoenix":
            return write_phoenix(self, path)
        if layout != "starfish":
            raise InvalidInput(f"layout {layout!r}: expected 'starfish' or 'phoenix'; choose one")
        return write_starfish(self, path, DEMO_VERSION)


def in_phoenix(star: Star) -> bool:
    """Whether a library with the ragged edges of PHOENIX (Husser et al. 2013) has this point.

    Fewer Teff at low log g, here the line teff <= 6000 + 3000 logg, which reaches 12000 K at
    log g 2; alpha other than 0 only for 3500 to 8000 K and [Fe/H] from -3 to 0. The shape is
    PHOENIX's, the line is not its list of files.

    Examples
    --------
    >>> in_phoenix(Star(9000.0, 0.5)), in_phoenix(Star(6000.0, 4.5, 0.5, 0.2))
    (False, False)
    """
    if star.teff > 6000.0 + 3000.0 * star.logg:
        return False
    return star.alpha == 0.0 or (3500.0 <= star.teff <= 8000.0 and -3.0 <= star.feh <= 0.0)


def _checked_axes(axes: Axes) -> tuple[tuple[str, tuple[float, ...]], ...]:
    pairs = tuple(axes.items()) if isinstance(axes, Mapping) else tuple(axes)
    names = [name for name, _ in pairs]
    if "teff" not in names or len(set(names)) != len(names) or not set(names) <= set(LIMITS):
        raise InvalidInput(
            f"axes {names}: expected teff, and at most one each of {', '.join(LIMITS)}; "
            "rename or remove the others"
        )
    return tuple((name, _checked_values(name, values)) for name, values in pairs)


def _checked_values(name: str, values: Sequence[float]) -> tuple[float, ...]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or np.any(np.diff(array) <= 0.0):
        raise InvalidInput(
            f"axis {name} with values {values}: expected one or more, strictly increasing; "
            "sort them and remove repeats"
        )
    _check_limits(name, array)
    return tuple(float(value) + 0.0 for value in array)  # + 0.0 turns -0.0 into 0.0


def _check_limits(name: str, values: Floats) -> None:
    low, high = LIMITS[name]
    bad = values[~((values >= low) & (values <= high))]
    if bad.size:
        raise InvalidInput(
            f"{name} = {bad.flat[0]:g}: expected a value from {low:g} to {high:g}; "
            "choose one in that range"
        )


def _check_pixels(wave_min: float, wave_max: float, n_pixels: int) -> None:
    if not (SHORTEST_WAVE <= wave_min < wave_max < math.inf):
        raise InvalidInput(
            f"wavelengths from {wave_min:g} to {wave_max:g} Å: expected {SHORTEST_WAVE:g} Å or "
            "more, increasing and finite; change wave_min or wave_max"
        )
    if n_pixels < 2:
        raise InvalidInput(f"n_pixels {n_pixels}: expected 2 or more; give more pixels")
