"""A library as a source of components, with an emulator in every order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
from scipy.sparse import csr_array

from mixjobs.display import counted, fact_text
from mixjobs.errors import OutsideGrid
from mixjobs.grid import Grid
from mixjobs.interpolation.cells import Cells, Interpolation, Linear, outside_grid
from mixjobs.interpolation.filling import Filling
from mixjobs.model.components import Columns
from mixjobs.model.flux_ratio import summarise_axes
from mixjobs.model.order_model import OrderBasis
from mixjobs.typing import Bools, Complexes, Floats


@dataclass(frozen=True, eq=False)
class LibraryModel:
    """A library as a source of components.

    Attributes
    ----------
    library : str
        Key of the library, such as the path of its store.
    grid : Grid
    interpolation : Interpolation
    orders : sequence of M OrderBasis
    filling : Filling or None
        Holes of the grid that are filled from their neighbours.
    filling_error : (F,) array or None
        Error of each filled point, over the interpolation error between grid points.
    """

    library: str
    grid: Grid
    interpolation: Interpolation
    orders: Sequence[OrderBasis]
    filling: Filling | None = None
    filling_error: Floats | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of a component, except those with a single value on the grid."""
        return (*(self.grid.names[d] for d in self.grid.free), "vsini", "rv")

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Ends of each axis of the grid, by name."""
        grid = self.grid
        return {n: (float(a[0]), float(a[-1])) for n, a in zip(grid.names, grid.axes, strict=True)}

    @property
    def summary(self) -> str:
        """The library, the interpolation method and the axes of the grid."""
        axes = [f"{name} {axis}" for name, axis in summarise_axes(self.grid).items()]
        if self.filling:
            axes.append(counted(len(self.filling), "filled hole"))
        return f"{fact_text(Path(self.library))}: {self.interpolation.method} in {', '.join(axes)}"

    @property
    def max_velocity(self) -> float:
        """Largest ``|rv| + vsini`` that every order allows: km/s."""
        return min(order.max_velocity for order in self.orders)

    def theta(self, samples: Floats, columns: Columns) -> Floats:
        """Return the grid parameters (n, D) of a component from samples (n, n_all)."""
        theta = np.repeat(self.grid.points[:1], len(samples), axis=0)
        for d in self.grid.free:
            theta[:, d] = samples[:, columns[self.grid.names[d]]]
        return theta

    def component(self, samples: Floats, columns: Columns) -> LibraryComponent:
        """Read the component's own parameters from samples (n, n_all)."""
        theta = self.theta(samples, columns)
        rv, vsini = samples[:, columns["rv"]], samples[:, columns["vsini"]]
        weights, valid = self.interpolation.weights(theta)
        valid = valid & (vsini >= 0) & (vsini < np.inf) & (np.abs(rv) < np.inf)
        if not valid.all():  # the weights of an invalid theta are meaningless: use a grid point's
            theta = np.where(valid[:, None], theta, self.grid.points[0])
            weights, _ = self.interpolation.weights(theta)
        step = np.array([np.diff(self.grid.axes[d]).mean() for d in self.grid.free])
        velocities = np.where(valid, rv, 0.0), np.where(valid, vsini, 0.0)
        steps, scale = theta[:, list(self.grid.free)] / step, self.error_scale(theta)
        return LibraryComponent(self, weights, *velocities, steps, scale, valid)

    def error_scale(self, theta: Floats) -> Floats:
        """Return the error at theta (n, D) over that between grid points of the library: (n,).

        Filled points add their own error, by their weights in a linear interpolation.
        """
        if self.filling is None or self.filling_error is None or not len(self.filling):
            return np.ones(len(theta))
        weights, _ = self._linear.weights(theta)
        added = weights[:, len(self.grid) :] @ self.filling_error
        scale: Floats = np.sqrt(1 + np.nan_to_num(added) ** 2)
        return scale

    @cached_property
    def _linear(self) -> Linear:
        """Linear interpolation between the points of the library and the filled ones."""
        return Linear(Cells(self.grid if self.filling is None else self.filling.grid))

    def outside(self, sample: Floats, columns: Columns, prefix: str) -> OutsideGrid:
        """Return the error for one invalid sample (n_all,)."""
        rv, vsini = sample[columns["rv"]], sample[columns["vsini"]]
        if vsini < 0:
            return OutsideGrid(
                f"{prefix}: vsini = {vsini:g} km/s is negative; give 0 or more",
                name="vsini",
                value=vsini,
            )
        if not abs(rv) <= self.max_velocity - vsini:
            fast = bool(abs(rv) >= vsini)
            return OutsideGrid(
                f"{prefix}: rv = {rv:g} and vsini = {vsini:g} km/s exceed the emulator's buffer, "
                f"which allows |rv| + vsini up to {self.max_velocity:.4g} km/s; "
                f"build the store for a larger {'radial velocity' if fast else 'vsini'}",
                name="rv" if fast else "vsini",
                value=rv if fast else vsini,
            )
        theta = self.theta(sample[None], columns)[0]
        return outside_grid(self.grid, theta, prefix, self.filling)

    def reconstruction_error(self, m: int) -> float:
        """r.m.s. residual of the emulator at the grid points in the order with index `m`."""
        return self.orders[m].reconstruction_error


