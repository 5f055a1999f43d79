"""Mixtures as coefficients of a few spectra instead of pixels.

At a given velocity and rotation, every spectrum of an order is a sum of the same few spectra: the
mean, the eigenspectra, and the spectra that represent the reconstruction error. A model in
coefficients evaluates the same mixture and the same error as one in pixels, without broadening.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from mixjobs.model.library_model import LibraryModel
from mixjobs.model.mixture import MixtureModel
from mixjobs.model.order_model import OrderBasis
from mixjobs.typing import Complexes, Floats


def in_coefficients(model: MixtureModel) -> MixtureModel:
    """Return the model of the same mixture in coefficients.

    Its spectra (n, B) are the coefficients of `basis_transforms`.

    Parameters
    ----------
    model : MixtureModel
        Whose components share their velocity and come from one library.
    """
    (library,) = {id(source): source for source in model.sources}.values()
    if not isinstance(library, LibraryModel):
        raise TypeError("a blackbody has no eigenspectra")
    orders = [_CoefficientBasis.of(basis) for basis in library.orders]
    source = replace(library, orders=orders)
    places = tuple(np.arange(float(len(basis_transforms(basis)))) for basis in library.orders)
    return replace(model, sources=(source,) * len(model.sources), wavelength=places)


def basis_transforms(basis: OrderBasis) -> Complexes:
    """Return the transforms (B, n_freq) of the spectra to which the coefficients belong."""
    return np.vstack([basis.transforms, basis.residual_transforms])


class _NoBroadening:
    """Broadening that changes nothing: coefficients do not depend on the velocity."""

    def __call__(self, rv: Floats, vsini: Floats) -> Complexes:  # noqa: ARG002
        return np.ones((len(rv), 1), dtype=np.complex128)


@dataclass(frozen=True, eq=False)
class _CoefficientBasis(OrderBasis):
    """An order whose "pixels" are the coefficients of its spectra."""

    @classmethod
    def of(cls, basis: OrderBasis) -> _CoefficientBasis:
        n_mean, n_residual = len(basis.transforms), len(basis.residual_transforms)
        size = n_mean + n_residual
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
            residual_transforms=rows[n_mean:],
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
