"""The fit of every order at one theta: what a figure of it shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import OutsideGrid
from mixjobs.inference.likelihood import OrderData, fit_order, polynomials
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.noise import NoiseParams, correlated_part
from mixjobs.inference.order_likelihoods import EpochLikelihoods, EpochOrder, normalise
from mixjobs.typing import Bools, Floats


@dataclass(frozen=True, eq=False)
class FittedOrder:
    """The fit of one order of one spectrum, on all its pixels, in the data's unit.

    On pixels used ``flux = fit + correlated + residual * sigma``; and everywhere
    ``fit = sum of parts + emulator``.

    Attributes
    ----------
    epoch, number : int
        Row of the spectrum, number of the order.
    wavelength : (n_pixels,) array
        Å, in the spectrum's medium.
    used : (n_pixels,) bool array
    flux, sigma : (n_pixels,) arrays
        As observed.
    continuum : (n_pixels,) array
        The most probable one.
    fit : (n_pixels,) array
        Continuum times the corrected spectrum ``S + X w``.
    parts : (K, n_pixels) array
        Continuum times each component.
    emulator : (n_pixels,) array
        Continuum times the correction ``X w``: what the emulator's error absorbs.
    correlated : (n_pixels,) array
        What the correlated noise absorbs; NaN on pixels not used.
    noise_factor : float
        By which the fit multiplies sigma.
    """

    epoch: int
    number: int
    wavelength: Floats
    used: Bools
    flux: Floats
    sigma: Floats
    continuum: Floats
    fit: Floats
    parts: Floats
    emulator: Floats
    correlated: Floats
    noise_factor: float

    @property
    def residual(self) -> Floats:
        """What neither the fit nor the correlated noise has, in sigma; NaN on pixels not used."""
        return self._in_sigma(self.flux - self.fit - self.correlated)

    @property
    def from_fit(self) -> Floats:
        """Data less fit, in sigma; NaN on pixels not used."""
        return self._in_sigma(self.flux - self.fit)

    @property
    def absorbed(self) -> Floats:
        """What the correlated noise absorbs, in sigma; NaN on pixels not used."""
        return self._in_sigma(self.correlated)

    @property
    def chi2_per_pixel(self) -> float:
        """Mean square of data less fit, in sigma as observed, over the pixels used."""
        return float(np.mean(self.from_fit[self.used] ** 2))

    @property
    def chi2_per_pixel_absorbed(self) -> float:
        """The same with what the correlated noise absorbs taken off."""
        return float(np.mean(self.residual[self.used] ** 2))

    def _in_sigma(self, values: Floats) -> Floats:
        found = np.full(len(values), np.nan)
        found[self.used] = values[self.used] / self.sigma[self.used]
        return found


def fitted_orders(log_probability: LogProbability, theta: ArrayLike) -> list[FittedOrder]:
    """Fit the continua at theta (P,), and give what there is in every order.

    Raises
    ------
    OutsideGrid
        The model has no answer at theta.
    """
    plan = log_probability.plan
    tables = log_probability.parameters.params(np.atleast_2d(np.asarray(theta, dtype=np.float64)))
    orders = iter(plan.orders)
    fits = plan.load(range(len(plan.orders)))
    return [
        fitted
        for epoch in fits.epochs
        for fitted in _of_epoch(epoch, tables[epoch.epoch], fits.emulator_error, orders)
    ]


def _of_epoch(
    epoch: EpochLikelihoods, table: Floats, emulator_error: bool, orders: Iterator[EpochOrder]
) -> Iterator[FittedOrder]:
    values, noise = epoch.split(table)
    parts = epoch.model.parts(values)
    for block in epoch.model.stream(values, errors=emulator_error):
        if not np.isfinite(block.flux).all():
            raise OutsideGrid("the model has no answer at this theta; give one within the grid")
        data = epoch.data[block.order_index]
        yield _fitted(
            next(orders), data, noise, block, parts[block.order_index][0] / block.level[0]
        )


def _fitted(
    order: EpochOrder, data: OrderData, noise: NoiseParams, batch: SpectrumBatch, parts: Floats
) -> FittedOrder:
    """Fit an order; `parts` (K, n_pixels) are over the mean level, as the spectrum is."""
    used, wave = data.used, order.wavelength
    _, spectra, errors = normalise(block, np.ones_like(used))
    fit = fit_order(data, spectra[:, used], errors[:, used], noise)
    basis = polynomials(wave, order.continuum.degree)
    continuum = data.scale * basis @ fit.coefficients[0]
    correction = continuum * (errors[0] @ fit.weights[0])
    fitted = continuum * spectra[0] + correction
    correlated = np.full(len(wave), np.nan)
    left = (order.flux - fitted)[used] / data.scale
    correlated[used] = data.scale * correlated_part(noise, data.velocity, data.flux_error, left)
    return FittedOrder(
        order.epoch, order.number, wave, used, order.flux, order.flux_error, continuum, fitted,
        continuum * parts, correction, correlated, float(np.exp(0.5 * noise.ln_noise[0])),
    )  # fmt: skip
