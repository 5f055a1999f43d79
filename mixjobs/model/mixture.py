"""Mixtures of photospheres: of two given spectra (`mix`), and of components at any parameters.

``f_mix = (1 - c) f1/f1bar + c q f2/f2bar`` (strategy 3 of Starfish's issue 35). For K components
this is ``sum_k c_k q_k f_k/fbar_k`` with ``q_k = fbar_k/f1bar``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.display import Summarised
from mixjobs.errors import InvalidInput
from mixjobs.interpolation import Outside
from mixjobs.model.components import (
    MixtureSamples,
    OrderComponent,
    Source,
    Weighting,
    read_samples,
    root,
)
from mixjobs.model.flux_ratio import summarise_orders
from mixjobs.model.layout import Layout, Values
from mixjobs.orders import Orders
from mixjobs.typing import Floats
from mixjobs.units import to_value

MAX_SPECTRA_PER_BATCH = 8  # so that their transforms fit in the cache

Group = tuple[int, ...]


def mix(s1: ArrayLike, s2: ArrayLike, c: ArrayLike, q: ArrayLike) -> Floats:
    """Mix the normalised spectra of two components.

    ``f_mix = (1 - c) f1/f1bar + c q f2/f2bar`` (strategy 3 of Starfish's issue 35), with
    ``s = f/fbar`` and ``q = f2bar/f1bar``.

    Parameters
    ----------
    s1, s2 : (..., n_pixels) arrays
        Spectra of components 1 and 2, each with mean 1 over the order's pixels.
    c : (...) array
        Filling factor of component 2: its fraction of the solid angle, 0 to 1.
    q : (...) array
        Flux ratio of component 2 to component 1 in the order.

    Returns
    -------
    (..., n_pixels) array
        All leading shapes broadcast against each other.

    Raises
    ------
    InvalidInput
        c outside [0, 1] or NaN, a quantity with a unit, or shapes that do not broadcast.

    Examples
    --------
    >>> mix([0.5, 1.5], [1.0, 1.0], c=0.25, q=2.0).tolist()
    [0.875, 1.625]
    """
    given = {"s1": s1, "s2": s2, "c": c, "q": q}
    spectrum1, spectrum2, fraction, ratio = (
        np.asarray(to_value(value, "", name), dtype=np.float64) for name, value in given.items()
    )
    inside = (fraction >= 0) & (fraction <= 1)
    if not inside.all():
        wrong = float(fraction[~inside].flat[0])
        raise InvalidInput(
            f"c = {wrong:g}: expected a filling factor from 0 to 1", name="c", value=wrong
        )
    try:
        weight2 = fraction * ratio
        mixed: Floats = (1 - fraction)[..., None] * spectrum1 + weight2[..., None] * spectrum2
    except ValueError:
        raise InvalidInput(
            f"spectra {spectrum1.shape} and {spectrum2.shape}, c {fraction.shape} and q "
            f"{ratio.shape} do not broadcast; expected shapes (..., n_pixels) and (...)",
            name="s2",
            value=spectrum2.shape,
        ) from None
    return mixed


@dataclass(frozen=True, eq=False)
class SpectrumBatch:
    """Spectra of a mixture in one order, for a batch of samples.

    Attributes
    ----------
    order_index : int
        Index of the order, from 0.
    samples : slice
        The samples in the batch.
    flux : (n, n_pixels) array
        The mixture.
    level : (n,) array
        Mean level of the mixture, ``1 - c + c q``: its mean over the library's own pixels, before
        broadening.
    error : (n, n_pixels, J) array
        Factor X of the covariance X Xᵀ of the mixture's error. The columns of the emulators come
        first, then that of q (with three or more components, one column for each mean flux). There
        are no columns if errors were not requested.
    level_error : (n, J) array
        Change of the level with each column.
    """

    order_index: int
    samples: slice
    flux: Floats
    level: Floats
    error: Floats
    level_error: Floats


@dataclass(frozen=True, eq=False, repr=False)
class MixtureModel(Summarised):
    """Spectra of a mixture at any parameters, in M orders.

    `mixjobs.load_mixture` loads one from a store.

    Attributes
    ----------
    layout : Layout
        Names and sequence of the parameters.
    sources : tuple of K sources
        The library or blackbody of each component.
    orders : Orders
    wavelength : tuple of M (n_pixels,) arrays
        Pixels of the spectra, Å, in the medium of the data.
    weighting : {"c", "log_omega"}
    outside : {"raise", "nan"}
        Whether invalid parameters raise an error or give NaN.
    """

    layout: Layout
    sources: tuple[Source, ...]
    orders: Orders
    wavelength: tuple[Floats, ...]
    weighting: Weighting
    outside: Outside

    def __post_init__(self) -> None:
        for name, choices in (("weighting", get_args(Weighting)), ("outside", get_args(Outside))):
            value = getattr(self, name)
            if value not in choices:
                raise InvalidInput(
                    f"unknown {name} {value!r}; choose {' or '.join(choices)}",
                    name=name,
                    value=value,
                )

    def _facts(self) -> Mapping[str, object]:
        fixed = ", ".join(f"{name} = {value:g}" for name, value in self.layout.fixed.items())
        return {
            **{f"component {k}": source.summary for k, source in enumerate(self.sources, 1)},
            "parameters": ", ".join(self.parameters),
            **({"fixed": fixed} if fixed else {}),
            "orders": summarise_orders(self.orders),
            "pixels": sum(len(wave) for wave in self.wavelength),
        }

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in the sequence of an array's columns."""
        return self.layout.names

    @property
    def reconstruction_error(self) -> Floats:
        """r.m.s. residual of the emulators, in units of each component's mean flux: (K, M).

        This is at the grid points and before broadening. The errors of `stream` do not include it.
        """
        order_indices = range(len(self.orders))
        return np.array(
            [[source.reconstruction_error(m) for m in order_indices] for source in self.sources]
        )

    def __call__(self, values: Values) -> tuple[Floats, ...]:
        """Evaluate the mixture.

        Parameters
        ----------
        values : (..., n_params) array, or a mapping
            Parameters in the sequence of `parameters`, or by name as arrays that broadcast.
            Quantities are converted if they are given by name.

        Returns
        -------
        tuple of M (..., n_pixels) arrays
            In units of component 1's mean flux; with `log_omega`, in the library's flux unit times
            the solid angle. NaN for invalid parameters if `outside` is "nan".

        Raises
        ------
        OutsideGrid
            A theta outside the grid or next to a hole, a velocity beyond the buffer, or filling
            factors outside [0, 1], if `outside` is "raise".
        InvalidInput
            Parameters of the wrong shape or unit, with wrong names, or NaN.
        """
        samples, leading = self._read(values)
        results = [np.empty((len(samples), len(wave))) for wave in self.wavelength]
        for batch in self._stream(samples, errors=False):
            results[batch.order_index][batch.samples] = batch.flux
        return tuple(result.reshape(*leading, result.shape[1]) for result in results)

    def stream(self, values: Values, errors: bool = False) -> Iterator[SpectrumBatch]:
        """Evaluate the mixture order by order, in batches that fit in the cache.

        The leading axes of the values are flattened. Errors are those of `__call__`.

        Parameters
        ----------
        values : (..., n_params) array, or a mapping
        errors : bool
            Whether to evaluate the interpolation error too.
        """
        samples, _ = self._read(values)
        return self._stream(samples, errors)

    def light(self, values: Values) -> Floats:
        """Light of each component in each order, (..., K, M).

        This is ``c_k q_k``; with `log_omega` it is the solid angle times the mean flux. Parameters
        and errors are those of `__call__`.
        """
        samples, leading = self._read(values)
        light = [self._order(samples, m).light for m in range(len(self.orders))]
        return np.stack(light, axis=-1).reshape(*leading, len(self.sources), len(self.orders))

    def parts(self, values: Values) -> tuple[Floats, ...]:
        """Evaluate each component alone, with its light in the mixture.

        Returns M arrays (..., K, n_pixels), which add up to the mixture. Parameters and errors are
        those of `__call__`.
        """
        samples, leading = self._read(values)
        results = []
        for m, wave in enumerate(self.wavelength):
            order = self._order(samples, m)
            parts = np.empty((len(samples), len(self.sources), len(wave)))
            for batch in _batches(len(samples)):
                for k in range(len(self.sources)):
                    parts[batch, k] = order.part(k, batch)
            results.append(parts.reshape(*leading, *parts.shape[1:]))
        return tuple(results)

    @cached_property
    def _families(self) -> list[list[Group]]:
        """Components by library, in groups that share velocity and rotation.

        A blackbody is a family of its own. Blackbodies come first.
        """
        families: dict[tuple[bool, object], dict[object, list[int]]] = {}
        for k, (source, columns) in enumerate(zip(self.sources, self.layout.columns, strict=True)):
            is_library = source.library is not None
            groups = families.setdefault((is_library, source.library if is_library else k), {})
            groups.setdefault((columns.get("rv"), columns.get("vsini")), []).append(k)
        ordered = sorted(families, key=lambda family: family[0])
        return [[tuple(group) for group in families[family].values()] for family in ordered]

    def _read(self, values: Values) -> tuple[MixtureSamples, tuple[int, ...]]:
        return read_samples(self.sources, self.layout, self.weighting, self.outside, values)

    def _order(self, samples: MixtureSamples, m: int) -> OrderMixture:
        return order_mixture(self._families, samples, m, relative=self.weighting == "c")

    def _stream(self, samples: MixtureSamples, errors: bool) -> Iterator[SpectrumBatch]:
        for m in range(len(self.orders)):
            order = self._order(samples, m)
            for batch in _batches(len(samples)):
                flux, error, level_error = order.spectra(batch, errors)
                level = order.light[batch].sum(axis=1)
                yield SpectrumBatch(m, batch, flux, level, error, level_error)


def _batches(n: int) -> Iterator[slice]:
    """Yield slices of at most `MAX_SPECTRA_PER_BATCH` samples."""
    for first in range(0, n, MAX_SPECTRA_PER_BATCH):
        yield slice(first, min(first + MAX_SPECTRA_PER_BATCH, n))


@dataclass(frozen=True, eq=False)
class OrderMixture:
    """A mixture in one order, at n samples of its parameters.

    `order_mixture` makes one.

    Attributes
    ----------
    families : sequence of lists of groups
        Components by library, in groups that share velocity and rotation.
    samples : MixtureSamples
    components : tuple of K OrderComponent
    light : (n, K) array
        ``c_k q_k``, or the solid angle times the mean flux; NaN for an invalid sample.
    relative : bool
        Whether the light is in units of component 1's mean flux.
    """

    families: Sequence[Sequence[Group]]
    samples: MixtureSamples
    components: tuple[OrderComponent, ...]
    light: Floats
    relative: bool

    def spectra(self, batch: slice, errors: bool) -> tuple[Floats, Floats, Floats]:
        """Evaluate a batch of samples: see `SpectrumBatch`.

        Returns
        -------
        flux : (n, n_pixels) array
        error : (n, n_pixels, J) array
        level_error : (n, J) array
        """
        members = [[k for group in family for k in group] for family in self.families]
        blends = []
        for family, indices in zip(self.families, members, strict=True):
            groups = [[self.components[k] for k in group] for group in family]
            light = self.light[batch][:, indices]
            blends.append(groups[0][0].blend(groups, light, batch))
        flux = sum((blend.flux for blend in blends[1:]), blends[0].flux)
        if not errors:
            return flux, np.empty((*flux.shape, 0)), np.empty((len(flux), 0))
        correlation = self.samples.correlation[batch]
        columns = [
            column
            for blend, k in zip(blends, members, strict=True)
            for column in blend.errors(correlation[:, k][:, :, k])
        ]
        light_columns, level_columns = self._light_errors(batch, flux.shape[1])
        error = np.concatenate([*columns, light_columns], axis=1)
        level_error = np.zeros(error.shape[:2])  # errors of a normalised spectrum have mean 0
        level_error[:, error.shape[1] - level_columns.shape[1] :] = level_columns
        return flux, error.transpose(0, 2, 1), level_error

    def part(self, k: int, batch: slice) -> Floats:
        """Return component `k` alone, (n, n_pixels), with its light in the mixture."""
        return self.components[k].spectrum(self.light[batch, k], batch)

    def _light_errors(self, batch: slice, n_pixels: int) -> tuple[Floats, Floats]:
        """Error columns of the light: of the spectrum (n, J, n_pixels), and of its level (n, J).

        The derivative of a part with respect to ln(light) is the part itself. ln(light) contains
        one ln(mean flux) or, relative to component 1, the difference of two. The errors of the mean
        fluxes have the same correlation as those of the emulators.
        """
        errors = np.array([component.log_mean_error for component in self.components])
        covariance = self.samples.correlation[batch] * errors[:, None] * errors
        if self.relative:
            over_first = np.eye(len(errors))[1:] - np.eye(len(errors))[:1]
            covariance = over_first @ covariance @ over_first.T
        first, factor = int(self.relative), root(covariance)
        light = self.light[batch, first:]
        parts = [self.part(k, batch) for k in range(first, len(errors))]
        if not parts:
            return np.empty((len(light), 0, n_pixels)), np.empty((len(light), 0))
        columns = np.einsum("knp,nkj->njp", np.stack(parts), factor)
        return columns, np.einsum("nk,nkj->nj", light, factor)


def order_mixture(
    families: Sequence[Sequence[Group]], samples: MixtureSamples, m: int, relative: bool
) -> OrderMixture:
    """Evaluate every component of a mixture in the order with index `m`."""
    components = tuple(component.in_order(m) for component in samples.components)
    log_mean = np.column_stack([component.log_mean for component in components])
    covered = np.logical_and.reduce([component.covered for component in components])
    reference = log_mean[:, :1] if relative else 0.0
    light = np.where(covered[:, None], samples.weight, np.nan) * np.exp(log_mean - reference)
    return OrderMixture(families, samples, components, light, relative)
