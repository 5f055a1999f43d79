"""The components of a mixture: photospheres of a library, or blackbodies.

Each kind implements three interfaces. A `Source` provides the spectra of a component. A `Component`
is a source at n samples of its parameters. An `OrderComponent` is a component in one order. The
classes for libraries are in `mixjobs.model.library_model`, those for blackbodies in
`mixjobs.model.blackbody`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal, Protocol, Self

import numpy as np

from mixjobs.errors import OutsideGrid
from mixjobs.interpolation import Outside
from mixjobs.model.layout import Layout, Values, fractions, solid_angles, weight_names
from mixjobs.typing import Bools, Floats

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

    def errors(self, root: Floats) -> tuple[Floats, Floats]:
        """Return the spectra in which the emulator errs, and their weights.

        Parameters
        ----------
        root : (n, k, k) array
            Symmetric root of the correlation between the errors of the components.

        Returns
        -------
        spectra : (n, R, n_pixels) array
            None for a blackbody.
        directions : (n, Z, R) array
            Change of their weights with each of Z standard normal variables, in orthonormal
            columns. These are the J variables of the joint error for each of the k components.
        """

    def light_errors(self, root: Floats) -> Floats:
        """Change of ln(mean flux) of each component with the same variables: (n, Z, k)."""

    def reconstruction_errors(self, root: Floats) -> tuple[Floats, Floats]:
        """Return what `errors` returns, for the reconstruction error of this order alone."""


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
    """Return the symmetric roots of covariances (n, k, k), which may be singular.

    Examples
    --------
    >>> root(np.array([[[4.0]]])).tolist()
    [[[2.0]]]
    """
    values, vectors = np.linalg.eigh(covariance)
    scaled = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
    symmetric: Floats = scaled @ vectors.transpose(0, 2, 1)
    return symmetric
