"""LogGrid: pixels uniform in the logarithm of wavelength, on which a velocity is a shift."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SPEED_OF_LIGHT = 299792.458  # km/s


class LogGrid(NamedTuple):
    """Pixels uniform in ln(wavelength / Å): the first, the step, how many.

    Examples
    --------
    >>> grid = LogGrid(math.log(5000.0), 1e-3, 3)
    >>> grid.wavelength.round(3).tolist()
    [5000.0, 5005.003, 5010.01]
    """

    start: float
    step: float
    n_pixels: int

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """Wavelengths of the pixels, (n_pixels,), Å."""
        wavelength: NDArray[np.float64] = np.exp(self.start + self.step * np.arange(self.n_pixels))
        return wavelength

    @property
    def dv(self) -> float:
        """Width of a pixel, km/s."""
        return SPEED_OF_LIGHT * math.expm1(self.step)
