"""The components of a mixture: photospheres of a library, or blackbodies.

Each kind implements three interfaces. A `Source` provides the spectra of a component. A `Component`
is a source at n samples of its parameters. An `OrderComponent` is a component in one order. The
classes for libraries are here, those for blackbodies in `mixjobs.model.blackbody`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np
from scipy.sparse import csr_array

from mixjobs.display import fact_text
from mixjobs.errors import OutsideGrid
from mixjobs.grid import Grid
from mixjobs.interpolation import Outside
from mixjobs.interpolation.cells import Interpolation, outside_grid
from mixjobs.model.flux_ratio import summarise_axes
from mixjobs.model.layout import Layout, Values, fractions, solid_angles, weight_names
from mixjobs.model.order_model import OrderBasis
from mixjobs.typing import Bools, Complexes, Floats

Weighting = Literal["c", "log_omega"]
Columns = Mapping[str, int]


class Source(Protocol):
    """A library or a blackbody, which provides the spectra of components."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of a component."""

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Ends of each axis of the grid, by name; empty without a grid."""

    @property
    def library(self) -> str | None:
        """Key of the library: components with the same key share interpolation errors."""

    @property
    def summary(self) -> str:
        """A short description, for the `repr` of a model."""

    @property
    def max_velocity(self) -> float:
        """Largest ``|rv| + vsini`` that every order allows: km/s."""

    def component(self, samples: Floats, columns: Columns) -> Component:
        """Read the component's own parameters from samples (n, n_all)."""

    def outside(self, sample: Floats, columns: Columns, prefix: str) -> OutsideGrid:
        """Return the error for one invalid sample (n_all,)."""

    def reconstruction_error(self, m: int) -> float:
        """r.m.s. residual at the grid points in the order with index `m`."""


class Component(Protocol):
    """A component at n samples of its parameters."""

    @property
    def valid(self) -> Bools:
        """Whether each sample has valid parameters: (n,)."""

    @property
    def covered(self) -> Bools:
        """Whether the velocities of each sample stay within the buffer of every order: (n,)."""

    @property
    def steps(self) -> Floats:
        """Theta in units of the mean steps of the grid's axes: (n, D); D is 0 for a blackbody."""

    def in_order(self, m: int) -> OrderComponent:
        """Evaluate the mean flux and the emulator weights in the order with index `m`."""


class OrderComponent(Protocol):
    """A component in one order, at n samples."""

    @property
    def log_mean(self) -> Floats:
        """ln(mean flux): (n,)."""

    @property
    def log_mean_error(self) -> float:
        """Standard error of ln(mean flux)."""

    @property
    def covered(self) -> Bools:
        """Whether the velocities stay within the buffer of this order: (n,)."""

    def spectrum(self, light: Floats, batch: slice) -> Floats:
        """Return the spectra (n, n_pixels) of a batch of samples, scaled by their light (n,)."""

    def blend(self, groups: Sequence[Sequence[Self]], light: Floats, batch: slice) -> Blend:
        """Add up components of the same library for a batch of samples.

        Parameters
        ----------
        groups : sequence of sequences of components
            Components with the same velocity and rotation form a group.
        light : (n, k) array
            Light of the k components, in the sequence of the groups.
        batch : slice
            The samples.
        """


class Blend(Protocol):
    """The sum of components of one library in one order."""

    @property
    def flux(self) -> Floats:
        """The sum of the spectra: (n, n_pixels)."""

    def errors(self, correlation: Floats) -> Iterator[Floats]:
        """Yield columns (n, J, n_pixels) of the emulator's error.

        Parameters
        ----------
        correlation : (n, k, k) array
            Correlation between the errors of the components.
        """


# --- libraries ------------------------------------------------------------------------------------


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
    """

    library: str
    grid: Grid
    interpolation: Interpolation
    orders: Sequence[OrderBasis]

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
        return f"{fact_text(Path(self.library))}: {self.interpolation.method} in {', '.join(axes)}"

    @property
    def max_velocity(self) -> float:
        """Largest ``|rv| + vsini`` that every order allows: km/s."""
        return min(order.max_velocity for order in self.orders)

    def _theta(self, samples: Floats, columns: Columns) -> Floats:
        theta = np.repeat(self.grid.points[:1], len(samples), axis=0)
        for d in self.grid.free:
            theta[:, d] = samples[:, columns[self.grid.names[d]]]
        return theta

    def component(self, samples: Floats, columns: Columns) -> LibraryComponent:
        """Read the component's own parameters from samples (n, n_all)."""
        theta = self._theta(samples, columns)
        rv, vsini = samples[:, columns["rv"]], samples[:, columns["vsini"]]
        weights, valid = self.interpolation.weights(theta)
        valid = valid & (vsini >= 0) & (vsini < np.inf) & (np.abs(rv) < np.inf)
        if not valid.all():  # the weights of an invalid theta are meaningless: use a grid point's
            theta = np.where(valid[:, None], theta, self.grid.points[0])
            weights, _ = self.interpolation.weights(theta)
        step = np.array([np.diff(self.grid.axes[d]).mean() for d in self.grid.free])
        velocities = np.where(valid, rv, 0.0), np.where(valid, vsini, 0.0)
        return LibraryComponent(
            self, weights, *velocities, theta[:, list(self.grid.free)] / step, valid
        )

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
        return outside_grid(self.grid, self._theta(sample[None], columns)[0], prefix)

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
    valid : (n,) bool array
    """

    source: LibraryModel
    weights: csr_array
    rv: Floats
    vsini: Floats
    steps: Floats
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
    covered : (n,) bool array
    """

    basis: OrderBasis
    log_mean: Floats
    coefficients: Floats
    rv: Floats
    vsini: Floats
    covered: Bools

    @property
    def log_mean_error(self) -> float:
        """Standard error of ln(mean flux)."""
        return self.basis.log_mean_error

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
        return EmulatedBlend(self.basis, light, columns, factors, flux)