@dataclass(frozen=True, eq=False)
class LibraryComponent:
    """A photosphere of a library at n samples.

    Attributes
    ----------
    source : LibraryModel
    weights : (n, R) sparse array
        Interpolation weights.
    rv, vsini : (n,) arrays
        km/s; 0 for an invalid sample.
    steps : (n, D) array
        Theta in units of the mean steps of the grid's axes.
    error_scale : (n,) array
        See `LibraryModel.error_scale`.
    valid : (n,) bool array
    """

    source: LibraryModel
    weights: csr_array
    rv: Floats
    vsini: Floats
    steps: Floats
    error_scale: Floats
    valid: Bools

    @property
    def covered(self) -> Bools:
        """Whether the velocities of each sample stay within the buffer of every order: (n,)."""
        return np.abs(self.rv) <= self.source.max_velocity - self.vsini  # the sum could overflow

    def in_order(self, m: int) -> EmulatedComponent:
        """Interpolate the mean flux and the emulator weights in the order with index `m`."""
        basis = self.source.orders[m]
        covered = np.abs(self.rv) <= basis.max_velocity - self.vsini
        values = self.weights @ basis.nodes
        return EmulatedComponent(
            basis=basis,
            log_mean=values[:, -1],
            coefficients=np.column_stack([np.ones(len(values)), values[:, :-1]]),
            rv=np.where(covered, self.rv, 0.0),
            vsini=np.where(covered, self.vsini, 0.0),
            error_scale=self.error_scale,
            covered=covered,
        )


