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
    Blend,
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
    error : SpectrumError
        There are no columns if errors were not requested.
    """

    order_index: int
    samples: slice
    flux: Floats
    level: Floats
    error: SpectrumError


@dataclass(frozen=True, eq=False)
class SpectrumError:
    """The error of the mixture in one order, for a batch of samples.

    It is ``columns @ w``, where the weights w are ``z @ common``, followed by ``y @ own``. The
    standard normal variables z are those of all orders and epochs; y belong to this order, in all
    epochs.

    Attributes
    ----------
    columns : (n, n_pixels, R) array
        Factor X of the covariance X Xᵀ of the error, which includes that of the mean fluxes.
    level : (n, R) array
        Change of the mixture's level with each column.
    common : (n, Z, C) array
        Interpolation error; its columns are orthonormal.
    own : (n, Y, R - C) array
        Reconstruction error; its columns are orthonormal.
    """

    columns: Floats
    level: Floats
    common: Floats
    own: Floats

    @classmethod
    def none(cls, n: int, n_pixels: int) -> SpectrumError:
        """Return an error without columns."""
        shapes = (n, n_pixels, 0), (n, 0), (n, 0, 0), (n, 0, 0)
        return cls(*(np.empty(shape) for shape in shapes))


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

        This is at the grid points and before broadening.
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
        samples, leading = self.read(values)
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
        samples, _ = self.read(values)
        return self._stream(samples, errors)

    def light(self, values: Values) -> Floats:
        """Light of each component in each order, (..., K, M).

        This is ``c_k q_k``; with `log_omega` it is the solid angle times the mean flux. Parameters
        and errors are those of `__call__`.
        """
        samples, leading = self.read(values)
        light = [self.order(samples, m).light for m in range(len(self.orders))]
        return np.stack(light, axis=-1).reshape(*leading, len(self.sources), len(self.orders))

    def parts(self, values: Values) -> tuple[Floats, ...]:
        """Evaluate each component alone, with its light in the mixture.

        Returns M arrays (..., K, n_pixels), which add up to the mixture. Parameters and errors are
        those of `__call__`.
        """
        samples, leading = self.read(values)
        results = []
        for m, wave in enumerate(self.wavelength):
            order = self.order(samples, m)
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

    def read(self, values: Values) -> tuple[MixtureSamples, tuple[int, ...]]:
        """Read values as `__call__` does: samples, and the leading shape of the values."""
        return read_samples(self.sources, self.layout, self.weighting, self.outside, values)

    def order(self, samples: MixtureSamples, m: int) -> OrderMixture:
        """Evaluate every component in the order with index `m`."""
        return order_mixture(self._families, samples, m, relative=self.weighting == "c")

    def _stream(self, samples: MixtureSamples, errors: bool) -> Iterator[SpectrumBatch]:
        for m in range(len(self.orders)):
            order = self.order(samples, m)
            for batch in _batches(len(samples)):
                flux, error = order.spectra(batch, errors)
                yield SpectrumBatch(m, batch, flux, order.light[batch].sum(axis=1), error)


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

    def spectra(self, batch: slice, errors: bool) -> tuple[Floats, SpectrumError]:
        """Evaluate a batch of samples: flux and error of a `SpectrumBatch`."""
        members = [[k for group in family for k in group] for family in self.families]
        blends = []
        for family, indices in zip(self.families, members, strict=True):
            groups = [[self.components[k] for k in group] for group in family]
            light = self.light[batch][:, indices]
            blends.append(groups[0][0].blend(groups, light, batch))
        flux = sum((blend.flux for blend in blends[1:]), blends[0].flux)
        error = SpectrumError.none(*flux.shape)
        return flux, self._error(batch, blends, members) if errors else error

    def _error(
        self, batch: slice, blends: Sequence[Blend], members: Sequence[Sequence[int]]
    ) -> SpectrumError:
        """Evaluate the error of a batch.

        The error is a sum of a few spectra: those in which the emulators err, and the component
        itself for the error of its mean flux, because the derivative of a part with respect to
        ln(mean flux) is the part. The weights of these spectra are linear in z and y.
        """
        roots = [root(self.samples.correlation[batch][:, ks][:, :, ks]) for ks in members]
        pairs = list(zip(blends, roots, strict=True))
        shapes, directions = zip(*(blend.errors(factor) for blend, factor in pairs), strict=True)
        common = _block_diagonal(directions)
        sequence, ln_light = self._light_errors(pairs, members)
        within = common.transpose(0, 2, 1) @ ln_light
        beyond, triangle = np.linalg.qr(ln_light - common @ within)
        of_parts = np.concatenate([within, triangle], axis=1)
        residuals, own = zip(
            *(blend.reconstruction_errors(factor) for blend, factor in pairs), strict=True
        )
        n, n_pixels = blends[0].flux.shape
        no_spectra = np.zeros((n, triangle.shape[1], n_pixels))
        columns = np.concatenate([*shapes, no_spectra, *residuals], axis=1)
        if sequence:
            parts = np.stack([self.part(k, batch) for k in sequence], axis=1)
            columns[:, : of_parts.shape[1]] += of_parts @ parts
        level = np.zeros((n, columns.shape[1]))  # the emulator's errors have mean 0
        light = self.light[batch][:, sequence]
        level[:, : of_parts.shape[1]] = np.matmul(of_parts, light[:, :, None])[:, :, 0]
        return SpectrumError(
            columns.transpose(0, 2, 1), level,
            np.concatenate([common, beyond], axis=2), _block_diagonal(own),
        )  # fmt: skip

    def _light_errors(
        self, pairs: Sequence[tuple[Blend, Floats]], members: Sequence[Sequence[int]]
    ) -> tuple[list[int], Floats]:
        """Return the components whose light has an error, and its change (n, Z, k) with z."""
        ln_light = _block_diagonal([blend.light_errors(factor) for blend, factor in pairs])
        sequence = [k for ks in members for k in ks]
        if self.relative:  # to the mean flux of component 1, whose own light has no error then
            first = sequence.index(0)
            ln_light = np.delete(ln_light, first, axis=2) - ln_light[:, :, first : first + 1]
            del sequence[first]
        return sequence, ln_light

    def part(self, k: int, batch: slice) -> Floats:
        """Return component `k` alone, (n, n_pixels), with its light in the mixture."""
        return self.components[k].spectrum(self.light[batch, k], batch)


def _block_diagonal(blocks: Sequence[Floats]) -> Floats:
    """Combine blocks (n, rows, columns) along the diagonal of matrices."""
    if len(blocks) == 1:
        return blocks[0]
    rows = np.cumsum([0, *(block.shape[1] for block in blocks)])
    columns = np.cumsum([0, *(block.shape[2] for block in blocks)])
    combined = np.zeros((len(blocks[0]), rows[-1], columns[-1]))
    for k, block in enumerate(blocks):
        combined[:, rows[k] : rows[k + 1], columns[k] : columns[k + 1]] = block
    return combined


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
