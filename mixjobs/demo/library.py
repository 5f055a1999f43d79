"""The demo library: a seeded, synthetic substitute for a large high-resolution stellar library.

Its true spectrum is known at every theta, not only at its grid points, so that interpolation,
rotation and velocities can be tested.
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

from mixjobs.demo.physics import Star, raw_flux
from mixjobs.demo.writers import write_phoenix, write_starfish
from mixjobs.display import Summarised
from mixjobs.errors import InvalidInput
from mixjobs.grid import THETA_UNITS, to_theta
from mixjobs.typing import Floats
from mixjobs.units import to_value
from mixjobs.wavelengths import LogGrid

DEMO_VERSION = 1  # increased whenever the spectra of a given seed change

Axes = Mapping[str, Sequence[float]] | Sequence[tuple[str, Sequence[float]]]

LIMITS = {
    "teff": (2000.0, 15000.0),
    "logg": (-1.0, 7.0),
    "feh": (-5.0, 2.0),
    "alpha": (-1.0, 2.0),
}
SHORTEST_WAVE = 1000.0  # Å: at shorter wavelengths the coolest spectra underflow in float32
DEFAULT_AXES: Axes = (
    ("teff", (5600.0, 5800.0, 6000.0, 6200.0)),
    ("logg", (4.0, 4.5, 5.0)),
    ("feh", (-1.0, -0.5, 0.0)),
)


@dataclass(frozen=True, repr=False)
class DemoLibrary(Summarised):
    """A synthetic library: grid points, pixels, and the true raw flux at any theta.

    Parameters
    ----------
    axes : mapping or pairs of (name, values)
        Axis values of the grid, strictly increasing. The names are teff (required; K or a quantity
        of temperature), logg, feh and alpha; omitted parameters are solar (4.5, 0, 0). The default
        grid has 36 points.
    wave_min, wave_max : float or quantity
        Wavelengths of the first and the last pixel, Å, vacuum; 1000 Å or longer. With the default
        `n_pixels`, a pixel is 1.07 km/s wide: 2.8 pixels per resolution element of 3 km/s at
        R = 100,000. The narrowest line is 4.4 km/s wide. Coarser pixels sample the same function
        at their centres.
    n_pixels : int
        Number of pixels, uniform in ln(wavelength).
    seed : int
        Seed of the lines and bands. Libraries with the same seed have the same spectrum in any
        wavelength range, at any sampling.
    holes : "none" or "phoenix"
        "phoenix" omits points where the PHOENIX library has none: see `in_phoenix`.

    Raises
    ------
    InvalidInput
        A name, value, range or unit is not valid, or no grid points are left.

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
        for name in ("wave_min", "wave_max"):
            object.__setattr__(self, name, to_value(getattr(self, name), "Angstrom", name))
        _check_pixels(self.wave_min, self.wave_max, self.n_pixels)
        if self.seed < 0:
            raise InvalidInput(
                f"seed {self.seed}: expected 0 or more", name="seed", value=self.seed
            )
        if self.holes not in ("none", "phoenix"):
            raise InvalidInput(
                f"holes {self.holes!r}: expected 'none' or 'phoenix'",
                name="holes",
                value=self.holes,
            )
        if len(self.points) == 0:
            raise InvalidInput(
                "holes 'phoenix' leaves no grid points: expected axes that overlap with the "
                "PHOENIX library; change the axes or choose holes='none'",
                name="holes",
                value=self.holes,
            )

    def _facts(self) -> Mapping[str, object]:
        axes = {
            name: f"{values[0]:g} to {values[-1]:g} ({len(values)} values)"
            if len(values) > 1
            else f"{values[0]:g}"
            for name, values in dict(self.axes).items()
        }
        return {
            "points": len(self.points),
            **axes,
            "wavelength": f"{self.wave_min:.8g} to {self.wave_max:.8g} Å ({self.n_pixels} pixels)",
            "medium": self.medium,
            "seed": self.seed,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names, in the order of theta."""
        return tuple(dict(self.axes))

    @property
    def points(self) -> Floats:
        """Grid points, (n_points, n_params); the last parameter varies fastest."""
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
        """Return the true raw flux at theta, on or off the grid, erg/s/cm²/Å.

        Parameters
        ----------
        theta : array_like, (n_params,) or (..., n_params)
            Parameters in the sequence of `names`; teff in K or as a quantity. Values beyond the
            axes are allowed within these limits: teff 2000 to 15000 K, logg -1 to 7, feh -5 to 2,
            alpha -1 to 2.

        Returns
        -------
        ndarray, (n_pixels,) or (..., n_pixels)
            Positive, and infinitely differentiable in every parameter.

        Raises
        ------
        InvalidInput
            theta has another length, or a value is outside the limits or not finite.
        """
        vectors = to_theta(theta, self.names)
        if vectors.ndim == 0 or vectors.shape[-1] != len(self.names):
            raise InvalidInput(
                f"theta of shape {vectors.shape}: expected (..., {len(self.names)}) with "
                f"{', '.join(self.names)}",
                name="theta",
                value=vectors.shape,
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
        """Write the spectra of all grid points, in float32 like real libraries.

        The file or folder appears only when it is complete. An existing file is replaced; an
        existing folder is not.

        Parameters
        ----------
        path : str or path
            The file or folder to write.
        layout : {"starfish", "phoenix"}
            A Starfish HDF5 file; or a folder of FITS files arranged like the PHOENIX library, with
            flux in erg/s/cm²/cm.

        Returns
        -------
        Path
            The path.

        Raises
        ------
        InvalidInput
            The parent folder does not exist, a folder exists at the path of the file, the layout
            is unknown, or a value has more decimals than the file names of PHOENIX.
        OutputExists
            The path of a PHOENIX folder exists.
        """
        if layout not in ("starfish", "phoenix"):
            raise InvalidInput(
                f"layout {layout!r}: expected 'starfish' or 'phoenix'", name="layout", value=layout
            )
        points = self.points
        content = (self.names, points, self.wavelength, map(self.spectrum, points))
        if layout == "phoenix":
            return write_phoenix(path, *content, seed=self.seed)
        attributes = {
            "grid_name": "mixjobs demo",
            "norm": False,
            "demo_seed": self.seed,
            "demo_version": DEMO_VERSION,
        }
        return write_starfish(path, *content, dv=self.dv, attributes=attributes)


def in_phoenix(star: Star) -> bool:
    """Return whether a library similar to PHOENIX (Husser et al. 2013) has this point.

    The highest Teff decreases towards low log g, here as teff <= 6000 + 3000 logg (12000 K at
    log g = 2). alpha differs from 0 only for Teff from 3500 to 8000 K and [Fe/H] from -3 to 0. This
    approximates PHOENIX's coverage; it is not its list of files.

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
            "rename or remove the others",
            name="axes",
            value=names,
        )
    return tuple((name, _checked_values(name, values)) for name, values in pairs)


