"""One order of a mixture at given rows of parameters: the light of each component, its spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixjobs.model.components import BlackBody, LibraryModel, Rows, Source
from mixjobs.model.synthesis import Complexes, OrderBasis

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OrderRows:
    """The rows of parameters in one order; made by `order_rows`.

    Attributes
    ----------
    sources : sequence of LibraryModel or BlackBody
        Of the K components.
    groups : sequence of tuples of int
        Components that share library, velocity and rotation, and so all but their weights.
    rows : Rows
    m : int
        Row of the order.
    light : (n, K) array
        ``c_k q_k``, or the solid angle times the mean flux; NaN in a row that is not answered.
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
    coefficients: tuple[Floats | None, ...]
    relative: bool

    def spectra(self, here: slice, errors: bool) -> tuple[Floats, Floats]:
        """Return the mixture (n, n_pixels) of some rows, and the factor of its error's covariance.

        Components of one library are added before the one inverse transform.
        """
        mixed: dict[int, tuple[OrderBasis, Complexes]] = {}
        parts: list[Floats] = []
        columns: list[Floats] = []
        for group in self.groups:
            source = self.sources[group[0]]
            if isinstance(source, BlackBody):
                parts.append(self.part(group[0], here))
                continue
            basis = source.orders[self.m]
            factors = self._factors(group[0], basis, here)
            spectra = self._combined(group, basis, factors, here)
            if errors:
                columns.append(self._emulator_error(group, basis, factors, here))
            _, before = mixed.get(id(source), (basis, None))
            mixed[id(source)] = basis, spectra if before is None else before + spectra
        parts += [basis.pixels(spectra) for basis, spectra in mixed.values()]
        flux = sum(parts[1:], parts[0])
        if errors:
            columns += self._light_errors(here)
        every = columns or [np.empty((len(flux), 0, flux.shape[1]))]
        return flux, np.concatenate(every, axis=1).transpose(0, 2, 1)

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
        component = self.rows.components[k]
        return basis.kernels(component.rv[here], component.vsini[here])

    def _emulator_error(
        self, group: tuple[int, ...], basis: OrderBasis, factors: Complexes, here: slice
    ) -> Floats:
        """Columns (n, J, n_pixels) of the emulator's error.

        Those of components that share their factors are multiples of each other, so their squares
        add up.
        """
        size = np.sqrt((self.light[here][:, group] ** 2).sum(axis=1))
        return basis.pixels((size[:, None] * factors)[:, None] * basis.errors)

    def _light_errors(self, here: slice) -> list[Floats]:
        """Columns (n, 1, n_pixels) of the error of each light that is not 1 by definition.

        The derivative of a part by ln(light) is the part itself. All q share the mean flux of
        component 1, and the column of its error; with two components both columns are one.
        """
        errors = [source.log_mean_error(self.m) for source in self.sources]
        if not self.relative:
            return [errors[k] * self.part(k, here)[:, None] for k in range(len(errors))]
        parts = [self.part(k, here)[:, None] for k in range(1, len(errors))]
        if len(parts) == 1:
            return [float(np.hypot(errors[0], errors[1])) * parts[0]]
        own = [error * part for error, part in zip(errors[1:], parts, strict=True)]
        return [*own, errors[0] * sum(parts[1:], parts[0])] if parts else []


def order_rows(
    sources: Sequence[Source],
    groups: Sequence[tuple[int, ...]],
    rows: Rows,
    m: int,
    relative: bool,
) -> OrderRows:
    """Interpolate every component's emulator weights and mean flux in one order."""
    log_mean = np.empty(rows.share.shape)
    coefficients: list[Floats | None] = []
    for k, (source, read) in enumerate(zip(sources, rows.components, strict=True)):
        if isinstance(source, LibraryModel):
            values = read.place @ source.orders[m].table
            log_mean[:, k] = values[:, -1]
            coefficients.append(np.column_stack([np.ones(len(values)), values[:, :-1]]))
        else:
            log_mean[:, k] = source.log_mean(m, np.asarray(read.place))
            coefficients.append(None)
    zero = log_mean[:, :1] if relative else 0.0
    light = rows.share * np.exp(log_mean - zero)
    return OrderRows(sources, groups, rows, m, light, tuple(coefficients), relative)
