"""A reference likelihood of one order, with dense matrices and numerical integrals."""

import math

import numpy as np


def covariance(velocity, flux_error, ln_noise, amplitude, length, level=1.0):
    """Diagonal noise with scaled variances, and Matern-3/2 noise in velocity.

    The amplitude is relative to `level`, a number or (n,).
    """
    level = np.full(len(velocity), 1.0) * level
    distance = math.sqrt(3) * np.abs(np.subtract.outer(velocity, velocity)) / length
    matern = amplitude**2 * (1 + distance) * np.exp(-distance) * np.outer(level, level)
    return np.diag(math.exp(ln_noise) * flux_error**2) + matern


def log_normal(residual, cov):
    """ln of a normal density with this covariance and zero mean."""
    sign, log_det = np.linalg.slogdet(2 * math.pi * cov)
    assert sign > 0
    return -0.5 * (residual @ np.linalg.solve(cov, residual) + log_det)


def polynomials(x, degree):
    """Chebyshev polynomials at x in [-1, 1]: (n, degree + 1)."""
    return np.array([[math.cos(k * math.acos(value)) for k in range(degree + 1)] for value in x])


def marginal(flux, spectrum, x, degree, prior_sd, noise, error=None, continuum=None):
    """Marginalise the continuum with a dense covariance.

    `error` (n, J) are columns of the spectrum's error, scaled by `continuum` (n,).
    """
    design = spectrum[:, None] * polynomials(x, degree)
    cov = noise + prior_sd**2 * design @ design.T
    if error is not None:
        scaled = continuum[:, None] * error
        cov = cov + scaled @ scaled.T
    return log_normal(flux - spectrum, cov)


def fitted_continuum(flux, spectrum, x, degree, prior_sd, noise, error=None):
    """Fit the continuum by least squares, optionally together with columns of error."""
    basis = polynomials(x, degree)
    error = np.empty((len(flux), 0)) if error is None else error
    design = np.hstack([spectrum[:, None] * basis, error])
    sd = np.concatenate([np.full(degree + 1, prior_sd), np.ones(error.shape[1])])
    root = np.linalg.cholesky(noise)
    matrix = np.vstack([np.linalg.solve(root, design), np.diag(1 / sd)])
    mean = np.eye(len(sd))[0]
    values = np.concatenate([np.linalg.solve(root, flux), mean / sd])
    return basis @ np.linalg.lstsq(matrix, values, rcond=None)[0][: degree + 1]


def integrated(flux, spectrum, x, prior_sd, noise, width=9.0, n_nodes=121):
    """Integrate a continuum of degree 1 numerically over both coefficients."""
    design = spectrum[:, None] * polynomials(x, 1)
    precision = design.T @ np.linalg.solve(noise, design) + np.eye(2) / prior_sd**2
    mean = np.array([1.0, 0.0])
    centre = np.linalg.solve(
        precision, design.T @ np.linalg.solve(noise, flux) + mean / prior_sd**2
    )
    axes = np.linalg.cholesky(np.linalg.inv(precision))  # only places the nodes
    nodes = np.linspace(-width, width, n_nodes)
    logs = []
    for u in nodes:
        for v in nodes:
            a = centre + axes @ [u, v]
            prior = -0.5 * np.sum((a - mean) ** 2) / prior_sd**2
            logs.append(log_normal(flux - design @ a, noise) + prior)
    volume = (nodes[1] - nodes[0]) ** 2 * np.linalg.det(axes) / (2 * math.pi * prior_sd**2)
    return float(np.logaddexp.reduce(logs) + math.log(volume))


def over_weights(flux, spectrum, error, x, degree, prior_sd, noise, around, width=1.2, n_nodes=31):
    """Integrate over the weights of two error columns on a square grid."""
    step = 2 * width / (n_nodes - 1)
    logs = []
    for index in np.ndindex(n_nodes, n_nodes):
        weights = np.asarray(around) - width + step * np.array(index)
        log_likelihood = marginal(flux, spectrum + error @ weights, x, degree, prior_sd, noise)
        logs.append(log_likelihood - 0.5 * weights @ weights)
    return float(np.logaddexp.reduce(logs) + math.log(step**2 / (2 * math.pi)))
