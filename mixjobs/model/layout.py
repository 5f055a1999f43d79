"""The parameters of a mixture: what they are called, which components shared them, their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from mixjobs.errors import InvalidInput
from mixjobs.typing import Floats

Values = ArrayLike | Mapping[str, ArrayLike]

_LARGEST = 100.0  # of log_omega
_ROUNDING = 1e-14  # fractions that should add up to 1 do so to rounding
# What `shared` may name though this library has it not, or has it fixed.
FIELD_WORDS = ("teff", "logg", "feh", "alpha", "vsini", "rv")


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each component finds its parameters in a row of all of them.

    Made by `lay_out`.

    Attributes
    ----------
    every : tuple of str
        All parameters, the columns of a full table.
    columns : tuple of dict
        Of each component: its own name of a parameter ("teff"), and the column.
    fixed : dict
        Values of the parameters that do not vary.
    """

    every: tuple[str, ...]
    columns: tuple[dict[str, int], ...]
    fixed: dict[str, float] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters that vary, in the order of an array's columns."""
        return tuple(name for name in self.every if name not in self.fixed)

    def table(self, values: Values) -> tuple[Floats, tuple[int, ...]]:
        """Return all parameters, (n, n_every), and the leading shape of what was given.

        Parameters
        ----------
        values : (..., n_params) array in the order of `names`, or a mapping from them to arrays

        Raises
        ------
        InvalidInput
            A wrong length, a name that is missing, unknown or fixed, or NaN.
        """
        given = self._by_name(values) if isinstance(values, Mapping) else _floats(values)
        if given.ndim == 0 or given.shape[-1] != len(self.names):
            raise InvalidInput(
                f"parameters of shape {given.shape}; expected (..., {len(self.names)}): "
                f"{', '.join(self.names)}, or the same by name"
            )
        if np.isnan(given).any():
            name = self.names[int(np.argwhere(np.isnan(given))[0][-1])]
            raise InvalidInput(f"{name} is NaN; expected a number")
        rows = given.reshape(-1, len(self.names))
        full = np.empty((len(rows), len(self.every)))
        for column, name in enumerate(self.every):
            full[:, column] = (
                self.fixed[name] if name in self.fixed else rows[:, self.names.index(name)]
            )
        return full, given.shape[:-1]

    def _by_name(self, values: Mapping[str, ArrayLike]) -> Floats:
        for name in values:
            if name in self.fixed:
                raise InvalidInput(f"{name} is fixed at {self.fixed[name]:g}; leave it out")
            if name not in self.names:
                raise InvalidInput(f"unknown parameter {name!r}; there are {self._known}")
        missing = [name for name in self.names if name not in values]
        if missing:
            raise InvalidInput(f"parameters lack {', '.join(missing)}; there are {self._known}")
        columns = [_floats(values[name]) for name in self.names]
        try:
            return np.stack(np.broadcast_arrays(*columns), axis=-1)
        except ValueError:
            shapes = ", ".join(f"{n} {c.shape}" for n, c in zip(self.names, columns, strict=True))
            raise InvalidInput(f"the values do not broadcast: {shapes}") from None

    @property
    def _known(self) -> str:
        return ", ".join(self.names)


def lay_out(
    components: Sequence[Sequence[str]],
    shared: Sequence[str],
    weights: str,
    fixed: Mapping[str, float],
) -> Layout:
    """Name the parameters of a mixture.

    A shared parameter has its own name (``logg``), any other a number too (``teff_1``).

    Parameters
    ----------
    components : sequence of sequences of str
        The parameters of each component.
    shared : sequence of str
        Those that all components that have them have in common.
    weights : {"c", "log_omega"}
        Whether the components are weighted by fractions or by solid angles; see `fractions`.
    fixed : mapping
        Values of parameters that do not vary.

    Raises
    ------
    InvalidInput
        A name in `shared` or `fixed` that is unknown, or repeated; a fixed value that is no number.

    Examples
    --------
    >>> lay_out([["teff", "rv"], ["teff", "rv"]], ["rv"], "c", {}).names
    ('teff_1', 'teff_2', 'rv', 'c')
    """
    known = list(dict.fromkeys(name for names in components for name in names))
    repeated = [name for name in shared if list(shared).count(name) > 1]
    unknown = [name for name in shared if name not in known and name not in FIELD_WORDS]
    if repeated or unknown:
        fault = f"{repeated[0]!r} is there twice" if repeated else f"unknown {unknown[0]!r}"
        raise InvalidInput(f"shared {tuple(shared)}: {fault}; there are {', '.join(known)}")
    every: list[str] = []
    columns: list[dict[str, int]] = [{} for _ in components]
    for name in known:
        for k, names in enumerate(components):
            if name in names:
                called = name if name in shared or len(components) == 1 else f"{name}_{k + 1}"
                if called not in every:
                    every.append(called)
                columns[k][name] = every.index(called)
    every += weight_names(len(components), weights)
    wrong = [name for name in fixed if name not in every]
    if wrong:
        raise InvalidInput(f"cannot fix {wrong[0]!r}; there are {', '.join(every)}")
    values = {name: _floats(value) for name, value in fixed.items()}
    bad = [name for name, value in values.items() if value.ndim or not np.isfinite(value)]
    if bad:
        raise InvalidInput(f"{bad[0]} fixed at {fixed[bad[0]]!r}; expected one finite number")
    if len(fixed) == len(every):
        raise InvalidInput("every parameter is fixed; leave at least one free")
    return Layout(tuple(every), tuple(columns), {n: float(v) for n, v in values.items()})


def weight_names(n_components: int, weights: str) -> list[str]:
    """Names of what weights the components.

    Examples
    --------
    >>> weight_names(2, "c"), weight_names(3, "c"), weight_names(1, "log_omega")
    (['c'], ['c_2', 'c_3'], ['log_omega'])
    """
    if weights == "log_omega":
        numbers = range(1, n_components + 1)
        return ["log_omega"] if n_components == 1 else [f"log_omega_{k}" for k in numbers]
    return ["c"] if n_components == 2 else [f"c_{k}" for k in range(2, n_components + 1)]


def fractions(c: Floats) -> Floats:
    """Solid-angle fractions of all components from those of component 2 on.

    Parameters
    ----------
    c : (n, K - 1) array

    Returns
    -------
    (n, K) array
        They add up to 1; NaN where one of them would be negative.

    Examples
    --------
    >>> fractions(np.array([[0.25, 0.5], [0.5, 0.75]])).tolist()
    [[0.25, 0.25, 0.5], [nan, nan, nan]]
    """
    c = np.where(np.isfinite(c), c, np.nan)  # inf - inf would warn
    all_of_them = np.concatenate([1 - c.sum(axis=1, keepdims=True), c], axis=1)
    all_of_them[np.abs(all_of_them) < _ROUNDING] = 0.0
    all_of_them[~(all_of_them >= 0).all(axis=1)] = np.nan
    return all_of_them


def solid_angles(log_omega: Floats) -> Floats:
    """Solid angles from their ``log10``, (n, K); NaN above 1e100, whose light would overflow.

    Examples
    --------
    >>> solid_angles(np.array([[-1.0, 500.0]])).tolist()
    [[0.1, nan]]
    """
    omega: Floats = 10.0 ** np.where(log_omega <= _LARGEST, log_omega, np.nan)
    return omega


def _floats(value: ArrayLike) -> Floats:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(f"parameters {value!r} are not made of numbers") from None
