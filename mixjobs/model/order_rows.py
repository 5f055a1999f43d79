"""One order of a mixture at given rows of parameters: the light of each component, its spectra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mixjobs.model.components import BlackBody, LibraryModel, Rows, Source
from mixjobs.model.order_model import OrderBasis
from mixjobs.typing import Complexes, Floats


@dataclass(frozen=True, eq=False)
class OrderRows:
    """The rows of parameters in one order; made by `order_rows`.

    Attributes
    ----------
    sources : sequence of LibraryModel or BlackBody
        Of the K components.
    groups : sequence of tuples of int
        Components that weight library, velocity and rotation, and so all but their weights.
    rows : Rows
    m : int
        Row of the order.
    light : (n, K) array
        ``c_k q_k``, or the solid angle times the mean flux; NaN in a row that is not valid.
    moving : tuple
        Of each component: rv and vsini (n,), 0 where they go beyond the order's buffer.
    coefficients : tuple
        Of each component: (n, K + 1), of the mean spectrum and the emulator's components; None
        for a black body.
    relative : bool
        Whether the light is in units of component 1's mean flux.
    """

    sources: Sequence[Source]
    groups: Sequence[tuple[int, ...]]
    rows: Rows
    m: int
    light: Floats
    moving: tuple[tuple[Floats, Floats], ...]
    coefficients: tuple[Floats | None, ...]
    relative: bool

    def spectra(self, here: slice, errors: bool) -> tuple[Floats, Floats, Floats]:
        """Return the mixture (n, n_pixels) of some rows, and the factor of its error's covariance.

        The factor is (n, n_pixels, J); how its columns move the level, (n, J), comes with it.
        Components of one library are added before the one inverse transform.
        """
        factors: dict[tuple[int, ...], Complexes] = {}
        mixed: dict[int, Complexes] = {}
        parts: list[Floats] = []
        for group in self.groups:
            basis, library = self._basis(group[0]), self.rows.library[group[0]]
            if basis is None:
                parts.append(self.part(group[0], here))
                continue
            factors[group] = self._factors(group[0], basis, here)
            spectra = self._combined(group, basis, factors[group], here)
            mixed[library] = mixed[library] + spectra if library in mixed else spectra
        for library, spectra in mixed.items():
            basis = self._basis(library)
            assert basis is not None  # only libraries are mixed
            parts.append(basis.pixels(spectra))
        flux = sum(parts[1:], parts[0])
        if not errors:
            return flux, np.empty((*flux.shape, 0)), np.empty((len(flux), 0))
        of_light, of_level = self._light_errors(here, flux.shape[1])
        error = np.concatenate([*self._emulator_errors(factors, here), of_light], axis=1)
        level_error = np.zeros(error.shape[:2])  # a normalised spectrum's errors have mean 0
        level_error[:, error.shape[1] - of_level.shape[1] :] = of_level
        return flux, error.transpose(0, 2, 1), level_error

    def _basis(self, k: int) -> OrderBasis | None:
        """What component `k` is made of in this order; None for a black body."""
        source = self.sources[k]
        return source.orders[self.m] if isinstance(source, LibraryModel) else None

    def part(self, k: int, here: slice) -> Floats:
        """Return component `k` alone, (n, n_pixels), as it is in the mixture."""
        source = self.sources[k]
        if isinstance(source, BlackBody):
            teff = np.asarray(self.rows.components[k].place)[here]
            return self.light[here, k, None] * source.shape(self.m, teff)
        basis = source.orders[self.m]
        factors = self._factors(k, basis, here)
        return basis.pixels(self._combined((k,), basis, factors, here))

    def _combined(
        self, group: tuple[int, ...], basis: OrderBasis, factors: Complexes, here: slice
    ) -> Complexes:
        parts = []
        for k in group:
            coefficients = self.coefficients[k]
            assert coefficients is not None  # a group is of one library
            parts.append(self.light[here, k, None] * coefficients[here])
        return basis.combine(sum(parts[1:], parts[0]), factors)

    def _factors(self, k: int, basis: OrderBasis, here: slice) -> Complexes:
        rv, vsini = self.moving[k]
        return basis.kernels(rv[here], vsini[here])

    def _emulator_errors(
        self, factors: dict[tuple[int, ...], Complexes], here: slice
    ) -> Iterator[Floats]:
        """Columns (n, J, n_pixels) of the emulators' errors.

        The errors of components of one library are correlated: `Rows.correlation`. Where these
        move alike too, their columns are multiples of each other, and are added up to one set.
        """
        for library in dict.fromkeys(self.rows.library[group[0]] for group in factors):
            basis = self._basis(library)
            assert basis is not None  # only libraries have factors
            groups = [g for g in factors if self.rows.library[g[0]] == library]
            members = [k for group in groups for k in group]
            correlation = self.rows.correlation[here][:, members][:, :, members]
            light = self.light[here][:, members]
            if len(groups) == 1:
                size = np.sqrt(np.einsum("nj,njk,nk->n", light, correlation, light))
                yield basis.pixels((size[:, None] * factors[groups[0]])[:, None] * basis.errors)
                continue
            independent = light[:, :, None] * root(correlation)
            for column in independent.transpose(2, 0, 1):
                spectra: Complexes | float = 0.0
                for group in groups:
                    size = column[:, [members.index(k) for k in group]].sum(axis=1)
                    spectra = spectra + size[:, None] * factors[group]
                yield basis.pixels(np.asarray(spectra)[:, None] * basis.errors)

    def _light_errors(self, here: slice, n_pixels: int) -> tuple[Floats, Floats]:
        """Columns (n, J, n_pixels) of the error of each light that is not 1 by definition.

        How they move the level, (n, J), comes with them. The derivative of a part by ln(light) is
        the part itself. ln(light) is that of a mean flux, or, in units of component 1's, the
        difference of two; their errors are correlated as those of the emulators.
        """
        errors = np.array([source.log_mean_error(self.m) for source in self.sources])
        covariance = self.rows.correlation[here] * errors[:, None] * errors
        if self.relative:
            over_first = np.eye(len(errors))[1:] - np.eye(len(errors))[:1]
            covariance = over_first @ covariance @ over_first.T
        first, factor = int(self.relative), root(covariance)
        light = self.light[here, first:]
        parts = [self.part(k, here) for k in range(first, len(errors))]
        if not parts:
            return np.empty((len(light), 0, n_pixels)), np.empty((len(light), 0))
        columns = np.einsum("knp,nkj->njp", np.stack(parts), factor)
        return columns, np.einsum("nk,nkj->nj", light, factor)


def root(covariance: Floats) -> Floats:
    """Return a factor F of covariances (n, k, k), F Fᵀ; they may be singular.

    Examples
    --------
    >>> root(np.array([[[4.0]]])).tolist()
    [[[2.0]]]
    """
    values, vectors = np.linalg.eigh(covariance)
    factor: Floats = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
    return factor


def order_rows(
    sources: Sequence[Source],
    groups: Sequence[tuple[int, ...]],
    rows: Rows,
    m: int,
    relative: bool,
) -> OrderRows:
    """Interpolate every component's emulator weights and mean flux in one order."""
    log_mean = np.empty(rows.weight.shape)
    coefficients: list[Floats | None] = []
    moving = []
    good = np.ones(len(rows), dtype=bool)
    for k, (source, read) in enumerate(zip(sources, rows.components, strict=True)):
        near = np.ones(len(rows), dtype=bool)
        if isinstance(source, LibraryModel):
            near = np.abs(read.rv) <= source.orders[m].max_velocity - read.vsini
            values = read.place @ source.orders[m].table
            log_mean[:, k] = values[:, -1]
            coefficients.append(np.column_stack([np.ones(len(values)), values[:, :-1]]))
        else:
            log_mean[:, k] = source.log_mean(m, np.asarray(read.place))
            coefficients.append(None)
        moving.append((np.where(near, read.rv, 0.0), np.where(near, read.vsini, 0.0)))
        good &= near
    zero = log_mean[:, :1] if relative else 0.0
    light = np.where(good[:, None], rows.weight, np.nan) * np.exp(log_mean - zero)
    return OrderRows(sources, groups, rows, m, light, tuple(moving), tuple(coefficients), relative)