@dataclass(frozen=True, eq=False)
class EmulatedBlend:
    """The sum of components of one library in one order.

    Attributes
    ----------
    basis : OrderBasis
    light : (n, k) array
        Light of the components.
    columns : sequence of ranges
        The components of each group.
    factors : sequence of (n, n_freq) arrays
        Rotation and velocity of each group.
    flux : (n, n_pixels) array
    """

    basis: OrderBasis
    light: Floats
    columns: Sequence[range]
    factors: Sequence[Complexes]
    flux: Floats

    def errors(self, correlation: Floats) -> Iterator[Floats]:
        """Yield columns (n, J, n_pixels) of the emulator's error.

        Components with the same velocity and rotation have proportional columns, which combine
        into one set.
        """
        light = self.light
        if len(self.factors) == 1:
            amplitude = np.sqrt(np.einsum("nj,njk,nk->n", light, correlation, light))
            yield self._columns(amplitude[:, None] * self.factors[0])
            return
        independent = light[:, :, None] * root(correlation)
        for column in independent.transpose(2, 0, 1):
            spectra: Complexes | float = 0.0
            for members, factor in zip(self.columns, self.factors, strict=True):
                amplitude = column[:, list(members)].sum(axis=1)
                spectra = spectra + amplitude[:, None] * factor
            yield self._columns(np.asarray(spectra))

    def _columns(self, factors: Complexes) -> Floats:
        return self.basis.pixels(factors[:, None] * self.basis.error_transforms)


# --- all components of a mixture ------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class MixtureSamples:
    """Samples of a mixture's parameters, read for every component.

    `read_samples` makes one.

    Attributes
    ----------
    weight : (n, K) array
        Filling factor or solid angle of each component; NaN for an invalid sample.
    components : tuple of K components
    libraries : tuple of K keys
        The library of each component: see `Source.library`.
    """

    weight: Floats
    components: tuple[Component, ...]
    libraries: tuple[str | None, ...]

    @cached_property
    def correlation(self) -> Floats:
        """Correlation between the interpolation errors of the components: (n, K, K).

        It is ``exp(-d²/2)`` for two components of one library, where d is their distance in grid
        steps: components in the same cell are interpolated from the same grid points. It is 0 for
        components of different libraries and for blackbodies.
        """
        n_components = len(self.components)
        correlation = np.broadcast_to(np.eye(n_components), (len(self), n_components, n_components))
        correlation = correlation.copy()
        for j, k in combinations(range(n_components), 2):
            if self.libraries[j] is not None and self.libraries[j] == self.libraries[k]:
                distance = self.components[j].steps - self.components[k].steps
                rho = np.exp(-0.5 * (distance**2).sum(axis=1))
                correlation[:, j, k] = correlation[:, k, j] = rho
        return correlation

    def __len__(self) -> int:
        return len(self.weight)


def read_samples(
    sources: Sequence[Source],
    layout: Layout,
    weighting: Weighting,
    outside: Outside,
    values: Values,
) -> tuple[MixtureSamples, tuple[int, ...]]:
    """Read and check samples of a mixture's parameters.

    Returns
    -------
    samples : MixtureSamples
    leading : tuple of int
        The leading shape of the values.

    Raises
    ------
    InvalidInput
        Parameters of the wrong shape, or with wrong names.
    OutsideGrid
        An invalid theta, a velocity beyond the buffer, or filling factors outside [0, 1], if
        `outside` is "raise".
    """
    samples, leading = layout.samples(values)
    given = samples[:, samples.shape[1] - len(weight_names(len(sources), weighting)) :]
    weight = fractions(given) if weighting == "c" else solid_angles(given)
    components = [
        source.component(samples, columns)
        for source, columns in zip(sources, layout.columns, strict=True)
    ]
    if outside == "raise":
        _check_weights(weighting, given, weight)
        for k, component in enumerate(components):
            inside = component.valid & component.covered
            if not inside.all():
                raise _outside(sources[k], samples[~inside][0], layout, k)
    for component in components:
        weight[~component.valid] = np.nan
    libraries = tuple(source.library for source in sources)
    return MixtureSamples(weight, tuple(components), libraries), leading


def _check_weights(weighting: Weighting, given: Floats, weight: Floats) -> None:
    """Refuse filling factors outside [0, 1], and solid angles whose flux would overflow."""
    wrong = np.isnan(weight).any(axis=1)
    if not wrong.any():
        return
    values = given[wrong][0]
    expected = "filling factors from 0 to 1, with a sum of at most 1"
    if weighting == "log_omega":
        expected = "log10 of the solid angle, at most 100"
    raise OutsideGrid(
        f"{weighting} = {', '.join(f'{value:g}' for value in values)}: expected {expected}",
        name=weighting,
        value=tuple(values.tolist()),
    )


def _outside(source: Source, sample: Floats, layout: Layout, k: int) -> OutsideGrid:
    """Return the error for an invalid sample of component `k`, with the parameter's full name."""
    columns = layout.columns[k]
    error = source.outside(sample, columns, f"component {k + 1}")
    if error.name in columns:
        error.name = layout.all_names[columns[error.name]]
    return error


def root(covariance: Floats) -> Floats:
    """Return a factor F of covariances F Fᵀ (n, k, k), which may be singular.

    Examples
    --------
    >>> root(np.array([[[4.0]]])).tolist()
    [[[2.0]]]
    """
    values, vectors = np.linalg.eigh(covariance)
    factor: Floats = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
    return factor
