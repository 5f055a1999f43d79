"""The likelihood of orders from their sufficient statistics, without pixels.

It is the likelihood of `mixjobs.inference.likelihood`, term by term; `mixjobs.inference.statistics`
defines H, h, dd and w0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from mixjobs.inference.coupling import OrderTerms
from mixjobs.inference.likelihood import OrderFit
from mixjobs.inference.order_likelihoods import EpochLikelihoods, normalise, order_terms
from mixjobs.inference.order_noise import OrderNoise
from mixjobs.inference.statistics import OrderStatistics, StatisticsBatch
from mixjobs.model.coefficients import in_coefficients
from mixjobs.model.library_model import LibraryComponent
from mixjobs.model.mixture import SpectrumBatch
from mixjobs.typing import Floats, Ints


@dataclass(frozen=True, eq=False)
class CompressedFit:
    """The fit of an order's continuum from its statistics, at n samples.

    Attributes
    ----------
    statistics : StatisticsBatch
        Of k polynomials and B spectra.
    spectra : (n, B) array
        Coefficients of the spectra, divided by their mean level.
    errors : (n, B, R) array
        Coefficients of the columns of their error.
    """

    statistics: StatisticsBatch
    spectra: Floats
    errors: Floats

    def fit(self) -> OrderFit:
        """Return what `mixjobs.inference.likelihood.fit_order` returns."""
        statistics, mean = self.statistics, np.eye(self.n_coefficients)[0]
        coefficients = mean + self._deviation
        continuum = coefficients
        if self.errors.shape[2]:
            continuum = mean + self._deviation_with_errors(continuum)
        gram, with_design = self._error_products(continuum)
        half = self._inverse_root @ with_design
        chi_squared, gradient = self._chi_squared(coefficients)
        log_det = 2 * np.log(np.diagonal(self._root, axis1=1, axis2=2)).sum(axis=1)
        log_det += 2 * self.n_coefficients * np.log(statistics.prior_sd)
        scaled = np.matmul(continuum[:, None], gradient)[:, 0]
        return OrderFit(
            own=-0.5 * (chi_squared + log_det + statistics.log_norm),
            projection=np.matmul(scaled[:, None], self.errors)[:, 0],
            precision=gram - half.transpose(0, 2, 1) @ half,
            coefficients=coefficients,
            response=-self._inverse_root.transpose(0, 2, 1) @ half,
        )

    @property
    def n_coefficients(self) -> int:
        """Number k of coefficients of the continuum."""
        return int(len(self.statistics.reference) // self.spectra.shape[1])

    def _by_polynomial(self, values: Floats) -> Floats:
        """Give values (n, k B) the shape (n, k, B)."""
        return values.reshape(len(values), self.n_coefficients, -1)

    @cached_property
    def _spectrum_products(self) -> Floats:
        """Products of the spectra times each polynomial with C, (n, k, k, B)."""
        blocks, spectra = self.statistics.blocks, self.spectra
        (n, n_basis), k = spectra.shape, self.n_coefficients
        first, second = _pairs(k)
        products = np.empty((n, k, k, n_basis))
        products[:, second, first] = np.matmul(blocks, spectra[:, None, :, None])[..., 0]
        products[:, first, second] = np.matmul(spectra[:, None, None], blocks)[:, :, 0]
        return products

    @cached_property
    def _design(self) -> Floats:
        """``A N⁻¹ Aᵀ`` of the k columns A of the continuum, plus their prior: (n, k, k)."""
        design = np.matmul(self._spectrum_products, self.spectra[:, None, :, None])[..., 0]
        prior = np.eye(self.n_coefficients) / self.statistics.prior_sd**2
        return np.asarray(design + prior)

    @cached_property
    def _root(self) -> Floats:
        return np.linalg.cholesky(self._design).astype(np.float64, copy=False)

    @cached_property
    def _inverse_root(self) -> Floats:
        return np.linalg.inv(self._root).astype(np.float64, copy=False)

    @cached_property
    def _data_products(self) -> Floats:
        """``C N⁻¹ r`` with the residual r at the prior mean of the continuum, (n, k, B)."""
        statistics = self.statistics
        of_data = self._by_polynomial(statistics.projection + statistics.of_reference)
        return np.asarray(of_data - self._spectrum_products[:, 0])

    @cached_property
    def _residual_products(self) -> Floats:
        """``A N⁻¹ r``, (n, k, 1)."""
        products: Floats = np.matmul(self._data_products, self.spectra[:, :, None])
        return products

    @cached_property
    def _deviation(self) -> Floats:
        """Most probable coefficients minus their prior mean, without errors: (n, k)."""
        half = self._inverse_root @ self._residual_products
        solved: Floats = self._inverse_root.transpose(0, 2, 1) @ half
        return solved[:, :, 0]

    def _error_products(self, continuum: Floats) -> tuple[Floats, Floats]:
        """Products of the errors times a continuum (n, k), (n, R, R), and with A, (n, k, R)."""
        n, n_basis = self.spectra.shape
        first, second = _pairs(self.n_coefficients)
        factors = continuum[:, first] * continuum[:, second] / (1 + (first == second))
        blocks = self.statistics.blocks.reshape(n, -1, n_basis**2)
        half = np.matmul(factors[:, None], blocks).reshape(n, n_basis, n_basis)
        gram = self.errors.transpose(0, 2, 1) @ ((half + half.transpose(0, 2, 1)) @ self.errors)
        scaled = np.matmul(continuum[:, None, None], self._spectrum_products)[:, :, 0]
        return (gram + gram.transpose(0, 2, 1)) / 2, scaled @ self.errors

    def _deviation_with_errors(self, continuum: Floats) -> Floats:
        """Most probable deviation with the errors, scaled by a continuum (n, k), left free."""
        gram, with_design = self._error_products(continuum)
        gram[:, range(gram.shape[1]), range(gram.shape[1])] += 1.0
        scaled = np.matmul(continuum[:, None], self._data_products)
        of_errors = np.matmul(scaled, self.errors).transpose(0, 2, 1)
        # The errors are eliminated first (Schur complement); only k coefficients are needed.
        right = np.concatenate([with_design.transpose(0, 2, 1), of_errors], axis=2)
        eliminated = with_design @ np.linalg.solve(gram, right)
        solved = np.linalg.solve(
            self._design - eliminated[:, :, :-1], self._residual_products - eliminated[:, :, -1:]
        )
        return solved[:, :, 0].astype(np.float64, copy=False)

    def _chi_squared(self, coefficients: Floats) -> tuple[Floats, Floats]:
        """Return chi² (n,) at coefficients (n, k) and their prior, and ``C N⁻¹ r`` (n, k, B).

        Both are differences from the reference, which leaves small numbers.
        """
        statistics = self.statistics
        n, k = coefficients.shape
        model = np.matmul(coefficients[:, None], self._spectrum_products.reshape(n, k, -1))[:, 0]
        difference = (coefficients[:, :, None] * self.spectra[:, None]).reshape(n, -1)
        difference -= statistics.reference
        change = model - statistics.of_reference
        chi_squared = statistics.square + np.einsum(
            "nc,nc->n", difference, change - 2 * statistics.projection
        )
        chi_squared += (self._deviation**2).sum(axis=1) / statistics.prior_sd**2
        return chi_squared, self._by_polynomial(statistics.projection - change)


@cache
def _pairs(k: int) -> tuple[Ints, Ints]:
    """Return the pairs i <= j of k polynomials, in the sequence of the blocks of H."""
    return np.triu_indices(k)


@dataclass(frozen=True, eq=False)
class CompressedEpoch:
    """The orders of one epoch: their model in coefficients, and their statistics."""

    epoch: EpochLikelihoods
    statistics: tuple[OrderStatistics, ...]

    def terms(
        self, params: Floats, held: Sequence[OrderNoise], emulator_error: bool
    ) -> list[OrderTerms]:
        """Evaluate what each order contributes to the likelihood at params (n, n_names)."""
        model, everything = self.epoch.model, slice(0, len(params))
        samples, _ = model.read(self.epoch.mixture(params))
        first = next(c for c in samples.components if isinstance(c, LibraryComponent))
        terms = []
        box = self.statistics[0].box  # all orders of an epoch have the same
        weights, inside = box.weights(first.rv, first.vsini), box.inside(first.rv, first.vsini)
        for m, statistics in enumerate(self.statistics):
            order = model.order(samples, m)
            flux, error = order.spectra(everything, emulator_error)
            batch = SpectrumBatch(m, everything, flux, order.light.sum(axis=1), error)
            valid, spectra, errors = normalise(batch, np.ones(flux.shape[1], dtype=bool))
            valid &= inside
            ln_noise, log_amplitude, _ = self.epoch.noise_values(params, m, held).T
            # The factor of correlated noise is part of the statistics.
            ln_factor = np.where(np.isneginf(log_amplitude), ln_noise, 0.0)
            fit = CompressedFit(statistics.at(weights, ln_factor), spectra, errors).fit()
            terms.append(order_terms(int(model.orders.number[m]), fit, error, valid))
        return terms


@dataclass(frozen=True, eq=False)
class CompressedLikelihoods:
    """The likelihoods of all orders from their statistics; takes the place of the exact ones."""

    epochs: tuple[CompressedEpoch, ...]
    emulator_error: bool

    def __call__(self, task: Callable[[CompressedLikelihoods], list[Any]]) -> list[Any]:
        """Run a task that returns one result for each order."""
        return task(self)

    def terms(self, params: Sequence[Floats], held: Sequence[OrderNoise] = ()) -> list[OrderTerms]:
        """Evaluate what each order contributes, as `OrderLikelihoods.terms` does."""
        return [
            term
            for epoch in self.epochs
            for term in epoch.terms(params[epoch.epoch.epoch], held, self.emulator_error)
        ]


def compressed_epoch(
    epoch: EpochLikelihoods, statistics: Sequence[OrderStatistics]
) -> CompressedEpoch:
    """Combine the exact likelihoods of an epoch with the statistics of its orders."""
    coefficients = replace(epoch, model=in_coefficients(epoch.model))
    return CompressedEpoch(coefficients, tuple(statistics))
