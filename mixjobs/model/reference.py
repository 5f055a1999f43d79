"""A linear fit of one star of the library, in all orders: what an error of its spectrum does to it.

The star has one component, at a grid point. Free are the parameters of the grid, the radial
velocity and the continuum of every order. In this fit, an error of the emulator's weights shifts
the parameters by an amount that small matrices give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.chebyshev import chebvander
from scipy.ndimage import gaussian_filter1d

from mixjobs.grid import Grid
from mixjobs.interpolation.cells import Interpolation
from mixjobs.model.broadening import profile_sigma
from mixjobs.model.emulator import OrderEmulator
from mixjobs.typing import Floats, Ints
from mixjobs.wavelengths import SPEED_OF_LIGHT

_PIXELS_PER_FWHM = 4
_DEGREE = 4  # of the continuum, whose coefficients have prior sd 1
_STEP = 1e-3  # of the smallest step of an axis, for derivatives


@dataclass(frozen=True, eq=False)
class ReferenceOrder:
    """The emulator of one order, on the pixels of the reference observation.

    Attributes
    ----------
    velocity : (n_pixels,) array
        ``c ln(wavelength)``, km/s, ascending.
    mean : (n_pixels,) array
        Mean spectrum.
    eigenspectra : (K, n_pixels) array
    weights : (N, K) array
        Of the eigenspectra at the grid points.
    """

    velocity: Floats
    mean: Floats
    eigenspectra: Floats
    weights: Floats

    @classmethod
    def of_emulator(cls, emulator: OrderEmulator, resolution: float) -> ReferenceOrder:
        """Broaden an emulator to a resolving power, on four pixels for each FWHM."""
        grid, own = emulator.grid, emulator.wavelength
        sigma = profile_sigma(resolution=resolution) / grid.step
        spectra = np.vstack([emulator.mean, emulator.eigenspectra])
        broadened = gaussian_filter1d(spectra, sigma, axis=1, mode="nearest")
        inside = np.flatnonzero((grid.wavelength >= own[0]) & (grid.wavelength <= own[-1]))
        pixels = inside[:: max(1, int(1 / (_PIXELS_PER_FWHM * resolution * grid.step)))]
        velocity = SPEED_OF_LIGHT * np.log(grid.wavelength[pixels])
        return cls(velocity, broadened[0, pixels], broadened[1:, pixels], emulator.weights)

    def products(self, point: int, snr: float) -> Floats:
        """Return ``B K⁻¹ Bᵀ`` (K + 1, K + 1) at one grid point.

        The rows of B are the eigenspectra and the derivative of the spectrum with respect to rv. K
        is the covariance of noise and continuum, by the Woodbury identity (Rasmussen & Williams
        2006, equation A.9).
        """
        spectrum = self.mean + self.weights[point] @ self.eigenspectra
        rows = np.vstack([self.eigenspectra, -np.gradient(spectrum, self.velocity)])
        place = np.linspace(-1, 1, len(spectrum))
        design = snr * spectrum[:, None] * chebvander(place, _DEGREE)
        inner = np.eye(_DEGREE + 1) + design.T @ design
        explained = rows @ design
        products: Floats = rows @ rows.T - explained @ np.linalg.solve(inner, explained.T)
        return products * snr**2


@dataclass(frozen=True, eq=False)
class ReferenceFit:
    """The linear fit at one grid point, of P parameters.

    Attributes
    ----------
    information : (P, P) array
        Inverse covariance of the parameters due to noise and continuum.
    projection : (P, K_all) array
        With an error e (K_all,) of the weights of all orders, the parameters shift by
        ``information⁻¹ @ projection @ e``.
    """

    information: Floats
    projection: Floats


def reference_fit(
    orders: Sequence[ReferenceOrder], slopes: Floats, point: int, snr: float
) -> ReferenceFit:
    """Fit all orders at one grid point.

    Parameters
    ----------
    orders : sequence of ReferenceOrder
    slopes : (D, K_all) array
        Derivatives of the weights of all orders with respect to the parameters: see `node_slopes`.
    point : int
        Row of the grid point.
    snr : float
        Signal-to-noise ratio per pixel.
    """
    ends = np.cumsum([len(order.eigenspectra) for order in orders])[:-1]
    n = len(slopes) + 1
    information, projections = np.zeros((n, n)), []
    for order, of_order in zip(orders, np.split(slopes, ends, axis=1), strict=True):
        derivatives = np.zeros((n, len(order.eigenspectra) + 1))
        derivatives[:-1, :-1], derivatives[-1, -1] = of_order, 1.0
        projection = derivatives @ order.products(point, snr)
        information += projection @ derivatives.T
        projections.append(projection[:, :-1])
    return ReferenceFit(information, np.concatenate(projections, axis=1))


def node_slopes(grid: Grid, between: Interpolation, values: Floats, points: Ints) -> Floats:
    """Differentiate interpolated values with respect to the free parameters, at grid points.

    Parameters
    ----------
    grid : Grid
        N points.
    between : Interpolation
        Between its points.
    values : (N, K) array
    points : (n,) int array
        Rows of grid points.

    Returns
    -------
    (n, D, K) array
        In units of the mean step of each of the D axes with more than one value.
    """
    prepared, slopes = between.prepare(values), []
    for d in grid.free:
        axis = grid.axes[d]
        low, high = grid.points[points].copy(), grid.points[points].copy()
        step = _STEP * np.diff(axis).min()
        low[:, d] = np.maximum(low[:, d] - step, axis[0])
        high[:, d] = np.minimum(high[:, d] + step, axis[-1])
        (of_low, valid_low), (of_high, valid_high) = between.weights(low), between.weights(high)
        change = (of_high - of_low) @ prepared
        slope = change / (high - low)[:, d, None] * np.diff(axis).mean()
        slopes.append(np.where((valid_low & valid_high)[:, None], slope, np.nan))
    return np.stack(slopes, axis=1)
