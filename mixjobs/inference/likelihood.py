"""The likelihood of one order, with its continuum marginalised, at many samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from mixjobs.errors import InvalidInput
from mixjobs.inference.noise import NoiseParams, Whitener, whitener
from mixjobs.typing import Bools, Floats
from mixjobs.wavelengths import SPEED_OF_LIGHT

# The continuum that scales the spectrum's error is fitted without that error, then with it.
# Compared with quadrature, ln L is off by up to 0.16 after one fit and by up to 0.008 after two.
_N_REFITS = 2
_SCALES = (1e-290, 1e300)  # of the flux, in any unit


@dataclass(frozen=True, eq=False)
class Continuum:
    """The continuum of an order: a Chebyshev polynomial with a normal prior.

    Coefficients are in units of the robust scale of the order. The prior mean is 1 for the constant
    term and 0 for all others; the standard deviation is the same for all.

    Attributes
    ----------
    degree : int
    prior_sd : float
        Standard deviation of the prior of each coefficient.
    """

    degree: int = 4
    prior_sd: float = 1.0


@dataclass(frozen=True, eq=False)
class OrderData:
    """The n pixels of an order that enter the likelihood; made by `order_data`.

    Attributes
    ----------
    used : (n_pixels,) bool array
        Their places among all pixels of the order.
    scale : float
        The robust scale: median absolute flux, in the unit of the data.
    velocity : (n,) array
        ``c ln(wavelength)``, km/s.
    flux, flux_error : (n,) arrays
        Flux and its standard error, divided by the scale.
    polynomials : (n, k) array
        Chebyshev polynomials of the continuum.
    prior_sd : float
        Standard deviation of the prior of their coefficients.
    """

    used: Bools
    scale: float
    velocity: Floats
    flux: Floats
    flux_error: Floats
    polynomials: Floats
    prior_sd: float


def order_data(
    wavelength: Floats, flux: Floats, flux_error: Floats, used: Bools, continuum: Continuum
) -> OrderData:
    """Check the data of an order and divide them by their robust scale.

    Parameters
    ----------
    wavelength : (n_pixels,) array
        Å, ascending. The continuum's variable is -1 at the first pixel and 1 at the last.
    flux, flux_error : (n_pixels,) arrays
        Flux and its standard error, in any unit.
    used : (n_pixels,) bool array
    continuum : Continuum

    Raises
    ------
    InvalidInput
        Wavelengths do not ascend; a used pixel lacks a finite flux or a positive error; there are
        no more used pixels than coefficients; the median flux is not positive, or so small or
        large that numbers lose their precision.
    """
    _check_pixels(wavelength, flux, flux_error, used, continuum.degree)
    scale = float(np.median(np.abs(flux[used])))
    if not scale > 0:
        raise InvalidInput(
            "at least half of the unmasked pixels have zero flux; omit the order", name="flux"
        )
    if not _SCALES[0] < scale < _SCALES[1]:
        raise InvalidInput(
            f"the median absolute flux is {scale:g}; expected {_SCALES[0]:g} to {_SCALES[1]:g}, "
            "where numbers keep their precision: multiply flux and error by a constant",
            name="flux",
            value=scale,
        )
    median = float(np.median(flux[used]))
    if not median > 0:
        raise InvalidInput(
            f"the median flux of the unmasked pixels is {median:g}; expected a positive flux: omit "
            "the order, or correct the sign",
            name="flux",
            value=median,
        )
    return OrderData(
        used=used,
        scale=scale,
        velocity=SPEED_OF_LIGHT * np.log(wavelength[used]),
        flux=flux[used] / scale,
        flux_error=flux_error[used] / scale,
        polynomials=polynomials(wavelength, continuum.degree)[used],
        prior_sd=continuum.prior_sd,
    )


def _check_pixels(
    wavelength: Floats, flux: Floats, flux_error: Floats, used: Bools, degree: int
) -> None:
    """Refuse an order with invalid pixels."""
    if not (np.isfinite(wavelength).all() and (np.diff(wavelength) > 0).all()):
        raise InvalidInput(
            "wavelengths are not finite and ascending; sort the pixels of the order",
            name="wavelength",
        )
    valid = np.isfinite(flux) & np.isfinite(flux_error) & (flux_error > 0)
    if (used & ~valid).any():
        first = int(np.flatnonzero(used & ~valid)[0])
        raise InvalidInput(
            f"the pixel at {wavelength[first]:.8g} Å has flux {flux[first]:g} and error "
            f"{flux_error[first]:g}; mask it, or give a finite flux and a positive error",
            name="flux" if not np.isfinite(flux[first]) else "flux_error",
            value=float(wavelength[first]),
        )
    if used.sum() <= degree + 1:
        raise InvalidInput(
            f"{used.sum()} unmasked pixels for a continuum of degree {degree}; expected more "
            "pixels than coefficients: lower the degree or omit the order",
            name="degree",
            value=degree,
        )


def polynomials(wavelength: Floats, degree: int) -> Floats:
    """Chebyshev polynomials (n_pixels, degree + 1), from -1 at the first pixel to 1 at the last."""
    t = 2 * (wavelength - wavelength[0]) / (wavelength[-1] - wavelength[0]) - 1
    values: Floats = chebvander(t, degree)
    return values


@dataclass(frozen=True, eq=False)
class OrderFit:
    """The fit of one order at n samples, with the weights z of its R error columns left open.

    Attributes
    ----------
    own : (n,) array
        ln of the likelihood of the data in their own unit at z = 0, with the continuum
        marginalised.
    projection : (n, R) array
        ``Eᵀ K⁻¹ r``, with the white error columns E, and the residual r and the covariance K of the
        data at z = 0.
    precision : (n, R, R) array
        ``Eᵀ K⁻¹ E``.
    coefficients : (n, k) array
        Most probable coefficients of the continuum at z = 0, divided by the scale of the order.
    response : (n, k, R) array
        Change of these coefficients with each z.
    """

    own: Floats
    projection: Floats
    precision: Floats
    coefficients: Floats
    response: Floats


def fit_order(data: OrderData, spectra: Floats, errors: Floats, noise: NoiseParams) -> OrderFit:
    """Fit the continuum of an order, and reduce the data to what they say about the error columns.

    The data are normal with mean ``S ∘ T m`` and covariance ``K + (P X)(P X)ᵀ``, where
    ``K = N + s² A Aᵀ``. S is the spectrum with mean level 1. T are the polynomials; their
    coefficients have prior mean m and standard deviation s, and ``A = S ∘ T``. N is the noise and X
    the error of the spectrum. The fitted continuum P multiplies X as it multiplies the spectrum.
    It comes from this order alone.

    By the Woodbury identity, only a matrix with one row per column of A is inverted (Rasmussen &
    Williams 2006, equations A.9 and A.10; section 2.7 for the continuum).

    Parameters
    ----------
    data : OrderData
        With n_pixels used pixels.
    spectra : (n, n_pixels) array
        Spectra divided by their mean level.
    errors : (n, n_pixels, R) array
        X: columns whose outer products add up to the covariance of the spectrum's error.
    noise : NoiseParams
        At n samples.
    """
    whiten = whitener(noise, data.velocity, data.flux_error)
    flux = np.broadcast_to(data.flux, (len(spectra), 1, len(data.flux)))
    white = whiten(np.concatenate([flux, spectra[:, None] * data.polynomials.T], axis=1))
    residual = white[:, 0] - white[:, 1]  # the prior mean is the first polynomial
    design = white[:, 1:] * data.prior_sd
    white_errors = _white_errors(data, design, residual, errors, whiten)
    # The rows are the residual, then the errors. `half` is what the continuum explains of them.
    rows = np.concatenate([residual[:, None], white_errors], axis=1)
    root = np.linalg.cholesky(_plus_one(design @ design.transpose(0, 2, 1)))
    half = np.linalg.solve(root, design @ rows.transpose(0, 2, 1))
    products = rows @ rows.transpose(0, 2, 1) - half.transpose(0, 2, 1) @ half
    fitted = np.linalg.solve(root.transpose(0, 2, 1), half) * data.prior_sd
    log_det = whiten.log_det + 2 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    constant = len(data.flux) * (np.log(2 * np.pi) + 2 * np.log(data.scale))
    return OrderFit(
        own=-0.5 * (products[:, 0, 0] + log_det + constant),
        projection=products[:, 1:, 0],
        precision=products[:, 1:, 1:],
        coefficients=fitted[:, :, 0] + np.eye(fitted.shape[1])[0],
        response=-fitted[:, :, 1:],
    )


def _white_errors(
    data: OrderData, design: Floats, residual: Floats, errors: Floats, whiten: Whitener
) -> Floats:
    """Scale the error columns by the fitted continuum, and whiten them: (n, R, n_pixels)."""
    k, white = design.shape[1], np.empty((len(errors), 0, errors.shape[1]))
    for _ in range(_N_REFITS if errors.shape[2] else 0):
        both = np.concatenate([design, white], axis=1)
        deviation = _most_probable(both, residual)[:, :k] * data.prior_sd
        continuum = (deviation + np.eye(k)[0]) @ data.polynomials.T
        white = whiten(continuum[:, None] * errors.transpose(0, 2, 1))
    return white


def _most_probable(design: Floats, residual: Floats) -> Floats:
    """Fit standard normal coefficients (n, m) of a design (n, m, n_pixels) to white residuals."""
    inner = _plus_one(np.matmul(design, design.transpose(0, 2, 1)))
    projected = np.matmul(design, residual[:, :, None])
    return np.linalg.solve(inner, projected)[:, :, 0].astype(np.float64, copy=False)


def _plus_one(matrices: Floats) -> Floats:
    """Add 1 to the diagonals of matrices (n, m, m), in place."""
    matrices[:, range(matrices.shape[1]), range(matrices.shape[1])] += 1.0
    return matrices
