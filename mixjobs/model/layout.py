"""Parameters of a mixture: their names, their sequence, and the components that share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput
from mixjobs.typing import Floats
from mixjobs.units import by_name, by_position, without_unit

Values = ArrayLike | Mapping[str, ArrayLike]

# `shared` may name these even if the library has no such parameter, or only one value of it.
_COMMON_NAMES = ("teff", "logg", "feh", "alpha", "vsini", "rv")

_MAX_LOG_OMEGA = 100.0
_ROUNDING = 1e-14  # of the sum of fractions that add up to 1


@dataclass(frozen=True, eq=False)
class Layout:
    """The names of a mixture's parameters, and the columns of each component.

    `lay_out` makes one.

    Attributes
    ----------
    all_names : tuple of str
        All parameters, fixed ones included: the columns of complete samples.
    columns : tuple of dict
        For each component, the column of each of its own parameters, such as ``{"teff": 0}``.
    fixed : dict
        Values of the parameters that do not vary.
    """

    all_names: tuple[str, ...]
    columns: tuple[dict[str, int], ...]
    fixed: dict[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that vary, in the sequence of `params`."""
        return tuple(name for name in self.all_names if name not in self.fixed)

    def samples(self, values: Values) -> tuple[Floats, tuple[int, ...]]:
        """Read values of the parameters that vary, and add the fixed ones.

        Parameters
        ----------
        values : (..., n_params) array in the sequence of `names`, or a mapping from names to arrays
            Astropy quantities are converted if they are given by name, or in a list of one value
            per parameter.

        Returns
        -------
        samples : (n, n_all) array
            All parameters, in the sequence of `all_names`.
        leading : tuple of int
            The leading shape of the values.

        Raises
        ------
        InvalidInput
            A wrong length or unit, a name that is missing, unknown or fixed, or NaN.
        """
        named = by_name(values)
        if named is not None:
            params = self._by_name(named)
        else:
            params = _floats(by_position(values, self.names, "values"), "values")
        if params.ndim == 0 or params.shape[-1] != len(self.names):
            raise InvalidInput(
                f"parameters have shape {params.shape}; expected (..., {len(self.names)}): "
                f"{', '.join(self.names)}; give an array of that shape, or a mapping by name",
                name="values",
                value=params.shape,
            )
        if np.isnan(params).any():
            name = self.names[int(np.argwhere(np.isnan(params))[0][-1])]
            raise InvalidInput(f"{name} is NaN; expected a number", name=name, value=np.nan)
        free = params.reshape(-1, len(self.names))
        values_of = self.fixed | dict(zip(self.names, free.T, strict=True))
        samples = np.empty((len(free), len(self.all_names)))
        for column, name in enumerate(self.all_names):
            samples[:, column] = values_of[name]
        return samples, params.shape[:-1]

    def _by_name(self, values: Mapping[str, ArrayLike]) -> Floats:
        choices = ", ".join(self.names)
        for name, value in values.items():
            if name in self.fixed:
                raise InvalidInput(
                    f"{name} is fixed at {self.fixed[name]:g}; leave it out", name=name, value=value
                )
            if name not in self.names:
                raise InvalidInput(
                    f"unknown parameter {name!r}; the parameters are {choices}",
                    name=name,
                    value=value,
                )
        missing = [name for name in self.names if name not in values]
        if missing:
            raise InvalidInput(
                f"missing {', '.join(missing)}; the parameters are {choices}", name=missing[0]
            )
        columns = [_floats(without_unit(values[name], name), name) for name in self.names]
        try:
            return np.stack(np.broadcast_arrays(*columns), axis=-1)
        except ValueError:
            shapes = ", ".join(f"{n} {c.shape}" for n, c in zip(self.names, columns, strict=True))
            raise InvalidInput(
                f"the shapes of the parameters do not broadcast: {shapes}", name="values"
            ) from None


