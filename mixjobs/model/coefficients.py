"""Mixtures as coefficients of a few spectra instead of pixels.

At a given velocity and rotation, every spectrum of an order is a sum of the same few spectra: the
mean, the eigenspectra, and the spectra that represent the reconstruction error. A blackbody has no
lines to broaden; within an order it is a polynomial in ln(wavelength). A model in coefficients
evaluates the same mixture and the same error as one in pixels, without broadening.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial.chebyshev import chebpts1, chebvander
from scipy.sparse import csr_array

from mixjobs.errors import InvalidInput
from mixjobs.model.blackbody import BlackBody, planck
from mixjobs.model.library_model import LibraryModel
from mixjobs.model.mixture import MixtureModel
from mixjobs.model.order_model import OrderBasis
from mixjobs.typing import Complexes, Floats

_MIN_SMOOTH, _SMOOTH_PER_WIDTH = 6, 20  # polynomials, and more for each unit of ln(wavelength)


def in_coefficients(model: MixtureModel) -> MixtureModel:
    """Return the model of the same mixture in coefficients.

    Its spectra (n, B) are the coefficients of `basis_transforms`, followed by those of
    `smooth_spectra`.

    Parameters
    ----------
    model : MixtureModel
        Whose components share their velocity and come from one library, or are blackbodies.
    """
    library = library_of(model)
    ranges = [_log_range(waves) for waves in _smooth_wavelengths(model)]
    bases = [
        _CoefficientBasis.of(basis, _n_smooth(ends))
        for basis, ends in zip(library.orders, ranges, strict=True)
    ]
    sizes = tuple(basis.matrix.shape[0] for basis in bases)
    photosphere = replace(library, orders=bases)
    sources = [
        _CoefficientBlackBody(source.orders, source.wavelength, source.unit, ranges, sizes)
        if isinstance(source, BlackBody)
        else photosphere
        for source in model.sources
    ]
    places = tuple(np.arange(float(size)) for size in sizes)
    return replace(model, sources=tuple(sources), wavelength=places)


def library_of(model: MixtureModel) -> LibraryModel:
    """Return the one library of a mixture.

    Raises
    ------
    InvalidInput
        There is none, or more than one.
    """
    sources = {id(s): s for s in model.sources if isinstance(s, LibraryModel)}
    if len(sources) != 1:
        raise InvalidInput(
            f"{len(sources)} libraries; expected one for sufficient statistics", name="components"
        )
    return next(iter(sources.values()))


def smooth_spectra(model: MixtureModel, m: int) -> Floats:
    """Return the spectra of which a blackbody consists in the order with index `m`: (S, n_pixels).

    There are none without a blackbody.
    """
    waves = _smooth_wavelengths(model)[m]
    if not len(waves):
        return np.empty((0, len(model.wavelength[m])))
    ends = _log_range(waves)
    place = (2 * np.log(waves) - sum(ends)) / (ends[1] - ends[0])
    return np.ascontiguousarray(chebvander(place, _n_smooth(ends) - 1).T, dtype=np.float64)


def _smooth_wavelengths(model: MixtureModel) -> Sequence[Floats]:
    """Return the pixels of each order, in the medium of the library; none without a blackbody."""
    blackbodies = [source for source in model.sources if isinstance(source, BlackBody)]
    return blackbodies[0].wavelength if blackbodies else [np.empty(0)] * len(model.wavelength)


def _log_range(wavelength: Floats) -> tuple[float, float]:
    """Return the ends in ln(wavelength); both are 0 if there are no pixels."""
    if not len(wavelength):
        return 0.0, 0.0
    first, last = np.log(wavelength[[0, -1]]).tolist()
    return first, last


def _n_smooth(ends: tuple[float, float]) -> int:
    """Return the number of polynomials that represent a blackbody to 1e-8 of its mean."""
    width = ends[1] - ends[0]
    return _MIN_SMOOTH + int(np.ceil(_SMOOTH_PER_WIDTH * width)) if width else 0


def basis_transforms(basis: OrderBasis) -> Complexes:
    """Return the transforms (B, n_freq) of the spectra to which the coefficients belong."""
    return np.vstack([basis.transforms, basis.residual_transforms])


class _NoBroadening:
    """Broadening that changes nothing: coefficients do not depend on the velocity."""

    def __call__(self, rv: Floats, vsini: Floats) -> Complexes:  # noqa: ARG002
        return np.ones((len(rv), 1), dtype=np.complex128)


@dataclass(frozen=True, eq=False)
class _CoefficientBlackBody(BlackBody):
    """A blackbody whose "pixels" are the coefficients of polynomials, the last of each order."""

    ranges_of_orders: Sequence[tuple[float, float]]
    sizes: tuple[int, ...]

    def shape(self, m: int, teff: Floats) -> Floats:
        """Return the coefficients of the flux over its mean, (n, B), for teff (n,)."""
        low, high = self.ranges_of_orders[m]
        n = _n_smooth((low, high))
        waves = np.exp((low + high) / 2 + (high - low) / 2 * chebpts1(n))
        flux = planck(waves, teff[:, None]) * self.unit / np.exp(self.log_mean(m, teff))[:, None]
        polynomials = np.linalg.inv(chebvander(chebpts1(n), n - 1))
        return np.pad(flux @ polynomials.T, ((0, 0), (self.sizes[m] - n, 0)))


@dataclass(frozen=True, eq=False)
class _CoefficientBasis(OrderBasis):
    """An order whose "pixels" are the coefficients of its spectra, and of `n_smooth` others."""

    @classmethod
    def of(cls, basis: OrderBasis, n_smooth: int) -> _CoefficientBasis:
        n_mean, n_residual = len(basis.transforms), len(basis.residual_transforms)
        size = n_mean + n_residual + n_smooth
        rows = np.eye(size, dtype=np.complex128)
        weights = np.asarray(basis.error.weights)
        errors = np.zeros((len(weights), size), dtype=np.complex128)
        errors[:, 1:n_mean] = weights
        return cls(
            nodes=basis.nodes,
            transforms=rows[:n_mean],
            error=basis.error,
            error_transforms=errors,
            reconstruction_error=basis.reconstruction_error,
            residual_transforms=rows[n_mean : n_mean + n_residual],
            broadening=_NoBroadening(),  # type: ignore[arg-type]
            matrix=csr_array((size, 1)),
            buffer=basis.buffer,
        )

    def combine(self, coefficients: Floats, factors: Complexes) -> Complexes:
        """Return coefficients (n, B) of the mean spectrum and the eigenspectra."""
        sums: Complexes = (coefficients @ self.transforms.real) * factors
        return sums

    def pixels(self, spectra: Complexes) -> Floats:
        """Return the coefficients themselves."""
        return np.ascontiguousarray(spectra.real)
