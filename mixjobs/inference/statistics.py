"""Sufficient statistics of an order: what its data say, without its pixels.

At a given velocity, rotation and noise, mixture, continuum and error of an order are linear in the
products C of its B broadened spectra and k polynomials. The data enter only through
``H = C N⁻¹ Cᵀ``, ``h = C N⁻¹ d``, ``dᵀ N⁻¹ d`` and ``ln det N``. These are smooth functions of the
velocity and the rotation. They are computed at Chebyshev nodes in a box and interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial.chebyshev import chebpts1, chebvander

from mixjobs.inference.likelihood import OrderData
from mixjobs.inference.noise import NoiseParams, whitener
from mixjobs.model.coefficients import basis_transforms
from mixjobs.model.order_model import OrderBasis
from mixjobs.typing import Bools, Complexes, Floats

_RANK_TOLERANCE = 1e-9  # of the largest singular value
_MIN_NODES = 6  # between two ends


@dataclass(frozen=True)
class VelocityBox:
    """A box in radial velocity and rotation, with its Chebyshev nodes.

    Attributes
    ----------
    rv, vsini : (float, float)
        Ends, km/s; the velocity is that on the observed wavelengths. Equal ends have one node.
    profile : float
        FWHM of the instrumental profile, km/s.
    density : float
        Nodes for each half-width of one profile, in addition to six.
    """

    rv: tuple[float, float]
    vsini: tuple[float, float]
    profile: float
    density: float = 8.0

    def n_nodes(self, ends: tuple[float, float]) -> int:
        """Return the number of nodes between two ends."""
        half_width = (ends[1] - ends[0]) / 2
        if not half_width:
            return 1
        return _MIN_NODES + int(np.ceil(self.density * half_width / self.profile))

    def nodes(self) -> Floats:
        """Return the nodes (n_nodes, 2)."""
        axes = [_scaled_nodes(ends, self.n_nodes(ends)) for ends in (self.rv, self.vsini)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)

    def weights(self, rv: Floats, vsini: Floats) -> Floats:
        """Return the weights (n, n_nodes) of the nodes at velocities (n,)."""
        one, two = (
            _axis_weights(values, ends, self.n_nodes(ends))
            for values, ends in ((rv, self.rv), (vsini, self.vsini))
        )
        return (one[:, :, None] * two[:, None]).reshape(len(rv), -1)

    def inside(self, rv: Floats, vsini: Floats) -> Bools:
        """Whether velocities (n,) are in the box."""
        in_rv = (rv >= self.rv[0]) & (rv <= self.rv[1])
        inside: Bools = in_rv & (vsini >= self.vsini[0]) & (vsini <= self.vsini[1])
        return inside


def _scaled_nodes(ends: tuple[float, float], n: int) -> Floats:
    return (ends[0] + ends[1]) / 2 + (ends[1] - ends[0]) / 2 * chebpts1(n)


def _axis_weights(values: Floats, ends: tuple[float, float], n: int) -> Floats:
    if n == 1:
        return np.ones((len(values), 1))
    t = (2 * values - ends[0] - ends[1]) / (ends[1] - ends[0])
    weights: Floats = chebvander(np.clip(t, -1, 1), n - 1) @ _node_coefficients(n)
    return weights


@cache
def _node_coefficients(n: int) -> Floats:
    """Return the Chebyshev coefficients (n, n) of functions that are 1 at one node, 0 at others."""
    return np.linalg.inv(chebvander(chebpts1(n), n - 1)).astype(np.float64, copy=False)


@dataclass(frozen=True, eq=False)
class OrderStatistics:
    """The statistics of one order of one epoch in a box; made by `order_statistics`.

    The products C are those of k polynomials and B spectra, with the polynomial first. `h` and `d²`
    are relative to a reference ``C(v)ᵀ w0``, which leaves small numbers: with
    ``δ = w - w0``, chi² is ``dd - 2 δᵀ h + δᵀ H δ``.

    Attributes
    ----------
    box : VelocityBox
    reference : (k B,) array
        w0.
    h_weights : (n_nodes, r) array
        Coefficients of each node in the r matrices that represent H.
    blocks : (r, P, B, B) array
        The blocks of these matrices that belong to the P pairs of polynomials i <= j, in the
        sequence of `numpy.triu_indices`. H is symmetric.
    of_reference : (r, k B) array
        The products of these matrices with w0.
    rest : (n_nodes, k B + 1) array
        h and dd at the nodes.
    log_det : float
        ln det N.
    n_pixels : int
    scale : float
        Robust scale of the data.
    prior_sd : float
        Of the continuum's coefficients.
    """

    box: VelocityBox
    reference: Floats
    h_weights: Floats
    blocks: Floats
    of_reference: Floats
    rest: Floats
    log_det: float
    n_pixels: int
    scale: float
    prior_sd: float

    def at(self, weights: Floats, ln_factor: Floats) -> StatisticsBatch:
        """Interpolate with weights (n, n_nodes) of the nodes.

        The noise is multiplied by ``exp(ln_factor)``, (n,).
        """
        weights = weights * np.exp(-ln_factor)[:, None]
        of_matrices = weights @ self.h_weights
        blocks = of_matrices @ self.blocks.reshape(len(self.blocks), -1)
        rest = weights @ self.rest
        constant = self.n_pixels * (np.log(2 * np.pi) + 2 * np.log(self.scale))
        return StatisticsBatch(
            self.reference, self.prior_sd, blocks.reshape(-1, *self.blocks.shape[1:]),
            of_matrices @ self.of_reference, rest[:, :-1], rest[:, -1],
            self.log_det + self.n_pixels * ln_factor + constant,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class StatisticsBatch:
    """The statistics of an order at n samples.

    Attributes
    ----------
    reference : (k B,) array
        w0.
    prior_sd : float
        Of the continuum's coefficients.
    blocks : (n, P, B, B) array
        H: see `OrderStatistics`.
    of_reference : (n, k B) array
        ``H w0``.
    projection : (n, k B) array
        h.
    square : (n,) array
        dd.
    log_norm : (n,) array
        ln det N, plus what makes the density that of the data in their own unit.
    """

    reference: Floats
    prior_sd: float
    blocks: Floats
    of_reference: Floats
    projection: Floats
    square: Floats
    log_norm: Floats


def order_statistics(
    basis: OrderBasis,
    smooth: Floats,
    data: OrderData,
    noise: NoiseParams,
    reference: Floats,
    box: VelocityBox,
) -> OrderStatistics:
    """Compute the statistics of an order at the nodes of a box.

    Parameters
    ----------
    basis : OrderBasis
        Prepared for all pixels of the order.
    smooth : (S, n_pixels) array
        Spectra that neither the velocity nor the rotation changes.
    data : OrderData
    noise : NoiseParams
        Of one sample.
    reference : (k B,) array
        w0: coefficients of a spectrum times a continuum near the optimum.
    box : VelocityBox
    """
    whiten = whitener(noise, data.velocity, data.flux_error)
    transforms, used = basis_transforms(basis), np.flatnonzero(data.used)
    matrices, rest = [], []
    for rv, vsini in box.nodes():
        factors = basis.broadening(np.array([rv]), np.array([vsini]))
        moved = basis.pixels(_padded(transforms * factors, basis))
        spectra = np.vstack([moved, smooth]).take(used, axis=1)
        products = (data.polynomials.T[:, None] * spectra).reshape(-1, len(used))
        residual = data.flux - reference @ products
        white = whiten(np.vstack([products, residual])[None])[0]
        gram = white @ white.T
        matrices.append(gram[:-1, :-1])
        rest.append(np.append(gram[-1, :-1], gram[-1, -1]))
    blocks = _blocks(np.array(matrices), data.polynomials.shape[1])
    left, values, right = np.linalg.svd(blocks.reshape(len(blocks), -1), full_matrices=False)
    rank = int(np.count_nonzero(values > _RANK_TOLERANCE * values[0]))
    leading = np.ascontiguousarray(right[:rank]).reshape(rank, *blocks.shape[1:])
    return OrderStatistics(
        box, reference, left[:, :rank] * values[:rank], leading, _product(leading, reference),
        np.array(rest), float(whiten.log_det[0]), len(used), data.scale, data.prior_sd,
    )  # fmt: skip


def _blocks(matrices: Floats, k: int) -> Floats:
    """Return the blocks (n, P, B, B) of symmetric matrices (n, k B, k B); see `OrderStatistics`."""
    n, size, _ = matrices.shape
    by_polynomial = matrices.reshape(n, k, size // k, k, size // k).transpose(0, 1, 3, 2, 4)
    first, second = np.triu_indices(k)
    return np.ascontiguousarray(by_polynomial[:, first, second])


def _product(blocks: Floats, vector: Floats) -> Floats:
    """Return the products (n, k B) of symmetric matrices, given by their blocks, with a vector."""
    parts = vector.reshape(-1, blocks.shape[2])
    products = np.zeros((len(blocks), *parts.shape))
    for p, (i, j) in enumerate(zip(*np.triu_indices(len(parts)), strict=True)):
        products[:, i] += blocks[:, p] @ parts[j]
        if i < j:
            products[:, j] += parts[i] @ blocks[:, p]
    return products.reshape(len(blocks), -1)


def _padded(transforms: Complexes, basis: OrderBasis) -> Complexes:
    padded = np.zeros((len(transforms), basis.matrix.shape[1] // 2 + 1), dtype=np.complex128)
    padded[:, : transforms.shape[1]] = transforms
    return padded
