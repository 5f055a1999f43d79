"""Fits and residuals of the orders at one set of parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import OutsideGrid
from mixjobs.inference.coupling import OrderTerms, most_probable_weights
from mixjobs.inference.likelihood import OrderData, OrderFit, fit_order, polynomials
from mixjobs.inference.log_probability import LogProbability
from mixjobs.inference.noise import NoiseParams, correlated_part
from mixjobs.inference.order_likelihoods import (
    EpochLikelihoods,
    EpochOrder,
    normalise,
    order_terms,
)
from mixjobs.inference.samples import read_samples
from mixjobs.model.mixture import SpectrumError
from mixjobs.typing import Bools, Floats
from mixjobs.wavelengths import Medium


@dataclass(frozen=True, eq=False)
class FittedOrder:
    """The fit of one order of one spectrum on all its pixels, in the unit of the data.

    On the pixels used, ``flux = fit + correlated + residual * flux_error``. On all pixels,
    ``fit = parts.sum(axis=0) + emulator``.

    Attributes
    ----------
    epoch, number : int
        Index of the spectrum and number of the order.
    wavelength : (n_pixels,) array
        Å, in the medium of the spectrum.
    used : (n_pixels,) bool array
    flux, flux_error : (n_pixels,) arrays
        Observed flux and its standard error.
    continuum : (n_pixels,) array
        The most probable continuum.
    fit : (n_pixels,) array
        Continuum times the corrected spectrum ``S + X w``.
    parts : (K, n_pixels) array
        Continuum times each component.
    emulator : (n_pixels,) array
        Continuum times the correction ``X w`` for the emulator's error.
    correlated : (n_pixels,) array
        The most probable correlated noise; NaN on pixels not used.
    noise_factor : float
        Factor by which the fit scales the flux errors.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths.
    """

    epoch: int
    number: int
    wavelength: Floats
    used: Bools
    flux: Floats
    flux_error: Floats
    continuum: Floats
    fit: Floats
    parts: Floats
    emulator: Floats
    correlated: Floats
    noise_factor: float
    medium: Medium | None = None

    @property
    def residual(self) -> Floats:
        """Data minus fit minus correlated noise, in sigma; NaN on pixels not used."""
        return self._in_sigma(self.flux - self.fit - self.correlated)

    @property
    def difference_in_sigma(self) -> Floats:
        """Data minus fit, in sigma; NaN on pixels not used."""
        return self._in_sigma(self.flux - self.fit)

    @property
    def correlated_in_sigma(self) -> Floats:
        """The correlated noise, in sigma; NaN on pixels not used."""
        return self._in_sigma(self.correlated)

    @property
    def chi2_per_pixel(self) -> float:
        """Mean square of data minus fit, in units of the flux error, over the pixels used."""
        return float(np.mean(self.difference_in_sigma[self.used] ** 2))

    @property
    def chi2_per_pixel_white(self) -> float:
        """The same after the correlated noise is subtracted."""
        return float(np.mean(self.residual[self.used] ** 2))

    def _in_sigma(self, values: Floats) -> Floats:
        scaled = np.full(len(values), np.nan)
        scaled[self.used] = values[self.used] / self.flux_error[self.used]
        return scaled


def fitted_orders(log_probability: LogProbability, x: ArrayLike) -> list[FittedOrder]:
    """Fit every order at the free parameters x (P,).

    Raises
    ------
    OutsideGrid
        The model cannot be evaluated at x.
    """
    plan = log_probability.plan
    parameters = log_probability.parameters
    params = parameters.params(np.atleast_2d(read_samples(x, parameters.names)))
    orders = iter(plan.orders)
    likelihoods = plan.load(range(len(plan.orders)))
    fits = [
        fit
        for epoch in likelihoods.epochs
        for fit in _fit_epoch(log_probability, epoch, params[epoch.epoch], orders)
    ]
    weights = most_probable_weights([fit.terms for fit in fits])
    return [
        replace(fit.at(w[0]), medium=plan.epochs[fit.order.epoch].medium)
        for fit, w in zip(fits, weights, strict=True)
    ]


def _fit_epoch(
    log_probability: LogProbability,
    epoch: EpochLikelihoods,
    params: Floats,
    orders: Iterator[EpochOrder],
) -> Iterator[_OpenFit]:
    mixture, errors_included = epoch.mixture(params), log_probability.plan.emulator_error
    parts = epoch.model.parts(mixture)
    for batch in epoch.model.stream(mixture, errors=errors_included):
        if not np.isfinite(batch.flux).all():
            raise OutsideGrid(
                "x is outside the grid or in a hole; choose values that the model covers",
                name="x",
            )
        m, data = batch.order_index, epoch.data[batch.order_index]
        noise = epoch.noise(params, m, log_probability.noise)
        _, spectra, errors = normalise(batch, np.ones_like(data.used))
        fit = fit_order(data, spectra[:, data.used], errors[:, data.used], noise)
        yield _OpenFit(
            next(orders), data, noise, spectra[0], errors[0], parts[m][0] / batch.level[0], fit,
            batch.error,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _OpenFit:
    """The fit of one order, before the error that all orders share is known.

    Spectra, errors and parts are those of a `FittedOrder` without its continuum: (n_pixels,),
    (n_pixels, R), (K, n_pixels).
    """

    order: EpochOrder
    data: OrderData
    noise: NoiseParams
    spectrum: Floats
    errors: Floats
    parts: Floats
    fit: OrderFit
    error: SpectrumError

    @property
    def terms(self) -> OrderTerms:
        """What the order says about the shared error."""
        return order_terms(self.order.number, self.fit, self.error, np.ones(1, dtype=bool))

    def at(self, weights: Floats) -> FittedOrder:
        """Return the fit with these weights (R,) of the error columns."""
        order, data, noise = self.order, self.data, self.noise
        used, wave = data.used, order.wavelength
        coefficients = self.fit.coefficients[0] + self.fit.response[0] @ weights
        basis = polynomials(wave, order.continuum.degree)
        continuum = data.scale * basis @ coefficients
        correction = continuum * (self.errors @ weights)
        fitted = continuum * self.spectrum + correction
        correlated = np.full(len(wave), np.nan)
        difference = (order.flux - fitted)[used] / data.scale
        correlated[used] = data.scale * correlated_part(
            noise, data.velocity, data.flux_error, difference
        )
        return FittedOrder(
            order.epoch, order.number, wave, used, order.flux, order.flux_error, continuum, fitted,
            continuum * self.parts, correction, correlated, float(np.exp(0.5 * noise.ln_noise[0])),
        )  # fmt: skip