def _checked_values(name: str, values: Sequence[float]) -> tuple[float, ...]:
    array = np.asarray(to_value(values, THETA_UNITS.get(name, ""), name), dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or np.any(np.diff(array) <= 0.0):
        raise InvalidInput(
            f"axis {name} with values {values}: expected one or more values, strictly increasing; "
            "sort them and remove repeats",
            name=name,
            value=values,
        )
    _check_limits(name, array)
    return tuple(float(value) + 0.0 for value in array)  # + 0.0 turns -0.0 into 0.0


def _check_limits(name: str, values: Floats) -> None:
    low, high = LIMITS[name]
    outside = values[~((values >= low) & (values <= high))]
    if outside.size:
        raise InvalidInput(
            f"{name} = {outside.flat[0]:g}: expected a value from {low:g} to {high:g}",
            name=name,
            value=float(outside.flat[0]),
        )


def _check_pixels(wave_min: float, wave_max: float, n_pixels: int) -> None:
    if not (SHORTEST_WAVE <= wave_min < wave_max < math.inf):
        raise InvalidInput(
            f"wavelengths from {wave_min:g} to {wave_max:g} Å: expected {SHORTEST_WAVE:g} Å or "
            "longer, increasing and finite; change wave_min or wave_max",
            name="wave_min",
            value=(wave_min, wave_max),
        )
    if n_pixels < 2:
        raise InvalidInput(
            f"n_pixels {n_pixels}: expected 2 or more", name="n_pixels", value=n_pixels
        )