@dataclass(frozen=True, eq=False)
class EmulatedComponent:
    """A photosphere of a library in one order, at n samples.

    Attributes
    ----------
    basis : OrderBasis
    log_mean : (n,) array
    coefficients : (n, K + 1) array
        Coefficients of the mean spectrum and the K eigenspectra.
    rv, vsini : (n,) arrays
        km/s; 0 where they exceed the buffer of the order.
    error_scale : (n,) array
        See `LibraryModel.error_scale`.
    covered : (n,) bool array
    """

    basis: OrderBasis
    log_mean: Floats
    coefficients: Floats
    rv: Floats
    vsini: Floats
    error_scale: Floats
    covered: Bools

    def factors(self, batch: slice) -> Complexes:
        """Factors (n, n_freq) of rotation and velocity."""
        return self.basis.broadening(self.rv[batch], self.vsini[batch])

    def spectrum(self, light: Floats, batch: slice) -> Floats:
        """Return the spectra (n, n_pixels) of a batch of samples, scaled by their light (n,)."""
        coefficients = light[:, None] * self.coefficients[batch]
        return self.basis.pixels(self.basis.combine(coefficients, self.factors(batch)))

    def blend(self, groups: Sequence[Sequence[Self]], light: Floats, batch: slice) -> EmulatedBlend:
        """Add up components of the same library before a single inverse transform."""
        bounds = np.cumsum([0, *map(len, groups)])
        columns = [range(first, stop) for first, stop in pairwise(bounds)]
        factors = [group[0].factors(batch) for group in groups]
        sums = []
        for group, members, factor in zip(groups, columns, factors, strict=True):
            terms = [
                light[:, k, None] * component.coefficients[batch]
                for k, component in zip(members, group, strict=True)
            ]
            sums.append(self.basis.combine(sum(terms[1:], terms[0]), factor))
        flux = self.basis.pixels(sum(sums[1:], sums[0]))
        scales = [component.error_scale[batch] for group in groups for component in group]
        return EmulatedBlend(self.basis, light, np.stack(scales, axis=1), columns, factors, flux)


@dataclass(frozen=True, eq=False)
class EmulatedBlend:
    """The sum of components of one library in one order.

    Attributes
    ----------
    basis : OrderBasis
    light : (n, k) array
        Light of the components.
    error_scale : (n, k) array
        Their interpolation errors, over those between grid points of the library.
    columns : sequence of ranges
        The components of each group.
    factors : sequence of (n, n_freq) arrays
        Rotation and velocity of each group.
    flux : (n, n_pixels) array
    """

    basis: OrderBasis
    light: Floats
    error_scale: Floats
    columns: Sequence[range]
    factors: Sequence[Complexes]
    flux: Floats

    def errors(self, root: Floats) -> tuple[Floats, Floats]:
        """Return the spectra in which the emulator errs, and their weights: see `Blend`."""
        scaled = self.error_scale[:, :, None] * root
        return self._errors(scaled, self.basis.error_transforms, self.basis.error.directions)

    def reconstruction_errors(self, root: Floats) -> tuple[Floats, Floats]:
        """Return the same for the reconstruction error, whose variables are its spectra."""
        transforms = self.basis.residual_transforms
        return self._errors(root, transforms, np.eye(len(transforms)))

    def _errors(
        self, root: Floats, transforms: Complexes, directions: Floats
    ) -> tuple[Floats, Floats]:
        light = np.nan_to_num(self.light)  # NaN for an invalid sample
        spectra, weights = [], []
        for members, factor in zip(self.columns, self.factors, strict=True):
            spectra.append(self.basis.pixels(factor[:, None] * transforms))
            own = list(members)
            weights.append(np.matmul(light[:, None, own], root[:, own])[:, 0])
        if len(weights) > 1:
            joined = [_outer(each, directions) for each in weights]
            orthonormal, triangle = np.linalg.qr(np.concatenate(joined, axis=2))
            return triangle @ np.concatenate(spectra, axis=1), orthonormal
        size = np.linalg.norm(weights[0], axis=1)
        unit = weights[0] / np.where(size > 0, size, 1.0)[:, None]
        return size[:, None, None] * spectra[0], _outer(unit, directions)

    def light_errors(self, root: Floats) -> Floats:
        """Coefficients of ln(mean flux) of each component: see `Blend`."""
        n, n_components = self.light.shape
        scaled = (self.error_scale[:, :, None] * root).transpose(0, 2, 1)
        products: Floats = scaled[:, :, None] * self.basis.error.log_mean[:, None]
        return products.reshape(n, n_components * products.shape[2], n_components)


def _outer(weights: Floats, directions: Floats) -> Floats:
    """Return the Kronecker products (n, k J, R) of weights (n, k) and directions (J, R)."""
    products: Floats = weights[:, :, None, None] * directions
    n, k = weights.shape
    return products.reshape(n, k * len(directions), directions.shape[1])
