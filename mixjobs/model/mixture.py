"""The mixture of photospheres: of two spectra (`mix`), and of components at any theta.

``f_mix = (1 - c) f1/f1bar + c q f2/f2bar`` (Starfish, issue 35, strategy 3), for K components
``sum_k c_k q_k f_k/fbar_k`` with ``q_k = fbar_k/f1bar``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput
from mixjobs.interpolation import Outside
from mixjobs.model.components import Rows, Source, Weighting, read_rows
from mixjobs.model.layout import Layout, Values
from mixjobs.model.order_rows import OrderRows, order_rows
from mixjobs.orders import Orders
from mixjobs.typing import Floats

BLOCK = 8  # spectra evaluated together: their transforms fit in the cache


def mix(s1: ArrayLike, s2: ArrayLike, c: ArrayLike, q: ArrayLike) -> Floats:
    """Mix the normalised spectra of two components.

    ``f_mix = (1 - c) f1/f1bar + c q f2/f2bar`` (Starfish, issue 35, strategy 3), with
    ``s = f/fbar`` and ``q = f2bar/f1bar``.

    Parameters
    ----------
    s1, s2 : (..., n_pixels) arrays
        Spectra of components 1 and 2, each with mean 1 over the order's pixels.
    c : (...) array
        Solid-angle fraction of component 2, 0 to 1.
    q : (...) array
        Flux ratio of component 2 to component 1 in the order.

    Returns
    -------
    (..., n_pixels) array
        All leading shapes broadcast against each other.

    Raises
    ------
    InvalidInput
        c outside [0, 1] or NaN, or shapes that do not broadcast.

    Examples
    --------
    >>> mix([0.5, 1.5], [1.0, 1.0], c=0.25, q=2.0).tolist()
    [0.875, 1.625]
    """
    fraction = np.asarray(c, dtype=np.float64)
    if not ((fraction >= 0) & (fraction <= 1)).all():
        wrong = fraction[~((fraction >= 0) & (fraction <= 1))].flat[0]
        raise InvalidInput(f"c = {wrong:g} is not a fraction; expected values from 0 to 1")
    spectrum1, spectrum2 = (np.asarray(s, dtype=np.float64) for s in (s1, s2))
    try:
        weight2 = fraction * np.asarray(q, dtype=np.float64)
        mixed: Floats = (1 - fraction)[..., None] * spectrum1 + weight2[..., None] * spectrum2
    except ValueError:
        raise InvalidInput(
            f"shapes do not fit: spectra {spectrum1.shape} and {spectrum2.shape}, "
            f"c {fraction.shape}, q {np.shape(q)}; expected (..., n_pixels) and (...)"
        ) from None
    return mixed


@dataclass(frozen=True, eq=False)
class Block:
    """Spectra of some rows of the parameters in one order.

    Attributes
    ----------
    order : int
        Row of the order.
    rows : slice
        Rows of the parameters.
    flux : (n, n_pixels) array
        The mixture.
    level : (n,) array
        Its mean level, ``1 - c + c q``: the mean over the library's own pixels, unbroadened.
    error : (n, n_pixels, J) array
        Factor X of the covariance X Xᵀ of the mixture's error: the emulator's columns, then that of
        q (of three components or more one for each mean flux). No columns where not asked for.
    level_error : (n, J) array
        How the level moves with each column.
    """

    order: int
    rows: slice
    flux: Floats
    level: Floats
    error: Floats
    level_error: Floats


@dataclass(frozen=True, eq=False, repr=False)
class MixtureModel:
    """Spectra of a mixture at any parameters, in M orders. Made by `mixjobs.load_mixture`.

    Attributes
    ----------
    layout : Layout
        The names and the order of the parameters.
    sources : tuple of LibraryModel or BlackBody
        What each of the K components is of.
    orders : Orders
    wavelength : tuple of M (n_pixels,) arrays
        The pixels that the spectra are given on, Å, in the medium of the data.
    weighting : {"c", "log_omega"}
    outside : {"raise", "nan"}
    """

    layout: Layout
    sources: tuple[Source, ...]
    orders: Orders
    wavelength: tuple[Floats, ...]
    weighting: Weighting
    outside: Outside

    def __post_init__(self) -> None:
        for name, known in (("weighting", get_args(Weighting)), ("outside", get_args(Outside))):
            if getattr(self, name) not in known:
                given = getattr(self, name)
                raise InvalidInput(f"{name} {given!r} is unknown; choose {' or '.join(known)}")

    def __repr__(self) -> str:
        return f"<MixtureModel of {', '.join(self.parameters)} in {len(self.orders)} order(s)>"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of an array's columns."""
        return self.layout.names

    @property
    def reconstruction_error(self) -> Floats:
        """r.m.s. of what the emulators leave out, over a component's mean flux: (K, M).

        At the grid points and unbroadened; `stream` does not count it among the errors.
        """
        n_orders = range(len(self.orders))
        return np.array(
            [[source.reconstruction_error(m) for m in n_orders] for source in self.sources]
        )

    def __call__(self, values: Values) -> tuple[Floats, ...]:
        """Evaluate the mixture.

        Parameters
        ----------
        values : (..., n_params) array in the order of `parameters`, or a mapping from each of
            them to arrays, which broadcast

        Returns
        -------
        tuple of M (..., n_pixels) arrays
            In units of component 1's mean flux, or in the library's unit times the solid angle
            (`log_omega`). NaN where the parameters are not valid, if `outside` is "nan".

        Raises
        ------
        OutsideGrid
            A theta outside the grid or beside a hole, a velocity beyond the buffer, fractions
            that are none; if `outside` is "raise".
        InvalidInput
            Parameters of another shape or with wrong names, or NaN.
        """
        rows, leading = self._read(values)
        results = [np.empty((len(rows), len(wave))) for wave in self.wavelength]
        for block in self._stream(rows, errors=False):
            results[block.order][block.rows] = block.flux
        return tuple(result.reshape(*leading, result.shape[1]) for result in results)

    def stream(self, values: Values, errors: bool = False) -> Iterator[Block]:
        """Evaluate the mixture order by order, in blocks of rows that fit the cache.

        Parameters and errors are those of a call; leading axes of the values count as one.

        Parameters
        ----------
        values : (..., n_params) array, or a mapping
        errors : bool
            Whether to give the factor of the error's covariance too.
        """
        rows, _ = self._read(values)
        return self._stream(rows, errors)

    def light(self, values: Values) -> Floats:
        """Light of each component in each order, (..., K, M): ``c_k q_k``, or with `log_omega`
        the solid angle times the mean flux. Parameters and errors are those of a call.
        """
        rows, leading = self._read(values)
        light = [self._order(rows, m).light for m in range(len(self.orders))]
        return np.stack(light, axis=-1).reshape(*leading, len(self.sources), len(self.orders))

    def parts(self, values: Values) -> tuple[Floats, ...]:
        """Evaluate each component alone, as it is in the mixture: M arrays (..., K, n_pixels).

        They add up to the mixture. Parameters and errors are those of a call.
        """
        rows, leading = self._read(values)
        results = []
        for m, wave in enumerate(self.wavelength):
            order = self._order(rows, m)
            parts = np.empty((len(rows), len(self.sources), len(wave)))
            for here in _blocks(len(rows)):
                for k in range(len(self.sources)):
                    parts[here, k] = order.part(k, here)
            results.append(parts.reshape(*leading, *parts.shape[1:]))
        return tuple(results)

    @cached_property
    def _groups(self) -> list[tuple[int, ...]]:
        """Components that differ in their weights alone: of one library, moving alike."""
        groups: dict[object, list[int]] = {}
        for k, (source, columns) in enumerate(zip(self.sources, self.layout.columns, strict=True)):
            moving = columns.get("rv"), columns.get("vsini")
            key: object = k if moving == (None, None) else (id(source), *moving)
            groups.setdefault(key, []).append(k)
        return [tuple(group) for group in groups.values()]

    def _read(self, values: Values) -> tuple[Rows, tuple[int, ...]]:
        return read_rows(self.sources, self.layout, self.weighting, self.outside, values)

    def _order(self, rows: Rows, m: int) -> OrderRows:
        return order_rows(self.sources, self._groups, rows, m, relative=self.weighting == "c")

    def _stream(self, rows: Rows, errors: bool) -> Iterator[Block]:
        for m in range(len(self.orders)):
            order = self._order(rows, m)
            for here in _blocks(len(rows)):
                flux, error, level_error = order.spectra(here, errors)
                level = order.light[here].sum(axis=1)
                yield Block(m, here, flux, level, error, level_error)


def _blocks(n: int) -> Iterator[slice]:
    """Yield slices of at most `BLOCK` rows."""
    for first in range(0, n, BLOCK):
        yield slice(first, min(first + BLOCK, n))