def lay_out(
    components: Sequence[Sequence[str]],
    shared: Sequence[str] | None,
    weighting: str,
    fixed: Mapping[str, float],
) -> Layout:
    """Name the parameters of a mixture.

    A shared parameter keeps its name (``logg``); the number of the component is added to any other
    (``teff_1``).

    Parameters
    ----------
    components : sequence of sequences of str
        The parameters of each component.
    shared : sequence of str or None
        Parameters with a common value in all components that have them; None for all but `teff`.
        If no parameter is `teff`, None leaves those with unknown names to each component.
    weighting : {"c", "log_omega"}
        Whether components are weighted by filling factors or by solid angles.
    fixed : mapping
        Values of parameters that do not vary.

    Raises
    ------
    InvalidInput
        A name in `shared` or `fixed` that is unknown or repeated, or a fixed value that is not a
        number.

    Examples
    --------
    >>> lay_out([["teff", "rv"], ["teff", "rv"]], ["rv"], "c", {}).names
    ('teff_1', 'teff_2', 'rv', 'c')
    """
    if shared is None:
        own = _distinct(components)
        without_teff = [name for name in _COMMON_NAMES if name in own]  # unknown names stay apart
        shared = [name for name in own if name != "teff"] if "teff" in own else without_teff
    _check_shared(components, shared)
    full_names = [
        {own: _full_name(own, k, shared, len(components)) for own in component}
        for k, component in enumerate(components)
    ]
    # grouped by parameter, not by component: teff_1, teff_2, logg, ...
    grouped = [full[own] for own in _distinct(components) for full in full_names if own in full]
    all_names = (*dict.fromkeys(grouped), *weight_names(len(components), weighting))
    columns = [{own: all_names.index(name) for own, name in full.items()} for full in full_names]
    return Layout(all_names, tuple(columns), _fixed_values(fixed, all_names))


def _distinct(components: Sequence[Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(own for component in components for own in component))


def _full_name(own: str, k: int, shared: Sequence[str], n_components: int) -> str:
    """Add the component's number (`k` counts from 0) to the name of a parameter, if needed."""
    return own if own in shared or n_components == 1 else f"{own}_{k + 1}"


def _check_shared(components: Sequence[Sequence[str]], shared: Sequence[str]) -> None:
    own = _distinct(components)
    for name in shared:
        if list(shared).count(name) > 1:
            raise InvalidInput(
                f"shared names {name!r} twice; name each parameter once", name="shared", value=name
            )
        if name not in own and name not in _COMMON_NAMES:
            raise InvalidInput(
                f"shared names an unknown parameter {name!r}; choose from {', '.join(own)}",
                name="shared",
                value=name,
            )


def _fixed_values(fixed: Mapping[str, float], all_names: Sequence[str]) -> dict[str, float]:
    """Check the fixed parameters, and convert quantities."""
    values = {}
    for name, given in fixed.items():
        if name not in all_names:
            raise InvalidInput(
                f"cannot fix {name!r}; the parameters are {', '.join(all_names)}",
                name=name,
                value=given,
            )
        value = _floats(without_unit(given, name), name)
        if value.ndim or not np.isfinite(value):
            raise InvalidInput(
                f"{name} is fixed at {given!r}; expected one finite number", name=name, value=given
            )
        values[name] = float(value)
    if len(fixed) == len(all_names):
        raise InvalidInput("every parameter is fixed; leave at least one free", name="fixed")
    return values


def weight_names(n_components: int, weighting: str) -> list[str]:
    """Names of the parameters that weight the components.

    Examples
    --------
    >>> weight_names(2, "c"), weight_names(3, "c"), weight_names(1, "log_omega")
    (['c'], ['c_2', 'c_3'], ['log_omega'])
    """
    if weighting == "log_omega":
        numbers = range(1, n_components + 1)
        return ["log_omega"] if n_components == 1 else [f"log_omega_{k}" for k in numbers]
    return ["c"] if n_components == 2 else [f"c_{k}" for k in range(2, n_components + 1)]


def fractions(c: Floats) -> Floats:
    """Filling factors (fractions of the solid angle) of all components from those of 2 to K.

    Parameters
    ----------
    c : (n, K - 1) array

    Returns
    -------
    (n, K) array
        Each row sums to 1. NaN where a filling factor would be negative.

    Examples
    --------
    >>> fractions(np.array([[0.25, 0.5], [0.5, 0.75]])).tolist()
    [[0.25, 0.25, 0.5], [nan, nan, nan]]
    """
    c = np.where(np.isfinite(c), c, np.nan)  # inf - inf would warn
    weights = np.concatenate([1 - c.sum(axis=1, keepdims=True), c], axis=1)
    weights[np.abs(weights) < _ROUNDING] = 0.0
    weights[~(weights >= 0).all(axis=1)] = np.nan
    return weights


def solid_angles(log_omega: Floats) -> Floats:
    """Solid angles from their ``log10``, (n, K); NaN above 1e100, whose flux would overflow.

    Examples
    --------
    >>> solid_angles(np.array([[-1.0, 500.0]])).tolist()
    [[0.1, nan]]
    """
    omega: Floats = 10.0 ** np.where(log_omega <= _MAX_LOG_OMEGA, log_omega, np.nan)
    return omega


def _floats(value: ArrayLike, name: str) -> Floats:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(
            f"{name} = {value!r}: expected numbers", name=name, value=value
        ) from None
