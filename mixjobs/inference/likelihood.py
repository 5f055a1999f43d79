"""The likelihood of one order, with its continuum marginalised, for many rows of parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from mixjobs.errors import InvalidInput
from mixjobs.inference.noise import NoiseRows, whitener
from mixjobs.typing import Bools, Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT

# Of the continuum that scales the spectrum's error: at first without that error, then beside it.
# Against quadrature ln L is off by up to 0.16 after one, by up to 0.008 after two.
_REFITS = 2


@dataclass(frozen=True, eq=False)
class Continuum:
    """The continuum of an order: a Chebyshev polynomial with a normal prior.

    In units of the order's robust scale, the prior of the constant has mean 1, that of every other
    coefficient mean 0, and all have the standard deviation `sigma`.
    """

    degree: int = 4
    sigma: float = 1.0


@dataclass(frozen=True, eq=False)
class OrderData:
    """The pixels of an order that are used; made by `order_data`.

    Attributes
    ----------
    used : (n_pixels,) bool array
        Which of the order's pixels are used; the other arrays have those alone.
    scale : float
        The robust scale: the median of the absolute flux, in the data's unit.
    velocity : (n,) array
        ``c ln(wavelength)``, km/s.
    flux, sigma : (n,) arrays
        Over the scale.
    polynomials : (n, k) array
        Chebyshev polynomials of the continuum.
    continuum_sigma : float
        Standard deviation of their coefficients' prior.
    """

    used: Bools
    scale: float
    velocity: Floats
    flux: Floats
    sigma: Floats
    polynomials: Floats
    continuum_sigma: float


def order_data(
    wavelength: Floats, flux: Floats, sigma: Floats, used: Bools, continuum: Continuum
) -> OrderData:
    """Check the data of an order, and bring them to their robust scale.

    Parameters
    ----------
    wavelength, flux, sigma : (n_pixels,) arrays
        Å, ascending; flux and its standard error in any unit.
    used : (n_pixels,) bool array
    continuum : Continuum
        Its variable goes from -1 at the first pixel to 1 at the last.

    Raises
    ------
    InvalidInput
        A used pixel without a finite flux or a positive standard error; wavelengths that do not
        ascend; not more used pixels than coefficients; a flux that is 0 nearly everywhere.
    """
    if not (np.isfinite(wavelength).all() and (np.diff(wavelength) > 0).all()):
        raise InvalidInput("wavelengths are not ascending numbers; sort the order's pixels")
    sound = np.isfinite(flux) & np.isfinite(sigma) & (sigma > 0)
    if (used & ~sound).any():
        at = int(np.flatnonzero(used & ~sound)[0])
        raise InvalidInput(
            f"the used pixel at {wavelength[at]:.8g} Å has flux {flux[at]:g} and error "
            f"{sigma[at]:g}; expected numbers and a positive error; mask it"
        )
    if used.sum() <= continuum.degree + 1:
        raise InvalidInput(
            f"{used.sum()} pixels are used for a continuum of degree {continuum.degree}; expected "
            "more pixels than coefficients"
        )
    scale = float(np.median(np.abs(flux[used])))
    if not scale > 0:
        raise InvalidInput("half of the used pixels have no flux; leave the order out")
    return OrderData(
        used=used,
        scale=scale,
        velocity=SPEED_OF_LIGHT * np.log(wavelength[used]),
        flux=flux[used] / scale,
        sigma=sigma[used] / scale,
        polynomials=polynomials(wavelength, continuum.degree)[used],
        continuum_sigma=continuum.sigma,
    )


def polynomials(wavelength: Floats, degree: int) -> Floats:
    """Chebyshev polynomials (n_pixels, degree + 1), from -1 at the first pixel to 1 at the last."""
    x = 2 * (wavelength - wavelength[0]) / (wavelength[-1] - wavelength[0]) - 1
    found: Floats = chebvander(x, degree)
    return found


@dataclass(frozen=True, eq=False)
class Fit:
    """What the likelihood finds on its way: one row a row of parameters.

    Attributes
    ----------
    log_likelihood : (n,) array
        Of the data in their own unit.
    coefficients : (n, k) array
        Most probable coefficients of the continuum, over the order's scale.
    weights : (n, J) array
        Most probable weights of the error's columns.
    """

    log_likelihood: Floats
    coefficients: Floats
    weights: Floats


def fit_order(data: OrderData, spectra: Floats, errors: Floats, noise: NoiseRows) -> Fit:
    """Evaluate the likelihood of an order, with the continuum marginalised in closed form.

    The data are normal about ``S ∘ T m`` with covariance ``N + s² A Aᵀ + (P X)(P X)ᵀ``: S the
    spectrum with mean level 1, T the polynomials with coefficients of prior mean m and standard
    deviation s, ``A = S ∘ T``, N the noise, X the spectrum's error, and P the fitted continuum, by
    which the spectrum's error is multiplied as the spectrum is. Determinant and inverse are those
    of a matrix of as many rows as there are columns in A and X (Woodbury; Rasmussen & Williams
    2006, equations A.9 and A.10; for the continuum their section 2.7).

    Parameters
    ----------
    data : OrderData
        Of n_pixels used pixels.
    spectra : (n, n_pixels) array
        Each over its mean level.
    errors : (n, n_pixels, J) array
        Factor X of the covariance of the spectrum's error.
    noise : NoiseRows
        Of n rows.
    """
    whiten = whitener(noise, data.velocity, data.sigma)
    flux = np.broadcast_to(data.flux, (len(spectra), 1, len(data.flux)))
    white = whiten(np.concatenate([flux, spectra[:, None] * data.polynomials.T], axis=1))
    residual = white[:, 0] - white[:, 1]  # the prior's mean is the first polynomial
    continuum_design = design = white[:, 1:] * data.continuum_sigma
    k = continuum_design.shape[1]
    for _ in range(_REFITS if errors.shape[2] else 0):
        deviation = _most_probable(design, residual)[0][:, :k] * data.continuum_sigma
        continuum = (deviation + np.eye(k)[0]) @ data.polynomials.T
        white_errors = whiten(continuum[:, None] * errors.transpose(0, 2, 1))
        design = np.concatenate([continuum_design, white_errors], axis=1)
    found, log_det_inner, explained = _most_probable(design, residual)
    chi2 = np.einsum("np,np->n", residual, residual) - explained
    n_pixels = len(data.flux)
    constant = n_pixels * np.log(2 * np.pi * data.scale**2)
    return Fit(
        -0.5 * (chi2 + whiten.log_det + log_det_inner + constant),
        found[:, :k] * data.continuum_sigma + np.eye(k)[0],
        found[:, k:],
    )


def _most_probable(design: Floats, residual: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit unit normal coefficients (n, m) of a design (n, m, n_pixels) to white residuals.

    Returns them, the ln of the determinant of ``1 + D Dᵀ``, and by how much they lower chi².
    """
    inner = np.matmul(design, design.transpose(0, 2, 1))
    inner[:, range(inner.shape[1]), range(inner.shape[1])] += 1.0
    projected = np.matmul(design, residual[:, :, None])
    root = np.linalg.cholesky(inner)
    half = np.linalg.solve(root, projected)
    found = np.linalg.solve(root.transpose(0, 2, 1), half)[:, :, 0]
    log_det = 2 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    return found, log_det, np.einsum("nij,nij->n", half, half)
